"""How the core's values look to a client. A reason that would tip somebody off never gets past this module."""

import json
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from kyc_service.api import headers
from kyc_service.application import codec
from kyc_service.application.desk import Disclosed, View
from kyc_service.application.files import FileView
from kyc_service.application.ports import PersonErased
from kyc_service.domain.application import AlertRaised, Event, HitDecided, HitDelisted, HitReopened, PersonScreened
from kyc_service.domain.reasons import GENERIC_TEXT, REASONS, Disclosure, applicant_texts
from kyc_service.domain.record import record

OF_SCREENING = (PersonScreened, AlertRaised, HitDecided, HitReopened, HitDelisted)
OF_HITS = ("hits", "hit", "decision", "reason", "cleared_for")  # the members that tell of a hit
UNSPECIFIED = "UNSPECIFIED"  # the code beside a text that says nothing, on purpose
# The facts that are also broadcast, and as what.
PUBLISHED: Mapping[str, str] = {
    "ApplicationSubmitted": "KYC_CREATED",
    "ApplicationVerified": "KYC_VERIFIED",
    "ApplicationRejected": "KYC_REJECTED",
    "ApplicationRolledBack": "KYC_ROLLBACK",
}


def application(view: View) -> dict[str, object]:
    """An application with everything that its owner may know of it.

    Raises:
        PersonErased: there is nobody left to show.
    """
    snapshot, person = view.snapshot, view.person
    if person is None:
        raise PersonErased
    state = snapshot.state
    told = reasons(state.reasons)
    return {
        "id": snapshot.id,
        "user_id": state.user_id,
        "email": person["email"],
        "created_at": snapshot.created_at,
        "status": state.status.value,
        "reason": told[0]["text"] if told else None,
        "documents": [
            {
                "doc_type": document.doc_type,
                "file_id": document.file_id,
                "issued_country": document.issued_country,
            }
            for document in state.documents
        ],
        "updated_at": snapshot.updated_at,
        "version": snapshot.version,
        "awaiting": state.awaiting.value if state.awaiting else None,
        "reasons": told,
        "evidence": state.evidence.value,
        "retryable": state.retryable,
        "applicant": person.get("applicant"),
    }


def reasons(codes: Sequence[str]) -> list[dict[str, str]]:
    """What an applicant may read about *codes*; a text that says nothing has no code that would."""
    if not codes:
        return []
    by_text = {
        reason.text: code
        for code in reversed(codes)
        if (reason := REASONS.get(code)) and reason.disclosure is Disclosure.OPEN
    }
    return [
        {"code": UNSPECIFIED if text == GENERIC_TEXT else by_text[text], "text": text}
        for text in applicant_texts(codes)
    ]


@record
class Shown:
    """How much of a history somebody sees: the details, if asked for, of reviews and of hits as far as permitted.

    `names` says which pseudonyms of callers this reader may see as names.
    """

    details: bool
    reviews: bool
    hits: bool
    names: Mapping[str, str]

    def opens(self, happened: Event) -> bool:
        """Whether the personal data of *happened* is shown."""
        return self.details and (self.hits if isinstance(happened, OF_SCREENING) else self.reviews)


def event(disclosed: Disclosed, shown_to: Shown) -> dict[str, object]:
    """One thing that happened; the details are personal data, and a hit is only for who may see hits."""
    names = shown_to.names
    recorded = disclosed.recorded
    stored = codec.encode(recorded.event)
    silenced = OF_HITS if not shown_to.hits and isinstance(recorded.event, OF_SCREENING) else ()
    facts = {**stored.data, **_named(stored.data, names)}
    shown: dict[str, object] = {
        "version": recorded.version,
        "id": recorded.id,
        "type": stored.type,
        "at": recorded.at,
        "actor": names.get(recorded.cause.actor, recorded.cause.actor),
        "causation": recorded.cause.causation,
        "published": PUBLISHED.get(stored.type),
        "data": {name: fact for name, fact in facts.items() if name not in silenced},
    }
    return {**shown, "details": disclosed.details} if shown_to.details else shown


def _named(data: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    reviewer = data.get("reviewer")
    return {"reviewer": names[reviewer]} if isinstance(reviewer, str) and reviewer in names else {}


def file(view: FileView) -> dict[str, object]:
    """A file as its owner sees it."""
    return {
        "id": view.id,
        "media_type": view.media_type,
        "size": view.size,
        "sha256": view.sha256,
        "created_at": view.created_at,
    }


def answer(content: object, status: int = 200, given: Mapping[str, str] | None = None) -> Response:
    """*content* as JSON."""
    return Response(to_json(content), status, given, media_type="application/json")


def application_answer(view: View, given: Mapping[str, str] | None = None) -> Response:
    """An application with its entity tag."""
    return answer(application(view), given={"ETag": headers.tag(view.snapshot.version), **(given or {})})


def created(content: object, location: str, tag: str, given: Mapping[str, str] | None = None) -> Response:
    """Something new, and where it is from now on."""
    return answer(content, 201, {"Location": location, "ETag": tag, **(given or {})})


def remembered(response: Response) -> bytes:
    """An answer as it is kept, to be given again."""
    kept = {name: response.headers[name] for name in ("location", "etag", "content-type") if name in response.headers}
    return to_json({"status": response.status_code, "headers": kept, "body": bytes(response.body).decode()})


def repeated(kept: bytes) -> Response:
    """The answer that the same request got before."""
    before = json.loads(kept)
    return Response(before["body"], before["status"], {**before["headers"], "Idempotent-Replayed": "true"})


def page(request: Request, items: Iterable[Mapping[str, object]], cursor: str | None) -> Response:
    """One page of a list, with the way to the next one."""
    content = {"data": list(items), "next_cursor": cursor, "has_more": cursor is not None}
    if cursor is None or request.method == "POST":  # a link cannot carry the body of a search
        return answer(content)
    following = request.url.include_query_params(cursor=cursor)
    return answer(content, given={"Link": f'<{following.path}?{following.query}>; rel="next"'})


def location(kind: str, identity: UUID) -> str:
    """Where something is."""
    return f"/v1/kyc/{kind}/{identity}"
