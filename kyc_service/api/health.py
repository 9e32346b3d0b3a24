"""Whether the service runs, and whether it can work: for load balancers and for people on call."""

from starlette.requests import Request
from starlette.responses import Response

from kyc_service.api import representation
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
