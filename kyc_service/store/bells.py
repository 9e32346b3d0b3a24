"""The doorbells between processes: a submission in one wakes the workers and the readers of the log in the others.

Ringing never happens inside a write transaction, where it would serialise the commits of the whole database; a
connection of its own rings for all, at most a hundred times a second. A lost ring costs whoever sleeps their idle time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import AsyncConnection

from kyc_service.application.worker import Doorbell

ORDERS = "kyc_orders"
LOG = "kyc_log"
RING = f"notify {ORDERS}"
PAUSE = 0.01
PATIENCE = 2.0


class Bells:
    """Rings the doorbells of this process at once, and those of the others while `carry` or `listen` runs."""

    def __init__(self, target: str, doorbell: Doorbell) -> None:
        self._target = target
        self._doorbell = doorbell
        self._readers: list[Doorbell] = []
        self._pending = asyncio.Event()
        self._channels: set[str] = set()

    def ring(self) -> None:
        """There may be work, somewhere."""
        self._doorbell.ring()
        self._carry_to(ORDERS)

    def grown(self) -> None:
        """The log has grown."""
        self._wake_readers()
        self._carry_to(LOG)

    @contextmanager
    def reader(self) -> Iterator[Doorbell]:
        """A doorbell of one's own that rings when the log has grown."""
        bell = Doorbell()
        self._readers.append(bell)
        try:
            yield bell
        finally:
            self._readers.remove(bell)

    async def carry(self) -> None:
        """Ring for the other processes until cancelled."""
        await self._lasting(self._carry)

    async def listen(self) -> None:
        """Hear the other processes ring until cancelled."""
        await self._lasting(self._listen)

    def _wake_readers(self) -> None:
        for bell in self._readers:
            bell.ring()

    def _carry_to(self, channel: str) -> None:
        self._channels.add(channel)
        self._pending.set()

    async def _lasting(self, errand: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Again and again, with a connection of its own; an unreachable database is waited for."""
        while True:
            with suppress(psycopg.OperationalError):
                async with await AsyncConnection.connect(
                    self._target, autocommit=True, application_name="kyc-bell"
                ) as connection:
                    await errand(connection)
            await asyncio.sleep(PATIENCE)

    async def _carry(self, connection: AsyncConnection) -> None:
        while True:
            await self._pending.wait()
            self._pending.clear()
            channels, self._channels = self._channels, set()
            await connection.execute("; ".join(f"notify {channel}" for channel in sorted(channels)))
            await asyncio.sleep(PAUSE)

    async def _listen(self, connection: AsyncConnection) -> None:
        await connection.execute(f"listen {ORDERS}; listen {LOG}")
        async for ring in connection.notifies():
            if ring.channel == LOG:
                self._wake_readers()
            else:
                self._doorbell.ring()
