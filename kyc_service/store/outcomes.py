"""Who waits for the outcome of an application is woken by the doorbell of the log.

One watch for each process looks when it has rung, however many wait: after whom they wait for, and no others. It looks
slowly while the doorbell is silent, because a ring may get lost, and every moment only while it cannot be heard.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from uuid import UUID

from kyc_service.application.ports import StoreUnavailable
from kyc_service.application.worker import Doorbell
from kyc_service.domain.application import TERMINAL
from kyc_service.store.database import Database
from kyc_service.store.feed import OUTAGE, Bell, Looks

OVER = "select id from applications where tenant = %s and id = any(%s) and status = any(%s)"
LOOKS = Looks(heard=1.0, unheard=0.1, news=0.01)


class Outcomes:
    """Keeps the promises of `application.ports.Outcomes`, for any number who wait."""

    def __init__(self, database: Database, bell: Bell, *, looks: Looks = LOOKS) -> None:
        self._database = database
        self._bell = bell
        self._looks = looks
        self._waiting: Counter[tuple[str, UUID]] = Counter()
        self._over: set[tuple[str, UUID]] = set()  # of those who wait
        self._moved = asyncio.Condition()
        self._watched = False
        self._watches: set[asyncio.Task[None]] = set()  # one, and those that are about to end
        self._closed = False

    @contextmanager
    def awaited(self, tenant: str, application: UUID) -> Iterator[Callable[[float], Awaitable[None]]]:
        """Whoever is inside misses nothing: they can wait until it is over, or some seconds have passed."""
        one = (tenant, application)
        self._waiting[one] += 1
        self._watch_over()
        try:
            yield partial(self._wait, one)
        finally:
            self._waiting[one] -= 1
            if not self._waiting[one]:
                del self._waiting[one]
                self._over.discard(one)

    def close(self) -> None:
        """Let nobody wait any longer: the process is about to end."""
        self._closed = True
        for watch in self._watches:
            watch.cancel()

    async def stop(self) -> None:
        """Close, and leave nothing running."""
        self.close()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _wait(self, one: tuple[str, UUID], seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self._closed or one in self._over)

    def _watch_over(self) -> None:
        """Somebody waits, so somebody watches."""
        if not self._watched and not self._closed:
            self._watched = True
            watch = asyncio.create_task(self._watch(), name="watch for outcomes")
            self._watches.add(watch)
            watch.add_done_callback(self._watches.discard)

    async def _watch(self) -> None:
        """Listen, and tell those who wait what is over, until nobody waits any more."""
        listening = asyncio.create_task(self._bell.listen(), name="listen to the bell of the log")
        try:
            with self._bell.reader() as bell:
                await self._look(bell)
        finally:
            self._watched = False  # with no await since the last look at who waits, so that nobody relies on it
            async with self._moved:
                self._moved.notify_all()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _look(self, bell: Doorbell) -> None:
        while self._waiting:
            try:
                await self._tell()
                await asyncio.sleep(self._looks.news)
                await bell.wait(self._looks.heard if self._bell.hearing() else self._looks.unheard)
            except StoreUnavailable:
                await asyncio.sleep(OUTAGE)

    async def _tell(self) -> None:
        by_tenant: dict[str, list[UUID]] = {}
        for tenant, application in self._waiting:
            by_tenant.setdefault(tenant, []).append(application)
        for tenant, applications in by_tenant.items():
            async with self._database.of(tenant) as connection:
                values = (tenant, applications, sorted(TERMINAL))
                rows = await (await connection.execute(OVER, values, prepare=True)).fetchall()
            over = {(tenant, row[0]) for row in rows} & self._waiting.keys() - self._over
            if over:
                async with self._moved:
                    self._over |= over
                    self._moved.notify_all()
