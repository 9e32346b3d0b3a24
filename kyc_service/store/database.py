"""Connections to PostgreSQL: whose they are, which role they take, and for which tenant they may read."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout
from pydantic_core import from_json

from kyc_service.application.ports import StoreUnavailable
from kyc_service.settings import Settings
from kyc_service.store.embedded import guard, join

Rows: TypeAlias = list[tuple[Any, ...]]

REVISION = "select version_num from alembic_version"


@contextmanager
def dsn(settings: Settings) -> Iterator[str]:
    """The database to talk to: the operator's, or the embedded server for as long as the context is open."""
    if settings.db_dsn is not None:
        yield settings.db_dsn.get_secret_value()
        return
    with join(settings.home) as server, guard(settings.home):
        yield server.dsn


def migrate(target: str, revision: str = "head") -> None:
    """Bring the database to *revision*; several processes may try at once.

    Raises:
        psycopg.Error: it does not answer, or does not let us.
    """
    if revision == "head" and _revision(target) == head():
        return
    _alembic("upgrade", target, revision)


def downgrade(target: str, revision: str) -> None:
    """Take the database back to *revision*."""
    _alembic("downgrade", target, revision)


def _alembic(what: str, target: str, revision: str) -> None:
    # Alembic brings SQLAlchemy along: a third of the time in which a process starts that needs neither.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    config = Config(attributes={"dsn": target})
    config.set_main_option("script_location", str(files("kyc_service.store") / "migrations"))
    try:
        getattr(command, what)(config, revision)
    except DBAPIError as error:
        raise error.orig or error from error  # what went wrong, as everybody else here says it


@cache
def head() -> str:
    """The newest migration that this release has: every module of them is named as its revision, in their order."""
    versions = files("kyc_service.store") / "migrations" / "versions"
    return max(path.name for path in versions.iterdir() if path.name.endswith(".py")).removesuffix(".py")


def _revision(target: str) -> str | None:
    with psycopg.connect(target, autocommit=True) as connection:
        try:
            row = connection.execute(REVISION).fetchone()
        except psycopg.errors.UndefinedTable:
            return None
    return row[0] if row else None


class Connection(AsyncConnection[TupleRow]):
    """A connection that knows which tenant row-level security lets it see."""

    tenant: str | None = None


SET_TENANT = "select set_config('kyc.tenant', %s, false)"


class Database:
    """The pool of one process. Every connection runs as a role that owns nothing and sees one tenant at a time."""

    def __init__(self, target: str, *, size: int) -> None:
        self.target = target
        self._healing: asyncio.Task[None] | None = None
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            target,
            connection_class=Connection,
            min_size=2,
            max_size=size,
            open=False,
            timeout=10,
            configure=_as_app,
            kwargs={"autocommit": True, "application_name": "kyc"},
            check=None,
            reconnect_timeout=60,
        )

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        try:
            await self._pool.open(wait=True, timeout=15)
        except PoolTimeout as error:
            raise StoreUnavailable from error

    async def close(self) -> None:
        """Give every connection back."""
        if self._healing is not None:
            self._healing.cancel()
        await self._pool.close()

    @asynccontextmanager
    async def of(self, tenant: str) -> AsyncIterator[Connection]:
        """A connection that sees only what belongs to *tenant*.

        Raises:
            StoreUnavailable: the database does not answer, or went away meanwhile.
        """
        with self._border():
            async with self._pool.connection() as connection:
                if connection.tenant != tenant:
                    connection.tenant = None
                    await connection.execute(SET_TENANT, (tenant,))
                    connection.tenant = tenant
                yield connection

    @asynccontextmanager
    async def any(self) -> AsyncIterator[Connection]:
        """A connection for what concerns no tenant: leasing, health."""
        with self._border():
            async with self._pool.connection() as connection:
                yield connection

    @asynccontextmanager
    async def system(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """A connection of its own that sees every tenant: for rebuilding, auditing and relaying, never for requests."""
        with self._border():
            connection = await AsyncConnection.connect(self.target, autocommit=True, application_name="kyc-system")
            try:
                set_json_loads(from_json, connection)
                await connection.execute("set role kyc_system")
                yield connection
            finally:  # as a context it would roll back first, and stay open when that is cancelled
                await connection.close()

    @contextmanager
    def _border(self) -> Iterator[None]:
        """Outages of the database in our own words."""
        try:
            yield
        except (psycopg.OperationalError, PoolTimeout) as error:
            self._heal()
            raise StoreUnavailable from error
        except PoolClosed as error:
            raise StoreUnavailable from error

    def _heal(self) -> None:
        """Look after the other connections, too: one that broke is rarely alone, and each would cost a request."""
        if self._healing is None or self._healing.done():
            self._healing = asyncio.create_task(self._checked())

    async def _checked(self) -> None:
        with suppress(PoolClosed, PoolTimeout):
            await self._pool.check()

    async def revision(self) -> str | None:
        """The migration that the database is at; None when it has never been migrated."""
        async with self.any() as connection:
            try:
                cursor = await connection.execute(REVISION)
            except psycopg.errors.UndefinedTable:
                return None
            row = await cursor.fetchone()
        return row[0] if row else None


async def _as_app(connection: Connection) -> None:
    set_json_loads(from_json, connection)  # three times as fast as the standard library's
    await connection.execute(
        "set role kyc_app; set statement_timeout = '15s'; set lock_timeout = '5s';"
        " set idle_in_transaction_session_timeout = '30s'; set timezone = 'UTC'"
    )
