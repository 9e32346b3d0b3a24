"""Proves the log: every hash is computed again, outside the database, from what the database holds."""

import hashlib
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from kyc_service.domain.record import record
from kyc_service.store.database import Database

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts microseconds from here
READ = """
    select tenant, stream, version, id, type, schema, at, data::text, sealed, meta::text, hash
    from events
    order by stream, version
"""
HEADS = "select id, version, hash from applications order by id"
BATCH = 1000


@record
class Break:
    """Where a chain does not hold, and how."""

    stream: UUID
    version: int
    what: str


@record
class Audit:
    """What was looked at, and what was found."""

    streams: int
    events: int
    breaks: tuple[Break, ...]


async def verify(database: Database) -> Audit:
    """Walk every chain from its first event to its head."""
    breaks: list[Break] = []
    heads: dict[UUID, tuple[int, bytes]] = {}
    count = 0
    async for row in _rows(database, READ):
        tenant, stream, version, entry, name, schema, at, data, sealed, meta, held = row
        count += 1
        before, previous = heads.get(stream, (0, b""))
        if version != before + 1:
            breaks.append(Break(stream=stream, version=version, what=f"follows version {before}"))
        wanted = event_hash(previous, tenant, stream, version, entry, name, schema, at, data, sealed, meta)
        if wanted != held:
            breaks.append(Break(stream=stream, version=version, what="was changed, or something before it was"))
        heads[stream] = (version, held)
    streams = len(heads)
    async for stream, version, held in _rows(database, HEADS):
        end = heads.pop(stream, None)
        if end != (version, held):
            breaks.append(Break(stream=stream, version=version, what="the snapshot is not at the end of its chain"))
    breaks += [Break(stream=stream, version=end[0], what="has no snapshot") for stream, end in heads.items()]
    return Audit(streams=streams, events=count, breaks=tuple(breaks))


def event_hash(
    previous: bytes,
    tenant: str,
    stream: UUID,
    version: int,
    entry: UUID,
    name: str,
    schema: int,
    at: datetime,
    data: str,
    sealed: bytes | None,
    meta: str,
) -> bytes:
    """The hash of one event: SHA-256 over the previous hash and every column, each in a form that is unambiguous."""
    microseconds = (at - EPOCH) // timedelta(microseconds=1)
    return hashlib.sha256(
        b"".join(
            (
                b"kyc/event/v1",
                previous,
                _framed(tenant.encode()),
                stream.bytes,
                struct.pack(">i", version),
                entry.bytes,
                _framed(name.encode()),
                struct.pack(">h", schema),
                struct.pack(">q", microseconds),
                _framed(data.encode()),
                b"\x00" if sealed is None else b"\x01" + _framed(sealed),
                _framed(meta.encode()),
            )
        )
    ).digest()


def _framed(part: bytes) -> bytes:
    return struct.pack(">i", len(part)) + part


async def _rows(database: Database, statement: str) -> AsyncIterator[tuple[Any, ...]]:
    """The rows of *statement* over all tenants, from a cursor on the server: a log may be larger than memory."""
    async with database.system() as connection, connection.transaction(), connection.cursor(name="audit") as cursor:
        cursor.itersize = BATCH
        await cursor.execute(statement)
        async for row in cursor:
            yield row
