"""What is stored is read again whole, old schemas are brought up to date, and nothing unknown is skipped."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_service.application import codec
from kyc_service.application.codec import Json, Stored, UnknownEvent, UnknownOrder
from kyc_service.domain.application import (
    Application,
    ApplicationReviewed,
    Check,
    CheckAnswered,
    Document,
    Event,
    LapseClearance,
    LapseCompletion,
    LapseResubmission,
    ReviewDecision,
    Sealed,
    Terms,
    VendorGivenUp,
    VerificationStarted,
)
from kyc_service.domain.findings import Verdict
from kyc_service.saga.verification import Discharge, Enrol, Later, Order, RunCheck, Screen, Undo

ENTRY = UUID(int=7)
st.register_type_strategy(Sealed, st.just(Sealed(entry=ENTRY, box=b"sealed")))
st.register_type_strategy(timedelta, st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds)))
EVENTS = st.one_of(*(st.builds(event) for event in get_args(Event)))


@given(EVENTS)
def test_an_event_survives_the_log(event: Event) -> None:
    assert codec.decode(codec.encode(event), ENTRY) == event


@given(EVENTS)
def test_personal_data_stands_apart_from_the_clear_facts(event: Event) -> None:
    stored = codec.encode(event)
    assert "sealed" not in str(stored.data)
    assert (stored.sealed is not None) == any(isinstance(getattr(event, f.name), Sealed) for f in fields(event))


@given(st.builds(Application))
def test_a_state_survives_the_snapshot(state: Application) -> None:
    assert codec.decode_state(codec.encode_state(state), state.person.box) == state


@given(st.builds(RunCheck) | st.builds(Undo) | st.builds(Screen) | st.builds(Enrol) | st.builds(Discharge))
def test_an_order_survives_the_work_list(order: Order) -> None:
    assert codec.decode_order(*codec.encode_order(order)) == order


@pytest.mark.parametrize(
    "command", [LapseCompletion(), LapseResubmission(round=2), LapseClearance(hit=UUID(int=1), reopened=2)]
)
def test_a_command_for_later_is_due_when_it_is_read(
    command: LapseCompletion | LapseResubmission | LapseClearance,
) -> None:
    order = Later(command=command, after=timedelta(days=3))
    assert codec.decode_order(*codec.encode_order(order)) == replace(order, after=timedelta())


def test_every_event_that_can_happen_can_be_stored() -> None:
    assert set(codec.EVENTS.values()) == set(get_args(Event))


def test_every_event_holds_personal_data_in_one_place_at_the_most() -> None:
    for event in get_args(Event):
        places = [f for f in fields(event) if Sealed in (f.type, *get_args(f.type))]
        assert len(places) <= 1, event


STORED = codec.encode(VendorGivenUp(check="1.1", vendor="builtin", cause="VENDOR_TIMEOUT"))


@pytest.mark.parametrize("unknown", [replace(STORED, type="SomethingNew"), replace(STORED, schema=2)])
def test_an_event_that_nobody_knows_is_an_error(unknown: Stored) -> None:
    with pytest.raises(UnknownEvent):
        codec.decode(unknown, uuid4())


def test_an_order_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(UnknownOrder):
        codec.decode_order("RunSomethingNew", {})


def test_old_schemas_are_brought_up_to_date_step_by_step_and_by_name() -> None:
    def cause_was_optional(data: Json) -> tuple[str, Json]:
        return "VendorLost", {**data, "cause": "VENDOR_UNAVAILABLE"}

    def was_renamed(data: Json) -> tuple[str, Json]:
        return "VendorGivenUp", {"check": data["check"], "vendor": data["who"], "cause": data["cause"]}

    old = Stored(type="VendorLost", schema=-1, data={"check": "1.1", "who": "builtin"}, sealed=None)
    upcasters = {("VendorLost", -1): cause_was_optional, ("VendorLost", 0): was_renamed}
    assert codec.decode(old, uuid4(), upcasters) == VendorGivenUp(
        check="1.1", vendor="builtin", cause="VENDOR_UNAVAILABLE"
    )


def test_sealed_data_stays_bound_to_the_event_it_was_sealed_for() -> None:
    event = ApplicationReviewed(
        decision=ReviewDecision.APPROVE, reason="r", reviewer="a", note=Sealed(entry=ENTRY, box=b"x")
    )
    other = uuid4()
    read = codec.decode(codec.encode(event), other)
    assert isinstance(read, ApplicationReviewed)
    assert read.note == Sealed(entry=other, box=b"x")


def test_the_log_tells_nothing_but_facts() -> None:
    event = CheckAnswered(
        check="1.1",
        vendor="builtin",
        verdict=Verdict.CLEAR,
        reasons=("OK_VERIFIED",),
        findings=Sealed(entry=ENTRY, box=b"x"),
    )
    assert codec.encode(event).data == {
        "check": "1.1",
        "vendor": "builtin",
        "verdict": "clear",
        "reasons": ["OK_VERIFIED"],
        "reference": None,
    }


def test_a_check_of_the_time_when_it_held_its_reference_is_still_read() -> None:
    check = {"key": "1.1", "file_id": str(ENTRY), "route": ["builtin"], "failed": 0, "reference": None}
    old = Stored(type="VerificationStarted", schema=1, data={"round": 1, "checks": [check]}, sealed=None)
    read = codec.decode(old, uuid4())
    assert read == VerificationStarted(round=1, checks=(Check(key="1.1", file_id=ENTRY, route=("builtin",)),))


def test_terms_are_stored_in_full_so_that_a_replay_decides_alike() -> None:
    assert {f.name for f in fields(Terms)} <= {
        "mode",
        "uploaded_route",
        "missing_route",
        "max_resubmissions",
        "resubmission",
        "completion",
        "answer",
        "screening",
        "face_matching",
        "keep_selfies",
        "face_duplicates",
    }
    assert {f.name for f in fields(Document)} == {"doc_type", "file_id", "issued_country", "uploaded"}
