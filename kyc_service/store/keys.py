"""Wrapped keys in PostgreSQL; what is destroyed leaves a tombstone."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from kyc_service.application.keys import DataClass, Owner, StoredKey, WrappedTenantKey
from kyc_service.store.database import Database

COLUMNS = "id, subject, class, generation, kek_version, wrapped, destroyed_at"
NEWEST = f"""
    select {COLUMNS} from keys
    where tenant = %s and subject = %s and class = %s
    order by generation desc
    limit 1
"""
SOME = f"select {COLUMNS} from keys where tenant = %s and id = any(%s)"
ADD = """
    insert into keys (tenant, id, subject, class, generation, kek_version, wrapped, created_at)
    values (%s, %s, %s, %s, %s, %s, %s, clock_timestamp())
    on conflict do nothing
"""
SAME = f"select {COLUMNS} from keys where tenant = %s and subject = %s and class = %s and generation = %s"
DESTROY = """
    update keys set wrapped = null, destroyed_at = %s, destroy_reason = %s
    where tenant = %s and subject = %s and class = coalesce(%s, class) and wrapped is not null
    returning id
"""
VERSIONS = """
    select version, root, wrapped from tenant_keys
    where tenant = %s and wrapped is not null
    order by version
"""
ADD_VERSION = """
    insert into tenant_keys (tenant, version, root, wrapped, created_at)
    values (%s, %s, %s, %s, clock_timestamp())
    on conflict do nothing
"""


class Keys:
    """Keeps the promises of `application.keys.KeyStore` and `KeyBatch`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, owner: Owner) -> StoredKey | None:
        """The key of the highest generation, also if it was destroyed."""
        return await self._one(owner.tenant, NEWEST, (owner.tenant, owner.subject, owner.data_class.value))

    async def get(self, tenant: str, key_id: UUID) -> StoredKey | None:
        """The key or its tombstone; none if the tenant never had it."""
        return await self._one(tenant, SOME, (tenant, [key_id]))

    async def some(self, tenant: str, ids: Collection[UUID]) -> Sequence[StoredKey]:
        """The keys or their tombstones, of those *ids* that the tenant ever had."""
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(SOME, (tenant, list(ids)), prepare=True)
            return [_stored(tenant, row) for row in await cursor.fetchall()]

    async def add(self, key: StoredKey) -> StoredKey:
        """Store *key*, unless its owner and generation have one: whichever is stored then is returned."""
        owner = key.owner
        place = (owner.tenant, owner.subject, owner.data_class.value, key.generation)
        async with self._database.of(owner.tenant) as connection:
            values = (owner.tenant, key.id, *place[1:], key.kek_version, key.wrapped)
            added = await connection.execute(ADD, values, prepare=True)
        if added.rowcount:
            return key
        return await self._one(owner.tenant, SAME, place) or key

    async def destroy(
        self, tenant: str, subject: UUID, data_class: DataClass | None, at: datetime, reason: str
    ) -> tuple[UUID, ...]:
        """Drop the wrapped keys of a class, or of all classes, and leave tombstones; the ids of those that lived."""
        values = (at, reason, tenant, subject, data_class.value if data_class else None)
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(DESTROY, values)
            return tuple(row[0] for row in await cursor.fetchall())

    async def _one(self, tenant: str, statement: str, values: tuple[object, ...]) -> StoredKey | None:
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(statement, values, prepare=True)
            row = await cursor.fetchone()
        return _stored(tenant, row) if row else None


class TenantKeys:
    """Keeps the promises of `application.keys.TenantKeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def versions(self, tenant: str) -> tuple[WrappedTenantKey, ...]:
        """All living versions, oldest first."""
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(VERSIONS, (tenant,), prepare=True)
            rows = await cursor.fetchall()
        return tuple(
            WrappedTenantKey(tenant=tenant, version=version, root=root, wrapped=wrapped)
            for version, root, wrapped in rows
        )

    async def add(self, key: WrappedTenantKey) -> WrappedTenantKey:
        """Store *key*, unless the tenant has its version: whichever is stored then is returned."""
        async with self._database.of(key.tenant) as connection:
            await connection.execute(ADD_VERSION, (key.tenant, key.version, key.root, key.wrapped))
        return next((known for known in await self.versions(key.tenant) if known.version == key.version), key)


def _stored(tenant: str, row: Sequence[Any]) -> StoredKey:
    identity, subject, data_class, generation, kek_version, wrapped, destroyed_at = row
    return StoredKey(
        id=identity,
        owner=Owner(tenant=tenant, subject=subject, data_class=DataClass(data_class)),
        generation=generation,
        kek_version=kek_version,
        wrapped=wrapped,
        destroyed_at=destroyed_at,
    )
