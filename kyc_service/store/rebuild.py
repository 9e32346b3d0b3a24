"""Folds the log again, and holds every snapshot against what comes out of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from kyc_service.application import codec
from kyc_service.domain.application import Sealed, State, evolve
from kyc_service.domain.record import record
from kyc_service.store.applications import recorded
from kyc_service.store.database import Database

READ = """
    select e.tenant, e.stream, e.version, e.id, e.at, e.type, e.schema, e.data, e.sealed, e.meta, e.hash
    from events e
    order by e.stream, e.version
"""
SNAPSHOT = """
    select version, status, user_id, email_index, created_at, updated_at, state, sealed, hash
    from applications
    where tenant = %s and id = %s
"""
WRITE = """
    insert into applications
      (tenant, id, version, status, user_id, email_index, created_at, updated_at, state, sealed, hash)
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    on conflict (tenant, id) do update
      set version = excluded.version, status = excluded.status, user_id = excluded.user_id,
          email_index = excluded.email_index, created_at = excluded.created_at, updated_at = excluded.updated_at,
          state = excluded.state, sealed = excluded.sealed, hash = excluded.hash
      where applications.version <= excluded.version
"""
STRAY = "select id from applications a where not exists (select from events e where e.stream = a.id)"
BATCH = 500

# How a person's address is found again: their tenant, id, stream and sealed particulars give the blind index.
Index = Callable[[str, UUID, UUID, Sealed], Awaitable[bytes | None]]


@record
class Row:
    """A snapshot as its columns."""

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
class Rebuilt:
    """How many applications were folded, and which snapshots were not what the log says."""

    applications: int
    events: int
    differing: tuple[UUID, ...]


async def rebuild(database: Database, index: Index, *, write: bool) -> Rebuilt:
    """Fold every stream; with *write* put what differs right. Snapshots that are newer than the fold stay."""
    differing: list[UUID] = []
    applications = events = 0
    async with database.system() as connection:
        async for tenant, stream, row, count in _folded(database, index):
            applications += 1
            events += count
            cursor = await connection.execute(SNAPSHOT, (tenant, stream), prepare=True)
            held = await cursor.fetchone()
            if held is not None and (held[0] > row.version or _row(held) == row):
                continue
            differing.append(stream)
            if write:
                await _write(connection, tenant, stream, row)
        cursor = await connection.execute(STRAY)
        differing += [stray for (stray,) in await cursor.fetchall()]
    return Rebuilt(applications=applications, events=events, differing=tuple(differing))


def _row(columns: Sequence[Any]) -> Row:
    version, status, user_id, email_index, created_at, updated_at, state, sealed, head = columns
    return Row(
        version=version,
        status=status,
        user_id=user_id,
        email_index=email_index,
        created_at=created_at,
        updated_at=updated_at,
        state=state,
        sealed=sealed,
        hash=head,
    )


async def _write(connection: AsyncConnection[TupleRow], tenant: str, stream: UUID, row: Row) -> None:
    values = (row.version, row.status, row.user_id, row.email_index, row.created_at, row.updated_at)
    await connection.execute(WRITE, (tenant, stream, *values, Jsonb(row.state), row.sealed, row.hash))


async def _folded(database: Database, index: Index) -> AsyncIterator[tuple[str, UUID, Row, int]]:
    """Every stream of the log, folded to the row that its snapshot must be."""
    state: State = None
    rows: list[tuple[Any, ...]] = []
    async for row in _log(database):
        if rows and rows[-1][1] != row[1]:
            yield await _finished(rows, state, index)
            rows, state = [], None
        state = evolve(state, recorded(row[1], row[2:10]).event)
        rows = [rows[0], row] if rows else [row]
    if rows:
        yield await _finished(rows, state, index)


async def _finished(rows: list[tuple[Any, ...]], state: State, index: Index) -> tuple[str, UUID, Row, int]:
    first, last = rows[0], rows[-1]
    tenant, stream = last[0], last[1]
    if state is None:
        raise AssertionError("a stream has at least one event")  # _log groups by stream
    row = Row(
        version=last[2],
        status=state.status.value,
        user_id=state.user_id,
        email_index=await index(tenant, state.user_id, stream, state.person),
        created_at=first[4],
        updated_at=last[4],
        state=codec.encode_state(state),
        sealed=state.person.box,
        hash=last[10],
    )
    return tenant, stream, row, last[2]


async def _log(database: Database) -> AsyncIterator[tuple[Any, ...]]:
    async with (
        database.system() as connection,
        connection.transaction(),
        connection.cursor(name="rebuild") as cursor,
    ):
        cursor.itersize = BATCH
        await cursor.execute(READ)
        async for row in cursor:
            yield row
