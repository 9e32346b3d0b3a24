"""What the relay costs and how soon it tells: latency of both ways to follow the log, draining, and the API beside it.

One run starts a RabbitMQ and a PostgreSQL with wal2json of its own (`make servers` installs them) and prints

    * commit → consumer at 200 events a second: p50 and p99 for wal2json and for tail;
    * how fast a backlog is drained, against bare aio-pika that publishes the same bodies to the same queue in windows;
    * how many submissions the API takes a second with and without a relay beside it, and whose processor time it takes.

What the last one measures: sixteen clients send as fast as they are answered. They, the API, PostgreSQL, the relay and
RabbitMQ share the machine, and every submission makes one message. Each round with a relay stands between two rounds
without, in which RabbitMQ runs as well and has nothing to do. The queue is a quorum queue, and nobody reads it.

    python bench/relay.py [--seconds 15] [--backlog 50000] [--rounds 3]
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import aio_pika
import pika
import psycopg
import uvloop
from crowdpay_contracts.envelope import TOPIC
from psycopg.conninfo import make_conninfo

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/messaging"))

from api import SERVICE_PORT, TENANT, load, post, running
from bus import Consumer, journal_of
from nodes import LogicalPostgres, RabbitNode, logical_postgres, missing, rabbitmq

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.application.worker import Doorbell
from kyc_service.collector import collecting_rarely
from kyc_service.messaging.brokers import Broker, opened
from kyc_service.messaging.publisher import Message, Publisher
from kyc_service.messaging.relay import Relay
from kyc_service.messaging.translation import translate
from kyc_service.settings import RelayMode, Settings
from kyc_service.store.bells import LOG, Bells
from kyc_service.store.database import Database, migrate
from kyc_service.store.following import Log
from kyc_service.store.tail import publications

RATE = 200
WINDOW = 500
FILL = """
    insert into events (tenant, stream, version, id, type, schema, at, data, meta, hash)
    select 't', gen_random_uuid(), 1, gen_random_uuid(), 'ApplicationSubmitted', 1, now(),
           jsonb_build_object('user_id', gen_random_uuid(), 'documents', jsonb_build_array(jsonb_build_object(
             'doc_type', 'PASSPORT', 'file_id', gen_random_uuid(), 'issued_country', 'NL', 'uploaded', true)),
             'terms', jsonb_build_object('mode', 'live', 'uploaded_route', jsonb_build_array('builtin'),
               'missing_route', jsonb_build_array(), 'max_resubmissions', 3, 'resubmission', 'P14D',
               'completion', 'P30D', 'answer', 'P1D')),
           jsonb_build_object('actor', 'a', 'causation', 'request', 'correlation', gen_random_uuid()), sha256('x')
    from generate_series(1, %s)
"""

REACHED = """
    select behind, %s = 'tail' or exists (
      select from pg_replication_slots
      where active and database = current_database() and confirmed_flush_lsn >= %s::pg_lsn)
    from backlogs(array['rabbitmq'])
"""


def main() -> None:
    """Run all three, or one of the processes that they need."""
    if len(sys.argv) > 1 and sys.argv[1] in PROCESSES:
        uvloop.run(PROCESSES[sys.argv[1]](*sys.argv[2:]))  # as `kyc relay` runs
        return
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--seconds", type=float, default=15)
    arguments.add_argument("--backlog", type=int, default=50_000)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    if lack := missing():
        raise SystemExit(f"{lack}: `make servers` installs it")
    with rabbitmq() as rabbit, logical_postgres() as server:
        for mode in (RelayMode.WAL2JSON, RelayMode.TAIL):
            asyncio.run(latency(server, rabbit, mode, given.seconds))
        drain(server, rabbit, given.backlog, given.rounds)
        asyncio.run(beside_the_api(server, rabbit, given.seconds / 3, given.rounds))


@contextmanager
def fresh(server: LogicalPostgres) -> Iterator[str]:
    """A migrated database."""
    name = f"bench_{uuid4().hex[:8]}"
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    target = make_conninfo(server.dsn, dbname=name)
    migrate(target)
    yield target


@contextmanager
def process(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """One of `PROCESSES`, or a module, killed in the end."""
    command = [sys.executable, *([] if arguments[0] == "-m" else [__file__]), *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


# ── commit → consumer ─────────────────────────────────────────────────────────────


async def latency(server: LogicalPostgres, rabbit: RabbitNode, mode: RelayMode, seconds: float) -> None:
    """Submissions at random moments; another process notes when they arrive."""
    emptied(rabbit)
    with fresh(server) as target, process("relaying", target, rabbit.url, mode.value):
        async with journal_of(target) as journal:
            bells = asyncio.create_task(journal.bells.carry())
            with process("arrivals", rabbit.url, str(seconds + 4)) as consumer:
                await asyncio.sleep(3)
                committed: dict[UUID, float] = {}

                async def submit() -> None:
                    stream = await journal.submit()
                    committed[stream] = time.time()

                async with asyncio.TaskGroup() as group:
                    due = time.monotonic()
                    over = due + seconds
                    while due < over:
                        group.create_task(submit())
                        due += random.expovariate(RATE)  # of the moments, so that a late one makes no later ones
                        await asyncio.sleep(max(0.0, due - time.monotonic()))
                output, _ = await asyncio.to_thread(consumer.communicate)
            bells.cancel()
            with psycopg.connect(target) as connection:
                slots = connection.execute(
                    "select count(*) from pg_replication_slots where active and database = current_database()"
                ).fetchone()
    if slots != (int(mode is RelayMode.WAL2JSON),):
        raise SystemExit(f"the log was not followed by {mode.value}")
    arrived = {UUID(one): moment for one, moment in json.loads(output).items()}
    if missed := set(committed) - set(arrived):
        raise SystemExit(f"{len(missed)} events did not arrive")
    after = sorted((arrived[stream] - committed[stream]) * 1000 for stream in list(committed)[RATE:])
    p50, p99 = after[len(after) // 2], after[int(len(after) * 0.99)]
    goal = 5 if mode is RelayMode.WAL2JSON else 10
    print(
        f"commit → consumer, {mode.value:8}: p50 {p50:5.1f} ms, p99 {p99:5.1f} ms"
        f" ({len(committed) / seconds:.0f} events/s; goal p50 ≤ {goal} ms)"
    )


async def arrivals(url: str, seconds: str) -> None:
    """Note when each application's event arrives, and print it."""
    arrived: dict[str, float] = {}
    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    await channel.set_qos(500)
    queue = await channel.get_queue("test")

    async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        arrived.setdefault(json.loads(message.body)["subject"], time.time())
        await message.ack()

    await queue.consume(note)
    await asyncio.sleep(float(seconds))
    await connection.close()
    print(json.dumps(arrived))


def emptied(rabbit: RabbitNode) -> None:
    """The queue, bound and empty."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        connection.channel().queue_delete("test")
    Consumer(rabbit.url)


# ── drain ─────────────────────────────────────────────────────────────────────────


def drain(server: LogicalPostgres, rabbit: RabbitNode, backlog: int, rounds: int) -> None:
    """The relay and the floor in turn, each in a process of its own, each into an empty queue."""
    with fresh(server) as target:
        with psycopg.connect(target, autocommit=True) as connection:
            connection.execute(FILL, (backlog,))
            connection.execute("vacuum analyze events")
        rates: dict[str, list[float]] = {"draining": [], "publishing": []}
        for _ in range(rounds):
            for name, found in rates.items():
                emptied(rabbit)
                with process(name, target, rabbit.url, str(backlog)) as one:
                    output, _ = one.communicate()
                found.append(backlog / float(output.splitlines()[-1]))
    ratios = [ours / bare for ours, bare in zip(rates["draining"], rates["publishing"], strict=True)]
    print(
        f"drain of {backlog}: {statistics.median(rates['draining']):6.0f} events/s, bare windowed aio-pika"
        f" {statistics.median(rates['publishing']):6.0f}, ratio {statistics.median(ratios):.2f}"
        f" (rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}; goal 0.8)"
    )


async def draining(target: str, url: str, backlog: str) -> None:
    """The relay, from its first look at the log until everything is confirmed."""
    count, over = 0, asyncio.Event()

    class Counted:
        def __init__(self, publisher: Publisher) -> None:
            self.lost, self.unrouted, self._publish = publisher.lost, publisher.unrouted, publisher.publish

        async def publish(self, messages: Sequence[Message]) -> None:
            nonlocal count
            await self._publish(messages)
            count += len(messages)
            if count >= int(backlog):
                over.set()

    @asynccontextmanager
    async def counted():  # noqa: ANN202 - an async generator of publishers
        async with opened(Broker(name="rabbitmq", url=url)) as publisher:
            yield Counted(publisher)

    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("delete from checkpoints")
    await _relay(target, RelayMode.TAIL, counted, until=over)


async def relaying(target: str, url: str, mode: str) -> None:
    """A relay that goes on until it is killed."""
    await _relay(target, RelayMode(mode), partial(opened, Broker(name="rabbitmq", url=url)), until=asyncio.Event())


async def _relay(target: str, mode: RelayMode, way: Callable[[], object], *, until: asyncio.Event) -> None:
    database = Database(target, size=2)
    await database.open()
    bells = Bells(target, Doorbell())
    log = Log(database=database, target=target, mode=mode, bell=bells.reader)
    relay = Relay("rabbitmq", "/kyc", partial(log.follow, "rabbitmq"), way)
    began = time.perf_counter()
    tasks = [asyncio.create_task(relay.run()), asyncio.create_task(bells.listen(LOG))]
    with collecting_rarely():
        await until.wait()
    print(time.perf_counter() - began)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await database.close()


async def publishing(target: str, url: str, backlog: str) -> None:
    """The floor: the same bodies, made beforehand, published by aio-pika as its manual says, in windows."""
    async with await psycopg.AsyncConnection.connect(target, autocommit=True) as connection:
        found = await publications(connection, 0, int(backlog), int(backlog))
    told = [message for one in found if (message := translate(one.recorded, one.facts, "/kyc"))]
    bodies = [(message.id, message.type, message.body) for message in told]
    connection = await aio_pika.connect(url)
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    exchange = await channel.get_exchange(TOPIC)
    began = time.perf_counter()
    for start in range(0, len(bodies), WINDOW):
        await asyncio.gather(
            *(
                exchange.publish(
                    aio_pika.Message(
                        body,
                        content_type="application/cloudevents+json",
                        message_id=identity,
                        type=kind,
                        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    ),
                    kind,
                )
                for identity, kind, body in bodies[start : start + WINDOW]
            )
        )
    print(time.perf_counter() - began)
    await connection.close()


# ── beside the API ────────────────────────────────────────────────────────────────


async def beside_the_api(server: LogicalPostgres, rabbit: RabbitNode, seconds: float, rounds: int) -> None:
    """Submissions with a relay, each time between two rounds without."""
    emptied(rabbit)
    with tempfile.TemporaryDirectory(prefix="kyc-bench-") as home, fresh(server) as target:
        settings = Settings(_env_file=None, state_dir=Path(home), db_dsn=target)
        token = DevelopmentIssuer(settings).issue(TENANT, ["submitter"], "bench", "bench", timedelta(hours=1))
        environment = {
            "KYC_DB_DSN": target,
            "KYC_STATE_DIR": home,
            "KYC_INLINE_WORKER": "false",
            "KYC_INLINE_RELAY": "false",
        }
        os.environ |= {**environment, "KYC_EVENT_BROKER_URL": rabbit.url}
        rates: dict[str, list[float]] = {"without": [], "tail": [], "wal2json": []}
        ratios: dict[str, list[float]] = {"tail": [], "wal2json": []}
        costs: dict[str, list[Mapping[str, float]]] = {name: [] for name in rates}

        async def measure(name: str) -> None:
            before = processor_time(server, rabbit)
            rate = await load(SERVICE_PORT, lambda: post(token), seconds, expected=b"201")
            after = processor_time(server, rabbit)
            rates[name].append(rate)
            costs[name].append({who: (after[who] - before[who]) / (rate * seconds) * 1e6 for who in ROLES})

        with running("kyc_service.api.main:app", SERVICE_PORT, environment):
            await load(SERVICE_PORT, lambda: post(token), 2, expected=b"201")
            for name in ["without", *(one for _ in range(rounds) for mode in ratios for one in (mode, "without"))]:
                if name == "without":
                    await measure(name)
                    continue
                with process("relaying", target, rabbit.url, name):
                    await caught_up(target, name)
                    await measure(name)
    bare = iter(pairwise(rates["without"]))  # right before and right after: the machine may have other work
    for number in range(rounds):
        for name, found in ratios.items():
            found.append(rates[name][number] / statistics.mean(next(bare)))
    for name, found in ratios.items():
        print(
            f"API with a relay ({name}): {statistics.median(rates[name]):5.0f} submissions/s, without"
            f" {statistics.median(rates['without']):5.0f}, ratio {statistics.median(found):.2f}"
            f" (rounds {', '.join(f'{ratio:.2f}' for ratio in found)}; goal 0.9)"
        )
    print(f"processor time for each submission, in microseconds:{''.join(f'{name:>10}' for name in costs)}")
    for who in ROLES:
        medians = [statistics.median(cost[who] for cost in found) for found in costs.values()]
        print(f"  {who:50}{''.join(f'{median:10.0f}' for median in medians)}")


ROLES = ("clients", "API", "PostgreSQL", "its WAL sender", "relay", "RabbitMQ")


def processor_time(server: LogicalPostgres, rabbit: RabbitNode) -> Mapping[str, float]:
    """The seconds of processor time that each role has used so far; processes that have ended are not in it."""
    used = dict.fromkeys(ROLES, 0.0)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parent, session, ticks = int(fields[1]), int(fields[3]), int(fields[11]) + int(fields[12])
        if int(folder.name) == os.getpid():
            role = "clients"
        elif str(SERVICE_PORT) in command and "uvicorn" in command:
            role = "API"
        elif server.pid in (parent, int(folder.name)):
            role = "its WAL sender" if "walsender" in command else "PostgreSQL"
        elif "relaying" in command:
            role = "relay"
        elif session == rabbit.pid:
            role = "RabbitMQ"
        else:
            continue
        used[role] += ticks / os.sysconf("SC_CLK_TCK")
    return used


async def caught_up(target: str, mode: str) -> None:
    """Until the relay has told what happened while there was none, and its slot, if it has one, is as far."""
    async with await psycopg.AsyncConnection.connect(target, autocommit=True) as connection, asyncio.timeout(120):
        written = await (await connection.execute("select pg_current_wal_insert_lsn()::text")).fetchone()
        assert written is not None
        while True:
            if await (await connection.execute(REACHED, (mode, *written))).fetchone() == (0, True):
                return
            await asyncio.sleep(0.2)


PROCESSES = {"arrivals": arrivals, "relaying": relaying, "draining": draining, "publishing": publishing}

if __name__ == "__main__":
    main()
