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


def test_an_erased_person_is_gone_from_every_answer(
    erased: dict[str, Any], dsn: str, api: TestClient, form: Form
) -> None:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select id from applications where user_id = %s", (erased["user_id"],)).fetchone()
    assert row
    where = f"{APPLICATIONS}/{row[0]}"
    read = api.get(where)
    assert (read.status_code, read.json()["code"]) == (410, "person_erased")
    assert api.get(where, headers={"If-None-Match": "*"}).status_code == 410
    listed = api.get(APPLICATIONS).json()["data"]
    assert [one["user_id"] for one in listed if one["user_id"] == erased["user_id"]] == []
    assert len(listed) == 1
    assert erased["email"] not in read.text
    assert api.get(f"{where}/history").status_code == 200


def test_nothing_new_is_kept_about_an_erased_person(erased: dict[str, Any], api: TestClient) -> None:
    answer = api.post(APPLICATIONS, json=erased)
    assert (answer.status_code, answer.json()["code"]) == (410, "person_erased")


def test_the_answer_to_a_request_is_erased_with_the_person(erased: dict[str, Any], api: TestClient) -> None:
    answer = api.post(APPLICATIONS, json=erased, headers={"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()["code"]) == (410, "answer_erased")
