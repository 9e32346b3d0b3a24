"""Whether the service runs, and whether it can work: for load balancers and for people on call."""

from starlette.requests import Request
from starlette.responses import Response

from kyc_service.api import representation
from kyc_service.api.contract import Operation, Success
from kyc_service.api.routes import PublicRoute
from kyc_service.application.ports import StoreUnavailable
from kyc_service.bootstrap import App


async def alive(request: Request) -> Response:
    """The process runs; it says nothing about anything else, so that an outage elsewhere restarts nobody."""
    del request
    return representation.answer({"status": "ok"})


async def ready(request: Request) -> Response:
    """Whether requests can be carried out at the moment, and what keeps them from it."""
    app: App = request.app.state.kyc
    try:
        checks = {name: check.ok for name, check in (await app.ready()).items()}
    except StoreUnavailable:
        checks = {"database": False}
    ok = all(checks.values())
    content = {"status": "ok" if ok else "unavailable", "checks": checks}
    return representation.answer(content, 200 if ok else 503, None if ok else {"Retry-After": "2"})


PUBLIC: tuple[PublicRoute, ...] = (
    PublicRoute(
        path="/healthz",
        handler=alive,
        documented=Operation(
            name="alive",
            tag="health",
            summary="Whether the process runs",
            description="Says nothing about anything else.",
            successes={200: Success(description="It runs.", schema="Health", example={"status": "ok"})},
            public=True,
        ),
    ),
    PublicRoute(
        path="/readyz",
        handler=ready,
        documented=Operation(
            name="ready",
            tag="health",
            summary="Whether the service can work",
            description="503 while the database does not answer or is not migrated.",
            successes={
                200: Success(
                    description="It can.",
                    schema="Readiness",
                    example={"status": "ok", "checks": {"database": True, "migrations": True}},
                ),
                503: Success(
                    description="It cannot, at the moment.",
                    schema="Readiness",
                    example={"status": "unavailable", "checks": {"database": False}},
                    headers=("Retry-After",),
                ),
            },
            public=True,
        ),
    ),
)
