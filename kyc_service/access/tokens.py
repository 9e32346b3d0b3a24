"""Access tokens: a signed JWT comes in, a principal comes out.

Nothing of a token is ever logged or kept: refusals are codes, and the cache knows tokens by their digest alone.
"""

import base64
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TypeAlias

import jwt
from jwt.types import Options

from kyc_service.access.jwks import JsonWebKeys, VerificationKey
from kyc_service.access.principal import AuthError, ClaimNames, Principal, Refusal, principal_of
from kyc_service.domain.record import record

LONGEST_TOKEN = 8 * 1024
LEEWAY = 30.0  # seconds that the issuer's clock may differ from ours
REMEMBERED_SECONDS = 30.0  # how long a verified token is believed without looking at its signature again
REMEMBERED_TOKENS = 10_000
LATEST_TIME = 2**53  # what a JSON number holds exactly; also refuses NaN, infinity and integers without end
TYPES = frozenset({"at+jwt", "jwt"})

# PyJWT checks the signature, the issuer and the audience. It accepts times that are strings: those checks are ours.
CHECKS: Options = {
    "require": ["exp", "iat", "sub", "iss", "aud"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}

# The most specific first: several of them are one another's bases.
REFUSALS: tuple[tuple[type[Exception], Refusal], ...] = (
    (jwt.InvalidSignatureError, Refusal.SIGNATURE),
    (jwt.InvalidAlgorithmError, Refusal.ALGORITHM),
    (jwt.MissingRequiredClaimError, Refusal.CLAIM_MISSING),
    (jwt.InvalidIssuerError, Refusal.ISSUER),
    (jwt.InvalidAudienceError, Refusal.AUDIENCE),
    (jwt.DecodeError, Refusal.MALFORMED),
    (jwt.InvalidTokenError, Refusal.CLAIM_INVALID),
)

Claims: TypeAlias = Mapping[str, object]


@record
class Terms:
    """What a token must say to be for this service."""

    issuer: str
    audience: str
    names: ClaimNames


@record
class Remembered:
    """A verified token's principal, good until `until` and as long as the key set is of the same `generation`."""

    principal: Principal
    until: float
    generation: int


class Verifier:
    """Turns access tokens into principals. A token that was verified just now costs only a digest and a look-up."""

    def __init__(
        self,
        keys: JsonWebKeys,
        terms: Terms,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        capacity: int = REMEMBERED_TOKENS,
    ) -> None:
        self._keys = keys
        self._terms = terms
        self._clock = clock
        self._now = now
        self._capacity = capacity
        self._remembered: OrderedDict[bytes, Remembered] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """The principal that *token* proves, `AuthError` if it proves none, or `KeysUnavailable` if we cannot tell."""
        if principal := self.cached(token):
            return principal
        if len(token) > LONGEST_TOKEN:
            raise AuthError(Refusal.TOO_LONG)
        if not token.isascii():
            raise AuthError(Refusal.MALFORMED)
        kid, algorithm = _header(token)
        key = await self._keys.key(kid)
        generation = self._keys.generation
        if algorithm not in key.algorithms:
            raise AuthError(Refusal.ALGORITHM)
        claims = self._claims(token, key)
        lifetime = _lifetime(claims, self._now())
        principal = principal_of(claims, self._terms.names)
        self._remember(token, principal, lifetime, generation)
        return principal

    def cached(self, token: str) -> Principal | None:
        """The principal of *token* if it was verified within the last seconds and nothing has changed since."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            return None
        digest = sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is None:
            return None
        if known.generation != self._keys.generation or self._clock() >= known.until:
            del self._remembered[digest]
            return None
        self._remembered.move_to_end(digest)
        return known.principal

    def _remember(self, token: str, principal: Principal, lifetime: float, generation: int) -> None:
        # On the clock that never goes back, so that setting the wall clock cannot prolong a token; and never beyond
        # the keys themselves. The leeway is for clocks that differ and prolongs nothing here.
        until = min(self._clock() + min(lifetime, REMEMBERED_SECONDS), self._keys.expires)
        digest = sha256(token.encode()).digest()
        self._remembered[digest] = Remembered(principal=principal, until=until, generation=generation)
        self._remembered.move_to_end(digest)
        if len(self._remembered) > self._capacity:
            self._remembered.popitem(last=False)

    def _claims(self, token: str, key: VerificationKey) -> Claims:
        try:
            claims: Claims = jwt.decode(
                token,
                key.key,
                algorithms=sorted(key.algorithms),
                audience=self._terms.audience,
                issuer=self._terms.issuer,
                options=CHECKS,
            )
        except (jwt.PyJWTError, RecursionError) as error:
            # Without its cause, whose words may quote the token.
            raise AuthError(_refusal(error)) from None
        return claims


def expires_at(token: str) -> float:
    """When *token*, which was verified already, expires: in seconds since the epoch."""
    claims = _json_part(token.split(".")[1])
    found = claims.get("exp") if isinstance(claims, dict) else None
    return _seconds(found)


def _refusal(error: Exception) -> Refusal:
    return next((refusal for kind, refusal in REFUSALS if isinstance(error, kind)), Refusal.MALFORMED)


def _header(token: str) -> tuple[str, str]:
    """The key id and the algorithm that *token* names; whatever else its header offers (`jku`, `jwk`, …) is ignored."""
    header = _json_part(token.partition(".")[0])
    if not isinstance(header, dict):
        raise AuthError(Refusal.MALFORMED)
    kind = header.get("typ", "jwt")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in TYPES:
        raise AuthError(Refusal.TYPE)
    if "crit" in header:
        raise AuthError(Refusal.CRITICAL)
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(kid, str) or not isinstance(algorithm, str):
        raise AuthError(Refusal.MALFORMED)
    return kid, algorithm


def _json_part(encoded: str) -> object:
    try:
        decoded: object = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        return None
    return decoded


def _lifetime(claims: Claims, now: float) -> float:
    """How many seconds *claims* are still valid, once it is certain that they are valid now."""
    if _seconds(claims["iat"]) > now + LEEWAY:
        raise AuthError(Refusal.NOT_YET_VALID)
    if "nbf" in claims and _seconds(claims["nbf"]) > now + LEEWAY:
        raise AuthError(Refusal.NOT_YET_VALID)
    expires = _seconds(claims["exp"])
    if expires <= now - LEEWAY:
        raise AuthError(Refusal.EXPIRED)
    return expires - now


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST_TIME:
        raise AuthError(Refusal.CLAIM_INVALID)
    return value
