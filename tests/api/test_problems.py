"""What a client gets when something is wrong, and what it never gets."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from kyc_service.access.jwks import KeysUnavailable
from kyc_service.access.principal import AuthError, Refusal
from kyc_service.api import problems
from kyc_service.api.answers import Problem
from kyc_service.api.contract import ALWAYS, AUTHENTICATED
from kyc_service.api.main import ROUTES, create_app
from kyc_service.api.problems import ERRORS, KINDS, Place
from kyc_service.application.ports import StoreUnavailable
from kyc_service.settings import Settings

Form: TypeAlias = Callable[..., dict[str, Any]]
APPLICATIONS = "/v1/kyc/applications"
CANARY = "canary-7f3a"


def told(answer: Any) -> tuple[int, str]:
    """Status and code of a problem, after a look at its form."""
    problem = Problem.model_validate_json(answer.content)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem.status == answer.status_code
    assert problem.request_id == answer.headers["x-request-id"]
    assert problem.type == f"/docs/problems#{problem.code}"
    return problem.status, problem.code


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/kyc/applications/", 404, "not_found"),
        ("GET", "/docs/assets/VENDOR.toml", 404, "not_found"),
        ("DELETE", "/v1/kyc/applications", 405, "method_not_allowed"),
        ("PUT", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_unknown_places_and_methods_are_problems_too(
    api: TestClient, method: str, path: str, status: int, code: str
) -> None:
    assert told(api.request(method, path)) == (status, code)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/kyc/applications", "GET, HEAD, POST"),
        ("/v1/kyc/applications/018f3c1e-6f1b-7c3a-9d2e-5b8a4f6c7d10", "GET, HEAD, PATCH"),
        ("/v1/kyc/applications:search", "POST"),
        ("/healthz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_every_right_one(api: TestClient, path: str, allowed: str) -> None:
    for method in ("DELETE", "OPTIONS", "TRACE"):
        answer = api.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"email": "\\ud800"}', b"[" * 100_000])
def test_what_is_not_json_is_told_so(api: TestClient, content: bytes) -> None:
    answer = api.post(APPLICATIONS, content=content, headers={"Content-Type": "application/json"})
    assert told(answer) == (400, "json_invalid")


@pytest.mark.parametrize(
    ("method", "path", "hint", "types"),
    [
        ("POST", APPLICATIONS, "accept", "application/json"),
        (
            "PATCH",
            f"{APPLICATIONS}/018f3c1e-6f1b-7c3a-9d2e-5b8a4f6c7d10",
            "accept-patch",
            "application/merge-patch+json, application/json",
        ),
    ],
)
def test_a_wrong_media_type_is_told_the_right_ones(
    api: TestClient, method: str, path: str, hint: str, types: str
) -> None:
    for wrong in ("text/plain", "application/xml", ""):
        answer = api.request(method, path, content=b"{}", headers={"Content-Type": wrong})
        assert told(answer) == (415, "media_type_unsupported")
        assert answer.headers[hint] == types


def test_the_charset_of_json_does_not_matter(api: TestClient, form: Form) -> None:
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert api.post(APPLICATIONS, content=json.dumps(form()), headers=kind).status_code == 201


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(api: TestClient) -> None:
    def chunked() -> Iterator[bytes]:
        for _ in range(300):
            yield b" " * 1024

    kind = {"Content-Type": "application/json"}
    assert told(api.post(APPLICATIONS, content=b" " * (256 * 1024 + 1), headers=kind)) == (413, "body_too_large")
    assert told(api.post(APPLICATIONS, content=chunked(), headers=kind)) == (413, "body_too_large")
    lying = {**kind, "Content-Length": "9" * 5000}
    assert told(api.post(APPLICATIONS, content=b"{}", headers=lying)) == (413, "body_too_large")
    odd = {**kind, "Content-Length": "-1"}
    assert told(api.post(APPLICATIONS, content=b"{}", headers=odd)) == (400, "request_invalid")


@pytest.mark.parametrize(
    "body",
    [
        {"email": f"{CANARY} @example.com"},
        {"email": f"a@{CANARY}!.com"},
        {"user_id": CANARY},
        {CANARY: 1},
        {"documents": [{"doc_type": CANARY, CANARY: 1}]},
        {"applicant": {"birth_date": CANARY, CANARY: CANARY}},
        CANARY,
    ],
)
def test_nothing_that_was_sent_is_sent_back_or_logged(api: TestClient, body: object) -> None:
    with capture_logs() as logged:
        answers = [
            api.post(APPLICATIONS, json=body),
            api.post(f"{APPLICATIONS}:search", json=body),
            api.get(f"{APPLICATIONS}?{CANARY}={CANARY}"),
            api.get(f"{APPLICATIONS}?status={CANARY}"),
            api.get(f"/{CANARY}"),
            api.get(f"{APPLICATIONS}/{CANARY}"),
            api.get(APPLICATIONS, headers={"Authorization": f"Bearer {CANARY}"}),
            api.post(APPLICATIONS, json=body, headers={"Idempotency-Key": f"{CANARY} {CANARY}"}),
        ]
    assert {answer.status_code for answer in answers} <= {400, 401, 404, 422}
    assert all(CANARY not in answer.text + str(dict(answer.headers)) for answer in answers)
    assert len(logged) >= len(answers)
    assert CANARY not in json.dumps(logged, default=str)


def test_a_request_is_logged_once_by_its_route_and_its_tenant(api: TestClient, form: Form) -> None:
    where = api.post(APPLICATIONS, json=form()).headers["location"]
    with capture_logs() as logged:
        api.get(f"{where}?x=1", headers={"X-Request-Id": "req-1"})
    (entry,) = [one for one in logged if one["event"] == "request"]
    assert entry.pop("duration_ms") >= 0
    assert entry == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "route": "/v1/kyc/applications/{application_id}",
        "status": 200,
        "request_id": "req-1",
        "trace_id": None,
        "tenant": "sandbox",
    }


def test_a_request_id_of_the_client_is_kept_if_it_is_usable(api: TestClient) -> None:
    assert api.get("/healthz", headers={"X-Request-Id": "req.1_A-b"}).headers["x-request-id"] == "req.1_A-b"
    for unusable in ("", "a b", "x" * 129, "<script>", "alice@example.com"):
        answered = api.get("/healthz", headers={"X-Request-Id": unusable}).headers["x-request-id"]
        assert UUID(answered).version == 7


def test_the_trace_of_the_client_leads_to_the_event_and_the_problem(api: TestClient, form: Form, dsn: str) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    given = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-Id": "req-1"}
    api.post(APPLICATIONS, json=form(), headers=given)
    with psycopg.connect(dsn) as connection:
        metas = [row[0] for row in connection.execute("select meta from events").fetchall()]
    assert {(meta["trace"], meta["causation"]) for meta in metas} == {(given["traceparent"], "req-1")}
    assert api.get("/nowhere", headers=given).json()["trace_id"] == trace
    broken = {"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"}
    assert "trace_id" not in api.get("/nowhere", headers=broken).json()


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", APPLICATIONS, "/docs", "/openapi.json"])
def test_every_answer_has_safe_headers_and_none_that_tells_on_us(api: TestClient, path: str) -> None:
    headers = api.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in headers
    if path in {"/nowhere", APPLICATIONS}:
        assert headers["cache-control"] == "no-store"


def test_head_answers_like_get_without_a_body(api: TestClient, form: Form) -> None:
    where = api.post(APPLICATIONS, json=form()).headers["location"]
    for path in (where, "/docs", APPLICATIONS):
        get, head = api.get(path), api.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
    assert api.head("/nowhere").content == b""


def test_a_mistake_of_ours_tells_nothing_but_the_request(quiet: Settings) -> None:
    secret = "postgresql://kyc:secret@db/kyc"
    app = create_app(quiet)

    async def broken(request: Request) -> Response:
        raise RuntimeError(secret)

    app.add_api_route("/broken", broken, response_model=None)
    with TestClient(app) as client, capture_logs() as logged:
        answer = client.get("/broken")
    assert told(answer) == (500, "internal_error")
    assert secret not in answer.text
    (failure,) = [entry for entry in logged if entry["event"] == "request failed"]
    assert failure["error"] == "RuntimeError"
    assert any("broken" in frame for frame in failure["at"])
    assert secret not in json.dumps(logged, default=str)


def test_without_its_database_the_service_says_when_to_come_back(api: TestClient, dsn: str, form: Form) -> None:
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(dsn, dbname="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(str(name))))
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
    answer = api.get(APPLICATIONS)
    assert told(answer) == (503, "store_unavailable")
    assert answer.headers["retry-after"] == "2"
    ready = api.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        503,
        {"status": "unavailable", "checks": {"database": False}, "brokers": {}},
    )
    assert api.get("/healthz").status_code == 200
    with psycopg.connect(dsn, dbname="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("alter database {} allow_connections true").format(sql.Identifier(str(name))))


def test_outages_are_answered_with_a_time_to_come_back() -> None:
    for error in (StoreUnavailable(), KeysUnavailable()):
        answer = problems.answer(error, Place(request_id="r"))
        assert answer.status_code == 503
        assert answer.headers["retry-after"].isdecimal()


def test_every_refusal_of_a_token_is_explained() -> None:
    for refusal in Refusal:
        answer = problems.answer(AuthError(refusal), Place(request_id="r"))
        assert (answer.status_code, json.loads(bytes(answer.body))["code"]) == (401, refusal.value)


def test_every_error_that_a_client_can_cause_has_a_code() -> None:
    assert set(ERRORS.values()) <= set(KINDS)
    assert all(inspect.getdoc(error) for error in ERRORS)


def test_every_documented_problem_is_a_known_one_and_every_known_one_is_documented() -> None:
    documented = {code for route in ROUTES for code in route.documented.problems} | {*ALWAYS, *AUTHENTICATED}
    tokens = {refusal.value for refusal in Refusal}
    assert documented | tokens == set(KINDS) - {"not_found", "method_not_allowed"}


def test_the_documentation_explains_every_code_with_its_status_and_cure(repository: Path) -> None:
    lines = (repository / "docs" / "api.md").read_text().splitlines()
    rows = [re.match(r"\| `(\w+)` \| (\d+) \| (.+) \| (.+) \|$", line) for line in lines]
    found = {row[1]: (int(row[2]), row[3], row[4]) for row in rows if row}
    assert found == {kind.code: (kind.status, kind.detail, kind.cure) for kind in KINDS.values()}
