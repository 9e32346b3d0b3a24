"""One fetch of a token that is under way, and those who wait for it: threads, and coroutines of any event loop."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from crowdpy_auth.tokens import Token


class Flight:
    """One fetch under way. It lands with a token, or without one when whoever led it failed or gave up.

    It takes no lock: an abandoned flow lands its flight from wherever the garbage collector runs, and that may be in
    the middle of any critical section of the same thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.token: Token | None = None
        self.landed = False
        self._thread = threading.get_ident()
        self._loop = loop
        self._started = time.monotonic()
        self._wakers: deque[Callable[[], object]] = deque()

    def can_land_while_waited_for(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Whether waiting here, as a coroutine of *loop* or as a plain thread, lets the leader go on.

        A thread that waits for a coroutine of its own would wait for ever.
        """
        return self._thread != threading.get_ident() or (loop is not None and loop is self._loop)

    def time_left(self, patience: float) -> float:
        """How long this flight may still take before it counts as stuck; not more than nothing when it is."""
        return self._started + patience - time.monotonic()

    def land(self, token: Token | None = None) -> None:
        """The end of the flight; only the first one counts."""
        if self.landed:
            return
        self.token = token
        self.landed = True
        while self._wakers:
            with suppress(IndexError):  # somebody else woke the last one
                self._wakers.popleft()()

    def wait(self, seconds: float) -> None:
        """Blocks this thread until the flight has landed, or for *seconds*."""
        latch = threading.Lock()  # not an Event: its own lock would not survive being set by the garbage collector
        latch.acquire()
        # First listed, then looked: a flight that lands in between is seen, or wakes.
        self._wakers.append(latch.release)
        if not self.landed:
            latch.acquire(timeout=max(seconds, 0))

    async def wait_async(self, seconds: float) -> None:
        """Suspends this coroutine until the flight has landed, or for *seconds*."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not done.done():
                done.set_result(None)

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
                loop.call_soon_threadsafe(settle)

        self._wakers.append(wake)
        if self.landed:
            return
        timer = loop.call_later(max(seconds, 0), settle)
        try:
            await done
        finally:
            timer.cancel()
