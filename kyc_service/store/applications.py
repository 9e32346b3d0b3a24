"""The event log and its snapshots in PostgreSQL."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from kyc_service.application import codec
from kyc_service.application.keys import DataClass, Owner, StoredKey
from kyc_service.application.ports import (
    Cause,
    Change,
    Prepared,
    Recorded,
    Remembered,
    Snapshot,
    StoreUnavailable,
)
from kyc_service.domain.record import record
from kyc_service.store.appender import Appender
from kyc_service.store.database import Database

SNAPSHOT = "id, version, created_at, updated_at, state, sealed"
LOAD = f"select {SNAPSHOT} from applications where tenant = %s and id = %s"
HISTORY = """
    select version, id, at, type, schema, data, sealed, meta
    from events
    where tenant = %s and stream = %s
    order by version
"""
PREPARE = """
    select i.fingerprint, i.subject, i.entry, i.response,
           k.id, k.generation, k.kek_version, k.wrapped, k.destroyed_at,
           array(select id from files where tenant = %(tenant)s and id = any(%(files)s::uuid[]))
    from (select 1) as always
    left join idempotency i
      on i.tenant = %(tenant)s and i.client = %(client)s and i.key = %(key)s and i.expires_at > %(now)s
    left join keys k
      on k.tenant = %(tenant)s and k.subject = %(subject)s and k.class = 'cdd'
    order by k.generation desc
    limit 1
"""


@record
class Page:
    """Which applications to list: newest first, strictly after the mark."""

    statuses: tuple[str, ...] = ()
    user_id: UUID | None = None
    email_index: bytes | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 25


class Applications:
    """Keeps the promises of `application.ports.Store`, and answers the lists; *grown* is called after each commit."""

    def __init__(self, database: Database, grown: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._appender = Appender(database, grown)

    async def load(self, tenant: str, stream: UUID) -> Snapshot | None:
        """The present state, as of the last commit."""
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(LOAD, (tenant, stream), prepare=True)
            row = await cursor.fetchone()
        return _snapshot(tenant, row) if row else None

    async def append(self, change: Change) -> None:
        """Commit *change* whole or not at all, perhaps together with others that wait at this moment."""
        await self._appender.append(change)

    async def history(self, tenant: str, stream: UUID) -> Sequence[Recorded]:
        """Every event of the application, in order."""
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(HISTORY, (tenant, stream), prepare=True)
            rows = await cursor.fetchall()
        return [recorded(stream, row) for row in rows]

    async def prepare(
        self, tenant: str, client: str, key: str | None, subject: UUID, files: Sequence[UUID], now: datetime
    ) -> Prepared:
        """Whether the request was answered before, the person's key, and which of the files are here."""
        values = {"tenant": tenant, "client": client, "key": key, "subject": subject, "files": list(files), "now": now}
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(PREPARE, values, prepare=True)
            row = await cursor.fetchone()
        if row is None:
            raise StoreUnavailable
        fingerprint, owner, entry, response, key_id, generation, kek_version, wrapped, destroyed_at, uploaded = row
        return Prepared(
            remembered=Remembered(fingerprint=fingerprint, subject=owner, entry=entry, response=response)
            if entry
            else None,
            key=StoredKey(
                id=key_id,
                owner=Owner(tenant=tenant, subject=subject, data_class=DataClass.CDD),
                generation=generation,
                kek_version=kek_version,
                wrapped=wrapped,
                destroyed_at=destroyed_at,
            )
            if key_id
            else None,
            uploaded=frozenset(uploaded),
        )

    async def page(self, tenant: str, page: Page) -> Sequence[Snapshot]:
        """The applications of the page, newest first."""
        conditions: dict[str, object] = {
            "tenant = %s": tenant,
            "status = any(%s)": list(page.statuses) or None,
            "user_id = %s": page.user_id,
            "email_index = %s": page.email_index,
            "created_at >= %s": page.created_from,
            "created_at < %s": page.created_to,
        }
        given = {condition: value for condition, value in conditions.items() if value is not None}
        values: list[object] = list(given.values())
        where = " and ".join(given)
        if page.after is not None:
            where += " and (created_at, id) < (%s, %s)"
            values += page.after
        statement = f"select {SNAPSHOT} from applications where {where} order by created_at desc, id desc limit %s"
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(statement, [*values, page.limit], prepare=True)
            rows = await cursor.fetchall()
        return [_snapshot(tenant, row) for row in rows]


def recorded(stream: UUID, row: Sequence[Any]) -> Recorded:
    """A row of the log as an event, brought up to date."""
    version, entry, at, name, schema, data, sealed, meta = row
    stored = codec.Stored(type=name, schema=schema, data=data, sealed=sealed)
    return Recorded(
        stream=stream, version=version, id=entry, at=at, cause=Cause(**meta), event=codec.decode(stored, entry)
    )


def _snapshot(tenant: str, row: Sequence[Any]) -> Snapshot:
    identity, version, created_at, updated_at, state, sealed = row
    return Snapshot(
        tenant=tenant,
        id=identity,
        version=version,
        created_at=created_at,
        updated_at=updated_at,
        state=codec.decode_state(state, sealed),
    )
