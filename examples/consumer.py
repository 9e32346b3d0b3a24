"""Example: react to KYC events from RabbitMQ, to each of them once

    pip install crowdpay-contracts pika
    KYC_EVENT_BROKER_URL=amqp://guest:guest@localhost:5672/ python consumer.py

Events arrive at least once. The inbox makes that exactly one effect: the id of the event is remembered in the very
transaction that has the effect, and the message is acknowledged after the commit. SQLite stands for your database.
"""

import os
import sqlite3
import sys

import pika
from crowdpay_contracts import (
    TOPIC,
    InvalidEvent,
    KycCreated,
    KycEvent,
    KycRejected,
    KycRollback,
    KycVerified,
    UnknownEventType,
    parse_event,
)
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, BasicProperties

BROKER = os.getenv("KYC_EVENT_BROKER_URL", "amqp://guest:guest@localhost:5672/")
QUEUE = os.getenv("CONSUMER_QUEUE", "onboarding.kyc")
DATABASE = os.getenv("CONSUMER_DATABASE", "onboarding.sqlite")

SCHEMA = """
create table if not exists inbox (source text, id text, primary key (source, id)) without rowid;
create table if not exists customers (
  application text primary key, sequence text not null, may_trade integer not null, note text not null
) without rowid;
"""


def react(event: KycEvent) -> tuple[bool, str]:
    """What the event means to us: whether the customer may trade, and a word about it."""
    match event:
        case KycCreated():
            return False, "being verified"
        case KycVerified(data=verified):
            # A decision on anything but live evidence is not about a real person.
            return verified.evidence == "live", f"verified on {verified.evidence} evidence"
        case KycRejected(data=rejected):
            return False, "may apply again" if rejected.retryable else "rejected"
        case KycRollback():
            return False, "could not be verified at the moment"


def handle(database: sqlite3.Connection, event: KycEvent) -> bool:
    """Have the effect and remember the event, both or neither; False when it was dealt with before."""
    may_trade, note = react(event)
    with database:  # one transaction
        new = database.execute("insert or ignore into inbox values (?, ?)", (event.source, event.id)).rowcount
        if not new:
            return False
        # Repetitions may also arrive late: what is newer stays.
        database.execute(
            "insert into customers values (?, ?, ?, ?) on conflict (application) do update"
            " set sequence = excluded.sequence, may_trade = excluded.may_trade, note = excluded.note"
            " where excluded.sequence > customers.sequence",
            (str(event.subject), event.sequence, may_trade, note),
        )
    return True


def main() -> None:
    database = sqlite3.connect(DATABASE)
    database.executescript(SCHEMA)
    connection = pika.BlockingConnection(pika.URLParameters(BROKER))
    channel = connection.channel()
    channel.queue_declare(
        QUEUE,
        durable=True,
        # What we fail on again and again goes to a queue of its own and blocks nothing.
        arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": 5,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"{QUEUE}.parked",
        },
    )
    channel.queue_declare(f"{QUEUE}.parked", durable=True, arguments={"x-queue-type": "quorum"})
    # As the relay declares it, so that either of us may be first; see docs/relay.md.
    channel.exchange_declare(f"{TOPIC}.unrouted", "fanout", durable=True)
    channel.exchange_declare(TOPIC, "topic", durable=True, arguments={"alternate-exchange": f"{TOPIC}.unrouted"})
    for event_type in ("KYC_CREATED", "KYC_VERIFIED", "KYC_REJECTED", "KYC_ROLLBACK"):
        channel.queue_bind(QUEUE, TOPIC, event_type)
    channel.basic_qos(prefetch_count=50)

    def take(channel: BlockingChannel, method: Basic.Deliver, _: BasicProperties, body: bytes) -> None:
        tag = method.delivery_tag or 0
        try:
            event = parse_event(body)
        except UnknownEventType:
            channel.basic_ack(tag)  # of a later version: not for us
            return
        except InvalidEvent as error:
            print(f"parked: {error}", file=sys.stderr)
            channel.basic_reject(tag, requeue=False)
            return
        new = handle(database, event)
        print(f"{event.type} {event.subject}{'' if new else ' (again)'}", flush=True)
        channel.basic_ack(tag)  # after the commit, never before

    channel.basic_consume(QUEUE, take)
    print("waiting for events", flush=True)
    try:
        channel.start_consuming()
    except KeyboardInterrupt:
        connection.close()


if __name__ == "__main__":
    main()
