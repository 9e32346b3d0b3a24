"""What a route is: where it stands, which action the policy is asked about, and who carries the request out."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeAlias, TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.responses import Response

from kyc_service.access.policy import Question
from kyc_service.access.principal import Principal
from kyc_service.api import headers
from kyc_service.api.contract import Operation
from kyc_service.api.gate import Exchange
from kyc_service.api.problems import Fault, Refused
from kyc_service.application.desk import Caller
from kyc_service.bootstrap import App
from kyc_service.domain.record import record

T = TypeVar("T")
LARGEST_BODY = 256 * 1024
JSON = ("application/json",)

# pydantic's kinds of errors in our words; its own may quote what was sent.
FAULTS: Mapping[str, tuple[str, str]] = {
    "missing": ("missing", "This member is required."),
    "extra_forbidden": ("unknown_member", "There is a member here that is not known, or that cannot be changed."),
    "string_too_long": ("too_long", "The text is too long."),
    "string_too_short": ("too_short", "The text is too short."),
    "too_long": ("too_many", "There are too many entries."),
    "string_pattern_mismatch": ("pattern", "The text does not have the documented form."),
    "value_error": ("pattern", "The text does not have the documented form."),
    "uuid_parsing": ("pattern", "This is not a UUID."),
    "uuid_type": ("type", "This is not a UUID."),
    "date_from_datetime_parsing": ("pattern", "This is not a date such as 1990-04-12."),
    "date_parsing": ("pattern", "This is not a date such as 1990-04-12."),
    "date_past": ("not_in_the_past", "The date is not in the past."),
    "enum": ("unknown_value", "This is none of the documented values."),
    "greater_than_equal": ("out_of_range", "The number is too small."),
    "less_than_equal": ("out_of_range", "The number is too large."),
}
OTHERWISE = ("type", "The value is not of the documented type.")


@record
class Call:
    """One request of somebody who may make it."""

    request: Request
    app: App
    caller: Caller
    principal: Principal

    @property
    def own_name(self) -> Mapping[str, str]:
        """The one name that the caller may read in a log of pseudonyms: their own."""
        return {self.caller.actor: self.principal.subject}

    def require(self, action: str) -> None:
        """Refuse whoever may not also do *action*."""
        permit(self.app, self.principal, action)

    def may(self, action: str) -> bool:
        """Whether the principal may also do *action*."""
        return permitted(self.app, self.principal, action)

    def identity(self, name: str, missing: type[Exception]) -> UUID:
        """The id in the path; one that cannot be an id belongs to nothing, so *missing* is raised."""
        try:
            return UUID(self.request.path_params[name])
        except ValueError as error:
            raise missing from error

    async def read(self, form: TypeAdapter[T], accepted: tuple[str, ...] = JSON) -> T:
        """The body as *form*.

        Raises:
            Refused: it is of another type, too large, not JSON, or not valid; what was sent is not repeated.
        """
        if headers.media_type(self.request) not in accepted:
            hint = "Accept-Patch" if self.request.method == "PATCH" else "Accept"
            raise Refused("media_type_unsupported", headers={hint: ", ".join(accepted)})
        content = await whole(self.request)
        try:
            return form.validate_json(content)
        except ValidationError as error:
            raise refusal(error) from None


Handler: TypeAlias = Callable[[Call], Awaitable[Response]]


@record
class Route:
    """One line of a table of routes; without an action it is public and gets the bare request."""

    method: str
    path: str
    action: str
    handler: Handler
    documented: Operation


@record
class PublicRoute:
    """A route that asks nobody who they are. Every one is listed in `main.PUBLIC`."""

    path: str
    handler: Callable[[Request], Awaitable[Response]]
    documented: Operation | None = None  # None: a page for people


async def admit(request: Request, action: str) -> Call:
    """The request as a call of its principal.

    Raises:
        Refused: there is no token, its roles do not permit the action, or its subject asks too much.
        AuthError: the token is not accepted.
        KeysUnavailable: nobody can tell at the moment.
    """
    app: App = request.app.state.kyc
    token = bearer(request.headers.get("authorization", ""))
    principal = app.verifier.cached(token) or await app.verifier.verify(token)
    exchange: Exchange = request.scope["kyc.exchange"]
    exchange.tenant = principal.tenant
    if app.limits is not None and (pause := app.limits.wait((principal.tenant, principal.subject))):
        raise Refused("rate_limited", headers={"Retry-After": str(math.ceil(pause))})
    permit(app, principal, action)
    return Call(
        request=request,
        app=app,
        caller=caller_of(app, principal, exchange.request_id, exchange.trace),
        principal=principal,
    )


def caller_of(app: App, principal: Principal, request: str, trace: str | None) -> Caller:
    """The principal as the desk knows them: a token may name people by their addresses, and what is stored lasts."""
    return Caller(
        tenant=principal.tenant,
        client=app.people.pseudonym(principal.tenant, principal.client),
        actor=app.people.pseudonym(principal.tenant, principal.subject),
        request=request,
        trace=trace,
    )


def permit(app: App, principal: Principal, action: str) -> None:
    """Ask the policy; every handler acts within the tenant of the token, and nowhere else."""
    if not permitted(app, principal, action):
        raise Refused("forbidden")


def permitted(app: App, principal: Principal, action: str) -> bool:
    """Whether the policy permits *action* within the principal's own tenant."""
    question = Question(principal=principal, action=action, resource_tenant=principal.tenant)
    return app.policy.decide(question).allow


def bearer(given: str) -> str:
    """The access token in what an `Authorization` header says.

    Raises:
        Refused: there is none.
    """
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused("token_missing")
    return token.strip()


async def whole(request: Request, limit: int = LARGEST_BODY) -> bytes:
    """The body, if it is not larger than *limit*, whether it says so beforehand or not."""
    refuse_larger(request, limit, "body_too_large")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise Refused("body_too_large")
    return bytes(content)


def refuse_larger(request: Request, limit: int, code: str) -> None:
    """Refuse what announces more than *limit* bytes before any of them are read, and what is compressed."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused("media_type_unsupported", headers={"Accept-Encoding": "identity"})
    length = request.headers.get("content-length", "0")
    if not length.isdecimal():
        raise Refused("request_invalid")
    if int(length[:20]) > limit:
        raise Refused(code)


def refusal(error: ValidationError, root: str = "") -> Refused:
    """What is wrong with a body that stands at the pointer *root*, without what it said."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if any(entry["type"] == "json_invalid" for entry in found):
        return Refused("json_invalid")
    return Refused("validation_failed", *(_fault(entry, root) for entry in found[:50]))


def _fault(entry: ErrorDetails, root: str) -> Fault:
    code, detail = FAULTS.get(entry["type"], OTHERWISE)
    # The name of an unknown member is something that was sent, too: point to where it stands.
    place = entry["loc"][:-1] if entry["type"] == "extra_forbidden" else entry["loc"]
    pointer = "".join(f"/{_escaped(step)}" for step in place)
    return Fault(pointer=f"#{root}{pointer}", code=code, detail=detail)


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes in."""
    async for chunk in request.stream():
        if chunk:
            yield chunk
