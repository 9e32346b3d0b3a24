"""The durable work list in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from kyc_service.application import codec
from kyc_service.application.ports import Leased, LeaseLost
from kyc_service.domain.record import record
from kyc_service.store.database import Database

log = structlog.get_logger("kyc.orders")

LEASE = "select tenant, id, stream, kind, payload, lease, attempts, failures from lease_orders(%s, %s)"
EXTEND = """
    update orders
    set due_at = clock_timestamp() + %s * interval '1 second',
        leased_until = clock_timestamp() + %s * interval '1 second'
    where tenant = %s and id = %s and lease = %s and done_at is null
"""
FINISH = """
    update orders
    set done_at = %s, leased_until = null
    where tenant = %s and id = %s and lease = %s and done_at is null
"""
POSTPONE = """
    update orders
    set due_at = clock_timestamp() + %s * interval '1 second', leased_until = null, last_error = %s,
        failures = failures + %s, lease = lease + 1
    where tenant = %s and id = %s and lease = %s and done_at is null
"""
BURY = """
    update orders
    set dead_at = clock_timestamp(), leased_until = null, last_error = %s
    where tenant = %s and id = %s and lease = %s and done_at is null
"""
BACKLOG = "select open, oldest_due, dead from orders_backlog()"


@record
class Backlog:
    """How much work is due, since when, and how much was given up."""

    open: int
    oldest_due: datetime | None
    dead: int


class Orders:
    """Keeps the promises of `application.ports.Orders`."""

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        self._database = database
        self._seconds = lease_seconds

    async def lease(self, limit: int) -> Sequence[Leased]:
        """Up to *limit* due orders of any tenant, each for this worker alone until its lease ends."""
        async with self._database.any() as connection:
            cursor = await connection.execute(LEASE, (limit, self._seconds), prepare=True)
            rows = await cursor.fetchall()
        return [leased for row in rows if (leased := _leased(row))]

    async def extend(self, order: Leased) -> bool:
        """Keep the lease for another while; False when it is lost."""
        return await self._touch(order, EXTEND, self._seconds, self._seconds)

    async def finish(self, order: Leased, at: datetime) -> None:
        """There was nothing to append: the order is done."""
        if not await self._touch(order, FINISH, at):
            raise LeaseLost

    async def postpone(self, order: Leased, pause: timedelta, error: str, *, failed: bool) -> None:
        """Give the order back for the pause; a stale worker changes nothing."""
        await self._touch(order, POSTPONE, pause.total_seconds(), error, int(failed))

    async def bury(self, order: Leased, error: str) -> None:
        """Give the order up for good; it stays in the table for an operator."""
        await self._touch(order, BURY, error)

    async def backlog(self) -> Backlog:
        """How much is due over all tenants."""
        async with self._database.any() as connection:
            cursor = await connection.execute(BACKLOG, prepare=True)
            row = await cursor.fetchone()
        return Backlog(open=row[0], oldest_due=row[1], dead=row[2]) if row else Backlog(open=0, oldest_due=None, dead=0)

    async def _touch(self, order: Leased, statement: str, *values: object) -> bool:
        async with self._database.of(order.tenant) as connection:
            cursor = await connection.execute(statement, (*values, order.tenant, order.id, order.lease), prepare=True)
            return cursor.rowcount == 1


def _leased(row: Sequence[Any]) -> Leased | None:
    """The order, or None when only another release knows it: that one takes it when this lease has ended."""
    tenant, identity, stream, kind, payload, lease, attempts, failures = row
    try:
        order = codec.decode_order(kind, payload)
    except codec.UnknownOrder:
        log.warning("order_of_another_release", order=str(identity), kind=kind)
        return None
    return Leased(
        tenant=tenant,
        id=identity,
        stream=stream,
        order=order,
        lease=lease,
        attempts=attempts,
        failures=failures,
    )
