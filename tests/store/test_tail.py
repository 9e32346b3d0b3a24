"""The tail misses nothing and reorders nothing, whatever the writers do."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from kyc_service.application.handle import Task, handle
from kyc_service.application.ids import new_id
from kyc_service.application.published import Publication
from kyc_service.domain.application import (
    AmendApplication,
    ApplicationVerified,
    Document,
    RecordAnswer,
    SubmitApplication,
)
from kyc_service.domain.findings import Verdict
from kyc_service.store.applications import Applications
from kyc_service.store.database import Database
from kyc_service.store.tail import Horizon, publications

INSERT = """
    insert into events (tenant, stream, version, id, type, schema, at, data, meta, hash)
    values ('t', %s, %s, gen_random_uuid(), 'ApplicationSubmitted', 1, now(), %s, %s, sha256('x'))
"""
DATA = """{"user_id": "6b1f0c52-4a5e-4f0e-8f0a-2c9d7e1b3a44", "documents": [],
           "terms": {"mode": "live", "uploaded_route": [], "missing_route": [], "max_resubmissions": 0,
                     "resubmission": "PT1H", "completion": "PT1H", "answer": "PT1H"}}"""
META = '{"actor": "a", "causation": "c", "correlation": "c"}'


@pytest.fixture
async def reader(database: Database) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """A connection as the relay has one."""
    async with database.system() as connection:
        yield connection


async def told(reader: AsyncConnection[TupleRow], horizon: Horizon, after: int) -> list[Publication]:
    return list(await publications(reader, after, await horizon.settled(reader), 1000))


async def test_the_tail_tells_an_application_with_its_facts(
    applications: Applications,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
    reader: AsyncConnection[TupleRow],
) -> None:
    stream = new_id()
    document = Document(doc_type="NATIONAL_ID", file_id=uuid4(), issued_country="BE", uploaded=False)
    unfinished = SubmitApplication(
        user_id=submission.user_id, documents=(), terms=submission.terms, person=submission.person
    )
    await handle(applications, task(unfinished, stream), now, fresh=True)
    await handle(applications, task(AmendApplication(documents=(document,)), stream), now)
    clear = RecordAnswer(check="1.1", vendor="simulated", verdict=Verdict.CLEAR, reasons=())
    handled = await handle(applications, task(clear, stream), now)
    assert isinstance(handled.events[-1], ApplicationVerified)

    created, verified = await told(reader, Horizon(), 0)
    assert (created.recorded.version, created.facts.documents) == (1, ())
    assert verified.recorded.event == handled.events[-1]
    assert (verified.facts.tenant, verified.facts.user_id) == ("t", submission.user_id)
    assert verified.facts.documents == (document,)
    assert created.facts.position < verified.facts.position


async def test_nothing_is_told_beyond_an_open_transaction(dsn: str, reader: AsyncConnection[TupleRow]) -> None:
    horizon = Horizon()
    with psycopg.connect(dsn) as early, psycopg.connect(dsn, autocommit=True) as late:
        early.execute(INSERT, (uuid4(), 1, DATA, META))
        late.execute(INSERT, (uuid4(), 1, DATA, META))
        assert await told(reader, horizon, 0) == []
        assert horizon.waiting
        early.commit()
        assert [one.facts.position for one in await told(reader, horizon, 0)] == [1, 2]
        assert not horizon.waiting


async def test_what_was_rolled_back_is_passed_over(dsn: str, reader: AsyncConnection[TupleRow]) -> None:
    horizon = Horizon()
    with psycopg.connect(dsn) as early, psycopg.connect(dsn, autocommit=True) as late:
        early.execute(INSERT, (uuid4(), 1, DATA, META))
        late.execute(INSERT, (uuid4(), 1, DATA, META))
        assert await told(reader, horizon, 0) == []
        early.rollback()
        assert [one.facts.position for one in await told(reader, horizon, 0)] == [2]


async def test_others_who_only_read_or_write_elsewhere_hold_nothing_up(
    dsn: str, reader: AsyncConnection[TupleRow]
) -> None:
    with psycopg.connect(dsn) as other, psycopg.connect(dsn, autocommit=True) as writer:
        other.execute("select pg_current_xact_id()")
        other.execute("select count(*) from events")
        other.execute("update orders set last_error = null")
        writer.execute(INSERT, (uuid4(), 1, DATA, META))
        assert len(await told(reader, Horizon(), 0)) == 1


async def test_a_tenant_is_told_of_its_own_applications_alone(dsn: str, database: Database) -> None:
    with psycopg.connect(dsn, autocommit=True) as writer:
        writer.execute(INSERT, (uuid4(), 1, DATA, META))
    horizon = Horizon()
    async with database.any() as connection:
        settled = await horizon.settled(connection)
    assert settled == 1
    for tenant, expected in (("t", 1), ("other", 0)):
        async with database.of(tenant) as connection:
            assert len(await publications(connection, 0, settled, 10, tenant)) == expected
            assert len(await publications(connection, 0, settled, 10, "t")) == expected  # the second wall


async def test_racing_writers_lose_nothing_and_keep_their_order(dsn: str, reader: AsyncConnection[TupleRow]) -> None:
    streams = [uuid4() for _ in range(6)]
    committed: Counter[UUID] = Counter()
    over = asyncio.Event()

    async def write(number: int) -> None:
        dice = random.Random(number)  # noqa: S311
        async with await AsyncConnection.connect(dsn) as connection:
            await connection.execute("set local lock_timeout = '10s'")
            for _ in range(60):
                if dice.random() < 0.5:
                    await connection.execute("select pg_current_xact_id()")
                    await asyncio.sleep(dice.random() * 0.004)
                stream, count = dice.choice(streams), dice.choice((1, 1, 3))
                # As the append function does: the application is locked before a position is taken.
                await connection.execute("select pg_advisory_xact_lock(hashtext(%s))", (str(stream),))
                cursor = await connection.execute("select count(*) from events where stream = %s", (stream,))
                (version,) = await cursor.fetchone() or (0,)
                for step in range(1, count + 1):
                    await connection.execute(INSERT, (stream, version + step, DATA, META))
                if dice.random() < 0.3:
                    await asyncio.sleep(dice.random() * 0.003)
                if dice.random() < 0.1:
                    await connection.rollback()
                else:
                    await connection.commit()
                    committed[stream] += count

    async def read() -> list[Publication]:
        # Who had waited for a writer is shown the log up to there first: only the look after that one is the last.
        horizon, seen, looks = Horizon(), list[Publication](), 0
        while looks < 2:
            last = over.is_set()
            position = seen[-1].facts.position if seen else 0
            found = await publications(reader, position, await horizon.settled(reader), 7)
            seen += found
            looks = looks + 1 if last and not found and not horizon.waiting else 0
            if not found:
                await asyncio.sleep(0.001)
        return seen

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(number) for number in range(8)))
    over.set()
    seen = await reading
    assert Counter(one.recorded.stream for one in seen) == committed
    for stream in streams:
        versions = [one.recorded.version for one in seen if one.recorded.stream == stream]
        assert versions == list(range(1, committed[stream] + 1))
    positions = [one.facts.position for one in seen]
    assert positions == sorted(positions)
    assert positions[-1] > len(positions), "no transaction was rolled back: the race proved nothing"
