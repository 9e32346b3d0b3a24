"""Folds the log again, and holds every snapshot against what comes out of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from kyc_service.application import codec
from kyc_service.domain.application import HistoryBroken, Sealed, State, evolve
from kyc_service.domain.record import record
from kyc_service.store.chains import Rows, batches, one_moment
from kyc_service.store.database import Database

LOG = "select stream, tenant, version, id, at, type, schema, data, sealed, hash from events"
ALL = f"{LOG} order by stream, version"
ONE = f"{LOG} where stream = %s order by version"
COLUMNS = "tenant, version, status, user_id, email_index, created_at, updated_at, state, sealed, hash"
SNAPSHOTS = f"select id, {COLUMNS} from applications where id = any(%s)"
# The append function takes this lock before it writes, so no event can come in while a snapshot is put right.
LOCK = "select from applications where id = %s for update"
STRAYS = """
    select id from applications a
    where not exists (select from events e where e.stream = a.id)
    order by id
"""
WRITE = f"""
    insert into applications (id, {COLUMNS})
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    on conflict (tenant, id) do update
      set version = excluded.version, status = excluded.status, user_id = excluded.user_id,
          email_index = excluded.email_index, created_at = excluded.created_at, updated_at = excluded.updated_at,
          state = excluded.state, sealed = excluded.sealed, hash = excluded.hash
"""

# How an address is found again: tenant, person, stream and sealed particulars give the blind index, None once erased.
Index = Callable[[str, UUID, UUID, Sealed], Awaitable[bytes | None]]


class NotReadable(Exception):
    """The particulars of a person cannot be opened, although they were not erased."""


UNFOLDABLE = (codec.UnknownEvent, HistoryBroken, NotReadable, ValidationError)


@record
class Row:
    """A snapshot as its columns."""

    tenant: str
    version: int
    status: str
    user_id: UUID
    email_index: bytes | None
    created_at: datetime
    updated_at: datetime
    state: Mapping[str, Any]
    sealed: bytes
    hash: bytes


@record
class Difference:
    """A snapshot that is not what its log says; `mended`: it is now."""

    stream: UUID
    what: str
    mended: bool = False


@record
class Rebuilt:
    """How many applications were folded, and which snapshots were not what the log says."""

    applications: int
    events: int
    differing: tuple[Difference, ...]


async def rebuild(database: Database, index: Index, *, write: bool) -> Rebuilt:
    """Fold every stream as of one moment; with *write* put right what differs.

    A snapshot without any event is told and left: there is nothing to make it from, and nobody has said to delete it.
    """
    differing: list[Difference] = []
    applications = events = 0
    async with one_moment(database) as connection:
        async for streams in batches(connection, ALL):
            cursor = await connection.execute(SNAPSHOTS, ([rows[0][0] for rows in streams],))
            held = {(row[0], row[1]): _row(row[1:]) for row in await cursor.fetchall()}
            for rows in streams:
                applications += 1
                events += len(rows)
                stream, tenant = rows[0][:2]
                what = await _compare(rows, held.get((stream, tenant)), index)
                if what:
                    differing.append(Difference(stream=stream, what=what))
        cursor = await connection.execute(STRAYS)
        strays = [Difference(stream=stream, what="has no events") for (stream,) in await cursor.fetchall()]
    if write and differing:
        async with database.system() as connection:
            differing = [await _mend(connection, difference, index) for difference in differing]
    return Rebuilt(applications=applications, events=events, differing=(*differing, *strays))


async def _compare(rows: Rows, held: Row | None, index: Index) -> str | None:
    """How the snapshot differs from what *rows* fold to; None: not at all."""
    try:
        folded = await _folded(rows, index)
    except UNFOLDABLE as error:
        return f"cannot be folded ({type(error).__name__})"
    if held is None:
        return "has no snapshot"
    wrong = [field.name for field in fields(Row) if getattr(held, field.name) != getattr(folded, field.name)]
    return f"differs in {', '.join(wrong)}" if wrong else None


async def _mend(connection: AsyncConnection[TupleRow], difference: Difference, index: Index) -> Difference:
    """Write the snapshot anew from the log as it is now, with the application locked against appends."""
    stream = difference.stream
    async with connection.transaction():
        await connection.execute(LOCK, (stream,))
        cursor = await connection.execute(ONE, (stream,))
        try:
            row = await _folded(await cursor.fetchall(), index)
        except UNFOLDABLE:
            return difference
        await connection.execute(WRITE, (stream, *_columns(row)))
    return Difference(stream=stream, what=difference.what, mended=True)


async def _folded(rows: Rows, index: Index) -> Row:
    """What the snapshot must be."""
    state: State = None
    for _, _, _, entry, _, name, schema, data, sealed, _ in rows:
        stored = codec.Stored(type=name, schema=schema, data=data, sealed=sealed)
        state = evolve(state, codec.decode(stored, entry))
    if state is None:
        raise HistoryBroken
    stream, tenant, *_ = rows[0]
    return Row(
        tenant=tenant,
        version=rows[-1][2],
        status=state.status.value,
        user_id=state.user_id,
        email_index=await index(tenant, state.user_id, stream, state.person),
        created_at=rows[0][4],
        updated_at=rows[-1][4],
        state=codec.encode_state(state),
        sealed=state.person.box,
        hash=rows[-1][9],
    )


def _row(columns: tuple[Any, ...]) -> Row:
    return Row(**dict(zip((field.name for field in fields(Row)), columns, strict=True)))


def _columns(row: Row) -> list[object]:
    values = [getattr(row, field.name) for field in fields(Row)]
    return [Jsonb(value) if isinstance(value, Mapping) else value for value in values]
