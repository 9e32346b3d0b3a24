"""What the relay asks of a broker: to have a message for good, or to say that it has not."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from crowdpay_contracts.envelope import TOPIC, CloudEvent, encode_event
from crowdpay_contracts.internal import INTERNAL_TOPIC, KycScreeningAlerted

from kyc_service.domain.record import record


class BrokerUnavailable(Exception):
    """The broker cannot be reached, or has not confirmed what it was given."""


class BrokerRefused(Exception):
    """The broker answers and does not let the relay do what it must; the message says what, and the cure."""


@record
class Message:
    """One event on its way. `key` is the application: messages of one key must arrive in order, on each topic."""

    topic: str
    id: str
    type: str
    key: UUID
    body: bytes


TOPICS = (TOPIC, INTERNAL_TOPIC)


def message_of(event: CloudEvent) -> Message:
    """*event* as bytes, for the topic that it belongs on: what is for the compliance desk is on no other."""
    topic = INTERNAL_TOPIC if isinstance(event, KycScreeningAlerted) else TOPIC
    return Message(topic=topic, id=event.id, type=event.type, key=event.subject, body=encode_event(event))


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
