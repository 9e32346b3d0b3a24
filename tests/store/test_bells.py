"""The doorbell rings less often the more there is to tell, and is heard as long as somebody wants to know."""

import asyncio
from collections.abc import Callable

import psycopg
import pytest

from kyc_service.application.worker import Doorbell
from kyc_service.store.bells import LOG, ORDERS, Bells, pause


@pytest.mark.parametrize(("changes", "seconds"), [(1, 0.01), (5, 0.01), (10, 0.02), (25, 0.05), (1000, 0.05)])
def test_the_more_has_changed_the_longer_the_bell_rests(changes: int, seconds: float) -> None:
    assert pause(LOG, changes) == pytest.approx(seconds)


def test_workers_are_not_woken_more_often_than_before() -> None:
    assert pause(ORDERS, 0) == 0.05


async def eventually(holds: Callable[[], bool]) -> None:
    """Until it holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - it is another connection that makes it hold
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("channels", [(LOG,), ()], ids=["the log alone", "everything"])
async def test_the_log_is_heard_while_somebody_wants_to_know_of_it(dsn: str, channels: tuple[str, ...]) -> None:
    orders = Doorbell()
    bells = Bells(dsn, orders)
    listening = asyncio.create_task(bells.listen(*channels))
    try:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as other:

            async def wants() -> str:
                query = "select query from pg_stat_activity where application_name = 'kyc-bell' and datname = %s"
                row = await (await other.execute(query, (other.info.dbname,))).fetchone()
                return "" if row is None else str(row[0])

            for _ in range(2):
                async with asyncio.timeout(10):
                    while f"unlisten {LOG}" not in (heard := await wants()):  # noqa: ASYNC110 - as above
                        await asyncio.sleep(0.01)
                assert not bells.hearing
                assert (f"listen {ORDERS}" in heard) == (not channels)
                with bells.reader() as first:
                    await eventually(lambda: bells.hearing)
                    with bells.reader() as second:
                        for bell in (first, second):
                            await bell.wait(0)  # what rang when it began to listen
                        await other.execute(f"notify {LOG}")
                        async with asyncio.timeout(10):
                            await asyncio.gather(first.wait(60), second.wait(60))
                    assert bells.hearing
                if not channels:
                    await other.execute(f"notify {ORDERS}")
                    async with asyncio.timeout(10):
                        await orders.wait(60)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_a_lost_connection_is_made_again_and_heard(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kyc_service.store.bells.PATIENCE", 0.05)
    bells = Bells(dsn, Doorbell())
    listening = asyncio.create_task(bells.listen(LOG))
    try:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as other:
            with bells.reader() as bell:
                await eventually(lambda: bells.hearing)
                await other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'kyc-bell' and datname = current_database()"
                )
                await eventually(lambda: not bells.hearing)
                await eventually(lambda: bells.hearing)
                await bell.wait(0)
                await other.execute(f"notify {LOG}")
                async with asyncio.timeout(10):
                    await bell.wait(60)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
