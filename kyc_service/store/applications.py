"""The event log and its snapshots in PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from pydantic_core import to_json

from kyc_service.application import codec
from kyc_service.application.keys import DataClass, Owner, StoredKey
from kyc_service.application.ports import (
    Answered,
    AnsweredBefore,
    Cause,
    Change,
    Prepared,
    Recorded,
    Remembered,
    Snapshot,
)
from kyc_service.domain.record import record
from kyc_service.store.appender import Appender
from kyc_service.store.database import Database
from kyc_service.store.gathering import Gathering

SNAPSHOT = "id, version, created_at, updated_at, state, sealed"
LOAD = f"select {SNAPSHOT} from applications where tenant = %s and id = any(%s)"
HISTORY = """
    select version, id, at, type, schema, data, sealed, meta
    from events
    where tenant = %s and stream = %s
    order by version
"""
# Each question is looked up by itself: joined, a plan that was made while the tables were small would read them whole.
PREPARE = """
    select i.fingerprint, i.subject, i.entry, i.response, asked.subject,
           k.id, k.generation, k.kek_version, k.wrapped, k.destroyed_at,
           array(select id from files where tenant = %(tenant)s and id = any(asked.files))
    from rows from (
      jsonb_to_recordset(%(asked)s) as (client text, key text, subject uuid, files uuid[], now timestamptz)
    ) with ordinality as asked (client, key, subject, files, now, place)
    left join lateral (
      select fingerprint, subject, entry, response from idempotency
      where tenant = %(tenant)s and client = asked.client and key = asked.key and expires_at > asked.now
      limit 1
    ) i on true
    left join lateral (
      select id, generation, kek_version, wrapped, destroyed_at from keys
      where tenant = %(tenant)s and subject = asked.subject and class = 'cdd'
      order by generation desc
      limit 1
    ) k on true
    order by asked.place
"""
REMEMBER = """
    insert into idempotency as known (tenant, client, key, fingerprint, subject, entry, response, expires_at)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
    on conflict (tenant, client, key) do update
      set fingerprint = excluded.fingerprint, subject = excluded.subject, entry = excluded.entry,
          response = excluded.response, expires_at = excluded.expires_at
      where known.expires_at < now()
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
    """Keeps the promises of `application.ports.Store`, and answers the lists.

    After each commit *grown* is called with the number of changes, and *kept* with what was committed.
    """

    def __init__(
        self,
        database: Database,
        grown: Callable[[int], None] = lambda _: None,
        kept: Callable[[Sequence[Change]], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._appender = Appender(database, grown, kept)
        self._loading = Gathering(self._loaded)
        self._preparing = Gathering(self._prepared)

    async def load(self, tenant: str, stream: UUID) -> Snapshot | None:
        """The present state, as of the last commit."""
        return await self._loading.answer(tenant, stream)

    async def _loaded(self, tenant: str, streams: Sequence[UUID]) -> Sequence[Snapshot | None]:
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(LOAD, (tenant, list(streams)), prepare=True)
            rows = await cursor.fetchall()
        found = {row[0]: _snapshot(tenant, row) for row in rows}
        return [found.get(stream) for stream in streams]

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
        asked = {"client": client, "key": key, "subject": subject, "files": files, "now": now}
        return await self._preparing.answer(tenant, asked)

    async def _prepared(self, tenant: str, asked: Sequence[Mapping[str, object]]) -> Sequence[Prepared]:
        values = {"tenant": tenant, "asked": Jsonb(asked, dumps=to_json)}
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(PREPARE, values, prepare=True)
            rows = await cursor.fetchall()
        return [_prepared(tenant, row) for row in rows]

    async def remember(self, tenant: str, subject: UUID, answered: Answered) -> None:
        """Keep the answer to a request that changed nothing, unless its key is taken."""
        values = (
            tenant,
            answered.client,
            answered.key,
            answered.fingerprint,
            subject,
            answered.entry,
            answered.response,
            answered.expires_at,
        )
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(REMEMBER, values)
        if cursor.rowcount == 0:
            raise AnsweredBefore

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


def _prepared(tenant: str, row: Sequence[Any]) -> Prepared:
    fingerprint, owner, entry, response, subject, key_id, generation, kek_version, wrapped, destroyed_at, uploaded = row
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
