"""Who is asking: the identity that a verified token gives, or the reason why it gives none."""

import re
from collections.abc import Mapping
from enum import StrEnum

from kyc_service.domain.record import record

TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
LONGEST_NAME = 255
LONGEST_ROLE = 64
MOST_ROLES = 64


class Refusal(StrEnum):
    """Why a token was not accepted. The codes are stable: clients and alerts may rely on them."""

    TOO_LONG = "token_too_long"
    MALFORMED = "token_malformed"
    TYPE = "token_type"
    CRITICAL = "token_critical_header"
    ALGORITHM = "token_algorithm"
    KEY_UNKNOWN = "token_key_unknown"
    SIGNATURE = "token_signature"
    CLAIM_MISSING = "token_claim_missing"
    CLAIM_INVALID = "token_claim_invalid"
    EXPIRED = "token_expired"
    NOT_YET_VALID = "token_not_yet_valid"
    ISSUER = "token_issuer"
    AUDIENCE = "token_audience"
    TENANT = "token_tenant"
    ROLES = "token_roles"


class AuthError(Exception):
    """The access token was not accepted."""

    def __init__(self, refusal: Refusal) -> None:
        # The code is all that is kept: whatever the token said must not reach a log or an answer.
        super().__init__(refusal.value)
        self.refusal = refusal

    @property
    def code(self) -> str:
        """The stable code, such as `token_expired`."""
        return self.refusal.value


@record
class Principal:
    """One authenticated caller: `subject` acts through `client`, within `tenant` and nowhere else."""

    tenant: str
    client: str
    subject: str
    roles: frozenset[str]


@record
class ClaimNames:
    """Where an issuer puts the tenant and the roles. A whole claim name wins; otherwise each dot descends."""

    tenant: str = "tenant"
    roles: str = "roles"


def principal_of(claims: Mapping[str, object], names: ClaimNames) -> Principal:
    """The principal that *claims* describe. The claims come from a verified token, and are still not trusted to fit."""
    subject = _name(claims.get("sub"))
    return Principal(
        tenant=_tenant(_at(claims, names.tenant)),
        client=_client(claims, subject),
        subject=subject,
        roles=_roles(_at(claims, names.roles)),
    )


def _at(claims: Mapping[str, object], path: str) -> object:
    if path in claims:  # namespaced claims such as "https://issuer.example/tenant" hold dots that do not descend
        return claims[path]
    found: object = claims
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _tenant(value: object) -> str:
    if isinstance(value, str) and TENANT.fullmatch(value):
        return value
    raise AuthError(Refusal.TENANT)


def _client(claims: Mapping[str, object], subject: str) -> str:
    for claim in ("azp", "client_id"):
        if claim in claims:
            return _name(claims[claim])
    return subject


def _name(value: object) -> str:
    # Names reach audit rows and idempotency keys; a control character there could forge a line or break a statement.
    if isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable():
        return value
    raise AuthError(Refusal.CLAIM_INVALID)


def _roles(value: object) -> frozenset[str]:
    if not isinstance(value, list) or len(value) > MOST_ROLES:
        raise AuthError(Refusal.ROLES)
    if not all(isinstance(role, str) and 0 < len(role) <= LONGEST_ROLE and role.isprintable() for role in value):
        raise AuthError(Refusal.ROLES)
    return frozenset(value)
