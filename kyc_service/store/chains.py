"""The log, read stream by stream over all tenants, as of one moment: what an audit and a rebuild have in common."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from psycopg import AsyncConnection, IsolationLevel
from psycopg.rows import TupleRow

from kyc_service.store.database import Database

Rows: TypeAlias = Sequence[tuple[Any, ...]]
ROWS_AT_A_TIME = 1000
STREAMS_AT_A_TIME = 200


@asynccontextmanager
async def one_moment(database: Database) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """A connection that sees every tenant, and nothing that is committed meanwhile."""
    async with database.system() as connection:
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        async with connection.transaction():
            yield connection


async def batches(connection: AsyncConnection[TupleRow], statement: str) -> AsyncIterator[Sequence[Rows]]:
    """The rows of *statement*, whose first column is the stream it is ordered by: some whole streams at a time.

    They come from a cursor on the server, because a log may be larger than memory.
    """
    ready: list[Rows] = []
    stream: list[tuple[Any, ...]] = []
    async with connection.cursor(name="log") as cursor:
        cursor.itersize = ROWS_AT_A_TIME
        await cursor.execute(statement)
        async for row in cursor:
            if stream and stream[0][0] != row[0]:
                ready.append(stream)
                stream = []
                if len(ready) == STREAMS_AT_A_TIME:
                    yield ready
                    ready = []
            stream.append(row)
    if stream:
        ready.append(stream)
    if ready:
        yield ready
