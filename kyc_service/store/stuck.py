"""Work that does not get done by itself, for an operator: over all tenants, apart from the workers' own path."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from kyc_service.domain.record import record
from kyc_service.store.bells import RING
from kyc_service.store.database import Database

# Given up, failing, or due for a minute with nobody taking it.
LIST = """
    select tenant, id, stream, kind, failures, due_at, last_error,
           case when dead_at is not null then 'dead' when failures > 0 then 'failing' else 'overdue' end
    from orders
    where done_at is null
      and (dead_at is not null or failures > 0
           or (due_at < clock_timestamp() - interval '1 minute' and leased_until is null))
    order by due_at, id
    limit %s
"""
# One that a worker holds at the moment is left to it.
RETRY = """
    update orders
    set dead_at = null, due_at = clock_timestamp(), failures = 0, leased_until = null, lease = lease + 1
    where id = %s and done_at is null and (leased_until is null or leased_until < clock_timestamp())
"""


@record
class Stuck:
    """An order that needs somebody's attention: `dead`, `failing` or `overdue`."""

    tenant: str
    id: UUID
    application: UUID
    kind: str
    failures: int
    due_at: datetime
    error: str | None
    state: str

    def shown(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "state": self.state,
            "id": str(self.id),
            "application": str(self.application),
            "tenant": self.tenant,
            "kind": self.kind,
            "failures": self.failures,
            "due_at": self.due_at.isoformat(),
            "error": self.error,
        }


async def stuck(database: Database, limit: int) -> Sequence[Stuck]:
    """The orders that need attention, the longest due first."""
    async with database.system() as connection:
        cursor = await connection.execute(LIST, (limit,))
        rows = await cursor.fetchall()
    return [
        Stuck(
            tenant=tenant,
            id=identity,
            application=stream,
            kind=kind,
            failures=failures,
            due_at=due_at,
            error=error,
            state=state,
        )
        for tenant, identity, stream, kind, failures, due_at, error, state in rows
    ]


async def retry(database: Database, order: UUID) -> bool:
    """Have the order tried at once, with all its retries; False when there is none, or a worker holds it."""
    async with database.system() as connection:
        found = (await connection.execute(RETRY, (order,))).rowcount == 1
        await connection.execute(RING)
    return found
