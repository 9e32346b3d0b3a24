"""The event log and its snapshots in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import errors
from psycopg.types.json import Jsonb

from kyc_service.application import codec
from kyc_service.application.keys import DataClass, Owner, StoredKey
from kyc_service.application.ports import (
    AnsweredBefore,
    Cause,
    Change,
    KeyExists,
    LeaseLost,
    Prepared,
    Recorded,
    Remembered,
    Snapshot,
    StoreUnavailable,
    VersionConflict,
)
from kyc_service.domain.record import record
from kyc_service.store.database import Database

SNAPSHOT = "id, version, created_at, updated_at, state, sealed"
LOAD = f"select {SNAPSHOT} from applications where tenant = %s and id = %s"
HISTORY = """
    select version, id, at, type, schema, data, sealed, meta
    from events
    where tenant = %s and stream = %s
    order by version
"""
APPEND = """
    select append(
        %(tenant)s, %(stream)s, %(expected)s, %(at)s, %(meta)s,
        %(e_id)s::uuid[], %(e_type)s::text[], %(e_schema)s::smallint[], %(e_data)s::jsonb[], %(e_sealed)s::bytea[],
        %(status)s, %(user)s, %(email)s, %(email_known)s, %(state)s, %(sealed)s,
        %(o_id)s::uuid[], %(o_kind)s::text[], %(o_payload)s::jsonb[], %(o_due)s::timestamptz[],
        %(f_order)s, %(f_lease)s,
        %(k_id)s, %(k_subject)s, %(k_class)s, %(k_generation)s, %(k_version)s, %(k_wrapped)s,
        %(i_client)s, %(i_key)s, %(i_fingerprint)s, %(i_entry)s, %(i_response)s, %(i_expires)s,
        %(files)s::uuid[]
    )
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

# What the append function says in SQLSTATE, in our words.
REFUSALS: Mapping[str, type[Exception]] = {
    "KY001": VersionConflict,
    "KY002": LeaseLost,
    "KY004": AnsweredBefore,
    "KY005": KeyExists,
}


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
    """Keeps the promises of `application.ports.Store`, and answers the lists."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, tenant: str, stream: UUID) -> Snapshot | None:
        """The present state, as of the last commit."""
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(LOAD, (tenant, stream), prepare=True)
            row = await cursor.fetchone()
        return _snapshot(tenant, row) if row else None

    async def append(self, change: Change) -> None:
        """Commit *change* in one statement, which is one transaction."""
        async with self._database.of(change.tenant) as connection:
            try:
                await connection.execute(APPEND, _parameters(change), prepare=True)
            except errors.UniqueViolation as error:
                raise VersionConflict from error
            except errors.Error as error:
                refusal = REFUSALS.get(error.sqlstate or "")
                if refusal is None:
                    raise
                raise refusal from error

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


def _parameters(change: Change) -> dict[str, object]:
    stored = [codec.encode(draft.event) for draft in change.events]
    orders = [codec.encode_order(planned.order) for planned in change.orders]
    key, answered, finished, state = change.key, change.answered, change.finished, change.state
    return {
        "tenant": change.tenant,
        "stream": change.stream,
        "expected": change.expected,
        "at": change.at,
        "meta": Jsonb(_meta(change.cause)),
        "e_id": [draft.id for draft in change.events],
        "e_type": [event.type for event in stored],
        "e_schema": [event.schema for event in stored],
        "e_data": [Jsonb(event.data) for event in stored],
        "e_sealed": [event.sealed for event in stored],
        "status": state.status.value,
        "user": state.user_id,
        "email": change.email_index,
        "email_known": change.email_index is not None,
        "state": Jsonb(codec.encode_state(state)),
        "sealed": state.person.box,
        "o_id": [planned.id for planned in change.orders],
        "o_kind": [kind for kind, _ in orders],
        "o_payload": [Jsonb(payload) for _, payload in orders],
        "o_due": [planned.due_at for planned in change.orders],
        "f_order": finished.id if finished else None,
        "f_lease": finished.lease if finished else None,
        "k_id": key.id if key else None,
        "k_subject": key.owner.subject if key else None,
        "k_class": key.owner.data_class.value if key else None,
        "k_generation": key.generation if key else None,
        "k_version": key.kek_version if key else None,
        "k_wrapped": key.wrapped if key else None,
        "i_client": answered.client if answered else None,
        "i_key": answered.key if answered else None,
        "i_fingerprint": answered.fingerprint if answered else None,
        "i_entry": answered.entry if answered else None,
        "i_response": answered.response if answered else None,
        "i_expires": answered.expires_at if answered else None,
        "files": list(change.claims),
    }


def _meta(cause: Cause) -> dict[str, str]:
    meta = {"actor": cause.actor, "causation": cause.causation, "correlation": cause.correlation}
    return meta if cause.trace is None else {**meta, "trace": cause.trace}
