"""One example of every message; the schemas carry them, and tests read them."""

from datetime import UTC, datetime
from uuid import UUID

from crowdpay_contracts.application import ApplicantDocument, ApplicationStatus, KycApplication
from crowdpay_contracts.commands import KycCommand, amend_command, submit_command
from crowdpay_contracts.envelope import KycEvent, envelop
from crowdpay_contracts.events import (
    Assurance,
    Compensation,
    DocumentKind,
    Evidence,
    KycApplicationCreated,
    KycApplicationRejected,
    KycApplicationVerified,
    KycPayload,
    KycSagaRollback,
)
from crowdpay_contracts.internal import KycScreeningAlert, Occasion, ScreenedList, envelop_alert

APPLICATION = UUID("018f3c1e-6f1b-7c3a-9d2e-5b8a4f6c7d10")
USER = UUID("6b1f0c52-4a5e-4f0e-8f0a-2c9d7e1b3a44")
SUBMITTED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ENDED = datetime(2026, 3, 2, 9, 30, 41, tzinfo=UTC)
PASSPORT = DocumentKind(doc_type="PASSPORT", issued_country="US")

DOCUMENT = ApplicantDocument(
    doc_type="PASSPORT", file_id=UUID("0d9c5a1e-3b7f-4e2a-a6c8-1f2e3d4c5b6a"), issued_country="US"
)

KYC_APPLICATION = KycApplication(
    id=APPLICATION, user_id=USER, email="alice@example.com", created_at=SUBMITTED, documents=[DOCUMENT]
)

CREATED = KycApplicationCreated(
    application_id=APPLICATION,
    user_id=USER,
    status=ApplicationStatus.PENDING,
    created_at=SUBMITTED,
    documents=(PASSPORT,),
)

VERIFIED = KycApplicationVerified(
    application_id=APPLICATION,
    user_id=USER,
    status=ApplicationStatus.VERIFIED,
    verified_at=ENDED,
    documents=(PASSPORT,),
    evidence=Evidence.LIVE,
    assurance=Assurance.BASIC,
    reasons=("OK_VERIFIED",),
)

REJECTED = KycApplicationRejected(
    application_id=APPLICATION,
    user_id=USER,
    status=ApplicationStatus.REJECTED,
    rejected_at=ENDED,
    documents=(PASSPORT,),
    evidence=Evidence.LIVE,
    reasons=("DOC_EXPIRED",),
    retryable=True,
)

ROLLBACK = KycSagaRollback(
    application_id=APPLICATION,
    user_id=USER,
    status=ApplicationStatus.ROLLED_BACK,
    rolled_back_at=ENDED,
    cause="VENDOR_UNAVAILABLE",
    compensations=(
        Compensation(step="check", vendor="onfido", receipt="cancelled:8f14e45f"),
        Compensation(step="claim-documents", vendor=None, receipt="released:1"),
    ),
    retryable=True,
)


def _published(data: KycPayload, time: datetime, event: str, position: int) -> KycEvent:
    return envelop(
        data,
        id=UUID(event),
        source="/kyc/eu-west",
        time=time,
        position=position,
        tenant="acme",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )


EVENTS: tuple[KycEvent, ...] = (
    _published(CREATED, SUBMITTED, "018f3c1e-6f1c-7000-8000-000000000001", 41),
    _published(VERIFIED, ENDED, "018f3c1f-0f42-7000-8000-000000000002", 57),
    _published(REJECTED, ENDED, "018f3c1f-0f42-7000-8000-000000000003", 58),
    _published(ROLLBACK, ENDED, "018f3c1f-0f42-7000-8000-000000000004", 59),
)

ALERT = KycScreeningAlert(
    application_id=APPLICATION,
    user_id=USER,
    raised_at=ENDED,
    occasion=Occasion.ONBOARDING,
    hits=(UUID("7f0c6d8e-0d5a-5a0e-9a57-5a1f5b7f9f10"),),
    lists=(ScreenedList(list="us_ofac_sdn", version="12"),),
)
ALERTED = envelop_alert(
    ALERT,
    id=UUID("018f3c1f-0f42-7000-8000-000000000005"),
    source="/kyc/eu-west",
    time=ENDED,
    position=60,
    tenant="acme",
)
SUBMIT = submit_command(
    {
        "user_id": str(USER),
        "email": "alice@example.com",
        "documents": [DOCUMENT.model_dump(mode="json")],
        "applicant": {"given_names": "Alice", "family_name": "Example", "birth_date": "1990-04-12"},
    },
    id="signup-4711",
    source="/onboarding",
)
AMEND = amend_command(
    APPLICATION,
    {"documents": [DOCUMENT.model_dump(mode="json")]},
    id="new-picture-4711",
    source="/onboarding",
    expected_version=4,
)
COMMANDS: tuple[KycCommand, ...] = (SUBMIT, AMEND)
