"""What the compliance desk is told and nobody else: events of the topic `kyc.internal`.

They never appear on `kyc.events`: who learns that somebody may be on a sanctions list could tip them off (POCA 2002
s.333A, 31 USC 5318(g)(2)). Give the topic to no consumer that talks to applicants.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from crowdpay_contracts.envelope import CloudEvent, attributes, parsed
from crowdpay_contracts.events import Payload

INTERNAL_TOPIC = "kyc.internal"
KYC_SCREENING_ALERT = "KYC_SCREENING_ALERT"


class Occasion(StrEnum):
    """When the lists named somebody. The set is closed."""

    ONBOARDING = "onboarding"
    MONITORING = "monitoring"


class ScreenedList(BaseModel):
    """A list that was asked, in one version."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    list: str = Field(min_length=1, examples=["us_ofac_sdn"])
    version: str = Field(min_length=1)


class KycScreeningAlert(Payload):
    """Somebody may be on a list; `KYC_SCREENING_ALERT`.

    It says that there is something to decide and not what: the entries stand in the application's history.
    """

    raised_at: AwareDatetime
    occasion: Occasion
    hits: tuple[UUID, ...] = Field(min_length=1, description="The hits to decide, by their ids in the history.")
    lists: tuple[ScreenedList, ...]


class KycScreeningAlerted(CloudEvent):
    """`KYC_SCREENING_ALERT` in its envelope."""

    type: Literal["KYC_SCREENING_ALERT"]
    data: KycScreeningAlert


def envelop_alert(
    data: KycScreeningAlert,
    *,
    id: UUID,  # noqa: A002  the attribute's name in CloudEvents
    source: str,
    time: datetime,
    position: int,
    tenant: str,
    traceparent: str | None = None,
) -> KycScreeningAlerted:
    """*data* in its envelope. `position` is its place in the log, among the events of `kyc.events` too."""
    return KycScreeningAlerted.model_validate(
        attributes(
            data,
            kind=KYC_SCREENING_ALERT,
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


def parse_alert(message: bytes) -> KycScreeningAlerted:
    """The alert in *message*, a body of the topic `kyc.internal`.

    Raises:
        UnknownEventType: an event of a type that this version does not know; skip it.
        InvalidEvent: it is none of this contract; what stood there is never repeated.
    """
    return parsed(message, frozenset({KYC_SCREENING_ALERT}), KycScreeningAlerted.model_validate)
