"""Everything is killed, cut and restarted while many write, and every event arrives, in order, told twice at worst."""

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import nodes
import pika
import psycopg
import pytest
from bus import Consumer, Proxy
from crowdpay_contracts.envelope import KycEvent, parse_event
from nodes import LogicalPostgres, RabbitNode, drop_with_its_slots
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from kyc_service.settings import RelayMode
from kyc_service.store.database import migrate
from kyc_service.store.wal import RENEWED

WRITERS = 8
APPLICATIONS = 24
SUBMITTED = """{"user_id": "6b1f0c52-4a5e-4f0e-8f0a-2c9d7e1b3a44", "documents": [],
                "terms": {"mode": "live", "uploaded_route": [], "missing_route": [], "max_resubmissions": 0,
                          "resubmission": "PT1H", "completion": "PT1H", "answer": "PT1H"}}"""
VERIFIED = '{"evidence": "live", "reasons": ["OK_VERIFIED"]}'
META = '{"actor": "a", "causation": "c", "correlation": "c"}'
INSERT = """
    insert into events (tenant, stream, version, id, type, schema, at, data, meta, hash)
    values ('t', %s, %s, gen_random_uuid(), %s, 1, clock_timestamp(), %s, %s, sha256('x'))
"""
MOST_REPEATED = 1200  # by one interruption: two batches under way, and what was told since the position was saved


@pytest.fixture(scope="module")
def impatient_server() -> Iterator[LogicalPostgres]:
    """A server that gives a slot up as soon as it holds back 16 MB."""
    if (lack := nodes.missing()) is not None:
        pytest.skip(lack)
    with nodes.logical_postgres(max_slot_wal_keep_size="16MB", min_wal_size="32MB", max_wal_size="32MB") as server:
        yield server


@pytest.fixture
def impatient(impatient_server: LogicalPostgres) -> Iterator[str]:
    """A migrated database there."""
    name = f"kyc_test_{uuid4().hex[:12]}"
    with psycopg.connect(impatient_server.dsn, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    target = make_conninfo(impatient_server.dsn, dbname=name)
    migrate(target)
    yield target
    drop_with_its_slots(impatient_server.dsn, name)


class Inbox(threading.Thread):
    """Another team's consumer: it acknowledges what it has noted, and comes back after every outage of the broker."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.arrived: list[KycEvent] = []
        self.over = False

    def run(self) -> None:
        while not self.over:
            with (
                suppress(pika.exceptions.AMQPError, OSError),
                pika.BlockingConnection(pika.URLParameters(self._url)) as connection,
            ):
                channel = connection.channel()
                channel.basic_qos(prefetch_count=100)
                for method, _, body in channel.consume("test", inactivity_timeout=0.1):
                    if self.over:
                        return
                    if method is not None:
                        self.arrived.append(parse_event(body))
                        channel.basic_ack(method.delivery_tag)
            time.sleep(0.1)


class Relays:
    """Two relays, of which the test kills one after the other."""

    def __init__(self, target: str, url: str, mode: RelayMode, folder: Path) -> None:
        self._command = [
            sys.executable,
            "-u",
            str(Path(__file__).with_name("relay_process.py")),
            target,
            url,
            mode.value,
        ]
        self._output = (folder / "relays").open("ab")
        self.running = [self._started() for _ in range(2)]

    def kill(self, number: int, *, again: bool = True) -> None:
        """As the kernel does: no farewell."""
        self.running[number].kill()
        self.running[number].wait()
        if again:
            self.running[number] = self._started()

    def start_again(self) -> None:
        """Both of them, after they were killed."""
        self.running = [self._started() for _ in range(2)]

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
        self._output.close()

    def _started(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command, stdout=self._output, stderr=self._output)


async def write(number: int, target: str, streams: list[UUID], committed: Counter[UUID], over: asyncio.Event) -> None:
    """Append now and then, sleep in the middle of it, and change one's mind."""
    dice = random.Random(number)  # noqa: S311
    async with await AsyncConnection.connect(target) as connection:
        while not over.is_set():
            if dice.random() < 0.5:
                await connection.execute("select pg_current_xact_id()")
                await asyncio.sleep(dice.random() * 0.01)
            stream, count = dice.choice(streams), dice.choice((1, 1, 3))
            await connection.execute("select pg_advisory_xact_lock(hashtext(%s))", (str(stream),))
            cursor = await connection.execute("select count(*) from events where stream = %s", (stream,))
            (version,) = await cursor.fetchone() or (0,)
            for step in range(version + 1, version + count + 1):
                kind, data = ("ApplicationSubmitted", SUBMITTED) if step == 1 else ("ApplicationVerified", VERIFIED)
                await connection.execute(INSERT, (stream, step, kind, data, META))
            if dice.random() < 0.3:
                await asyncio.sleep(dice.random() * 0.02)
            if dice.random() < 0.1:
                await connection.rollback()
            else:
                await connection.commit()
                committed[stream] += count
            await asyncio.sleep(dice.random() * 0.08)


async def give_the_slot_up(target: str) -> None:
    """Write so much that the slot, which nobody follows at the moment, is lost."""
    async with await AsyncConnection.connect(target, autocommit=True) as connection:
        await connection.execute("create table if not exists foreign_table (n int)")
        async with asyncio.timeout(30):
            while True:
                cursor = await connection.execute("select wal_status from pg_replication_slots")
                if await cursor.fetchone() == ("lost",):
                    return
                await connection.execute("insert into foreign_table select generate_series(1, 50000)")
                await connection.execute("select pg_switch_wal()")
                await connection.execute("checkpoint")


async def streaming(target: str) -> None:
    """Until a relay follows the slot."""
    async with await AsyncConnection.connect(target, autocommit=True) as connection, asyncio.timeout(60):
        while True:
            cursor = await connection.execute("select count(*) from pg_stat_replication where state = 'streaming'")
            if await cursor.fetchone() == (1,):
                return
            await asyncio.sleep(0.05)


async def survive(
    target: str, rabbit: RabbitNode, mode: RelayMode, folder: Path, *, kills: int, restarts: int, cuts: int
) -> None:
    """Write all the while; kill, cut and restart; and then count."""
    Consumer(rabbit.url)
    proxy = Proxy(rabbit.port)
    await proxy.open()
    inbox = Inbox(rabbit.url)
    inbox.start()
    relays = Relays(target, proxy.url, mode, folder)
    streams = [uuid4() for _ in range(APPLICATIONS)]
    committed: Counter[UUID] = Counter()
    over = asyncio.Event()
    writers = [asyncio.create_task(write(n, target, streams, committed, over)) for n in range(WRITERS)]
    dice = random.Random(4711)  # noqa: S311
    try:
        await first_arrival(inbox)
        for kill in range(kills):
            await asyncio.sleep(dice.uniform(0.2, 1.0))
            relays.kill(kill % 2)
            if restarts and kill % (kills // (restarts + 1)) == 1 and kill > 1:
                await asyncio.to_thread(rabbit.stop)
                await asyncio.to_thread(rabbit.start)
            if kill % max(1, kills // cuts) == 0:
                proxy.cut_after = dice.randrange(1, 20_000)
        if mode is RelayMode.WAL2JSON:
            await streaming(target)
            for number in range(2):
                relays.kill(number, again=False)
            await give_the_slot_up(target)
            relays.start_again()
            await streaming(target)
        over.set()
        await asyncio.gather(*writers)
        expected = committed.total()
        async with asyncio.timeout(60):
            while len({event.id for event in inbox.arrived}) < expected:  # noqa: ASYNC110 - a thread
                await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
    except TimeoutError:
        raise AssertionError((folder / "relays").read_text()[-4000:]) from None
    finally:
        over.set()
        relays.end()
        inbox.over = True
        await asyncio.gather(*writers, return_exceptions=True)
        await asyncio.to_thread(inbox.join, 10)
        await proxy.close()

    first = {event.id: event for event in reversed(inbox.arrived)}
    in_order = [first[one] for one in dict.fromkeys(event.id for event in inbox.arrived)]
    repeated = len(inbox.arrived) - len(in_order)
    interruptions = kills + restarts + cuts + 1
    print(f"{mode.value}: {len(in_order)} events, {repeated} repeated, {interruptions} interruptions")
    assert Counter(event.subject for event in in_order) == committed
    for stream in streams:
        sequences = [event.sequence for event in in_order if event.subject == stream]
        assert sequences == sorted(sequences)
        assert [event.type for event in in_order if event.subject == stream][:1] in ([], ["KYC_CREATED"])
    assert repeated <= interruptions * MOST_REPEATED
    said = (folder / "relays").read_text()
    assert ("mode=wal2json" in said) == (mode is RelayMode.WAL2JSON)
    assert (RENEWED in said) == (mode is RelayMode.WAL2JSON)


async def first_arrival(inbox: Inbox) -> None:
    async with asyncio.timeout(60):
        while not inbox.arrived:  # noqa: ASYNC110 - a thread
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", [RelayMode.TAIL, RelayMode.WAL2JSON])
async def test_some_kills_and_a_cut_lose_nothing(
    impatient: str, rabbit: RabbitNode, mode: RelayMode, tmp_path: Path
) -> None:
    await survive(impatient, rabbit, mode, tmp_path, kills=3, restarts=0, cuts=1)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", [RelayMode.TAIL, RelayMode.WAL2JSON])
async def test_twenty_kills_two_restarts_and_cuts_lose_nothing(
    impatient: str, rabbit: RabbitNode, mode: RelayMode, tmp_path: Path
) -> None:
    await survive(impatient, rabbit, mode, tmp_path, kills=20, restarts=2, cuts=5)
