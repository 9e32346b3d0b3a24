"""What is left of a person whose key was destroyed: nothing that could be shown."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import psycopg
import pytest
from starlette.testclient import TestClient

from kyc_service.settings import Settings

Form: TypeAlias = Callable[..., dict[str, Any]]
Bearer: TypeAlias = Callable[..., dict[str, str]]
Serving: TypeAlias = Callable[[Settings], AbstractContextManager[TestClient]]
APPLICATIONS = "/v1/kyc/applications"
ERASE = "update keys set wrapped = null, destroyed_at = now(), destroy_reason = 'test' where subject = %s"


@pytest.fixture
def erased(dsn: str, quiet: Settings, serving: Serving, bearer: Bearer, form: Form) -> dict[str, Any]:
    """The body of an application, whose person was erased after it was submitted."""
    body = form()
    with serving(quiet) as client:
        client.post(APPLICATIONS, json=body, headers={**bearer(), "Idempotency-Key": "k-1"})
        client.post(APPLICATIONS, json=form(), headers=bearer())
    with psycopg.connect(dsn) as connection:
        connection.execute(ERASE, (body["user_id"],))
    return body


@pytest.fixture
def where(erased: dict[str, Any], dsn: str) -> str:
    """The address of the erased person's application."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select id from applications where user_id = %s", (erased["user_id"],)).fetchone()
    assert row
    return f"{APPLICATIONS}/{row[0]}"


def test_an_erased_person_is_gone_from_every_answer(erased: dict[str, Any], where: str, api: TestClient) -> None:
    read = api.get(where)
    assert (read.status_code, read.json()["code"]) == (410, "person_erased")
    assert api.get(where, headers={"If-None-Match": "*"}).status_code == 410
    listed = api.get(APPLICATIONS).json()["data"]
    assert [one["user_id"] for one in listed if one["user_id"] == erased["user_id"]] == []
    assert len(listed) == 1
    assert erased["email"] not in read.text
    assert api.get(f"{where}/history").status_code == 200


def test_the_feed_tells_of_an_erased_person_what_it_told_before_and_goes_on(
    erased: dict[str, Any], where: str, api: TestClient
) -> None:
    first = api.get("/v1/kyc/events?limit=1")
    (told,) = first.json()
    assert told["subject"] == where.rpartition("/")[2]
    assert erased["email"] not in first.text
    rest = api.get(first.links["next"]["url"]).json()
    assert [event["type"] for event in rest] == ["KYC_CREATED"]


def test_nothing_new_is_kept_about_an_erased_person(erased: dict[str, Any], api: TestClient) -> None:
    answer = api.post(APPLICATIONS, json=erased)
    assert (answer.status_code, answer.json()["code"]) == (410, "person_erased")


def test_the_answer_to_a_request_is_erased_with_the_person(erased: dict[str, Any], api: TestClient) -> None:
    answer = api.post(APPLICATIONS, json=erased, headers={"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()["code"]) == (410, "answer_erased")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"email": "alice@example.org"}),
        ("PATCH", "", {"documents": []}),
        ("POST", "/review", {"decision": "approve", "reason": "CASE_REVIEW_APPROVED"}),
        ("POST", "/review", {"decision": "reject", "reason": "CASE_REVIEW_REJECTED", "note": "Called back twice."}),
    ],
)
def test_whatever_is_asked_about_an_erased_person_is_gone(
    where: str, dsn: str, api: TestClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    merge = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    answer = api.request(method, where + path, json=body, headers=merge)
    assert (answer.status_code, answer.json()["code"]) == (410, "person_erased")
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select count(*) from keys where destroyed_at is null and subject = (select user_id from applications"
            " where id = %s)",
            (where.rpartition("/")[2],),
        ).fetchone()
    assert row == (0,), "asking makes no key"


def test_an_erased_file_is_gone_even_while_its_key_is_at_hand(dsn: str, api: TestClient) -> None:
    picture = b"\xff\xd8\xff\xe0" + b"picture" * 100
    where = api.post("/v1/kyc/files", content=picture, headers={"Content-Type": "image/jpeg"}).headers["location"]
    assert api.get(where).content == picture
    with psycopg.connect(dsn) as connection:
        connection.execute(ERASE, (where.rpartition("/")[2],))
    gone = api.get(where)
    assert (gone.status_code, gone.json()["code"]) == (410, "person_erased")
