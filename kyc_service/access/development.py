"""Development's own issuer: a signing key in the state folder, so that `kyc token` works without an identity provider.

Whoever reads that file can be anyone; production therefore refuses it.
"""

import base64
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kyc_service.access.principal import ClaimNames, principal_of
from kyc_service.settings import Settings

ALGORITHM = "ES256"
FILE = "development-signing-key.pem"
COORDINATE = 32  # bytes of a P-256 coordinate


class DevelopmentKeyRefused(Exception):
    """The development signing key is not used here."""


class DevelopmentIssuer:
    """Issues tokens, and publishes the key that verifies them as a `KeySource`."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        if settings.production:
            raise DevelopmentKeyRefused("production takes its keys from KYC_JWT_PUBLIC_KEY_URL alone")
        if ALGORITHM not in settings.jwt_algorithms:
            raise DevelopmentKeyRefused(f"development signs with {ALGORITHM}, which KYC_JWT_ALGORITHMS leaves out")
        self.path = settings.home / FILE
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._names = ClaimNames(tenant=settings.jwt_tenant_claim, roles=settings.jwt_roles_claim)
        self._now = now
        self._key = _signing_key(self.path)
        self._public = _public(self._key)

    def issue(self, tenant: str, roles: Iterable[str], subject: str, client: str, ttl: timedelta) -> str:
        """A token for *subject*; `AuthError` when the service would not accept what it says."""
        now = int(self._now())
        claims: dict[str, object] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "client_id": client,
            "iat": now,
            "exp": now + int(ttl.total_seconds()),
            "jti": secrets.token_urlsafe(16),
            self._names.tenant: tenant,
            self._names.roles: sorted(set(roles)),
        }
        principal_of(claims, self._names)
        return jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self._public["kid"], "typ": "at+jwt"})

    def key_set(self) -> bytes:
        """The public key, as an issuer would publish it."""
        return json.dumps({"keys": [self._public]}).encode()

    async def read(self) -> bytes:
        return self.key_set()

    def warning(self) -> str:
        """One line for the log and the terminal, every time that this key is trusted."""
        return (
            f"DEVELOPMENT TOKENS ARE TRUSTED: whoever can read {self.path} can act as any tenant and any role. "
            "Set KYC_JWT_PUBLIC_KEY_URL, and KYC_ENV=production, before anybody else can reach this service."
        )


def _signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        _create(path)
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise DevelopmentKeyRefused(f"{path} can be read by others: chmod 600 it, or delete it for a new one")
        content = file.read()
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise DevelopmentKeyRefused(f"{path} holds no key: delete it for a new one") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise DevelopmentKeyRefused(f"{path} holds no {ALGORITHM} key: delete it for a new one")
    return key


def _create(path: Path) -> None:
    """Put a new key at *path*, whole or not at all; when several processes do so at once, the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    content = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename, it does not replace the key of a process that was faster
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _public(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    members = {
        "crv": "P-256",
        "kty": "EC",
        "x": _base64url(numbers.x.to_bytes(COORDINATE)),
        "y": _base64url(numbers.y.to_bytes(COORDINATE)),
    }
    # The key id is the key's thumbprint (RFC 7638): these members, sorted, without spaces.
    thumbprint = sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest()
    return {**members, "alg": ALGORITHM, "use": "sig", "kid": _base64url(thumbprint)}


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
