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
OCT: dict[str, object] = {
    "kty": "oct",
    "kid": "shared",
    "k": "c2VjcmV0",
}  # "secret": a symmetric key that was published by mistake


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
    "for nobody": (lambda i: i.token(aud=[]), Refusal.CLAIM_MISSING),
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
    "a critical header that the library knows": (
        lambda i: i.token(header={"crit": ["b64"], "b64": True}),
        Refusal.CRITICAL,
    ),
    "an empty list of critical headers": (lambda i: i.token(header={"crit": []}), Refusal.CRITICAL),
    "another tenant under the old signature": (lambda i: tampered(i.token(), tenant="other"), Refusal.SIGNATURE),
    "a later expiry under the old signature": (lambda i: tampered(i.token(), exp=2**40), Refusal.SIGNATURE),
    "garbage": (lambda _: "not-a-token", Refusal.MALFORMED),
    "empty": (lambda _: "", Refusal.MALFORMED),
    "one dot": (lambda _: "bm90.anything", Refusal.MALFORMED),
    "two parts": (lambda i: i.token().rsplit(".", 1)[0], Refusal.MALFORMED),
    "five parts": (lambda i: i.token() + ".a.b", Refusal.MALFORMED),
    "a header that is no object": (lambda i: f"{base64url(b'[]')}.{i.token().split('.', 1)[1]}", Refusal.MALFORMED),
    "a header nested without end": (lambda _: f"{base64url(b'[' * 5000)}.e30.AAAA", Refusal.MALFORMED),
    "claims nested without end": (lambda i: i.signed("first", b"[" * 2500 + b"]" * 2500), Refusal.MALFORMED),
    "claims that are no object": (lambda i: i.signed("first", b"7"), Refusal.MALFORMED),
    "claims that are not JSON": (lambda i: i.signed("first", b"\xff"), Refusal.MALFORMED),
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
    "not before as nothing": (
        lambda i: i.signed("first", json.dumps({**i.claims(), "nbf": None}).encode()),
        Refusal.CLAIM_INVALID,
    ),
    "a subject that is a number": (lambda i: i.token(sub=7), Refusal.CLAIM_INVALID),
    "without expiry": (lambda i: i.token(exp=None), Refusal.CLAIM_MISSING),
    "without time of issue": (lambda i: i.token(iat=None), Refusal.CLAIM_MISSING),
    "without subject": (lambda i: i.token(sub=None), Refusal.CLAIM_MISSING),
    "without issuer": (lambda i: i.token(iss=None), Refusal.CLAIM_MISSING),
    "without audience": (lambda i: i.token(aud=None), Refusal.CLAIM_MISSING),
    "without tenant": (lambda i: i.token(tenant=None), Refusal.TENANT),
    "without roles": (lambda i: i.token(roles=None), Refusal.ROLES),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_refused(attack: str, verifier: Verifier, issuer: Issuer) -> None:
    forge, refusal = ATTACKS[attack]
    with pytest.raises(AuthError) as caught:
        await verifier.verify(forge(issuer))
    assert caught.value.refusal is refusal


class TestGoodTokens:
    @pytest.mark.parametrize("signer", ["first", "elliptic"])
    async def test_a_token_proves_its_principal(self, signer: str, verifier: Verifier, issuer: Issuer) -> None:
        assert await verifier.verify(issuer.token(signer)) == ALICE

    @pytest.mark.parametrize("kind", ["at+jwt", "JWT", "application/at+jwt", None])
    async def test_access_tokens_and_plain_ones_are_taken(
        self, kind: str | None, verifier: Verifier, issuer: Issuer
    ) -> None:
        assert await verifier.verify(issuer.token(header={"typ": kind})) == ALICE

    async def test_this_service_may_be_one_of_several_audiences(self, verifier: Verifier, issuer: Issuer) -> None:
        assert await verifier.verify(issuer.token(aud=["payments", "kyc-service"])) == ALICE

    async def test_clocks_may_differ_by_half_a_minute(self, verifier: Verifier, issuer: Issuer, wall: Clock) -> None:
        now = int(wall())
        assert await verifier.verify(issuer.token(iat=now + 30, nbf=now + 30)) == ALICE
        assert await verifier.verify(issuer.token(exp=now - 29)) == ALICE

    async def test_times_may_have_fractions(self, verifier: Verifier, issuer: Issuer, wall: Clock) -> None:
        assert await verifier.verify(issuer.token(iat=wall() - 0.5, exp=wall() + 1.5)) == ALICE

    async def test_the_issuer_may_be_down_for_a_known_key(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        await verifier.verify(issuer.token())
        issuer.down = True
        clock.now += 3600
        assert await verifier.verify(issuer.token()) == ALICE

    async def test_without_any_keys_nobody_is_called_a_stranger(self, verifier: Verifier, issuer: Issuer) -> None:
        issuer.down = True
        with pytest.raises(KeysUnavailable):
            await verifier.verify(issuer.token())


class TestRemembering:
    async def test_a_token_is_unknown_until_it_was_verified(self, verifier: Verifier, issuer: Issuer) -> None:
        token = issuer.token()
        before = verifier.cached(token)
        await verifier.verify(token)
        assert (before, verifier.cached(token)) == (None, ALICE)

    async def test_a_refused_token_is_not_remembered(self, verifier: Verifier, issuer: Issuer) -> None:
        forged = tampered(issuer.token(), tenant="other")
        with pytest.raises(AuthError):
            await verifier.verify(forged)
        assert verifier.cached(forged) is None

    async def test_a_forged_twin_of_a_remembered_token_is_refused(self, verifier: Verifier, issuer: Issuer) -> None:
        token = issuer.token()
        await verifier.verify(token)
        with pytest.raises(AuthError):
            await verifier.verify(tampered(token, roles=["auditor"]))

    async def test_half_a_minute_later_the_signature_is_looked_at_again(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        token = issuer.token()
        await verifier.verify(token)
        clock.now += 29.9
        still = verifier.cached(token)
        clock.now += 0.1
        assert (still, verifier.cached(token)) == (ALICE, None)

    async def test_a_token_is_remembered_no_longer_than_it_lives(
        self, verifier: Verifier, issuer: Issuer, clock: Clock, wall: Clock
    ) -> None:
        token = issuer.token(exp=wall() + 5)
        await verifier.verify(token)
        clock.now += 4.9
        still = verifier.cached(token)
        clock.now += 0.1
        assert (still, verifier.cached(token)) == (ALICE, None)

    async def test_a_token_that_only_the_leeway_saves_is_not_remembered(
        self, verifier: Verifier, issuer: Issuer, wall: Clock
    ) -> None:
        token = issuer.token(exp=wall() - 1)
        await verifier.verify(token)
        assert verifier.cached(token) is None

    async def test_setting_the_wall_clock_back_prolongs_nothing(
        self, verifier: Verifier, issuer: Issuer, clock: Clock, wall: Clock
    ) -> None:
        token = issuer.token()
        await verifier.verify(token)
        wall.now -= 3600
        clock.now += 30
        assert verifier.cached(token) is None

    async def test_a_key_that_disappears_takes_its_tokens_with_it(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        token = issuer.token()
        await verifier.verify(token)
        issuer.published = [issuer.jwk("second")]
        clock.now += 11
        await verifier.verify(issuer.token("second"))  # which makes the keys be read again
        assert verifier.cached(token) is None
        with pytest.raises(AuthError) as caught:
            await verifier.verify(token)
        assert caught.value.refusal is Refusal.KEY_UNKNOWN

    async def test_a_key_that_is_replaced_under_its_name_takes_its_tokens_with_it(
        self, verifier: Verifier, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        token = issuer.token()
        await verifier.verify(token)
        issuer.published = [issuer.jwk("second", kid="first")]
        clock.now += 11
        with pytest.raises(AuthError):
            await keys.key("something else")  # which makes the keys be read again
        with pytest.raises(AuthError) as caught:
            await verifier.verify(token)
        assert caught.value.refusal is Refusal.SIGNATURE

    async def test_reading_the_same_keys_again_forgets_nothing(
        self, verifier: Verifier, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        await keys.key("first")
        clock.now += 11
        token = issuer.token()
        await verifier.verify(token)
        with pytest.raises(AuthError):
            await keys.key("unknown")
        assert (issuer.fetches, verifier.cached(token)) == (2, ALICE)

    async def test_a_token_is_not_remembered_beyond_its_keys(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        await verifier.verify(issuer.token())
        issuer.down = True
        clock.now += 24 * 3600 - 10
        token = issuer.token()
        await verifier.verify(token)
        clock.now += 10
        assert verifier.cached(token) is None

    async def test_the_longest_unused_token_is_forgotten_first(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock, wall: Clock
    ) -> None:
        verifier = Verifier(keys, TERMS, clock=clock, now=wall, capacity=2)
        first, second, third = (issuer.token(jti=name) for name in "abc")
        for token in (first, second, first, third):
            await verifier.verify(token)
        assert [verifier.cached(token) for token in (first, second, third)] == [ALICE, None, ALICE]

    async def test_an_oversized_token_is_not_even_digested(self, verifier: Verifier) -> None:
        assert verifier.cached("x" * 8193) is None

    async def test_the_cache_holds_no_token(self, verifier: Verifier, issuer: Issuer) -> None:
        token = issuer.token()
        await verifier.verify(token)
        [(digest, held)] = verifier._remembered.items()
        assert (len(digest), held.principal) == (32, ALICE)


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_refusal_says_nothing_of_the_token(attack: str, verifier: Verifier, issuer: Issuer) -> None:
    token = ATTACKS[attack][0](issuer)
    with pytest.raises(AuthError) as caught:
        await verifier.verify(token)
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert caught.value.args == (caught.value.code,)
    assert not [part for part in token.split(".") if len(part) > 8 and part in said]
    assert "alice" not in said


def signed_by_nobody() -> Verifier:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404, request=request)

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return Verifier(JsonWebKeys(HttpKeys(URL, client), frozenset({"ES256"})), TERMS)


@given(st.one_of(st.text(), st.lists(st.binary(max_size=64).map(base64url), min_size=3, max_size=3).map(".".join)))
def test_no_text_does_more_than_be_refused(token: str) -> None:
    with pytest.raises((AuthError, KeysUnavailable)):
        asyncio.run(signed_by_nobody().verify(token))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "cty", "jwk"]), JSON).map(
        lambda header: f"{base64url(json.dumps(header).encode())}.e30.AAAA"
    )
)
def test_no_header_does_more_than_be_refused(token: str) -> None:
    with pytest.raises((AuthError, KeysUnavailable)):
        asyncio.run(signed_by_nobody().verify(token))
