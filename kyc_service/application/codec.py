"""Events, states and orders as they are stored: by name and schema version, personal data apart from clear facts.

A stored event of an older schema is brought up to date by `UPCASTERS` when it is read; an event that nobody knows is an
error, because history is never skipped.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import timedelta
from functools import cache
from typing import Any, TypeAlias, get_args
from uuid import UUID

from pydantic import TypeAdapter

from kyc_service.domain import application as domain
from kyc_service.domain.application import Application, Event, Sealed
from kyc_service.domain.record import record
from kyc_service.saga.verification import Discharge, Enrol, ForgetSelfie, Later, Order, RunCheck, Screen, Undo

Json: TypeAlias = dict[str, Any]

EVENTS: Mapping[str, type] = {event.__name__: event for event in get_args(Event)}
COMMANDS: Mapping[str, type] = {
    command.__name__: command
    for command in (domain.LapseAnswer, domain.LapseResubmission, domain.LapseCompletion, domain.LapseClearance)
}
ORDERS: Mapping[str, type] = {
    order.__name__: order for order in (RunCheck, Screen, Enrol, Discharge, Undo, ForgetSelfie)
}

# What today's code writes; absent means 1. Raise it together with an entry in UPCASTERS.
SCHEMAS: Mapping[str, int] = {}
# (name, schema) -> the same facts one schema later, perhaps under another name.
Upcaster: TypeAlias = Callable[[Json], tuple[str, Json]]
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}


class UnknownEvent(Exception):
    """The log holds an event that this release does not know: it was written by a newer one, or by somebody else."""


@record
class Stored:
    """An event in the columns of the log."""

    type: str
    schema: int
    data: Json
    sealed: bytes | None


def encode(event: Event) -> Stored:
    """*event* as columns."""
    name = type(event).__name__
    place = _place_of_sealed(name)
    sealed: Sealed | None = getattr(event, place) if place else None
    data = _adapter(EVENTS[name]).dump_python(event, mode="json", exclude={place} if place else None)
    return Stored(type=name, schema=SCHEMAS.get(name, 1), data=data, sealed=sealed.box if sealed else None)


def decode(stored: Stored, entry: UUID, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> Event:
    """The event again, brought up to date. *entry* is the event's id, which its personal data is bound to.

    Raises:
        UnknownEvent: no event of that name and schema is known.
    """
    name, schema, data = stored.type, stored.schema, stored.data
    while (upcast := upcasters.get((name, schema))) is not None:
        name, data = upcast(data)
        schema += 1
    if name not in EVENTS or schema != SCHEMAS.get(name, 1):
        raise UnknownEvent(f"{stored.type} (schema {stored.schema})")
    place = _place_of_sealed(name)
    sealed = {place: Sealed(entry=entry, box=stored.sealed)} if place and stored.sealed is not None else {}
    event: Event = _adapter(EVENTS[name]).validate_python({**data, **sealed})
    return event


def encode_state(state: Application) -> Json:
    """The snapshot without its ciphertext, which stands in a column of its own."""
    data: Json = _adapter(Application).dump_python(state, mode="json", exclude={"person"})
    return {**data, "person": str(state.person.entry)}


def decode_state(data: Json, box: bytes) -> Application:
    """The state again."""
    person = Sealed(entry=UUID(data["person"]), box=box)
    state: Application = _adapter(Application).validate_python({**data, "person": person})
    return state


def encode_order(order: Order) -> tuple[str, Json]:
    """An order as its kind and payload; a command for later is named by the command."""
    subject = order.command if isinstance(order, Later) else order
    kind: type = type(subject)
    return kind.__name__, _adapter(kind).dump_python(subject, mode="json")


def decode_order(kind: str, payload: Json) -> Order:
    """The order again; one that waited as a command is due now.

    Raises:
        UnknownOrder: no order of that kind is known.
    """
    if kind in ORDERS:
        order: Order = _adapter(ORDERS[kind]).validate_python(payload)
        return order
    if kind not in COMMANDS:
        raise UnknownOrder(kind)
    return Later(command=_adapter(COMMANDS[kind]).validate_python(payload), after=_NO_TIME)


class UnknownOrder(Exception):
    """The work list holds an order that this release does not know."""


_NO_TIME = timedelta()


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def _place_of_sealed(name: str) -> str | None:
    """The field of the event that holds personal data; each event has at most one."""
    return next((field.name for field in fields(EVENTS[name]) if Sealed in (field.type, *get_args(field.type))), None)
