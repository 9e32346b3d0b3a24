"""Processes that take commands are killed at random: every command has one outcome, and whoever asked is told it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, TypeAlias
from uuid import uuid4

import pika
import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from bus import eventually
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from crowdpay_contracts import COMMANDS, MEDIA_TYPE, PARKED, REPLIES, encode_command, submit_command
from nodes import RabbitNode, kafka_mesh

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.settings import Settings

Start: TypeAlias = Callable[[str], "Process"]
Told: TypeAlias = dict[str, set[str]]
SENDERS = 30


class Process:
    """`kyc inbox`, which can be killed and started again."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._before = 0
        self.start()

    def start(self) -> None:
        """Start it, without waiting."""
        self._before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kyc_service.cli.main", "inbox"],
                env={**os.environ, **self._environment},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """As an operator does."""
        self._process.terminate()
        return self._process.wait(30)

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._process.poll() is None

    @property
    def listening(self) -> bool:
        """Whether it has said so since it was started last."""
        return b"listening" in self._log.read_bytes()[self._before :]


@pytest.fixture
def start(dsn: str, tmp_path: Path) -> Iterator[Start]:
    """Starts `kyc inbox` on the test's database, for one broker; everything is killed in the end."""
    processes: list[Process] = []

    def start(url: str) -> Process:
        environment = {"KYC_DB_DSN": dsn, "KYC_STATE_DIR": str(tmp_path), "KYC_EVENT_BROKER_URL": url}
        processes.append(Process(environment, tmp_path / f"inbox-{len(processes)}.log"))
        return processes[-1]

    yield start
    for process in processes:
        if process.running:
            process.kill()


@pytest.fixture
def authorization(tmp_path: Path) -> str:
    """The header of somebody who may submit."""
    issuer = DevelopmentIssuer(Settings(_env_file=None, state_dir=tmp_path))
    return f"Bearer {issuer.issue('sandbox', ('submitter',), 'u-1', 'shop', timedelta(hours=1))}"


def command(number: int) -> bytes:
    form: dict[str, Any] = {"user_id": str(uuid4()), "email": f"{number}@example.com", "documents": []}
    return encode_command(submit_command(form, id=f"command-{number}", source="/shop"))


async def reap(processes: list[Process], kills: int, pause: float, dice: Random) -> None:
    """Kill one after another, at a moment that nobody has chosen."""
    for number in range(kills):
        await asyncio.sleep(pause * dice.uniform(0.5, 1.5))
        victim = processes[number % len(processes)]
        await asyncio.to_thread(victim.kill)
        victim.start()


async def one_outcome_each(dsn: str, told: Told) -> None:
    """What the senders were told is what the log holds, and nothing more."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        rows = await (await connection.execute("select stream, meta ->> 'causation' from events")).fetchall()
    assert {causation: {str(stream)} for stream, causation in rows} == told
    assert len(rows) == len(told) == SENDERS


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_rabbitmq_commands_survive_every_kill(
    rabbit: RabbitNode, start: Start, authorization: str, dsn: str, dice: Random
) -> None:
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        for queue in (COMMANDS, PARKED):
            connection.channel().queue_delete(queue)
    processes = [start(rabbit.url), start(rabbit.url)]

    async def listening() -> bool:
        return all(process.listening for process in processes)

    await eventually(listening, 60)
    told: Told = {}

    def converse(step: Callable[[Any, str], None]) -> None:
        with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("kyc.replies.test", durable=True)
            step(channel, "kyc.replies.test")

    def send(channel: Any, address: str) -> None:
        for number in range(SENDERS):
            body = command(number)
            for _ in range(dice.choice((1, 1, 2))):  # some senders lose a confirm and send again
                properties = pika.BasicProperties(
                    content_type=MEDIA_TYPE,
                    correlation_id=f"command-{number}",
                    reply_to=address,
                    delivery_mode=2,
                    headers={"authorization": authorization},
                )
                channel.basic_publish("", COMMANDS, body, properties, mandatory=True)
            channel.connection.sleep(dice.uniform(0, 0.4))

    def hear(channel: Any, address: str) -> None:
        while True:
            method, properties, body = channel.basic_get(address, auto_ack=True)
            if method is None:
                return
            told.setdefault(properties.correlation_id, set()).add(json.loads(body)["id"])

    await asyncio.gather(asyncio.to_thread(converse, send), reap(processes, 5, 1.5, dice))

    async def everybody() -> bool:
        await asyncio.to_thread(converse, hear)
        return len(told) == SENDERS

    await eventually(everybody, 90)
    await eventually(listening, 60)
    assert [process.stop() for process in processes] == [0, 0]
    await asyncio.to_thread(converse, hear)
    await one_outcome_each(dsn, told)
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        for queue in (COMMANDS, PARKED):
            assert channel.queue_declare(queue, passive=True).method.message_count == 0
        channel.queue_delete("kyc.replies.test")


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_kafka_commands_survive_every_kill(start: Start, authorization: str, dsn: str) -> None:
    with kafka_mesh() as servers:
        administrator = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        topics = [NewTopic(COMMANDS, 2, 1), NewTopic(PARKED, 1, 1), NewTopic(REPLIES, 1, 1)]
        for made in administrator.create_topics(topics).values():
            made.result(10)
        process = start(f"kafka://{servers}")
        told: Told = {}
        everybody = told_over_kafka(servers, told)

        for first, last in pairwise((0, 10, 20, SENDERS)):
            sending = asyncio.create_task(send_over_kafka(servers, authorization, range(first, last)))

            async def some(count: int = first + 3) -> bool:
                await everybody()
                return len(told) >= count

            await eventually(some, 90)
            if last < SENDERS:
                await asyncio.to_thread(process.kill)
                process.start()
            await sending
        await eventually(everybody, 120)
        assert process.stop() == 0
        await everybody()
        await one_outcome_each(dsn, told)


async def send_over_kafka(servers: str, authorization: str, numbers: range) -> None:
    """Some commands, a few a second."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        for number in numbers:
            headers = {
                "content-type": MEDIA_TYPE,
                "authorization": authorization,
                "reply_to": REPLIES,
                "correlation_id": f"command-{number}",
            }
            encoded = [(name, value.encode()) for name, value in headers.items()]
            await producer.send_and_wait(COMMANDS, command(number), headers=encoded, partition=number % 2)
            await asyncio.sleep(0.2)
    finally:
        await producer.stop()


def told_over_kafka(servers: str, told: Told) -> Callable[[], Awaitable[bool]]:
    """Notes what the topic of replies holds; whether everybody was told."""

    def read() -> None:
        consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "earliest"})
        try:
            consumer.assign([TopicPartition(REPLIES, 0, 0)])
            silent = 0
            while silent < 3:
                message = consumer.poll(0.1)
                silent = silent + 1 if message is None else 0
                if message is not None and message.error() is None:
                    name = dict(message.headers() or [])["correlation_id"].decode()
                    told.setdefault(name, set()).add(json.loads(message.value() or b"")["id"])
        finally:
            consumer.close()

    async def everybody() -> bool:
        await asyncio.to_thread(read)
        return len(told) == SENDERS

    return everybody
