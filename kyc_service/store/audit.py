"""Proves the log: every hash is computed again, outside the database, from what the database holds.

Whoever can change events, snapshots and hashes together can shorten a chain at its end without a trace in the
database; only a copy of the heads that is kept elsewhere tells that.
"""

import hashlib
import struct
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from kyc_service.domain.record import record
from kyc_service.store.chains import Rows, batches, one_moment
from kyc_service.store.database import Database

# The time as PostgreSQL sends it: microseconds since the year 2000, also where no Python date reaches.
LOG = """
    select stream, version, tenant, id, type, schema, timestamptz_send(at), data::text, sealed, meta::text, hash
    from events
    order by stream, version
"""
SNAPSHOTS = "select id, tenant, version, hash from applications where id = any(%s)"
STRAYS = """
    select id, version from applications a
    where not exists (select from events e where e.stream = a.id)
    order by id
"""
END = "the snapshot is not at the end of its chain"


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
    """Walk every chain from its first event to its head, as they are at one moment."""
    breaks: list[Break] = []
    streams = events = 0
    async with one_moment(database) as connection:
        async for chains in batches(connection, LOG):
            cursor = await connection.execute(SNAPSHOTS, ([chain[0][0] for chain in chains],))
            heads: dict[tuple[UUID, str], Any] = {(row[0], row[1]): row[2:] for row in await cursor.fetchall()}
            for chain in chains:
                breaks += _breaks(chain, heads)
                streams += 1
                events += len(chain)
        cursor = await connection.execute(STRAYS)
        strays = await cursor.fetchall()
    breaks += [Break(stream=stream, version=version, what="the snapshot has no events") for stream, version in strays]
    return Audit(streams=streams, events=events, breaks=tuple(breaks))


def _breaks(chain: Rows, heads: Mapping[tuple[UUID, str], Any]) -> list[Break]:
    found: list[Break] = []
    before, previous = 0, b""
    for row in chain:
        stream, version, *_, held = row
        if version != before + 1:
            found.append(Break(stream=stream, version=version, what=f"it follows version {before}"))
        elif event_hash(previous, row) != held:
            found.append(Break(stream=stream, version=version, what="the event is not what was written"))
        before, previous = version, held
    stream, version, tenant = chain[-1][:3]
    head = heads.get((stream, tenant))
    if head is None:
        found.append(Break(stream=stream, version=version, what="there is no snapshot"))
    elif head != (version, previous):
        found.append(Break(stream=stream, version=version, what=END))
    return found


def event_hash(previous: bytes, row: tuple[Any, ...]) -> bytes:
    """The hash of one event: SHA-256 over the one before it and every column, so framed that nothing is ambiguous."""
    stream, version, tenant, entry, name, schema, at, data, sealed, meta, _ = row
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
                at,
                _framed(data.encode()),
                b"\x00" if sealed is None else b"\x01" + _framed(sealed),
                _framed(meta.encode()),
            )
        )
    ).digest()


def _framed(part: bytes) -> bytes:
    return struct.pack(">i", len(part)) + part
