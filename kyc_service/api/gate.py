"""The gate that every request passes: it gets an id, safe headers and one line in the log, and errors become problems.

One plain ASGI middleware and not a chain of them: it is on the path of every request.
"""

import logging
import re
import time
import traceback
from functools import cached_property
from urllib.parse import quote

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kyc_service.api import problems
from kyc_service.api.problems import Place
from kyc_service.application.ids import new_id

log = structlog.get_logger("kyc.api")

REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
CLIENT_LEFT = 499  # what servers log when nobody is left to answer to

# A page may replace any of them by its own.
SAFE_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class Exchange:
    """One request and its answer, as the log tells them: never with a body, a query or a name."""

    __slots__ = ("head", "request_id", "route", "started", "status", "tenant", "trace", "trace_id")

    def __init__(self, scope: Scope) -> None:
        given, trace = None, None
        for name, value in scope["headers"]:
            if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
                given = value.decode()
            elif name == b"traceparent":
                trace = TRACEPARENT.fullmatch(value)
        self.request_id: str = given or str(new_id())
        self.trace: str | None = trace[0].decode() if trace else None
        self.trace_id: str | None = trace[1].decode() if trace else None
        self.head: bool = scope["method"] == "HEAD"
        self.started = time.perf_counter()
        self.status = 0
        self.tenant: str | None = None
        self.route: str | None = None  # as the table has it; the path itself holds ids

    @property
    def place(self) -> Place:
        """Where a problem of this request belongs."""
        return Place(request_id=self.request_id, trace_id=self.trace_id)


class Gate:
    """The outermost layer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    @cached_property
    def _log(self) -> structlog.typing.FilteringBoundLogger:
        """Bound once, and not before the logs are configured: binding anew costs a tenth of a read."""
        bound: structlog.typing.FilteringBoundLogger = log.bind()
        return bound

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer whatever goes wrong."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = scope["kyc.exchange"] = Exchange(scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = _headers(message.get("headers", ()), exchange.request_id)
            elif exchange.head and message.get("body"):
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_LEFT
        except Exception as error:
            if exchange.status:  # too late for an answer: the connection breaks, so that nobody takes it for whole
                _record(error, exchange)
                raise
            response = problems.answer(error, exchange.place)
            if response.status_code >= 500:
                _record(error, exchange)
            await response(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - exchange.started
            scope["app"].state.kyc.metrics.answered(scope["method"], exchange.route, exchange.status, seconds)
            self._log.info(
                "request",
                method=scope["method"] if scope["method"].isalpha() else quote(scope["method"]),
                route=exchange.route,
                status=exchange.status,
                duration_ms=round(seconds * 1000, 2),
                request_id=exchange.request_id,
                trace_id=exchange.trace_id,
                tenant=exchange.tenant,
            )


def _headers(given: list[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    named = {name for name, _ in given}
    return [
        *given,
        *(header for header in SAFE_HEADERS if header[0] not in named),
        (b"x-request-id", request_id.encode()),
    ]


def _record(error: Exception, exchange: Exchange) -> None:
    """What went wrong, and where; the words of the error stay out, because they may quote the request."""
    frames = traceback.extract_tb(error.__traceback__)
    log.log(
        logging.ERROR,
        "request failed",
        error=type(error).__name__,
        cause=type(error.__cause__).__name__ if error.__cause__ else None,
        at=[f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]],
        request_id=exchange.request_id,
        trace_id=exchange.trace_id,
    )
