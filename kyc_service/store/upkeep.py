"""What is over and whose time has passed is removed, a small batch at a time; the log itself is never touched."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import LiteralString

from kyc_service.domain.record import record
from kyc_service.store.database import Database


def _removal(table: LiteralString, over: LiteralString) -> LiteralString:
    """One batch of what was *over* by a time; whatever another worker is just removing is left to it."""
    return f"""
    delete from {table}
    where ctid = any(array(
      select ctid from {table}
      where {over} < %s
      limit %s
      for update skip locked
    ))
"""


ANSWERS = _removal("idempotency", over="expires_at")
REFUSALS = _removal("inbox", over="expires_at")
ORDERS = _removal("orders", over="done_at")
BATCH = 1000  # rows of one statement: some milliseconds, and locks that nobody waits for


@record
class Retention:
    """For how long finished orders are kept. Answers and refusals know when they expire; what was given up stays."""

    orders: timedelta
    batch: int = BATCH


class Upkeep:
    """Keeps the promises of `application.ports.Housekeeping`; *removed* hears of every batch."""

    def __init__(
        self, database: Database, retention: Retention, removed: Callable[[int], None] = lambda _: None
    ) -> None:
        self._removed = removed
        self._database = database
        self._retention = retention

    async def tidy(self, at: datetime) -> int:
        """Remove one batch of each kind; how many rows it was, so that zero means: nothing is left."""
        batch = self._retention.batch
        async with self._database.system() as connection:
            answers = await connection.execute(ANSWERS, (at, batch))
            refusals = await connection.execute(REFUSALS, (at, batch))
            orders = await connection.execute(ORDERS, (at - self._retention.orders, batch))
        rows = answers.rowcount + refusals.rowcount + orders.rowcount
        self._removed(rows)
        return rows
