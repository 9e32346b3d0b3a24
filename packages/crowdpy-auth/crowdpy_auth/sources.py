"""Where tokens come from: a function of the caller's, or a token endpoint (OAuth 2.0 client credentials)."""

import json
from base64 import b64encode
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote_plus, urlsplit

from crowdpy_auth.steps import Ask, Exchange, Provider
from crowdpy_auth.tokens import Confidential, Secret, Token, TokenError, bearer, issued, seconds

if TYPE_CHECKING:
    from crowdpy_auth.clients import Request, Response

# RFC 6749 section 5.2, RFC 8707, and two more that servers borrow from the authorization endpoint. No other word of
# an answer is repeated: nobody knows what a server puts there.
ERROR_CODES = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"}
    | {"invalid_scope", "invalid_target", "server_error", "temporarily_unavailable"}
)


class Source(Protocol):
    """Where tokens come from. `fetch` yields the steps that it needs; it returns a new token or raises `TokenError`."""

    def fetch(self, request: "Request", *, now: float, skew: float) -> Generator[Exchange | Ask, None, Token]: ...


@dataclass(frozen=True, eq=False)
class AskedProvider(Confidential):
    """Tokens from a function of the caller's."""

    provider: Provider = field(repr=False)

    def fetch(self, request: "Request", *, now: float, skew: float) -> Generator[Exchange | Ask, None, Token]:  # noqa: ARG002  the other source needs it
        """Asks the provider."""
        ask = Ask(self.provider, asker=self)
        yield ask
        if isinstance(ask.failure, TokenError):
            raise ask.failure
        if ask.failure is not None:
            raise TokenError("the token provider failed") from ask.failure
        secret, lifetime = _provided(ask)
        if secret is None:
            raise TokenError("the token provider must return a token, or a token and the seconds until it expires")
        return issued(secret, at=now, lifetime=lifetime, skew=skew)


@dataclass(frozen=True, eq=False)
class ClientCredentials(Confidential):
    """Tokens from a token endpoint, for the client itself (RFC 6749 section 4.4)."""

    token_url: str
    client_id: str
    client_secret: Secret
    scope: str | None = None
    audience: str | None = None

    def __post_init__(self) -> None:
        _refuse_unsafe(self.token_url)

    def fetch(self, request: "Request", *, now: float, skew: float) -> Generator[Exchange | Ask, None, Token]:
        """Asks the token endpoint, through the client that *request* belongs to."""
        exchange = Exchange(self._token_request(request), whole=True)
        yield exchange
        response = exchange.response
        if not _answers(response, exchange.request):
            raise TokenError("the token endpoint redirected to another address", status=response.status_code)
        grant = _Grant.read(response.content)
        if not response.is_success:
            said = f" ({grant.error})" if grant.error else ""
            raise TokenError(
                f"the token endpoint answered {response.status_code}{said}",
                status=response.status_code,
                code=grant.error,
            )
        if grant.token is None or not grant.is_bearer:
            raise TokenError("the token endpoint answered without a bearer token", status=response.status_code)
        return issued(grant.token, at=now, lifetime=grant.lifetime, skew=skew)

    def _token_request(self, request: "Request") -> "Request":
        form = {"grant_type": "client_credentials", "scope": self.scope, "audience": self.audience}
        # Both parts are form-encoded before they are joined: RFC 6749 section 2.3.1.
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret.reveal())}"
        return type(request)(
            "POST",
            self.token_url,
            data={name: value for name, value in form.items() if value is not None},
            headers={"Authorization": f"Basic {b64encode(pair.encode()).decode()}", "Accept": "application/json"},
            # The client sets its timeouts on the first request of a flow only; without them this one could hang.
            extensions={name: value for name, value in request.extensions.items() if name == "timeout"},
        )


@dataclass(frozen=True, slots=True)
class _Grant:
    """What was understood of an answer. The answer itself is not kept in any frame, so that no traceback shows it."""

    token: Secret | None = None
    lifetime: float | None = None
    is_bearer: bool = True
    error: str | None = None

    @classmethod
    def read(cls, body: bytes) -> "_Grant":
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(answer, Mapping):
            return cls()
        kind, error = answer.get("token_type", "bearer"), answer.get("error")
        return cls(
            token=bearer(answer.get("access_token")),
            lifetime=seconds(answer.get("expires_in")),
            is_bearer=isinstance(kind, str) and kind.lower() == "bearer",
            error=error if isinstance(error, str) and error in ERROR_CODES else None,
        )


def _provided(ask: Ask) -> tuple[Secret | None, float | None]:
    """The token, and how long it lives if the provider said so; no token when the answer is not understood."""
    answer, ask.answer = ask.answer, None
    match answer:
        case (value, expiry):
            lifetime = seconds(expiry)
            return (bearer(value) if lifetime is not None else None), lifetime
        case value:
            return bearer(value), None


def _answers(response: "Response", request: "Request") -> bool:
    """Whether *response* is to *request* itself, and not to where a redirect led."""
    try:
        return response.request.url == request.url
    except RuntimeError:  # a response without a request was made by hand, and followed nothing
        return True


def _refuse_unsafe(token_url: str) -> None:
    """A client secret travels encrypted, or not beyond this machine."""
    parts = urlsplit(token_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("token_url must be an absolute https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("token_url must not contain credentials; use client_id and client_secret")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("token_url must be https: plain http would show the client secret to the network")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
