"""What is over is removed when its time has passed; everything else stays."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg

from kyc_service.bootstrap import build
from kyc_service.settings import Settings
from kyc_service.store.database import Database
from kyc_service.store.upkeep import Retention, Upkeep

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONG_AGO, LATELY, LATER = NOW - timedelta(days=31), NOW - timedelta(days=29), NOW + timedelta(hours=1)
ORDER = """
    insert into orders (tenant, id, stream, kind, payload, created_at, due_at, done_at, dead_at)
    values (%s, %s, gen_random_uuid(), 'RunCheck', '{}', %s, %s, %s, %s)
"""
ANSWER = """
    insert into idempotency (tenant, client, key, fingerprint, subject, entry, response, expires_at)
    values (%s, 'client', %s, '', gen_random_uuid(), gen_random_uuid(), '', %s)
"""
REFUSAL = """
    insert into inbox (tenant, client, key, fingerprint, problem, expires_at)
    values (%s, 'client', %s, '', '{}', %s)
"""


def orders(dsn: str, done: datetime | None, dead: datetime | None = None, number: int = 1) -> list[UUID]:
    """Orders of two tenants that ended then."""
    made = [uuid4() for _ in range(number)]
    with psycopg.connect(dsn) as connection:
        for index, order in enumerate(made):
            tenant = ("acme", "globex")[index % 2]
            connection.execute(ORDER, (tenant, order, LONG_AGO, LONG_AGO, done, dead))
    return made


def left(dsn: str) -> set[UUID]:
    with psycopg.connect(dsn) as connection:
        return {row[0] for row in connection.execute("select id from orders").fetchall()}


def answers(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {row[0] for row in connection.execute("select key from idempotency").fetchall()}


async def test_only_what_ended_long_ago_is_removed(dsn: str, database: Database) -> None:
    orders(dsn, done=LONG_AGO, number=4)
    kept = {
        *orders(dsn, done=LATELY),
        *orders(dsn, done=None),
        *orders(dsn, done=None, dead=LONG_AGO),  # an operator has not seen to it yet
    }
    removed: list[int] = []
    upkeep = Upkeep(database, Retention(orders=timedelta(days=30)), removed.append)
    assert await upkeep.tidy(NOW) == 4
    assert left(dsn) == kept
    assert await upkeep.tidy(NOW) == 0
    assert removed == [4, 0]


async def test_only_expired_answers_are_removed(dsn: str, database: Database) -> None:
    with psycopg.connect(dsn) as connection:
        for tenant, key, expires in (("acme", "old", LATELY), ("globex", "older", LONG_AGO), ("acme", "good", LATER)):
            connection.execute(ANSWER, (tenant, key, expires))
    assert await Upkeep(database, Retention(orders=timedelta(days=30))).tidy(NOW) == 2
    assert answers(dsn) == {"good"}


async def test_only_expired_refusals_are_removed(dsn: str, database: Database) -> None:
    with psycopg.connect(dsn) as connection:
        for tenant, key, expires in (("acme", "old", LATELY), ("globex", "older", LONG_AGO), ("acme", "good", LATER)):
            connection.execute(REFUSAL, (tenant, key, expires))
    assert await Upkeep(database, Retention(orders=timedelta(days=30))).tidy(NOW) == 2
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select key from inbox").fetchall() == [("good",)]


async def test_a_batch_is_bounded_and_workers_do_not_get_in_each_others_way(dsn: str, database: Database) -> None:
    orders(dsn, done=LONG_AGO, number=25)
    workers = [Upkeep(database, Retention(orders=timedelta(days=30), batch=10)) for _ in range(2)]
    with psycopg.connect(dsn) as busy:
        busy.execute("select from orders limit 5 for update")
        removed = [await workers[0].tidy(NOW), *await asyncio.gather(*(one.tidy(NOW) for one in workers))]
        assert (removed[0], sum(removed)) == (10, 20)
    assert await workers[0].tidy(NOW) == 5


async def test_a_running_worker_tidies_up_now_and_then(dsn: str, settings: Settings) -> None:
    now = datetime.now(UTC)
    orders(dsn, done=now - timedelta(days=settings.order_retention_days + 1), number=3)
    kept = set(orders(dsn, done=now))
    quick = settings.model_copy(update={"upkeep_seconds": 0.1})
    async with build(quick) as app:
        work = asyncio.create_task(app.worker.run())
        async with asyncio.timeout(20):
            while left(dsn) != kept:  # noqa: ASYNC110 - the database rings nobody
                await asyncio.sleep(0.05)
        app.worker.stop()
        await work
