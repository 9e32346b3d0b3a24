"""CrowdPayAuth: puts a bearer token on every request to the origin that it is for, and renews it when it must."""

import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never, overload
from urllib.parse import urlsplit

from crowdpy_auth.clients import AUTH_CLASSES, AnyAuth
from crowdpy_auth.flight import Flight
from crowdpy_auth.sources import AskedProvider, ClientCredentials, Source
from crowdpy_auth.steps import Ask, Exchange, Provider, Step, Wait, running_loop
from crowdpy_auth.tokens import Confidential, Secret, Token, TokenError, bearer

if TYPE_CHECKING:
    import asyncio

    import httpx
    import httpx2

    from crowdpy_auth.clients import URL, Request, Response

Origin: TypeAlias = tuple[str, bytes, int]

PORTS = {"http": 80, "https": 443}
UNAUTHORIZED = 401
WATCHED_FAILURES = 2  # a request that saw so many fetches of others fail does not try by itself

log = logging.getLogger("crowdpy_auth")


class CrowdPayAuth(Confidential, AnyAuth):
    """The `auth` of a client of httpx or httpx2, synchronous or asynchronous; one may serve many clients and threads.

    The token is given (`token`), or comes from a function (`provider`, plain or async, returning the token or the token
    and its seconds to live), or from a token endpoint (`token_url`, `client_id`, `client_secret`, `scope`, `audience`).
    """

    @overload
    def __init__(self, token: str, *, allowed_origins: Iterable[str] | None = None) -> None: ...
    @overload
    def __init__(
        self,
        *,
        provider: Provider,
        allowed_origins: Iterable[str] | None = None,
        skew: float = 30.0,
        patience: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        token_url: str,
        client_id: str,
        client_secret: str,
        scope: str | None = None,
        audience: str | None = None,
        allowed_origins: Iterable[str] | None = None,
        skew: float = 30.0,
        patience: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None: ...

    def __init__(
        self,
        token: str | None = None,
        *,
        provider: Provider | None = None,
        token_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        scope: str | None = None,
        audience: str | None = None,
        allowed_origins: Iterable[str] | None = None,
        skew: float = 30.0,
        patience: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`skew`: how many seconds before its end a token is renewed. `patience`: how many seconds a fetch may take
        before another request starts one of its own. `allowed_origins`: who may see the token, instead of only the
        origin of the first request.
        """
        if not AUTH_CLASSES:
            raise ImportError("CrowdPayAuth needs an HTTP client: install crowdpy-auth[httpx2] or crowdpy-auth[httpx]")
        if sum(given is not None for given in (token, provider, token_url)) != 1:
            raise ValueError("give exactly one of token, provider and token_url")
        if token_url is None and any(given is not None for given in (client_id, client_secret, scope, audience)):
            raise ValueError("client_id, client_secret, scope and audience go with token_url")
        self._token = None if token is None else _given(token)
        self._source: Source | None = None
        if provider is not None:
            self._source = AskedProvider(provider)
        elif token_url is not None:
            if not client_id or not client_secret:
                raise ValueError("token_url needs client_id and client_secret")
            self._source = ClientCredentials(token_url, client_id, Secret(client_secret), scope, audience)
        self._origins = None if allowed_origins is None else frozenset(_origin_of(origin) for origin in allowed_origins)
        self._shunned: set[Origin] = set()
        self._skew = skew
        self._patience = patience
        self._clock = clock
        self._flight: Flight | None = None
        self._failures = 0
        self._last_failure: TokenError | None = None
        # Reentrant: the garbage collector may close an abandoned flow in the middle of the critical section.
        self._mutex = threading.RLock()

    def __repr__(self) -> str:
        match self._source:
            case None:
                return "CrowdPayAuth(token=***)"
            case ClientCredentials():
                return "CrowdPayAuth(token_url=***, client_id=***, client_secret=***)"
            case _:
                return "CrowdPayAuth(provider=***)"

    @overload
    def sync_auth_flow(self, request: "httpx.Request") -> "Generator[httpx.Request, httpx.Response, None]": ...
    @overload
    def sync_auth_flow(self, request: "httpx2.Request") -> "Generator[httpx2.Request, httpx2.Response, None]": ...

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Drives the flow for a synchronous client."""
        steps = self._steps(request, None)
        try:
            for step in steps:
                match step:
                    case Exchange():
                        step.response = yield step.request
                        if step.whole:
                            step.response.read()
                    case Wait():
                        step.flight.wait(step.seconds)
                    case Ask():
                        step.run()
                    case _:
                        assert_never(step)
        finally:
            steps.close()

    @overload
    def async_auth_flow(self, request: "httpx.Request") -> "AsyncGenerator[httpx.Request, httpx.Response]": ...
    @overload
    def async_auth_flow(self, request: "httpx2.Request") -> "AsyncGenerator[httpx2.Request, httpx2.Response]": ...

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Drives the flow for an asynchronous client."""
        steps = self._steps(request, running_loop())
        try:
            for step in steps:
                match step:
                    case Exchange():
                        step.response = yield step.request
                        if step.whole:
                            await step.response.aread()
                    case Wait():
                        await step.flight.wait_async(step.seconds)
                    case Ask():
                        await step.run_async()
                    case _:
                        assert_never(step)
        finally:
            steps.close()

    @overload
    def auth_flow(self, request: "httpx.Request") -> "Generator[httpx.Request, httpx.Response, None]": ...
    @overload
    def auth_flow(self, request: "httpx2.Request") -> "Generator[httpx2.Request, httpx2.Response, None]": ...

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """The same for whoever calls this method: the inherited one would send the request without a token."""
        yield from self.sync_auth_flow(request)

    # ── the flow ──────────────────────────────────────────────────────────────────

    def _steps(self, request: "Request", loop: "asyncio.AbstractEventLoop | None") -> Generator[Step, None, None]:
        """Send with a token; after a 401, once more with a new one."""
        if not self._is_meant_for(request.url):
            yield Exchange(request)
            return
        token = yield from self._usable_token(request, loop, refused=None)
        attempt = Exchange(_signed(request, token))
        yield attempt
        if self._source is None or not _refuses(attempt.response, token):
            return
        if not _can_be_sent_again(request):
            self._forget(token)
            return
        token = yield from self._usable_token(request, loop, refused=token)
        yield Exchange(_signed(request, token))

    def _usable_token(
        self, request: "Request", loop: "asyncio.AbstractEventLoop | None", *, refused: Token | None
    ) -> Generator[Step, None, Token]:
        """A fresh token other than *refused*: the one at hand, or one that is fetched once for everybody who waits."""
        give_up = time.monotonic() + 2 * self._patience
        failed_before = self._failures
        while True:
            with self._mutex:
                token = self._token
                if token is not None and token is not refused and token.is_fresh(self._clock()):
                    return token
                if Ask.is_inside(self._source):
                    raise TokenError("the token provider uses the client that waits for its token")
                if self._last_failure is not None and self._failures - failed_before >= WATCHED_FAILURES:
                    raise self._last_failure.repeated()
                flight, leads = self._board(loop)
            if leads:
                return (yield from self._fetch(request, flight))
            yield Wait(flight, min(flight.time_left(self._patience), give_up - time.monotonic()))
            if flight.token is not None:
                return flight.token
            if time.monotonic() >= give_up:
                raise TokenError("no token arrived in time")

    def _board(self, loop: "asyncio.AbstractEventLoop | None") -> tuple[Flight, bool]:
        """The flight to wait for, or a new one to lead: when there is none, it is stuck, or waiting would stop it."""
        flight = self._flight
        if flight and flight.can_land_while_waited_for(loop) and flight.time_left(self._patience) > 0:
            return flight, False
        self._flight = flight = Flight(loop)
        return flight, True

    def _fetch(self, request: "Request", flight: Flight) -> Generator[Step, None, Token]:
        """Leads *flight*. However this ends, also when the client is cancelled, nobody waits for it any longer."""
        if self._source is None:
            raise TypeError("a given token is never fetched")
        try:
            token = yield from self._source.fetch(request, now=self._clock(), skew=self._skew)
            with self._mutex:
                self._token = token
            flight.land(token)
        except TokenError as failure:
            with self._mutex:
                self._failures += 1
                self._last_failure = failure.repeated()
            raise
        finally:
            with self._mutex:
                if self._flight is flight:
                    self._flight = None
            flight.land()
        return token

    def _forget(self, token: Token) -> None:
        with self._mutex:
            if self._token is token:
                self._token = None

    def _is_meant_for(self, url: "URL") -> bool:
        """Whether *url* may see the token: its origin is allowed, or that of the first request."""
        origin = (url.scheme, url.raw_host, url.port or PORTS.get(url.scheme, 0))
        with self._mutex:
            if self._origins is None:
                self._origins = frozenset({origin})
            if origin in self._origins:
                return True
            is_news = origin not in self._shunned
            self._shunned.add(origin)
        if is_news:
            log.warning("no token goes to %s://%s: name it in allowed_origins if it may see one", url.scheme, url.host)
        return False


def _given(token: str) -> Token:
    secret = bearer(token)
    if secret is None:
        raise ValueError("a token is one word of visible ASCII, without 'Bearer' before it")
    return Token(secret, float("inf"))


def _signed(request: "Request", token: Token) -> "Request":
    request.headers["Authorization"] = token.header
    return request


def _refuses(response: "Response", token: Token) -> bool:
    """Whether *token* was refused. A 401 from where a redirect led, without the token, says nothing about it."""
    if response.status_code != UNAUTHORIZED:
        return False
    try:
        return response.request.headers.get("Authorization") == token.header
    except RuntimeError:  # a response without a request was made by hand, and followed nothing
        return True


def _can_be_sent_again(request: "Request") -> bool:
    """Whether the whole body is in memory; a stream was used up by the first attempt."""
    try:
        return request.content is not None
    except RuntimeError:  # RequestNotRead, of either library
        return False


def _origin_of(text: str) -> Origin:
    parts = urlsplit(text)
    if parts.scheme not in PORTS or not parts.hostname or not parts.hostname.isascii():
        raise ValueError("an allowed origin is a scheme, a host in ASCII and perhaps a port: https://api.example.com")
    if parts.username is not None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("an allowed origin has no path, no query and no credentials: https://api.example.com")
    return parts.scheme, parts.hostname.encode(), parts.port or PORTS[parts.scheme]
