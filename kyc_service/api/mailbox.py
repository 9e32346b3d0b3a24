"""Commands that come in as messages: the same forms, tokens, policy, desk and problems as over HTTP, whatever the bus.

CloudEvents' `source` and `id` name a command, and a named command has one outcome: what it brought about is remembered
in the same commit, and a refusal in the inbox. So a broker may deliver it as often as it likes.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from uuid import UUID

import structlog
from crowdpay_contracts.commands import CommandType, KycCommand
from crowdpay_contracts.envelope import MEDIA_TYPE
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from starlette.responses import Response

from kyc_service.api import applications, forms, problems, representation
from kyc_service.api.gate import REQUEST_ID, TRACEPARENT
from kyc_service.api.problems import Place, Refused
from kyc_service.api.routes import LARGEST_BODY, T, bearer, caller_of, permit, refusal
from kyc_service.application.desk import ANSWERS_ARE_KEPT, Again, Caller, Keyed, KeyReused, View
from kyc_service.application.ids import new_id
from kyc_service.bootstrap import App
from kyc_service.domain.record import record
from kyc_service.messaging.intake import Intake, Pace
from kyc_service.messaging.intakes import intakes
from kyc_service.messaging.letters import Answer, Fate, Letter
from kyc_service.store.inbox import Refusal, Sender

log = structlog.get_logger("kyc.mailbox")

COMMAND = TypeAdapter(KycCommand)
FATES: Mapping[str, Fate] = {
    "store_unavailable": Fate.UNAVAILABLE,
    "files_unavailable": Fate.UNAVAILABLE,
    "keys_unavailable": Fate.UNAVAILABLE,
    "internal_error": Fate.FAILED,
    "contended": Fate.FAILED,
}
# Of no use to whoever sends the same command again, perhaps with a new token: these are decided afresh.
UNREMEMBERED = (KeyReused,)


@record
class Order:
    """A command of somebody who may give it."""

    command: KycCommand
    caller: Caller
    keyed: Callable[[Callable[[View], bytes]], Keyed]


class Mailbox:
    """Carries out letters, one at a time or many at once; whatever goes wrong is an answer, and never an exception."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def carry_out(self, letter: Letter) -> Answer:
        """What came of the command in *letter*."""
        place = Place(request_id=str(new_id()))
        try:
            command = _read(letter)
        except Refused as error:
            return _refused(error, place, Fate.UNREADABLE)
        place = _place(command, place)
        try:
            return _answer(await self._carried_out(command, letter, place))
        except Exception as error:  # noqa: BLE001 - the top of the loop: the sender is told, or the message tried again
            kind = problems.kind_of(error)
            if kind.status >= 500:
                log.error("command failed", error=type(error).__name__, request_id=place.request_id)  # noqa: TRY400
            return _refused(error, place, FATES.get(kind.code, Fate.REFUSED))

    async def _carried_out(self, command: KycCommand, letter: Letter, place: Place) -> Response:
        token = bearer(letter.authorization or "")
        verifier = self._app.verifier
        principal = verifier.cached(token) or await verifier.verify(token)
        action, carry_out = COMMANDS[command.type]
        permit(self._app, principal, action)
        caller = caller_of(self._app, principal, place.request_id, _trace(command))
        sender = _sender(caller, command)
        request = _same(command)
        fingerprint = self._app.people.fingerprint(principal.tenant, request)
        refused = await self._app.inbox.find(sender, self._app.clock())
        if refused and refused.fingerprint != fingerprint:
            raise KeyReused
        if refused:
            return _again(refused)

        def keyed(render: Callable[[View], bytes]) -> Keyed:
            return Keyed(key=sender.key, request=request, render=render)

        try:
            return await carry_out(self._app, Order(command=command, caller=caller, keyed=keyed))
        except Exception as error:
            if isinstance(error, UNREMEMBERED) or problems.kind_of(error).code in FATES:
                raise
            if await self._remembered(sender, fingerprint, problems.answer(error, place)):
                raise
        # The same command was carried out by somebody else just now: tell its outcome.
        return await carry_out(self._app, Order(command=command, caller=caller, keyed=keyed))

    async def _remembered(self, sender: Sender, fingerprint: bytes, answer: Response) -> bool:
        now = self._app.clock()
        refusal = Refusal(fingerprint=fingerprint, problem=from_json(bytes(answer.body)))
        return await self._app.inbox.keep(sender, refusal, now, now + ANSWERS_ARE_KEPT)


def intakes_of(app: App) -> Sequence[Intake]:
    """Whatever takes commands for the app, one for each of its brokers."""
    pace = Pace(concurrency=app.settings.command_concurrency)
    return intakes(app.brokers, Mailbox(app).carry_out, pace, app.parked.report)


# ── the commands ──────────────────────────────────────────────────────────────────


async def submit(app: App, order: Order) -> Response:
    """A new application."""
    form = _form(forms.NEW_APPLICATION, order.command)
    view = await app.desk.submit(order.caller, applications.submission(form), order.keyed(applications.kept))
    return representation.repeated(view.answer) if isinstance(view, Again) else applications.created(view)


async def amend(app: App, order: Order) -> Response:
    """Documents or particulars replaced by a merge patch."""
    patch = _form(forms.APPLICATION_PATCH, order.command)
    amendment = applications.amendment(patch, order.command.expectedversion)
    identity = order.command.subject or UUID(int=0)  # the envelope does not let one without a subject pass
    view = await app.desk.amend(order.caller, identity, amendment, order.keyed(applications.kept_as_it_is))
    return representation.repeated(view.answer) if isinstance(view, Again) else representation.application_answer(view)


CarryOut = Callable[[App, Order], Awaitable[Response]]
COMMANDS: Mapping[CommandType, tuple[str, CarryOut]] = {
    CommandType.KYC_SUBMIT: ("application.submit", submit),
    CommandType.KYC_AMEND: ("application.amend", amend),
}


# ── from a message, and to one ────────────────────────────────────────────────────


def _read(letter: Letter) -> KycCommand:
    """The command in the letter.

    Raises:
        Refused: it is none, and nothing of it is repeated.
    """
    if letter.media_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise Refused("media_type_unsupported")
    if len(letter.body) > LARGEST_BODY:
        raise Refused("body_too_large")
    try:
        return COMMAND.validate_json(letter.body)
    except ValidationError as error:
        raise refusal(error) from None


def _form(form: TypeAdapter[T], command: KycCommand) -> T:
    try:
        return form.validate_json(to_json(command.data))
    except ValidationError as error:
        raise refusal(error, "/data") from None


def _place(command: KycCommand, fresh: Place) -> Place:
    """The command's own id is the id of the request, if it is fit to be written everywhere."""
    request_id = command.id if REQUEST_ID.fullmatch(command.id.encode()) else fresh.request_id
    trace = _trace(command)
    return Place(request_id=request_id, trace_id=trace[3:35] if trace else None)


def _trace(command: KycCommand) -> str | None:
    """The trace that the command belongs to; one that W3C has no such value for is none, as over HTTP."""
    given = command.traceparent
    return given if given and TRACEPARENT.fullmatch(given.encode()) else None


def _sender(caller: Caller, command: KycCommand) -> Sender:
    """The name of the command as a digest, with a space in it: no key that came by HTTP can be the same."""
    name = sha256(to_json([command.source, command.id])).hexdigest()
    return Sender(tenant=caller.tenant, client=caller.client, key=f"ce {name}")


def _same(command: KycCommand) -> bytes:
    """What makes two commands the same one; the members of an object have no order."""
    same = [command.type, command.subject, command.expectedversion, command.data]
    return json.dumps(same, default=str, sort_keys=True).encode()


def _again(refused: Refusal) -> Response:
    status = refused.problem["status"]
    return Response(
        to_json(refused.problem),
        status if isinstance(status, int) else 422,
        {"Idempotent-Replayed": "true"},
        media_type=problems.MEDIA_TYPE,
    )


def _answer(response: Response) -> Answer:
    """A response as the answer to a letter; the headers that only HTTP knows are left out."""
    shown = ("location", "etag", "idempotent-replayed")
    failed = response.status_code >= 400
    return Answer(
        fate=Fate.REFUSED if failed else Fate.DONE,
        status=response.status_code,
        media_type=response.headers["content-type"],
        body=bytes(response.body),
        headers={name: response.headers[name] for name in shown if name in response.headers},
        reason=str(from_json(bytes(response.body))["code"]) if failed else None,
    )


def _refused(error: Exception, place: Place, fate: Fate) -> Answer:
    response = problems.answer(error, place)
    return Answer(
        fate=fate,
        status=response.status_code,
        media_type=problems.MEDIA_TYPE,
        body=bytes(response.body),
        headers={},
        reason=problems.kind_of(error).code,
    )
