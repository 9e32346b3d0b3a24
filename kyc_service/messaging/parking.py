"""How many commands lie parked at a broker: counted now and then, and soon after one more was parked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import structlog

from kyc_service.application.ports import StoreUnavailable
from kyc_service.messaging.publisher import BrokerUnavailable

log = structlog.get_logger("kyc.intake")

PATIENCE = 5.0  # seconds for one count
COUNTING = 15.0  # seconds between two counts: an operator takes messages away without telling us
MOMENT = 0.2  # what is parked within it is counted together

Report: TypeAlias = Callable[[str, int], Awaitable[None]]


class Tally:
    """Keeps count of what lies parked at the broker *name*.

    *count* asks the broker within `PATIENCE`, or raises BrokerUnavailable; *report* keeps it where operators look.
    """

    def __init__(self, name: str, count: Callable[[], Awaitable[int]], report: Report) -> None:
        self._name = name
        self._count = count
        self._report = report
        self._parked = asyncio.Event()
        self._over = False

    def parked(self) -> None:
        """One more was parked."""
        self._parked.set()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Count meanwhile. A count that is under way at the end is waited for: clients leave much behind otherwise."""
        keeping = asyncio.create_task(self._keep(), name=f"count what is parked at {self._name}")
        try:
            yield
        finally:
            self._over = True
            self._parked.set()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep(self) -> None:
        """What cannot be counted or kept now is counted the next time."""
        while not self._over:
            self._parked.clear()
            try:
                await self._report(self._name, await self._count())
            except (BrokerUnavailable, StoreUnavailable) as error:
                log.info("parked_not_counted", intake=self._name, error=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(COUNTING):
                    await self._parked.wait()
            if not self._over:
                await asyncio.sleep(MOMENT)
