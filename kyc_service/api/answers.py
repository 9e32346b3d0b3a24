"""What clients get: the shapes of the answers, for the OpenAPI document; `representation` writes them itself."""

from typing import Annotated
from uuid import UUID

from crowdpay_contracts import Evidence, KycApplication, KycEvent
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, RootModel

from kyc_service.api.forms import Applicant
from kyc_service.domain.application import Awaiting


class Answer(BaseModel):
    """What every answer has in common: members may be added later, so ignore those that you do not know."""

    model_config = ConfigDict(extra="ignore")


class ToldReason(Answer):
    """Why, in a code and in a sentence that the applicant may read."""

    code: str = Field(description="The set is open. `UNSPECIFIED` says nothing, on purpose.", examples=["DOC_EXPIRED"])
    text: str


class Application(KycApplication):
    """An application as its tenant sees it: the shared contract, and what this service adds to it."""

    reason: str | None = Field(description="The text of the first of the `reasons`.")
    updated_at: AwareDatetime
    version: int = Field(ge=1, description='Grows with every event; the entity tag is `"v<version>"`.')
    awaiting: Awaiting | None = Field(description="What an application that is not over yet is waiting for.")
    reasons: list[ToldReason]
    evidence: Evidence = Field(description="What the decision rests on; only `live` is about a real person.")
    retryable: bool = Field(description="Whether the applicant can mend the outcome, or may apply again.")
    applicant: Applicant | None = Field(description="As submitted.")


class ApplicationPage(Answer):
    """One page of a list, newest first."""

    data: list[Application]
    next_cursor: str | None = Field(description="Send it as `cursor` to get the next page with the same filters.")
    has_more: bool


class HistoryEvent(Answer):
    """One thing that happened."""

    version: int = Field(ge=1)
    id: UUID
    type: str = Field(description="The set is open.", examples=["ApplicationSubmitted"])
    at: AwareDatetime
    actor: str = Field(
        description="Who caused it: a pseudonym of a token's subject, your own subject, or a part of the service."
    )
    causation: str = Field(description="The request or the order that caused it.")
    published: str | None = Field(description="The event that the rest of the company got for it, if any.")
    data: dict[str, JsonValue] = Field(description="The facts, free of personal data.")
    details: dict[str, JsonValue] | None = Field(
        None, description="With `details=true`: findings and notes, which hold personal data."
    )


class History(Answer):
    """Everything that happened, in order."""

    data: list[HistoryEvent]


class ListAsked(Answer):
    """A list that was asked, in one version."""

    list: str
    version: str


class PossibleHit(Answer):
    """A list entry that may mean the one who was asked about."""

    list: str
    entry: str = Field(description="The entry's id at its publisher, behind the name of the source.")
    probability: float = Field(gt=0, lt=1, description="Calibrated.")
    explanation: dict[str, JsonValue] = Field(description="Why, in words and numbers; members may be added.")


class ScreeningAnswer(Answer):
    """What the lists say, and on what it rests."""

    engine: str
    lists: list[ListAsked]
    review_from: float
    hits: list[PossibleHit] = Field(description="The likeliest first.")


class EventBatch(RootModel[list[KycEvent]]):
    """A piece of the feed, in order: the very events that a broker would bring."""


class StoredFile(Answer):
    """What is known of an uploaded file."""

    id: UUID = Field(description="The `file_id` of a document.")
    media_type: str = Field(examples=["image/jpeg"])
    size: int = Field(ge=1, description="In bytes.")
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created_at: AwareDatetime


class Health(Answer):
    """The process runs."""

    status: str = Field(examples=["ok"])


class Untold(Answer):
    """What a broker has not been told yet, and what lies parked there; it says nothing about requests."""

    behind: int = Field(description="How many events; 10000 means at least so many.", ge=0)
    age_seconds: float = Field(description="How long ago the oldest of them happened.", ge=0)
    unrouted: int = Field(description="How many events the broker keeps that nobody there has asked for.", ge=0)
    parked: int = Field(description="How many commands lie parked there, for somebody to look at.", ge=0)
    parked_age_seconds: float = Field(description="For how long there has always been one parked.", ge=0)


class Readiness(Answer):
    """Whether requests can be carried out, and by which check not."""

    status: str = Field(examples=["ok"])
    checks: dict[str, bool]
    brokers: dict[str, Untold]


class ProblemFault(Answer):
    """One part of the request that is wrong. The value that was sent is never repeated."""

    code: str = Field(examples=["missing"])
    detail: str
    pointer: str | None = Field(None, description="A JSON pointer into the body (RFC 6901), as a URI fragment.")
    parameter: str | None = Field(None, description="The query parameter; empty for one that is not known.")
    header: str | None = None


class Problem(Answer):
    """What went wrong (RFC 9457). `code` is stable; the sentences are for people and may change."""

    type: str = Field(json_schema_extra={"format": "uri-reference"})
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str
    request_id: str = Field(description="Also in `X-Request-Id`. Tell it to whoever helps you.")
    trace_id: str | None = Field(None, description="The trace of your `traceparent`.")
    errors: list[ProblemFault] | None = None
