"""Every event reaches the broker, in order, and whatever is down stops nothing but its own position."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from uuid import UUID

import pika
import psycopg
import pytest
from bus import SCREENED, Consumer, Journal, Proxy, conforms, eventually, journal_of, per_application, relaying
from cloudevents.v1.http import from_json
from crowdpay_contracts.envelope import TOPIC
from crowdpay_contracts.internal import INTERNAL_TOPIC, parse_alert
from nodes import RabbitNode, kafka_mesh
from structlog.testing import capture_logs

from kyc_service.application.published import CONFIDED, PUBLISHED
from kyc_service.domain.clearance import Hit
from kyc_service.messaging.amqp import UNROUTED
from kyc_service.messaging.brokers import Broker, opened
from kyc_service.messaging.publisher import BrokerUnavailable, Message
from kyc_service.messaging.relay import Relay
from kyc_service.settings import RelayMode
from kyc_service.store.following import GATHERING, LONGEST_GATHERING, Batch, Log, gathering
from kyc_service.store.wal import CURES


@pytest.fixture(params=[RelayMode.TAIL, RelayMode.WAL2JSON])
def mode(request: pytest.FixtureRequest) -> RelayMode:
    """Both ways to follow the log keep the same promises."""
    found: RelayMode = request.param
    return found


@pytest.fixture
async def anywhere(logical: str) -> AsyncIterator[Journal]:
    """On the database that streams, where both ways work."""
    async with journal_of(logical) as journal:
        yield journal


async def streaming(journal: Journal) -> bool:
    """Whether somebody follows the slot of the database."""
    async with journal.database.any() as connection:
        cursor = await connection.execute(
            "select bool_or(active) from pg_replication_slots where database = current_database()"
        )
        return await cursor.fetchone() == (True,)


async def all_told(log: Log, name: str = "rabbitmq") -> None:
    async def told() -> bool:
        return (await log.backlogs([name]))[name].behind == 0

    await eventually(told)


async def test_every_event_arrives_once_and_in_order(anywhere: Journal, rabbit: RabbitNode, mode: RelayMode) -> None:
    consumer = Consumer(rabbit.url)
    earlier = [await anywhere.submit() for _ in range(5)]
    async with relaying(anywhere, rabbit.url, mode) as log:
        assert [event.subject for event in await consumer.events(5)] == earlier
        if mode is RelayMode.WAL2JSON:
            await eventually(partial(streaming, anywhere))
        streams = [await anywhere.submit() for _ in range(20)]
        for stream in streams:
            await anywhere.verify(stream)
        events = await consumer.events(40)
        assert [event.type for event in events] == ["KYC_CREATED"] * 20 + ["KYC_VERIFIED"] * 20
        assert [event.subject for event in events] == streams * 2
        assert sorted(event.sequence for event in events) == [event.sequence for event in events]
        await all_told(log)
    async with relaying(anywhere, rabbit.url, mode) as log:
        late = await anywhere.submit()
        assert [event.subject for event in await consumer.events(1)] == [late], "the position was not saved"


async def test_a_plain_consumer_and_the_official_reader_read_it(journal: Journal, rabbit: RabbitNode) -> None:
    consumer = Consumer(rabbit.url, binding="KYC_CREATED")
    stream = await journal.submit()
    await journal.verify(stream)
    async with relaying(journal, rabbit.url, RelayMode.TAIL) as log:
        await all_told(log)
    ((method, properties, body),) = consumer.taken()
    event = from_json(body)
    assert (event["type"], event["subject"], event["tenantid"]) == ("KYC_CREATED", str(stream), "sandbox")
    assert event["partitionkey"] == str(stream)
    assert (method.exchange, method.routing_key) == (TOPIC, "KYC_CREATED")
    assert properties.content_type == "application/cloudevents+json"
    assert (properties.message_id, properties.type, properties.delivery_mode) == (event["id"], "KYC_CREATED", 2)


async def test_what_nobody_has_asked_for_is_kept_and_counted(journal: Journal, rabbit: RabbitNode) -> None:
    consumer = Consumer(rabbit.url, binding="KYC_VERIFIED")
    stream = await journal.submit()
    async with relaying(journal, rabbit.url, RelayMode.TAIL) as log:

        async def counted() -> bool:
            return (await log.backlogs(["rabbitmq"]))["rabbitmq"].unrouted == 1

        await eventually(counted)
        await journal.verify(stream)
        assert [event.type for event in await consumer.events(1)] == ["KYC_VERIFIED"]
    ((method, _, _),) = consumer.taken(UNROUTED)
    assert method.routing_key == "KYC_CREATED"


async def test_what_is_unrouted_is_counted_while_nothing_else_happens(
    journal: Journal, rabbit: RabbitNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kyc_service.messaging.relay.COUNTING", 0.5)
    consumer = Consumer(rabbit.url, binding=None)
    async with relaying(journal, rabbit.url, RelayMode.TAIL) as log:

        async def counted(number: int) -> bool:
            return (await log.backlogs(["rabbitmq"]))["rabbitmq"].unrouted == number

        with capture_logs() as said:
            await journal.submit()
            await eventually(lambda: counted(1))
            await journal.submit()  # right after a count, and the last for a long time
            await eventually(lambda: counted(2))
            assert len(consumer.taken(UNROUTED)) == 2
            await eventually(lambda: counted(0))
    assert [line["waiting"] for line in said if line["event"] == "unrouted"] == [1, 2], "each number is said once"


async def test_the_compliance_desk_is_told_of_a_possible_hit_and_nobody_else(
    journal: Journal, rabbit: RabbitNode
) -> None:
    consumer = Consumer(rabbit.url)
    stream = await journal.submit(terms=SCREENED)
    await journal.verify(stream)
    await journal.suspect(stream, Hit(id=UUID(int=7), list="us_ofac_sdn", entry="us_ofac_sdn:1", probability=0.9))
    async with relaying(journal, rabbit.url, RelayMode.TAIL) as log:

        async def kept() -> bool:  # the desk has bound no queue yet, so it waits behind its own exchange
            return (await log.backlogs(["rabbitmq"]))["rabbitmq"].unrouted == 1

        await eventually(kept)
        assert [event.type for event in await consumer.events(1)] == ["KYC_CREATED"]
    ((method, _, body),) = consumer.taken(f"{INTERNAL_TOPIC}.unrouted")
    assert (method.exchange, method.routing_key) == (INTERNAL_TOPIC, "KYC_SCREENING_ALERT")
    conforms("KYC_SCREENING_ALERT", body)
    alert = parse_alert(body)
    assert (alert.subject, alert.data.hits, alert.data.occasion) == (stream, (UUID(int=7),), "onboarding")
    assert b"us_ofac_sdn:1" not in body
    assert consumer.taken() == []


async def test_a_broker_that_is_away_holds_up_nobody_else(journal: Journal, rabbit: RabbitNode) -> None:
    consumer = Consumer(rabbit.url)
    proxy = Proxy(rabbit.port)
    async with (
        relaying(journal, proxy.url, RelayMode.TAIL, "away") as log,
        relaying(journal, rabbit.url, RelayMode.TAIL),
    ):
        streams = [await journal.submit() for _ in range(3)]
        assert [event.subject for event in await consumer.events(3)] == streams
        backlogs = await log.backlogs(["away", "rabbitmq"])
        assert backlogs["away"].behind == 3
        assert backlogs["away"].oldest == (await journal.applications.history("sandbox", streams[0]))[0].at
        await proxy.open()
        assert [event.subject for event in await consumer.events(3)] == streams
        await all_told(log, "away")
        await proxy.close()


async def test_a_connection_that_is_cut_while_publishing_loses_nothing(
    anywhere: Journal, rabbit: RabbitNode, mode: RelayMode
) -> None:
    consumer = Consumer(rabbit.url)
    proxy = Proxy(rabbit.port)
    await proxy.open()
    streams = [await anywhere.submit() for _ in range(40)]
    for stream in streams:
        await anywhere.verify(stream)
    proxy.cut_after = 20_000
    async with relaying(anywhere, proxy.url, mode) as log:
        await all_told(log)
        events = await consumer.events(80)
        assert proxy.cut_after is None, "nothing was cut"
    await proxy.close()
    found = per_application(events)
    assert set(found) == set(streams)
    assert all(len(sequences) == 2 and sequences == sorted(sequences) for sequences in found.values())


async def test_a_broker_that_refuses_messages_gets_them_later_and_in_order(
    journal: Journal, rabbit: RabbitNode
) -> None:
    """A full queue that rejects what it is given: the broker answers with a nack, now and then."""
    consumer = Consumer(rabbit.url, binding=None)
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        channel.queue_delete("test")
        channel.queue_declare("test", durable=True, arguments={"x-max-length": 10, "x-overflow": "reject-publish"})
        channel.queue_bind("test", TOPIC, "#")
    streams = [await journal.submit() for _ in range(15)]
    for stream in streams:
        await journal.verify(stream)
    with capture_logs() as said:

        async def refused() -> bool:
            return "broker_unavailable" in [line["event"] for line in said]

        async with relaying(journal, rabbit.url, RelayMode.TAIL):
            await eventually(refused)
    async with relaying(journal, rabbit.url, RelayMode.TAIL) as log:
        assert (await log.backlogs(["rabbitmq"]))["rabbitmq"].behind > 0
        events = []
        async with asyncio.timeout(30):
            while len({event.id for event in events}) < 30:
                events += await consumer.events(1)
        await all_told(log)
    found = per_application(events)
    assert set(found) == set(streams)
    assert all(len(sequences) == 2 and sequences == sorted(sequences) for sequences in found.values())


async def test_a_broker_whose_memory_is_full_holds_up_nobody_else(journal: Journal, rabbit: RabbitNode) -> None:
    """RabbitMQ reads nothing more from those who publish until its alarm is over."""
    consumer = Consumer(rabbit.url)
    with kafka_mesh() as server:
        async with (
            relaying(journal, rabbit.url, RelayMode.TAIL) as log,
            relaying(journal, f"kafka://{server}?idempotence=off", RelayMode.TAIL, "kafka"),
        ):
            before = await journal.submit()
            assert [event.subject for event in await consumer.events(1)] == [before]
            await asyncio.to_thread(rabbit.control, "set_vm_memory_high_watermark", "0")
            try:
                streams = [await journal.submit() for _ in range(20)]
                await all_told(log, "kafka")
                assert (await log.backlogs(["rabbitmq"]))["rabbitmq"].behind == 20
                assert consumer.taken() == []
            finally:
                await asyncio.to_thread(rabbit.control, "set_vm_memory_high_watermark", "absolute", "1GB")
            assert [event.subject for event in await consumer.events(20)] == streams
            await all_told(log)


async def test_what_the_broker_sends_back_was_not_told(rabbit: RabbitNode) -> None:
    lost = Message(topic=TOPIC, id=str(UUID(int=1)), type="KYC_CREATED", key=UUID(int=1), position=1, body=b"{}")
    async with opened(Broker(name="rabbitmq", url=rabbit.url)) as publisher:
        with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
            connection.channel().exchange_delete(TOPIC)
            connection.channel().exchange_declare(TOPIC, "topic", durable=True)  # with nothing behind it
        with pytest.raises(BrokerUnavailable, match="not confirmed"):
            await publisher.publish([lost])


async def test_a_body_larger_than_a_frame_arrives_whole(rabbit: RabbitNode) -> None:
    consumer = Consumer(rabbit.url)
    body = bytes(range(256)) * 2000
    large = Message(topic=TOPIC, id=str(UUID(int=1)), type="KYC_CREATED", key=UUID(int=1), position=1, body=body)
    async with opened(Broker(name="rabbitmq", url=rabbit.url)) as publisher:
        await publisher.publish([large])
    ((_, _, found),) = consumer.taken()
    assert found == body


def test_the_more_events_come_the_longer_they_gather_but_for_a_full_batch() -> None:
    assert [gathering(number, 512) for number in (1, 11, 200)] == [0, 10 * GATHERING, LONGEST_GATHERING]
    assert gathering(512, 512) == 0


async def test_after_many_events_the_next_ones_gather(journal: Journal) -> None:
    log = Log(database=journal.database, target=journal.database.target, mode=RelayMode.TAIL, bell=journal.bells.reader)
    await asyncio.gather(*(journal.submit() for _ in range(200)))
    async with log.follow("rabbitmq") as following:
        batch = await following.next()
        began = time.monotonic()
        assert len(batch.publications) == 200
        await journal.submit()
        await following.next()
        assert time.monotonic() - began > LONGEST_GATHERING / 2


def test_the_database_counts_every_kind_of_event_that_is_told(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select proname, prosrc from pg_proc where proname in ('backlogs', 'feed_news')")
        named = {function: set(re.findall(r"'([A-Z]\w+)'", source)) for function, source in rows.fetchall()}
    public = {kind.__name__ for kind in PUBLISHED}
    assert named == {"backlogs": public | {kind.__name__ for kind in CONFIDED}, "feed_news": public}


async def test_a_slot_that_cannot_be_had_is_told_once_and_the_table_is_followed(
    journal: Journal, rabbit: RabbitNode
) -> None:
    consumer = Consumer(rabbit.url)
    with capture_logs() as said:
        async with relaying(journal, rabbit.url, RelayMode.WAL2JSON, slot_again=0.05):
            stream = await journal.submit()
            assert [event.subject for event in await consumer.events(1)] == [stream]
            await asyncio.sleep(1)  # in which it tries again and again
    told = [line["why"] for line in said if line["event"] == "slot"]
    (sentence,) = told
    assert "followed through its table" in sentence
    assert any(cure in sentence for cure in CURES.values())


async def test_one_relay_follows_and_another_takes_over(journal: Journal, rabbit: RabbitNode) -> None:
    consumer = Consumer(rabbit.url)
    with capture_logs() as said:
        async with relaying(journal, rabbit.url, RelayMode.TAIL) as second:
            async with relaying(journal, rabbit.url, RelayMode.TAIL):
                await journal.submit()
                assert len(await consumer.events(1)) == 1
                await asyncio.sleep(1)
                assert [line["event"] for line in said].count("relaying") == 1
            await journal.submit()
            await consumer.events(1)
            await all_told(second)
    assert consumer.taken() == []


class Endless:
    """A log that always has more."""

    async def next(self) -> Batch:
        return Batch(publications=())

    async def done(self, batch: Batch) -> None:
        assert batch == Batch(publications=())

    async def unrouted(self, count: int) -> None:
        assert count == 0


class Deaf:
    """A broker's client that loses a cancellation, as `wait_for` of Python 3.11 may."""

    def __init__(self) -> None:
        self.counting = asyncio.Event()

    async def publish(self, messages: Sequence[Message]) -> None:
        await asyncio.sleep(len(messages))

    async def lost(self) -> None:
        await asyncio.Event().wait()

    async def unrouted(self) -> int:
        self.counting.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        return 0


async def test_a_relay_ends_when_it_is_told_to_whatever_a_client_does_with_that() -> None:
    deaf = Deaf()
    relay = Relay("deaf", "/kyc", lambda _: nullcontext(Endless()), lambda: nullcontext(deaf))
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(20):
        await deaf.counting.wait()
    running.cancel()
    await asyncio.wait({running}, timeout=5)
    assert running.cancelled()


def test_the_second_message_of_an_application_waits_for_the_first() -> None:

    from kyc_service.messaging.amqp import waves

    def message(number: int, key: int) -> Message:
        return Message(topic=TOPIC, id=str(number), type="t", key=UUID(int=key), position=number, body=b"")

    given = [message(number, key) for number, key in enumerate((1, 2, 1, 3, 1, 2))]
    parts = [[one.id for one in part] for part in waves(given)]
    assert parts == [["0", "1", "3"], ["2", "5"], ["4"]]
