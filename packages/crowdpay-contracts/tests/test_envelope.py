"""Events in their envelope: what is written can be read, by this version and by others."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from crowdpay_contracts import (
    CloudEvent,
    EventType,
    InvalidEvent,
    KycEvent,
    KycVerified,
    UnknownEventType,
    encode_event,
    envelop,
    examples,
    parse_event,
    sequence_of,
    type_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

MESSAGES = [pytest.param(event, id=event.type) for event in examples.EVENTS]
SECRET = "alice@example.com"


def message(**changes: object) -> dict[str, object]:
    """The body of a KYC_VERIFIED event with some attributes changed; None removes one."""
    body = json.loads(encode_event(examples.EVENTS[1])) | changes
    return {name: value for name, value in body.items() if value is not None}


@pytest.mark.parametrize("event", MESSAGES)
def test_what_is_published_can_be_read_again(event: KycEvent) -> None:
    assert parse_event(encode_event(event)) == event
    assert parse_event(json.loads(encode_event(event))) == event
    assert type(parse_event(encode_event(event))) is type(event)


@pytest.mark.parametrize("event", MESSAGES)
def test_the_envelope_is_a_cloudevent_of_version_1_0(event: KycEvent) -> None:
    body = json.loads(encode_event(event))
    assert body["specversion"] == "1.0"
    assert body["datacontenttype"] == "application/json"
    assert body["subject"] == body["data"]["application_id"] == body["partitionkey"]
    assert body["dataschema"] == f"https://schemas.crowdpay.example/kyc/v1/{type(event.data).__name__}.json"
    assert all(name.isascii() and name.isalnum() and name == name.lower() and len(name) <= 20 for name in body)


def test_every_type_of_event_has_an_example() -> None:
    assert [event.type for event in examples.EVENTS] == list(EventType)
    assert [type_of(event.data) for event in examples.EVENTS] == list(EventType)


@pytest.mark.parametrize("event", MESSAGES)
def test_a_reader_ignores_what_a_later_version_adds(event: KycEvent) -> None:
    body = json.loads(encode_event(event))
    body |= {"tracestate": "x=1", "data": body["data"] | {"region": "eu", "nested": {"deeper": [1]}}}
    assert parse_event(body) == event


def test_a_level_of_assurance_that_a_later_version_adds_is_none_of_the_known_ones() -> None:
    body = message()
    event = parse_event(body | {"data": dict(examples.VERIFIED.model_dump(mode="json"), assurance="notarised")})
    assert isinstance(event, KycVerified)
    assert event.data.assurance == "notarised"


def test_a_type_that_a_later_version_adds_can_be_told_from_a_broken_message() -> None:
    with pytest.raises(UnknownEventType):
        parse_event(message(type="KYC_ARCHIVED", data={"unheard": "of"}))


@pytest.mark.parametrize(
    "attribute",
    [name for name, field in CloudEvent.model_fields.items() if name != "traceparent"],
)
def test_no_attribute_but_the_trace_may_be_missing(attribute: str) -> None:
    with pytest.raises(InvalidEvent):
        parse_event(message(**{attribute: None}))


def test_an_event_without_a_trace_has_no_such_attribute() -> None:
    event = parse_event(message(traceparent=None))
    assert event.traceparent is None
    assert "traceparent" not in json.loads(encode_event(event))


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("specversion", "0.3"),
        ("id", ""),
        ("type", 7),
        ("subject", "not a uuid"),
        ("time", "2026-03-02T09:30:41"),  # no zone: nobody knows when
        ("datacontenttype", "text/xml"),
        ("sequence", "57"),
        ("sequence", "0000000000000000005x"),
        ("traceparent", "00-abc-def-01"),
        ("data", {}),
        ("data", "text"),
    ],
)
def test_a_wrong_attribute_is_refused(attribute: str, value: object) -> None:
    with pytest.raises(InvalidEvent, match=attribute if attribute != "type" else "union_tag_invalid"):
        parse_event(message(**{attribute: value}))


def test_an_event_speaks_of_one_application() -> None:
    with pytest.raises(InvalidEvent, match="value_error"):
        parse_event(message(subject="018f3c1e-0000-7000-8000-000000000000"))


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b"null", b"{", b"[" * 100_000, b'{"type": null}', b"{}"])
def test_bytes_that_are_no_event_are_refused_in_one_way(body: bytes) -> None:
    with pytest.raises(InvalidEvent):
        parse_event(body)


def test_the_error_does_not_repeat_what_stood_in_the_message() -> None:
    data = examples.VERIFIED.model_dump(mode="json") | {"evidence": SECRET, "user_id": SECRET, "reasons": [SECRET]}
    with pytest.raises(InvalidEvent) as refusal:
        parse_event(message(data=data, tenantid=5))
    shown = f"{refusal.value!r}{refusal.value.__context__!r}{refusal.value.__cause__!r}"
    assert SECRET not in shown
    assert "data.evidence: enum" in shown


def test_an_event_cannot_be_changed_after_the_fact() -> None:
    event = examples.EVENTS[0]
    with pytest.raises(ValueError, match="frozen"):
        setattr(event, "tenantid", "other")  # noqa: B010  mypy would refuse the plain assignment, as it should
    with pytest.raises(ValueError, match="frozen"):
        setattr(event.data, "user_id", UUID(int=0))  # noqa: B010


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_sequences_sort_as_text_like_the_positions_sort_as_numbers(one: int, other: int) -> None:
    assert (sequence_of(one) < sequence_of(other)) == (one < other)
    assert sequence_of(one).isdigit()


@pytest.mark.parametrize("position", [-1, 10**20])
def test_a_place_that_does_not_fit_is_refused(position: int) -> None:
    with pytest.raises(ValueError, match="20 digits"):
        sequence_of(position)


@settings(deadline=None)
@given(
    event=st.sampled_from(examples.EVENTS),
    identity=st.uuids(),
    time=st.datetimes(
        min_value=datetime(2000, 1, 1),  # noqa: DTZ001  hypothesis adds the zone
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))]),
    ),
    position=st.integers(0, 2**63 - 1),
    tenant=st.text(min_size=1),
    traceparent=st.none() | st.just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)
def test_any_envelope_survives_the_wire(
    event: KycEvent, identity: UUID, time: datetime, position: int, tenant: str, traceparent: str | None
) -> None:
    sent = envelop(
        event.data, id=identity, source="/kyc", time=time, position=position, tenant=tenant, traceparent=traceparent
    )
    received = parse_event(encode_event(sent))
    assert received == sent
    assert isinstance(received, CloudEvent)
