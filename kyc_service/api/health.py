"""Whether the service runs, and whether it can work: for load balancers and for people on call."""

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from kyc_service.api import representation
from kyc_service.api.contract import Operation, Success
from kyc_service.api.routes import PublicRoute
from kyc_service.application.effects import utc_now
from kyc_service.application.ports import StoreUnavailable
from kyc_service.bootstrap import App
from kyc_service.store.following import Backlog


async def alive(request: Request) -> Response:
    """The process runs; it says nothing about anything else, so that an outage elsewhere restarts nobody."""
    del request
    return representation.answer({"status": "ok"})


async def ready(request: Request) -> Response:
    """Whether requests can be carried out at the moment, and what keeps them from it."""
    app: App = request.app.state.kyc
    try:
        checks = {name: check.ok for name, check in (await app.ready()).items()}
        brokers = {name: _untold(backlog) for name, backlog in (await app.backlogs()).items()}
    except StoreUnavailable:
        checks, brokers = {"database": False}, {}
    ok = all(checks.values())
    content = {"status": "ok" if ok else "unavailable", "checks": checks, "brokers": brokers}
    return representation.answer(content, 200 if ok else 503, None if ok else {"Retry-After": "2"})


def _untold(backlog: Backlog) -> dict[str, float]:
    """What waits at a broker or for it; a broker that is down keeps no request from being carried out."""
    return {
        "behind": backlog.behind,
        "age_seconds": _age(backlog.oldest),
        "unrouted": backlog.unrouted,
        "parked": backlog.parked,
        "parked_age_seconds": _age(backlog.parked_since),
    }


def _age(since: datetime | None) -> float:
    return round(max((utc_now() - since).total_seconds(), 0.0), 3) if since else 0.0


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
                    example={
                        "status": "ok",
                        "checks": {"database": True, "migrations": True},
                        "brokers": {
                            "rabbitmq": {
                                "behind": 2,
                                "age_seconds": 0.004,
                                "unrouted": 0,
                                "parked": 0,
                                "parked_age_seconds": 0.0,
                            }
                        },
                    },
                ),
                503: Success(
                    description="It cannot, at the moment.",
                    schema="Readiness",
                    example={"status": "unavailable", "checks": {"database": False}, "brokers": {}},
                    headers=("Retry-After",),
                ),
            },
            public=True,
        ),
    ),
)
