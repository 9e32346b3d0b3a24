"""What clients fill in: the bodies of requests, validated before anything else sees them.

Unknown members are refused everywhere, so that nothing unchecked is ever stored.
"""

import re
from functools import lru_cache
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PastDate,
    StringConstraints,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    validate_email,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from kyc_service.domain.application import ReviewDecision
from kyc_service.domain.clearance import HitDecision
from kyc_service.domain.reasons import REASONS

# No control characters, no line separators, and none of the marks that turn the direction of the text around them.
UNSEEN = "\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069"
TEXT = f"^[^{UNSEEN}]*[^\\s{UNSEEN}][^{UNSEEN}]*$"
NOTE = "^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]*$"

Name: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=TEXT)]
Line: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=TEXT)]
PostalCode: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20, pattern=TEXT)]
LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
LONGEST_LOCAL_PART, LONGEST_EMAIL = 64, 254  # RFC 5321 section 4.5.3.1, and erratum 1690 of RFC 3696


def _email(address: str) -> str:
    """The address with its domain in lower case, as `pydantic.EmailStr` has it.

    Looking at a domain takes longer than anything else in a body, and there are few of them: each is looked at once.
    """
    local, _, domain = address.rpartition("@")
    usual = address.isascii() and len(address) <= LONGEST_EMAIL and len(local) <= LONGEST_LOCAL_PART
    if usual and LOCAL_PART.fullmatch(local):
        return f"{local}@{_domain(domain)}"
    return validate_email(address)[1]


@lru_cache(maxsize=4096)
def _domain(domain: str) -> str:
    return validate_email(f"a@{domain}")[1].removeprefix("a@")


Email: TypeAlias = Annotated[str, AfterValidator(_email), WithJsonSchema({"type": "string", "format": "email"})]
Country: TypeAlias = Annotated[
    str, StringConstraints(pattern="^[A-Z]{2}$"), Field(description="ISO 3166-1 alpha-2, upper case.", examples=["US"])
]


class Form(BaseModel):
    """What every body has in common."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class AnnouncedDocument(Form):
    """A document of the applicant; `file_id` is the `id` that the upload of its picture answered."""

    doc_type: Annotated[str, StringConstraints(pattern="^[A-Z][A-Z0-9_]{0,39}$")] = Field(
        examples=["PASSPORT", "NATIONAL_ID"]
    )
    file_id: UUID
    issued_country: Country


class Address(Form):
    """Where the applicant lives."""

    lines: Annotated[tuple[Line, ...], Field(max_length=5)] | None = None
    city: Line | None = None
    region: Line | None = None
    postal_code: PostalCode | None = None
    country: Country | None = None


class Applicant(Form):
    """What the applicant declares about themselves. A member that is null counts as absent."""

    given_names: Name | None = None
    family_name: Name | None = None
    birth_date: PastDate | None = Field(None, description="ISO 8601, in the past.", examples=["1990-04-12"])
    nationality: Country | None = None
    address: Address | None = None


Documents: TypeAlias = Annotated[tuple[AnnouncedDocument, ...], Field(max_length=20)]


class NewApplication(Form):
    """An application. Without a document it stays `PENDING` until one is added."""

    user_id: UUID = Field(description="Your id of the person. Send a pseudonym: it also appears in events.")
    email: Email
    documents: Documents
    applicant: Applicant | None = None


class ApplicationPatch(TypedDict, total=False):
    """A JSON merge patch (RFC 7396): what is absent stays, what is null goes; `documents` is replaced whole."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]  # pydantic's own

    email: Email
    documents: Documents
    applicant: Applicant | None


class EmailSearch(Form):
    """An e-mail address to look for. It travels in the body because addresses in URLs end up in logs."""

    email: Email
    limit: int = Field(25, ge=1, le=100)
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before.")


class Judgement(Form):
    """Why somebody decides as they do."""

    reason: str = Field(description="A reason code of the catalogue.", json_schema_extra={"enum": [*sorted(REASONS)]})
    note: Annotated[str, StringConstraints(max_length=4000, pattern=NOTE)] | None = Field(
        None, description="For colleagues; it is kept encrypted and never shown to the applicant."
    )

    @field_validator("reason")
    @classmethod
    def _known(cls, code: str) -> str:
        return _known(code)


class Review(Judgement):
    """What a reviewer decides about an application that awaits a review, and why."""

    decision: ReviewDecision


class HitReview(Judgement):
    """What a compliance officer makes of a possible hit, and why."""

    decision: HitDecision
    cleared_for_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="Of `cleared`: after so many days somebody must look again. It can only shorten the time that the "
        "service gives, a year by default.",
    )

    @field_validator("cleared_for_days")
    @classmethod
    def _cleared(cls, days: int | None, info: ValidationInfo) -> int | None:
        if days is not None and info.data.get("decision") is HitDecision.CONFIRMED:
            raise PydanticCustomError("not_cleared", "only a cleared hit is looked at again")
        return days


PartialDate: TypeAlias = Annotated[
    str,
    StringConstraints(pattern="^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$"),
    Field(description="ISO 8601, as far as it is known: a year, a month or a day.", examples=["1960", "1960-04-12"]),
]
Searched: TypeAlias = Literal["person", "organisation", "vessel", "aircraft", "unknown"]


class ScreeningQuery(Form):
    """Whom the lists are asked about. It travels in the body because names in URLs end up in logs."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=TEXT)]
    kind: Searched = "person"
    birth_date: PartialDate | None = None
    countries: Annotated[tuple[Country, ...], Field(max_length=5)] = ()
    numbers: Annotated[tuple[Line, ...], Field(max_length=10)] = Field(
        (), description="Numbers of passports, identity cards, registers or ships."
    )
    review_from: float = Field(0.5, ge=0.05, le=0.99, description="The probability from which on a match is a hit.")


def _known(code: str) -> str:
    if code not in REASONS:
        raise PydanticCustomError("enum", "not in the catalogue")
    return code


NEW_APPLICATION = TypeAdapter(NewApplication)
APPLICATION_PATCH: TypeAdapter[ApplicationPatch] = TypeAdapter(ApplicationPatch)
EMAIL_SEARCH = TypeAdapter(EmailSearch)
REVIEW = TypeAdapter(Review)
HIT_REVIEW = TypeAdapter(HitReview)
SCREENING_QUERY = TypeAdapter(ScreeningQuery)
