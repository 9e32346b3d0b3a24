"""Wrapped keys in PostgreSQL; what is destroyed leaves a tombstone."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, Error
from psycopg.rows import TupleRow

from kyc_service.application.keys import DataClass, Owner, RootRetired, StoredKey, WrappedTenantKey
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

ROOT_RETIRED = "KY006"
ROTATING = 0x6B79_6372  # the advisory lock of whoever rotates the root key of this database
WRAPPED = "select root, count(*) from tenant_keys where wrapped is not null group by root"
RETIRED = "select version from retired_roots"
UNDER = """
    select tenant, version, root, wrapped from tenant_keys
    where root = any(%s) and wrapped is not null
    order by tenant, version
"""
REPLACE = """
    update tenant_keys set root = %s, wrapped = %s
    where tenant = %s and version = %s and root = %s and wrapped is not null
"""
RETIRE = "insert into retired_roots (version) select unnest(%s::integer[]) on conflict do nothing"


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
        """Store *key*, unless the tenant has its version: whichever is stored then is returned.

        Raises:
            RootRetired: nothing is stored under its root key any more.
        """
        async with self._database.of(key.tenant) as connection:
            try:
                await connection.execute(ADD_VERSION, (key.tenant, key.version, key.root, key.wrapped))
            except Error as error:
                if error.sqlstate == ROOT_RETIRED:
                    raise RootRetired from error
                raise
        return next((known for known in await self.versions(key.tenant) if known.version == key.version), key)


class RotationRunning(Exception):
    """Somebody else rotates the root key of this database at the moment."""


class Roots:
    """Keeps the promises of `application.keys.RootStore`, on a connection that sees every tenant."""

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        self._connection = connection

    async def wrapped(self) -> Mapping[int, int]:
        """How many living tenant keys each root key wraps."""
        cursor = await self._connection.execute(WRAPPED)
        return dict(await cursor.fetchall())

    async def retired(self) -> frozenset[int]:
        """The root keys under which nothing is stored any more."""
        cursor = await self._connection.execute(RETIRED)
        return frozenset(row[0] for row in await cursor.fetchall())

    async def under(self, roots: Collection[int]) -> Sequence[WrappedTenantKey]:
        """The living tenant keys under any of these roots, by tenant and version."""
        cursor = await self._connection.execute(UNDER, (list(roots),))
        return [
            WrappedTenantKey(tenant=tenant, version=version, root=root, wrapped=wrapped)
            for tenant, version, root, wrapped in await cursor.fetchall()
        ]

    async def replace(self, old: WrappedTenantKey, new: WrappedTenantKey) -> None:
        """Store *new* in the place of *old*, unless that has changed meanwhile."""
        await self._connection.execute(REPLACE, (new.root, new.wrapped, old.tenant, old.version, old.root))

    async def retire(self, roots: Collection[int]) -> bool:
        """From now on nothing can be stored under these roots; False, and no change, if anything still is.

        The lock waits for whoever is storing a key, so that the last look sees it.
        """
        async with self._connection.transaction():
            await self._connection.execute("lock table tenant_keys in share row exclusive mode")
            if await self.under(roots):
                return False
            await self._connection.execute(RETIRE, (list(roots),))
        return True


@asynccontextmanager
async def roots(database: Database, *, alone: bool) -> AsyncIterator[Roots]:
    """The tenant keys of every tenant; *alone*: with the right to rotate, which only one process has at a time.

    Raises:
        RotationRunning: another process has it.
    """
    async with database.system() as connection:
        if alone:
            cursor = await connection.execute("select pg_try_advisory_lock(%s)", (ROTATING,))
            if await cursor.fetchone() != (True,):
                raise RotationRunning("Somebody else rotates the root key of this database at the moment.")
        yield Roots(connection)


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
