"""What other services are told: the facts as of the event, in the contract's own words, and nothing about a person."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cloudevents.v1.http import from_json
from crowdpay_contracts.envelope import TOPIC, encode_event, parse_event
from crowdpay_contracts.internal import INTERNAL_TOPIC, parse_alert

from kyc_service.application.ports import Cause, Recorded
from kyc_service.application.published import PUBLISHED, facts
from kyc_service.domain.application import (
    AlertRaised,
    ApplicationAmended,
    ApplicationRejected,
    ApplicationReviewed,
    ApplicationRolledBack,
    ApplicationSubmitted,
    ApplicationVerified,
    Compensation,
    Document,
    Event,
    Evidence,
    HistoryBroken,
    HitReopened,
    Mode,
    PersonScreened,
    ReviewDecision,
    Sealed,
    Step,
    Terms,
)
from kyc_service.domain.clearance import Basis, Hit, HitDecision, ListVersion
from kyc_service.messaging.translation import confide, translate

STREAM = UUID("018f3c1e-6f1b-7c3a-9d2e-5b8a4f6c7d10")
USER = UUID("6b1f0c52-4a5e-4f0e-8f0a-2c9d7e1b3a44")
ENTRY = UUID("018f3c1e-6f1c-7000-8000-000000000001")
NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PASSPORT = Document(doc_type="PASSPORT", file_id=UUID(int=1), issued_country="NL", uploaded=True)
CARD = Document(doc_type="NATIONAL_ID", file_id=UUID(int=2), issued_country="BE", uploaded=True)
TERMS = Terms(
    mode=Mode.LIVE,
    uploaded_route=("builtin",),
    missing_route=(),
    max_resubmissions=3,
    resubmission=timedelta(days=14),
    completion=timedelta(days=30),
    answer=timedelta(hours=24),
)
SUBMITTED = ApplicationSubmitted(
    user_id=USER, documents=(PASSPORT,), terms=TERMS, person=Sealed(entry=ENTRY, box=b"secret")
)


def told(event: Event, *founding: Event) -> dict[str, object]:
    """*event* as it is told, read back by the contract's own parser."""
    recorded = Recorded(
        stream=STREAM,
        version=2,
        id=ENTRY,
        at=NOW,
        cause=Cause(actor="a", causation="c", correlation="c", trace=TRACE),
        event=event,
    )
    message = translate(recorded, facts(42, "acme", founding or (SUBMITTED,)), "/kyc/eu-west")
    assert message is not None
    read = parse_event(message.body)
    assert encode_event(read) == message.body
    assert (message.id, message.type, message.key, message.position) == (read.id, read.type, read.subject, 42)
    assert message.topic == TOPIC
    return read.model_dump(mode="json")


def test_every_attribute_of_the_envelope_says_what_the_contract_promises() -> None:
    message = told(SUBMITTED)
    data = message.pop("data")
    assert message == {
        "specversion": "1.0",
        "id": str(ENTRY),
        "source": "/kyc/eu-west",
        "type": "KYC_CREATED",
        "subject": str(STREAM),
        "time": "2026-11-25T09:30:00Z",
        "datacontenttype": "application/json",
        "dataschema": "https://schemas.crowdpay.example/kyc/v1/KycApplicationCreated.json",
        "sequence": "00000000000000000042",
        "partitionkey": str(STREAM),
        "tenantid": "acme",
        "traceparent": TRACE,
    }
    assert data == {
        "application_id": str(STREAM),
        "user_id": str(USER),
        "status": "PENDING",
        "created_at": "2026-11-25T09:30:00Z",
        "documents": [{"doc_type": "PASSPORT", "issued_country": "NL"}],
    }


def test_a_rollback_tells_its_cause_and_what_was_undone_newest_first() -> None:
    undone = (
        Compensation(step=Step(name="check 1.1", check="1.1", vendor="onfido"), receipt="cancelled:8f14"),
        Compensation(step=Step(name="claim-documents"), receipt=""),
    )
    message = told(ApplicationRolledBack(cause="VENDOR_TIMEOUT", compensations=undone))
    assert message["type"] == "KYC_ROLLBACK"
    assert message["data"] == {
        "application_id": str(STREAM),
        "user_id": str(USER),
        "status": "ROLLED_BACK",
        "rolled_back_at": "2026-11-25T09:30:00Z",
        "cause": "VENDOR_TIMEOUT",
        "compensations": [
            {"step": "check 1.1", "vendor": "onfido", "receipt": "cancelled:8f14"},
            {"step": "claim-documents", "vendor": None, "receipt": "none"},
        ],
        "retryable": True,
    }


def test_a_cause_without_a_code_is_unspecified() -> None:
    message = told(ApplicationRolledBack(cause="what the vendor wrote about Alice", compensations=()))
    assert message["data"]["cause"] == "UNSPECIFIED"  # type: ignore[index]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (("DOC_EXPIRED", "DATA_NAME_MISMATCH", "DOC_EXPIRED"), ["DOC_EXPIRED"]),
        (("DOC_EXPIRED", "SANCTIONS_POSSIBLE_MATCH"), []),
        (("DOC_EXPIRED", "written by hand"), ["DOC_EXPIRED"]),
        (("LIVENESS_NOT_PERFORMED",), []),
    ],
)
def test_a_rejection_tells_only_what_the_applicant_may_learn(codes: tuple[str, ...], expected: list[str]) -> None:
    message = told(ApplicationRejected(evidence=Evidence.LIVE, reasons=codes))
    assert message["type"] == "KYC_REJECTED"
    assert message["data"]["reasons"] == expected  # type: ignore[index]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (("OK_VERIFIED",), ["OK_VERIFIED"]),
        (("CASE_REVIEW_APPROVED", "LIVENESS_NOT_PERFORMED"), ["CASE_REVIEW_APPROVED", "LIVENESS_NOT_PERFORMED"]),
        (("CASE_REVIEW_APPROVED", "SUSPICION_RAISED"), []),
    ],
)
def test_a_verification_tells_its_reasons_unless_one_would_tip_off(codes: tuple[str, ...], expected: list[str]) -> None:
    message = told(ApplicationVerified(evidence=Evidence.SANDBOX, reasons=codes))
    assert message["type"] == "KYC_VERIFIED"
    assert message["data"]["evidence"] == "sandbox"  # type: ignore[index]
    assert message["data"]["reasons"] == expected  # type: ignore[index]


def test_the_documents_are_those_of_the_event_and_not_those_of_today() -> None:
    verified = ApplicationVerified(evidence=Evidence.LIVE, reasons=())
    mended = ApplicationAmended(documents=(CARD,))
    address = ApplicationAmended(person=Sealed(entry=ENTRY, box=b"moved"))
    before = told(verified, SUBMITTED, address)
    after = told(verified, SUBMITTED, mended, address)
    assert before["data"]["documents"] == [{"doc_type": "PASSPORT", "issued_country": "NL"}]  # type: ignore[index]
    assert after["data"]["documents"] == [{"doc_type": "NATIONAL_ID", "issued_country": "BE"}]  # type: ignore[index]


HIT = Hit(id=UUID(int=7), list="sdn", entry="sdn:1", probability=0.9)
CLEARED = replace(HIT, id=UUID(int=8), decision=HitDecision.CLEARED)
BASIS = Basis(engine="1", lists=(ListVersion(list="sdn", version="12"),), review_from=0.5)


@pytest.mark.parametrize(
    ("event", "occasion"),
    [
        (PersonScreened(basis=BASIS, hits=(CLEARED, HIT)), "onboarding"),
        (AlertRaised(basis=BASIS, hits=(HIT,)), "monitoring"),
        (HitReopened(basis=BASIS, hit=HIT.id), "monitoring"),
    ],
)
def test_a_hit_that_somebody_must_decide_is_confided_to_the_desk_alone(event: Event, occasion: str) -> None:
    cause = Cause(actor="a", causation="c", correlation="c", trace=TRACE)
    recorded = Recorded(stream=STREAM, version=4, id=ENTRY, at=NOW, cause=cause, event=event)
    known = facts(42, "acme", (SUBMITTED,))
    assert translate(recorded, known, "/kyc") is None
    message = confide(recorded, known, "/kyc")
    assert message is not None
    alert = parse_alert(message.body)
    assert encode_event(alert) == message.body
    assert (alert.data.hits, alert.data.occasion, alert.data.user_id) == ((HIT.id,), occasion, USER)
    assert (alert.id, alert.tenantid, alert.traceparent) == (str(ENTRY), "acme", TRACE)
    assert message.topic == INTERNAL_TOPIC


@pytest.mark.parametrize("hits", [(), (CLEARED,)])
def test_there_is_nothing_to_confide_where_nothing_is_open(hits: tuple[Hit, ...]) -> None:
    cause = Cause(actor="a", causation="c", correlation="c")
    screened = PersonScreened(basis=BASIS, hits=hits)
    recorded = Recorded(stream=STREAM, version=4, id=ENTRY, at=NOW, cause=cause, event=screened)
    assert confide(recorded, facts(42, "acme", (SUBMITTED,)), "/kyc") is None


def test_what_is_not_for_others_is_not_told() -> None:
    reviewed = ApplicationReviewed(decision=ReviewDecision.APPROVE, reason="CASE_REVIEW_APPROVED", reviewer="rev-7")
    assert type(reviewed) not in PUBLISHED
    cause = Cause(actor="a", causation="c", correlation="c")
    recorded = Recorded(stream=STREAM, version=2, id=ENTRY, at=NOW, cause=cause, event=reviewed)
    assert translate(recorded, facts(1, "acme", (SUBMITTED,)), "/kyc") is None


def test_the_official_reader_of_cloudevents_reads_it() -> None:
    cause = Cause(actor="a", causation="c", correlation="c")
    recorded = Recorded(stream=STREAM, version=1, id=ENTRY, at=NOW, cause=cause, event=SUBMITTED)
    message = translate(recorded, facts(42, "acme", (SUBMITTED,)), "/kyc")
    assert message is not None
    read = from_json(message.body)
    assert (read["id"], read["type"], read["subject"]) == (str(ENTRY), "KYC_CREATED", str(STREAM))
    assert "traceparent" not in read.get_attributes()
    assert read.data["user_id"] == str(USER)


def test_facts_without_a_submission_are_a_broken_history() -> None:
    with pytest.raises(HistoryBroken):
        facts(1, "acme", (ApplicationAmended(documents=(CARD,)),))
