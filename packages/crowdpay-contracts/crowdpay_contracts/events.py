"""What the four events say: the payloads, free of personal data.

Nothing in version 1 is optional. A field that is added later must have a default, so that readers of both versions
understand writers of both; `compatibility` refuses every other change.
"""

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, WithJsonSchema

from crowdpay_contracts.application import ApplicationStatus

ReasonCode: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^[A-Z][A-Z0-9_]{1,63}$",
        description="A stable code. The set is open: treat a code that you do not know as a reason without a text.",
        examples=["DOC_EXPIRED"],
    ),
]


class Evidence(StrEnum):
    """What a decision rests on; only `live` is about a real person. The set is closed."""

    LIVE = "live"
    SANDBOX = "sandbox"
    SIMULATED = "simulated"


class Assurance(StrEnum):
    """How strongly a person was verified, in rising order, as far as this version knows."""

    BASIC = "basic"
    SUBSTANTIAL = "substantial"
    HIGH = "high"


# A level that a later version adds stays a plain string here: it equals none of the known ones, so nobody trusts it
# by mistake. The schema therefore names the known levels as examples only.
AssuranceLevel: TypeAlias = Annotated[
    Assurance | str,
    Field(union_mode="left_to_right"),
    WithJsonSchema(
        {
            "type": "string",
            "description": "How strongly they were verified. The set is open; the examples are known, in rising order.",
            "examples": [level.value for level in Assurance],
        }
    ),
]


class Payload(BaseModel):
    """What every payload has in common. Fields that a reader does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    application_id: UUID
    user_id: UUID = Field(description="A pseudonym: it says nothing about the person outside CrowdPay.")


class DocumentKind(BaseModel):
    """Which kind of document it was, and whose; never its number or its file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    doc_type: str = Field(examples=["PASSPORT", "NATIONAL_ID"])
    issued_country: str = Field(min_length=2, max_length=2)


class Compensation(BaseModel):
    """One step that was undone, and the receipt for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    step: str = Field(min_length=1, examples=["claim-documents"])
    vendor: str | None = Field(description="Where it was undone; null when it was our own step.")
    receipt: str = Field(min_length=1)


class KycApplicationCreated(Payload):
    """A person applied; `KYC_CREATED`."""

    status: Literal[ApplicationStatus.PENDING, ApplicationStatus.IN_PROGRESS]
    created_at: AwareDatetime
    documents: tuple[DocumentKind, ...]


class KycApplicationVerified(Payload):
    """The person is who they say; `KYC_VERIFIED`."""

    status: Literal[ApplicationStatus.VERIFIED]
    verified_at: AwareDatetime
    documents: tuple[DocumentKind, ...]
    evidence: Evidence
    assurance: AssuranceLevel
    reasons: tuple[ReasonCode, ...]


class KycApplicationRejected(Payload):
    """The application ended with a no; `KYC_REJECTED`.

    `reasons` holds only what the applicant may learn: a code that would tip off is left out, and the rest with it.
    """

    status: Literal[ApplicationStatus.REJECTED]
    rejected_at: AwareDatetime
    documents: tuple[DocumentKind, ...]
    evidence: Evidence
    reasons: tuple[ReasonCode, ...]
    retryable: bool = Field(description="Whether the applicant may apply again.")


class KycSagaRollback(Payload):
    """The verification could not be finished and everything that it had started was undone; `KYC_ROLLBACK`."""

    status: Literal[ApplicationStatus.ROLLED_BACK]
    rolled_back_at: AwareDatetime
    cause: ReasonCode
    compensations: tuple[Compensation, ...] = Field(description="In the order of undoing: the newest step first.")
    retryable: bool = Field(description="Whether the applicant may apply again.")


KycPayload: TypeAlias = KycApplicationCreated | KycApplicationVerified | KycApplicationRejected | KycSagaRollback
