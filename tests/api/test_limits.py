"""A client that asks too much is told when to ask again; nobody else notices."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from starlette.testclient import TestClient

from kyc_service.settings import Settings

Bearer: TypeAlias = Callable[..., dict[str, str]]
Serving: TypeAlias = Callable[[Settings], AbstractContextManager[TestClient]]
APPLICATIONS = "/v1/kyc/applications"


def test_a_client_that_asks_too_much_is_told_when_to_ask_again(
    quiet: Settings, serving: Serving, bearer: Bearer
) -> None:
    with serving(quiet.model_copy(update={"rate_limit": 0.01})) as client:
        anna, bert = bearer(subject="anna"), bearer(subject="bert")
        assert client.get(APPLICATIONS, headers=anna).status_code == 200
        refused = client.get(APPLICATIONS, headers=anna)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 90 <= int(refused.headers["retry-after"]) <= 100
        assert refused.headers["content-type"] == "application/problem+json"
        assert client.get(APPLICATIONS, headers=bert).status_code == 200
        assert client.get(APPLICATIONS, headers=bearer(subject="anna", tenant="acme")).status_code == 200
        assert client.get(APPLICATIONS, headers={"Authorization": "Bearer x"}).status_code == 401
        assert client.get("/healthz").status_code == 200


def test_without_a_limit_nobody_is_refused(api: TestClient) -> None:
    assert {api.get(APPLICATIONS).status_code for _ in range(50)} == {200}
