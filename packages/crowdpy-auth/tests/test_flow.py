"""One request after another: the token on it, its renewal, and the one new attempt after a 401."""

import base64
import io
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import httpx
import pytest
from crowdpy_auth import CrowdPayAuth, TokenError

if TYPE_CHECKING:
    from conftest import Company, Credentials


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# ── a given token ─────────────────────────────────────────────────────────────────


def test_a_given_token_is_sent(company: "Company") -> None:
    company.current = "mine"
    with company.client(CrowdPayAuth(token="mine")) as client:
        assert client.get("/").status_code == 200


async def test_a_given_token_is_sent_by_an_asynchronous_client_too(company: "Company") -> None:
    company.current = "mine"
    async with company.async_client(CrowdPayAuth(token="mine")) as client:
        assert (await client.get("/")).status_code == 200


def test_a_given_token_that_is_refused_is_not_sent_again(company: "Company") -> None:
    with company.client(CrowdPayAuth(token="mine")) as client:
        assert client.get("/").status_code == 401
    assert company.bearers == ["mine"]


async def test_nor_is_it_by_an_asynchronous_client(company: "Company") -> None:
    async with company.async_client(CrowdPayAuth(token="mine")) as client:
        assert (await client.get("/")).status_code == 401
    assert company.bearers == ["mine"]


# ── client credentials ────────────────────────────────────────────────────────────


def test_the_client_proves_itself_as_the_standard_says(company: "Company") -> None:
    auth = CrowdPayAuth(
        token_url="https://login.example.com/token",
        client_id="pay ments",
        client_secret="s:e/c%r+t",
        scope="kyc:read kyc:write",
        audience="https://kyc.example.com",
    )
    with company.client(auth) as client:
        assert client.get("/").json() == {"fine": True}
    (seen,) = company.token_requests
    assert seen.method == "POST"
    assert parse_qs(seen.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["kyc:read kyc:write"],
        "audience": ["https://kyc.example.com"],
    }
    scheme, _, pair = (seen.authorization or "").partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"pay+ments:s%3Ae%2Fc%25r%2Bt")


def test_what_is_not_given_is_not_sent(company: "Company", credentials: "Credentials") -> None:
    with company.client(CrowdPayAuth(**credentials)) as client:
        client.get("/")
    assert company.token_requests[0].body == b"grant_type=client_credentials"


def test_the_token_request_is_of_the_library_of_the_client(company: "Company", credentials: "Credentials") -> None:
    with company.client(CrowdPayAuth(**credentials)) as client:
        client.get("/")
    assert company.token_requests[0].kind is company.library.Request


def test_the_timeouts_of_the_client_hold_for_the_token_request(company: "Company", credentials: "Credentials") -> None:
    with company.client(CrowdPayAuth(**credentials), timeout=7.5) as client:
        client.get("/")
    assert company.token_requests[0].timeout == {
        "connect": 7.5,
        "read": 7.5,
        "write": 7.5,
        "pool": 7.5,
    }


def test_one_auth_serves_clients_of_both_libraries(company: "Company", credentials: "Credentials") -> None:
    import httpx2

    auth = CrowdPayAuth(**credentials)
    other = type(company)(httpx2 if company.library is httpx else httpx)
    with company.client(auth) as one, other.client(auth) as another:
        assert one.get("/").status_code == 200
        other.current = company.current
        assert another.get("/").status_code == 200
    assert (company.issued, other.issued) == (1, 0)


def test_a_token_is_used_until_shortly_before_its_end(company: "Company", credentials: "Credentials") -> None:
    clock = Clock()
    with company.client(CrowdPayAuth(**credentials, clock=clock)) as client:
        for clock.now in (1000.0, 4569.9, 4570.0, 4571.0):
            assert client.get("/").status_code == 200
    assert company.bearers == ["token-1", "token-1", "token-2", "token-2"]


def test_the_skew_can_be_chosen(company: "Company", credentials: "Credentials") -> None:
    clock = Clock()
    with company.client(CrowdPayAuth(**credentials, clock=clock, skew=600)) as client:
        for clock.now in (1000.0, 3999.0, 4000.0):
            client.get("/")
    assert company.bearers == ["token-1", "token-1", "token-2"]


def test_a_token_that_lives_shorter_than_the_skew_is_used_for_half_its_life(
    company: "Company", credentials: "Credentials"
) -> None:
    clock = Clock()
    company.expires_in = 20
    with company.client(CrowdPayAuth(**credentials, clock=clock)) as client:
        for clock.now in (1000.0, 1009.0, 1010.0):
            client.get("/")
    assert company.bearers == ["token-1", "token-1", "token-2"]


@pytest.mark.parametrize("unstated", [None, "soon", True, [], "-5"])
def test_a_life_that_is_not_stated_is_five_minutes(
    company: "Company", credentials: "Credentials", unstated: object
) -> None:
    clock = Clock()
    company.expires_in = unstated
    with company.client(CrowdPayAuth(**credentials, clock=clock)) as client:
        for clock.now in (1000.0, 1269.0, 1270.0):
            client.get("/")
    assert company.bearers == ["token-1", "token-1", "token-2"]


def test_a_life_may_be_stated_as_text(company: "Company", credentials: "Credentials") -> None:
    clock = Clock()
    company.expires_in = "3600"
    with company.client(CrowdPayAuth(**credentials, clock=clock)) as client:
        for clock.now in (1000.0, 4569.0, 4570.0):
            client.get("/")
    assert company.bearers == ["token-1", "token-1", "token-2"]


def test_a_token_that_is_dead_on_arrival_is_used_once(company: "Company", credentials: "Credentials") -> None:
    company.expires_in = -1
    with company.client(CrowdPayAuth(**credentials, clock=Clock())) as client:
        assert [client.get("/").status_code, client.get("/").status_code] == [200, 200]
    assert company.bearers == ["token-1", "token-2"]


# ── after a 401 ───────────────────────────────────────────────────────────────────


def test_a_refused_token_is_renewed_and_the_request_repeated(company: "Company", credentials: "Credentials") -> None:
    with company.client(CrowdPayAuth(**credentials)) as client:
        client.get("/")
        company.revoke()
        assert client.post("/", json={"name": "value"}).status_code == 200
    assert company.bearers == ["token-1", "token-1", "token-2"]
    assert [seen.body for seen in company.requests[1:]] == [b'{"name":"value"}'] * 2


async def test_an_asynchronous_client_does_the_same(company: "Company", credentials: "Credentials") -> None:
    async with company.async_client(CrowdPayAuth(**credentials)) as client:
        await client.get("/")
        company.revoke()
        assert (await client.post("/", json={"name": "value"})).status_code == 200
    assert company.bearers == ["token-1", "token-1", "token-2"]
    assert [seen.body for seen in company.requests[1:]] == [b'{"name":"value"}'] * 2


def test_a_request_is_repeated_once_and_no_more(company: "Company") -> None:
    tokens = iter(f"wrong-{number}" for number in range(9))
    with company.client(CrowdPayAuth(provider=lambda: next(tokens))) as client:
        assert client.get("/").status_code == 401
    assert company.bearers == ["wrong-0", "wrong-1"]


async def test_nor_more_often_by_an_asynchronous_client(company: "Company") -> None:
    tokens = iter(f"wrong-{number}" for number in range(9))
    async with company.async_client(CrowdPayAuth(provider=lambda: next(tokens))) as client:
        assert (await client.get("/")).status_code == 401
    assert company.bearers == ["wrong-0", "wrong-1"]


@pytest.mark.parametrize("status", [400, 403, 407, 500])
def test_no_other_refusal_renews_a_token(company: "Company", credentials: "Credentials", status: int) -> None:
    auth = CrowdPayAuth(**credentials)
    with company.client(auth) as client:
        client.get("/")
    with company.client(auth, lambda _: company.respond(status)) as client:
        assert client.get("/").status_code == status
    assert company.issued == 1


def chunks() -> Iterator[bytes]:
    yield b"part"


async def async_chunks() -> AsyncIterator[bytes]:
    yield b"part"


def test_a_streamed_body_is_not_sent_again_but_the_next_request_has_a_new_token(
    company: "Company", credentials: "Credentials"
) -> None:
    with company.client(CrowdPayAuth(**credentials), transport=company.wire()) as client:
        client.get("/")
        company.revoke()
        assert client.post("/", content=chunks()).status_code == 401
        assert client.post("/", content=chunks()).status_code == 200
    assert company.bearers == ["token-1", "token-1", "token-2"]


async def test_nor_is_an_asynchronous_stream(company: "Company", credentials: "Credentials") -> None:
    async with company.async_client(CrowdPayAuth(**credentials), transport=company.wire()) as client:
        await client.get("/")
        company.revoke()
        assert (await client.post("/", content=async_chunks())).status_code == 401
        assert (await client.post("/", content=async_chunks())).status_code == 200
    assert company.bearers == ["token-1", "token-1", "token-2"]


@pytest.mark.parametrize("part", ["content", "files"])
def test_a_file_is_never_sent_a_second_time_from_its_end(
    company: "Company", credentials: "Credentials", part: str
) -> None:
    with company.client(CrowdPayAuth(**credentials), transport=company.wire()) as client:
        client.get("/")
        company.revoke()
        body: dict[str, object] = {part: io.BytesIO(b"scan") if part == "content" else {"scan": io.BytesIO(b"scan")}}
        assert client.request("POST", "/", **body).status_code == 401  # type: ignore[arg-type]  # one of two kinds of body
    assert len(company.requests) == 2


def test_a_streamed_answer_is_not_read_by_the_way(company: "Company") -> None:
    auth = CrowdPayAuth(provider=lambda: "mine")
    client = company.client(auth, lambda _: company.respond(200, content=chunks()))
    with client, client.stream("GET", "/") as response:
        assert not response.is_stream_consumed
        assert response.read() == b"part"


# ── a provider ────────────────────────────────────────────────────────────────────


def test_a_provider_says_how_long_a_token_lives(company: "Company") -> None:
    clock = Clock()
    tokens = iter([("one", 100), ("two", 100)])
    auth = CrowdPayAuth(provider=lambda: next(tokens), clock=clock)
    with company.client(auth) as client:
        for clock.now, company.current in ((1000.0, "one"), (1069.0, "one"), (1070.0, "two")):
            assert client.get("/").status_code == 200
    assert company.bearers == ["one", "one", "two"]


async def test_a_provider_may_be_asynchronous(company: "Company") -> None:
    async def provider() -> tuple[str, float]:
        return "mine", 60.0

    company.current = "mine"
    async with company.async_client(CrowdPayAuth(provider=provider)) as client:
        assert (await client.get("/")).status_code == 200


async def test_an_object_with_an_asynchronous_call_is_a_provider_too(company: "Company") -> None:
    class Provider:
        async def __call__(self) -> str:
            return "mine"

    company.current = "mine"
    async with company.async_client(CrowdPayAuth(provider=Provider())) as client:
        assert (await client.get("/")).status_code == 200


async def test_so_is_a_function_that_hands_out_a_coroutine(company: "Company") -> None:
    async def later() -> str:
        return "mine"

    company.current = "mine"
    async with company.async_client(CrowdPayAuth(provider=lambda: later())) as client:  # noqa: PLW0108  not a coroutine function itself
        assert (await client.get("/")).status_code == 200


async def test_a_blocking_provider_does_not_stop_the_event_loop(company: "Company") -> None:
    import threading

    threads: list[int] = []

    def provider() -> str:
        threads.append(threading.get_ident())
        return "mine"

    async with company.async_client(CrowdPayAuth(provider=provider)) as client:
        await client.get("/")
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("wrapped", [False, True], ids=["coroutine function", "function that returns a coroutine"])
def test_an_asynchronous_provider_cannot_serve_a_synchronous_client(company: "Company", *, wrapped: bool) -> None:
    async def provider() -> str:
        return "mine"

    auth = CrowdPayAuth(provider=(lambda: provider()) if wrapped else provider)  # noqa: PLW0108  not a coroutine function itself
    with company.client(auth) as client, pytest.raises(TokenError, match="needs an asynchronous client"):
        client.get("/")


@pytest.mark.parametrize(
    "answer", [None, "", "two words", "line\nbreak", "ümlaut", 7, b"bytes", ("mine",), ("mine", "soon"), ("mine", None)]
)
def test_a_provider_that_answers_something_else_is_an_error(company: "Company", answer: object) -> None:
    auth = CrowdPayAuth(provider=lambda: answer)  # type: ignore[arg-type,return-value]  # wrong on purpose
    with company.client(auth) as client, pytest.raises(TokenError, match="must return a token"):
        client.get("/")
    assert company.requests == []


@pytest.mark.parametrize("error", [OSError("disk"), StopIteration(), KeyError("token")])
def test_a_provider_that_fails_is_an_error_with_its_cause(company: "Company", error: Exception) -> None:
    def provider() -> str:
        raise error

    with company.client(CrowdPayAuth(provider=provider)) as client, pytest.raises(TokenError) as failure:
        client.get("/")
    assert failure.value.__cause__ is error


@pytest.mark.parametrize("error", [OSError("disk"), StopIteration(), KeyError("token")])
async def test_so_it_is_under_an_asynchronous_client(company: "Company", error: Exception) -> None:
    def provider() -> str:
        raise error

    async with company.async_client(CrowdPayAuth(provider=provider)) as client:
        with pytest.raises(TokenError) as failure:
            await client.get("/")
    assert failure.value.__cause__ is error


async def test_a_failing_asynchronous_provider_is_an_error_with_its_cause(company: "Company") -> None:
    error = OSError("disk")

    async def provider() -> str:
        raise error

    async with company.async_client(CrowdPayAuth(provider=provider)) as client:
        with pytest.raises(TokenError) as failure:
            await client.get("/")
    assert failure.value.__cause__ is error


def test_a_failure_is_not_remembered(company: "Company") -> None:
    answers: Iterator[object] = iter([None, "mine"])
    company.current = "mine"
    auth = CrowdPayAuth(provider=lambda: next(answers))  # type: ignore[arg-type,return-value]  # wrong on purpose
    with company.client(auth) as client:
        with pytest.raises(TokenError):
            client.get("/")
        assert client.get("/").status_code == 200


def test_a_provider_that_needs_its_own_token_is_an_error_and_not_a_deadlock(company: "Company") -> None:
    def provider() -> str:
        return str(client.get("/").json())

    client = company.client(CrowdPayAuth(provider=provider))
    with client, pytest.raises(TokenError, match="uses the client that waits for its token"):
        client.get("/")


async def test_so_is_an_asynchronous_one(company: "Company") -> None:
    async def provider() -> str:
        return str((await client.get("/")).json())

    async with company.async_client(CrowdPayAuth(provider=provider)) as client:
        with pytest.raises(TokenError, match="uses the client that waits for its token"):
            await client.get("/")


# ── without a client ──────────────────────────────────────────────────────────────


def test_the_flow_can_be_driven_by_hand(company: "Company", credentials: "Credentials") -> None:
    auth = CrowdPayAuth(**credentials)
    request = company.library.Request("GET", "https://kyc.example.com/")
    flow = auth.auth_flow(request)
    assert str(next(flow).url) == "https://login.example.com/token"
    signed = flow.send(company.respond(200, json={"access_token": "one"}))
    assert signed.headers["Authorization"] == "Bearer one"
    assert str(flow.send(company.respond(401)).url) == "https://login.example.com/token"
    assert flow.send(company.respond(200, json={"access_token": "two"})).headers["Authorization"] == "Bearer two"
    with pytest.raises(StopIteration):
        flow.send(company.respond(401))


def test_an_asynchronous_flow_needs_no_asyncio(company: "Company") -> None:
    flow = CrowdPayAuth(provider=lambda: "mine").async_auth_flow(
        company.library.Request("GET", "https://kyc.example.com/")
    )
    with pytest.raises(StopIteration) as first:
        flow.__anext__().send(None)
    assert first.value.value.headers["Authorization"] == "Bearer mine"
    with pytest.raises(StopIteration):
        flow.aclose().send(None)
