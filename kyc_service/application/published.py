"""What the world is told of the log: which events, and the facts that each of them needs beside its own."""

from collections.abc import Sequence
from uuid import UUID

from kyc_service.application.ports import Recorded
from kyc_service.domain.application import (
    AlertRaised,
    ApplicationAmended,
    ApplicationRejected,
    ApplicationRolledBack,
    ApplicationSubmitted,
    ApplicationVerified,
    Document,
    Event,
    HistoryBroken,
    HitReopened,
    PersonScreened,
)
from kyc_service.domain.record import record

# Broadcast as KYC_CREATED, KYC_VERIFIED, KYC_REJECTED and KYC_ROLLBACK; nearly everything else stays in the log.
PUBLISHED: tuple[type, ...] = (ApplicationSubmitted, ApplicationVerified, ApplicationRejected, ApplicationRolledBack)
# Told the compliance desk alone, as KYC_SCREENING_ALERT.
CONFIDED: tuple[type, ...] = (PersonScreened, AlertRaised, HitReopened)
# The only events that say of whom and of which documents an application is.
FOUNDING: tuple[type, ...] = (ApplicationSubmitted, ApplicationAmended)


@record
class Facts:
    """What an event does not say itself: its place in the log of all tenants, and the application as of the event."""

    position: int
    tenant: str
    user_id: UUID
    documents: tuple[Document, ...]


@record
class Publication:
    """An event that is to be told, with everything it takes to tell it."""

    recorded: Recorded
    facts: Facts


def facts(position: int, tenant: str, founding: Sequence[Event]) -> Facts:
    """The facts that follow from the *founding* events of the application, oldest first, up to the one to be told.

    Raises:
        HistoryBroken: they do not begin with a submission.
    """
    first = founding[0] if founding else None
    if not isinstance(first, ApplicationSubmitted):
        raise HistoryBroken
    documents = first.documents
    for event in founding:
        if isinstance(event, ApplicationAmended) and event.documents is not None:
            documents = event.documents
    return Facts(position=position, tenant=tenant, user_id=first.user_id, documents=documents)
