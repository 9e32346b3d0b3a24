"""Who waits for the outcome of an application keeps a vigil with all others, which looks after those alone."""

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
from kyc_service.store.vigil import OUTAGE, Bell, Looks, Vigil

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
        self._vigil = Vigil(bell, self._look, "watch for outcomes")

    @contextmanager
    def awaited(self, tenant: str, application: UUID) -> Iterator[Callable[[float], Awaitable[None]]]:
        """Whoever is inside misses nothing: they can wait until it is over, or some seconds have passed."""
        one = (tenant, application)
        self._waiting[one] += 1
        self._vigil.keep()
        try:
            yield partial(self._wait, one)
        finally:
            self._waiting[one] -= 1
            if not self._waiting[one]:
                del self._waiting[one]
                self._over.discard(one)

    def close(self) -> None:
        """Let nobody wait any longer: the process is about to end."""
        self._vigil.close()

    async def stop(self) -> None:
        """Close, and leave nothing running."""
        await self._vigil.stop()

    async def _wait(self, one: tuple[str, UUID], seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._vigil.moved:
                await self._vigil.moved.wait_for(lambda: self._vigil.closed or one in self._over)

    async def _look(self, bell: Doorbell) -> None:
        """Tell those who wait what is over, until nobody waits any more."""
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
                async with self._vigil.moved:
                    self._over |= over
                    self._vigil.moved.notify_all()
