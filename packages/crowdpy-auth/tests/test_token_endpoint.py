"""What the token endpoint may answer, and what is made of it."""

from typing import TYPE_CHECKING

import pytest
from crowdpy_auth import CrowdPayAuth, TokenError

if TYPE_CHECKING:
    from conftest import Company, Credentials, Response


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, b'{"error": "invalid_scope", "error_description": "hunter2"}', "invalid_scope"),
        (401, b'{"error": "invalid_client"}', "invalid_client"),
        (400, b'{"error": "your secret is hunter2"}', None),
        (400, b'{"error": ["invalid_scope"]}', None),
        (500, b"<html>hunter2</html>", None),
        (503, b"", None),
        (302, b"", None),
    ],
)
def test_an_error_of_the_endpoint_says_what_it_was_and_nothing_else(
    company: "Company", credentials: "Credentials", status: int, body: bytes, code: str | None
) -> None:
    company.token_answer = lambda: company.respond(status, content=body)
    with company.client(CrowdPayAuth(**credentials)) as client, pytest.raises(TokenError) as failure:
        client.get("/")
    assert (failure.value.status, failure.value.code) == (status, code)
    assert str(failure.value) == f"the token endpoint answered {status}" + (f" ({code})" if code else "")
    assert company.requests == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"access_token": ""}',
        b'{"access_token": 7}',
        b'{"access_token": "two words"}',
        b'{"access_token": "line\\nbreak"}',
        b'{"access_token": "fine", "token_type": "mac"}',
        b'{"access_token": "fine", "token_type": 7}',
    ],
)
def test_an_answer_without_a_bearer_token_is_an_error(
    company: "Company", credentials: "Credentials", body: bytes
) -> None:
    company.token_answer = lambda: company.respond(200, content=body)
    with company.client(CrowdPayAuth(**credentials)) as client, pytest.raises(TokenError, match="without a bearer"):
        client.get("/")
    assert company.requests == []


@pytest.mark.parametrize("kind", ["bearer", "Bearer", "BEARER"])
def test_the_type_of_a_token_is_spelled_as_one_likes(company: "Company", credentials: "Credentials", kind: str) -> None:
    company.token_answer = lambda: company.respond(200, json={"access_token": "mine", "token_type": kind})
    company.current = "mine"
    with company.client(CrowdPayAuth(**credentials)) as client:
        assert client.get("/").status_code == 200


def test_a_token_from_where_the_endpoint_redirects_to_is_not_trusted(
    company: "Company", credentials: "Credentials"
) -> None:
    def answer() -> "Response":
        if len(company.token_requests) == 1:
            return company.respond(307, headers={"Location": "https://evil.example/token"})
        return company.respond(200, json={"access_token": "planted"})

    company.token_answer = answer
    client = company.client(CrowdPayAuth(**credentials), follow_redirects=True)
    with client, pytest.raises(TokenError, match="redirected"):
        client.get("/")
    assert company.requests == []
    assert [(seen.url, seen.authorization is None) for seen in company.token_requests] == [
        ("https://login.example.com/token", False),
        ("https://evil.example/token", True),
    ]


async def test_errors_are_the_same_for_an_asynchronous_client(company: "Company", credentials: "Credentials") -> None:
    company.token_answer = lambda: company.respond(400, json={"error": "invalid_client"})
    async with company.async_client(CrowdPayAuth(**credentials)) as client:
        with pytest.raises(TokenError, match=r"answered 400 \(invalid_client\)"):
            await client.get("/")


def test_an_error_of_the_network_is_the_clients_own(company: "Company", credentials: "Credentials") -> None:
    def fail() -> None:
        raise company.library.ConnectError("unreachable")

    company.before_issuing = fail
    with company.client(CrowdPayAuth(**credentials)) as client:
        with pytest.raises(company.library.ConnectError):
            client.get("/")
        company.before_issuing = lambda: None
        assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "url", ["https://login.example.com/token", "http://localhost:8180/t", "http://127.0.0.9/t", "http://[::1]/t"]
)
def test_a_secret_travels_encrypted_or_stays_on_this_machine(url: str) -> None:
    assert "***" in repr(CrowdPayAuth(token_url=url, client_id="payments", client_secret="hunter2"))


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/token",
        "http://localhost.example.com/token",
        "http://10.0.0.1/token",
        "http://0.0.0.0/token",
        "https://payments:hunter2@login.example.com/token",
        "ftp://login.example.com/token",
        "/token",
        "",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="token_url") as refusal:
        CrowdPayAuth(token_url=url, client_id="payments", client_secret="hunter2")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"token": "mine", "provider": lambda: "mine"},
        {"token": "mine", "token_url": "https://login.example.com/token"},
        {"token": "mine", "client_id": "payments"},
        {"provider": lambda: "mine", "scope": "kyc:read"},
        {"token_url": "https://login.example.com/token"},
        {"token_url": "https://login.example.com/token", "client_id": "payments"},
        {"token_url": "https://login.example.com/token", "client_id": "payments", "client_secret": ""},
        {"token": ""},
        {"token": "Bearer mine"},
        {"token": "mine\n"},
        {"token": "mïne"},
    ],
)
def test_what_does_not_fit_together_is_refused_at_once(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="token"):
        CrowdPayAuth(**given)  # type: ignore[call-overload]  # wrong on purpose
