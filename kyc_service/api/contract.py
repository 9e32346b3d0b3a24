"""The vocabulary of the OpenAPI document: what an operation says of itself, and the parts that operations share."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from crowdpay_contracts import EventType

from kyc_service.api.headers import LONGEST_WAIT
from kyc_service.api.problems import KINDS
from kyc_service.domain.application import Status
from kyc_service.domain.record import record

Json: TypeAlias = dict[str, Any]

APPLICATION = "018f3c1e-6f1b-7c3a-9d2e-5b8a4f6c7d10"
USER = "6b1f0c52-4a5e-4f0e-8f0a-2c9d7e1b3a44"
FILE = "018f3c1d-2f60-7a41-8c55-0f9f5a3b1c22"
DOCUMENT: Json = {"doc_type": "PASSPORT", "file_id": FILE, "issued_country": "US"}
PERSON: Json = {
    "given_names": "Alice",
    "family_name": "Example",
    "birth_date": "1990-04-12",
    "nationality": "US",
    "address": {"lines": ["1 Main Street"], "city": "Springfield", "postal_code": "12345", "country": "US"},
}
SUBMISSION: Json = {"user_id": USER, "email": "alice@example.com", "documents": [DOCUMENT], "applicant": PERSON}
SHOWN: Json = {
    "id": APPLICATION,
    "user_id": USER,
    "email": "alice@example.com",
    "created_at": "2026-03-02T09:30:00Z",
    "status": "IN_PROGRESS",
    "reason": None,
    "documents": [DOCUMENT],
    "updated_at": "2026-03-02T09:30:00Z",
    "version": 2,
    "awaiting": "checks",
    "reasons": [],
    "evidence": "live",
    "retryable": False,
    "applicant": PERSON,
}
DECIDED: Json = {
    **SHOWN,
    "status": "REJECTED",
    "reason": "Your document has expired. Please apply again with one that is still valid.",
    "reasons": [
        {
            "code": "DOC_EXPIRED",
            "text": "Your document has expired. Please apply again with one that is still valid.",
        }
    ],
    "version": 4,
    "updated_at": "2026-03-02T09:30:41Z",
    "awaiting": None,
}
VERIFIED: Json = {**SHOWN, "status": "VERIFIED", "version": 5, "updated_at": "2026-03-02T11:02:10Z", "awaiting": None}
STORED: Json = {
    "id": FILE,
    "media_type": "image/jpeg",
    "size": 482133,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_at": "2026-03-02T09:29:51Z",
}
HAPPENED: Json = {
    "version": 4,
    "id": "018f3c1f-0f42-7000-8000-000000000003",
    "type": "ApplicationRejected",
    "at": "2026-03-02T09:30:41Z",
    "actor": "kyc-service",
    "causation": "018f3c1e-7aa0-7000-8000-000000000009",
    "published": "KYC_REJECTED",
    "data": {"evidence": "live", "reasons": ["DOC_EXPIRED"]},
}

HIT_KEY = "7f0c6d8e-0d5a-5a0e-9a57-5a1f5b7f9f10"
HIT: Json = {
    "list": "us_ofac_sdn",
    "entry": "us_ofac_sdn:12345",
    "probability": 0.83,
    "explanation": {"name": "DOE, John", "birth_date": "the same year"},
}
DOUBTED: Json = {"decision": "confirmed", "reason": "SANCTIONS_CONFIRMED"}


@record
class Success:
    """One good answer: the name of its schema, or the media types of raw bytes; neither: no content."""

    description: str
    schema: str | None = None
    example: object = None
    media_type: str = "application/json"
    raw: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


@record
class Body:
    """What is sent: the name of its schema, or raw bytes, by media type."""

    media_types: tuple[str, ...]
    schema: str | None = None
    examples: Mapping[str, object] | None = None


@record
class Operation:
    """What one route says of itself."""

    name: str
    tag: str
    summary: str
    description: str
    successes: Mapping[int, Success]
    parameters: tuple[str, ...] = ()
    body: Body | None = None
    problems: tuple[str, ...] = ()
    public: bool = False


ALWAYS = ("internal_error", "store_unavailable")
AUTHENTICATED = ("token_missing", "token_expired", "forbidden", "rate_limited", "keys_unavailable")
READING = ("json_invalid", "request_invalid", "body_too_large", "media_type_unsupported", "validation_failed")
KEYED = ("idempotency_key_invalid", "idempotency_key_reused", "answer_erased")


def _string(description: str, **more: object) -> Json:
    return {"description": description, "schema": {"type": "string", **more}}


def _query(name: str, description: str, schema: Json, **more: object) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _header(name: str, description: str, schema: Json, **more: object) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": schema, **more}


def _path(name: str, description: str, example: str) -> Json:
    schema = {"type": "string", "format": "uuid"}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


_TIME: Json = {
    "type": "string",
    "format": "date-time",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
}
PARAMETERS: Mapping[str, Json] = {
    "ApplicationId": _path("application_id", "The application's id.", APPLICATION),
    "FileId": _path("file_id", "The file's id.", FILE),
    "HitId": _path("hit_id", "The hit's id; the history tells it.", HIT_KEY),
    "Status": _query(
        "status",
        "Only applications of this status; repeat it for several.",
        {"type": "array", "items": {"type": "string", "enum": [status.value for status in Status]}},
        explode=True,
        example=["PENDING", "IN_PROGRESS"],
    ),
    "UserId": _query("user_id", "Only applications of this person.", {"type": "string", "format": "uuid"}),
    "CreatedFrom": _query(
        "created_at.gte", "Only applications made at this time or later.", _TIME, example="2026-03-01T00:00:00Z"
    ),
    "CreatedTo": _query("created_at.lt", "Only applications made before.", _TIME, example="2026-04-01T00:00:00Z"),
    "Limit": _query(
        "limit", "How many there are on a page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}
    ),
    "Cursor": _query("cursor", "`next_cursor` of the page before.", {"type": "string", "maxLength": 200}),
    "After": _query(
        "after",
        "Where to go on: the cursor of the `Link` before, or `end` for what is still to come. Without it the feed "
        "begins with the first event.",
        {"type": "string", "maxLength": 200},
    ),
    "FeedLimit": _query(
        "limit",
        "How many events there are in a batch at the most.",
        {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
    ),
    "EventType": _query(
        "type",
        "Only events of this type; repeat it for several.",
        {"type": "array", "items": {"type": "string", "enum": [kind.value for kind in EventType]}},
        explode=True,
        example=["KYC_VERIFIED", "KYC_REJECTED"],
    ),
    "LastEventId": _header(
        "Last-Event-ID",
        "The `id` of the last event that arrived; what browsers send when they connect again. Stronger than `after`.",
        {"type": "string", "maxLength": 200, "pattern": "^[A-Za-z0-9_-]*$"},
    ),
    "Purpose": _query(
        "purpose",
        "What the picture is for. A `selfie` is biometric data from the first byte on; without this it becomes so when "
        "an application names it as one.",
        {"type": "string", "enum": ["document", "selfie"], "default": "document"},
    ),
    "Details": _query(
        "details",
        "Also findings and notes; needs the permission to review.",
        {"type": "boolean", "default": False},
    ),
    "IdempotencyKey": _header(
        "Idempotency-Key",
        "Makes the request repeatable for 72 hours: the same key with the same request gets the first answer again, "
        "with `Idempotent-Replayed: true`. 1 to 255 visible ASCII characters, bare or as a quoted string.",
        {"type": "string", "pattern": '^([!#-~][!-~]{0,254}|"([!#-\\[\\]-~]|\\\\["\\\\]){1,255}")$'},
        example="8e03978e-40d5-43dd-bc93-6894a57f9324",
    ),
    "Prefer": _header(
        "Prefer",
        f"`wait=N` answers as soon as the application is decided, after N seconds at the latest (RFC 7240); "
        f"{LONGEST_WAIT:.0f} at the most.",
        {"type": "string"},
        example="wait=10",
    ),
    "IfMatch": _header("If-Match", "Change only the version with this entity tag.", {"type": "string"}, example='"v2"'),
    "IfNoneMatch": _header(
        "If-None-Match", "Answer 304 if this entity tag is still the present one.", {"type": "string"}, example='"v2"'
    ),
}
RESPONSE_HEADERS: Mapping[str, Json] = {
    "ETag": _string("The entity tag of the representation, strong.", examples=['"v2"']),
    "Location": _string("Where the new thing is.", format="uri-reference"),
    "X-Request-Id": _string("The id of the request: yours, if you sent a usable one."),
    "Idempotent-Replayed": _string("`true`: this is the answer that the same request got before.", enum=["true"]),
    "Preference-Applied": _string("The preference that was honoured.", examples=["wait=10"]),
    "Link": _string('The next page, as `rel="next"`.'),
    "Retry-After": _string("After how many seconds to try again.", pattern="^[0-9]+$"),
    "WWW-Authenticate": _string("The challenge of RFC 6750."),
    "Allow": _string("The methods that this address offers."),
    "Content-Disposition": _string("Always `attachment`."),
}


def statuses(codes: tuple[str, ...]) -> Mapping[int, tuple[str, ...]]:
    """The problem codes of an operation by their status, in order."""
    kinds = sorted((KINDS[code] for code in dict.fromkeys(codes)), key=lambda kind: kind.status)
    found: dict[int, tuple[str, ...]] = {}
    for kind in kinds:
        found[kind.status] = (*found.get(kind.status, ()), kind.code)
    return found
