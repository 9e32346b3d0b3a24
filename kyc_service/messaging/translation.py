"""From an event of the log to the CloudEvent that other services read; pure, so the same event gives the same bytes.

The facts are those as of the event, and none of them is personal data: documents by kind and country, people by
pseudonym, reasons by code. What would tip somebody off leaves no trace in a message.
"""

from collections.abc import Iterable
from uuid import UUID

from crowdpay_contracts.application import ApplicationStatus
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
from crowdpay_contracts.internal import (
    KycScreeningAlert,
    KycScreeningAlerted,
    Occasion,
    ScreenedList,
    envelop_alert,
)

from kyc_service.application.ports import Recorded
from kyc_service.application.published import Facts
from kyc_service.domain.application import (
    AlertRaised,
    ApplicationRejected,
    ApplicationRolledBack,
    ApplicationSubmitted,
    ApplicationVerified,
    HitReopened,
    PersonScreened,
)
from kyc_service.domain.clearance import Hit
from kyc_service.domain.reasons import REASONS, Disclosure, Reason

UNSPECIFIED = "UNSPECIFIED"  # a cause that this release has no code for
NO_RECEIPT = "none"


def translate(recorded: Recorded, facts: Facts, source: str) -> KycEvent | None:
    """*recorded* as other services read it, from the service called *source*; None when it is not for them."""
    payload = _payload(recorded, facts)
    if payload is None:
        return None
    return envelop(
        payload,
        id=recorded.id,
        source=source,
        time=recorded.at,
        position=facts.position,
        tenant=facts.tenant,
        traceparent=recorded.cause.trace,
    )


def confide(recorded: Recorded, facts: Facts, source: str) -> KycScreeningAlerted | None:
    """*recorded* as the compliance desk reads it; None when there is nothing that somebody has to decide."""
    match recorded.event:
        case PersonScreened(basis=basis, hits=hits):
            occasion, undecided = Occasion.ONBOARDING, _undecided(hits)
        case AlertRaised(basis=basis, hits=hits):
            occasion, undecided = Occasion.MONITORING, _undecided(hits)
        case HitReopened(basis=basis, hit=hit):
            occasion, undecided = Occasion.MONITORING, (hit,)
        case _:
            return None
    if not undecided:
        return None
    alert = KycScreeningAlert(
        application_id=recorded.stream,
        user_id=facts.user_id,
        raised_at=recorded.at,
        occasion=occasion,
        hits=undecided,
        lists=tuple(ScreenedList(list=one.list, version=one.version) for one in basis.lists),
    )
    return envelop_alert(
        alert,
        id=recorded.id,
        source=source,
        time=recorded.at,
        position=facts.position,
        tenant=facts.tenant,
        traceparent=recorded.cause.trace,
    )


def _undecided(hits: Iterable[Hit]) -> tuple[UUID, ...]:
    return tuple(hit.id for hit in hits if hit.decision is None)


def _payload(recorded: Recorded, facts: Facts) -> KycPayload | None:
    documents = tuple(DocumentKind(doc_type=d.doc_type, issued_country=d.issued_country) for d in facts.documents)
    match recorded.event:
        case ApplicationSubmitted():
            return KycApplicationCreated(
                application_id=recorded.stream,
                user_id=facts.user_id,
                status=ApplicationStatus.PENDING,
                created_at=recorded.at,
                documents=documents,
            )
        case ApplicationVerified(evidence=evidence, reasons=codes):
            return KycApplicationVerified(
                application_id=recorded.stream,
                user_id=facts.user_id,
                status=ApplicationStatus.VERIFIED,
                verified_at=recorded.at,
                documents=documents,
                evidence=Evidence(evidence.value),
                assurance=Assurance.BASIC,  # nothing that the service does today gives more
                reasons=_known(codes),
            )
        case ApplicationRejected(evidence=evidence, reasons=codes):
            return KycApplicationRejected(
                application_id=recorded.stream,
                user_id=facts.user_id,
                status=ApplicationStatus.REJECTED,
                rejected_at=recorded.at,
                documents=documents,
                evidence=Evidence(evidence.value),
                reasons=_open(codes),
                retryable=False,  # as `Application.retryable` has it: only an open round or a rollback can be mended
            )
        case ApplicationRolledBack(cause=cause, compensations=compensations):
            return KycSagaRollback(
                application_id=recorded.stream,
                user_id=facts.user_id,
                status=ApplicationStatus.ROLLED_BACK,
                rolled_back_at=recorded.at,
                cause=cause if cause in REASONS else UNSPECIFIED,
                compensations=tuple(
                    Compensation(step=done.step.name, vendor=done.step.vendor, receipt=done.receipt or NO_RECEIPT)
                    for done in compensations
                ),
                retryable=True,
            )
        case _:
            return None


def _known(codes: Iterable[str]) -> tuple[str, ...]:
    """What services that act on a yes may know of its reasons."""
    reasons = _reasons(codes)
    return () if any(reason.tips_off for reason in reasons) else tuple(reason.code for reason in reasons)


def _open(codes: Iterable[str]) -> tuple[str, ...]:
    """What the applicant may learn; a code that would tip off takes all the others with it."""
    reasons = _reasons(codes)
    if any(reason.tips_off for reason in reasons):
        return ()
    return tuple(reason.code for reason in reasons if reason.disclosure is Disclosure.OPEN)


def _reasons(codes: Iterable[str]) -> list[Reason]:
    """The codes that are codes, each once; what a later release may have written is left out."""
    return [REASONS[code] for code in dict.fromkeys(codes) if code in REASONS]
