"""Many who need a token at once: one fetches it, the others wait, and nobody waits in vain.

`patience` is set so long in most tests that they would not end in time if it were what saves them.
"""

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import httpx
import pytest
from crowdpy_auth import CrowdPayAuth, TokenError
from crowdpy_auth.flight import Flight

if TYPE_CHECKING:
    from conftest import Company, Credentials, Request, Response

T = TypeVar("T")

FOREVER = 10_000.0
SOON = 20.0  # seconds after which something that should have ended has not


def in_thread(work: Callable[[], T]) -> "Future[T]":
    """What *work* gives in a thread of its own, which does not hold the interpreter up if it hangs."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001  handed to whoever asks for the result
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def waiting(auth: CrowdPayAuth) -> int:
    """How many wait for the fetch that is under way."""
    return len(auth._flight._wakers) if auth._flight else 0


def until(condition: Callable[[], bool]) -> None:
    """Blocks until *condition* holds."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.001)


async def until_async(condition: Callable[[], bool]) -> None:
    """Lets the event loop run until *condition* holds."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        await asyncio.sleep(0.001)


class Gate:
    """Holds token requests up until it is opened; works from coroutines and threads alike."""

    def __init__(self, company: "Company") -> None:
        self.arrived = 0
        self.opened = threading.Event()
        self._company = company

    async def handle(self, request: "Request") -> "Response":
        """Answers for an asynchronous client."""
        if request.url.path == "/token":
            self.arrived += 1
            await until_async(self.opened.is_set)
        return self._company(request)

    def block(self) -> None:
        """Goes into `Company.before_issuing` for synchronous clients."""
        self.arrived += 1
        assert self.opened.wait(SOON)


@pytest.fixture
def auth(credentials: "Credentials") -> CrowdPayAuth:
    """An auth whose patience saves nobody within the time of a test."""
    return CrowdPayAuth(**credentials, patience=FOREVER)


# ── one fetch for all ─────────────────────────────────────────────────────────────


def test_thirty_threads_share_one_fetch(company: "Company", auth: CrowdPayAuth) -> None:
    gate = Gate(company)
    company.before_issuing = gate.block
    with company.client(auth) as client:
        outcomes = [in_thread(lambda: client.get("/").status_code) for _ in range(30)]
        until(lambda: waiting(auth) == 29)
        gate.opened.set()
        assert {outcome.result(SOON) for outcome in outcomes} == {200}
    assert company.issued == 1


def test_threads_share_one_renewal_after_a_revocation(company: "Company", auth: CrowdPayAuth) -> None:
    gate = Gate(company)
    with company.client(auth) as client:
        client.get("/")
        company.revoke()
        company.before_issuing = gate.block
        outcomes = [in_thread(lambda: client.get("/").status_code) for _ in range(30)]
        until(lambda: waiting(auth) == 29)
        gate.opened.set()
        assert {outcome.result(SOON) for outcome in outcomes} == {200}
    assert company.issued == 2


async def test_a_hundred_coroutines_share_one_fetch_and_one_renewal(company: "Company", auth: CrowdPayAuth) -> None:
    for round_ in (1, 2):
        gate = Gate(company)
        async with company.async_client(auth, gate.handle) as client:
            tasks = [asyncio.create_task(client.get("/")) for _ in range(100)]
            await until_async(lambda: waiting(auth) == 99)
            gate.opened.set()
            assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}
        assert company.issued == round_
        company.revoke()


def test_event_loops_and_plain_threads_share_one_fetch(company: "Company", auth: CrowdPayAuth) -> None:
    gate = Gate(company)
    company.before_issuing = gate.block

    async def many() -> set[int]:
        async with company.async_client(auth) as client:
            return {answer.status_code for answer in await asyncio.gather(*(client.get("/") for _ in range(25)))}

    with company.client(auth) as client:
        # The leader is a plain thread here; the next test has it in an event loop.
        outcomes = [in_thread(lambda: {client.get("/").status_code})]
        until(lambda: gate.arrived == 1)
        outcomes += [in_thread(lambda: asyncio.run(many())) for _ in range(3)]
        outcomes += [in_thread(lambda: {client.get("/").status_code}) for _ in range(5)]
        until(lambda: waiting(auth) == 3 * 25 + 5)
        gate.opened.set()
        assert [outcome.result(SOON) for outcome in outcomes] == [{200}] * 9
    assert company.issued == 1


async def test_a_thread_waits_for_a_coroutine(company: "Company", auth: CrowdPayAuth) -> None:
    gate = Gate(company)
    with company.client(auth) as client:
        async with company.async_client(auth, gate.handle) as async_client:
            leader = asyncio.create_task(async_client.get("/"))
            await until_async(lambda: gate.arrived == 1)
            follower = in_thread(lambda: client.get("/").status_code)
            await until_async(lambda: waiting(auth) == 1)
            gate.opened.set()
            assert ((await leader).status_code, await asyncio.wrap_future(follower)) == (200, 200)
    assert company.issued == 1


async def test_a_provider_is_asked_once(company: "Company") -> None:
    asked = 0

    async def provider() -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return "mine"

    company.current = "mine"
    async with company.async_client(CrowdPayAuth(provider=provider, patience=FOREVER)) as client:
        answers = await asyncio.gather(*(client.get("/") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert asked == 1


async def test_even_a_token_that_is_dead_on_arrival_serves_all_who_waited_for_it(
    company: "Company", auth: CrowdPayAuth
) -> None:
    gate = Gate(company)
    company.expires_in = 0
    async with company.async_client(auth, gate.handle) as client:
        tasks = [asyncio.create_task(client.get("/")) for _ in range(20)]
        await until_async(lambda: waiting(auth) == 19)
        gate.opened.set()
        assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}
    assert company.issued == 1


# ── when the one who fetches does not come back ───────────────────────────────────


async def test_when_the_leader_is_cancelled_the_next_one_fetches(company: "Company", auth: CrowdPayAuth) -> None:
    gate = Gate(company)
    async with company.async_client(auth, gate.handle) as client:
        leader = asyncio.create_task(client.get("/"))
        await until_async(lambda: gate.arrived == 1)
        followers = [asyncio.create_task(client.get("/")) for _ in range(5)]
        await until_async(lambda: waiting(auth) == 5)
        leader.cancel()
        await until_async(lambda: gate.arrived == 2 and waiting(auth) == 4)
        gate.opened.set()
        assert {answer.status_code for answer in await asyncio.gather(*followers)} == {200}
        assert leader.cancelled()
    assert company.issued == 1


async def test_any_number_of_leaders_may_be_cancelled(company: "Company", auth: CrowdPayAuth) -> None:
    gate = Gate(company)
    async with company.async_client(auth, gate.handle) as client:
        tasks = [asyncio.create_task(client.get("/")) for _ in range(6)]
        for number, task in enumerate(tasks[:-1], start=1):
            await until_async(lambda number=number: gate.arrived == number and waiting(auth) == 6 - number)  # type: ignore[misc]
            task.cancel()
        gate.opened.set()
        assert (await tasks[-1]).status_code == 200


async def test_a_cancelled_follower_disturbs_nobody(company: "Company", auth: CrowdPayAuth) -> None:
    gate = Gate(company)
    disturbances: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: disturbances.append(context))
    async with company.async_client(auth, gate.handle) as client:
        tasks = [asyncio.create_task(client.get("/")) for _ in range(3)]
        await until_async(lambda: waiting(auth) == 2)
        tasks[1].cancel()
        await until_async(tasks[1].done)
        gate.opened.set()
        assert [(await tasks[0]).status_code, (await tasks[2]).status_code] == [200, 200]
    assert company.issued == 1
    assert disturbances == []


async def test_a_leader_that_is_cancelled_inside_its_provider_leaves_nothing_behind(company: "Company") -> None:
    hanging = True
    asked = 0

    async def provider() -> str:
        nonlocal asked
        asked += 1
        if hanging:
            await asyncio.Event().wait()
        return "mine"

    company.current = "mine"
    async with company.async_client(CrowdPayAuth(provider=provider, patience=FOREVER)) as client:
        leader = asyncio.create_task(client.get("/"))
        await until_async(lambda: asked == 1)
        follower = asyncio.create_task(client.get("/"))
        hanging = False
        leader.cancel()
        assert (await follower).status_code == 200
        assert (await client.get("/")).status_code == 200


async def test_a_request_that_runs_out_of_time_leaves_nothing_behind(company: "Company", auth: CrowdPayAuth) -> None:
    gate = Gate(company)
    async with company.async_client(auth, gate.handle) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await client.get("/")
        gate.opened.set()
        assert (await client.get("/")).status_code == 200


def test_when_the_network_fails_the_leader_the_next_one_fetches(company: "Company", auth: CrowdPayAuth) -> None:
    gate = Gate(company)

    def fail_first() -> None:
        first = gate.arrived == 0
        gate.block()
        if first:
            raise company.library.ConnectError("unreachable")

    company.before_issuing = fail_first
    with company.client(auth) as client:
        leader = in_thread(lambda: client.get("/").status_code)
        until(lambda: gate.arrived == 1)
        followers = [in_thread(lambda: client.get("/").status_code) for _ in range(5)]
        until(lambda: waiting(auth) == 5)
        gate.opened.set()
        assert {follower.result(SOON) for follower in followers} == {200}
        with pytest.raises(company.library.ConnectError):
            leader.result(SOON)
    assert company.issued == 1


async def test_when_the_endpoint_refuses_the_leader_the_next_one_fetches(
    company: "Company", auth: CrowdPayAuth
) -> None:
    gate = Gate(company)

    async def handle(request: "Request") -> "Response":
        if request.url.path == "/token" and gate.arrived == 0:
            await gate.handle(request)
            return company.respond(503)
        return await gate.handle(request)

    async with company.async_client(auth, handle) as client:
        tasks = [asyncio.create_task(client.get("/")) for _ in range(10)]
        await until_async(lambda: waiting(auth) == 9)
        gate.opened.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(outcome, "status_code", outcome) for outcome in outcomes[1:]] == [200] * 9
    assert isinstance(outcomes[0], TokenError)
    assert gate.arrived == 2


async def test_a_hundred_requests_do_not_knock_a_hundred_times_at_an_endpoint_that_refuses(
    company: "Company", auth: CrowdPayAuth
) -> None:
    gate = Gate(company)
    company.token_answer = lambda: company.respond(400, json={"error": "invalid_client"})
    async with company.async_client(auth, gate.handle) as client:
        tasks = [asyncio.create_task(client.get("/")) for _ in range(100)]
        await until_async(lambda: waiting(auth) == 99)
        gate.opened.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {(type(outcome), str(outcome)) for outcome in outcomes} == {
        (TokenError, "the token endpoint answered 400 (invalid_client)")
    }
    assert {(outcome.status, outcome.code) for outcome in outcomes if isinstance(outcome, TokenError)} == {
        (400, "invalid_client")
    }
    assert gate.arrived == 2


def request_for(company: "Company") -> httpx.Request:
    """A request of the library under test; to a type checker both are alike."""
    request: httpx.Request = company.library.Request("GET", "https://kyc.example.com/")
    return request


def test_a_flow_that_is_closed_lets_the_next_one_fetch(company: "Company", auth: CrowdPayAuth) -> None:
    flow = auth.sync_auth_flow(request_for(company))
    assert next(flow).url.path == "/token"
    with company.client(auth) as client:
        follower = in_thread(lambda: client.get("/").status_code)
        until(lambda: waiting(auth) == 1)
        flow.close()
        assert follower.result(SOON) == 200


def test_a_flow_that_is_dropped_lets_the_next_one_fetch(company: "Company", auth: CrowdPayAuth) -> None:
    flow = auth.sync_auth_flow(request_for(company))
    assert next(flow).url.path == "/token"
    with company.client(auth) as client:
        follower = in_thread(lambda: client.get("/").status_code)
        until(lambda: waiting(auth) == 1)
        del flow
        gc.collect()
        assert follower.result(SOON) == 200


def test_a_flow_in_a_cycle_of_garbage_lets_the_next_one_fetch(company: "Company", auth: CrowdPayAuth) -> None:
    cycle: dict[str, object] = {}
    flow = auth.sync_auth_flow(request_for(company))
    next(flow)
    cycle["self"], cycle["flow"] = cycle, flow
    with company.client(auth) as client:
        follower = in_thread(lambda: client.get("/").status_code)
        until(lambda: waiting(auth) == 1)
        del cycle, flow
        gc.collect()
        assert follower.result(SOON) == 200


def test_an_asynchronous_flow_whose_event_loop_is_gone_lets_the_next_one_fetch(
    company: "Company", auth: CrowdPayAuth
) -> None:
    loop = asyncio.new_event_loop()
    flow = auth.async_auth_flow(request_for(company))
    assert loop.run_until_complete(flow.__anext__()).url.path == "/token"
    loop.close()
    with company.client(auth) as client:
        follower = in_thread(lambda: client.get("/").status_code)
        until(lambda: waiting(auth) == 1)
        del flow
        gc.collect()
        assert follower.result(SOON) == 200


def test_the_garbage_collector_may_drop_a_flow_inside_the_critical_section(
    company: "Company", auth: CrowdPayAuth
) -> None:
    flow = auth.sync_auth_flow(request_for(company))
    next(flow)
    with auth._mutex:  # as if the collector ran while this thread is in there
        flow.close()
    with company.client(auth) as client:
        assert in_thread(lambda: client.get("/").status_code).result(SOON) == 200


# ── when waiting would be in vain ─────────────────────────────────────────────────


async def test_a_blocking_request_in_the_leaders_own_event_loop_does_not_wait_for_it(
    company: "Company", auth: CrowdPayAuth
) -> None:
    gate = Gate(company)
    async with company.async_client(auth, gate.handle) as async_client:
        leader = asyncio.create_task(async_client.get("/"))
        await until_async(lambda: gate.arrived == 1)
        with company.client(auth) as client:
            assert client.get("/").status_code == 200
        gate.opened.set()
        assert (await leader).status_code == 200


def test_a_coroutine_does_not_wait_for_an_event_loop_of_its_thread_that_stands_still(
    company: "Company", auth: CrowdPayAuth
) -> None:
    standing, running = asyncio.new_event_loop(), asyncio.new_event_loop()
    flow = auth.async_auth_flow(request_for(company))
    standing.run_until_complete(flow.__anext__())

    async def ask() -> int:
        async with company.async_client(auth) as client:
            return (await client.get("/")).status_code

    assert running.run_until_complete(asyncio.wait_for(ask(), SOON)) == 200
    standing.run_until_complete(flow.aclose())
    for loop in (standing, running):
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_a_fetch_that_takes_too_long_holds_nobody_up(company: "Company", credentials: "Credentials") -> None:
    auth = CrowdPayAuth(**credentials, patience=0.05)
    flow = auth.sync_auth_flow(request_for(company))
    next(flow)  # and never again: like an event loop in another thread that was stopped
    with company.client(auth) as client:
        assert in_thread(lambda: client.get("/").status_code).result(SOON) == 200
        assert in_thread(lambda: asyncio.run(ask(company, auth))).result(SOON) == 200
    assert company.issued == 1
    flow.close()
    assert auth._token is not None


async def ask(company: "Company", auth: CrowdPayAuth) -> int:
    """The answer to one asynchronous request."""
    async with company.async_client(auth) as client:
        return (await client.get("/")).status_code


def test_a_coroutine_is_not_held_up_either(company: "Company", credentials: "Credentials") -> None:
    auth = CrowdPayAuth(**credentials, patience=0.05)
    flow = auth.sync_auth_flow(request_for(company))
    next(flow)
    assert in_thread(lambda: asyncio.run(ask(company, auth))).result(SOON) == 200
    flow.close()


def test_who_waited_for_one_stuck_fetch_after_another_gives_up(company: "Company", credentials: "Credentials") -> None:
    auth = CrowdPayAuth(**credentials, patience=0.2)
    gate = Gate(company)
    company.before_issuing = gate.block
    with company.client(auth) as client:
        outcomes = [in_thread(lambda: client.get("/").status_code) for _ in range(8)]
        failures: list[Future[int]] = []
        while not failures:  # whoever leads hangs; the others take turns, and give up in the end
            failures = [outcome for outcome in outcomes if outcome.done()]
            time.sleep(0.001)
        gate.opened.set()
        with pytest.raises(TokenError, match="in time"):
            failures[0].result(SOON)
        others = [outcome.exception(SOON) or outcome.result() for outcome in outcomes]
        assert all(other == 200 or isinstance(other, TokenError) for other in others)
        assert client.get("/").status_code == 200


async def test_nobody_waits_for_a_fetch_that_has_just_ended() -> None:
    flight = Flight(None)
    flight.land()
    in_thread(lambda: flight.wait(FOREVER)).result(SOON)
    await asyncio.wait_for(flight.wait_async(FOREVER), SOON)


# ── everything at once ────────────────────────────────────────────────────────────


def test_a_storm_of_cancellations_failures_and_revocations_ends(company: "Company", auth: CrowdPayAuth) -> None:
    turns = iter(range(10**9))

    async def flaky(request: "Request") -> "Response":
        turn = next(turns)
        await asyncio.sleep(0)
        if request.url.path == "/token":
            await asyncio.sleep(0.001 * (turn % 3))
            if turn % 5 == 0:
                raise company.library.ConnectError("unreachable")
            if turn % 7 == 0:
                return company.respond(503)
        elif turn % 400 == 0:
            company.revoke()
        return company(request)

    async def storm() -> list[object]:
        async with company.async_client(auth, flaky) as client:
            tasks = [asyncio.create_task(client.get("/")) for _ in range(150)]
            for number, task in enumerate(tasks):
                if number % 4 == 0:
                    await asyncio.sleep(0)
                    task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    with ThreadPoolExecutor(4) as pool:
        storms = [pool.submit(lambda: asyncio.run(storm())) for _ in range(4)]
        outcomes = [outcome for future in storms for outcome in future.result(60)]
    known = (asyncio.CancelledError, TokenError, company.library.ConnectError)
    odd = [outcome for outcome in outcomes if isinstance(outcome, BaseException) and not isinstance(outcome, known)]
    assert odd == []
    assert any(getattr(outcome, "status_code", None) == 200 for outcome in outcomes)
    assert auth._flight is None
    with company.client(auth) as client:
        assert client.get("/").status_code == 200
