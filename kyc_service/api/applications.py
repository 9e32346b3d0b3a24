"""Applications over HTTP: submit, read, list, search, amend, review, and what happened."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from kyc_service.api import cursors, forms, headers, representation
from kyc_service.api.contract import (
    DECIDED,
    DOCUMENT,
    HAPPENED,
    KEYED,
    READING,
    SHOWN,
    SUBMISSION,
    USER,
    VERIFIED,
    Body,
    Operation,
    Success,
)
from kyc_service.api.problems import Fault, Refused
from kyc_service.api.representation import Shown
from kyc_service.api.routes import JSON, Call, Route
from kyc_service.application.desk import Again, Amendment, Announced, Keyed, Submission, Verdict, View
from kyc_service.application.handle import StaleVersion
from kyc_service.application.ports import Snapshot
from kyc_service.domain.application import ApplicationNotFound, ReviewDecision, Status
from kyc_service.store.applications import Page

PATH = "/v1/kyc/applications"
MERGE_PATCH = ("application/merge-patch+json", "application/json")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
DEFAULT_LIMIT, LARGEST_LIMIT = 25, 100


# ── submit ────────────────────────────────────────────────────────────────────────


async def submit(call: Call) -> Response:
    """A new application; with `Prefer: wait`, as soon as it is decided."""
    form = await call.read(forms.NEW_APPLICATION)
    seconds, given = patience(call.request)
    answer: Response | None = None

    def render(view: View) -> bytes:
        nonlocal answer
        answer = created(view)  # what is remembered last was committed, and need not be written again
        return representation.remembered(answer)

    key = headers.idempotency_key(call.request)
    keyed = Keyed(key=key, request=same_request(call, form.model_dump_json()), render=render) if key else None
    view = await call.app.desk.submit(call.caller, submission(form), keyed)
    if isinstance(view, Again):
        return representation.repeated(view.answer)
    if seconds:
        view = await call.app.desk.wait(call.caller.tenant, view.snapshot.id, seconds)
        return created(view, given)
    return answer or created(view)


def submission(form: forms.NewApplication) -> Submission:
    """The form as the desk takes it."""
    return Submission(
        user_id=form.user_id,
        email=form.email,
        documents=_announced(form.documents),
        applicant=form.applicant.model_dump(mode="json", exclude_none=True) if form.applicant else None,
    )


def created(view: View, given: Mapping[str, str] | None = None) -> Response:
    """The answer to a submission."""
    location = representation.location("applications", view.snapshot.id)
    tag = headers.tag(view.snapshot.version)
    return representation.created(representation.application(view), location, tag, given)


def kept(view: View) -> bytes:
    """The answer to a submission, as it is remembered."""
    return representation.remembered(created(view))


def _announced(documents: Iterable[forms.AnnouncedDocument]) -> tuple[Announced, ...]:
    return tuple(
        Announced(doc_type=document.doc_type, file_id=document.file_id, issued_country=document.issued_country)
        for document in documents
    )


def same_request(call: Call, body: str) -> bytes:
    """What makes two requests the same one."""
    return f"{call.request.method} {call.request.scope['path']}\n{body}".encode()


def patience(request: Request) -> tuple[float, Mapping[str, str] | None]:
    """How many seconds the client would wait, and the header that says so."""
    seconds = headers.wait(request)
    return seconds, {"Preference-Applied": f"wait={seconds:.0f}"} if seconds else None


# ── read ──────────────────────────────────────────────────────────────────────────


async def read(call: Call) -> Response:
    """The application as it is now; with `Prefer: wait`, as soon as it is decided."""
    identity = call.identity("application_id", ApplicationNotFound)
    seconds, given = patience(call.request)
    tenant, desk = call.caller.tenant, call.app.desk
    view = await (desk.wait(tenant, identity, seconds) if seconds else desk.get(tenant, identity))
    tag = headers.tag(view.snapshot.version)
    if view.person is not None and headers.unchanged(call.request, tag):
        return Response(status_code=304, headers={"ETag": tag, **(given or {})})
    return representation.application_answer(view, given)


async def history(call: Call) -> Response:
    """Everything that happened to the application, in order; findings, notes and hits for those who may see them."""
    identity = call.identity("application_id", ApplicationNotFound)
    shown = Shown(
        details=_details(call.request),
        reviews=call.may("application.review"),
        hits=call.may("screening.read"),
        names=call.own_name,
    )
    if shown.details and not (shown.reviews or shown.hits):
        raise Refused("forbidden")
    events = await call.app.desk.history(call.caller.tenant, identity, shown.opens)
    return representation.answer({"data": [representation.event(event, shown) for event in events]})


def _details(request: Request) -> bool:
    given = parameters(request, {"details"}).get("details", ["false"])
    if given[0] not in {"true", "false"}:
        raise wrong("details", "This is neither true nor false.")
    return given[0] == "true"


# ── lists ─────────────────────────────────────────────────────────────────────────


async def listed(call: Call) -> Response:
    """The tenant's applications, newest first."""
    given = parameters(
        call.request, {"status", "user_id", "created_at.gte", "created_at.lt", "limit", "cursor"}, repeated={"status"}
    )
    one = {name: values[0] for name, values in given.items()}
    page = Page(
        statuses=tuple(sorted({_status(value) for value in given.get("status", ())})),
        user_id=_user(one["user_id"]) if "user_id" in one else None,
        created_from=_time("created_at.gte", one),
        created_to=_time("created_at.lt", one),
        limit=limit(one, DEFAULT_LIMIT, LARGEST_LIMIT),
    )
    return await _page(call, page, one.get("cursor"))


async def search(call: Call) -> Response:
    """The applications of an e-mail address, which is in the body and found through its blind index."""
    form = await call.read(forms.EMAIL_SEARCH)
    index = call.app.desk.email_index(call.caller.tenant, form.email)
    return await _page(call, Page(email_index=index, limit=form.limit), form.cursor)


async def _page(call: Call, page: Page, cursor: str | None) -> Response:
    tenant, key = call.caller.tenant, call.app.signing_key
    listing = cursors.Listing(
        tenant=tenant,
        filters=(
            page.statuses,
            page.user_id,
            page.created_from,
            page.created_to,
            page.email_index.hex() if page.email_index else None,
        ),
    )
    after = cursors.open_(key, listing, cursor) if cursor is not None else None
    # One more than asked for tells whether there is another page.
    found = await call.app.applications.page(tenant, _one_more(page, after))
    shown, more = found[: page.limit], len(found) > page.limit
    views = await call.app.desk.views(tenant, shown)
    # An erased person has no application any more that could be shown.
    items = [representation.application(view) for view in views if view.person is not None]
    next_cursor = cursors.seal(key, listing, _mark(shown)) if more else None
    return representation.page(call.request, items, next_cursor)


def _one_more(page: Page, after: tuple[datetime, UUID] | None) -> Page:
    return Page(
        statuses=page.statuses,
        user_id=page.user_id,
        email_index=page.email_index,
        created_from=page.created_from,
        created_to=page.created_to,
        after=after,
        limit=page.limit + 1,
    )


def _mark(shown: Sequence[Snapshot]) -> tuple[datetime, UUID]:
    return shown[-1].created_at, shown[-1].id


def parameters(
    request: Request, known: set[str], repeated: set[str] | frozenset[str] = frozenset()
) -> dict[str, list[str]]:
    """The query, when it has nothing that this address does not know.

    Raises:
        Refused: it has; what it was called is not repeated, because that was sent, too.
    """
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            fault = Fault(parameter="", code="unknown_parameter", detail="There is a parameter that is not known here.")
            raise Refused("validation_failed", fault)
        found.setdefault(name, []).append(value)
    for name, values in found.items():
        if len(values) > 1 and name not in repeated:
            raise wrong(name, "This parameter may be given once.")
    return found


def wrong(parameter: str, detail: str) -> Refused:
    """The refusal of a query for the sake of one parameter."""
    return Refused("validation_failed", Fault(parameter=parameter, code="invalid_parameter", detail=detail))


def _status(value: str) -> str:
    if value not in set(Status):
        raise wrong("status", "This is none of the documented statuses.")
    return value


def _user(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError as error:
        raise wrong("user_id", "This is not a UUID.") from error


def _time(name: str, given: Mapping[str, str]) -> datetime | None:
    """A time with its offset; without one, nobody knows which moment is meant."""
    if name not in given:
        return None
    try:
        if RFC_3339.fullmatch(given[name]):
            return datetime.fromisoformat(given[name].upper())
    except ValueError:
        pass
    raise wrong(name, "This is not a time with its offset, such as 2026-03-02T09:30:00Z.")


def limit(given: Mapping[str, str], usual: int, largest: int) -> int:
    """How many there may be on a page."""
    value = given.get("limit", str(usual))
    if not re.fullmatch(r"[0-9]{1,3}", value) or not 1 <= int(value) <= largest:
        raise wrong("limit", f"This is no whole number from 1 to {largest}.")
    return int(value)


# ── change ────────────────────────────────────────────────────────────────────────


async def amend(call: Call) -> Response:
    """Documents or particulars replaced by a merge patch, while the application may still be changed."""
    identity = call.identity("application_id", ApplicationNotFound)
    patch = await call.read(forms.APPLICATION_PATCH, MERGE_PATCH)
    key = headers.idempotency_key(call.request)
    body = forms.APPLICATION_PATCH.dump_json(patch).decode()
    keyed = Keyed(key=key, request=same_request(call, body), render=kept_as_it_is) if key else None
    expected = await expected_version(call, identity)
    view = await call.app.desk.amend(call.caller, identity, amendment(patch, expected), keyed)
    return representation.repeated(view.answer) if isinstance(view, Again) else representation.application_answer(view)


def amendment(patch: forms.ApplicationPatch, expected: int | None) -> Amendment:
    """The patch as the desk takes it, for the version *expected*; None: any."""
    changes: dict[str, object] = forms.APPLICATION_PATCH.dump_python(patch, mode="json", exclude_unset=True)
    changes.pop("documents", None)
    return Amendment(
        person=(lambda person: merged(person, changes)) if changes else None,
        documents=_announced(patch["documents"]) if "documents" in patch else None,
        expected=expected,
    )


def merged(target: object, patch: object) -> Any:
    """*target* after the merge *patch*, as RFC 7396 section 2 puts it."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


async def review(call: Call) -> Response:
    """A person's decision about what the checks left open."""
    identity = call.identity("application_id", ApplicationNotFound)
    form = await call.read(forms.REVIEW)
    verdict = Verdict(
        decision=ReviewDecision(form.decision),
        reason=form.reason,
        note=form.note,
        expected=await expected_version(call, identity),
    )
    key = headers.idempotency_key(call.request)
    keyed = Keyed(key=key, request=same_request(call, form.model_dump_json()), render=kept_as_it_is) if key else None
    view = await call.app.desk.review(call.caller, identity, verdict, keyed)
    return representation.repeated(view.answer) if isinstance(view, Again) else representation.application_answer(view)


def kept_as_it_is(view: View) -> bytes:
    """An application that was there before, as the answer is remembered."""
    return representation.remembered(representation.application_answer(view))


async def expected_version(call: Call, identity: UUID) -> int | None:
    """The one version that `If-Match` leaves; None: any."""
    versions = headers.expected_versions(call.request)
    if versions is None or len(versions) == 1:
        return next(iter(versions)) if versions else None
    present = await call.app.desk.get(call.caller.tenant, identity)
    if present.snapshot.version not in versions:
        raise StaleVersion
    return present.snapshot.version


# ── the table ─────────────────────────────────────────────────────────────────────

FOUND = ("application_not_found", "person_erased")
ONE = "/{application_id}"
ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path=PATH,
        action="application.submit",
        handler=submit,
        documented=Operation(
            name="submitApplication",
            tag="applications",
            summary="Submit a new application",
            description="The verification starts by itself as soon as there is a document; upload its picture first. "
            "With `Prefer: wait=N` the answer tells the outcome, if there is one in time.",
            parameters=("IdempotencyKey", "Prefer"),
            body=Body(
                media_types=JSON,
                schema="NewApplication",
                examples={
                    "complete": SUBMISSION,
                    "shortest": {"user_id": USER, "email": "alice@example.com", "documents": []},
                },
            ),
            successes={
                201: Success(
                    description="Submitted.",
                    schema="Application",
                    example=SHOWN,
                    headers=("Location", "ETag", "Idempotent-Replayed", "Preference-Applied"),
                )
            },
            problems=(
                *READING,
                *KEYED,
                "document_missing",
                "document_taken",
                "simulated_vendor_refused",
                "contended",
                "person_erased",
            ),
        ),
    ),
    Route(
        method="GET",
        path=PATH,
        action="application.list",
        handler=listed,
        documented=Operation(
            name="listApplications",
            tag="applications",
            summary="List applications",
            description="The applications of your tenant, newest first. A cursor is good for the filters that it was "
            "made with.",
            parameters=("Status", "UserId", "CreatedFrom", "CreatedTo", "Limit", "Cursor"),
            successes={
                200: Success(
                    description="One page.",
                    schema="ApplicationPage",
                    example={"data": [SHOWN], "next_cursor": None, "has_more": False},
                    headers=("Link",),
                )
            },
            problems=("cursor_invalid", "validation_failed"),
        ),
    ),
    Route(
        method="POST",
        path=f"{PATH}:search",
        action="application.search",
        handler=search,
        documented=Operation(
            name="searchApplications",
            tag="applications",
            summary="Find applications by e-mail address",
            description="The address is compared without regard to case, and never in clear: it is found through a "
            "keyed index.",
            body=Body(media_types=JSON, schema="EmailSearch", examples={"address": {"email": "alice@example.com"}}),
            successes={
                200: Success(
                    description="One page.",
                    schema="ApplicationPage",
                    example={"data": [SHOWN], "next_cursor": None, "has_more": False},
                )
            },
            problems=(*READING, "cursor_invalid"),
        ),
    ),
    Route(
        method="GET",
        path=PATH + ONE,
        action="application.read",
        handler=read,
        documented=Operation(
            name="readApplication",
            tag="applications",
            summary="Retrieve a single application",
            description="With `Prefer: wait=N`, as soon as it is decided; with `If-None-Match`, only if it changed.",
            parameters=("ApplicationId", "Prefer", "IfNoneMatch"),
            successes={
                200: Success(
                    description="The application.",
                    schema="Application",
                    example=DECIDED,
                    headers=("ETag", "Preference-Applied"),
                ),
                304: Success(description="Not modified.", headers=("ETag",)),
            },
            problems=FOUND,
        ),
    ),
    Route(
        method="PATCH",
        path=PATH + ONE,
        action="application.amend",
        handler=amend,
        documented=Operation(
            name="amendApplication",
            tag="applications",
            summary="Update a pending application",
            description="A JSON merge patch (RFC 7396) of `email`, `documents` and `applicant`, while the application "
            "is `PENDING` or awaits a resubmission. New documents start a new round of checks.",
            parameters=("ApplicationId", "IdempotencyKey", "IfMatch"),
            body=Body(
                media_types=MERGE_PATCH,
                schema="ApplicationPatch",
                examples={
                    "add a document": {"documents": [DOCUMENT]},
                    "forget the address": {"applicant": {"address": None}},
                },
            ),
            successes={
                200: Success(
                    description="The application as it is now.",
                    schema="Application",
                    example=SHOWN,
                    headers=("ETag", "Idempotent-Replayed"),
                )
            },
            problems=(
                *READING,
                *KEYED,
                *FOUND,
                "application_not_amendable",
                "contended",
                "document_missing",
                "document_taken",
                "simulated_vendor_refused",
                "version_stale",
            ),
        ),
    ),
    Route(
        method="POST",
        path=f"{PATH}{ONE}/review",
        action="application.review",
        handler=review,
        documented=Operation(
            name="reviewApplication",
            tag="applications",
            summary="Decide what the checks left open",
            description="Only while the application awaits a review. The reason is a code of the catalogue; the note "
            "is for colleagues.",
            parameters=("ApplicationId", "IdempotencyKey", "IfMatch"),
            body=Body(
                media_types=JSON,
                schema="Review",
                examples={
                    "approve": {"decision": "approve", "reason": "CASE_REVIEW_APPROVED"},
                    "reject": {"decision": "reject", "reason": "CASE_REVIEW_REJECTED", "note": "Called back twice."},
                    "ask for another picture": {"decision": "resubmit", "reason": "IMAGE_BLURRED"},
                },
            ),
            successes={
                200: Success(
                    description="The application as it is now.",
                    schema="Application",
                    example=VERIFIED,
                    headers=("ETag", "Idempotent-Replayed"),
                )
            },
            problems=(
                *READING,
                *KEYED,
                *FOUND,
                "application_not_in_review",
                "hits_undecided",
                "contended",
                "version_stale",
            ),
        ),
    ),
    Route(
        method="GET",
        path=f"{PATH}{ONE}/history",
        action="application.history",
        handler=history,
        documented=Operation(
            name="readHistory",
            tag="applications",
            summary="Everything that happened to an application",
            description="Every event in order, with what was broadcast for it. This is the compliance view: it also "
            "tells reasons that an applicant must not learn.",
            parameters=("ApplicationId", "Details"),
            successes={
                200: Success(description="The events.", schema="History", example={"data": [HAPPENED]}),
            },
            problems=("application_not_found", "validation_failed"),
        ),
    ),
)
