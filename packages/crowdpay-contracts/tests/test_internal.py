"""The alert for the compliance desk: on a topic of its own, and unreadable as an ordinary event."""

import json

import pytest
from crowdpay_contracts import TOPIC, InvalidEvent, UnknownEventType, encode_event, parse_event
from crowdpay_contracts.examples import ALERTED, EVENTS
from crowdpay_contracts.internal import INTERNAL_TOPIC, parse_alert


def test_what_is_published_can_be_read_again() -> None:
    assert parse_alert(encode_event(ALERTED)) == ALERTED


def test_the_alert_never_travels_among_the_ordinary_events() -> None:
    assert INTERNAL_TOPIC != TOPIC
    with pytest.raises(UnknownEventType):
        parse_event(encode_event(ALERTED))
    for event in EVENTS:
        with pytest.raises(UnknownEventType):
            parse_alert(encode_event(event))


def test_the_alert_says_that_there_is_a_hit_and_not_which() -> None:
    told = json.loads(encode_event(ALERTED))["data"]
    assert set(told) == {"application_id", "user_id", "raised_at", "occasion", "hits", "lists"}
    assert all(set(one) == {"list", "version"} for one in told["lists"])


def test_an_alert_without_a_hit_is_none_and_the_error_repeats_nothing() -> None:
    broken = json.loads(encode_event(ALERTED))
    broken["data"]["hits"] = []
    broken["data"]["occasion"] = "SECRET"
    with pytest.raises(InvalidEvent) as caught:
        parse_alert(json.dumps(broken).encode())
    assert "data.hits: too_short" in str(caught.value)
    assert "SECRET" not in str(caught.value)
