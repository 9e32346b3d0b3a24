"""From an event of the log to the CloudEvent that other services read; pure, so the same event gives the same bytes.

The facts are those as of the event, and none of them is personal data: documents by kind and country, people by
pseudonym, reasons by code. What would tip somebody off leaves no trace in a message.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from crowdpay_contracts.application import ApplicationStatus
from crowdpay_contracts.envelope import TOPIC, EventType, attributes, encode_attributes
from crowdpay_contracts.events import (
    Assurance,
    KycApplicationCreated,
    KycApplicationRejected,
    KycApplicationVerified,
    KycSagaRollback,
    Payload,
)
from crowdpay_contracts.internal import INTERNAL_TOPIC, KYC_SCREENING_ALERT, KycScreeningAlert, Occasion

from kyc_service.application.ports import Recorded
from kyc_service.application.published import Facts
from kyc_service.domain.application import (
    AlertRaised,
    ApplicationRejected,
    ApplicationRolledBack,
    ApplicationSubmitted,
    ApplicationVerified,
    Document,
    HitReopened,
    PersonScreened,
)
from kyc_service.domain.clearance import Hit
from kyc_service.domain.reasons import REASONS, Disclosure, Reason
from kyc_service.domain.record import record
from kyc_service.messaging.publisher import Message

UNSPECIFIED = "UNSPECIFIED"  # a cause that this release has no code for
NO_RECEIPT = "none"


@record
class Told:
    """What an event says to others: the payload's own fields, beside those that every payload has."""

    kind: str
    payload: type[Payload]
    fields: Mapping[str, object]


def translate(recorded: Recorded, facts: Facts, source: str) -> Message | None:
    """*recorded* as other services read it, from the service called *source*; None when it is not for them."""
    told = _told(recorded, facts)
    return None if told is None else _message(TOPIC, told, recorded, facts, source)


def confide(recorded: Recorded, facts: Facts, source: str) -> Message | None:
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
    alert = Told(
        kind=KYC_SCREENING_ALERT,
        payload=KycScreeningAlert,
        fields={
            "raised_at": recorded.at,
            "occasion": occasion.value,
            "hits": undecided,
            "lists": [{"list": one.list, "version": one.version} for one in basis.lists],
        },
    )
    return _message(INTERNAL_TOPIC, alert, recorded, facts, source)


def _message(topic: str, told: Told, recorded: Recorded, facts: Facts, source: str) -> Message:
    """In its envelope, as bytes.

    It is plain data that is written, and no model, which takes a quarter of the time: what stands in the log was
    validated before. The tests read every kind of message with the contract's models and have them write the same.
    """
    identity = str(recorded.id)
    envelope = attributes(
        {"application_id": recorded.stream, "user_id": facts.user_id, **told.fields},
        kind=told.kind,
        schema=told.payload.__name__,
        application=recorded.stream,
        id=identity,
        source=source,
        time=recorded.at,
        position=facts.position,
        tenant=facts.tenant,
        traceparent=recorded.cause.trace,
    )
    return Message(
        topic=topic,
        id=identity,
        type=told.kind,
        key=recorded.stream,
        position=facts.position,
        body=encode_attributes(envelope),
    )


def _undecided(hits: Iterable[Hit]) -> tuple[UUID, ...]:
    return tuple(hit.id for hit in hits if hit.decision is None)


def _told(recorded: Recorded, facts: Facts) -> Told | None:
    match recorded.event:
        case ApplicationSubmitted():
            return Told(
                kind=EventType.KYC_CREATED.value,
                payload=KycApplicationCreated,
                fields={
                    "status": ApplicationStatus.PENDING.value,
                    "created_at": recorded.at,
                    "documents": _kinds(facts.documents),
                },
            )
        case ApplicationVerified(evidence=evidence, reasons=codes):
            return Told(
                kind=EventType.KYC_VERIFIED.value,
                payload=KycApplicationVerified,
                fields={
                    "status": ApplicationStatus.VERIFIED.value,
                    "verified_at": recorded.at,
                    "documents": _kinds(facts.documents),
                    "evidence": evidence.value,
                    "assurance": Assurance.BASIC.value,  # nothing that the service does today gives more
                    "reasons": _known(codes),
                },
            )
        case ApplicationRejected(evidence=evidence, reasons=codes):
            return Told(
                kind=EventType.KYC_REJECTED.value,
                payload=KycApplicationRejected,
                fields={
                    "status": ApplicationStatus.REJECTED.value,
                    "rejected_at": recorded.at,
                    "documents": _kinds(facts.documents),
                    "evidence": evidence.value,
                    "reasons": _open(codes),
                    # as `Application.retryable` has it: only an open round or a rollback can be mended
                    "retryable": False,
                },
            )
        case ApplicationRolledBack(cause=cause, compensations=compensations):
            return Told(
                kind=EventType.KYC_ROLLBACK.value,
                payload=KycSagaRollback,
                fields={
                    "status": ApplicationStatus.ROLLED_BACK.value,
                    "rolled_back_at": recorded.at,
                    "cause": cause if cause in REASONS else UNSPECIFIED,
                    "compensations": [
                        {"step": done.step.name, "vendor": done.step.vendor, "receipt": done.receipt or NO_RECEIPT}
                        for done in compensations
                    ],
                    "retryable": True,
                },
            )
        case _:
            return None


def _kinds(documents: Iterable[Document]) -> list[Mapping[str, str]]:
    return [{"doc_type": one.doc_type, "issued_country": one.issued_country} for one in documents]


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
