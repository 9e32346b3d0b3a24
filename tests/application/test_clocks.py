"""Work is due by the clock of the database: a process whose own is off fires nothing early and holds nothing up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from kyc_service.bootstrap import App, build
from kyc_service.domain.application import Status
from kyc_service.settings import Settings
from kyc_service.vendors.simulated import Magic, magic_file_id

Submit = Callable[..., Awaitable[UUID]]

HOURS = 5
SHORTEST, LONGEST = timedelta(minutes=30), timedelta(hours=1)  # the pause after a failure, whatever the base beyond it
ORDER = "select created_at, due_at from orders where kind = %s and failures = %s and leased_until is null"


@pytest.fixture(params=[-HOURS, HOURS], ids=["hours behind", "hours ahead"])
async def app(request: pytest.FixtureRequest, settings: Settings, clock: Callable[[], datetime]) -> AsyncIterator[App]:
    """A service whose clock is wrong, and that takes its time after a failure."""

    def wrong() -> datetime:
        return clock() + timedelta(hours=request.param)

    async with build(settings.model_copy(update={"retry_base_seconds": 7200}), clock=wrong) as app:
        yield app


def present(dsn: str) -> datetime:
    """The time of the database."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
    assert row
    return datetime.fromisoformat(str(row[0]))


async def worked(app: App, dsn: str, kind: str, failures: int = 0) -> tuple[datetime, datetime]:
    """When the order of this kind was made and is due, once the worker has made it so."""
    work = asyncio.create_task(app.worker.run())
    try:
        async with asyncio.timeout(20):
            while True:
                with psycopg.connect(dsn) as connection:
                    if row := connection.execute(ORDER, (kind, failures)).fetchone():
                        return row[0], row[1]
                await asyncio.sleep(0.01)
    finally:
        app.worker.stop()
        await work


async def test_a_timer_runs_by_the_clock_of_the_database(app: App, submit: Submit, dsn: str) -> None:
    before = present(dsn)
    application = await submit(magic_file_id(Magic.ANSWERS_LATER))
    made, due = await worked(app, dsn, "LapseAnswer")
    assert before < made < present(dsn)
    found = await app.applications.load("sandbox", application)
    assert found
    assert due - made == found.state.terms.answer


async def test_a_retry_waits_by_the_clock_of_the_database(app: App, submit: Submit, dsn: str) -> None:
    await submit(magic_file_id(Magic.FLAKY))
    before = present(dsn)
    _, due = await worked(app, dsn, "RunCheck", failures=1)
    assert before + SHORTEST < due < present(dsn) + LONGEST


async def test_what_is_due_at_once_is_done_at_once(app: App, submit: Submit) -> None:
    application = await submit(magic_file_id(Magic.VERIFIED))
    work = asyncio.create_task(app.worker.run())
    ended = await app.desk.wait("sandbox", application, 20)
    app.worker.stop()
    await work
    assert ended.snapshot.state.status is Status.VERIFIED
