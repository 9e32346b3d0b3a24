"""Applications over HTTP, from the first request of a client to the last."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest
from crowdpay_contracts import KycApplication
from starlette.testclient import TestClient

from kyc_service.api.answers import Application, ApplicationPage
from kyc_service.domain.reasons import GENERIC_TEXT
from kyc_service.vendors.simulated import Magic, magic_file_id

Form: TypeAlias = Callable[..., dict[str, Any]]
Bearer: TypeAlias = Callable[..., dict[str, str]]
APPLICATIONS = "/v1/kyc/applications"


def test_a_submitted_application_can_be_read_at_its_location(api: TestClient, form: Form) -> None:
    body = form()
    answer = api.post(APPLICATIONS, json=body)
    assert answer.status_code == 201
    shown = Application.model_validate_json(answer.content)
    assert (str(shown.user_id), shown.email) == (body["user_id"], "alice@example.com")
    assert answer.headers["location"] == f"{APPLICATIONS}/{shown.id}"
    assert answer.headers["etag"] == f'"v{shown.version}"'
    again = api.get(answer.headers["location"])
    assert again.status_code == 200
    assert again.json() == answer.json()
    assert again.headers["etag"] == answer.headers["etag"]


def test_the_shared_contract_understands_every_answer(api: TestClient, form: Form) -> None:
    body = form()
    answer = api.post(APPLICATIONS, json=body)
    known = KycApplication.model_validate_json(answer.content)
    assert known.model_dump(mode="json")["documents"] == body["documents"]
    assert known.status.value == "IN_PROGRESS"
    assert known.reason is None


def test_an_application_without_a_document_waits_for_one(api: TestClient, form: Form) -> None:
    shown = api.post(APPLICATIONS, json=form(documents=[])).json()
    assert (shown["status"], shown["awaiting"]) == ("PENDING", "documents")


def test_the_particulars_of_the_applicant_come_back_trimmed_and_without_what_was_null(
    api: TestClient, form: Form
) -> None:
    declared = {
        "given_names": "  Zoë ",
        "family_name": None,
        "birth_date": "1990-04-12",
        "address": {"lines": ["1 Main Street "], "country": "US"},
    }
    shown = api.post(APPLICATIONS, json=form(applicant=declared)).json()
    assert shown["applicant"] == {
        "given_names": "Zoë",
        "birth_date": "1990-04-12",
        "address": {"lines": ["1 Main Street"], "country": "US"},
    }


def announced(**replaced: str) -> dict[str, str]:
    """A document as a form names it."""
    return {"doc_type": "PASSPORT", "file_id": str(uuid4()), "issued_country": "US", **replaced}


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"user_id": "x"}, "#/user_id", "pattern"),
        ({"email": "nobody"}, "#/email", "pattern"),
        ({"documents": None}, "#/documents", "type"),
        ({"documents": [announced(file_id="x")]}, "#/documents/0/file_id", "pattern"),
        ({"documents": [announced(doc_type="pass port")]}, "#/documents/0/doc_type", "pattern"),
        ({"documents": [announced(issued_country="us")]}, "#/documents/0/issued_country", "pattern"),
        ({"documents": [announced()] * 21}, "#/documents", "too_many"),
        ({"applicant": {"birth_date": "2999-01-01"}}, "#/applicant/birth_date", "not_in_the_past"),
        ({"applicant": {"birth_date": "12.04.1990"}}, "#/applicant/birth_date", "pattern"),
        ({"applicant": {"birth_date": 0}}, "#/applicant/birth_date", "type"),
        ({"applicant": {"given_names": " "}}, "#/applicant/given_names", "pattern"),
        ({"applicant": {"given_names": "A\u0000B"}}, "#/applicant/given_names", "pattern"),
        ({"applicant": {"given_names": "A\u202eB"}}, "#/applicant/given_names", "pattern"),
        ({"applicant": {"given_names": "A" * 201}}, "#/applicant/given_names", "too_long"),
        ({"applicant": {"nationality": "USA"}}, "#/applicant/nationality", "pattern"),
        ({"applicant": {"shoe_size": 42}}, "#/applicant", "unknown_member"),
        ({"status": "VERIFIED"}, "#", "unknown_member"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_form_is_pointed_at(
    api: TestClient, form: Form, changes: dict[str, Any], pointer: str, code: str
) -> None:
    answer = api.post(APPLICATIONS, json=form(**changes))
    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_failed"
    assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == [(pointer, code)]


def test_what_is_missing_in_a_form_is_named(api: TestClient) -> None:
    faults = api.post(APPLICATIONS, json={}).json()["errors"]
    assert {(fault["pointer"], fault["code"]) for fault in faults} == {
        ("#/user_id", "missing"),
        ("#/email", "missing"),
        ("#/documents", "missing"),
    }


def test_a_live_tenant_must_upload_a_document_before_it_is_announced(
    api: TestClient, form: Form, bearer: Bearer, picture: bytes
) -> None:
    live = bearer(tenant="acme")
    refused = api.post(APPLICATIONS, json=form(), headers=live)
    assert (refused.status_code, refused.json()["code"]) == (422, "document_missing")
    file = api.post("/v1/kyc/files", content=picture, headers={**live, "Content-Type": "image/jpeg"}).json()
    document = {"doc_type": "PASSPORT", "file_id": file["id"], "issued_country": "US"}
    assert api.post(APPLICATIONS, json=form(documents=[document]), headers=live).status_code == 201


def test_the_file_of_one_person_is_refused_to_another_and_not_to_the_same(
    api: TestClient, form: Form, picture: bytes
) -> None:
    file = api.post("/v1/kyc/files", content=picture, headers={"Content-Type": "image/jpeg"}).json()
    documents = [{"doc_type": "PASSPORT", "file_id": file["id"], "issued_country": "US"}]
    first, keyed = form(documents=documents), {"Idempotency-Key": "k-1"}
    assert api.post(APPLICATIONS, json=first, headers=keyed).status_code == 201
    again = api.post(APPLICATIONS, json=first, headers=keyed)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert api.post(APPLICATIONS, json=first).status_code == 201

    other = {"Idempotency-Key": "k-2"}
    refused = api.post(APPLICATIONS, json=form(documents=documents), headers=other)
    assert (refused.status_code, refused.json()["code"]) == (409, "document_taken")
    assert len(api.get(APPLICATIONS).json()["data"]) == 2
    mended = api.post(APPLICATIONS, json=form(documents=[]), headers=other)
    assert mended.status_code == 201
    kind = {"Content-Type": "application/merge-patch+json"}
    patched = api.patch(mended.headers["location"], json={"documents": documents}, headers=kind)
    assert (patched.status_code, patched.json()["code"]) == (409, "document_taken")


# ── the same request again ────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["k-1", '"k-1"', '"k \\" 1"'.replace(" ", ""), "~" * 255])
def test_the_same_request_with_the_same_key_gets_the_same_answer(api: TestClient, form: Form, key: str) -> None:
    body = form()
    first = api.post(APPLICATIONS, json=body, headers={"Idempotency-Key": key})
    again = api.post(APPLICATIONS, json=body, headers={"Idempotency-Key": key})
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.content) == (201, first.content)
    for name in ("location", "etag", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert len(api.get(APPLICATIONS).json()["data"]) == 1


def test_a_quoted_key_is_the_bare_one(api: TestClient, form: Form) -> None:
    body = form()
    first = api.post(APPLICATIONS, json=body, headers={"Idempotency-Key": "k-1"})
    again = api.post(APPLICATIONS, json=body, headers={"Idempotency-Key": '"k-1"'})
    assert again.json()["id"] == first.json()["id"]


def test_spaces_and_the_order_of_members_do_not_make_another_request(api: TestClient, form: Form) -> None:
    body = form()
    turned = {name: body[name] for name in reversed(body)}
    first = api.post(APPLICATIONS, json=body, headers={"Idempotency-Key": "k-1"})
    again = api.post(APPLICATIONS, json=turned, headers={"Idempotency-Key": "k-1"})
    assert again.json()["id"] == first.json()["id"]


def test_another_request_under_a_used_key_is_refused(api: TestClient, form: Form) -> None:
    api.post(APPLICATIONS, json=form(), headers={"Idempotency-Key": "k-1"})
    answer = api.post(APPLICATIONS, json=form(), headers={"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_two_clients_may_use_the_same_key(api: TestClient, form: Form, bearer: Bearer) -> None:
    body = form()
    first = api.post(APPLICATIONS, json=body, headers={"Idempotency-Key": "k-1"})
    other = api.post(APPLICATIONS, json=body, headers={"Idempotency-Key": "k-1", **bearer(client="till")})
    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]


@pytest.mark.parametrize("key", [b"", b'""', b"a b", b'"unclosed', b"x" * 256, b"\xfc"])
def test_a_key_that_is_no_key_is_refused(api: TestClient, form: Form, key: bytes) -> None:
    answer = api.post(APPLICATIONS, json=form(), headers={b"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")


# ── versions ──────────────────────────────────────────────────────────────────────


def test_a_client_that_has_the_present_version_gets_no_body(api: TestClient, form: Form) -> None:
    made = api.post(APPLICATIONS, json=form())
    for tag in (made.headers["etag"], f"W/{made.headers['etag']}", f'"x", {made.headers["etag"]}', "*"):
        answer = api.get(made.headers["location"], headers={"If-None-Match": tag})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == made.headers["etag"]
    assert api.get(made.headers["location"], headers={"If-None-Match": '"v999"'}).status_code == 200


@pytest.mark.parametrize("tag", ['"v999"', "W/{tag}", "v1", '"other"', '"v999", "v998"'])
def test_a_change_of_another_version_than_the_present_one_is_refused(api: TestClient, form: Form, tag: str) -> None:
    made = api.post(APPLICATIONS, json=form(documents=[]))
    answer = api.patch(
        made.headers["location"],
        json={"email": "bob@example.com"},
        headers={"If-Match": tag.format(tag=made.headers["etag"])},
    )
    assert (answer.status_code, answer.json()["code"]) == (412, "version_stale")


@pytest.mark.parametrize("tag", ["{tag}", "*", '"v999", {tag}', ""])
def test_a_change_of_the_present_version_is_made(api: TestClient, form: Form, tag: str) -> None:
    made = api.post(APPLICATIONS, json=form(documents=[]))
    answer = api.patch(
        made.headers["location"],
        json={"email": "bob@example.com"},
        headers={"If-Match": tag.format(tag=made.headers["etag"])},
    )
    assert (answer.status_code, answer.json()["email"]) == (200, "bob@example.com")
    assert answer.headers["etag"] != made.headers["etag"]


# ── merge patch ───────────────────────────────────────────────────────────────────

ALICE = {"given_names": "Alice", "family_name": "Example", "address": {"city": "Bern", "country": "CH"}}


@pytest.mark.parametrize(
    ("patch", "applicant"),
    [
        ({"applicant": {"given_names": "Alba"}}, {**ALICE, "given_names": "Alba"}),
        ({"applicant": {"address": {"city": None}}}, {**ALICE, "address": {"country": "CH"}}),
        ({"applicant": {"family_name": None}}, {k: v for k, v in ALICE.items() if k != "family_name"}),
        ({"applicant": None}, None),
        (
            {"applicant": {"address": {"lines": ["1 Main Street"]}}},
            {**ALICE, "address": {"city": "Bern", "country": "CH", "lines": ["1 Main Street"]}},
        ),
        ({}, ALICE),
    ],
)  # fmt: skip
def test_a_merge_patch_changes_what_it_names_and_removes_what_is_null(
    api: TestClient, form: Form, patch: dict[str, Any], applicant: object
) -> None:
    where = api.post(APPLICATIONS, json=form(documents=[], applicant=ALICE)).headers["location"]
    answer = api.patch(where, json=patch, headers={"Content-Type": "application/merge-patch+json"})
    assert answer.status_code == 200
    assert answer.json()["applicant"] == applicant
    assert api.get(where).json() == answer.json()


@pytest.mark.parametrize(
    "patch", [{"user_id": str(uuid4())}, {"status": "VERIFIED"}, {"email": None}, {"documents": None}, [], 1, None]
)
def test_what_may_not_be_patched_is_refused(api: TestClient, form: Form, patch: object) -> None:
    made = api.post(APPLICATIONS, json=form(documents=[]))
    kind = {"Content-Type": "application/merge-patch+json"}
    answer = api.patch(made.headers["location"], content=json.dumps(patch), headers=kind)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert api.get(made.headers["location"]).headers["etag"] == made.headers["etag"]


def test_a_document_that_is_added_starts_the_verification(api: TestClient, form: Form) -> None:
    where = api.post(APPLICATIONS, json=form(documents=[])).headers["location"]
    answer = api.patch(where, json={"documents": form()["documents"]})
    assert (answer.json()["status"], answer.json()["awaiting"]) == ("IN_PROGRESS", "checks")


def test_an_amendment_with_a_key_happens_once(api: TestClient, form: Form) -> None:
    where = api.post(APPLICATIONS, json=form(documents=[])).headers["location"]
    bob = {"json": {"email": "bob@example.com"}, "headers": {"Idempotency-Key": "k", "If-Match": '"v1"'}}
    first = api.patch(where, **bob)
    api.patch(where, json={"email": "carol@example.com"})
    again = api.patch(where, **bob)
    assert (again.status_code, again.content) == (200, first.content)
    assert (again.headers["idempotent-replayed"], again.headers["etag"]) == ("true", first.headers["etag"])
    assert api.get(where).json()["email"] == "carol@example.com"
    reused = api.patch(where, json={"email": "dan@example.com"}, headers={"Idempotency-Key": "k"})
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


def test_an_application_that_is_being_checked_cannot_be_amended(api: TestClient, form: Form) -> None:
    where = api.post(APPLICATIONS, json=form()).headers["location"]
    answer = api.patch(where, json={"email": "bob@example.com"})
    assert (answer.status_code, answer.json()["code"]) == (409, "application_not_amendable")


# ── the outcome ───────────────────────────────────────────────────────────────────


def submitted(client: TestClient, form: Form, magic: Magic, **headers: str) -> Any:
    document = {"doc_type": "PASSPORT", "file_id": str(magic_file_id(magic)), "issued_country": "US"}
    return client.post(APPLICATIONS, json=form(documents=[document]), headers=headers)


def test_whoever_prefers_to_wait_is_told_the_outcome(working: TestClient, form: Form) -> None:
    answer = submitted(working, form, Magic.VERIFIED, Prefer="respond-async, wait=20")
    assert answer.headers["preference-applied"] == "wait=20"
    shown = answer.json()
    assert (shown["status"], shown["awaiting"], shown["evidence"]) == ("VERIFIED", None, "simulated")
    assert (shown["reason"], shown["reasons"]) == (None, [])
    assert answer.headers["etag"] == f'"v{shown["version"]}"'


def test_a_read_may_wait_too(working: TestClient, form: Form) -> None:
    where = submitted(working, form, Magic.EXPIRED).headers["location"]
    answer = working.get(where, headers={"Prefer": "wait=20"})
    assert answer.json()["status"] == "REJECTED"
    assert answer.json()["reasons"][0]["code"] == "DOC_EXPIRED"
    assert answer.json()["reason"] == answer.json()["reasons"][0]["text"]
    assert "expired" in answer.json()["reason"]


def test_a_preference_that_cannot_be_read_is_none(api: TestClient, form: Form) -> None:
    for prefer in ("wait", "wait=soon", "wait=-1", "wait=0", "handling=lenient"):
        assert "preference-applied" not in submitted(api, form, Magic.VERIFIED, Prefer=prefer).headers


def test_nobody_waits_for_ever(api: TestClient, form: Form) -> None:
    answer = submitted(api, form, Magic.VERIFIED, Prefer="wait=1")
    assert (answer.status_code, answer.json()["status"]) == (201, "IN_PROGRESS")


def until(client: TestClient, where: str, awaiting: str) -> dict[str, Any]:
    """The application as soon as it awaits *awaiting*."""
    for _ in range(60):
        shown: dict[str, Any] = client.get(where, headers={"Prefer": "wait=1"}).json()
        if shown["awaiting"] == awaiting:
            return shown
    raise AssertionError(shown)


def test_a_reviewer_decides_what_the_checks_left_open(working: TestClient, form: Form) -> None:
    where = submitted(working, form, Magic.MISMATCH).headers["location"]
    shown = until(working, where, "review")
    assert [reason["text"] for reason in shown["reasons"]] == [GENERIC_TEXT]
    assert {reason["code"] for reason in shown["reasons"]} == {"UNSPECIFIED"}
    verdict = {"decision": "approve", "reason": "CASE_REVIEW_APPROVED", "note": "Looked at it."}
    stale = working.post(f"{where}/review", json=verdict, headers={"If-Match": '"v1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "version_stale")
    given = {"If-Match": f'"v{shown["version"]}"', "Idempotency-Key": "review-1"}
    decided = working.post(f"{where}/review", json=verdict, headers=given)
    assert (decided.status_code, decided.json()["awaiting"]) == (200, "checks")  # the lists are asked
    again = working.post(f"{where}/review", json=verdict, headers=given)
    assert (again.status_code, again.content) == (200, decided.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert working.get(where, headers={"Prefer": "wait=20"}).json()["status"] == "VERIFIED"
    late = working.post(f"{where}/review", json=verdict)
    assert (late.status_code, late.json()["code"]) == (409, "application_not_in_review")


def test_a_review_needs_a_reason_of_the_catalogue(api: TestClient, form: Form) -> None:
    where = api.post(APPLICATIONS, json=form()).headers["location"]
    answer = api.post(f"{where}/review", json={"decision": "reject", "reason": "I_SAY_SO"})
    assert answer.status_code == 422
    assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == [("#/reason", "unknown_value")]


def test_a_resubmission_can_be_mended_by_the_applicant(working: TestClient, form: Form) -> None:
    where = submitted(working, form, Magic.UNREADABLE).headers["location"]
    shown = until(working, where, "resubmission")
    assert shown["retryable"] is True
    working.patch(where, json={"documents": form()["documents"]})
    assert working.get(where, headers={"Prefer": "wait=20"}).json()["status"] == "VERIFIED"


# ── what happened ─────────────────────────────────────────────────────────────────


def test_the_history_tells_what_was_broadcast_for_which_fact(working: TestClient, form: Form) -> None:
    where = submitted(working, form, Magic.VERIFIED, Prefer="wait=20").headers["location"]
    events = working.get(f"{where}/history").json()["data"]
    assert [event["version"] for event in events] == list(range(1, len(events) + 1))
    assert [(event["type"], event["published"]) for event in events if event["published"]] == [
        ("ApplicationSubmitted", "KYC_CREATED"),
        ("ApplicationVerified", "KYC_VERIFIED"),
    ]
    assert events[0]["actor"] == "u-1"
    assert all("details" not in event for event in events)


def test_everybody_reads_their_own_name_in_the_history_and_nobody_elses(
    working: TestClient, form: Form, bearer: Bearer
) -> None:
    where = submitted(working, form, Magic.MISMATCH).headers["location"]
    until(working, where, "review")
    anna = bearer("reviewer", subject="anna@example.com")
    decided = working.post(
        f"{where}/review", json={"decision": "approve", "reason": "CASE_REVIEW_APPROVED"}, headers=anna
    )
    assert decided.status_code == 200
    told = {
        reader: next(
            event
            for event in working.get(f"{where}/history", headers=bearer("reviewer", subject=reader)).json()["data"]
            if event["type"] == "ApplicationReviewed"
        )
        for reader in ("anna@example.com", "bert@example.com")
    }
    assert told["anna@example.com"]["actor"] == told["anna@example.com"]["data"]["reviewer"] == "anna@example.com"
    pseudonym = told["bert@example.com"]["actor"]
    assert re.fullmatch(r"caller-[0-9a-f]{32}", pseudonym)
    assert told["bert@example.com"]["data"]["reviewer"] == pseudonym


def test_the_note_of_a_review_is_shown_to_reviewers_alone(working: TestClient, form: Form, bearer: Bearer) -> None:
    where = submitted(working, form, Magic.MISMATCH).headers["location"]
    until(working, where, "review")
    verdict = {"decision": "reject", "reason": "CASE_REVIEW_REJECTED", "note": "Called back twice."}
    working.post(f"{where}/review", json=verdict)
    plain = working.get(f"{where}/history", headers=bearer("auditor"))
    assert plain.status_code == 200
    assert "Called back" not in plain.text
    assert "Called back" not in working.get(f"{where}/history?details=true", headers=bearer("auditor")).text
    opened = working.get(f"{where}/history?details=true", headers=bearer("reviewer")).json()["data"]
    assert [event["details"] for event in opened if event["type"] == "ApplicationReviewed"] == [
        {"note": "Called back twice."}
    ]


# ── lists ─────────────────────────────────────────────────────────────────────────


def test_pages_follow_one_another_without_gap_or_repetition(api: TestClient, form: Form) -> None:
    made = [api.post(APPLICATIONS, json=form()).json()["id"] for _ in range(5)]
    seen: list[str] = []
    where: str | None = f"{APPLICATIONS}?limit=2"
    pages = 0
    while where:
        answer = api.get(where)
        page = ApplicationPage.model_validate_json(answer.content)
        seen += [str(one.id) for one in page.data]
        assert page.has_more == (page.next_cursor is not None)
        where = answer.links["next"]["url"] if page.has_more else None
        pages += 1
    assert seen == list(reversed(made))
    assert pages == 3


def test_lists_are_filtered_by_status_user_and_time(api: TestClient, form: Form) -> None:
    pending = api.post(APPLICATIONS, json=form(documents=[])).json()
    started = api.post(APPLICATIONS, json=form()).json()

    def ids(query: str) -> list[str]:
        return [one["id"] for one in api.get(f"{APPLICATIONS}?{query}").json()["data"]]

    assert ids("status=PENDING") == [pending["id"]]
    assert ids("status=PENDING&status=IN_PROGRESS") == [started["id"], pending["id"]]
    assert ids("status=VERIFIED") == []
    assert ids(f"user_id={pending['user_id']}") == [pending["id"]]
    assert ids(f"created_at.gte={started['created_at']}") == [started["id"]]
    assert ids(f"created_at.lt={started['created_at']}") == [pending["id"]]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("status=GONE", "status"),
        ("user_id=1", "user_id"),
        ("created_at.gte=yesterday", "created_at.gte"),
        ("created_at.gte=2026-01-01T00:00:00", "created_at.gte"),
        ("created_at.lt=2026-13-01T00:00:00Z", "created_at.lt"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("email=alice@example.com", ""),
    ],
)
def test_a_filter_that_is_not_understood_is_refused(api: TestClient, query: str, parameter: str) -> None:
    answer = api.get(f"{APPLICATIONS}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [fault["parameter"] for fault in answer.json()["errors"]] == [parameter]
    assert "alice" not in answer.text


def test_a_cursor_is_good_for_its_own_list_alone(api: TestClient, form: Form, bearer: Bearer) -> None:
    for _ in range(2):
        api.post(APPLICATIONS, json=form())
    cursor = api.get(f"{APPLICATIONS}?limit=1").json()["next_cursor"]
    assert api.get(f"{APPLICATIONS}?limit=5&cursor={cursor}").status_code == 200
    for query, headers in (
        (f"status=PENDING&cursor={cursor}", {}),
        (f"cursor={cursor}", bearer(tenant="acme")),
        (f"cursor={cursor[:-2]}AA", {}),
        (f"cursor=_{cursor[1:]}", {}),
        ("cursor=", {}),
        ("cursor=%C3%BC", {}),
    ):
        answer = api.get(f"{APPLICATIONS}?{query}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


def test_an_address_is_found_whatever_its_case_and_page_by_page(api: TestClient, form: Form) -> None:
    made = [api.post(APPLICATIONS, json=form(email="alice@example.com")).json()["id"] for _ in range(2)]
    api.post(APPLICATIONS, json=form(email="bob@example.com"))
    first = api.post(f"{APPLICATIONS}:search", json={"email": "ALICE@Example.com", "limit": 1}).json()
    assert [one["id"] for one in first["data"]] == made[1:]
    rest = {"email": "alice@example.com", "cursor": first["next_cursor"]}
    answer = api.post(f"{APPLICATIONS}:search", json=rest)
    assert [one["id"] for one in answer.json()["data"]] == made[:1]
    assert "link" not in answer.headers
    other = {**rest, "email": "bob@example.com"}
    assert api.post(f"{APPLICATIONS}:search", json=other).json()["code"] == "cursor_invalid"


def test_an_amended_address_is_found_and_the_old_one_is_not(api: TestClient, form: Form) -> None:
    made = api.post(APPLICATIONS, json=form(documents=[]))
    api.patch(made.headers["location"], json={"email": "new@example.com"})
    found = api.post(f"{APPLICATIONS}:search", json={"email": "new@example.com"}).json()["data"]
    assert [one["id"] for one in found] == [made.json()["id"]]
    assert api.post(f"{APPLICATIONS}:search", json={"email": "alice@example.com"}).json()["data"] == []


def test_times_are_told_with_their_offset(api: TestClient, form: Form) -> None:
    shown = api.post(APPLICATIONS, json=form()).json()
    assert datetime.fromisoformat(shown["created_at"]).tzinfo is not None
    assert UUID(shown["id"]).version == 7
