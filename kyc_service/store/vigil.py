"""Waiting for what other processes write: one task for each process looks on behalf of all who wait.

It is woken by the doorbell of the log, looks slowly while that is silent, because a ring may get lost, and every moment
only while it cannot be heard.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager

from kyc_service.application.worker import Doorbell
from kyc_service.domain.record import record

OUTAGE = 1.0  # seconds between two looks at a database that does not answer


@record
class Looks:
    """Seconds between two looks while somebody waits."""

    heard: float  # while the doorbell is heard: what a ring that got lost may cost
    unheard: float
    news: float  # at the least, when there was something: what comes meanwhile is looked for together


@record
class Bell:
    """The doorbell of the log: a *reader* of one's own, `listen` to hear the other processes, and whether they are."""

    reader: Callable[[], AbstractContextManager[Doorbell]]
    listen: Callable[[], Coroutine[None, None, None]]
    hearing: Callable[[], bool]


class Vigil:
    """Runs *look*, which looks until nobody waits any more, and listens to the other processes meanwhile.

    Who waits does so for `moved`, and is told there as well when the vigil ends, so that nobody relies on it.
    """

    def __init__(self, bell: Bell, look: Callable[[Doorbell], Awaitable[None]], name: str) -> None:
        self._bell = bell
        self._look = look
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()  # one, and those that are about to end
        self.moved = asyncio.Condition()
        self.kept = False
        self.closed = False

    @property
    def over(self) -> bool:
        """Whether nothing of it runs any more."""
        return not self._tasks

    def keep(self) -> None:
        """Somebody waits: begin, unless it is kept already."""
        if self.kept or self.closed:
            return
        self.kept = True
        task = asyncio.create_task(self._run(), name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Let nobody wait any longer: the process is about to end."""
        self.closed = True
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Close, and leave nothing running."""
        self.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        listening = asyncio.create_task(self._bell.listen(), name="listen to the bell of the log")
        try:
            with self._bell.reader() as bell:
                await self._look(bell)
        finally:
            self.kept = False  # with no await since the last look at who waits, so that nobody relies on it
            async with self.moved:
                self.moved.notify_all()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
