"""Reading the log in one order that never changes: nothing is missed, and nobody who writes is held up.

A position is given out before its event is committed, so a reader who takes what is there and remembers the highest
loses whatever commits late. `Horizon` tells up to where nothing can come any more; ADR 0007 has the proof.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from kyc_service.application import codec
from kyc_service.application.ports import Cause, Recorded
from kyc_service.application.published import CONFIDED, FOUNDING, PUBLISHED, Publication, facts

SETTLE = "select fence, holders from settle_log(%s, %s)"


def _named(kinds: Sequence[type]) -> str:
    return ", ".join(f"'{kind.__name__}'" for kind in kinds)


# The ciphertext stays where it is: nobody who is told needs it.
READ = f"""
    select e.position, e.tenant, e.stream, e.version, e.id, e.at, e.type, e.schema, e.data, e.meta,
           case when e.version > 1 then (
             select jsonb_agg(jsonb_build_array(f.id, f.type, f.schema, f.data) order by f.version)
             from events f
             where f.stream = e.stream and f.version <= e.version and f.type in ({_named(FOUNDING)})
           ) end
    from events e
"""
TOLD = f"{READ} where e.type in ({_named((*PUBLISHED, *CONFIDED))})"
SPAN = f"{TOLD} and e.position > %s and e.position <= %s order by e.position limit %s"
AT = f"{TOLD} and e.position = any(%s)"
# What a feed has is for whoever may read a feed; what is confided to the compliance desk is not in it.
SPAN_OF_TENANT = f"""
    {READ} where e.type in ({_named(PUBLISHED)})
    and e.tenant = %s and e.position > %s and e.position <= %s order by e.position limit %s
"""


class Horizon:
    """Up to where the log is settled: what is not there up to the horizon never will be.

    One object serves any number of readers of a process. An open transaction that has written events holds the horizon
    up until it ends; readers, other tables and other databases do not.
    """

    def __init__(self) -> None:
        self._settled = 0
        self._fence: int | None = None
        self._holders: list[str] = []

    async def settled(self, connection: AsyncConnection[TupleRow]) -> int:
        """The horizon, moved on if it can be. What is read after this call is whole up to it.

        The connection must be in autocommit mode and at the primary: a snapshot from before proves nothing.
        """
        asked = self._fence
        cursor = await connection.execute(SETTLE, (asked, self._holders), prepare=True)
        row = await cursor.fetchone()
        fence, holders = row or (asked, self._holders)
        if not holders:
            self._settled = max(self._settled, fence)
            self._fence, self._holders = None, []
        elif self._fence == asked:  # otherwise somebody else has moved on meanwhile, and knows better
            self._fence, self._holders = fence, holders
        return self._settled

    @property
    def waiting(self) -> bool:
        """Whether somebody was writing when the horizon was last asked for, so that more is about to come."""
        return self._fence is not None


async def publications(
    connection: AsyncConnection[TupleRow], after: int, upto: int, limit: int, tenant: str | None = None
) -> Sequence[Publication]:
    """The events to be told that stand after position *after*, up to the horizon *upto*, *limit* of them at the most.

    Without a *tenant* the connection must be one that sees them all.

    Raises:
        codec.UnknownEvent: the log holds an event of a newer release.
    """
    if tenant is None:
        cursor = await connection.execute(SPAN, (after, upto, limit), prepare=True)
    else:
        cursor = await connection.execute(SPAN_OF_TENANT, (tenant, after, upto, limit), prepare=True)
    return [publication(row) for row in await cursor.fetchall()]


async def publications_at(connection: AsyncConnection[TupleRow], positions: Sequence[int]) -> Sequence[Publication]:
    """The events to be told at *positions*, as far as they are visible, in no particular order."""
    cursor = await connection.execute(AT, (list(positions),), prepare=True)
    return [publication(row) for row in await cursor.fetchall()]


def publication(row: Sequence[Any]) -> Publication:
    """A row of `READ` as an event with its facts."""
    position, tenant, stream, version, entry, at, name, schema, data, meta, founding = row
    event = _decoded(entry, name, schema, data)
    before = [_decoded(UUID(one[0]), *one[1:]) for one in founding] if founding else [event]
    return Publication(
        recorded=Recorded(stream=stream, version=version, id=entry, at=at, cause=Cause(**meta), event=event),
        facts=facts(position, tenant, before),
    )


def _decoded(entry: UUID, name: str, schema: int, data: codec.Json) -> Any:
    """The event; an empty box stands where its ciphertext was left behind."""
    return codec.decode(codec.Stored(type=name, schema=schema, data=data, sealed=b""), entry)
