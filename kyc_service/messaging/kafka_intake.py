"""Commands from Kafka: one group of consumers, positions committed after the outcome, answers to a topic of the sender.

The commands of one partition are carried out one after another. A record cannot be moved: `kyc.commands.parked` tells
where the one that could not be carried out stands and why, and holds nothing of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    AuthenticationFailedError,
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.structs import ConsumerRecord
from crowdpay_contracts.commands import COMMANDS, PARKED, REPLIES
from pydantic_core import to_json

from kyc_service.messaging.intake import ADDRESS_REFUSED, Clerk, Pace, lasting, parked
from kyc_service.messaging.kafka import Address, security
from kyc_service.messaging.letters import Answer, Carrier, Fate, Letter
from kyc_service.messaging.publisher import BrokerRefused, BrokerUnavailable

log = structlog.get_logger("kyc.intake")

GROUP = "kyc-commands"
PATIENCE = 30.0
TELLING = 10.0  # seconds in which an answer must be on the way; its topic may not exist
MOMENT_MS = 250
NEW_TOPICS_MS = 30_000  # after which a topic that was made later is noticed
CHUNK = 20  # records of a partition between two commits: so many are carried out again after a kill, to no effect


class KafkaIntake:
    """Keeps the promises of `intake.Intake` on one Kafka."""

    def __init__(self, name: str, where: Address, carry_out: Carrier, pace: Pace) -> None:
        self.name = name
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
        try:
            async with AsyncExitStack() as stack:
                for client in (producer, consumer):
                    stack.push_async_callback(_stopped, client)
                    async with asyncio.timeout(PATIENCE):
                        await client.start()
                await _Session(consumer, producer, self._clerk, self._pace, self._stopping).run()
        except (AuthenticationFailedError, UnsupportedSaslMechanismError) as error:
            raise BrokerRefused("Kafka refuses the user, the password or the SASL mechanism.") from error
        except (TopicAuthorizationFailedError, GroupAuthorizationFailedError) as error:
            raise BrokerRefused(f"Kafka does not let the user read {COMMANDS} in the group {GROUP}.") from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(f"Kafka cannot be reached ({type(error).__name__}).") from error


async def _stopped(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(5):
            await client.stop()


class _Session(ConsumerRebalanceListener):  # type: ignore[misc]  # it has no stubs
    """One membership in the group."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        clerk: Clerk,
        pace: Pace,
        stopping: asyncio.Event,
    ) -> None:
        self._consumer = consumer
        self._producer = producer
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

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Nothing to prepare."""

    async def _take(self) -> None:
        """Give the next records of every partition that is idle to somebody who carries them out."""
        for partition in [partition for partition, task in self._at_work.items() if task.done()]:
            self._at_work.pop(partition).result()
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
        done = None
        for record in records:
            if self._stopping.is_set() or not await self._handle(record):
                break
            done = record.offset + 1
        if done is not None:
            with suppress(CommitFailedError, IllegalStateError):  # the partition went to another member meanwhile
                await self._consumer.commit({partition: done})

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


def _ours(address: str) -> bool:
    """Whether it is a topic that a reply may go to: `kyc.replies`, or one below it."""
    return (address == REPLIES or address.startswith(f"{REPLIES}.")) and len(address) <= 249
