"""The consumer example has each event's effect once, whatever is delivered twice and whenever it is killed."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pika
import psycopg
import pytest
from bus import Journal, eventually, relaying
from crowdpay_contracts import TOPIC
from nodes import RabbitNode

from kyc_service.settings import RelayMode

EXAMPLE = Path(__file__).parents[2] / "examples" / "consumer.py"
QUEUE = "example"
PARKED = "example.parked"
Start: TypeAlias = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start(rabbit: RabbitNode, tmp_path: Path) -> Iterator[Start]:
    """Starts the example, as its own words say; it is ended with the test."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        for queue in (QUEUE, PARKED):
            connection.channel().queue_delete(queue)
    environment = {
        **os.environ,
        "KYC_EVENT_BROKER_URL": rabbit.url,
        "CONSUMER_QUEUE": QUEUE,
        "CONSUMER_DATABASE": str(tmp_path / "onboarding.sqlite"),
    }
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "output").open("ab") as output:
            processes.append(
                subprocess.Popen([sys.executable, str(EXAMPLE)], env=environment, stdout=output, stderr=output)
            )
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def said(folder: Path) -> str:
    """What the example has printed."""
    return (folder / "output").read_text()


def customers(folder: Path) -> dict[str, tuple[int, str]]:
    """What the example knows."""
    with sqlite3.connect(folder / "onboarding.sqlite") as database:
        rows = database.execute("select application, may_trade, note from customers").fetchall()
    database.close()
    return {application: (may_trade, note) for application, may_trade, note in rows}


async def test_each_event_has_one_effect(
    journal: Journal, rabbit: RabbitNode, start: Start, tmp_path: Path, dsn: str
) -> None:
    consumer = start()
    await eventually(lambda: asyncio.sleep(0, "waiting" in said(tmp_path)))
    async with relaying(journal, rabbit.url, RelayMode.TAIL):
        streams = [await journal.submit() for _ in range(12)]
        await eventually(lambda: asyncio.sleep(0, said(tmp_path).count("KYC_CREATED") >= 5))
        consumer.send_signal(signal.SIGKILL)
        consumer.wait()
        for stream in streams[:6]:
            await journal.verify(stream)
        consumer = start()
        expected = {
            str(stream): (0, "verified on simulated evidence" if stream in streams[:6] else "being verified")
            for stream in streams
        }
        await eventually(lambda: asyncio.sleep(0, customers(tmp_path) == expected), 40)

    # Everything once more, as after a relay that was killed before it could save its position.
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("update checkpoints set position = 0")
    async with relaying(journal, rabbit.url, RelayMode.TAIL):
        await eventually(lambda: asyncio.sleep(0, said(tmp_path).count("(again)") >= 18), 40)
    assert customers(tmp_path) == expected

    consumer.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(consumer.wait, 10) == 0
    assert "Traceback" not in said(tmp_path)


async def test_what_is_no_event_is_parked_and_what_is_of_a_later_version_is_skipped(
    rabbit: RabbitNode, start: Start, tmp_path: Path
) -> None:
    start()
    await eventually(lambda: asyncio.sleep(0, "waiting" in said(tmp_path)))
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        for body in (b"nonsense", b'{"type": "KYC_ARCHIVED"}'):
            channel.basic_publish(TOPIC, "KYC_CREATED", body)

        async def parked() -> bool:
            method, properties, body = channel.basic_get(PARKED, auto_ack=True)
            return (
                method is not None and body == b"nonsense" and properties.headers["x-death"][0]["reason"] == "rejected"
            )

        await eventually(parked)
        assert channel.queue_declare(PARKED, passive=True).method.message_count == 0
    assert customers(tmp_path) == {}


def test_the_example_publishes_nothing() -> None:
    assert "basic_publish" not in EXAMPLE.read_text(encoding="utf-8")
