"""Kafka behind a login that is really checked: events and commands pass it, and a refusal is one clear sentence."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from authority import Authority
from bus import Journal, eventually, relaying, unreported
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from crowdpay_contracts import COMMANDS, PARKED, REPLIES, parse_event
from crowdpay_contracts.envelope import TOPIC
from crowdpay_contracts.internal import INTERNAL_TOPIC
from nodes import free_port, kafka_mesh
from sasl import MECHANISMS, SaslGate, Users
from structlog.testing import capture_logs

from kyc_service.messaging.intake import Pace
from kyc_service.messaging.kafka import address, open_kafka
from kyc_service.messaging.kafka_intake import KafkaIntake
from kyc_service.messaging.letters import Answer, Fate, Letter
from kyc_service.messaging.publisher import BrokerRefused
from kyc_service.settings import RelayMode

USER, PASSWORD = "kyc,relay=1", "p@ss, w/rd=%é"


class Guarded:
    """A broker whose clients must log in, and what it takes to do so."""

    def __init__(self, gate: SaslGate, plain: str, authority: Authority | None) -> None:
        self.gate = gate
        self.plain = plain
        self._authority = authority

    def url(self, mechanism: str, user: str = USER, password: str = PASSWORD) -> str:
        """For the service."""
        scheme = "kafkas" if self._authority else "kafka"
        trusted = f"&cafile={self._authority.file}" if self._authority else ""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"{scheme}://{login}@localhost:{self.gate.port}?sasl={mechanism}&idempotence=off{trusted}"

    def client(self, mechanism: str) -> dict[str, str | int]:
        """For a client of another library."""
        given: dict[str, str | int] = {
            "bootstrap.servers": f"localhost:{self.gate.port}",
            "security.protocol": "SASL_SSL" if self._authority else "SASL_PLAINTEXT",
            "sasl.mechanism": mechanism,
            "sasl.username": USER,
            "sasl.password": PASSWORD,
            "log_level": 0,
        }
        return given | ({"ssl.ca.location": str(self._authority.file)} if self._authority else {})


@asynccontextmanager
async def guarded(authority: Authority | None = None) -> AsyncIterator[Guarded]:
    port = free_port()
    with kafka_mesh(advertised=f"localhost:{port}") as plain:
        gate = SaslGate(plain, port, Users(USER, PASSWORD))
        await gate.open(authority.server if authority else None)
        try:
            yield Guarded(gate, plain, authority)
        finally:
            await gate.close()


@pytest.fixture
async def broker() -> AsyncIterator[Guarded]:
    async with guarded() as broker:
        yield broker


async def made(client: dict[str, str | int], *topics: str) -> None:
    administrator = AdminClient(client)
    for future in administrator.create_topics([NewTopic(topic, 1, 1) for topic in topics]).values():
        await asyncio.to_thread(future.result, 10)


def first(client: dict[str, str | int], topic: str) -> bytes:
    """What stands first in the topic."""
    consumer = Consumer({**client, "group.id": "test"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        for _ in range(300):
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                return message.value() or b""
        raise AssertionError(f"nothing arrived in {topic}")
    finally:
        consumer.close()


async def echoed(letter: Letter) -> Answer:
    return Answer(fate=Fate.DONE, status=200, media_type="", body=b"answer to " + letter.body, headers={})


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_events_and_commands_pass_a_login(journal: Journal, tmp_path: Path, mechanism: str, tls: bool) -> None:
    async with guarded(Authority(tmp_path) if tls else None) as broker:
        client, url = broker.client(mechanism), broker.url(mechanism)
        await made(client, TOPIC, INTERNAL_TOPIC, COMMANDS, PARKED, REPLIES)
        async with relaying(journal, url, RelayMode.TAIL, "kafka"):
            stream = await journal.submit()
            assert parse_event(await asyncio.to_thread(first, client, TOPIC)).subject == stream
        intake = KafkaIntake("kafka", address(url), echoed, Pace(concurrency=1), unreported)
        running = asyncio.create_task(intake.run())
        producer = Producer(client)
        producer.produce(COMMANDS, b"a command", headers=[("reply_to", REPLIES.encode())])
        await asyncio.to_thread(producer.flush, 10)
        assert await asyncio.to_thread(first, client, REPLIES) == b"answer to a command"
        intake.stop()
        await running
        assert set(broker.gate.logins) == {mechanism}


async def refusal(url: str) -> str:
    """What the relay says."""
    with pytest.raises(BrokerRefused) as refused:
        async with open_kafka(address(url)):
            raise AssertionError("there was no need to log in")
    return str(refused.value)


async def logged(url: str) -> Sequence[str]:
    """What the intake says, until it has said why it takes nothing."""
    intake = KafkaIntake("kafka", address(url), echoed, Pace(concurrency=1), unreported)
    with capture_logs() as lines:
        running = asyncio.create_task(intake.run())

        async def told() -> bool:
            return bool(lines)

        await eventually(told, 40)
        intake.stop()
        await running
    return [line.get("why", line["event"]) for line in lines]


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(("user", "password"), [(USER, "another secret"), ("nobody", PASSWORD), (USER, "")])
async def test_a_wrong_login_is_refused_in_one_sentence_without_the_password(
    broker: Guarded, caplog: pytest.LogCaptureFixture, mechanism: str, user: str, password: str
) -> None:
    said = f"Kafka at localhost:{broker.gate.port} refuses the user or the password in KYC_EVENT_BROKER_URL."
    url = broker.url(mechanism, user, password)
    with caplog.at_level(logging.INFO):
        assert await refusal(url) == said
        assert set(await logged(url)) == {said}
    assert broker.gate.logins == []
    assert caplog.messages
    for secret in filter(None, (password, quote(password, safe=""))):
        assert secret not in caplog.text


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_refusal_in_the_words_of_scram_is_understood(broker: Guarded, mechanism: str) -> None:
    broker.gate.politely = False
    said = f"Kafka at localhost:{broker.gate.port} refuses the user or the password in KYC_EVENT_BROKER_URL."
    url = broker.url(mechanism, password="another secret")
    assert await refusal(url) == said
    assert set(await logged(url)) == {said}


async def test_a_mechanism_that_the_broker_does_not_know_is_named(broker: Guarded) -> None:
    broker.gate.mechanisms = ("PLAIN",)
    said = (
        f"Kafka at localhost:{broker.gate.port} does not take SCRAM-SHA-512:"
        " name what it takes by sasl= in KYC_EVENT_BROKER_URL."
    )
    assert await refusal(broker.url("SCRAM-SHA-512")) == said
    assert set(await logged(broker.url("SCRAM-SHA-512"))) == {said}


async def test_who_comes_without_a_login_is_told_that_it_takes_one(broker: Guarded) -> None:
    said = (
        f"Kafka at localhost:{broker.gate.port} hangs up on whoever has no login:"
        " it may want one in KYC_EVENT_BROKER_URL."
    )
    url = f"kafka://localhost:{broker.gate.port}"
    assert await refusal(url) == said
    assert set(await logged(url)) == {said}
