"""The doorbells between processes: a submission in one wakes the workers and the readers of the log in the others.

Ringing never happens inside a write transaction, where it would serialise the commits of the whole database; a
connection of its own rings for all, a limited number of times a second, and does not wait until the ring is on disk. A
lost ring costs whoever sleeps their idle time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import psycopg
from psycopg import AsyncConnection

from kyc_service.application.worker import Doorbell

ORDERS = "kyc_orders"
LOG = "kyc_log"
RING = f"notify {ORDERS}"
UNHURRIED = "set synchronous_commit = off"
PAUSES: Mapping[str, float] = {ORDERS: 0.05, LOG: 0.01}  # seconds between two rings
PATIENCE = 2.0


class Bells:
    """Rings the doorbells of this process at once, and those of the others while `carry` or `listen` runs."""

    def __init__(self, target: str, doorbell: Doorbell) -> None:
        self._target = target
        self._doorbell = doorbell
        self._readers: list[Doorbell] = []
        self._pending = {channel: asyncio.Event() for channel in PAUSES}

    def ring(self) -> None:
        """There may be work, somewhere."""
        self._doorbell.ring()
        self._pending[ORDERS].set()

    def grown(self) -> None:
        """The log has grown."""
        self._wake_readers()
        self._pending[LOG].set()

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

    async def _lasting(self, errand: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Again and again, with a connection of its own; an unreachable database is waited for."""
        while True:
            with suppress(psycopg.OperationalError):
                connection = await AsyncConnection.connect(self._target, autocommit=True, application_name="kyc-bell")
                try:
                    await errand(connection)
                finally:  # as a context it would roll back first, and stay open when that is cancelled
                    await connection.close()
            await asyncio.sleep(PATIENCE)

    async def _carry(self, connection: AsyncConnection) -> None:
        await connection.execute(UNHURRIED)
        ringing = [asyncio.create_task(self._carry_to(channel, connection)) for channel in PAUSES]
        try:
            await asyncio.gather(*ringing)
        finally:
            for one in ringing:
                one.cancel()

    async def _carry_to(self, channel: str, connection: AsyncConnection) -> None:
        pending, pause = self._pending[channel], PAUSES[channel]
        while True:
            await pending.wait()
            pending.clear()
            await connection.execute(f"notify {channel}")
            await asyncio.sleep(pause)

    async def _listen(self, connection: AsyncConnection) -> None:
        await connection.execute(f"listen {ORDERS}; listen {LOG}")
        async for ring in connection.notifies():
            if ring.channel == LOG:
                self._wake_readers()
            else:
                self._doorbell.ring()
