"""Appends that wait at the same time share a statement and a commit.

Nobody waits for company: an append that finds the line free flies at once, and what gathers meanwhile flies together.
When one of a flock is refused, the database undoes them all, and each is tried by itself, so that every caller gets
their own outcome.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from psycopg import errors
from psycopg.types.json import Jsonb
from pydantic_core import to_json

from kyc_service.application import codec
from kyc_service.application.ports import (
    AnsweredBefore,
    Cause,
    Change,
    DocumentTaken,
    Drafted,
    KeyExists,
    LeaseLost,
    PlannedOrder,
    VersionConflict,
)
from kyc_service.store.database import Database

APPEND = "select append_all(%s)"

# What the append function says in SQLSTATE, in our words.
REFUSALS: Mapping[str | None, type[Exception]] = {
    "KY001": VersionConflict,
    "KY002": LeaseLost,
    "KY004": AnsweredBefore,
    "KY005": KeyExists,
    "KY007": DocumentTaken,
    errors.UniqueViolation.sqlstate: VersionConflict,
    errors.DeadlockDetected.sqlstate: VersionConflict,
}
FLOCK = 32  # how many fly together at the most
LINES = 1  # how many flocks are in the air at a time; a second one only halves the first

Waiting: TypeAlias = tuple[Change, "asyncio.Future[None]"]


class Appender:
    """Commits changes for any number of callers at once."""

    def __init__(
        self, database: Database, grown: Callable[[int], None], kept: Callable[[Sequence[Change]], None]
    ) -> None:
        self._database = database
        self._grown = grown
        self._kept = kept
        self._waiting: list[Waiting] = []
        self._flights: set[asyncio.Task[None]] = set()
        self._flying = 0  # counted by the flights themselves: a task is done a moment after it looked for more

    async def append(self, change: Change) -> None:
        """Commit *change*, whole or not at all; see `application.ports.Store.append` for what it raises."""
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, outcome))
        if self._flying < LINES:
            self._flying += 1
            flight = asyncio.create_task(self._fly())
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)
        await outcome

    async def _fly(self) -> None:
        try:
            while flock := self._gathered():
                if await self._committed(flock):
                    continue
                for one in flock:
                    await self._committed([one])
        finally:
            self._flying -= 1  # with no await since the last look, so that nobody waits for a flight that has ended

    def _gathered(self) -> Sequence[Waiting]:
        """Those who fly next. Two changes of one application would refuse each other, so the second waits."""
        flock: list[Waiting] = []
        rest: list[Waiting] = []
        streams = set()
        for change, outcome in self._waiting:
            if outcome.done():
                continue  # whoever asked was cancelled before it flew
            if len(flock) < FLOCK and change.stream not in streams:
                streams.add(change.stream)
                flock.append((change, outcome))
            else:
                rest.append((change, outcome))
        self._waiting = rest
        return sorted(flock, key=lambda one: one[0].stream)  # everywhere in the same order, so that nobody deadlocks

    async def _committed(self, flock: Sequence[Waiting]) -> bool:
        """Whether everybody has their outcome; a flock in which somebody was refused has not."""
        try:
            async with self._database.any() as connection:
                flocks = Jsonb(_documents([change for change, _ in flock]), dumps=to_json)
                await connection.execute(APPEND, (flocks,), prepare=True)
        except errors.Error as error:
            refusal = REFUSALS.get(error.sqlstate)
            if len(flock) > 1:
                return False
            _settle(flock, _caused(refusal(), error) if refusal else error)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, and is raised where they do
            _settle(flock, error)
        else:
            self._grown(len(flock))
            _settle(flock, None)
            self._kept([change for change, _ in flock])
        return True


def _caused(refusal: Exception, error: Exception) -> Exception:
    refusal.__cause__ = error
    return refusal


def _settle(flock: Sequence[Waiting], error: Exception | None) -> None:
    for _, outcome in flock:
        if outcome.done():
            continue
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)


def _documents(changes: Sequence[Change]) -> list[dict[str, object]]:
    """The changes in the shape that the append function reads, those of a tenant together."""
    by_tenant: dict[str, list[object]] = {}
    for change in changes:
        by_tenant.setdefault(change.tenant, []).append(_document(change))
    return [{"tenant": tenant, "changes": by_tenant[tenant]} for tenant in sorted(by_tenant)]


def _document(change: Change) -> dict[str, object]:
    key, answered, finished = change.key, change.answered, change.finished
    document: dict[str, object] = {
        "stream": change.stream,
        "expected": change.expected,
        "at": change.at.isoformat(),
        "meta": _meta(change.cause),
        "events": [_event(draft) for draft in change.events],
        "status": change.state.status.value,
        "user": change.state.user_id,
        "email": change.email_index.hex() if change.email_index is not None else None,
        "state": codec.encode_state(change.state),
        "sealed": change.state.person.box.hex(),
        "orders": [_order(planned) for planned in change.orders],
        "files": list(change.claims),
    }
    if finished:
        document["finished"] = {"id": finished.id, "lease": finished.lease}
    if key and key.wrapped is not None:
        document["key"] = {
            "id": key.id,
            "class": key.owner.data_class.value,
            "generation": key.generation,
            "kek_version": key.kek_version,
            "wrapped": key.wrapped.hex(),
        }
    if answered:
        document["answer"] = {
            "client": answered.client,
            "key": answered.key,
            "fingerprint": answered.fingerprint.hex(),
            "entry": answered.entry,
            "response": answered.response.hex(),
            "expires": answered.expires_at.isoformat(),
        }
    return document


def _event(draft: Drafted) -> dict[str, object]:
    stored = codec.encode(draft.event)
    sealed = stored.sealed.hex() if stored.sealed is not None else None
    return {"id": draft.id, "type": stored.type, "schema": stored.schema, "data": stored.data, "sealed": sealed}


def _order(planned: PlannedOrder) -> dict[str, object]:
    kind, payload = codec.encode_order(planned.order)
    return {"id": planned.id, "kind": kind, "payload": payload, "after": planned.after.total_seconds()}


def _meta(cause: Cause) -> dict[str, str]:
    meta = {"actor": cause.actor, "causation": cause.causation, "correlation": cause.correlation}
    return meta if cause.trace is None else {**meta, "trace": cause.trace}
