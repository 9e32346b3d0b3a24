"""An audit recomputes the whole log outside the database, so that no change of the past stays unnoticed."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from kyc_service.application.handle import Task, handle
from kyc_service.application.ids import new_id
from kyc_service.domain.application import RecordAnswer, Sealed, SubmitApplication
from kyc_service.domain.findings import Verdict
from kyc_service.store.applications import Applications
from kyc_service.store.audit import END, Audit, Break, verify
from kyc_service.store.database import Database

Tamper = Callable[[str], None]
EVENTS = 4  # of one verified application


@pytest.fixture
async def stream(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> UUID:
    """A verified application with sealed findings and a name in another script."""
    stream = new_id()
    await handle(applications, task(submission, stream, tenant="größe-漢"), now)
    answer = RecordAnswer(
        check="1.1",
        vendor="simulated",
        verdict=Verdict.CLEAR,
        reasons=(),
        reference="naïve – \\u0001 ✓",
        findings=Sealed(entry=new_id(), box=b"\x00\xff"),
    )
    await handle(applications, task(answer, stream, tenant="größe-漢"), now)
    return stream


@pytest.fixture
def tamper(dsn: str) -> Tamper:
    """Changes the log as only a superuser can: with its triggers put aside."""

    def tamper(statement: str) -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute("alter table events disable trigger user")
            cursor = connection.execute(statement)
            assert cursor.rowcount > 0
            connection.execute("alter table events enable trigger user")

    return tamper


async def test_an_untouched_log_is_whole(stream: UUID, database: Database) -> None:
    assert await verify(database) == Audit(streams=1, events=EVENTS, breaks=())


async def test_an_empty_log_is_whole(database: Database) -> None:
    assert await verify(database) == Audit(streams=0, events=0, breaks=())


CHANGES = {
    "a fact": "update events set data = data || '{\"verdict\": \"reject\"}' where type = 'CheckAnswered'",
    "the time": "update events set at = at + interval '1 microsecond' where type = 'CheckAnswered'",
    "the name": "update events set type = 'CheckStarted' where type = 'CheckAnswered'",
    "the schema": "update events set schema = 2 where type = 'CheckAnswered'",
    "who did it": "update events set meta = meta || '{\"actor\": \"nobody\"}' where type = 'CheckAnswered'",
    "the personal data": "update events set sealed = '\\x01' where type = 'CheckAnswered'",
    "whether there is personal data": "update events set sealed = null where type = 'CheckAnswered'",
    "the id": f"update events set id = '{uuid4()}' where type = 'CheckAnswered'",
    "the hash": "update events set hash = sha256('x') where type = 'CheckAnswered'",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
async def test_a_changed_event_is_found(statement: str, stream: UUID, database: Database, tamper: Tamper) -> None:
    tamper(statement)
    found = await verify(database)
    assert found.breaks[0] == Break(stream=stream, version=3, what="the event is not what was written")


async def test_an_event_with_a_new_hash_of_its_own_breaks_the_next_one(
    stream: UUID, database: Database, tamper: Tamper
) -> None:
    tamper('update events set data = data || \'{"verdict": "reject"}\' where version = 3')
    tamper("""
        update events e set hash = event_hash(
          (select hash from events where stream = e.stream and version = 2),
          tenant, stream, version, id, type, schema, at, data, sealed, meta)
        where version = 3
    """)
    found = await verify(database)
    assert found.breaks == (Break(stream=stream, version=4, what="the event is not what was written"),)


async def test_an_event_that_was_moved_to_another_tenant_is_found(
    stream: UUID, database: Database, tamper: Tamper
) -> None:
    tamper("update events set tenant = 'other'")
    tamper("update applications set tenant = 'other'")
    assert (await verify(database)).breaks[0].version == 1


async def test_a_removed_event_is_a_gap(stream: UUID, database: Database, tamper: Tamper) -> None:
    tamper("delete from events where version = 2")
    assert (await verify(database)).breaks == (Break(stream=stream, version=3, what="it follows version 1"),)


async def test_a_chain_that_lost_its_beginning_is_found(stream: UUID, database: Database, tamper: Tamper) -> None:
    tamper("delete from events where version = 1")
    assert (await verify(database)).breaks == (Break(stream=stream, version=2, what="it follows version 0"),)


async def test_a_chain_that_lost_its_end_is_found(stream: UUID, database: Database, tamper: Tamper) -> None:
    tamper("delete from events where version = 4")
    assert (await verify(database)).breaks == (Break(stream=stream, version=3, what=END),)


async def test_a_snapshot_at_another_head_is_found(stream: UUID, database: Database, tamper: Tamper) -> None:
    tamper("update applications set hash = sha256('x')")
    assert (await verify(database)).breaks == (Break(stream=stream, version=EVENTS, what=END),)


async def test_a_lost_snapshot_is_found(stream: UUID, database: Database, tamper: Tamper) -> None:
    tamper("delete from applications")
    assert (await verify(database)).breaks == (Break(stream=stream, version=EVENTS, what="there is no snapshot"),)


async def test_a_lost_log_is_found_by_its_snapshot(stream: UUID, database: Database, tamper: Tamper) -> None:
    tamper("delete from events")
    broken = Break(stream=stream, version=EVENTS, what="the snapshot has no events")
    assert await verify(database) == Audit(streams=0, events=0, breaks=(broken,))


async def test_only_the_broken_chain_is_told(
    stream: UUID,
    applications: Applications,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
    database: Database,
    tamper: Tamper,
) -> None:
    for _ in range(250):  # more than are read at a time
        await handle(applications, task(submission, new_id()), now)
    tamper(f"delete from events where stream = '{stream}' and version = 2")
    found = await verify(database)
    assert (found.streams, found.events) == (251, 503)
    assert {broken.stream for broken in found.breaks} == {stream}


async def test_nobody_can_change_the_log_with_its_triggers_in_place(stream: UUID, dsn: str) -> None:
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.Error, match="append-only"):
        connection.execute("update events set type = 'x'")


async def test_an_audit_of_a_log_that_is_being_written_finds_nothing(
    applications: Applications,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
    database: Database,
) -> None:
    over = asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            stream = new_id()
            await handle(applications, task(submission, stream), now)
            answer = RecordAnswer(check="1.1", vendor="simulated", verdict=Verdict.CLEAR, reasons=())
            await handle(applications, task(answer, stream), now)

    writers = [asyncio.create_task(write()) for _ in range(4)]
    audits = [await verify(database) for _ in range(10)]
    over.set()
    await asyncio.gather(*writers)
    assert [audit.breaks for audit in audits] == [()] * 10
    assert audits[-1].events > audits[0].events
