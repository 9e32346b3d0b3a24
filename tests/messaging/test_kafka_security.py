"""Kafka behind TLS: events and commands pass it, and whoever cannot be believed is refused in one clear sentence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from authority import Authority
from bus import Journal, Proxy, eventually, relaying, unreported
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from crowdpay_contracts import COMMANDS, PARKED, parse_event
from crowdpay_contracts.envelope import TOPIC
from crowdpay_contracts.internal import INTERNAL_TOPIC
from nodes import free_port, kafka_mesh

from kyc_service.messaging.intake import Pace
from kyc_service.messaging.kafka import KafkaAddressRefused, address, open_kafka
from kyc_service.messaging.kafka_intake import KafkaIntake
from kyc_service.messaging.letters import Answer, Fate, Letter
from kyc_service.messaging.publisher import BrokerRefused
from kyc_service.settings import RelayMode


class Cluster:
    """A broker that sends its clients to the TLS in front of it, and what a consumer of its own needs."""

    def __init__(self, plain: str, port: int, authority: Authority) -> None:
        self.authority = authority
        self.port = port
        self.plain = plain
        self.url = f"kafkas://localhost:{port}?idempotence=off"
        self.trusted = f"{self.url}&cafile={authority.file}"
        self.client = {
            "bootstrap.servers": f"localhost:{port}",
            "security.protocol": "SSL",
            "ssl.ca.location": str(authority.file),
            "log_level": 0,
        }


@asynccontextmanager
async def _cluster(folder: Path) -> AsyncIterator[Cluster]:
    authority, port = Authority(folder), free_port()
    with kafka_mesh(advertised=f"localhost:{port}") as plain:
        proxy = Proxy(int(plain.rpartition(":")[2]))
        proxy.port = port
        await proxy.open(authority.server)
        cluster = Cluster(plain, port, authority)
        topics = [NewTopic(name, 1, 1) for name in (TOPIC, INTERNAL_TOPIC, COMMANDS, PARKED)]
        try:
            administrator = AdminClient(cluster.client)
            for made in administrator.create_topics(topics).values():
                await asyncio.to_thread(made.result, 10)
            yield cluster
        finally:
            await proxy.close()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with _cluster(tmp_path) as cluster:
        yield cluster


def first(cluster: Cluster) -> bytes:
    """The body of the first event, as a consumer of another library reads it."""
    consumer = Consumer({**cluster.client, "group.id": "test"})
    try:
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        for _ in range(200):
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                return message.value() or b""
        raise AssertionError("no event arrived")
    finally:
        consumer.close()


async def test_events_go_out_through_tls(journal: Journal, cluster: Cluster) -> None:
    async with relaying(journal, cluster.trusted, RelayMode.TAIL, "kafka"):
        stream = await journal.submit()
        assert parse_event(await asyncio.to_thread(first, cluster)).subject == stream


async def test_commands_come_in_through_tls(cluster: Cluster) -> None:
    taken: list[bytes] = []

    async def carry_out(letter: Letter) -> Answer:
        taken.append(letter.body)
        return Answer(fate=Fate.DONE, status=200, media_type="", body=b"", headers={})

    async def came() -> bool:
        return taken == [b"a command"]

    intake = KafkaIntake("kafka", address(cluster.trusted), carry_out, Pace(concurrency=1), unreported)
    running = asyncio.create_task(intake.run())
    producer = Producer(cluster.client)
    producer.produce(COMMANDS, b"a command")
    await asyncio.to_thread(producer.flush, 10)
    await eventually(came, 40)
    intake.stop()
    await running


@pytest.mark.parametrize(
    ("host", "trusting", "why"),
    [("localhost", False, "self-signed certificate"), ("127.0.0.1", True, "IP address mismatch")],
)
async def test_a_certificate_that_nobody_can_believe_is_refused_in_one_sentence(
    cluster: Cluster, host: str, trusting: bool, why: str
) -> None:
    url = (cluster.trusted if trusting else cluster.url).replace("localhost", host)
    with pytest.raises(BrokerRefused, match=rf"^The certificate of Kafka at {host}:{cluster.port} is refused \({why}"):
        async with open_kafka(address(url)):
            raise AssertionError("the certificate was believed")


async def test_a_file_without_certificates_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for content in (None, b"no certificate"):
        path = tmp_path / "authority.pem"
        if content:
            path.write_bytes(content)
        with pytest.raises(BrokerRefused, match=r"^The file that cafile names in KYC_EVENT_BROKER_URL holds no"):
            async with open_kafka(address(f"kafkas://localhost:1?cafile={path}")):
                raise AssertionError("there is nobody")


async def test_what_speaks_no_tls_is_not_reached(cluster: Cluster) -> None:
    with pytest.raises(Exception, match=r"^Kafka cannot be reached"):
        async with open_kafka(address(f"kafkas://{cluster.plain}")):
            raise AssertionError("it is not encrypted")


def test_authorities_are_for_tls_only() -> None:
    with pytest.raises(KafkaAddressRefused, match="kafkas://"):
        address("kafka://localhost?cafile=/ca.pem")
