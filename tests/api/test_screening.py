"""Sanctions and PEP lists over HTTP, with the sample list in force."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import uuid4

import psycopg
import pytest
from starlette.testclient import TestClient

from kyc_service.domain.reasons import GENERIC_TEXT

Bearer: TypeAlias = Callable[..., dict[str, str]]
Form: TypeAlias = Callable[..., dict[str, Any]]

APPLICATIONS, SCREENINGS = "/v1/kyc/applications", "/v1/kyc/screenings"
LISTED = {"given_names": "Specimen Wiktor", "family_name": "Listownik", "birth_date": "1961-04-17"}
CLEARED = {"decision": "cleared", "reason": "SANCTIONS_OTHER_PERSON", "note": "Born elsewhere."}
CONFIRMED = {"decision": "confirmed", "reason": "SANCTIONS_CONFIRMED"}


def held(client: TestClient, form: Form) -> tuple[str, dict[str, Any]]:
    """Where an application is whose person is on the sample list, and its one hit."""
    where = client.post(APPLICATIONS, json=form(applicant=LISTED)).headers["location"]
    for _ in range(400):
        if client.get(where).json()["awaiting"] == "review":
            events = client.get(f"{where}/history").json()["data"]
            (hit,) = next(event["data"]["hits"] for event in events if event["type"] == "PersonScreened")
            return where, hit
        time.sleep(0.05)
    raise AssertionError(client.get(where).json())


def test_the_applicants_view_never_tells_of_a_hit(working: TestClient, form: Form, bearer: Bearer) -> None:
    where, hit = held(working, form)
    shown = working.get(where, headers=bearer("submitter"))
    assert shown.json()["reasons"] == [{"code": "UNSPECIFIED", "text": GENERIC_TEXT}]
    assert "SANCTION" not in shown.text.upper()
    assert hit["id"] not in shown.text
    plain = working.get(f"{where}/history?details=true", headers=bearer("reviewer")).text
    assert hit["id"] not in plain
    assert "sample:specimen-1" not in plain


def test_the_compliance_view_explains_the_hit_and_names_the_lists(working: TestClient, form: Form) -> None:
    where, hit = held(working, form)
    assert (hit["list"], hit["entry"]) == ("sample", "sample:specimen-1")
    assert 0.9 < hit["probability"] < 1
    events = working.get(f"{where}/history?details=true").json()["data"]
    (screened,) = [event for event in events if event["type"] == "PersonScreened"]
    assert screened["data"]["basis"]["lists"] == [{"list": "sample", "version": "1"}]
    assert screened["details"]["hits"][hit["id"]]["asked_as"] == "declared"
    assert {one["source"] for one in screened["details"]["identities"]} == {"document", "declared"}


def test_a_cleared_hit_lets_the_application_go_on(working: TestClient, form: Form) -> None:
    where, hit = held(working, form)
    approve = {"decision": "approve", "reason": "CASE_REVIEW_APPROVED"}
    early = working.post(f"{where}/review", json=approve)
    assert (early.status_code, early.json()["code"]) == (409, "hits_undecided")
    key = {"Idempotency-Key": "decide-1"}
    decided = working.post(f"{where}/hits/{hit['id']}/decision", json=CLEARED, headers=key)
    assert (decided.status_code, decided.json()["status"]) == (200, "VERIFIED")
    again = working.post(f"{where}/hits/{hit['id']}/decision", json=CLEARED, headers=key)
    assert (again.content, again.headers["idempotent-replayed"]) == (decided.content, "true")
    contrary = working.post(f"{where}/hits/{hit['id']}/decision", json=CONFIRMED)
    assert (contrary.status_code, contrary.json()["code"]) == (409, "hit_decided")


def test_an_officer_says_for_how_long_a_hit_is_cleared(working: TestClient, form: Form, dsn: str) -> None:
    where, hit = held(working, form)
    decision = f"{where}/hits/{hit['id']}/decision"
    for wrong in ({**CONFIRMED, "cleared_for_days": 30}, {**CLEARED, "cleared_for_days": 0}):
        refused = working.post(decision, json=wrong)
        assert refused.status_code == 422
        assert [fault["pointer"] for fault in refused.json()["errors"]] == ["#/cleared_for_days"]
    assert working.post(decision, json={**CLEARED, "cleared_for_days": 30}).status_code == 200
    with psycopg.connect(dsn) as connection:
        due = connection.execute("select due_at - created_at from orders where kind = 'LapseClearance'").fetchone()
    assert due == (timedelta(days=30),)
    (told,) = [one for one in working.get(f"{where}/history").json()["data"] if one["type"] == "HitDecided"]
    assert told["data"]["cleared_for"] == "P30D"


def test_a_confirmed_hit_rejects_and_the_world_learns_no_reason(working: TestClient, form: Form) -> None:
    where, hit = held(working, form)
    decided = working.post(f"{where}/hits/{hit['id']}/decision", json=CONFIRMED)
    assert (decided.status_code, decided.json()["status"]) == (200, "REJECTED")
    told = [event for event in working.get("/v1/kyc/events").json() if event["subject"] == decided.json()["id"]]
    assert [event["type"] for event in told] == ["KYC_CREATED", "KYC_REJECTED"]
    assert told[-1]["data"]["reasons"] == []


def test_a_hit_that_is_not_there_is_not_found(working: TestClient, form: Form) -> None:
    where, _ = held(working, form)
    for name in (uuid4(), "none"):
        answer = working.post(f"{where}/hits/{name}/decision", json=CLEARED)
        assert (answer.status_code, answer.json()["code"]) == (404, "hit_not_found")
    nobody = working.post(f"{APPLICATIONS}/{uuid4()}/hits/{uuid4()}/decision", json=CLEARED)
    assert (nobody.status_code, nobody.json()["code"]) == (404, "application_not_found")


def test_the_lists_can_be_asked_about_a_name(api: TestClient) -> None:
    question = {"name": "Victor Listovnik", "birth_date": "1961", "countries": ["BY"]}
    answer = api.post(SCREENINGS, json=question).json()
    assert answer["lists"] == [{"list": "sample", "version": "1"}]
    assert [hit["entry"] for hit in answer["hits"]] == ["sample:specimen-1"]
    assert answer["hits"][0]["explanation"]["name"]["ours"] == "Victor Listovnik"
    assert api.post(SCREENINGS, json={"name": "Joao da Silva Pereira"}).json()["hits"] == []
    ship = api.post(SCREENINGS, json={"name": "Specimen Star", "kind": "vessel"}).json()
    assert [hit["entry"] for hit in ship["hits"]] == ["sample:specimen-5"]


@pytest.mark.parametrize(
    ("question", "pointer"),
    [
        ({}, "#/name"),
        ({"name": ""}, "#/name"),
        ({"name": "A", "birth_date": "1961-13"}, "#/birth_date"),
        ({"name": "A", "birth_date": "soon"}, "#/birth_date"),
        ({"name": "A", "countries": ["Germany"]}, "#/countries/0"),
        ({"name": "A", "kind": "ghost"}, "#/kind"),
        ({"name": "A", "review_from": 0.0}, "#/review_from"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_without_repeating_it(
    api: TestClient, question: dict[str, object], pointer: str
) -> None:
    answer = api.post(SCREENINGS, json=question)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    assert "Germany" not in answer.text
