"""Commands over Kafka: the same answers, positions that move only after the outcome, and notes instead of copies."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from bus import eventually, unreported
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from crowdpay_contracts import COMMANDS, MEDIA_TYPE, PARKED, REPLIES, amend_command, encode_command, submit_command
from mock_cluster import FIND_COORDINATOR, JOIN_GROUP, SYNC_GROUP, MockCluster, mock_cluster
from nodes import kafka_mesh, mesh_node
from structlog.testing import capture_logs

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.api.answers import Application, Problem
from kyc_service.api.mailbox import Mailbox
from kyc_service.bootstrap import App, build
from kyc_service.messaging.intake import Pace
from kyc_service.messaging.kafka import address
from kyc_service.messaging.kafka_intake import GROUP, READERS, KafkaIntake
from kyc_service.messaging.letters import Answer, Carrier, Fate, Letter
from kyc_service.messaging.parking import Report
from kyc_service.settings import Settings
from kyc_service.store.applications import Page

Bearer: TypeAlias = Callable[..., str]
PACE = Pace(concurrency=4, attempts=3, pause=0.02, limit=10, hold=0.4)
PARTITIONS = 3
UNKNOWN_TOPIC, GROUP_NOT_ALLOWED = 3, 30


def make(servers: str) -> None:
    """The three topics."""
    administrator = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    topics = [NewTopic(COMMANDS, PARTITIONS, 1), NewTopic(PARKED, 1, 1), NewTopic(REPLIES, 1, 1)]
    for made in administrator.create_topics(topics).values():
        made.result(10)


@pytest.fixture
def servers() -> Iterator[str]:
    """A broker of the test's own, with the three topics."""
    with kafka_mesh() as servers:
        make(servers)
        yield servers


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    async with build(settings) as app:
        yield app


@pytest.fixture
def bearer(settings: Settings) -> Bearer:
    issuer = DevelopmentIssuer(settings)

    def header(*roles: str) -> str:
        return f"Bearer {issuer.issue('sandbox', roles or ('submitter',), 'u-1', 'shop', timedelta(minutes=5))}"

    return header


class Sender:
    """Another team's service."""

    def __init__(self, servers: str, producer: AIOKafkaProducer) -> None:
        self._servers = servers
        self._producer = producer

    async def send(self, body: bytes, authorization: str | None, partition: int = 0, **headers: str) -> None:
        """Put one message into the topic of commands."""
        given = {"content-type": MEDIA_TYPE, "reply_to": REPLIES, **headers}
        given |= {"authorization": authorization} if authorization else {}
        encoded = [(name, value.encode()) for name, value in given.items() if value]
        await self._producer.send_and_wait(COMMANDS, body, headers=encoded, partition=partition)

    def read(self, topic: str) -> list[Message]:
        """Everything that the topic holds."""
        consumer = Consumer({"bootstrap.servers": self._servers, "group.id": "test", "auto.offset.reset": "earliest"})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            found: list[Message] = []
            silent = 0
            while silent < 3:
                message = consumer.poll(0.1)
                silent = silent + 1 if message is None else 0
                if message is not None and message.error() is None:
                    found.append(message)
            return found
        finally:
            consumer.close()

    async def answers(self, count: int = 1, topic: str = REPLIES) -> list[Message]:
        """What the topic holds, as soon as it is *count* messages."""
        found: list[Message] = []

        async def come() -> bool:
            found[:] = await asyncio.to_thread(self.read, topic)
            return len(found) >= count

        await eventually(come, 40)
        return found


@pytest.fixture
async def sender(servers: str) -> AsyncIterator[Sender]:
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    yield Sender(servers, producer)
    await producer.stop()


@asynccontextmanager
async def listening(
    servers: str, carry_out: Carrier, pace: Pace = PACE, report: Report = unreported
) -> AsyncIterator[KafkaIntake]:
    """An intake that runs meanwhile, and stops as a process does."""
    intake = KafkaIntake("kafka", address(f"kafka://{servers}"), carry_out, pace, report)
    running = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        intake.stop()
        async with asyncio.timeout(20):
            await running


def form(**replaced: Any) -> dict[str, Any]:
    return {"user_id": str(uuid4()), "email": "alice@example.com", "documents": [], **replaced}


async def test_commands_are_answered_to_the_topic_of_the_sender(
    app: App, servers: str, sender: Sender, bearer: Bearer
) -> None:
    async with listening(servers, Mailbox(app).carry_out):
        submit = encode_command(submit_command(form(), id="1", source="/shop"))
        await sender.send(submit, bearer(), correlation_id="mine")
        (answer,) = await sender.answers()
        application = Application.model_validate_json(answer.value() or b"")
        headers = dict(answer.headers() or [])
        assert headers["correlation_id"] == b"mine"
        assert (headers["content-type"], headers["status"]) == (b"application/json", b"201")

        patch = amend_command(application.id, {"email": "bob@example.com"}, id="2", source="/shop")
        await sender.send(encode_command(patch), bearer(), partition=1)
        *_, answer = await sender.answers(2)
        assert json.loads(answer.value() or b"")["email"] == "bob@example.com"

        await sender.send(submit, bearer(), partition=2)
        *_, again = await sender.answers(3)
        assert json.loads(again.value() or b"")["id"] == str(application.id)
        assert dict(again.headers() or [])["idempotent-replayed"] == b"true"
    assert len(await app.applications.page("sandbox", Page())) == 1
    assert sender.read(PARKED) == []


async def test_what_cannot_be_carried_out_is_told_or_noted_and_blocks_nothing(
    app: App, servers: str, sender: Sender, bearer: Bearer
) -> None:
    canary = encode_command(submit_command(form(email="canary@example.com"), id="1", source="/shop"))
    await sender.send(b"nonsense canary@example.com", None, reply_to="")
    await sender.send(canary, bearer("reader"), reply_to="")
    await sender.send(canary, bearer(), reply_to="payments")
    await sender.send(encode_command(submit_command(form(email="nobody"), id="2", source="/shop")), bearer())
    await sender.send(encode_command(submit_command(form(), id="3", source="/shop")), bearer())
    async with listening(servers, Mailbox(app).carry_out):
        refused, submitted = await sender.answers(2)
        parked = await sender.answers(3, PARKED)
    assert Problem.model_validate_json(refused.value() or b"").code == "validation_failed"
    assert Application.model_validate_json(submitted.value() or b"").version == 1
    notes = [json.loads(note.value() or b"") for note in parked]
    assert [(note["topic"], note["partition"], note["offset"], note["reason"]) for note in notes] == [
        (COMMANDS, 0, 0, "json_invalid"),
        (COMMANDS, 0, 1, "forbidden"),
        (COMMANDS, 0, 2, "reply_address_refused"),
    ]
    assert [dict(note.headers() or [])["kyc-reason"] for note in parked] == [
        b"json_invalid",
        b"forbidden",
        b"reply_address_refused",
    ]
    assert "canary" not in str([(note.key(), note.value(), note.headers()) for note in parked])
    assert len(await app.applications.page("sandbox", Page())) == 1


class Faulty:
    """Fails with what is on the list, and then carries out."""

    def __init__(self, *fates: Fate) -> None:
        self.fates = list(fates)
        self.letters: list[Letter] = []

    async def __call__(self, letter: Letter) -> Answer:
        self.letters.append(letter)
        fate = self.fates.pop(0) if self.fates else Fate.DONE
        reason = None if fate is Fate.DONE else "internal_error"
        return Answer(fate=fate, status=200, media_type="application/json", body=b"", headers={}, reason=reason)


async def test_failures_are_counted_and_outages_are_waited_for(servers: str, sender: Sender) -> None:
    faulty = Faulty(*[Fate.UNAVAILABLE] * 3, *[Fate.FAILED] * PACE.attempts)
    await sender.send(b"x", None)
    await sender.send(b"y", None)
    async with listening(servers, faulty):
        (note,) = await sender.answers(topic=PARKED)
        assert json.loads(note.value() or b"")["reason"] == "internal_error"
        assert [letter.body for letter in faulty.letters] == [b"x"] * (3 + PACE.attempts) + [b"y"]


class Deadly:
    """One command ends whoever carries it out; the test does the killing, because the mock cluster lives with it."""

    def __init__(self) -> None:
        self.struck = asyncio.Event()
        self.letters: list[bytes] = []

    async def __call__(self, letter: Letter) -> Answer:
        self.letters.append(letter.body)
        if letter.body == b"poison":
            self.struck.set()
            await asyncio.Event().wait()
        return Answer(fate=Fate.DONE, status=200, media_type="application/json", body=b"", headers={})


@pytest.mark.long
async def test_a_record_that_ends_its_readers_is_parked_and_the_partition_goes_on(mock: str) -> None:
    deadly, twice = Deadly(), replace(PACE, attempts=2)
    async with AIOKafkaProducer(bootstrap_servers=mock, linger_ms=100) as producer:
        sender = Sender(mock, producer)
        await asyncio.gather(*(sender.send(body, None) for body in (b"before", b"poison", b"after")))
        for _ in range(3):  # at first it is in hand together with the one before
            intake = KafkaIntake("kafka", address(f"kafka://{mock}"), deadly, twice, unreported)
            running = asyncio.create_task(intake.run())
            async with asyncio.timeout(20):
                await deadly.struck.wait()
            running.cancel()
            await asyncio.wait({running})
            deadly.struck.clear()
        async with listening(mock, deadly, twice):
            (note,) = await sender.answers(topic=PARKED)
    assert json.loads(note.value() or b"")["reason"] == "delivered_too_often"
    assert deadly.letters == [b"before", b"poison", b"before", b"poison", b"poison", b"after"]


async def test_a_position_moves_only_after_the_outcome(servers: str, sender: Sender) -> None:
    """The third record of a partition is out of order when the process ends: it is the next one to be read."""
    faulty = Faulty(Fate.DONE, Fate.DONE, *[Fate.UNAVAILABLE] * 1000)
    for body in (b"1", b"2", b"3", b"4"):
        await sender.send(body, None)
    async with listening(servers, faulty):

        async def stuck() -> bool:
            return len(faulty.letters) > 3

        await eventually(stuck, 40)

    def committed() -> list[int]:
        consumer = Consumer({"bootstrap.servers": servers, "group.id": GROUP})
        try:
            partitions = [TopicPartition(COMMANDS, number) for number in range(PARTITIONS)]
            return [partition.offset for partition in consumer.committed(partitions, timeout=10)]
        finally:
            consumer.close()

    assert (await asyncio.to_thread(committed))[0] == 2
    assert {letter.body for letter in faulty.letters} == {b"1", b"2", b"3"}


async def test_what_lies_parked_is_counted_until_its_note_is_read(servers: str, sender: Sender, app: App) -> None:
    async def lies(number: int) -> bool:
        return (await app.log.backlogs(["kafka"]))["kafka"].parked == number

    await app.parked.report("kafka", 7)  # as an earlier intake has left it
    async with listening(servers, Mailbox(app).carry_out, report=app.parked.report):
        await eventually(lambda: lies(0))
        await sender.send(b"no command", None)
        await eventually(lambda: lies(1))
    operator = Consumer({"bootstrap.servers": servers, "group.id": READERS})
    operator.commit(offsets=[TopicPartition(PARKED, 0, 1)], asynchronous=False)
    operator.close()
    async with listening(servers, Mailbox(app).carry_out, report=app.parked.report):
        await eventually(lambda: lies(0))
        await sender.send(b"no command either", None)
        await eventually(lambda: lies(1))


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    """Brokers that do as they are told, with the topics of one partition."""
    with mock_cluster() as cluster:
        for topic in (COMMANDS, PARKED, REPLIES):
            cluster.make(topic, 1, 3)
        yield cluster


async def test_an_intake_that_stops_while_it_joins_its_group_leaves_nothing_behind(cluster: MockCluster) -> None:
    cluster.gather(600_000)
    before = asyncio.all_tasks()  # each connection has one that reads
    with capture_logs() as lines:
        async with listening(cluster.servers, Faulty()):

            async def joining() -> bool:
                return bool(lines) and cluster.asked(JOIN_GROUP)

            await eventually(joining)
    assert lines == [{"event": "listening", "topic": COMMANDS, "log_level": "info"}]
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("request_kind", [FIND_COORDINATOR, JOIN_GROUP, SYNC_GROUP])
async def test_a_group_that_the_user_may_not_join_is_told_in_one_sentence(
    cluster: MockCluster, request_kind: int
) -> None:
    cluster.answer(request_kind, *[GROUP_NOT_ALLOWED] * 1000)
    with capture_logs() as lines:
        async with listening(cluster.servers, Faulty()):

            async def refused() -> bool:
                return any(line["event"] == "broker_unavailable" for line in lines)

            await eventually(refused)
    assert {line["why"] for line in lines if line["event"] == "broker_unavailable"} == {
        f"Kafka does not let the user read {COMMANDS} in the group {GROUP}."
    }


@pytest.mark.parametrize("missing", [COMMANDS, PARKED])
async def test_a_topic_that_is_missing_is_told_in_one_sentence(cluster: MockCluster, missing: str) -> None:
    cluster.refuse(missing, UNKNOWN_TOPIC)
    with capture_logs() as lines:
        async with listening(cluster.servers, Faulty()):

            async def refused() -> bool:
                return bool(lines)

            await eventually(refused, 40)
    assert lines[0]["why"] == (
        f"Kafka has no topic {missing}: make {COMMANDS} and {PARKED}, with as many partitions as you like."
    )


async def test_commands_come_in_again_from_a_broker_that_was_killed() -> None:
    with mesh_node() as node:
        make(node.servers)
        faulty = Faulty()

        async def heard(*bodies: bytes) -> None:
            async def came() -> bool:
                return [letter.body for letter in faulty.letters] == list(bodies)

            await eventually(came, 60)

        async with listening(node.servers, faulty):
            async with AIOKafkaProducer(bootstrap_servers=node.servers) as producer:
                await Sender(node.servers, producer).send(b"before", None)
            await heard(b"before")
            node.kill()
            node.start()
            make(node.servers)
            async with AIOKafkaProducer(bootstrap_servers=node.servers) as producer:
                await Sender(node.servers, producer).send(b"after", None)
            await heard(b"before", b"after")


async def test_commands_survive_brokers_that_go_down_one_after_the_other(cluster: MockCluster) -> None:
    """Each of them is at times the leader, and the coordinator of the group."""
    faulty = Faulty()
    sent = [b"%d" % number for number in range(60)]
    async with (
        listening(cluster.servers, faulty),
        AIOKafkaProducer(bootstrap_servers=cluster.servers, enable_idempotence=True) as producer,
    ):
        sender = Sender(cluster.servers, producer)
        for number, body in enumerate(sent):
            await sender.send(body, None)
            if number % 10 == 5:
                away, following = number // 10 % 3 + 1, (number // 10 + 1) % 3 + 1
                cluster.coordinate(GROUP, following)
                for topic in (COMMANDS, PARKED, REPLIES):
                    cluster.lead(topic, 0, following)
                cluster.down(away)
                await asyncio.sleep(0.2)
                cluster.up(away)

        async def came() -> bool:
            return {letter.body for letter in faulty.letters} == set(sent)

        await eventually(came, 60)
    firsts = list(dict.fromkeys(letter.body for letter in faulty.letters))
    assert firsts == sent
