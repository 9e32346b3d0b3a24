"""Who waits for a decision is woken by the doorbell of the log, and looks slowly for a ring that got lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import psycopg

from kyc_service.application.worker import Doorbell
from kyc_service.bootstrap import App
from kyc_service.domain.application import TERMINAL
from kyc_service.store.bells import LOG, Bells
from kyc_service.store.database import Database
from kyc_service.store.outcomes import Outcomes
from kyc_service.store.vigil import Bell, Looks
from kyc_service.vendors.simulated import Magic, magic_file_id

NEVER = 3600.0
ONLY_THE_BELL = Looks(heard=NEVER, unheard=NEVER, news=0.0)
LISTENERS = "select count(*) from pg_stat_activity where datname = current_database() and query = 'listen kyc_log'"
Submit = Callable[..., Awaitable[UUID]]


@asynccontextmanager
async def elsewhere(dsn: str, looks: Looks, listener: str | None = None) -> AsyncIterator[tuple[Outcomes, Bells]]:
    """Those who wait in another process than the one that decides; they listen at *listener* if it is given."""
    database, bells = Database(dsn, size=4), Bells(listener or dsn, Doorbell())
    await database.open()
    outcomes = Outcomes(
        database,
        Bell(reader=bells.reader, listen=partial(bells.listen, LOG), hearing=lambda: bells.hearing),
        looks=looks,
    )
    try:
        yield outcomes, bells
    finally:
        await outcomes.stop()
        await database.close()


@asynccontextmanager
async def working(app: App, *, ringing: bool = True) -> AsyncIterator[None]:
    """The worker runs, and rings for the other processes."""
    tasks = [asyncio.create_task(app.worker.run())]
    if ringing:
        tasks.append(asyncio.create_task(app.bells.carry()))
    try:
        yield
    finally:
        app.worker.stop()
        await tasks[0]
        tasks[-1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def heard(bells: Bells) -> None:
    async with asyncio.timeout(20):
        while not bells.hearing:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def over(outcomes: Outcomes, app: App, application: UUID) -> bool:
    """Whether the application is over as soon as the waiting is."""
    async with asyncio.timeout(30):
        with outcomes.awaited("sandbox", application) as outcome:
            await outcome(NEVER)
    found = await app.applications.load("sandbox", application)
    assert found
    return found.state.status in TERMINAL


async def test_a_decision_in_another_process_wakes_who_waits_by_the_doorbell_alone(
    app: App, submit: Submit, dsn: str
) -> None:
    applications = [await submit(magic_file_id(magic)) for magic in (Magic.VERIFIED, Magic.EXPIRED)]
    async with elsewhere(dsn, ONLY_THE_BELL) as (outcomes, bells):
        waiting = [asyncio.create_task(over(outcomes, app, application)) for application in applications * 3]
        await heard(bells)
        with psycopg.connect(dsn) as connection:
            assert connection.execute(LISTENERS).fetchone() == (1,)
        async with working(app):
            assert await asyncio.gather(*waiting) == [True] * 6


async def test_a_decision_of_this_process_needs_no_listener(app: App, submit: Submit) -> None:
    async def deaf() -> None:
        await asyncio.Event().wait()

    outcomes = Outcomes(
        app.database, Bell(reader=app.bells.reader, listen=deaf, hearing=lambda: False), looks=ONLY_THE_BELL
    )
    application = await submit(magic_file_id(Magic.VERIFIED))
    waiting = asyncio.create_task(over(outcomes, app, application))
    async with working(app):
        assert await waiting
    await outcomes.stop()


async def test_a_ring_that_gets_lost_is_looked_for(app: App, submit: Submit, dsn: str) -> None:
    async with elsewhere(dsn, Looks(heard=0.05, unheard=NEVER, news=0.0)) as (outcomes, bells):
        application = await submit(magic_file_id(Magic.VERIFIED))
        waiting = asyncio.create_task(over(outcomes, app, application))
        await heard(bells)
        async with working(app, ringing=False):
            assert await waiting


async def test_who_cannot_listen_looks_by_itself(app: App, submit: Submit, dsn: str) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nowhere"
    async with elsewhere(dsn, Looks(heard=NEVER, unheard=0.05, news=0.0), nowhere) as (outcomes, _):
        application = await submit(magic_file_id(Magic.VERIFIED))
        waiting = asyncio.create_task(over(outcomes, app, application))
        async with working(app):
            assert await waiting


async def test_what_is_decided_between_two_looks_is_not_missed(app: App, submit: Submit, dsn: str) -> None:
    async with elsewhere(dsn, ONLY_THE_BELL) as (outcomes, bells):
        application = await submit(magic_file_id(Magic.VERIFIED))
        with outcomes.awaited("sandbox", application) as outcome:
            await heard(bells)
            async with working(app), asyncio.timeout(30):
                await app.desk.wait("sandbox", application, NEVER)
                await outcome(NEVER)


async def test_nobody_listens_when_nobody_waits_and_who_comes_later_is_woken_too(
    app: App, submit: Submit, dsn: str
) -> None:
    async with elsewhere(dsn, Looks(heard=0.05, unheard=0.05, news=0.0)) as (outcomes, bells):
        application = await submit(magic_file_id(Magic.VERIFIED))
        with outcomes.awaited("sandbox", application) as outcome:
            await outcome(0.01)
        async with asyncio.timeout(20):
            while not outcomes._vigil.over or bells.hearing:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        async with working(app):
            assert await over(outcomes, app, application)


async def test_who_waits_is_let_go_when_the_process_ends(app: App, submit: Submit) -> None:
    application = await submit(magic_file_id(Magic.VERIFIED))
    waiting = asyncio.create_task(app.desk.wait("sandbox", application, NEVER))
    async with asyncio.timeout(20):
        while not app.outcomes._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        app.outcomes.close()
        assert (await waiting).snapshot.state.status not in TERMINAL
