"""What the tests of commands over RabbitMQ have in common: somebody who sends them, and an intake that listens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pika
from bus import eventually, unreported
from crowdpay_contracts import COMMANDS, MEDIA_TYPE

from kyc_service.messaging.amqp_intake import AmqpIntake
from kyc_service.messaging.intake import Pace
from kyc_service.messaging.letters import Answer, Carrier, Fate, Letter
from kyc_service.messaging.parking import Report

PACE = Pace(concurrency=4, attempts=3, pause=0.02, limit=10, hold=0.4)


class Sender:
    """Another team's service: plain pika, with a queue of its own for answers."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self.address = self._channel.queue_declare("", exclusive=True).method.queue

    def send(self, body: bytes, authorization: str | None, name: str = "1", **properties: Any) -> None:
        """Put one message into the queue of commands."""
        headers = {} if authorization is None else {"authorization": authorization}
        given = {"reply_to": self.address, "content_type": MEDIA_TYPE, "message_id": name, **properties}
        given = {key: value for key, value in given.items() if value is not None}
        self._channel.basic_publish(
            "", COMMANDS, body, pika.BasicProperties(headers=headers, delivery_mode=2, **given), mandatory=True
        )

    def taken(self, queue: str | None = None) -> list[tuple[pika.BasicProperties, bytes]]:
        """Everything that lies in the queue; of answers, when none is named."""
        found = []
        while True:
            method, properties, body = self._channel.basic_get(queue or self.address, auto_ack=True)
            if method is None:
                return found
            found.append((properties, body))

    async def answers(self, count: int = 1, queue: str | None = None) -> list[tuple[pika.BasicProperties, bytes]]:
        """The next *count* of them."""
        found: list[tuple[pika.BasicProperties, bytes]] = []

        async def come() -> bool:
            found.extend(self.taken(queue))
            return len(found) >= count

        await eventually(come)
        return found

    def waiting(self, queue: str) -> int:
        """How many messages are ready in it."""
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def close(self) -> None:
        """Leave."""
        self._connection.close()


@asynccontextmanager
async def listening(
    url: str, carry_out: Carrier, pace: Pace = PACE, report: Report = unreported
) -> AsyncIterator[AmqpIntake]:
    """An intake that runs meanwhile, and stops as a process does."""
    intake = AmqpIntake("rabbitmq", url, carry_out, pace, report)
    running = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        intake.stop()
        async with asyncio.timeout(20):
            await running


async def declared(url: str) -> bool:
    """Whether the intake has declared its queues."""

    def look() -> bool:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            try:
                connection.channel().queue_declare(COMMANDS, passive=True)
            except pika.exceptions.ChannelClosedByBroker:
                return False
            return True

    return await asyncio.to_thread(look)


class Faulty:
    """Fails with what is on the list, and then carries out."""

    def __init__(self, *fates: Fate, seconds: float = 0) -> None:
        self.fates = list(fates)
        self.letters: list[Letter] = []
        self._seconds = seconds

    async def __call__(self, letter: Letter) -> Answer:
        self.letters.append(letter)
        await asyncio.sleep(self._seconds)
        fate = self.fates.pop(0) if self.fates else Fate.DONE
        reason = None if fate is Fate.DONE else "internal_error"
        body = b"" if fate is Fate.DONE else b"{}"
        return Answer(fate=fate, status=200, media_type="application/json", body=body, headers={}, reason=reason)
