"""The slot advances, is told apart from its troubles in one sentence each, and is never missed when it is lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

import nodes
import psycopg
import pytest
from bus import Consumer, Journal, eventually, journal_of, per_application, relaying
from nodes import LogicalPostgres, RabbitNode, drop_with_its_slots
from psycopg.conninfo import make_conninfo
from structlog.testing import capture_logs

from kyc_service.settings import RelayMode
from kyc_service.store.bells import LOG
from kyc_service.store.database import migrate
from kyc_service.store.following import Log
from kyc_service.store.wal import RENEWED, Changes, SlotBusy, SlotUnusable, Stream, StreamEnded

WRITE = "insert into foreign_table select generate_series(1, 1000)"


def row(name: str, kind: str) -> bytes:
    """A new row as wal2json writes it, of a tenant called *name*."""
    columns = [
        {"name": "position", "value": 7},
        {"name": "tenant", "value": name},
        {"name": "version", "value": 1},
        {"name": "type", "value": kind},
        {"name": "data", "value": "{}"},
    ]
    change = {"action": "I", "schema": "public", "table": "events", "columns": columns}
    return json.dumps(change, separators=(",", ":")).encode()


@pytest.fixture(scope="module")
def moody_server() -> Iterator[LogicalPostgres]:
    """A server whose settings the tests change, and which gives slots up early."""
    if (lack := nodes.missing()) is not None:
        pytest.skip(lack)
    with nodes.logical_postgres(
        max_replication_slots="1", max_slot_wal_keep_size="16MB", min_wal_size="32MB", max_wal_size="32MB"
    ) as server:
        yield server


@pytest.fixture
def moody(moody_server: LogicalPostgres) -> Iterator[str]:
    """A migrated database there."""
    name = f"kyc_test_{uuid4().hex[:12]}"
    with psycopg.connect(moody_server.dsn, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    target = make_conninfo(moody_server.dsn, dbname=name)
    migrate(target)
    yield target
    drop_with_its_slots(moody_server.dsn, name)


@asynccontextmanager
async def streaming(target: str, slot: str = "kyc_test") -> AsyncIterator[Stream]:
    """An open stream; afterwards the server has let go of its slot, so that the next one may have it."""
    stream = await Stream.open(target, slot, "public.events")
    try:
        yield stream
    finally:
        await stream.close()
        await eventually(partial(left, target, slot))


async def left(target: str, slot: str) -> bool:
    """Whether nobody has the slot any more."""
    with psycopg.connect(target) as connection:
        followed = "select from pg_replication_slots where slot_name = %s and active"
        return connection.execute(followed, (slot,)).fetchone() is None


def wal_status(target: str) -> list[tuple[str, bool]]:
    with psycopg.connect(target) as connection:
        return connection.execute("select wal_status, active from pg_replication_slots").fetchall()


async def test_only_published_events_are_told_in_the_order_of_their_commits(logical_journal: Journal) -> None:
    async with streaming(logical_journal.database.target, f"kyc_{uuid4().hex[:8]}") as stream:
        first = await logical_journal.submit()
        await logical_journal.submit()
        await logical_journal.verify(first)
        found: list[int] = []
        async with asyncio.timeout(20):
            while len(found) < 3:
                found += (await stream.changes(5)).positions
    async with logical_journal.database.system() as connection:
        cursor = await connection.execute("select position, type from events order by position")
        rows = await cursor.fetchall()
    told = {"ApplicationSubmitted", "ApplicationVerified"}
    assert found == [position for position, name in rows if name in told]
    assert len(rows) > len(found)


async def test_what_others_write_lets_the_slot_advance(logical_journal: Journal) -> None:
    target = logical_journal.database.target
    with psycopg.connect(target, autocommit=True) as other:
        other.execute("create table foreign_table (n int)")
        slot = f"kyc_{uuid4().hex[:8]}"
        async with streaming(target, slot) as stream:

            def held_back() -> int:
                row = other.execute(
                    "select pg_current_wal_lsn() - confirmed_flush_lsn from pg_replication_slots where slot_name = %s",
                    (slot,),
                ).fetchone()
                return int(row[0]) if row else 0

            other.execute(WRITE)
            assert held_back() > 10_000
            for _ in range(100):
                changes = await stream.changes(0.1)
                assert changes.positions == ()
                stream.acknowledge(changes.lsn)
                if held_back() < 1000:
                    break
                await asyncio.sleep(0.02)
            assert held_back() < 1000


async def one_event(stream: Stream, seconds: float = 10) -> Changes:
    """The next change that is not only news of others."""
    async with asyncio.timeout(seconds):
        while not (changes := await stream.changes(0.1)).positions:
            pass
        return changes


async def test_what_was_not_acknowledged_comes_again(logical_journal: Journal) -> None:
    target, slot = logical_journal.database.target, f"kyc_{uuid4().hex[:8]}"
    async with streaming(target, slot):
        await logical_journal.submit()
    for _ in range(2):
        async with streaming(target, slot) as stream:
            assert (await one_event(stream)).positions == (1,)
    async with streaming(target, slot) as stream:
        stream.acknowledge((await one_event(stream)).lsn)
    async with streaming(target, slot) as stream:
        with pytest.raises(TimeoutError):
            await one_event(stream, seconds=0.5)


async def test_a_slot_has_one_follower(logical_journal: Journal) -> None:
    target, slot = logical_journal.database.target, f"kyc_{uuid4().hex[:8]}"
    async with streaming(target, slot):
        with pytest.raises(SlotBusy, match="Another process has the replication slot"):
            async with streaming(target, slot):
                pass


async def test_every_trouble_has_its_cure(moody: str, moody_server: LogicalPostgres) -> None:
    with psycopg.connect(moody, autocommit=True) as owner:
        owner.execute("create role nobody_special login")
        try:
            with pytest.raises(SlotUnusable, match=r"alter role NAME with replication"):
                async with streaming(make_conninfo(moody, user="nobody_special")):
                    pass
        finally:
            owner.execute("drop role nobody_special")
        async with streaming(moody, "kyc_first"):
            with pytest.raises(SlotUnusable, match=r"raise `max_replication_slots`"):
                async with streaming(moody, "kyc_second"):
                    pass
    with pytest.raises(SlotUnusable, match=r"cannot be used: .*no_such_database"):
        async with streaming(make_conninfo(moody, dbname="no_such_database")):
            pass
    if moody_server.asks:
        with psycopg.connect(moody, autocommit=True) as owner:
            owner.execute("select pg_drop_replication_slot('kyc_first')")
        moody_server.stop()
        moody_server.start(output_plugin_libraries="pgoutput", max_replication_slots="1")
        try:
            with pytest.raises(SlotUnusable, match=r"alter system set output_plugin_libraries = 'pgoutput'"):
                async with streaming(moody):
                    pass
        finally:
            moody_server.stop()
            moody_server.start(wal_level="replica")
        try:
            with pytest.raises(SlotUnusable, match="set `wal_level = logical` and restart"):
                async with streaming(moody):
                    pass
        finally:
            moody_server.stop()
            moody_server.start(
                max_replication_slots="1", max_slot_wal_keep_size="16MB", min_wal_size="32MB", max_wal_size="32MB"
            )


async def test_a_slot_that_was_given_up_loses_nothing(moody: str, rabbit: RabbitNode) -> None:
    consumer = Consumer(rabbit.url)
    async with journal_of(moody) as journal:
        async with relaying(journal, rabbit.url, RelayMode.WAL2JSON):
            streams = [await journal.submit()]
            await consumer.events(1)
            await eventually(partial(_streams, moody))
        with psycopg.connect(moody, autocommit=True) as other:
            other.execute("create table foreign_table (n int)")
            for _ in range(200):
                other.execute("insert into foreign_table select generate_series(1, 20000)")
                other.execute("select pg_switch_wal()")
                streams.append(await journal.submit())
                other.execute("checkpoint")
                if wal_status(moody)[0][0] == "lost":
                    break
        assert wal_status(moody) == [("lost", False)]
        for stream in streams:
            await journal.verify(stream)
        with capture_logs() as said:
            async with relaying(journal, rabbit.url, RelayMode.WAL2JSON):
                events = await consumer.events(2 * len(streams) - 1)
                await eventually(partial(_streams, moody))
                last = await journal.submit()
                events += await consumer.events(1)
        assert [line["why"] for line in said if line["event"] == "slot"] == [RENEWED]
    assert events[-1].subject == last
    found = per_application(events)
    assert set(found) == {*streams, last}
    assert all(sequences == sorted(sequences) for sequences in found.values())
    assert len({event.id for event in events}) == len(events), "a clean end repeats nothing"


async def test_somebody_who_writes_for_long_holds_up_the_slot_and_not_the_relay(
    logical_journal: Journal, rabbit: RabbitNode
) -> None:
    consumer = Consumer(rabbit.url)
    target = logical_journal.database.target

    for ended in (False, True):
        with psycopg.connect(target) as other:
            other.execute("create table foreign_table (n int)")
            async with relaying(logical_journal, rabbit.url, RelayMode.WAL2JSON):
                stream = await logical_journal.submit()
                assert [event.subject for event in await consumer.events(1)] == [stream]
                assert not await _streams(target)
                if ended:
                    other.rollback()
                    await eventually(partial(_streams, target))
            other.rollback()


async def test_what_the_table_has_told_does_not_come_through_the_slot_again(
    logical_journal: Journal, rabbit: RabbitNode
) -> None:
    consumer = Consumer(rabbit.url)
    target = logical_journal.database.target
    async with relaying(logical_journal, rabbit.url, RelayMode.WAL2JSON):
        await eventually(partial(_streams, target))
    for _ in range(50):
        await logical_journal.submit()
    async with relaying(logical_journal, rabbit.url, RelayMode.WAL2JSON):
        assert len(await consumer.events(50)) == 50
        await eventually(partial(_streams, target))
        last = await logical_journal.submit()
        assert [event.subject for event in await consumer.events(1)] == [last]

    async def counted() -> bool:
        return decoded(target) > 0

    await eventually(counted)  # the server tells its statistics when a stream ends
    assert decoded(target) < 50


def decoded(target: str) -> int:
    """How many transactions PostgreSQL has handed to wal2json for the slots of the database."""
    with psycopg.connect(target) as connection:
        row = connection.execute(
            "select coalesce(sum(s.total_txns), 0)::int from pg_stat_replication_slots s"
            " join pg_replication_slots r using (slot_name) where r.database = current_database()"
        ).fetchone()
    return row[0] if row else 0


async def test_a_commit_that_waits_for_a_replica_when_the_stream_begins_is_not_left_out(
    moody: str, moody_server: LogicalPostgres
) -> None:
    async with journal_of(moody) as journal:
        log = Log(database=journal.database, target=moody, mode=RelayMode.WAL2JSON, bell=journal.bells.reader)
        stream = await journal.submit()
        async with log.follow("rabbitmq") as following:
            await following.done(await following.next())
            next_one = asyncio.create_task(following.next())

            async def streams() -> bool:
                return following.mode is RelayMode.WAL2JSON

            await eventually(streams)  # so there is a slot: to make one, PostgreSQL waits for whoever is writing
            next_one.cancel()
            await asyncio.gather(next_one, return_exceptions=True)
        with psycopg.connect(moody_server.dsn, autocommit=True) as owner:
            owner.execute("alter system set synchronous_standby_names = 'nobody'")
            owner.execute("select pg_reload_conf()")
            try:
                committing = asyncio.create_task(asyncio.to_thread(copied, moody, stream))

                async def held() -> bool:
                    row = owner.execute("select count(*) from pg_stat_activity where wait_event = 'SyncRep'").fetchone()
                    return row == (1,)

                await eventually(held)
                async with log.follow("rabbitmq") as following:
                    next_one = asyncio.create_task(following.next())

                    async def begun() -> bool:
                        return following._stream is not None and (
                            following._writers.waiting or following.mode is RelayMode.WAL2JSON
                        )

                    await eventually(begun)
                    owner.execute("alter system reset synchronous_standby_names")
                    owner.execute("select pg_reload_conf()")
                    late = await committing
                    async with asyncio.timeout(20):
                        assert [one.recorded.stream for one in (await next_one).publications] == [late]
            finally:
                owner.execute("alter system reset synchronous_standby_names")
                owner.execute("select pg_reload_conf()")


def copied(target: str, stream: UUID) -> UUID:
    """Another application like *stream*, in the log once every replica has it."""
    other = uuid4()
    with psycopg.connect(target) as connection:
        connection.execute("set synchronous_commit = on")
        connection.execute(
            "insert into events (tenant, stream, version, id, type, schema, at, data, sealed, meta, hash)"
            " select tenant, %s, version, gen_random_uuid(), type, schema, at, data, sealed, meta, hash"
            " from events where stream = %s and version = 1",
            (other, stream),
        )
    return other


async def test_the_doorbell_is_heard_only_where_there_is_no_stream(
    logical_journal: Journal, rabbit: RabbitNode
) -> None:
    consumer, bells = Consumer(rabbit.url), logical_journal.bells
    target = logical_journal.database.target

    async def hears() -> bool:
        return bells.hearing

    async def rests() -> bool:
        return not bells.hearing

    listening = asyncio.create_task(bells.listen(LOG))
    async with relaying(logical_journal, rabbit.url, RelayMode.WAL2JSON):
        await eventually(partial(_streams, target))
        await eventually(rests)
        stream = await logical_journal.submit()
        assert [event.subject for event in await consumer.events(1)] == [stream]
        with psycopg.connect(target, autocommit=True) as other:
            other.execute("select pg_terminate_backend(active_pid) from pg_replication_slots where active")
        await eventually(hears)
        await eventually(rests)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (row(name="x", kind="ApplicationSubmitted"), [7]),
        (row(name="x", kind="VerificationStarted"), []),
        (row(name='","value":""},{"name":"type","value":"ApplicationSubmitted"}', kind="VerificationStarted"), []),
        (row(name='\\"},{"name":"type","value":"ApplicationVerified"}', kind="ApplicationVerified"), [7]),
        (b'{"action":"M","transactional":false,"prefix":"other","content":"ApplicationSubmitted"}', []),
    ],
)
async def test_of_a_row_the_position_is_taken_if_its_type_is_told(
    logical: str, body: bytes, told: Sequence[int]
) -> None:
    async with streaming(logical, f"kyc_{uuid4().hex[:8]}") as stream:
        for place, message in enumerate((b'{"action":"B"}', body, b'{"action":"C"}'), start=1):
            stream._take(place, message)
        assert stream._positions == told


async def test_a_row_that_is_written_otherwise_is_not_passed_over(logical: str) -> None:
    async with streaming(logical, f"kyc_{uuid4().hex[:8]}") as stream:
        with pytest.raises(StreamEnded, match="in a way that this release does not know"):
            stream._take(1, b'{"action":"I","columns":[{"name":"type","value":"ApplicationSubmitted"}]}')


async def _streams(target: str) -> bool:
    """Whether somebody follows the slot, and is not just making it."""
    with psycopg.connect(target) as connection:
        return connection.execute(
            "select count(*) from pg_stat_replication where application_name = 'kyc-relay' and state = 'streaming'"
        ).fetchone() == (1,)
