"""Load, decide, append: how every command is carried out, and decided afresh when another writer got there first."""

import random
from asyncio import sleep
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from kyc_service.application.ids import new_id
from kyc_service.application.keys import StoredKey
from kyc_service.application.ports import (
    Answered,
    Cause,
    Change,
    Drafted,
    Leased,
    PlannedOrder,
    Snapshot,
    Store,
    VersionConflict,
)
from kyc_service.domain.application import (
    Application,
    ApplicationNotFound,
    Command,
    Event,
    Sealed,
    State,
    decide,
    evolve,
)
from kyc_service.domain.record import record
from kyc_service.saga.verification import Later, claims, react

TRIES = 12


@record
class Task:
    """A command with all that is committed along with it."""

    tenant: str
    stream: UUID
    command: Command
    cause: Cause
    expected: int | None = None  # the version that the client saw; None: whatever it is
    email_index: bytes | None = None
    finished: Leased | None = None
    key: StoredKey | None = None
    answer: Callable[["Handled"], Answered] | None = (
        None  # what is remembered of the request, once the outcome is known
    )


@record
class Handled:
    """What came of a command: no events, when it had been carried out before."""

    snapshot: Snapshot
    events: tuple[Event, ...] = ()


class StaleVersion(Exception):
    """The application has changed since the client last saw it."""


async def handle(store: Store, task: Task, at: datetime, *, fresh: bool = False) -> Handled:
    """Carry out the command; *fresh* spares the look at a stream that cannot exist yet.

    Raises:
        StaleVersion: the client's version is not the present one.
        VersionConflict: the stream stayed contended through every try.
    """
    for attempt in range(TRIES):
        found = None if fresh else await store.load(task.tenant, task.stream)
        if task.expected is not None and (found.version if found else 0) != task.expected:
            raise StaleVersion
        events = decide(task.command, found.state if found else None)
        if not events:
            if found is None:
                raise ApplicationNotFound
            return Handled(snapshot=found)
        handled, change = plan(task, events, found, at)
        try:
            await store.append(change)
        except VersionConflict:
            await sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311 - spreads writers, guards nothing
            continue
        return handled
    raise VersionConflict


def plan(task: Task, events: Sequence[Event], found: Snapshot | None, at: datetime) -> tuple[Handled, Change]:
    """What comes of *events*, and all that they change: the state, and the orders that the saga answers them with."""
    state: State = found.state if found else None
    drafted: list[Drafted] = []
    orders: list[PlannedOrder] = []
    for event in events:
        state = evolve(state, event)
        draft = Drafted(id=_id_of(event), event=event)
        drafted.append(draft)
        for number, order in enumerate(react(event, state)):
            wait = order.after if isinstance(order, Later) else timedelta()
            orders.append(PlannedOrder(id=uuid5(draft.id, str(number)), order=order, after=wait))
    if state is None:
        raise ApplicationNotFound
    handled = Handled(snapshot=_after(task, events, found, state, at), events=tuple(events))
    change = Change(
        tenant=task.tenant,
        stream=task.stream,
        expected=found.version if found else 0,
        at=at,
        cause=task.cause,
        events=tuple(drafted),
        state=state,
        orders=tuple(orders),
        claims=tuple(claims(events, state)),
        email_index=task.email_index,
        finished=task.finished,
        key=task.key,
        answered=task.answer(handled) if task.answer else None,
    )
    return handled, change


def _id_of(event: Event) -> UUID:
    """An event takes the id that its personal data was sealed for, so that neither can be moved to another event."""
    for place in ("person", "findings", "note"):
        sealed = getattr(event, place, None)
        if isinstance(sealed, Sealed):
            return sealed.entry
    return new_id()


def _after(task: Task, events: Sequence[Event], found: Snapshot | None, state: Application, at: datetime) -> Snapshot:
    return Snapshot(
        tenant=task.tenant,
        id=task.stream,
        version=(found.version if found else 0) + len(events),
        created_at=found.created_at if found else at,
        updated_at=at,
        state=state,
    )
