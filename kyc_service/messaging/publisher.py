"""What the relay asks of a broker: to have a message for good, or to say that it has not."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from crowdpay_contracts.envelope import TOPIC
from crowdpay_contracts.internal import INTERNAL_TOPIC

from kyc_service.domain.record import record


class BrokerUnavailable(Exception):
    """The broker cannot be reached, or has not confirmed what it was given."""


class BrokerRefused(Exception):
    """The broker answers and does not let the relay do what it must; the message says what, and the cure."""


@record
class Message:
    """One event on its way. `key` is the application: messages of one key must arrive in order, on each topic.

    `position` is its place in the log, `body` a CloudEvent in structured mode as crowdpay-contracts reads it.
    """

    topic: str
    id: str
    type: str
    key: UUID
    position: int
    body: bytes


TOPICS = (TOPIC, INTERNAL_TOPIC)


class Publisher(Protocol):
    """An open way to one broker."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the broker has confirmed every one; the messages of one application are kept in order.

        After an error any of them may have arrived, and none that follows an unconfirmed one of the same application.

        Raises:
            BrokerUnavailable: not all were confirmed.
        """
        ...

    async def lost(self) -> None:
        """Return when the connection has ended."""
        ...

    async def unrouted(self) -> int:
        """How many messages the broker keeps that nobody has asked for."""
        ...
