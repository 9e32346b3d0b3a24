"""The inbox in PostgreSQL: the refusals that commands by message got, so that a repeated one gets the same again."""

from collections.abc import Mapping
from datetime import datetime

from psycopg.types.json import Json

from kyc_service.domain.record import record
from kyc_service.store.database import Database

FIND = """
    select fingerprint, problem
    from inbox
    where tenant = %s and client = %s and key = %s and expires_at > %s
"""
# A command that was carried out meanwhile is not refused any more, and what has expired makes room.
KEEP = """
    with expired as (
      delete from inbox where tenant = %(tenant)s and expires_at <= %(now)s
    )
    insert into inbox (tenant, client, key, fingerprint, problem, expires_at)
    select %(tenant)s, %(client)s, %(key)s, %(fingerprint)s, %(problem)s, %(expires)s
    where not exists (
      select from idempotency
      where tenant = %(tenant)s and client = %(client)s and key = %(key)s and expires_at > %(now)s
    )
    on conflict do nothing
"""


@record
class Sender:
    """Whose command it is, and what it is called: a digest that tells nothing."""

    tenant: str
    client: str
    key: str


@record
class Refusal:
    """The problem that a command got, and how to recognise the command."""

    fingerprint: bytes
    problem: Mapping[str, object]


class Inbox:
    """Remembers refusals; what was carried out is remembered with its outcome, in the same commit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, sender: Sender, now: datetime) -> Refusal | None:
        """The refusal that the command got before."""
        async with self._database.of(sender.tenant) as connection:
            cursor = await connection.execute(FIND, (sender.tenant, sender.client, sender.key, now), prepare=True)
            row = await cursor.fetchone()
        return Refusal(fingerprint=row[0], problem=row[1]) if row else None

    async def keep(self, sender: Sender, refusal: Refusal, now: datetime, expires_at: datetime) -> bool:
        """Remember the refusal; False when the command got another answer a moment ago."""
        values = {
            "tenant": sender.tenant,
            "client": sender.client,
            "key": sender.key,
            "fingerprint": refusal.fingerprint,
            "problem": Json(dict(refusal.problem)),
            "now": now,
            "expires": expires_at,
        }
        async with self._database.of(sender.tenant) as connection:
            cursor = await connection.execute(KEEP, values)
        return cursor.rowcount == 1
