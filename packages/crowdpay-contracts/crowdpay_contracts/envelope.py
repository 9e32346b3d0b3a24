"""The envelope of every event: CloudEvents 1.0, structured mode, one model per type."""

import json
from collections.abc import Callable, Container, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias, TypeVar, assert_never
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import to_json

from crowdpay_contracts.events import (
    KycApplicationCreated,
    KycApplicationRejected,
    KycApplicationVerified,
    KycPayload,
    KycSagaRollback,
    Payload,
)

E = TypeVar("E")

TOPIC = "kyc.events"
MEDIA_TYPE = "application/cloudevents+json"
SCHEMA_BASE = "https://schemas.crowdpay.example/kyc/v1/"
SEQUENCE_DIGITS = 20  # one more than the longest 64-bit position has


class EventType(StrEnum):
    """The types that this version knows; a later one may add more."""

    KYC_CREATED = "KYC_CREATED"
    KYC_VERIFIED = "KYC_VERIFIED"
    KYC_REJECTED = "KYC_REJECTED"
    KYC_ROLLBACK = "KYC_ROLLBACK"


class InvalidEvent(ValueError):
    """This is not an event of the contract."""


class UnknownEventType(InvalidEvent):
    """An event of a type that this version does not know. Consumers skip it: later versions may add types."""


class CloudEvent(BaseModel):
    """What every event carries around its data; attributes that a reader does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    id: str = Field(min_length=1, description="An event keeps its id when it is delivered again.")
    source: str = Field(min_length=1, json_schema_extra={"format": "uri-reference"})
    type: str
    subject: UUID = Field(description="The application.")
    time: AwareDatetime
    datacontenttype: Literal["application/json"]
    dataschema: str = Field(min_length=1, json_schema_extra={"format": "uri"})
    sequence: str = Field(
        pattern=rf"^[0-9]{{{SEQUENCE_DIGITS}}}$",
        description="The place in the log, zero-padded so that it sorts as text.",
    )
    partitionkey: str = Field(min_length=1, description="Events with the same key arrive in order.")
    tenantid: str = Field(min_length=1)
    traceparent: str | None = Field(default=None, pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
    data: Payload

    @model_validator(mode="after")
    def _speaks_of_one_application(self) -> Self:
        if self.subject != self.data.application_id:
            raise ValueError("subject and data.application_id name different applications")
        return self


class KycCreated(CloudEvent):
    """`KYC_CREATED` in its envelope."""

    type: Literal["KYC_CREATED"]
    data: KycApplicationCreated


class KycVerified(CloudEvent):
    """`KYC_VERIFIED` in its envelope."""

    type: Literal["KYC_VERIFIED"]
    data: KycApplicationVerified


class KycRejected(CloudEvent):
    """`KYC_REJECTED` in its envelope."""

    type: Literal["KYC_REJECTED"]
    data: KycApplicationRejected


class KycRollback(CloudEvent):
    """`KYC_ROLLBACK` in its envelope."""

    type: Literal["KYC_ROLLBACK"]
    data: KycSagaRollback


KycEvent: TypeAlias = Annotated[KycCreated | KycVerified | KycRejected | KycRollback, Field(discriminator="type")]

KYC_EVENT: TypeAdapter[KycCreated | KycVerified | KycRejected | KycRollback] = TypeAdapter(KycEvent)


def envelop(
    data: KycPayload,
    *,
    id: UUID,  # noqa: A002  the attribute's name in CloudEvents
    source: str,
    time: datetime,
    position: int,
    tenant: str,
    traceparent: str | None = None,
) -> KycEvent:
    """*data* in its envelope. `position` is its place in the log; its application is the partition."""
    return KYC_EVENT.validate_python(
        attributes(
            data,
            kind=type_of(data),
            schema=type(data).__name__,
            application=data.application_id,
            id=str(id),
            source=source,
            time=time,
            position=position,
            tenant=tenant,
            traceparent=traceparent,
        )
    )


def attributes(
    data: Payload | Mapping[str, object],
    *,
    kind: str,
    schema: str,
    application: UUID,
    id: str,  # noqa: A002  the attribute's name in CloudEvents
    source: str,
    time: datetime,
    position: int,
    tenant: str,
    traceparent: str | None,
) -> Mapping[str, object]:
    """The envelope around *data*, a payload of the model called *schema*, by CloudEvents' own names."""
    return {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": kind,
        "subject": application,
        "time": time,
        "datacontenttype": "application/json",
        "dataschema": f"{SCHEMA_BASE}{schema}.json",
        "sequence": sequence_of(position),
        "partitionkey": str(application),
        "tenantid": tenant,
        **({} if traceparent is None else {"traceparent": traceparent}),
        "data": data,
    }


def encode_attributes(envelope: Mapping[str, object]) -> bytes:
    """The body of a message from what `attributes` gives: what `encode_event` makes of the model, without the model."""
    return to_json(envelope)


def type_of(data: KycPayload) -> EventType:
    """The type under which *data* is published."""
    match data:
        case KycApplicationCreated():
            return EventType.KYC_CREATED
        case KycApplicationVerified():
            return EventType.KYC_VERIFIED
        case KycApplicationRejected():
            return EventType.KYC_REJECTED
        case KycSagaRollback():
            return EventType.KYC_ROLLBACK
        case _:
            assert_never(data)


def sequence_of(position: int) -> str:
    """A place in the log as text that sorts like the number."""
    if position < 0 or position >= 10**SEQUENCE_DIGITS:
        raise ValueError(f"a position has at most {SEQUENCE_DIGITS} digits and no sign")
    return f"{position:0{SEQUENCE_DIGITS}d}"


def encode_event(event: CloudEvent) -> bytes:
    """*event* as the body of a message of type `MEDIA_TYPE`."""
    return event.model_dump_json(exclude={"traceparent"} if event.traceparent is None else None).encode()


def parse_event(message: bytes | Mapping[str, object]) -> KycEvent:
    """The event in *message*: a body, or the object that was read from one. What it does not know, it ignores.

    The error says where a message is wrong and never repeats what stood there.
    """
    return parsed(message, frozenset(EventType), KYC_EVENT.validate_python)


def parsed(
    message: bytes | Mapping[str, object], known: Container[str], read: Callable[[Mapping[str, object]], E]
) -> E:
    """The event in *message*, if its type is one of the *known*.

    Raises:
        UnknownEventType, InvalidEvent
    """
    content = _object_in(message) if isinstance(message, bytes) else message
    kind = content.get("type")
    if isinstance(kind, str) and kind not in known:
        raise UnknownEventType("an event of a type that this version of the contract does not know")
    try:
        return read(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'] if part != kind) or 'event'}: {fault['type']}"
            for fault in error.errors(include_input=False, include_url=False)
        )
    raise InvalidEvent(f"not an event of this contract: {faults}")


def _object_in(body: bytes) -> Mapping[str, object]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):  # the second: a body of nothing but brackets
        content = None
    if not isinstance(content, dict):
        raise InvalidEvent("not a JSON object")
    return content
