"""The HTTP application. Importing it does no work: settings are read and adapters made when the server starts it."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Protocol

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from kyc_service import bootstrap
from kyc_service.api import (
    applications,
    documentation,
    events,
    files,
    health,
    mailbox,
    metrics,
    openapi,
    problems,
    screening,
)
from kyc_service.api.gate import Exchange, Gate
from kyc_service.api.problems import STATUSES, Refused
from kyc_service.api.routes import PublicRoute, Route, admit
from kyc_service.bootstrap import App
from kyc_service.collector import collecting_rarely
from kyc_service.log import configure
from kyc_service.settings import Settings

log = structlog.get_logger("kyc.api")

ROUTES: tuple[Route, ...] = (*applications.ROUTES, *screening.ROUTES, *files.ROUTES, *events.ROUTES)
PUBLIC: tuple[PublicRoute, ...] = (
    *health.PUBLIC,
    PublicRoute(path="/openapi.json", handler=documentation.document),
    PublicRoute(path="/asyncapi.json", handler=documentation.messages),
    PublicRoute(path="/docs", handler=documentation.page),
    PublicRoute(path="/docs/problems", handler=documentation.problems),
    PublicRoute(path="/docs/assets/{name}", handler=documentation.asset),
)


class Build(Protocol):
    """Makes the app out of settings; `metrics.measured` does, and serves its metrics."""

    def __call__(self, settings: Settings) -> AbstractAsyncContextManager[App]: ...


def create_app(settings: Settings | None = None, build: Build = metrics.measured) -> FastAPI:
    """The application, for a server to start; without *settings* they are read from the environment then."""

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        logging.getLogger("uvicorn.access").disabled = True  # it would log queries; the gate logs requests
        async with AsyncExitStack() as stack:
            present = settings or Settings()
            configure(present)
            for sentence in await asyncio.to_thread(bootstrap.warnings, present):
                log.warning(sentence)
            api.state.kyc = app = await stack.enter_async_context(build(present))
            for sentence in await app.cautions():
                log.warning(sentence)
            await stack.enter_async_context(_background(app))
            stack.enter_context(_hanging_up(app))
            stack.enter_context(collecting_rarely())
            yield

    api = FastAPI(
        title="KYC Service",
        version=openapi.VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        exception_handlers={HTTPException: _refused},
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for route in ROUTES:
        _offer(api, route.path, route.method, _guarded(route))
    for public in PUBLIC:
        _offer(api, public.path, "GET", _open(public))
    described = openapi.document(ROUTES, PUBLIC)
    api.openapi = lambda: described  # type: ignore[method-assign]  # the documented way to extend it
    api.add_middleware(Gate)
    return api


def _offer(api: FastAPI, path: str, method: str, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
    """A plain route of Starlette's: what FastAPI would add to it, dependencies and models, is not used here."""
    api.add_route(path, endpoint, methods=["GET"] if method == "GET" else [method], include_in_schema=False)


def _guarded(route: Route) -> Callable[[Request], Awaitable[Response]]:
    """The route's handler behind the question who is asking and whether they may."""

    async def endpoint(request: Request) -> Response:
        request.scope["kyc.exchange"].route = route.path
        return await route.handler(await admit(request, route.action))

    return endpoint


def _open(route: PublicRoute) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.scope["kyc.exchange"].route = route.path
        return await route.handler(request)

    return endpoint


async def _refused(request: Request, error: Exception) -> Response:
    """What the router refuses by itself: unknown addresses and methods."""
    exchange: Exchange = request.scope["kyc.exchange"]
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = STATUSES.get(status, "request_invalid" if status < 500 else "internal_error")
    offered = {"Allow": ", ".join(_allowed(request))} if status == 405 else {}
    return problems.answer(Refused(code, headers=offered), exchange.place)


def _allowed(request: Request) -> list[str]:
    """Every method that the address offers; the router itself would name those of one route only."""
    methods: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return sorted(methods)


@contextmanager
def _hanging_up(app: App) -> Iterator[None]:
    """Let those go who listen to the feed or wait for an outcome as soon as the process is told to end.

    The server waits for every open answer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # nobody tells a thread
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def hang_up(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(app.feed.close)
        loop.call_soon_threadsafe(app.outcomes.close)
        if callable(present := before[signal.Signals(number)]):
            present(number, frame)

    for number in before:
        signal.signal(number, hang_up)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@asynccontextmanager
async def _background(app: App) -> AsyncIterator[None]:
    """Ring for the workers and relays elsewhere; in development, also be both, and take commands from the brokers."""
    tasks = [asyncio.create_task(app.bells.carry(), name="carry the bells")]
    development = not app.settings.production
    relays = app.relays if development and app.settings.inline_relay else ()
    working = development and app.settings.inline_worker
    worker = asyncio.create_task(app.worker.run(), name="worker") if working else None
    if worker or relays:
        tasks.append(asyncio.create_task(app.bells.listen(), name="listen to the bells"))
    if worker:
        tasks.append(asyncio.create_task(app.watch.run(), name="watch"))
    tasks += [asyncio.create_task(relay.run(), name=f"relay to {relay.name}") for relay in relays]
    inbox = mailbox.intakes_of(app) if development and app.settings.inline_inbox else ()
    listening = [asyncio.create_task(intake.run(), name="take commands") for intake in inbox]
    try:
        yield
    finally:
        for intake in inbox:
            intake.stop()
        await asyncio.gather(*listening)
        app.worker.stop()
        if worker:
            await worker
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


app = create_app()
