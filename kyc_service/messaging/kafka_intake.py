"""Commands from Kafka: one group of consumers, positions committed after the outcome, answers to a topic of the sender.

The commands of one partition are carried out one after another. A record cannot be moved: `kyc.commands.parked` tells
where the one that could not be carried out stands and why, and holds nothing of it. Kafka does not count deliveries, so
the count stands beside the position: a record that ends every process that reads it is parked as well.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from crowdpay_contracts.commands import COMMANDS, PARKED, REPLIES
from pydantic_core import to_json

from kyc_service.messaging import parking
from kyc_service.messaging.intake import ADDRESS_REFUSED, DELIVERED_TOO_OFTEN, Clerk, Pace, lasting, parked
from kyc_service.messaging.kafka import NO_LOGIN, Address, found, security, stopped, unreachable
from kyc_service.messaging.letters import Answer, Carrier, Fate, Letter
from kyc_service.messaging.parking import Report, Tally
from kyc_service.messaging.publisher import BrokerRefused, BrokerUnavailable

log = structlog.get_logger("kyc.intake")

GROUP = "kyc-commands"
READERS = "kyc-parked"  # who reads the notes of what was parked: they are dealt with up to its position
PATIENCE = 30.0
LEAVING = 5.0
TELLING = 10.0  # seconds in which an answer must be on the way; its topic may not exist
MOMENT_MS = 250
NEW_TOPICS_MS = 30_000  # after which a topic that was made later is noticed
COUNT = re.compile(r"deliveries=(\d{1,4})")
CHUNK = 20  # records of a partition between two commits: so many are carried out again after a kill, to no effect


class KafkaIntake:
    """Keeps the promises of `intake.Intake` on one Kafka."""

    def __init__(self, name: str, where: Address, carry_out: Carrier, pace: Pace, report: Report) -> None:
        self.name = name
        self._report = report
        self._where = where
        self._pace = pace
        self._stopping = asyncio.Event()
        self._clerk = Clerk(carry_out, pace, self._stopping)

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping.set()

    async def run(self) -> None:
        """Carry out what comes in until `stop`; the clients reconnect by themselves, and start over when they fail."""
        await lasting(self.name, self._session, self._stopping)

    async def _session(self) -> None:
        given = {"bootstrap_servers": list(self._where.servers), "client_id": "kyc-inbox", **security(self._where)}
        producer = AIOKafkaProducer(**given, acks="all", request_timeout_ms=int(PATIENCE * 1000))
        consumer = AIOKafkaConsumer(
            **given,
            group_id=GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            metadata_max_age_ms=NEW_TOPICS_MS,
        )
        administrator = AIOKafkaAdminClient(**given)
        try:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(stopped, producer)
                stack.push_async_callback(_closed, administrator)
                stack.push_async_callback(_left, consumer)
                for start in (producer.start, administrator.start, consumer.start):
                    await self._begun(start)
                await found(producer, (COMMANDS, PARKED))
                deliveries = Deliveries(consumer, administrator)
                tally = Tally(self.name, partial(_unread, consumer, producer, administrator), self._report)
                async with tally.kept():
                    await _Session(consumer, producer, deliveries, tally, self._clerk, self._pace, self._stopping).run()
        except (TopicAuthorizationFailedError, GroupAuthorizationFailedError) as error:
            raise BrokerRefused(f"Kafka does not let the user read {COMMANDS} in the group {GROUP}.") from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise await unreachable(self._where, error) from error

    async def _begun(self, start: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await start()
        except NO_LOGIN as error:
            raise await unreachable(self._where, error) from error


async def _left(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and close.

    `AIOKafkaConsumer.stop` waits for what the coordinator was asked, and who joins a group may wait minutes for it.
    Given up meanwhile it leaves connections and tasks behind; without its connections it comes to an end, and closes.
    """
    stopping = asyncio.create_task(consumer.stop(), name="leave the group")
    if not (await asyncio.wait({stopping}, timeout=LEAVING))[0]:
        for connection in list(consumer._client._conns.values()):  # noqa: SLF001 - nothing public cuts them
            connection.close()
        await asyncio.wait({stopping}, timeout=LEAVING)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)


async def _closed(administrator: AIOKafkaAdminClient) -> None:
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(LEAVING):
            await administrator.close()


async def _unread(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, administrator: AIOKafkaAdminClient) -> int:
    """How many notes of parked commands the group `READERS` has not read; a topic itself keeps what was dealt with."""
    try:
        async with asyncio.timeout(parking.PATIENCE):
            partitions = [TopicPartition(PARKED, number) for number in await producer.partitions_for(PARKED)]
            ends = await consumer.end_offsets(partitions)
            begins = await consumer.beginning_offsets(partitions)
            read = await administrator.list_consumer_group_offsets(READERS, partitions=partitions)
    except UnknownTopicOrPartitionError:
        return 0  # nothing was ever parked
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(f"Kafka does not tell about {PARKED} ({type(error).__name__}).") from error
    return sum(max(0, end - max(begins[one], read[one].offset if one in read else 0)) for one, end in ends.items())


class Deliveries:
    """The positions of the group, and beside each how often what comes next was begun and not ended.

    Only who is killed or loses the broker meanwhile leaves a count behind: a partition is given back without one.
    """

    def __init__(self, consumer: AIOKafkaConsumer, administrator: AIOKafkaAdminClient) -> None:
        self._consumer = consumer
        self._administrator = administrator
        self._counts: dict[TopicPartition, int] = {}
        self._suspected: dict[TopicPartition, int] = {}  # one of the records below this offset ended a reader
        self._reached: dict[TopicPartition, int] = {}  # of what was begun

    async def recall(self, partitions: Sequence[TopicPartition]) -> None:
        """What those who had the partitions before have left behind."""
        found = await self._administrator.list_consumer_group_offsets(GROUP, partitions=list(partitions))
        for partition in partitions:
            left = found.get(partition)
            count = COUNT.fullmatch(left.metadata or "") if left else None
            self._counts[partition] = int(count[1]) if count else 0
            self._suspected[partition] = left.offset + CHUNK if left and count else 0

    def suspected(self, record: ConsumerRecord) -> bool:
        """Whether an earlier reader may have been ended by it, so that it is carried out by itself."""
        return bool(record.offset < self._suspected.get(TopicPartition(record.topic, record.partition), 0))

    async def begin(self, partition: TopicPartition, offset: int) -> int:
        """Note that the record at *offset* is begun, and what comes with it; how often it was by now."""
        count = self._counts.pop(partition, 0) + 1
        self._reached[partition] = offset
        await self._commit(partition, OffsetAndMetadata(offset, f"deliveries={count}"))
        return count

    def reach(self, partition: TopicPartition, offset: int) -> None:
        """Everything before *offset* is done."""
        self._reached[partition] = offset

    async def end(self, partition: TopicPartition) -> None:
        """Let the position stand where it was reached, with no count beside it."""
        if (offset := self._reached.pop(partition, None)) is not None:
            await self._commit(partition, OffsetAndMetadata(offset, ""))

    async def _commit(self, partition: TopicPartition, place: OffsetAndMetadata) -> None:
        with suppress(CommitFailedError, IllegalStateError):  # the partition went to another member meanwhile
            await self._consumer.commit({partition: place})


class _Session(ConsumerRebalanceListener):  # type: ignore[misc]  # it has no stubs
    """One membership in the group."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        deliveries: Deliveries,
        tally: Tally,
        clerk: Clerk,
        pace: Pace,
        stopping: asyncio.Event,
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._deliveries = deliveries
        self._tally = tally
        self._clerk = clerk
        self._pace = pace
        self._stopping = stopping
        self._at_work: dict[TopicPartition, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until the process ends, and everything in hand is finished."""
        self._consumer.subscribe([COMMANDS], listener=self)
        log.info("listening", topic=COMMANDS)
        try:
            while not self._stopping.is_set():
                await self._take()
            await asyncio.gather(*self._at_work.values())
        finally:
            for task in self._at_work.values():
                task.cancel()
            await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Another member carries on from the last commit, so what is in hand here need not be finished."""
        for partition in revoked:
            if task := self._at_work.pop(partition, None):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await self._deliveries.end(partition)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Look up how often what comes next was begun before."""
        if assigned:
            await self._deliveries.recall(list(assigned))

    async def _take(self) -> None:
        """Give the next records of every partition that is idle to somebody who carries them out."""
        for partition in [partition for partition, task in self._at_work.items() if task.done()]:
            self._at_work.pop(partition).result()
        self._consumer._coordinator.check_errors()  # noqa: SLF001 - as `getmany`, which nobody asks without a partition
        idle = self._consumer.assignment() - self._at_work.keys()
        room = self._pace.concurrency - len(self._at_work)
        if not idle or room <= 0:
            await self._clerk.rest(MOMENT_MS / 1000)
            return
        found: Mapping[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
            *list(idle)[:room], timeout_ms=MOMENT_MS, max_records=CHUNK
        )
        for partition, records in found.items():
            if records:
                self._at_work[partition] = asyncio.create_task(self._carry_out(partition, records))

    async def _carry_out(self, partition: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        rest = list(records)
        while rest and not self._stopping.is_set():
            number = 1 if self._deliveries.suspected(rest[0]) else len(rest)
            await self._carry_out_together(partition, rest[:number])
            rest = rest[number:]

    async def _carry_out_together(self, partition: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        """With one count, which tells of the first in the end: what comes after it is counted when it is the first."""
        first = records[0]
        if await self._deliveries.begin(partition, first.offset) > self._pace.attempts:
            await self._park(first, DELIVERED_TOO_OFTEN)
            self._deliveries.reach(partition, first.offset + 1)
            records = records[1:]
        for record in records:
            if self._stopping.is_set() or not await self._handle(record):
                break
            self._deliveries.reach(partition, record.offset + 1)
        await self._deliveries.end(partition)

    async def _handle(self, record: ConsumerRecord) -> bool:
        """One record; False when the process ends before it was answered."""
        headers = {name: value.decode(errors="replace") for name, value in record.headers if value is not None}
        address = headers.get("reply_to")
        if address and not _ours(address):
            await self._park(record, ADDRESS_REFUSED)
            return True
        letter = Letter(
            body=record.value or b"",
            media_type=headers.get("content-type", ""),
            authorization=headers.get("authorization"),
        )
        answer = await self._answer(letter)
        if answer is None:
            return False
        told = bool(address and answer.body) and await self._tell(str(address), headers.get("correlation_id"), answer)
        if parked(answer, told=told):
            await self._park(record, answer.reason or answer.fate.value)
        return True

    async def _answer(self, letter: Letter) -> Answer | None:
        """The answer, after as many attempts as it may take; None when the process ends before."""
        attempt = 0
        while not self._stopping.is_set():
            answer = await self._clerk.answer(letter)
            if answer is None:
                continue  # still out of order: a record cannot be put back, so everything behind it waits, too
            attempt += 1
            if answer.fate is not Fate.FAILED or attempt >= self._pace.attempts:
                return answer
            await self._clerk.rest(self._clerk.pause(attempt))
        return None

    async def _tell(self, address: str, correlation: str | None, answer: Answer) -> bool:
        """Answer whoever asked; whether the broker took it."""
        headers = {"content-type": answer.media_type, "status": str(answer.status), **answer.headers}
        if correlation:
            headers["correlation_id"] = correlation
        given = [(name, value.encode()) for name, value in headers.items()]
        try:
            async with asyncio.timeout(TELLING):
                await self._producer.send_and_wait(address, answer.body, headers=given)
        except (KafkaError, TimeoutError) as error:
            log.warning("reply_lost", error=type(error).__name__)
            return False
        return True

    async def _park(self, record: ConsumerRecord, reason: str) -> None:
        """Tell where it stands and why. Nothing of the record itself is written a second time."""
        log.warning("parked", reason=reason, partition=record.partition, offset=record.offset)
        note = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "reason": reason,
            "parked_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        headers = [("content-type", b"application/json"), ("kyc-reason", reason.encode())]
        await self._producer.send_and_wait(PARKED, to_json(note), headers=headers)
        self._tally.parked()


def _ours(address: str) -> bool:
    """Whether it is a topic that a reply may go to: `kyc.replies`, or one below it."""
    return (address == REPLIES or address.startswith(f"{REPLIES}.")) and len(address) <= 249
