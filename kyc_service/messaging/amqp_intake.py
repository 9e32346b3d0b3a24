"""Commands from RabbitMQ: a quorum queue, explicit acknowledgement, answers to `reply_to`, and a place for the rest.

The topology is declared at each connection: the durable quorum queues `kyc.commands` and `kyc.commands.parked`. What
cannot be carried out is moved to the second one, with the reason in its headers and without its token; what RabbitMQ
itself gives up, because every process that took it died of it, it dead-letters there, too. docs/commands.md tells more.

Every session begins with one message at a time, until it has seen one that nobody held before: so a message that ends
each connection or process that takes it does so alone from the second time on.
"""

import asyncio
import struct
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue, DeliveryMode
from aio_pika.exceptions import (
    AMQPError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
)
from aiormq.abc import AbstractChannel as AbstractUnderlay
from aiormq.exceptions import ChannelAccessRefused, InvalidFrameError
from crowdpay_contracts.commands import COMMANDS, PARKED
from pamqp.encode import encode_table_value

from kyc_service.messaging import parking
from kyc_service.messaging.amqp_connection import connected
from kyc_service.messaging.intake import (
    ADDRESS,
    ADDRESS_REFUSED,
    ANSWER_REFUSED,
    DELIVERED_TOO_OFTEN,
    KEPT,
    Clerk,
    Pace,
    lasting,
    parked,
    unless,
)
from kyc_service.messaging.letters import Answer, Carrier, Fate, Letter
from kyc_service.messaging.parking import Report, Tally
from kyc_service.messaging.publisher import BrokerRefused, BrokerUnavailable

if TYPE_CHECKING:
    from aio_pika.abc import HeadersType
    from pamqp.common import FieldValue

log = structlog.get_logger("kyc.intake")

PATIENCE = 30.0
FLOOR = 20  # deliveries after which RabbitMQ gives a message up by itself
QUEUES: Mapping[str, Mapping[str, str | int]] = {
    PARKED: {"x-queue-type": "quorum"},
    COMMANDS: {
        "x-queue-type": "quorum",
        "x-delivery-limit": FLOOR,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": PARKED,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # what that strategy asks for
    },
}
SECRET = frozenset({"authorization"})
OF_THE_BROKER = frozenset({"x-delivery-count", "x-death"})
LOST = (AMQPError, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError)
CHANNEL_LOST = (AMQPError, OSError, asyncio.CancelledError)
UNWRITABLE = (TypeError, ValueError, OverflowError, struct.error)


class Unreadable(Exception):
    """What RabbitMQ delivered cannot be taken apart: a timestamp beyond all years, or a name that is no UTF-8."""


class AmqpIntake:
    """Keeps the promises of `intake.Intake` on one RabbitMQ."""

    def __init__(self, name: str, url: str, carry_out: Carrier, pace: Pace, report: Report) -> None:
        self.name = name
        self._url = url
        self._report = report
        self._pace = pace
        self._stopping = asyncio.Event()
        self._clerk = Clerk(carry_out, pace, self._stopping)

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping.set()

    async def run(self) -> None:
        """Carry out what comes in until `stop`; a lost connection is made again."""
        await lasting(self.name, self._sessions, self._stopping)

    async def _sessions(self) -> None:
        """One, and as many more as it takes until RabbitMQ gives up what cannot even be read; it counts them."""
        for _ in range(FLOOR + 1):
            try:
                return await self._session()
            except Unreadable as error:
                log.warning("delivery_unreadable", error=type(error.__cause__).__name__)
        raise BrokerUnavailable("RabbitMQ delivers again and again what cannot be read.")

    async def _session(self) -> None:
        connection = await unless(self._stopping, connected(self._url, "kyc-inbox"))
        if connection is None:
            return
        try:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            queue = await _declared(channel)
            tally = Tally(self.name, partial(_lying, connection), self._report)
            async with tally.kept():
                await _Session(channel, queue, tally, self._clerk, self._pace, self._stopping).run()
        except (AMQPError, OSError, asyncio.InvalidStateError) as error:
            raise BrokerUnavailable(f"RabbitMQ closed the connection ({type(error).__name__}).") from error
        finally:
            with suppress(*LOST):
                async with asyncio.timeout(2):
                    await connection.close()


async def _declared(channel: AbstractChannel) -> AbstractQueue:
    """The queue of commands, with the place for what cannot be carried out beside it."""
    try:
        queues = {
            name: await channel.declare_queue(name, durable=True, arguments=dict(arguments))
            for name, arguments in QUEUES.items()
        }
    except ChannelPreconditionFailed as error:
        raise BrokerRefused(
            f"RabbitMQ has a queue {COMMANDS} or {PARKED} of another kind: delete it, or declare it as"
            " docs/commands.md says."
        ) from error
    except (ChannelAccessRefused, ChannelNotFoundEntity) as error:
        raise BrokerRefused(
            f"RabbitMQ does not let the user declare {COMMANDS} and {PARKED}: give it the permissions of"
            " docs/commands.md."
        ) from error
    return queues[COMMANDS]


async def _lying(connection: AbstractConnection) -> int:
    """How many commands lie parked. On a channel of its own: what is refused there ends nothing else."""
    try:
        async with asyncio.timeout(parking.PATIENCE), connection.channel() as channel:
            queue = await channel.declare_queue(PARKED, passive=True)
    except LOST as error:
        raise BrokerUnavailable(f"RabbitMQ does not tell about {PARKED} ({type(error).__name__}).") from error
    return queue.declaration_result.message_count or 0


class _Session:
    """One channel, from its first message to its last."""

    def __init__(
        self,
        channel: AbstractChannel,
        queue: AbstractQueue,
        tally: Tally,
        clerk: Clerk,
        pace: Pace,
        stopping: asyncio.Event,
    ) -> None:
        self._channel = channel
        self._queue = queue
        self._tally = tally
        self._clerk = clerk
        self._pace = pace
        self._stopping = stopping
        self._broken = asyncio.Event()
        self._turning = asyncio.Lock()
        self._taking = ""  # the tag of what takes at the moment
        self._careful = True
        self._in_hand = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Until the process ends, and everything in hand is finished; or until the channel is lost.

        Raises:
            Unreadable: it was lost because of what came in.
        """
        underlay = await self._channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._cancelled)
        try:
            await self._listen(underlay)
        except Exception:
            _blame(underlay.closing)
            raise
        _blame(underlay.closing)

    async def _listen(self, underlay: AbstractUnderlay) -> None:
        await self._consume(1)
        log.info("listening", queue=COMMANDS)
        ends = [
            asyncio.ensure_future(one) for one in (self._stopping.wait(), self._broken.wait(), _ended(underlay.closing))
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set() and not underlay.closing.done():
                async with self._turning:
                    await self._queue.cancel(self._taking)
                await self._idle.wait()
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    async def _consume(self, prefetch: int) -> None:
        """Take so many at a time."""
        await self._channel.set_qos(prefetch_count=prefetch)
        self._taking = await self._queue.consume(self._take)

    def _cancelled(self, frame: object) -> None:
        """RabbitMQ delivers nothing more here, because the queue is gone: a new session declares it again."""
        del frame
        self._broken.set()

    async def _trust(self) -> None:
        """Take as many at a time as there may be: what comes is not what ended an earlier session."""
        async with self._turning:
            if not self._careful or self._stopping.is_set():
                return
            self._careful, careful = False, self._taking
            await self._consume(self._pace.concurrency)
            await self._queue.cancel(careful)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        """One message. Whatever goes wrong with it ends the channel, and the broker delivers it again."""
        self._in_hand += 1
        self._idle.clear()
        try:
            await self._handle(message)
        except LOST as error:
            log.info("delivery_lost", error=type(error).__name__)
            self._broken.set()
        except Exception as error:  # noqa: BLE001 - a message that nobody answers would hold its place for ever
            log.error("delivery_failed", error=type(error).__name__)  # noqa: TRY400
            self._broken.set()
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._idle.set()

    async def _handle(self, message: AbstractIncomingMessage) -> None:
        if not message.redelivered:
            await self._trust()
        attempt = _deliveries(message)
        if reason := self._unseen(message, attempt):
            return await self._park(message, reason)
        answer = await self._clerk.answer(_letter(message), self._trust)
        if answer is None:
            return await self._put_back(message)
        last = attempt >= self._pace.attempts
        if answer.fate is Fate.FAILED and not last:
            return await self._try_again(message, attempt)
        told = bool(message.reply_to) and bool(answer.body)
        if told and not await self._tell(message, answer):
            return await (self._park(message, ANSWER_REFUSED) if last else self._try_again(message, attempt))
        if parked(answer, told=told):
            return await self._park(message, answer.reason or answer.fate.value)
        return await message.ack()

    def _unseen(self, message: AbstractIncomingMessage, attempt: int) -> str | None:
        """Why the message is parked without a look at what it asks for; None: it is not."""
        if message.reply_to and not ADDRESS.fullmatch(message.reply_to):
            return ADDRESS_REFUSED
        return DELIVERED_TOO_OFTEN if attempt > self._pace.attempts else None

    async def _try_again(self, message: AbstractIncomingMessage, attempt: int) -> None:
        """Later; the others need not wait for that."""
        await self._trust()
        await self._clerk.rest(self._clerk.pause(attempt))
        await message.reject(requeue=True)  # which is counted; since RabbitMQ 4.3 `nack` is not

    async def _tell(self, message: AbstractIncomingMessage, answer: Answer) -> bool:
        """Answer whoever asked; False when their queue takes nothing, because it is full or not to be had.

        It is not written to the broker's disk, and an address that is gone gets nothing.
        """
        reply = aio_pika.Message(
            answer.body,
            headers={"status": answer.status, **answer.headers},
            content_type=answer.media_type,
            correlation_id=message.correlation_id or message.message_id,
            delivery_mode=DeliveryMode.NOT_PERSISTENT,
            expiration=KEPT,
            app_id="kyc-service",
        )
        try:
            await self._publish(reply, message.reply_to or "", mandatory=False)
        except (DeliveryError, TimeoutError):
            return False
        return True

    async def _publish(self, message: aio_pika.Message, queue: str, *, mandatory: bool) -> None:
        """Confirmed by the broker, however long its memory or disk is full; a process that ends waits less for it.

        Raises:
            TimeoutError: it was not confirmed while a message may be held.
        """
        exchange = self._channel.default_exchange
        publishing = asyncio.ensure_future(
            exchange.publish(message, queue, mandatory=mandatory, timeout=self._pace.hold)
        )
        ending = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({publishing, ending}, return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(PATIENCE):
                await publishing
        finally:
            for task in (publishing, ending):
                task.cancel()
            await asyncio.gather(publishing, ending, return_exceptions=True)

    async def _park(self, message: AbstractIncomingMessage, reason: str) -> None:
        """Move the message to where somebody will look at it, with the reason and without its token."""
        log.warning("parked", reason=reason, deliveries=_deliveries(message))
        headers: HeadersType = {
            "kyc-reason": reason,
            "kyc-deliveries": _deliveries(message),
            "kyc-parked-at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        await self._move(message, PARKED, headers, SECRET | OF_THE_BROKER)
        self._tally.parked()

    async def _put_back(self, message: AbstractIncomingMessage) -> None:
        """To the end of the queue: nothing is wrong with it, so its deliveries are counted from the beginning again."""
        await self._move(message, COMMANDS, {}, OF_THE_BROKER)

    async def _move(
        self, message: AbstractIncomingMessage, queue: str, headers: "HeadersType", without: frozenset[str]
    ) -> None:
        """The copy is confirmed before the original goes: a kill between the two leaves one too many, never none."""
        kept = {
            name: value for name, value in message.headers.items() if name.lower() not in without and _writable(value)
        }
        moved = aio_pika.Message(
            message.body,
            headers={**kept, **headers},
            content_type=message.content_type,
            correlation_id=message.correlation_id,
            message_id=message.message_id,
            reply_to=message.reply_to,
            type=message.type,
            delivery_mode=DeliveryMode.PERSISTENT,
        )
        await self._publish(moved, queue, mandatory=True)
        await message.ack()


async def _ended(closing: "asyncio.Future[object]") -> None:
    await asyncio.wait([closing])


def _blame(closing: "asyncio.Future[object]") -> None:
    """Tell a channel that was lost from one that a message has ended, in the hands of the client.

    Raises:
        Unreadable: that is what has happened.
    """
    error = closing.exception() if closing.done() and not closing.cancelled() else None
    if error and (isinstance(error, InvalidFrameError) or not isinstance(error, CHANNEL_LOST)):
        raise Unreadable from error


def _writable(value: "FieldValue") -> bool:
    """Whether the client can write what it has read; not what it took for bytes or a double, for example."""
    try:
        encode_table_value(value)
    except UNWRITABLE:
        return False
    return True


def _deliveries(message: AbstractIncomingMessage) -> int:
    """The how-manieth delivery it is, as the quorum queue counts them."""
    count = message.headers.get("x-delivery-count", 0)
    return (count if isinstance(count, int) else 0) + 1


def _letter(message: AbstractIncomingMessage) -> Letter:
    authorization = message.headers.get("authorization")
    return Letter(
        body=message.body,
        media_type=message.content_type or "",
        authorization=authorization if isinstance(authorization, str) else None,
    )
