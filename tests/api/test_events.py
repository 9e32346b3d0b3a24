"""The feed tells one tenant everything, once and in order, whatever the writers do and whoever starts anew."""

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
import uvicorn
from cloudevents.core.v1.event import CloudEvent
from crowdpay_contracts import KycEvent, parse_event
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.access.tokens import expires_at
from kyc_service.api import events
from kyc_service.api.main import create_app
from kyc_service.bootstrap import App, build
from kyc_service.settings import Settings
from kyc_service.vendors.simulated import Magic, magic_file_id

Bearer: TypeAlias = Callable[..., dict[str, str]]
Form: TypeAlias = Callable[..., dict[str, Any]]
FEED = "/v1/kyc/events"
STREAMING = {"Accept": "text/event-stream"}
INSERT = """
    insert into events (tenant, stream, version, id, type, schema, at, data, meta, hash)
    values (%s, %s, 1, %s, 'ApplicationSubmitted', 1, now(), %s, %s, sha256('x'))
"""
DATA = """{"user_id": "6b1f0c52-4a5e-4f0e-8f0a-2c9d7e1b3a44", "documents": [],
           "terms": {"mode": "live", "uploaded_route": [], "missing_route": [], "max_resubmissions": 0,
                     "resubmission": "PT1H", "completion": "PT1H", "answer": "PT1H"}}"""
META = '{"actor": "a", "causation": "c", "correlation": "c"}'


def submitted(form: Form, magic: Magic) -> dict[str, Any]:
    document = {"doc_type": "PASSPORT", "file_id": str(magic_file_id(magic)), "issued_country": "NL"}
    return form(documents=[document])


def batch(answer: Any) -> list[KycEvent]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/cloudevents-batch+json"
    return [parse_event(event) for event in answer.json()]


def following(answer: Any) -> str:
    return str(answer.links["next"]["url"])


# ── batches ───────────────────────────────────────────────────────────────────────


def test_the_feed_tells_what_became_of_every_application(working: TestClient, form: Form) -> None:
    ends = {Magic.VERIFIED: "KYC_VERIFIED", Magic.EXPIRED: "KYC_REJECTED", Magic.EVERY_VENDOR_DOWN: "KYC_ROLLBACK"}
    wanted = {}
    for magic, end in ends.items():
        answer = working.post("/v1/kyc/applications", json=submitted(form, magic), headers={"Prefer": "wait=20"})
        wanted[UUID(answer.json()["id"])] = ["KYC_CREATED", end]
    told: dict[UUID, list[str]] = {}
    for event in batch(working.get(FEED)):
        told.setdefault(event.subject, []).append(event.type)
        assert (event.source, event.tenantid) == ("/kyc", "sandbox")
    assert told == wanted


def test_the_official_reader_of_cloudevents_reads_the_batch(api: TestClient, form: Form) -> None:
    api.post("/v1/kyc/applications", json=form())
    (shown,) = api.get(FEED).json()
    data = shown.pop("data")
    shown["time"] = parse_event({**shown, "data": data}).time
    assert CloudEvent(attributes=shown, data=data).get_type() == "KYC_CREATED"


def test_whoever_follows_the_link_gets_everything_once(api: TestClient, form: Form) -> None:
    submitted = [UUID(api.post("/v1/kyc/applications", json=form()).json()["id"]) for _ in range(7)]
    told, where = [], f"{FEED}?limit=3"
    for size in (3, 3, 1, 0, 0):
        answer = api.get(where)
        events = batch(answer)
        assert len(events) == size
        told += [event.subject for event in events]
        where = following(answer)
    assert told == submitted
    late = UUID(api.post("/v1/kyc/applications", json=form()).json()["id"])
    assert [event.subject for event in batch(api.get(where))] == [late]


def test_only_the_types_that_are_wanted_are_told(working: TestClient, form: Form) -> None:
    for magic in (Magic.VERIFIED, Magic.EXPIRED):
        working.post("/v1/kyc/applications", json=submitted(form, magic), headers={"Prefer": "wait=20"})
    types = [event.type for event in batch(working.get(f"{FEED}?type=KYC_VERIFIED&type=KYC_REJECTED"))]
    assert types == ["KYC_VERIFIED", "KYC_REJECTED"]
    answer = working.get(f"{FEED}?type=KYC_REJECTED&limit=1")
    assert [event.type for event in batch(answer)] == ["KYC_REJECTED"]
    assert batch(working.get(following(answer))) == []


def test_who_starts_at_the_end_is_told_only_what_comes(api: TestClient, form: Form) -> None:
    api.post("/v1/kyc/applications", json=form())
    answer = api.get(f"{FEED}?after=end")
    assert batch(answer) == []
    late = UUID(api.post("/v1/kyc/applications", json=form()).json()["id"])
    assert [event.subject for event in batch(api.get(following(answer)))] == [late]


def test_the_events_of_another_tenant_do_not_exist(api: TestClient, bearer: Bearer, form: Form) -> None:
    api.post("/v1/kyc/applications", json=form())
    answer = api.get(FEED)
    other = bearer(tenant="acme")
    assert batch(api.get(FEED, headers=other)) == []
    stolen = api.get(following(answer), headers=other)
    assert (stolen.status_code, stolen.json()["code"]) == (400, "cursor_invalid")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("after=none", "cursor_invalid"),
        ("limit=0", "validation_failed"),
        ("limit=501", "validation_failed"),
        ("type=KYC_ARCHIVED", "validation_failed"),
        ("cursor=x", "validation_failed"),
    ],
)
def test_a_wrong_question_is_told_so(api: TestClient, query: str, code: str) -> None:
    assert api.get(f"{FEED}?{query}").json()["code"] == code


def test_a_cursor_of_a_list_is_none_of_the_feed(api: TestClient, form: Form) -> None:
    for _ in range(2):
        api.post("/v1/kyc/applications", json=form())
    cursor = api.get("/v1/kyc/applications?limit=1").json()["next_cursor"]
    assert api.get(f"{FEED}?after={cursor}").json()["code"] == "cursor_invalid"
    place = httpx2.URL(following(api.get(FEED))).params["after"]
    assert api.get(f"/v1/kyc/applications?cursor={place}").json()["code"] == "cursor_invalid"


def test_another_type_of_answer_is_not_offered(api: TestClient) -> None:
    answer = api.get(FEED, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


# ── what waits ────────────────────────────────────────────────────────────────────


@pytest.fixture
async def app(quiet: Settings) -> AsyncIterator[App]:
    async with build(quiet.model_copy(update={"feed_listeners": 2})) as app:
        yield app


@pytest.fixture
async def client(app: App, quiet: Settings, bearer: Bearer) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a real server, because the test client waits for the end of every answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(quiet, build=lambda _: nullcontext(app)), log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([listener]))  # `serve` would take the signals of the test run
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=url, headers=bearer(), timeout=30) as client:
            async with asyncio.timeout(20):
                while not server.started:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield client
        app.feed.close()
        server.should_exit = True
        await serving


class Listening:
    """The server-sent events of one connection, as a browser would keep them."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = answer.aiter_lines()
        self.last_id = ""

    async def next(self) -> tuple[str, KycEvent] | None:
        """The next event with its type; None when the stream is over."""
        kind, data = "", ""
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "event":
                kind = value
            elif name == "data":
                data = value
            elif not line and data:
                return kind, parse_event(json.loads(data))
        return None


@asynccontextmanager
async def listening(client: httpx2.AsyncClient, query: str = "", **headers: str) -> AsyncIterator[Listening]:
    async with client.stream("GET", f"{FEED}{query}", headers={**STREAMING, **headers}) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Listening(answer)


async def submit(client: httpx2.AsyncClient, form: Form) -> UUID:
    return UUID((await client.post("/v1/kyc/applications", json=form())).json()["id"])


async def test_a_batch_waits_for_something_to_tell(client: httpx2.AsyncClient, form: Form) -> None:
    end = following(await client.get(FEED))
    waiting = asyncio.create_task(client.get(end, headers={"Prefer": "wait=20"}))
    await asyncio.sleep(0.3)
    application = await submit(client, form)
    answer = await waiting
    assert [event.subject for event in batch(answer)] == [application]
    assert answer.headers["preference-applied"] == "wait=20"
    assert batch(await client.get(following(answer), headers={"Prefer": "wait=1"})) == []


async def test_a_stream_tells_what_was_and_what_comes(client: httpx2.AsyncClient, form: Form) -> None:
    before = await submit(client, form)
    async with listening(client) as stream:
        assert await stream.next() == ("KYC_CREATED", batch(await client.get(FEED))[0])
        after = await submit(client, form)
        told = await stream.next()
    assert told
    assert [event.subject for event in batch(await client.get(FEED))] == [before, after]
    assert told[1].subject == after


async def test_a_stream_goes_on_where_it_was_cut(client: httpx2.AsyncClient, form: Form) -> None:
    applications = [await submit(client, form) for _ in range(3)]
    async with listening(client) as stream:
        first = await stream.next()
        last = stream.last_id
    async with listening(client, "?after=end", **{"Last-Event-ID": last}) as stream:
        rest = [await stream.next(), await stream.next()]
    assert [told[1].subject for told in [first, *rest] if told] == applications


async def test_a_silent_stream_knows_its_place_from_the_beginning(client: httpx2.AsyncClient, form: Form) -> None:
    await submit(client, form)
    async with client.stream("GET", f"{FEED}?after=end", headers=STREAMING) as answer:
        lines = answer.aiter_lines()
        head = [await anext(lines) for _ in range(3)]
    assert head[:2] == ["retry: 2000", ": alive"]
    late = await submit(client, form)
    async with listening(client, **{"Last-Event-ID": head[2].removeprefix("id: ")}) as stream:
        told = await stream.next()
    assert told
    assert told[1].subject == late


async def test_a_stream_says_that_it_is_alive(client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.2)
    async with client.stream("GET", FEED, headers=STREAMING) as answer:
        beats = 0
        async for line in answer.aiter_lines():
            beats += line == ": alive"
            if beats == 3:
                break


async def test_a_stream_ends_with_its_token(client: httpx2.AsyncClient, settings: Settings, form: Form) -> None:
    issuer = DevelopmentIssuer(settings)
    token = issuer.issue("sandbox", ("subscriber",), "u-1", "shop", timedelta(seconds=2))
    async with asyncio.timeout(10), listening(client, Authorization=f"Bearer {token}") as stream:
        assert await stream.next() is None
    late = issuer.issue("sandbox", ("subscriber",), "u-1", "shop", timedelta(seconds=-5))  # within the leeway
    async with asyncio.timeout(10), listening(client, Authorization=f"Bearer {late}") as stream:
        assert await stream.next() is None


async def test_who_asks_for_the_head_of_a_stream_listens_to_nothing(app: App, client: httpx2.AsyncClient) -> None:
    for _ in range(3):
        answer = await client.head(FEED, headers=STREAMING)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert (await client.get("/healthz")).status_code == 200  # the connection is free again
    assert not app.feed._listening


async def test_whoever_does_not_read_keeps_no_place_for_ever(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "OVERTIME", 0.2)

    async def content() -> AsyncIterator[bytes]:
        yield b": alive\n\n"

    async def never(*_: object) -> Any:
        await asyncio.Event().wait()

    stream = events.EventStream(content(), app.feed, 0.0)
    async with asyncio.timeout(10):
        with pytest.raises(ClientDisconnect):
            await stream({"type": "http"}, never, never)
    assert not app.feed._listening


async def test_only_so_many_listen_at_a_time(app: App, client: httpx2.AsyncClient) -> None:
    async with listening(client), listening(client):
        answer = await client.get(FEED, headers=STREAMING)
        assert (answer.status_code, answer.json()["code"]) == (503, "feed_full")
        assert answer.headers["retry-after"] == "5"
        assert batch(await client.get(FEED)) == []
    async with asyncio.timeout(10):
        while app.feed.full:  # noqa: ASYNC110 - the server notices at its next beat
            await asyncio.sleep(0.05)
    async with listening(client):
        pass


async def test_a_server_that_stops_lets_its_listeners_go(app: App, client: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(10), listening(client) as stream:
        app.feed.close()
        assert await stream.next() is None
    assert (await client.get(FEED, headers=STREAMING)).status_code == 503


def test_when_a_token_ends_is_read_from_it(settings: Settings) -> None:
    token = DevelopmentIssuer(settings).issue("sandbox", ("reader",), "u-1", "shop", timedelta(hours=1))
    assert abs(expires_at(token) - 3600 - time.time()) < 60


# ── the writers ───────────────────────────────────────────────────────────────────

WRITERS, EACH, TENANTS = 8, 12, ("acme", "sandbox")


async def write(number: int, dsn: str, committed: dict[str, set[UUID]]) -> None:
    """Transactions that dawdle between their position and their commit, and sometimes give up."""
    dice = random.Random(number)  # noqa: S311
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        for _ in range(EACH):
            mine: list[tuple[str, UUID]] = []
            for _ in range(dice.randint(1, 3)):
                tenant, event = dice.choice(TENANTS), uuid4()
                await connection.execute(INSERT, (tenant, uuid4(), event, DATA, META))
                mine.append((tenant, event))
                await asyncio.sleep(dice.uniform(0, 0.02))
            if dice.random() < 0.2:
                await connection.rollback()
                continue
            await connection.commit()
            for tenant, event in mine:
                committed[tenant].add(event)


async def test_late_commits_never_make_the_feed_skip(
    app: App, client: httpx2.AsyncClient, bearer: Bearer, dsn: str
) -> None:
    committed: dict[str, set[UUID]] = {tenant: set() for tenant in TENANTS}
    over = asyncio.Event()

    async def follow(tenant: str) -> list[KycEvent]:
        """In batches, from one link to the next."""
        told: list[KycEvent] = []
        where = f"{FEED}?limit=7"
        while True:
            last = over.is_set()
            answer = await client.get(where, headers={**bearer(tenant=tenant), "Prefer": "wait=1"})
            told += batch(answer)
            where = following(answer)
            if last and not answer.json():
                return told

    async def listen(tenant: str) -> list[KycEvent]:
        """As a stream that is cut again and again."""
        told: list[KycEvent] = []
        dice = random.Random(tenant)  # noqa: S311
        given = dict(bearer(tenant=tenant))
        while not (over.is_set() and len(told) >= len(committed[tenant])):
            async with listening(client, **given) as stream:
                for _ in range(dice.randint(1, 9)):
                    try:
                        async with asyncio.timeout(2):
                            event = await stream.next()
                    except TimeoutError:
                        break
                    if event:
                        told.append(event[1])
                given["Last-Event-ID"] = stream.last_id
        return told

    app.feed._limit = 100  # a connection that was cut keeps its place until the server notices
    reading = [asyncio.create_task(one) for tenant in TENANTS for one in (follow(tenant), listen(tenant))]
    await asyncio.gather(*(write(number, dsn, committed) for number in range(WRITERS)))
    over.set()
    async with asyncio.timeout(60):
        results = await asyncio.gather(*reading)
    for tenant, (followed, listened) in zip(TENANTS, (results[:2], results[2:]), strict=True):
        assert {UUID(event.id) for event in followed} == committed[tenant]
        assert [event.id for event in followed] == [event.id for event in listened]
        assert all(one.sequence < other.sequence for one, other in pairwise(followed))
        assert {event.tenantid for event in followed} == {tenant}
