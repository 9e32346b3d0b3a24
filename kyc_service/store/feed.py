"""The feed: what one tenant is told of the log, for readers who come and ask, and who may wait for more.

Everything is read up to the horizon and no further, so a reader who goes on from where they were misses nothing,
whatever the writers do. Who waits for more keeps a vigil together with all others.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from kyc_service.application.ports import StoreUnavailable
from kyc_service.application.published import Publication
from kyc_service.application.worker import Doorbell
from kyc_service.domain.record import record
from kyc_service.store.database import Database
from kyc_service.store.tail import Horizon, publications
from kyc_service.store.vigil import OUTAGE, Bell, Looks, Vigil

NEWS = "select tenant, position from feed_news(%s, %s)"
HURRIED = 0.001  # the first moment in which somebody who is writing may be done; doubles


LOOKS = Looks(heard=5.0, unheard=0.1, news=0.02)


@record
class Span:
    """A piece of the feed. Nothing of the tenant is missing up to `reached`; `more`: there is some beyond it by now."""

    publications: Sequence[Publication]
    reached: int
    more: bool


class Feed:
    """Reads for any number of clients, and lets *listeners* of them wait at a time."""

    def __init__(self, database: Database, bell: Bell, *, listeners: int, looks: Looks = LOOKS) -> None:
        self._database = database
        self._bell = bell
        self._looks = looks
        self._limit = listeners
        self._listening = 0
        self._horizon = Horizon()
        self._vigil = Vigil(bell, self._look, "watch the log")
        self._waiting = 0
        self._pause = HURRIED
        self._since = 0  # news are known from here
        self._news: dict[str, int] = {}

    @property
    def closed(self) -> bool:
        """Whether nobody may wait any longer, because the process is about to end."""
        return self._vigil.closed

    async def end(self) -> int:
        """Up to where the log is settled now.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        async with self._database.any() as connection:
            return await self._horizon.settled(connection)

    async def read(self, tenant: str, after: int, limit: int) -> Span:
        """What the tenant is told after position *after*, *limit* events of it at the most.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        end = await self.end()
        if end <= after:
            return Span(publications=(), reached=after, more=False)
        async with self._database.of(tenant) as connection:
            found = await publications(connection, after, end, limit, tenant)
        more = len(found) == limit
        return Span(publications=found, reached=found[-1].facts.position if more else end, more=more)

    async def grown(self, tenant: str, after: int, seconds: float) -> bool:
        """Wait until there may be something for the tenant after *after*; False when there is not after *seconds*."""
        with self._waited(after), suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._vigil.moved:
                await self._vigil.moved.wait_for(lambda: self.closed or self._is_news(tenant, after))
                return True
        return False

    @property
    def full(self) -> bool:
        """Whether nobody more can listen at the moment."""
        return self._listening >= self._limit

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take one of the places of the listeners."""
        self._listening += 1
        try:
            yield
        finally:
            self._listening -= 1

    def close(self) -> None:
        """Let nobody wait any longer: the process is about to end."""
        self._vigil.close()

    async def stop(self) -> None:
        """Close, and leave nothing running."""
        await self._vigil.stop()

    def _is_news(self, tenant: str, after: int) -> bool:
        return after < self._since or self._news.get(tenant, 0) > after

    @contextmanager
    def _waited(self, after: int) -> Iterator[None]:
        """Somebody waits, so somebody watches."""
        if not self._vigil.kept:
            self._since, self._news = after, {}
            self._vigil.keep()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _look(self, bell: Doorbell) -> None:
        """Tell those who wait for whom there is news, until nobody waits any more."""
        seen = self._since
        while self._waiting and not self.closed:
            try:
                end = await self.end()
                if end > seen:
                    await self._tell(seen, end)
                    seen = end
                    await asyncio.sleep(self._looks.news)
                await self._rest(bell)
            except StoreUnavailable:
                await asyncio.sleep(OUTAGE)

    async def _rest(self, bell: Doorbell) -> None:
        """Until there may be more."""
        if self._horizon.waiting:
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, self._looks.unheard)
        else:
            self._pause = HURRIED
            await bell.wait(self._looks.heard if self._bell.hearing() else self._looks.unheard)

    async def _tell(self, seen: int, end: int) -> None:
        async with self._database.any() as connection:
            cursor = await connection.execute(NEWS, (seen, end), prepare=True)
            news: dict[str, int] = dict(await cursor.fetchall())
        if news:
            async with self._vigil.moved:
                self._news |= news
                self._vigil.moved.notify_all()
