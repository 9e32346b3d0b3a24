"""The token goes where it belongs and nowhere else."""

import logging
from typing import TYPE_CHECKING

import pytest
from crowdpy_auth import CrowdPayAuth

if TYPE_CHECKING:
    from conftest import Company, Credentials, Handler, Request, Response


def asked(company: "Company") -> list[tuple[str, str | None]]:
    """Whom the client asked, and with which token."""
    return [(seen.url, seen.authorization) for seen in company.requests]


def test_the_first_request_says_where_the_token_belongs(company: "Company", caplog: pytest.LogCaptureFixture) -> None:
    with company.client(CrowdPayAuth(token="mine")) as client, caplog.at_level(logging.WARNING):
        client.get("/one")
        client.get("https://other.example/two")
        client.get("https://other.example/three")
        client.get("https://kyc.example.com:443/four")
    assert asked(company) == [
        ("https://kyc.example.com/one", "Bearer mine"),
        ("https://other.example/two", None),
        ("https://other.example/three", None),
        ("https://kyc.example.com/four", "Bearer mine"),
    ]
    assert [record.getMessage() for record in caplog.records if record.name == "crowdpy_auth"] == [
        "no token goes to https://other.example: name it in allowed_origins if it may see one"
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://kyc.example.com/",
        "https://kyc.example.com:8443/",
        "https://kyc.example.com.evil.example/",
        "https://kyc.example.com@evil.example/",
        "https://api.kyc.example.com/",
    ],
)
def test_another_scheme_port_or_host_is_another_origin(company: "Company", url: str) -> None:
    with company.client(CrowdPayAuth(token="mine")) as client:
        client.get("/")
        client.get(url)
    assert company.requests[1].authorization in {None, "Basic a3ljLmV4YW1wbGUuY29tOg=="}  # what the URL itself says


def test_origins_can_be_named(company: "Company") -> None:
    auth = CrowdPayAuth(token="mine", allowed_origins=["https://KYC.example.com", "http://[::1]:8180/"])
    with company.client(auth) as client:
        client.get("https://other.example/")
        client.get("https://kyc.example.com/")
        client.get("http://[::1]:8180/")
        client.get("http://[::1]/")
    assert [token for _, token in asked(company)] == [None, "Bearer mine", "Bearer mine", None]


@pytest.mark.parametrize(
    "origin",
    [
        "kyc.example.com",
        "ftp://kyc.example.com",
        "https://",
        "https://kyc.example.com/v1",
        "https://a@kyc.example.com",
        "https://kyc.example.com?x",
        "https://münchen.example",
    ],
)
def test_an_origin_is_a_scheme_a_host_and_perhaps_a_port(origin: str) -> None:
    with pytest.raises(ValueError, match="allowed origin"):
        CrowdPayAuth(token="mine", allowed_origins=[origin])


def redirecting(company: "Company") -> "Handler":
    """The API sends every request for /moved to another host, which refuses whoever comes."""

    def handle(request: "Request") -> "Response":
        answer = company(request)
        if request.url.path == "/moved":
            return company.respond(307, headers={"Location": "https://other.example/"})
        return answer

    return handle


def test_a_redirect_does_not_take_the_token_along_and_its_refusal_renews_nothing(
    company: "Company", credentials: "Credentials"
) -> None:
    with company.client(CrowdPayAuth(**credentials), redirecting(company), follow_redirects=True) as client:
        assert client.get("/moved").status_code == 401
    assert asked(company) == [("https://kyc.example.com/moved", "Bearer token-1"), ("https://other.example/", None)]
    assert company.issued == 1


async def test_nor_does_it_in_an_asynchronous_client(company: "Company", credentials: "Credentials") -> None:
    auth = CrowdPayAuth(**credentials)
    async with company.async_client(auth, redirecting(company), follow_redirects=True) as client:
        assert (await client.get("/moved")).status_code == 401
    assert asked(company) == [("https://kyc.example.com/moved", "Bearer token-1"), ("https://other.example/", None)]
    assert company.issued == 1


def test_a_redirect_that_is_followed_by_hand_does_not_take_the_token_along_either(company: "Company") -> None:
    with company.client(CrowdPayAuth(token="mine"), redirecting(company)) as client:
        elsewhere = client.get("/moved").next_request
        assert elsewhere is not None
        client.send(elsewhere)
    assert asked(company) == [("https://kyc.example.com/moved", "Bearer mine"), ("https://other.example/", None)]


def test_a_request_to_elsewhere_keeps_what_its_caller_put_on_it(company: "Company") -> None:
    with company.client(CrowdPayAuth(token="mine")) as client:
        client.get("/")
        client.get("https://other.example/", headers={"Authorization": "Basic eA=="})
    assert asked(company)[1] == ("https://other.example/", "Basic eA==")
