"""Kafka gets the same events: idempotent, keyed by application, read by a consumer of another library."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest
from bus import Journal, eventually, relaying
from cloudevents.v1.http import from_json
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from crowdpay_contracts.envelope import TOPIC, parse_event
from nodes import kafka_mesh

from kyc_service.messaging.kafka import address, open_kafka
from kyc_service.messaging.publisher import BrokerUnavailable
from kyc_service.messaging.publisher import Message as Outgoing
from kyc_service.settings import RelayMode


@pytest.fixture(scope="module")
def mesh() -> Iterator[str]:
    """A broker of another make, as a process."""
    with kafka_mesh() as server:
        yield server


def consumed(servers: str, count: int) -> list[Message]:
    """The first *count* messages of the topic, read by a plain consumer of each partition."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "earliest"})
    try:
        partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in partitions])
        found: list[Message] = []
        for _ in range(200):
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                found.append(message)
            if len(found) >= count:
                break
        return found
    finally:
        consumer.close()


async def told_to(servers: str, journal: Journal, options: str = "") -> list[UUID]:
    """Twenty applications are submitted and verified, and the broker is told."""
    async with relaying(journal, f"kafka://{servers}{options}", RelayMode.TAIL, "kafka") as log:
        streams = [await journal.submit() for _ in range(20)]
        for stream in streams:
            await journal.verify(stream)

        async def told() -> bool:
            return (await log.backlogs(["kafka"]))["kafka"].behind == 0

        await eventually(told, 60)
    return streams


async def test_an_idempotent_producer_tells_the_mock_cluster(journal: Journal, mock: str) -> None:
    streams = await told_to(mock, journal)
    messages = await asyncio.to_thread(consumed, mock, 40)
    assert len(messages) == 40
    for message in messages:
        event = parse_event(message.value())
        assert message.key() == str(event.subject).encode()
        assert dict(message.headers()) == {"content-type": b"application/cloudevents+json"}
        assert from_json(message.value())["partitionkey"] == str(event.subject)
    for stream in streams:
        own = [message for message in messages if message.key() == str(stream).encode()]
        assert [parse_event(message.value()).type for message in own] == ["KYC_CREATED", "KYC_VERIFIED"]
        assert len({message.partition() for message in own}) == 1


async def test_a_broker_without_producer_ids_is_told_too(journal: Journal, mesh: str) -> None:
    administrator = AdminClient({"bootstrap.servers": mesh})
    administrator.create_topics([NewTopic(TOPIC, 3, 1)])[TOPIC].result(10)
    streams = await told_to(mesh, journal, "?idempotence=off")
    messages = await asyncio.to_thread(consumed, mesh, 40)
    read = [parse_event(message.value()) for message in messages]
    assert {event.subject for event in read} == set(streams)
    for stream in streams:
        assert [event.type for event in read if event.subject == stream] == ["KYC_CREATED", "KYC_VERIFIED"]


async def test_a_broker_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(BrokerUnavailable, match="cannot be reached"):
        async with open_kafka(address("kafka://127.0.0.1:1")) as publisher:
            await publisher.publish([Outgoing(id="1", type="t", key=UUID(int=1), body=b"{}")])
