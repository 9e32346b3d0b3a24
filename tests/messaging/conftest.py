"""Real brokers, a PostgreSQL that streams, and applications that make something to tell."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pika
import psycopg
import pytest
from confluent_kafka import Producer
from psycopg.conninfo import make_conninfo

sys.path.insert(0, str(Path(__file__).parent))

import nodes
from bus import Journal, eventually, journal_of
from crowdpay_contracts import COMMANDS, PARKED
from letterbox import Faulty, Sender, declared, listening
from nodes import LogicalPostgres, RabbitNode, drop_with_its_slots

from kyc_service.messaging.amqp import EXCHANGES
from kyc_service.store.database import migrate


def _present() -> None:
    """CI has everything, so there a lack is a failure."""
    lack = nodes.missing()
    if lack and not os.environ.get("CI"):
        pytest.skip(lack)
    assert lack is None, lack


@pytest.fixture(scope="session")
def rabbit_node() -> Iterator[RabbitNode]:
    """A RabbitMQ of the test run's own."""
    _present()
    with nodes.rabbitmq() as node:
        yield node


@pytest.fixture(scope="session")
def logical_server() -> Iterator[LogicalPostgres]:
    """A PostgreSQL with wal2json of the test run's own."""
    _present()
    with nodes.logical_postgres() as server:
        yield server


@pytest.fixture
def logical(logical_server: LogicalPostgres) -> Iterator[str]:
    """A migrated database of the test's own on the server that streams; its slots go with it."""
    name = f"kyc_test_{uuid4().hex[:12]}"
    with psycopg.connect(logical_server.dsn, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    target = make_conninfo(logical_server.dsn, dbname=name)
    migrate(target)
    yield target
    drop_with_its_slots(logical_server.dsn, name)


@pytest.fixture
def rabbit(rabbit_node: RabbitNode) -> RabbitNode:
    """The node, with nothing of an earlier test in it."""
    with pika.BlockingConnection(pika.URLParameters(rabbit_node.url)) as connection:
        channel = connection.channel()
        for exchange, behind in EXCHANGES.items():
            channel.exchange_delete(exchange)
            channel.exchange_delete(behind)
            channel.queue_delete(behind)
        channel.queue_delete("test")
    return rabbit_node


@pytest.fixture
def clean(rabbit: RabbitNode) -> RabbitNode:
    """The node without any command of an earlier test."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        for queue in (COMMANDS, PARKED):
            channel.queue_delete(queue)
    return rabbit


@pytest.fixture
async def outside(clean: RabbitNode) -> AsyncIterator[Sender]:
    """Somebody who sends while the test decides who listens."""
    async with listening(clean.url, Faulty()):
        await eventually(lambda: declared(clean.url))
    sender = Sender(clean.url)
    yield sender
    sender.close()


@pytest.fixture
async def journal(dsn: str) -> AsyncIterator[Journal]:
    """On the test's ordinary database."""
    async with journal_of(dsn) as journal:
        yield journal


@pytest.fixture
async def logical_journal(logical: str) -> AsyncIterator[Journal]:
    """On the database that streams."""
    async with journal_of(logical) as journal:
        yield journal


@pytest.fixture
def mock() -> Iterator[str]:
    """The mock cluster of librdkafka: three brokers, which lives in this process."""
    cluster = Producer({"bootstrap.servers": "unused:1", "test.mock.num.brokers": 3, "log_level": 0})
    metadata = cluster.list_topics(timeout=10)
    yield ",".join(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())
    cluster.flush(5)
