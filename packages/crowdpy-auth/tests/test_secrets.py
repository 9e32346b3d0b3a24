"""No token and no secret is ever shown."""

import copy
import functools
import logging
import pickle
import pprint
import traceback
from typing import TYPE_CHECKING

import pytest
from crowdpy_auth import CrowdPayAuth, TokenError

if TYPE_CHECKING:
    from conftest import Company, Credentials

SECRET = "hunter2-is-a-secret"
TOKEN = "eyJhbGciOiJub25lIn0"


@pytest.fixture(params=["token", "provider", "credentials"])
def auth(request: pytest.FixtureRequest, credentials: "Credentials") -> CrowdPayAuth:
    """An auth of each kind that has been given, or will get, something to hide."""
    match request.param:
        case "token":
            return CrowdPayAuth(token=TOKEN)
        case "provider":
            return CrowdPayAuth(provider=lambda: TOKEN)
        case _:
            return CrowdPayAuth(**credentials)


def is_hidden(text: str) -> bool:
    return all(secret not in text for secret in (SECRET, TOKEN, "token-1"))


def test_nothing_that_prints_an_auth_prints_its_secrets(
    company: "Company", auth: CrowdPayAuth, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), company.client(auth) as client:
        client.get("/")
    for shown in (repr(auth), str(auth), f"{auth}", pprint.pformat(vars(auth)), caplog.text):
        assert is_hidden(shown)
    assert "***" in repr(auth)


def test_a_provider_that_carries_a_secret_is_not_shown() -> None:
    auth = CrowdPayAuth(provider=functools.partial(str, TOKEN))
    assert is_hidden(pprint.pformat(vars(auth)) + repr(auth))


def test_an_auth_can_be_neither_pickled_nor_copied(auth: CrowdPayAuth) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="credentials"):
            pickle.dumps(auth, protocol)
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="credentials"):
            duplicate(auth)
    for part in (part for part in (auth._source, auth._token) if part is not None):
        with pytest.raises(TypeError, match="credentials"):
            pickle.dumps(part)


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": TOKEN, "token_type": "mac"},
        {"access_token": TOKEN + " ", "secret": SECRET},
        {"error": SECRET, "error_description": SECRET},
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_no_traceback_shows_a_secret_even_with_its_local_variables(
    company: "Company", credentials: "Credentials", answer: dict[str, str], status: int
) -> None:
    def ask(auth: CrowdPayAuth) -> TokenError:
        with company.client(auth) as client, pytest.raises(TokenError) as failure:
            client.get("/")
        return failure.value

    company.token_answer = lambda: company.respond(status, json=answer)
    error = ask(CrowdPayAuth(**credentials))
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [frame for frame in frames.stack if "crowdpy_auth" in frame.filename or "_client.py" in frame.filename]
    assert any("_source" in (frame.name, *(frame.locals or {})) or frame.name == "fetch" for frame in ours)
    assert is_hidden("".join(f"{frame.name} {frame.locals}" for frame in ours))
    assert is_hidden(f"{error!r} {error.__context__!r} {error.__cause__!r} {vars(error)}")


def test_a_provider_that_answers_nonsense_is_not_quoted(company: "Company") -> None:
    auth = CrowdPayAuth(provider=lambda: f"Bearer {TOKEN}")
    with company.client(auth) as client, pytest.raises(TokenError) as failure:
        client.get("/")
    frames = traceback.TracebackException.from_exception(failure.value, capture_locals=True)
    assert is_hidden("".join(f"{frame.locals}" for frame in frames.stack if "crowdpy_auth" in frame.filename))
    assert is_hidden(repr(failure.value))


def test_a_malformed_token_is_refused_without_being_quoted() -> None:
    with pytest.raises(ValueError, match="visible ASCII") as refusal:
        CrowdPayAuth(token=f"{TOKEN}\n")
    assert is_hidden(str(refusal.value))
