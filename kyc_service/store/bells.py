"""The doorbells between processes: a submission in one wakes the workers and the readers of the log in the others.

Ringing never happens inside a write transaction, where it would serialise the commits of the whole database; a
connection of its own rings for all, a limited number of times a second, and does not wait until the ring is on disk. A
lost ring costs whoever sleeps their idle time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

import psycopg
from psycopg import AsyncConnection

from kyc_service.application.worker import Doorbell

ORDERS = "kyc_orders"
LOG = "kyc_log"
RING = f"notify {ORDERS}"
UNHURRIED = "set synchronous_commit = off"
PAUSES: Mapping[str, float] = {ORDERS: 0.05, LOG: 0.01}  # seconds between two rings, at the least
# Under load a ring for every few changes costs more than it is worth: it is as long as the changes were many,
UNHEARD = 0.002  # seconds for each of them,
LONGEST_PAUSE = 0.05  # and at the most.
PATIENCE = 2.0


class Bells:
    """Rings the doorbells of this process at once, and those of the others while `carry` or `listen` runs."""

    def __init__(self, target: str, doorbell: Doorbell) -> None:
        self._target = target
        self._doorbell = doorbell
        self._readers: list[Doorbell] = []
        self._pending = {channel: asyncio.Event() for channel in PAUSES}
        self._unrung = dict.fromkeys(PAUSES, 0)  # changes since the last ring
        self._ears = 0
        self._listeners: set[asyncio.Event] = set()  # set when the first reader has come or the last has gone

    @property
    def hearing(self) -> bool:
        """Whether it is heard at the moment that others let the log grow; who waits for that has to look otherwise."""
        return self._ears > 0

    def ring(self) -> None:
        """There may be work, somewhere."""
        self._doorbell.ring()
        self._pending[ORDERS].set()

    def grown(self, changes: int = 1) -> None:
        """The log has grown by so many changes."""
        self._wake_readers()
        self._unrung[LOG] += changes
        self._pending[LOG].set()

    @contextmanager
    def reader(self) -> Iterator[Doorbell]:
        """A doorbell of one's own that rings when the log has grown."""
        bell = Doorbell()
        self._readers.append(bell)
        self._tell_listeners(when=1)
        try:
            yield bell
        finally:
            self._readers.remove(bell)
            self._tell_listeners(when=0)

    async def carry(self) -> None:
        """Ring for the other processes until cancelled."""
        await self._lasting(self._carry)

    async def listen(self, *channels: str) -> None:
        """Hear the other processes ring until cancelled: for everything, or on the *channels* given.

        That of the log is heard only while somebody here has a reader's bell.
        """
        await self._lasting(partial(self._listen, channels or tuple(PAUSES)))

    def _tell_listeners(self, when: int) -> None:
        if len(self._readers) == when:
            for turned in self._listeners:
                turned.set()

    def _wake_readers(self) -> None:
        for bell in self._readers:
            bell.ring()

    async def _lasting(self, errand: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Again and again, with a connection of its own; an unreachable database is waited for."""
        while True:
            with suppress(psycopg.OperationalError):
                connection = await AsyncConnection.connect(
                    self._target,
                    autocommit=True,
                    application_name="kyc-bell",
                    keepalives_idle=5,  # who only listens never learns otherwise that the other end is gone
                    keepalives_interval=2,
                    keepalives_count=3,
                )
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
        pending = self._pending[channel]
        while True:
            await pending.wait()
            pending.clear()
            changes, self._unrung[channel] = self._unrung[channel], 0
            await connection.execute(f"notify {channel}")
            await asyncio.sleep(pause(channel, changes))

    async def _listen(self, channels: Sequence[str], connection: AsyncConnection) -> None:
        turned = asyncio.Event()
        self._listeners.add(turned)
        try:
            while True:
                turned.clear()
                wanted = [channel for channel in channels if channel != LOG or self._readers]
                words = (f"{'listen' if channel in wanted else 'unlisten'} {channel}" for channel in channels)
                await connection.execute("; ".join(words))
                with self._hearing_the_log() if LOG in wanted else nullcontext():
                    await self._hear(connection, turned)
        finally:
            self._listeners.discard(turned)

    async def _hear(self, connection: AsyncConnection, turned: asyncio.Event) -> None:
        """Pass on what is heard, until somebody comes who wants to know of the log, or nobody wants to any more."""
        both = [asyncio.create_task(self._pass_on(connection)), asyncio.create_task(turned.wait())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            passed, _ = await asyncio.gather(*both, return_exceptions=True)
        if isinstance(passed, Exception):
            raise passed

    async def _pass_on(self, connection: AsyncConnection) -> None:
        async for ring in connection.notifies():
            if ring.channel == LOG:
                self._wake_readers()
            else:
                self._doorbell.ring()

    @contextmanager
    def _hearing_the_log(self) -> Iterator[None]:
        """Readers look at once, at what was rung while nobody listened; and then as often as they have to."""
        self._ears += 1
        self._wake_readers()
        try:
            yield
        finally:
            self._ears -= 1
            self._wake_readers()


def pause(channel: str, changes: int) -> float:
    """The seconds until *channel* is rung again, after a ring that told of so many changes."""
    return max(PAUSES[channel], min(changes * UNHEARD, LONGEST_PAUSE))
