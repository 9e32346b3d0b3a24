"""Who may ask for what: every route has one action of the policy, or is known to be public."""

import json
from collections.abc import Callable
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
from crowdpay_contracts import CommandType
from starlette.routing import Route as Served
from starlette.testclient import TestClient

from kyc_service.access.policy import POLICIES
from kyc_service.api.mailbox import COMMANDS
from kyc_service.api.main import PUBLIC, ROUTES, create_app
from kyc_service.api.routes import Route

Bearer: TypeAlias = Callable[..., dict[str, str]]
Form: TypeAlias = Callable[..., dict[str, Any]]
JSON = {"Content-Type": "application/json"}


def every(route: Route) -> str:
    """What a route is called in the output of the tests."""
    return route.action


def ask(client: TestClient, route: Route, **headers: str) -> Any:
    """The smallest request to *route*, about things that do not exist."""
    path = route.path.format(application_id=uuid4(), file_id=uuid4(), hit_id=uuid4())
    return client.request(route.method, path, headers=headers)


def test_every_address_is_in_one_of_the_two_tables() -> None:
    served = {
        (method, route.path)
        for route in create_app().routes
        if isinstance(route, Served)
        for method in (route.methods or set()) - {"HEAD"}
    }
    guarded = [(route.method, route.path) for route in ROUTES]
    public = [("GET", route.path) for route in PUBLIC]
    assert served == {*guarded, *public}
    assert len(served) == len(guarded) + len(public) == len(create_app().routes)


def test_public_is_what_shows_nothing_of_anybody() -> None:
    assert {route.path for route in PUBLIC} == {
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/asyncapi.json",
        "/docs",
        "/docs/problems",
        "/docs/assets/{name}",
    }


def test_every_action_of_the_policy_belongs_to_one_route() -> None:
    known = json.loads((POLICIES / "data.json").read_text())["kyc"]["actions"]
    actions = [route.action for route in ROUTES]
    assert len(actions) == len(set(actions))
    # Reading a file asks about a second action when the content is wanted, and not only what is known of it; so does
    # reading a history, before it tells of hits.
    assert {*actions, "file.download", "screening.read"} == set(known)


def test_every_command_by_message_asks_for_the_action_of_its_route() -> None:
    actions = {(route.method, route.path): route.action for route in ROUTES}
    assert {kind: action for kind, (action, _) in COMMANDS.items()} == {
        CommandType.KYC_SUBMIT: actions["POST", "/v1/kyc/applications"],
        CommandType.KYC_AMEND: actions["PATCH", "/v1/kyc/applications/{application_id}"],
    }
    assert set(COMMANDS) == set(CommandType)


@pytest.mark.parametrize("route", ROUTES, ids=every)
def test_nobody_gets_anywhere_without_a_token(api: TestClient, route: Route) -> None:
    del api.headers["authorization"]
    answer = ask(api, route)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")
    assert answer.headers["www-authenticate"] == 'Bearer realm="kyc"'


@pytest.mark.parametrize("route", ROUTES, ids=every)
def test_nobody_gets_anywhere_without_the_role(api: TestClient, bearer: Bearer, route: Route) -> None:
    answer = ask(api, route, **bearer("bystander"))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("route", ROUTES, ids=every)
def test_each_route_opens_for_its_own_action(api: TestClient, bearer: Bearer, route: Route) -> None:
    roles = json.loads((POLICIES / "data.json").read_text())["kyc"]["roles"]
    for role, actions in roles.items():
        permitted = ask(api, route, **bearer(role)).status_code not in {401, 403}
        assert permitted == (route.action in actions), role


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer ", "token"])
def test_other_credentials_are_no_token(api: TestClient, value: str) -> None:
    answer = api.get("/v1/kyc/applications", headers={"Authorization": value})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")


def test_a_token_that_is_not_accepted_is_told_why(api: TestClient, bearer: Bearer) -> None:
    expired = api.get("/v1/kyc/applications", headers=bearer(lifetime=-3600))
    assert (expired.status_code, expired.json()["code"]) == (401, "token_expired")
    assert 'error="invalid_token"' in expired.headers["www-authenticate"]
    forged = bearer()["Authorization"][:-8] + "AAAAAAAA"
    answer = api.get("/v1/kyc/applications", headers={"Authorization": forged})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_signature")


def test_what_belongs_to_another_tenant_does_not_exist(
    api: TestClient, bearer: Bearer, form: Form, picture: bytes
) -> None:
    where = api.post("/v1/kyc/applications", json=form()).headers["location"]
    file = api.post("/v1/kyc/files", content=picture, headers={"Content-Type": "image/jpeg"}).headers["location"]
    other = bearer(tenant="acme")
    verdict = {"decision": "approve", "reason": "CASE_REVIEW_APPROVED"}
    decision = {"decision": "cleared", "reason": "SANCTIONS_OTHER_PERSON"}
    asked = [
        api.get(where, headers=other),
        api.get(where, headers={**other, "Prefer": "wait=1"}),
        api.get(where, headers={**other, "If-None-Match": "*"}),
        api.patch(where, json={"email": "x@example.com"}, headers=other),
        api.patch(where, json={}, headers={**other, "If-Match": '"v1", "v2"'}),
        api.get(f"{where}/history", headers=other),
        api.post(f"{where}/review", json=verdict, headers=other),
        api.post(f"{where}/hits/{uuid4()}/decision", json=decision, headers=other),
        api.get(file, headers=other),
        api.get(file, headers={**other, "Accept": "application/json"}),
    ]
    assert {answer.status_code for answer in asked} == {404}
    missing = {answer.json()["code"] for answer in asked}
    assert missing == {"application_not_found", "file_not_found"}
    assert api.get("/v1/kyc/applications", headers=other).json()["data"] == []
    assert (
        api.post("/v1/kyc/applications:search", json={"email": "alice@example.com"}, headers=other).json()["data"] == []
    )


@pytest.mark.parametrize("identity", ["1", "%00", "..", "x" * 300, "018f3c1e-6f1b-7c3a-9d2e-5b8a4f6c7d10"])
def test_an_id_that_is_none_is_not_found(api: TestClient, identity: str) -> None:
    answer = api.get(f"/v1/kyc/applications/{identity}/history")
    assert answer.status_code == 404
    assert answer.json()["code"] in {"application_not_found", "not_found"}
    assert api.get(f"/v1/kyc/files/{identity}").status_code in {404, 405}


def test_whoever_may_not_download_still_sees_what_is_known_of_a_file(
    api: TestClient, bearer: Bearer, picture: bytes
) -> None:
    where = api.post("/v1/kyc/files", content=picture, headers={"Content-Type": "image/jpeg"}).headers["location"]
    asking = {**bearer("auditor"), "Accept": "application/json"}
    assert api.get(where, headers=asking).json()["size"] == len(picture)
    refused = api.get(where, headers=bearer("auditor"))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
