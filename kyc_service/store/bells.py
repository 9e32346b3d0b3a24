"""The doorbell between processes: a submission in one wakes the workers of the others.

Ringing never happens inside a write transaction, where it would serialise the commits of the whole database; a
connection of its own rings for all, at most twenty times a second, and does not wait until the ring is on disk. A lost
ring costs the worker's idle second.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psycopg
from psycopg import AsyncConnection

from kyc_service.application.worker import Doorbell

CHANNEL = "kyc_orders"
RING = f"notify {CHANNEL}"
UNHURRIED = "set synchronous_commit = off"
LISTEN = f"listen {CHANNEL}"
PAUSE = 0.05
PATIENCE = 2.0


class Bells:
    """Rings the doorbell of this process at once, and those of the others while `carry` or `listen` runs."""

    def __init__(self, target: str, doorbell: Doorbell) -> None:
        self._target = target
        self._doorbell = doorbell
        self._pending = asyncio.Event()

    def ring(self) -> None:
        """There may be work, somewhere."""
        self._doorbell.ring()
        self._pending.set()

    async def carry(self) -> None:
        """Ring for the other processes until cancelled."""
        await self._lasting(self._carry)

    async def listen(self) -> None:
        """Hear the other processes ring until cancelled."""
        await self._lasting(self._listen)

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
        await connection.execute(UNHURRIED)
        while True:
            await self._pending.wait()
            self._pending.clear()
            await connection.execute(RING)
            await asyncio.sleep(PAUSE)

    async def _listen(self, connection: AsyncConnection) -> None:
        await connection.execute(LISTEN)
        async for _ in connection.notifies():
            self._doorbell.ring()
