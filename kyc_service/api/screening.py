"""Sanctions and PEP lists over HTTP: ask them about a name, and decide what a possible hit is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from starlette.responses import Response

from kyc_service.api import forms, headers, representation
from kyc_service.api.applications import FOUND, ONE, PATH, expected_version, kept_as_it_is, same_request
from kyc_service.api.contract import DOUBTED, HIT, KEYED, READING, VERIFIED, Body, Json, Operation, Success
from kyc_service.api.routes import JSON, Call, Route
from kyc_service.application.desk import Again, HitVerdict, Keyed
from kyc_service.application.ports import Identity, Number, Screened
from kyc_service.bootstrap import screening_terms
from kyc_service.domain.application import ApplicationNotFound, HitNotFound
from kyc_service.domain.clearance import HitDecision

SEARCHED: Json = {"name": "John Doe", "birth_date": "1960", "countries": ["US"]}
DECIDED: Json = {"decision": "cleared", "reason": "SANCTIONS_OTHER_PERSON", "note": "Born 30 years later."}


async def search(call: Call) -> Response:
    """Ask the lists about a name. Nothing of it is kept."""
    form = await call.read(forms.SCREENING_QUERY)
    identity = Identity(
        source="asked",
        name=form.name,
        birth_date=form.birth_date,
        nationalities=form.countries,
        numbers=tuple(Number(value=number) for number in form.numbers),
        kind=form.kind,
    )
    terms = replace(screening_terms(call.app.settings, call.caller.tenant), review_from=form.review_from)
    screened = await call.app.screener.screen((identity,), terms)
    return representation.answer(_found(screened))


def _found(screened: Screened) -> Mapping[str, object]:
    return {
        "engine": screened.basis.engine,
        "lists": [{"list": one.list, "version": one.version} for one in screened.basis.lists],
        "review_from": screened.basis.review_from,
        "hits": _hits(screened),
    }


def _hits(screened: Screened) -> Sequence[Mapping[str, object]]:
    return [
        {
            "list": found.list,
            "entry": found.entry,
            "probability": found.probability,
            "explanation": found.explanation,
        }
        for found in screened.possible
    ]


async def decide(call: Call) -> Response:
    """A compliance officer's decision about one possible hit."""
    application = call.identity("application_id", ApplicationNotFound)
    hit: UUID = call.identity("hit_id", HitNotFound)
    form = await call.read(forms.HIT_REVIEW)
    verdict = HitVerdict(
        hit=hit,
        decision=HitDecision(form.decision),
        reason=form.reason,
        note=form.note,
        cleared_for=timedelta(days=form.cleared_for_days) if form.cleared_for_days else None,
        expected=await expected_version(call, application),
    )
    key = headers.idempotency_key(call.request)
    keyed = Keyed(key=key, request=same_request(call, form.model_dump_json()), render=kept_as_it_is) if key else None
    view = await call.app.desk.decide_hit(call.caller, application, verdict, keyed)
    return representation.repeated(view.answer) if isinstance(view, Again) else representation.application_answer(view)


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/kyc/screenings",
        action="screening.search",
        handler=search,
        documented=Operation(
            name="searchLists",
            tag="screening",
            summary="Ask the sanctions and PEP lists about a name",
            description="For a person, an organisation or a vessel that is no application. The answer names every "
            "list that was asked and in which version; neither the question nor the answer is kept.",
            body=Body(media_types=JSON, schema="ScreeningQuery", examples={"person": SEARCHED}),
            successes={
                200: Success(
                    description="What the lists say; no hits is an answer too.",
                    schema="ScreeningAnswer",
                    example={
                        "engine": "1",
                        "lists": [{"list": "us_ofac_sdn", "version": "2026-03-02"}],
                        "review_from": 0.5,
                        "hits": [HIT],
                    },
                )
            },
            problems=(*READING, "screening_unavailable"),
        ),
    ),
    Route(
        method="POST",
        path=f"{PATH}{ONE}/hits/{{hit_id}}/decision",
        action="screening.decide",
        handler=decide,
        documented=Operation(
            name="decideHit",
            tag="screening",
            summary="Say whether a possible hit is the applicant",
            description="`cleared`: somebody else, for a time; once every hit is cleared the application goes on. "
            "`confirmed`: the application is rejected, also one that was verified before. The hits stand in the "
            "history.",
            parameters=("ApplicationId", "HitId", "IdempotencyKey", "IfMatch"),
            body=Body(
                media_types=JSON,
                schema="HitReview",
                examples={"somebody else": DECIDED, "the same": {**DOUBTED, "note": "Same passport number."}},
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
                "hit_not_found",
                "hit_decided",
                "application_not_in_review",
                "contended",
                "version_stale",
            ),
        ),
    ),
)
