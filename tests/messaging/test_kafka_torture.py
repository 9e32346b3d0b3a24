"""test_torture on Kafka: relays are killed, brokers cut off, leaders changed, and everything arrives in order."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias
from uuid import UUID, uuid4

import pytest
from bus import Proxy
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from crowdpay_contracts.envelope import TOPIC, KycEvent, parse_event
from crowdpay_contracts.internal import INTERNAL_TOPIC
from mock_cluster import mock_cluster
from nodes import free_port, kafka_mesh
from test_torture import APPLICATIONS, MOST_REPEATED, WRITERS, Relays, write

from kyc_service.settings import RelayMode

PARTITIONS = 3
Unrest: TypeAlias = Callable[[], Awaitable[None]]


@asynccontextmanager
async def cut_off() -> AsyncIterator[tuple[str, Unrest]]:
    """Brokers of which one after the other is cut off for a moment, while its partitions go to the next."""
    with mock_cluster() as cluster:
        cluster.make(TOPIC, PARTITIONS, 3)
        cluster.make(INTERNAL_TOPIC, PARTITIONS, 3)
        leader = 1

        async def unrest() -> None:
            nonlocal leader
            away, leader = leader, leader % 3 + 1
            for partition in range(PARTITIONS):
                cluster.lead(TOPIC, partition, leader)
            cluster.down(away)
            await asyncio.sleep(0.2)
            cluster.up(away)

        yield f"kafka://{cluster.servers}", unrest


@asynccontextmanager
async def cut_through() -> AsyncIterator[tuple[str, Unrest]]:
    """A broker whose connections are cut in the middle of what they carry. It gives out no producer ids."""
    port = free_port()
    with kafka_mesh(advertised=f"127.0.0.1:{port}") as plain:
        proxy = Proxy(int(plain.rpartition(":")[2]))
        proxy.port = port
        await proxy.open()
        administrator = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
        for made in administrator.create_topics(
            [NewTopic(name, PARTITIONS, 1) for name in (TOPIC, INTERNAL_TOPIC)]
        ).values():
            await asyncio.to_thread(made.result, 10)
        dice = random.Random(4711)  # noqa: S311

        async def unrest() -> None:
            proxy.cut_after = dice.randrange(1, 20_000)

        try:
            yield f"kafka://127.0.0.1:{port}?idempotence=off", unrest
        finally:
            await proxy.close()


class Inbox(threading.Thread):
    """Another team's consumer, which begins at the beginning and comes through every outage by itself."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        servers = url.removeprefix("kafka://").partition("?")[0]
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "log_level": 0})
        self._consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
        self.arrived: list[KycEvent] = []
        self.over = False

    def run(self) -> None:
        while not self.over:
            for message in self._consumer.consume(500, timeout=0.1):
                if message.error() is None:
                    self.arrived.append(parse_event(message.value() or b""))
        self._consumer.close()


async def survive(target: str, url: str, mode: RelayMode, folder: Path, unrest: Unrest, kills: int) -> None:
    """Write all the while; kill and cut; and then count."""
    inbox = Inbox(url)
    inbox.start()
    relays = Relays(target, url, mode, folder)
    streams = [uuid4() for _ in range(APPLICATIONS)]
    committed: Counter[UUID] = Counter()
    over = asyncio.Event()
    writers = [asyncio.create_task(write(n, target, streams, committed, over)) for n in range(WRITERS)]
    dice = random.Random(4711)  # noqa: S311
    try:
        async with asyncio.timeout(60):
            while not inbox.arrived:  # noqa: ASYNC110 - a thread
                await asyncio.sleep(0.05)
        for kill in range(kills):
            await asyncio.sleep(dice.uniform(0.2, 1.0))
            await unrest()
            await asyncio.sleep(dice.uniform(0.2, 1.0))
            relays.kill(kill % 2)
        over.set()
        await asyncio.gather(*writers)
        async with asyncio.timeout(90):
            while len({event.id for event in inbox.arrived}) < committed.total():  # noqa: ASYNC110 - a thread
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError((folder / "relays").read_text()[-4000:]) from None
    finally:
        over.set()
        relays.end()
        inbox.over = True
        await asyncio.gather(*writers, return_exceptions=True)
        await asyncio.to_thread(inbox.join, 10)

    first = {event.id: event for event in reversed(inbox.arrived)}
    in_order = [first[one] for one in dict.fromkeys(event.id for event in inbox.arrived)]
    repeated = len(inbox.arrived) - len(in_order)
    print(f"{mode.value}: {len(in_order)} events, {repeated} repeated, {2 * kills} interruptions")
    assert Counter(event.subject for event in in_order) == committed
    for stream in streams:
        sequences = [event.sequence for event in in_order if event.subject == stream]
        assert sequences == sorted(sequences)
    assert repeated <= 2 * kills * MOST_REPEATED


WAYS = pytest.mark.parametrize("way", [cut_off, cut_through])
MODES = pytest.mark.parametrize("mode", [RelayMode.TAIL, RelayMode.WAL2JSON])


@WAYS
@MODES
async def test_some_kills_and_cuts_lose_nothing(
    logical: str, way: Callable[[], AbstractAsyncContextManager[tuple[str, Unrest]]], mode: RelayMode, tmp_path: Path
) -> None:
    async with way() as (url, unrest):
        await survive(logical, url, mode, tmp_path, unrest, kills=3)


@pytest.mark.long
@pytest.mark.timeout(300)
@WAYS
@MODES
async def test_twenty_kills_and_cuts_lose_nothing(
    logical: str, way: Callable[[], AbstractAsyncContextManager[tuple[str, Unrest]]], mode: RelayMode, tmp_path: Path
) -> None:
    async with way() as (url, unrest):
        await survive(logical, url, mode, tmp_path, unrest, kills=20)
