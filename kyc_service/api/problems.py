"""Everything that can go wrong, as a client reads it: RFC 9457 problem details, each with a stable code.

The answers are made of these tables alone: no value of a request and no text of an exception ever reaches a client.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic_core import to_json
from starlette.responses import Response

from kyc_service.access.jwks import KeysUnavailable
from kyc_service.access.principal import AuthError, Refusal
from kyc_service.application.desk import AnswerErased, KeyReused
from kyc_service.application.files import (
    FileEmpty,
    FileInfected,
    FileMoved,
    FileNotFound,
    FileNotScannable,
    FileTooLarge,
    FileTypeMismatch,
    FileTypeUnsupported,
    ScannerUnavailable,
)
from kyc_service.application.handle import StaleVersion
from kyc_service.application.ports import (
    DocumentTaken,
    PersonErased,
    ScreeningUnavailable,
    StoreUnavailable,
    VersionConflict,
)
from kyc_service.domain import media
from kyc_service.domain.application import (
    ApplicationNotAmendable,
    ApplicationNotFound,
    ApplicationNotInReview,
    DocumentMissing,
    HitDecidedAlready,
    HitNotFound,
    HitsUndecided,
    SimulatedVendorRefused,
)
from kyc_service.domain.record import record
from kyc_service.privacy.blobs import BlobStoreFailed

MEDIA_TYPE = "application/problem+json"
TYPE = "/docs/problems#"  # relative to this service, which explains every code there
NOTHING: Mapping[str, str] = MappingProxyType({})


@record
class Kind:
    """One kind of problem: its code and status, what it says, and what to do about it."""

    code: str
    status: int
    title: str
    detail: str
    cure: str


@record
class Fault:
    """One part of the request that is wrong: a JSON pointer into the body, a query parameter or a header."""

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None

    def as_json(self) -> dict[str, str]:
        """The fault without the places that it is not in."""
        places = {"pointer": self.pointer, "parameter": self.parameter, "header": self.header}
        found = {name: place for name, place in places.items() if place is not None}
        return {**found, "code": self.code, "detail": self.detail}


class Refused(Exception):
    """The request is refused by the API itself; *code* is one of `KINDS`."""

    def __init__(self, code: str, *faults: Fault, headers: Mapping[str, str] = NOTHING) -> None:
        super().__init__(code)
        self.code = code
        self.faults = faults
        self.headers = headers


def _text(error: type[Exception]) -> str:
    """The docstring of an error is the sentence that a client may read."""
    return str(error.__doc__).splitlines()[0]


# What each refusal of a token means for whoever sent it.
_TOKENS: Mapping[Refusal, str] = {
    Refusal.TOO_LONG: "The access token is longer than this service accepts.",
    Refusal.MALFORMED: "The access token is not a signed JWT.",
    Refusal.TYPE: "The token is not an access token.",
    Refusal.CRITICAL: "The token demands an extension that this service does not know.",
    Refusal.ALGORITHM: "The token is signed with an algorithm that is not accepted.",
    Refusal.KEY_UNKNOWN: "The issuer has no key of the id that the token names.",
    Refusal.SIGNATURE: "The signature of the access token is wrong.",
    Refusal.CLAIM_MISSING: "The access token lacks a claim that is required.",
    Refusal.CLAIM_INVALID: "A claim of the access token has no acceptable value.",
    Refusal.EXPIRED: "The access token has expired.",
    Refusal.NOT_YET_VALID: "The access token is not valid yet.",
    Refusal.ISSUER: "The access token comes from another issuer.",
    Refusal.AUDIENCE: "The access token is for another service.",
    Refusal.TENANT: "The access token names no tenant.",
    Refusal.ROLES: "The access token lists no roles.",
}
_MEND = "Mend the request; the same one again gets the same answer."
_AGAIN = "Send the same request again after `Retry-After` seconds."
_TOKEN = "Get a new access token from your issuer and send the request again."  # noqa: S105 - a sentence


def _kind(code: str, status: int, title: str, detail: str, cure: str) -> Kind:
    return Kind(code=code, status=status, title=title, detail=detail, cure=cure)


KINDS: Mapping[str, Kind] = {
    kind.code: kind
    for kind in (
        _kind("json_invalid", 400, "Not JSON", "The body of the request is not a JSON document.", _MEND),
        _kind("cursor_invalid", 400, "Unknown cursor", "The cursor was not made by this service for this list.",
              "Start over without a cursor, or repeat the filters that the cursor was made for."),
        _kind("idempotency_key_invalid", 400, "Unusable idempotency key",
              "An idempotency key is 1 to 255 visible ASCII characters, bare or as a quoted string.", _MEND),
        _kind("request_invalid", 400, "Unreadable request", "The request could not be read.", _MEND),
        _kind("token_missing", 401, "Access token missing", "The request carries no bearer token.",
              "Send `Authorization: Bearer …` with an access token of your issuer."),
        *(_kind(refusal.value, 401, "Access token refused", _TOKENS[refusal], _TOKEN) for refusal in Refusal),
        _kind("forbidden", 403, "Not permitted", "The roles of the access token do not permit this.",
              "Ask your administrator for the role; a new token with the same roles gets the same answer."),
        _kind("not_found", 404, "No such place", "Nothing is served under this address.", "Look up the path in /docs."),
        _kind("application_not_found", 404, "No such application", _text(ApplicationNotFound),
              "Check the id; the applications of other tenants do not exist for you."),
        _kind("file_not_found", 404, "No such file", _text(FileNotFound),
              "Check the id; the files of other tenants do not exist for you."),
        _kind("hit_not_found", 404, "No such hit", _text(HitNotFound),
              "Read the history of the application: its hits stand there."),
        _kind("method_not_allowed", 405, "Method not allowed", "This address does not offer that method.",
              "Use one of the methods in `Allow`."),
        _kind("not_acceptable", 406, "No acceptable representation",
              "This address offers nothing of the types that the request accepts.",
              "Accept `application/json`, or one of the types that the documentation of the address names."),
        _kind("application_not_amendable", 409, "Not amendable any more", _text(ApplicationNotAmendable),
              "Read the application: its `status` and `awaiting` say what can be done."),
        _kind("application_not_in_review", 409, "Nothing to review", _text(ApplicationNotInReview),
              "Read the application again: it was decided meanwhile, or its checks are not over."),
        _kind("hits_undecided", 409, "Hits undecided", _text(HitsUndecided),
              "Have somebody with the permission decide every hit first."),
        _kind("hit_decided", 409, "Hit decided before", _text(HitDecidedAlready),
              "Read the history: it says who decided, and why."),
        _kind("simulated_vendor_refused", 409, "Simulation refused", _text(SimulatedVendorRefused),
              "The operator has to route live tenants to real vendors."),
        _kind("document_taken", 409, "Another person's file", _text(DocumentTaken),
              "Upload the picture of this person, and name the `id` that the upload answered."),
        _kind("contended", 409, "Too many writers", "Others were changing the application all the time.", _AGAIN),
        _kind("person_erased", 410, "Person erased", "The person was erased; nothing is kept about them any more.",
              "Do not ask again. A new account of the same person needs a new `user_id`."),
        _kind("answer_erased", 410, "Answer erased", _text(AnswerErased),
              "Do not ask again: what the request did was erased later."),
        _kind("version_stale", 412, "Changed meanwhile", _text(StaleVersion),
              "Read the application again, and repeat the change with the `ETag` of what you saw."),
        _kind("body_too_large", 413, "Body too large", "A JSON body may have 256 KiB at the most.", _MEND),
        _kind("file_too_large", 413, "File too large", _text(FileTooLarge), "Send a smaller file."),
        _kind("media_type_unsupported", 415, "Media type not supported",
              "The body is of a type that this address does not accept.",
              "Send one of the types in `Accept` or `Accept-Patch`, without a content coding."),
        _kind("file_type_unsupported", 415, "File type not supported", _text(FileTypeUnsupported),
              "Send the file as one of the types in `Accept`."),
        _kind("validation_failed", 422, "Invalid request", "Parts of the request are not valid; `errors` names them.",
              _MEND),
        _kind("idempotency_key_reused", 422, "Idempotency key reused", _text(KeyReused),
              "Make a new key for every new request, and repeat a key only with the same body."),
        _kind("document_missing", 422, "Document missing", _text(DocumentMissing),
              "Upload the file first, and name the `id` that the upload answered."),
        _kind("file_empty", 422, "Empty file", _text(FileEmpty), "Send the content of the file as the body."),
        _kind("file_type_mismatch", 422, "Another file type", _text(FileTypeMismatch),
              "Send the `Content-Type` that the file really has."),
        _kind("file_infected", 422, "Malware", _text(FileInfected), "Do not send this file again; take a new picture."),
        _kind("file_not_scannable", 422, "Not scanned", _text(FileNotScannable),
              "Send a smaller file; the operator can raise the scanner's limit."),
        _kind("rate_limited", 429, "Too many requests", "The client sends more requests than this service admits.",
              _AGAIN),
        _kind("internal_error", 500, "Our mistake", "Something went wrong on our side; it was recorded.",
              "Try again later with the same `Idempotency-Key`; tell us the `request_id` if it stays."),
        _kind("store_unavailable", 503, "Not available at the moment", _text(StoreUnavailable), _AGAIN),
        _kind("feed_full", 503, "Too many listeners", "As many clients as can be served are listening to the feed.",
              "Ask for batches meanwhile, or connect again after `Retry-After` seconds."),
        _kind("files_unavailable", 503, "Not available at the moment", "The store of files does not answer.", _AGAIN),
        _kind("screening_unavailable", 503, "Lists not available", _text(ScreeningUnavailable), _AGAIN),
        _kind("scanner_unavailable", 503, "Not available at the moment", _text(ScannerUnavailable), _AGAIN),
        _kind("keys_unavailable", 503, "Not available at the moment", _text(KeysUnavailable), _AGAIN),
    )
}  # fmt: skip

ERRORS: Mapping[type[Exception], str] = {
    AnswerErased: "answer_erased",
    ApplicationNotAmendable: "application_not_amendable",
    ApplicationNotFound: "application_not_found",
    ApplicationNotInReview: "application_not_in_review",
    BlobStoreFailed: "files_unavailable",
    DocumentMissing: "document_missing",
    DocumentTaken: "document_taken",
    FileEmpty: "file_empty",
    FileInfected: "file_infected",
    FileMoved: "files_unavailable",
    FileNotFound: "file_not_found",
    FileNotScannable: "file_not_scannable",
    FileTooLarge: "file_too_large",
    FileTypeMismatch: "file_type_mismatch",
    FileTypeUnsupported: "file_type_unsupported",
    HitDecidedAlready: "hit_decided",
    HitNotFound: "hit_not_found",
    HitsUndecided: "hits_undecided",
    KeyReused: "idempotency_key_reused",
    KeysUnavailable: "keys_unavailable",
    PersonErased: "person_erased",
    ScreeningUnavailable: "screening_unavailable",
    ScannerUnavailable: "scanner_unavailable",
    SimulatedVendorRefused: "simulated_vendor_refused",
    StaleVersion: "version_stale",
    StoreUnavailable: "store_unavailable",
    VersionConflict: "contended",
}
# What the framework itself refuses, before any route is asked.
STATUSES: Mapping[int, str] = {404: "not_found", 405: "method_not_allowed"}

HEADERS: Mapping[str, Mapping[str, str]] = {
    "contended": {"Retry-After": "1"},
    "rate_limited": {"Retry-After": "1"},
    "store_unavailable": {"Retry-After": "2"},
    "feed_full": {"Retry-After": "5"},
    "files_unavailable": {"Retry-After": "5"},
    "screening_unavailable": {"Retry-After": "60"},
    "scanner_unavailable": {"Retry-After": "5"},
    "keys_unavailable": {"Retry-After": "5"},
    "token_missing": {"WWW-Authenticate": 'Bearer realm="kyc"'},
    "forbidden": {"WWW-Authenticate": 'Bearer realm="kyc", error="insufficient_scope"'},
    "body_too_large": {"Connection": "close"},  # nobody reads the rest of it
    "file_too_large": {"Connection": "close"},
    "file_type_unsupported": {"Accept": ", ".join(media.MEDIA_TYPES)},
}


@record
class Place:
    """Which request a problem belongs to."""

    request_id: str
    trace_id: str | None = None


def kind_of(error: Exception) -> Kind:
    """The kind of problem that *error* is."""
    if isinstance(error, Refused | AuthError):
        return KINDS[error.code]
    return KINDS[ERRORS.get(type(error), "internal_error")]


def answer(error: Exception, place: Place) -> Response:
    """The problem that *error* is to a client; whatever is not in the tables is our own mistake."""
    match error:
        case Refused(faults=faults, headers=headers):
            return problem(kind_of(error), place, faults, headers)
        case AuthError(code=code):
            challenge = f'Bearer realm="kyc", error="invalid_token", error_description="{code}"'
            return problem(kind_of(error), place, headers={"WWW-Authenticate": challenge})
        case _:
            return problem(kind_of(error), place)


def problem(kind: Kind, place: Place, faults: Sequence[Fault] = (), headers: Mapping[str, str] = NOTHING) -> Response:
    """*kind* as an answer to one request."""
    content = {**as_json(kind), "request_id": place.request_id}
    if place.trace_id:
        content["trace_id"] = place.trace_id
    if faults:
        content["errors"] = [fault.as_json() for fault in faults]
    return Response(
        to_json(content),
        kind.status,
        {**HEADERS.get(kind.code, {}), **headers},
        media_type=MEDIA_TYPE,
    )


def as_json(kind: Kind) -> dict[str, object]:
    """The members that every problem of this kind has."""
    return {
        "type": TYPE + kind.code,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail,
        "code": kind.code,
    }
