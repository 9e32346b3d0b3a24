"""Tokens that are refused, each with its code; and how long a good one is remembered."""

from __future__ import annotations

import asyncio
import base64
import json
import traceback
from typing import TYPE_CHECKING

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_service.access.jwks import HttpKeys, JsonWebKeys, KeysUnavailable
from kyc_service.access.principal import AuthError, ClaimNames, Principal, Refusal
from kyc_service.access.tokens import Terms, Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tests.access.conftest import Clock, Issuer

URL = "https://issuer.example/jwks"
TERMS = Terms(issuer="crowdpay", audience="kyc-service", names=ClaimNames())
ALICE = Principal(tenant="acme", client="backoffice", subject="alice", roles=frozenset({"reviewer"}))
OCT = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}  # "secret": a symmetric key that was published by mistake


@pytest.fixture
async def keys(issuer: Issuer, clock: Clock) -> AsyncIterator[JsonWebKeys]:
    issuer.published += [issuer.jwk("elliptic"), OCT]
    keys = JsonWebKeys(HttpKeys(URL, issuer.client), frozenset({"RS256", "ES256"}), clock=clock)
    yield keys
    await keys.close()


@pytest.fixture
def verifier(keys: JsonWebKeys, clock: Clock, wall: Clock) -> Verifier:
    return Verifier(keys, TERMS, clock=clock, now=wall)


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def tampered(token: str, **changed: object) -> str:
    """*token* with other claims under the old signature."""
    header, body, signature = token.split(".")
    claims = {**json.loads(base64.urlsafe_b64decode(body + "==")), **changed}
    return f"{header}.{base64url(json.dumps(claims).encode())}.{signature}"


def without_signature(issuer: Issuer) -> str:
    return issuer.token(header={"alg": "none"}).rsplit(".", 1)[0] + "."


ATTACKS: Mapping[str, tuple[Callable[[Issuer], str], Refusal]] = {
    "no signature, algorithm none": (without_signature, Refusal.ALGORITHM),
    "algorithm none with a signature": (lambda i: i.token(header={"alg": "none"}), Refusal.ALGORITHM),
    "HS256 with the RSA key's PEM": (lambda i: i.mac_token("first", i.pem("first")), Refusal.ALGORITHM),
    "HS256 with a published oct key": (lambda i: i.mac_token("shared", b"secret"), Refusal.KEY_UNKNOWN),
    "RS256 key used as PS256": (lambda i: i.token(header={"alg": "PS256"}), Refusal.ALGORITHM),
    "ES256 claimed for an RSA key": (lambda i: i.token(header={"alg": "ES256"}), Refusal.ALGORITHM),
    "expired": (lambda i: i.token(exp=int(i.wall()) - 31), Refusal.EXPIRED),
    "not valid yet": (lambda i: i.token(nbf=int(i.wall()) + 31), Refusal.NOT_YET_VALID),
    "issued in the future": (lambda i: i.token(iat=int(i.wall()) + 31), Refusal.NOT_YET_VALID),
    "for somebody else": (lambda i: i.token(aud="payments"), Refusal.AUDIENCE),
    "for nobody": (lambda i: i.token(aud=[]), Refusal.AUDIENCE),
    "from another issuer": (lambda i: i.token(iss="crowdpay.example"), Refusal.ISSUER),
    "from a list of issuers": (lambda i: i.token(iss=["crowdpay"]), Refusal.ISSUER),
    "signed with a foreign key": (lambda i: i.token("foreign", header={"kid": "first"}), Refusal.SIGNATURE),
    "signed with a key of the issuer that is not this one": (
        lambda i: i.token("second", header={"kid": "first"}),
        Refusal.SIGNATURE,
    ),
    "an unknown key": (lambda i: i.token("foreign"), Refusal.KEY_UNKNOWN),
    "a foreign key that the header brings along": (
        lambda i: i.token("foreign", header={"kid": "first", "jwk": i.jwk("foreign"), "jku": "https://evil.example"}),
        Refusal.SIGNATURE,
    ),
    "an unknown critical header": (lambda i: i.token(header={"crit": ["exp"]}), Refusal.CRITICAL),
    "an empty list of critical headers": (lambda i: i.token(header={"crit": []}), Refusal.CRITICAL),
    "another tenant under the old signature": (lambda i: tampered(i.token(), tenant="other"), Refusal.SIGNATURE),
    "a later expiry under the old signature": (lambda i: tampered(i.token(), exp=2**40), Refusal.SIGNATURE),
    "garbage": (lambda _: "not-a-token", Refusal.MALFORMED),
    "empty": (lambda _: "", Refusal.MALFORMED),
    "two parts": (lambda i: i.token().rsplit(".", 1)[0], Refusal.MALFORMED),
    "five parts": (lambda i: i.token() + ".a.b", Refusal.MALFORMED),
    "a header that is no object": (lambda i: f"{base64url(b'[]')}.{i.token().split('.', 1)[1]}", Refusal.MALFORMED),
    "a header nested without end": (lambda _: f"{base64url(b'[' * 5000)}.e30.AAAA", Refusal.MALFORMED),
    "claims nested without end": (lambda i: i.token(deep=json.loads("[" * 900 + "]" * 900)), Refusal.MALFORMED),
    "letters outside ASCII": (lambda i: i.token() + "é", Refusal.MALFORMED),
    "half a character": (lambda i: i.token() + "\ud800", Refusal.MALFORMED),
    "longer than 8 KiB": (lambda i: i.token(padding="x" * 8192), Refusal.TOO_LONG),
    "a key id that is a number": (lambda i: i.token(header={"kid": 1}), Refusal.MALFORMED),
    "a key id that is a list": (lambda i: i.token(header={"kid": ["first"]}), Refusal.MALFORMED),
    "without a key id": (lambda i: i.token(header={"kid": None}), Refusal.MALFORMED),
    "an algorithm that is a list": (lambda i: i.token(header={"alg": ["RS256"]}), Refusal.MALFORMED),
    "an ID token's or another type": (lambda i: i.token(header={"typ": "dpop+jwt"}), Refusal.TYPE),
    "a type that is a list": (lambda i: i.token(header={"typ": ["JWT"]}), Refusal.TYPE),
    "expiry as text": (lambda i: i.token(exp=str(int(i.wall()) + 300)), Refusal.CLAIM_INVALID),
    "expiry as truth": (lambda i: i.token(exp=True), Refusal.CLAIM_INVALID),
    "expiry never": (lambda i: i.token(exp=float("inf")), Refusal.CLAIM_INVALID),
    "expiry not a number": (lambda i: i.token(exp=float("nan")), Refusal.CLAIM_INVALID),
    "expiry without end": (lambda i: i.token(exp=10**400), Refusal.CLAIM_INVALID),
    "expiry as a list": (lambda i: i.token(exp=[]), Refusal.CLAIM_INVALID),
    "issued as text": (lambda i: i.token(iat="0"), Refusal.CLAIM_INVALID),
    "not before as text": (lambda i: i.token(nbf="0"), Refusal.CLAIM_INVALID),
    "not before as nothing": (lambda i: tampered_claims(i, nbf=None), Refusal.CLAIM_INVALID),
    "a subject that is a number": (lambda i: i.token(sub=7), Refusal.CLAIM_INVALID),
    "without expiry": (lambda i: i.token(exp=None), Refusal.CLAIM_MISSING),
    "without time of issue": (lambda i: i.token(iat=None), Refusal.CLAIM_MISSING),
    "without subject": (lambda i: i.token(sub=None), Refusal.CLAIM_MISSING),
    "without issuer": (lambda i: i.token(iss=None), Refusal.CLAIM_MISSING),
    "without audience": (lambda i: i.token(aud=None), Refusal.CLAIM_MISSING),
    "without tenant": (lambda i: i.token(tenant=None), Refusal.TENANT),
    "without roles": (lambda i: i.token(roles=None), Refusal.ROLES),
}


def tampered_claims(issuer: Issuer, **claims: object) -> str:
    """A rightly signed token with claims that are null."""
    original = issuer.claims
    try:
        issuer.claims = lambda **_: {**original(), **claims}  # type: ignore[method-assign]
        return issuer.token()
    finally:
        del issuer.claims


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_refused(attack: str, verifier: Verifier, issuer: Issuer) -> None:
    forge, refusal = ATTACKS[attack]
    with pytest.raises(AuthError) as caught:
        await verifier.verify(forge(issuer))
    assert caught.value.refusal is refusal
