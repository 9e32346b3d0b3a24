"""Who waits for the feed is woken by the doorbell, and looks by itself as long as the doorbell is not heard."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from kyc_service.application.worker import Doorbell
from kyc_service.store.bells import LOG, Bells
from kyc_service.store.database import Database
from kyc_service.store.feed import Feed
from kyc_service.store.vigil import Bell, Looks

sys.path.insert(0, str(Path(__file__).parents[1] / "messaging"))

from bus import Journal, eventually, journal_of

NEVER = 3600.0
ONLY_THE_BELL = Looks(heard=NEVER, unheard=NEVER, news=0.0)
TENANT = "sandbox"
LISTENERS = "from pg_stat_activity where datname = current_database() and query = 'listen kyc_log'"


@asynccontextmanager
async def feed_of(dsn: str, looks: Looks, listener: str | None = None) -> AsyncIterator[tuple[Feed, Bells]]:
    """The feed of another process than the one that writes; it listens as somebody else if *listener* is given."""
    database, bells = Database(dsn, size=4), Bells(listener or dsn, Doorbell())
    await database.open()
    bell = Bell(reader=bells.reader, listen=partial(bells.listen, LOG), hearing=lambda: bells.hearing)
    feed = Feed(database, bell, listeners=10, looks=looks)
    try:
        yield feed, bells
    finally:
        await feed.stop()
        await database.close()


@pytest.fixture
async def writer(dsn: str) -> AsyncIterator[Journal]:
    """Somebody who writes and rings."""
    async with journal_of(dsn) as journal:
        carrying = asyncio.create_task(journal.bells.carry())
        yield journal
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)


@pytest.fixture
def listener(dsn: str) -> Iterator[str]:
    """The database, for somebody who may do nothing but listen."""
    role = f"kyc_listener_{uuid4().hex[:8]}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"create role {role} login password 'listens'")
        yield make_conninfo(dsn, user=role, password="listens")
        connection.execute(f"drop role {role}")


def lock_out(dsn: str, listener: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"alter role {conninfo_to_dict(listener)['user']} nologin")


def let_in(dsn: str, listener: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"alter role {conninfo_to_dict(listener)['user']} login")


async def next_of(feed: Feed, after: int) -> tuple[list[UUID], int]:
    """The next events of the feed, and where they end."""
    async with asyncio.timeout(30):
        while True:
            span = await feed.read(TENANT, after, 100)
            if span.publications:
                return [one.recorded.stream for one in span.publications], span.reached
            after = span.reached
            await feed.grown(TENANT, after, NEVER)


async def heard(bells: Bells) -> None:
    async def holds() -> bool:
        return bells.hearing

    await eventually(holds)


def listeners(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"select count(*) {LISTENERS}").fetchone()
    assert row is not None
    return int(row[0])


def cut(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(f"select pg_terminate_backend(pid) {LISTENERS}").fetchall()
    assert found == [(True,)]


async def test_the_doorbell_alone_brings_an_event(dsn: str, writer: Journal) -> None:
    async with feed_of(dsn, ONLY_THE_BELL) as (feed, bells):
        waiting = asyncio.create_task(next_of(feed, 0))
        await heard(bells)
        stream = await writer.submit()
        assert (await waiting)[0] == [stream]


async def test_many_who_wait_share_one_listener(dsn: str, writer: Journal) -> None:
    async with feed_of(dsn, ONLY_THE_BELL) as (feed, bells):
        waiting = [asyncio.create_task(next_of(feed, 0)) for _ in range(5)]
        await heard(bells)
        assert listeners(dsn) == 1
        stream = await writer.submit()
        assert [found for found, _ in await asyncio.gather(*waiting)] == [[stream]] * 5


async def test_events_come_while_the_listener_is_cut_and_when_it_listens_again(
    dsn: str, writer: Journal, listener: str
) -> None:
    async with feed_of(dsn, Looks(heard=NEVER, unheard=0.01, news=0.0), listener) as (feed, bells):
        waiting = asyncio.create_task(next_of(feed, 0))
        await heard(bells)
        lock_out(dsn, listener)
        cut(dsn)
        during = await writer.submit()
        found, reached = await waiting
        assert (found, bells.hearing) == ([during], False)

        waiting = asyncio.create_task(next_of(feed, reached))
        let_in(dsn, listener)
        await heard(bells)
        after = await writer.submit()
        assert (await waiting)[0] == [after]


async def test_nobody_listens_when_nobody_waits(dsn: str, writer: Journal) -> None:
    async with feed_of(dsn, Looks(heard=0.1, unheard=0.1, news=0.02)) as (feed, bells):
        waiting = asyncio.create_task(next_of(feed, 0))
        await heard(bells)
        await writer.submit()
        await waiting

        async def silent() -> bool:
            return not bells.hearing and listeners(dsn) == 0

        await eventually(silent)
