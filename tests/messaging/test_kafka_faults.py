"""Kafka refuses, forgets, changes its leaders and goes away: what it does not take holds up nobody else, in order."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest
from bus import Consumer as RabbitConsumer
from bus import Journal, eventually, per_application, relaying
from confluent_kafka import Consumer, TopicPartition
from crowdpay_contracts.envelope import TOPIC, KycEvent, parse_event
from crowdpay_contracts.internal import INTERNAL_TOPIC
from mock_cluster import INIT_PRODUCER, PRODUCE, MockCluster, mock_cluster
from nodes import RabbitNode, kafka_mesh
from structlog.testing import capture_logs

from kyc_service.messaging.kafka import address, open_kafka
from kyc_service.messaging.publisher import BrokerRefused, BrokerUnavailable, Message
from kyc_service.settings import RelayMode

UNKNOWN_TOPIC, TOO_LARGE, NOT_ENOUGH_REPLICAS, TOPIC_NOT_ALLOWED, NOT_ALLOWED = 3, 10, 19, 29, 31
POLICY_VIOLATION, OUT_OF_ORDER, OLD_EPOCH, UNKNOWN_PRODUCER = 44, 45, 47, 59
NOT_LEADER, TIMED_OUT, STORAGE = 6, 7, 56
NOBODY = -1
BODY = b"x" * 100_000  # two of them fit into a batch


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    """Three brokers with topics of one partition, so that everything has to keep its order."""
    with mock_cluster() as cluster:
        for topic in (TOPIC, INTERNAL_TOPIC):
            cluster.make(topic, 1, 3)
        yield cluster


def messages(count: int, body: bytes = BODY) -> Sequence[Message]:
    """Of one application."""
    return [
        Message(topic=TOPIC, id=str(number), type="t", key=UUID(int=1), position=number, body=b"%d " % number + body)
        for number in range(count)
    ]


def told(servers: str, count: int) -> list[bytes]:
    """The bodies in the topic, by another library, once there are *count* of them; 0: what is there now."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "log_level": 0})
    try:
        partitions = [
            TopicPartition(TOPIC, number, 0)
            for number in consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        ]
        count = count or sum(consumer.get_watermark_offsets(one, timeout=10)[1] for one in partitions)
        consumer.assign(partitions)
        found: list[bytes] = []
        deadline = time.monotonic() + 30
        while len(found) < count and time.monotonic() < deadline:
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                found.append(message.value() or b"")
        return found
    finally:
        consumer.close()


@pytest.mark.parametrize("idempotence", ["on", "off"])
async def test_a_refused_batch_is_not_overtaken_by_the_next(cluster: MockCluster, idempotence: str) -> None:
    async with open_kafka(address(f"kafka://{cluster.servers}?idempotence={idempotence}")) as publisher:
        cluster.answer(PRODUCE, POLICY_VIOLATION)
        with pytest.raises(BrokerUnavailable, match=r"^Kafka has not confirmed a message \(PolicyViolationError\)\.$"):
            await publisher.publish(messages(5))
    assert await asyncio.to_thread(told, cluster.servers, 0) == []


@pytest.mark.parametrize("error", [NOT_LEADER, TIMED_OUT, NOT_ENOUGH_REPLICAS, STORAGE])
async def test_what_passes_is_tried_again_in_order(cluster: MockCluster, error: int) -> None:
    async with open_kafka(address(f"kafka://{cluster.servers}")) as publisher:
        cluster.answer(PRODUCE, error, 0, error, error)
        await publisher.publish(messages(5))
    assert await asyncio.to_thread(told, cluster.servers, 5) == [message.body for message in messages(5)]


async def test_a_producer_that_is_closed_sends_nothing_more(cluster: MockCluster) -> None:
    before = asyncio.all_tasks()
    async with open_kafka(address(f"kafka://{cluster.servers}"), patience=1) as publisher:
        for broker in (1, 2, 3):
            cluster.down(broker)
        with pytest.raises(BrokerUnavailable, match=r"^Kafka has not confirmed everything within 1 s"):
            await publisher.publish(messages(5))
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TOO_LARGE, rf"^Kafka does not take 200\d\d\d bytes at once, from the event 0 on: give {TOPIC} a larger max"),
        (TOPIC_NOT_ALLOWED, rf"^Kafka does not let the user write to {TOPIC}\.$"),
    ],
)
async def test_what_the_topic_refuses_is_told_in_one_sentence(cluster: MockCluster, error: int, said: str) -> None:
    async with open_kafka(address(f"kafka://{cluster.servers}")) as publisher:
        cluster.answer(PRODUCE, error)
        with pytest.raises(BrokerRefused, match=said):
            await publisher.publish(messages(3))
    assert await asyncio.to_thread(told, cluster.servers, 0) == []


async def test_a_topic_that_is_missing_is_named(cluster: MockCluster) -> None:
    cluster.refuse(INTERNAL_TOPIC, UNKNOWN_TOPIC)
    with pytest.raises(
        BrokerRefused, match=rf"^Kafka has no topic {INTERNAL_TOPIC}: make {TOPIC} and {INTERNAL_TOPIC}"
    ):
        async with open_kafka(address(f"kafka://{cluster.servers}")):
            raise AssertionError("there is one")


async def test_a_topic_that_the_user_may_not_see_is_named(cluster: MockCluster) -> None:
    cluster.refuse(TOPIC, TOPIC_NOT_ALLOWED)
    with pytest.raises(BrokerRefused, match=rf"^Kafka does not let the user use {TOPIC}\.$"):
        async with open_kafka(address(f"kafka://{cluster.servers}")):
            raise AssertionError("it is allowed")


async def test_who_gets_no_producer_id_is_told_what_helps(cluster: MockCluster) -> None:
    said = r"^Kafka gives no producer id \(\w+\): allow the user IdempotentWrite on the cluster, or add idempotence=off"
    cluster.answer(INIT_PRODUCER, NOT_ALLOWED)
    with kafka_mesh() as mesh:
        for servers in (cluster.servers, mesh):
            with pytest.raises(BrokerRefused, match=said):
                async with open_kafka(address(f"kafka://{servers}")):
                    raise AssertionError("there was one")


async def test_a_partition_that_nobody_leads_is_named(cluster: MockCluster) -> None:
    async with open_kafka(address(f"kafka://{cluster.servers}"), patience=1) as publisher:
        cluster.lead(TOPIC, 0, NOBODY)
        with pytest.raises(
            BrokerUnavailable, match=rf"^Kafka has not confirmed everything within 1 s, and nobody leads {TOPIC}-0\.$"
        ):
            await publisher.publish(messages(3))
        cluster.lead(TOPIC, 0, 1)
    assert await asyncio.to_thread(told, cluster.servers, 0) == []


async def all_told(journal: Journal, servers: str, count: int) -> list[KycEvent]:
    """The events, as soon as *count* different ones are there."""
    found: list[KycEvent] = []

    async def arrived() -> bool:
        found[:] = [parse_event(body) for body in await asyncio.to_thread(told, servers, 0)]
        return len({event.id for event in found}) >= count

    await eventually(arrived, 60)
    return found


@pytest.mark.parametrize("error", [TOO_LARGE, POLICY_VIOLATION, OUT_OF_ORDER, OLD_EPOCH, UNKNOWN_PRODUCER])
async def test_the_relay_begins_anew_where_the_broker_has_lost_count(
    journal: Journal, cluster: MockCluster, error: int
) -> None:
    with capture_logs() as lines:
        async with relaying(journal, f"kafka://{cluster.servers}", RelayMode.TAIL, "kafka"):
            first = await journal.submit()
            await all_told(journal, cluster.servers, 1)
            cluster.answer(PRODUCE, error, error)
            await journal.verify(first)
            others = [await journal.submit() for _ in range(5)]
            events = await all_told(journal, cluster.servers, 7)
    assert [event.type for event in events if event.subject == first] == ["KYC_CREATED", "KYC_VERIFIED"]
    assert [event.subject for event in events if event.type == "KYC_CREATED"] == [first, *others]
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["broker_unavailable"] * 2


async def test_an_event_that_kafka_does_not_take_holds_up_nobody_else(
    journal: Journal, cluster: MockCluster, rabbit: RabbitNode
) -> None:
    consumer = RabbitConsumer(rabbit.url)
    cluster.answer(PRODUCE, *[TOO_LARGE] * 1000)
    with capture_logs() as lines:
        async with (
            relaying(journal, f"kafka://{cluster.servers}", RelayMode.TAIL, "kafka") as log,
            relaying(journal, rabbit.url, RelayMode.TAIL, "rabbitmq"),
        ):
            streams = [await journal.submit() for _ in range(5)]
            assert [event.subject for event in await consumer.events(5)] == streams

            async def refused() -> bool:
                return any("larger max.message.bytes" in line.get("why", "") for line in lines)

            async def caught_up() -> bool:
                return (await log.backlogs(["rabbitmq"]))["rabbitmq"].behind == 0

            await eventually(refused)
            await eventually(caught_up)
            assert (await log.backlogs(["kafka"]))["kafka"].behind == 5
            cluster.forgive(PRODUCE)
            events = await all_told(journal, cluster.servers, 5)
    assert [event.subject for event in events] == streams


async def test_leaders_that_change_and_brokers_that_go_down_lose_nothing(
    journal: Journal, cluster: MockCluster
) -> None:
    over = asyncio.Event()

    async def unrest() -> None:
        """One broker after the other is cut off for a moment, and its partitions go to the next."""
        broker = 1
        while not over.is_set():
            following = broker % 3 + 1
            for topic in (TOPIC, INTERNAL_TOPIC):
                cluster.lead(topic, 0, following)
            cluster.down(broker)
            await asyncio.sleep(0.15)
            cluster.up(broker)
            broker = following
        for topic in (TOPIC, INTERNAL_TOPIC):
            cluster.lead(topic, 0, broker)

    restless = asyncio.create_task(unrest())
    async with relaying(journal, f"kafka://{cluster.servers}", RelayMode.TAIL, "kafka") as log:
        streams = []
        for _ in range(60):
            streams.append(await journal.submit())
            await journal.verify(streams[-1])
            await asyncio.sleep(0.02)
        over.set()
        await restless

        async def caught_up() -> bool:
            return (await log.backlogs(["kafka"]))["kafka"].behind == 0

        await eventually(caught_up, 90)
    events = [parse_event(body) for body in await asyncio.to_thread(told, cluster.servers, 0)]
    arrived = per_application(events)
    assert set(arrived) == set(streams)
    assert all(len(sequences) == 2 and sequences == sorted(sequences) for sequences in arrived.values())


async def test_a_kafka_that_is_down_holds_up_its_own_position_alone(
    journal: Journal, cluster: MockCluster, rabbit: RabbitNode
) -> None:
    consumer = RabbitConsumer(rabbit.url)
    async with (
        relaying(journal, f"kafka://{cluster.servers}", RelayMode.TAIL, "kafka") as log,
        relaying(journal, rabbit.url, RelayMode.TAIL, "rabbitmq"),
    ):
        streams = [await journal.submit()]
        await all_told(journal, cluster.servers, 1)
        for broker in (1, 2, 3):
            cluster.down(broker)
        streams += [await journal.submit() for _ in range(5)]
        assert [event.subject for event in await consumer.events(6)] == streams

        async def caught_up() -> bool:
            return (await log.backlogs(["rabbitmq"]))["rabbitmq"].behind == 0

        await eventually(caught_up)
        assert (await log.backlogs(["kafka"]))["kafka"].behind == 5
        for broker in (1, 2, 3):
            cluster.up(broker)
        events = await all_told(journal, cluster.servers, 6)
    assert [event.subject for event in events] == streams
