"""The issuer's keys: one fetch for all, served through outages, and only keys that can verify."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kyc_service.access.jwks import (
    FileKeys,
    Freshness,
    HttpKeys,
    JsonWebKeys,
    KeyAddressRefused,
    KeysUnavailable,
    KeysUnreadable,
    key_source,
    read_keys,
)
from kyc_service.access.principal import AuthError, Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from tests.access.conftest import Clock, Issuer

URL = "https://issuer.example/jwks"
BOTH = frozenset({"RS256", "ES256"})
DAY = 24 * 3600


@pytest.fixture
async def keys(issuer: Issuer, clock: Clock) -> AsyncIterator[JsonWebKeys]:
    keys = JsonWebKeys(HttpKeys(URL, issuer.client), BOTH, clock=clock)
    yield keys
    await keys.close()


async def settled(keys: JsonWebKeys) -> None:
    """Let a refresh that runs behind the callers come to its end."""
    if keys._task:
        await asyncio.wait({keys._task})


async def refusals(keys: JsonWebKeys, kid: str, times: int) -> set[str]:
    asked = await asyncio.gather(*(keys.key(kid) for _ in range(times)), return_exceptions=True)
    return {answer.code if isinstance(answer, AuthError) else repr(answer) for answer in asked}


class TestFetching:
    async def test_two_hundred_callers_of_a_cold_cache_share_one_fetch(self, keys: JsonWebKeys, issuer: Issuer) -> None:
        found = await asyncio.gather(*(keys.key("first") for _ in range(200)))
        assert (len(found), issuer.fetches) == (200, 1)

    async def test_a_new_key_is_found_with_one_fetch(self, keys: JsonWebKeys, issuer: Issuer, clock: Clock) -> None:
        await keys.key("first")
        issuer.published.append(issuer.jwk("second"))
        clock.now += 11
        await asyncio.gather(*(keys.key("second") for _ in range(50)))
        assert issuer.fetches == 2

    async def test_a_storm_of_unknown_keys_is_not_passed_on(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        await keys.key("first")
        assert await refusals(keys, "evil", 500) == {"token_key_unknown"}
        assert issuer.fetches == 1
        clock.now += 11
        assert await refusals(keys, "evil", 500) == {"token_key_unknown"}
        assert issuer.fetches == 2

    async def test_nobody_waits_for_the_refresh_of_keys_that_are_merely_old(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        await keys.key("first")
        issuer.open.clear()
        clock.now += 301
        await keys.key("first")
        refreshing = keys._refreshing
        issuer.open.set()
        await settled(keys)
        assert (refreshing, issuer.fetches) == (True, 2)

    async def test_young_keys_are_not_refreshed(self, keys: JsonWebKeys, issuer: Issuer, clock: Clock) -> None:
        await keys.key("first")
        clock.now += 299
        await keys.key("first")
        await settled(keys)
        assert issuer.fetches == 1

    async def test_a_caller_who_gives_up_does_not_end_the_fetch_for_the_others(
        self, keys: JsonWebKeys, issuer: Issuer
    ) -> None:
        issuer.open.clear()
        impatient = asyncio.create_task(keys.key("first"))
        patient = asyncio.create_task(keys.key("first"))
        await asyncio.sleep(0.01)
        impatient.cancel()
        await asyncio.wait({impatient})
        issuer.open.set()
        assert await patient == await keys.key("first")
        assert (impatient.cancelled(), issuer.fetches) == (True, 1)

    async def test_a_fetch_that_everybody_left_still_fills_the_cache(self, keys: JsonWebKeys, issuer: Issuer) -> None:
        issuer.open.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(keys.key("first"), timeout=0.01)
        issuer.open.set()
        await settled(keys)
        await keys.key("first")
        assert issuer.fetches == 1

    async def test_closing_ends_a_refresh_and_its_waiters_hear_not_now(self, keys: JsonWebKeys, issuer: Issuer) -> None:
        issuer.open.clear()
        waiting = asyncio.create_task(keys.key("first"))
        await asyncio.sleep(0.01)
        await keys.close()
        with pytest.raises(KeysUnavailable):
            await waiting
        assert not keys._refreshing

    async def test_closing_does_not_make_a_new_key_unknown(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        await keys.key("first")
        issuer.open.clear()
        clock.now += 11
        waiting = asyncio.create_task(keys.key("second"))
        await asyncio.sleep(0.01)
        await keys.close()
        with pytest.raises(KeysUnavailable):
            await waiting

    async def test_the_generation_grows_with_the_content_and_not_with_each_fetch(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        seen = []
        for published in (["first"], ["first"], ["first", "second"], ["second"]):
            issuer.published = [issuer.jwk(name) for name in published]
            clock.now += 301
            await keys.key(published[-1])
            await settled(keys)
            seen.append(keys.generation)
        assert seen == [1, 1, 2, 3]


class TestOutages:
    async def test_old_keys_are_served_while_the_issuer_is_down(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        before = await keys.key("first")
        issuer.down = True
        clock.now += DAY - 1
        assert await keys.key("first") == before

    async def test_an_issuer_that_is_down_is_asked_once_per_cooldown(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        await keys.key("first")
        issuer.down = True
        asked = []
        for seconds in (301, 5, 5, 5, 5):
            clock.now += seconds
            await keys.key("first")
            await settled(keys)
            asked.append(issuer.fetches)
        assert asked == [2, 2, 3, 3, 4]

    async def test_after_a_day_the_answer_is_not_now_instead_of_who_are_you(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        await keys.key("first")
        issuer.down = True
        clock.now += DAY
        with pytest.raises(KeysUnavailable):
            await keys.key("first")

    async def test_a_dead_issuer_is_tried_once_a_second_while_there_is_nothing_to_serve(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        issuer.down = True
        for _ in range(3):
            assert await refusals(keys, "first", 100) == {"KeysUnavailable()"}
        assert issuer.fetches == 1
        clock.now += 1
        assert await refusals(keys, "first", 100) == {"KeysUnavailable()"}
        assert issuer.fetches == 2

    async def test_the_service_recovers_with_the_issuer(self, keys: JsonWebKeys, issuer: Issuer, clock: Clock) -> None:
        issuer.down = True
        with pytest.raises(KeysUnavailable):
            await keys.key("first")
        issuer.down = False
        clock.now += 1
        assert (await keys.key("first")).algorithms == {"RS256"}

    async def test_a_key_that_is_new_during_an_outage_is_not_called_unknown(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        await keys.key("first")
        issuer.down = True
        clock.now += 11
        with pytest.raises(KeysUnavailable):
            await keys.key("second")
        assert (await keys.key("first")).algorithms == {"RS256"}

    async def test_a_failed_refresh_keeps_the_keys_that_were_there(
        self, keys: JsonWebKeys, issuer: Issuer, clock: Clock
    ) -> None:
        before = await keys.key("first")
        issuer.published = []
        clock.now += 301
        await keys.key("first")
        await settled(keys)
        assert (await keys.key("first"), keys.generation, issuer.fetches) == (before, 1, 2)


def client(answer: Callable[[httpx2.Request], httpx2.Response]) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer), follow_redirects=True)


class TestReading:
    async def test_a_document_beyond_the_cap_is_not_read_to_its_end(self) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(1000):
                sent += 1
                yield b" " * 65536

        async with client(lambda _: httpx2.Response(200, content=endless())) as http:
            with pytest.raises(KeysUnreadable, match="larger"):
                await HttpKeys(URL, http).read()
        assert sent == 5

    async def test_a_redirect_is_not_followed(self) -> None:
        asked = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            asked.append(str(request.url))
            return httpx2.Response(302, headers={"location": "https://elsewhere.example/jwks"})

        async with client(answer) as http:
            with pytest.raises(KeysUnreadable, match="status 302"):
                await HttpKeys(URL, http).read()
        assert asked == [URL]

    async def test_a_compressed_answer_cannot_grow_in_memory(self) -> None:
        headers = {"content-encoding": "gzip"}
        async with client(lambda _: httpx2.Response(200, stream=Stream(b"\x1f\x8b"), headers=headers)) as http:
            with pytest.raises(KeysUnreadable, match="compressed"):
                await HttpKeys(URL, http).read()

    async def test_an_answer_that_drips_is_given_up(self) -> None:
        async def dripping() -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.005)

        async with client(lambda _: httpx2.Response(200, content=dripping())) as http:
            with pytest.raises(KeysUnreadable, match="TimeoutError"):
                await HttpKeys(URL, http, patience=0.02).read()

    async def test_an_unreachable_issuer_is_unreadable(self) -> None:
        def answer(request: httpx2.Request) -> httpx2.Response:
            raise httpx2.ConnectError("no route", request=request)

        async with client(answer) as http:
            with pytest.raises(KeysUnreadable, match="ConnectError"):
                await HttpKeys(URL, http).read()

    @pytest.mark.parametrize(
        "url",
        [
            "http://issuer.example/jwks",
            "http://localhost.example/jwks",
            "http://127.0.0.1.example/jwks",
            "http://10.0.0.1/jwks",
            "https://user:secret@issuer.example/jwks",
            "ftp://issuer.example/jwks",
            "https:///jwks",
            "issuer.example/jwks",
            "file://server/share/jwks.json",
            "file:jwks.json",
        ],
    )
    async def test_an_address_that_others_could_answer_for_is_refused(self, url: str, issuer: Issuer) -> None:
        with pytest.raises(KeyAddressRefused):
            key_source(url, issuer.client)

    @pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "127.9.9.9:8080", "[::1]:9"])
    async def test_this_machine_may_be_asked_in_clear(self, host: str) -> None:
        async with client(lambda _: httpx2.Response(200, content=b"{}")) as http:
            assert await key_source(f"http://{host}/jwks", http).read() == b"{}"

    async def test_keys_may_come_from_a_file(self, issuer: Issuer, clock: Clock, tmp_path: Path) -> None:
        path = tmp_path / "key set.json"
        path.write_text(json.dumps({"keys": [issuer.jwk("first")]}))
        keys = JsonWebKeys(key_source(path.as_uri(), issuer.client), BOTH, clock=clock)
        await keys.key("first")
        path.write_text(json.dumps({"keys": [issuer.jwk("second")]}))
        clock.now += 11
        await keys.key("second")
        assert issuer.fetches == 0

    async def test_a_file_that_is_missing_or_too_large_is_unreadable(self, tmp_path: Path) -> None:
        with pytest.raises(KeysUnreadable):
            await FileKeys(tmp_path / "nowhere").read()
        (tmp_path / "huge").write_bytes(b" " * (256 * 1024 + 1))
        with pytest.raises(KeysUnreadable):
            await FileKeys(tmp_path / "huge").read()


class Stream(httpx2.AsyncByteStream):
    """Bytes that the client may not decode on its own."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


def document(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> dict[str, object]:
    match key:
        case rsa.RSAPrivateKey():
            return jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case ec.EllipticCurvePrivateKey():
            return jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            return jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)


class TestUsableKeys:
    @pytest.mark.parametrize(
        "content", [b"", b"nonsense", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [1, null]}', b"[" * 100_000, b"\xff"]
    )
    def test_a_document_without_keys_is_unreadable(self, content: bytes) -> None:
        with pytest.raises(KeysUnreadable):
            read_keys(content, BOTH)

    @pytest.mark.parametrize(
        "spoilt",
        [
            {"use": "enc"},
            {"kid": None},
            {"kid": ""},
            {"kid": 7},
            {"alg": "HS256"},
            {"alg": "none"},
            {"alg": "ES256"},
            {"alg": ["RS256"]},
            {"alg": "RS512"},
            {"key_ops": ["sign"]},
            {"key_ops": "verify"},
            {"kty": "oct", "k": "c2VjcmV0"},
            {"kty": ["RSA"]},
            {"d": "AQAB"},
            {"n": "!!"},
            {"n": 5},
            {"e": None},
        ],
        ids=str,
    )
    def test_a_key_that_cannot_verify_is_left_out(self, spoilt: Mapping[str, object], issuer: Issuer) -> None:
        entries = ({**issuer.jwk("first"), **spoilt}, issuer.jwk("second"))
        assert set(read_keys(document(*entries), BOTH)) == {"second"}

    def test_a_short_rsa_key_is_left_out(self, issuer: Issuer) -> None:
        weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the very key that must be refused
        short = {**public(weak), "kid": "short"}
        assert set(read_keys(document(short, issuer.jwk("first")), BOTH)) == {"first"}

    def test_a_private_key_that_was_published_by_mistake_is_left_out(self, issuer: Issuer) -> None:
        rsa_key, ec_key = issuer.keys["second"], ec.generate_private_key(ec.SECP256R1())
        assert isinstance(rsa_key, rsa.RSAPrivateKey)
        exposed = (
            {**jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key, as_dict=True), "kid": "rsa", "key_ops": ["verify"]},
            {**jwt.algorithms.ECAlgorithm.to_jwk(ec_key, as_dict=True), "kid": "ec"},
        )
        assert all("d" in entry for entry in exposed)
        assert set(read_keys(document(*exposed, issuer.jwk("first")), BOTH)) == {"first"}

    def test_a_key_is_pinned_to_what_its_type_allows(self, issuer: Issuer) -> None:
        wide = frozenset({"RS256", "PS256", "ES256", "ES384", "EdDSA"})
        entries = {
            "rsa": public(issuer.keys["first"]),
            "pss": {**public(issuer.keys["first"]), "alg": "PS256"},
            "p256": public(ec.generate_private_key(ec.SECP256R1())),
            "p384": public(ec.generate_private_key(ec.SECP384R1())),
            "ed": public(ed25519.Ed25519PrivateKey.generate()),
        }
        found = read_keys(document(*({**entry, "kid": kid} for kid, entry in entries.items())), wide)
        assert {kid: set(key.algorithms) for kid, key in found.items()} == {
            "rsa": {"RS256", "PS256"},
            "pss": {"PS256"},
            "p256": {"ES256"},
            "p384": {"ES384"},
            "ed": {"EdDSA"},
        }

    def test_the_curve_and_not_the_label_decides(self) -> None:
        mislabelled = {**public(ec.generate_private_key(ec.SECP384R1())), "kid": "k", "alg": "ES256"}
        with pytest.raises(KeysUnreadable):
            read_keys(document(mislabelled), BOTH)

    def test_the_first_of_two_keys_of_one_name_counts(self, issuer: Issuer) -> None:
        both = document(issuer.jwk("first", kid="k"), issuer.jwk("second", kid="k"))
        assert read_keys(both, BOTH) == read_keys(document(issuer.jwk("first", kid="k")), BOTH)

    def test_no_more_than_sixty_four_keys_are_looked_at(self, issuer: Issuer) -> None:
        many = document(*(issuer.jwk("elliptic", kid=f"k{n}") for n in range(70)))
        assert len(read_keys(many, BOTH)) == 64

    @pytest.mark.parametrize(
        "algorithms",
        [frozenset(), frozenset({"HS256"}), frozenset({"RS256", "none"})],
        ids=lambda algorithms: "+".join(sorted(algorithms)) or "none at all",
    )
    async def test_only_asymmetric_algorithms_can_be_configured(
        self, algorithms: frozenset[str], issuer: Issuer
    ) -> None:
        with pytest.raises(ValueError, match="asymmetric"):
            JsonWebKeys(HttpKeys(URL, issuer.client), algorithms)


async def test_an_unknown_key_is_a_refusal_and_not_an_outage(keys: JsonWebKeys) -> None:
    with pytest.raises(AuthError) as caught:
        await keys.key("nobody")
    assert caught.value.refusal is Refusal.KEY_UNKNOWN


async def test_how_long_keys_are_believed_is_adjustable(issuer: Issuer, clock: Clock) -> None:
    brief = JsonWebKeys(HttpKeys(URL, issuer.client), BOTH, Freshness(soft=1, hard=2, cooldown=1), clock)
    await brief.key("first")
    issuer.down = True
    clock.now += 2
    with pytest.raises(KeysUnavailable):
        await brief.key("first")
