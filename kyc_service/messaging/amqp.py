"""RabbitMQ: persistent messages with publisher confirms, and nothing that nobody wanted is dropped.

The topology is declared at each connection: a durable topic exchange `kyc.events`, whose routing key is the type of the
event, and behind it the alternate exchange `kyc.events.unrouted` with a durable quorum queue of the same name, where
whatever matched no binding stays until somebody takes it; and the same for `kyc.internal`. docs/relay.md tells more.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import cast
from uuid import UUID

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    ChannelClosed,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel as Underlay
from aiormq.exceptions import ChannelAccessRefused
from crowdpay_contracts.envelope import MEDIA_TYPE, TOPIC
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from kyc_service.messaging.amqp_connection import connected
from kyc_service.messaging.publisher import TOPICS, BrokerRefused, BrokerUnavailable, Message

UNROUTED = f"{TOPIC}.unrouted"
# Each exchange and the one behind it: what is for the compliance desk alone stays apart there too.
EXCHANGES = {topic: f"{topic}.unrouted" for topic in TOPICS}
NAMES = ", ".join((*EXCHANGES, *EXCHANGES.values()))
PERSISTENT = 2
FRAME, BODY, FRAME_END = struct.Struct(">BHI"), 3, b"\xce"  # AMQP 0-9-1, 2.3.5: type, channel and size; what; the end
SIZE_AT = FRAME.size + 4  # of a content header: behind the class and the weight
PLACE = "\x00"  # stands where the id will
PATIENCE = 30.0  # seconds in which everything of one window must be confirmed; a blocked broker is an unavailable one


@asynccontextmanager
async def open_amqp(url: str) -> AsyncIterator["AmqpPublisher"]:
    """A connection with the topology declared.

    Raises:
        BrokerUnavailable: nobody answers there.
        BrokerRefused: the credentials or the topology are refused.
    """
    connection = await connected(url, "kyc-relay")
    try:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await _declare(channel)
        yield AmqpPublisher(channel, cast("Underlay", await channel.get_underlay_channel()))
    except (AMQPConnectionError, ChannelClosed) as error:
        raise BrokerUnavailable(f"RabbitMQ closed the connection ({type(error).__name__}).") from error
    finally:
        await _close(connection)


async def _close(connection: AbstractConnection) -> None:
    """Say good-bye, to a broker that may be gone."""
    try:
        async with asyncio.timeout(2):
            await connection.close()
    except (AMQPError, OSError, TimeoutError, asyncio.InvalidStateError):
        return


async def _declare(channel: AbstractChannel) -> None:
    try:
        for topic, name in EXCHANGES.items():
            unrouted = await channel.declare_exchange(name, ExchangeType.FANOUT, durable=True)
            queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind(unrouted)
            await channel.declare_exchange(
                topic, ExchangeType.TOPIC, durable=True, arguments={"alternate-exchange": name}
            )
    except ChannelPreconditionFailed as error:
        raise BrokerRefused(
            f"RabbitMQ has {NAMES} of another kind: delete what differs, or declare it as docs/relay.md says."
        ) from error
    except (ChannelAccessRefused, ChannelNotFoundEntity) as error:
        raise BrokerRefused(
            f"RabbitMQ does not let the user declare {NAMES}: give it the permissions of docs/relay.md."
        ) from error


class AmqpPublisher:
    """Keeps the promises of `publisher.Publisher` on one channel."""

    def __init__(self, channel: AbstractChannel, underlay: Underlay) -> None:
        self._channel = channel
        self._underlay = underlay

    async def publish(self, messages: Sequence[Message]) -> None:
        """All of them at once, except that a second message of an application waits for the first to be confirmed.

        RabbitMQ may refuse one message and take the next; sent together they would arrive in the wrong order.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                for wave in waves(messages):
                    await self._confirmed(wave)
        except TimeoutError as error:
            raise BrokerUnavailable(f"RabbitMQ has confirmed nothing for {PATIENCE:.0f} s.") from error
        except (AMQPError, OSError, asyncio.InvalidStateError) as error:
            raise BrokerUnavailable(f"RabbitMQ has not confirmed a message ({type(error).__name__}).") from error

    async def _confirmed(self, wave: Sequence[Message]) -> None:
        """Written at once, and waited for together: a task, a lock and a future for each would cost more than the rest.

        Like `basic_publish` of aiormq otherwise, down to how it recognises a returned message.
        """
        channel = self._underlay
        window = Window(len(wave), channel.loop)
        async with channel.lock:
            for message in wave:
                channel.delivery_tag += 1
                channel.confirmations[channel.delivery_tag] = window
                channel.message_id_delivery_tag[message.id] = channel.delivery_tag
            payload = b"".join(piece for message in wave for piece in self._framed(message))
            await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False))
        try:
            await asyncio.wait({window, channel.closing}, return_when=asyncio.FIRST_COMPLETED)
            if not window.done():
                raise AMQPConnectionError
            if window.refused is not None:
                raise window.refused
        finally:
            window.cancel()
            channel.message_id_delivery_tag.clear()

    def _framed(self, message: Message) -> Iterator[bytes]:
        size, number = self._underlay.max_content_size, self._underlay.number
        yield from framed(number, message)
        for start in range(0, len(message.body), size):
            piece = message.body[start : start + size]
            yield FRAME.pack(BODY, number, len(piece)) + piece + FRAME_END

    async def lost(self) -> None:
        """Return when the channel has ended."""
        await asyncio.wait([self._underlay.closing])

    async def unrouted(self) -> int:
        """How many messages lie in the queues of those that matched no binding.

        Raises:
            BrokerUnavailable: the queue cannot be looked at.
        """
        try:
            queues = [
                await self._channel.declare_queue(name, passive=True, timeout=PATIENCE) for name in EXCHANGES.values()
            ]
        except (AMQPError, OSError, TimeoutError, asyncio.InvalidStateError) as error:
            raise BrokerUnavailable(f"RabbitMQ does not tell about {NAMES} ({type(error).__name__}).") from error
        return sum(queue.declaration_result.message_count or 0 for queue in queues)


class Window(asyncio.Future[None]):
    """What aiormq finds in the place of the confirmation of every message of a wave: done when the last has come."""

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._open = size
        self.refused: Exception | None = None

    def set_result(self, _: object) -> None:
        """One of the messages was confirmed."""
        self._open -= 1
        if not self._open:
            super().set_result(None)

    def set_exception(self, error: type | BaseException) -> None:
        """One of the messages was refused or sent back."""
        self.refused = error if isinstance(error, Exception) else AMQPError()
        self.set_result(None)


def framed(number: int, message: Message) -> tuple[bytes, ...]:
    """The frames before the body of *message* on the channel *number*."""
    publish, head, middle, tail = _template(number, message.topic, message.type, len(message.id))
    return publish, head, len(message.body).to_bytes(8, "big"), middle, message.id.encode(), tail


@lru_cache(maxsize=64)
def _template(number: int, topic: str, kind: str, length: int) -> tuple[bytes, bytes, bytes, bytes]:
    """What the messages of a *kind* have in common, as pamqp writes it, cut where the body's size and the id stand.

    Written by pamqp for each message, the frames took as long as everything else that is done with it.
    """
    # Only a broken topology returns what is mandatory: then it counts as unconfirmed.
    publish = marshal(Basic.Publish(exchange=topic, routing_key=kind, mandatory=True), number)
    properties = Basic.Properties(
        content_type=MEDIA_TYPE,
        message_id=PLACE * length,
        message_type=kind,
        delivery_mode=PERSISTENT,
        app_id="kyc-service",
    )
    header = marshal(ContentHeader(properties=properties, body_size=0), number)
    identity = header.rindex(PLACE.encode() * length)
    return publish, header[:SIZE_AT], header[SIZE_AT + 8 : identity], header[identity + length :]


def waves(messages: Sequence[Message]) -> list[list[Message]]:
    """*messages* in as few parts as possible, no part with two of one application, in the order of each."""
    if len({message.key for message in messages}) == len(messages):
        return [list(messages)]
    parts: list[list[Message]] = []
    seen: dict[UUID, int] = {}
    for message in messages:
        place = seen.get(message.key, 0)
        seen[message.key] = place + 1
        if place == len(parts):
            parts.append([])
        parts[place].append(message)
    return parts
