"""The relay: what the log says is told to a broker, in order, at least once, whatever is killed or cut meanwhile.

There is one relay for each broker, with a position of its own: a broker that is down, blocks or refuses holds up nobody
else, and the service itself never waits for any of them.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Generic, Protocol, TypeVar

import structlog

from kyc_service.application.ports import StoreUnavailable
from kyc_service.application.published import Publication
from kyc_service.messaging.publisher import BrokerRefused, BrokerUnavailable, Message, Publisher
from kyc_service.messaging.translation import confide, translate

log = structlog.get_logger("kyc.relay")

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 15.0
LARGEST = 512  # messages of one batch
COUNTING = 5.0  # seconds between two counts of what nobody has asked for, at the least


class Batch(Protocol):
    """What is to be told next."""

    @property
    def publications(self) -> Sequence[Publication]: ...


BatchT = TypeVar("BatchT", bound=Batch)


class Following(Protocol[BatchT]):
    """The log from where the broker was told, for this process alone."""

    async def next(self) -> BatchT:
        """What comes next; waits until there is something."""
        ...

    async def done(self, batch: BatchT) -> None:
        """The broker has *batch* for good: it need not be told again."""
        ...

    async def unrouted(self, count: int) -> None:
        """The broker keeps so many messages that nobody has asked for."""
        ...


class Counting:
    """When to look again how many messages the broker keeps that nobody has asked for."""

    def __init__(self) -> None:
        self.stale = True
        self._due = time.monotonic()

    @property
    def pause(self) -> float | None:
        """The seconds until then; None: there is no need to before the next message."""
        return max(0.0, self._due - time.monotonic()) if self.stale else None

    def note(self, found: int) -> None:
        """What there is goes only when somebody takes it away, which nothing else tells."""
        self.stale = found > 0
        self._due = time.monotonic() + COUNTING


class Relay(Generic[BatchT]):
    """Tells one broker."""

    def __init__(
        self,
        name: str,
        source: str,
        follow: Callable[[int], AbstractAsyncContextManager[Following[BatchT]]],
        opened: Callable[[], AbstractAsyncContextManager[Publisher]],
    ) -> None:
        self.name = name
        self._source = source
        self._follow = follow
        self._opened = opened
        self._failures = 0

    async def run(self) -> None:
        """Relay until cancelled. After a failure it lets others try, and begins again at the saved position."""
        while True:
            try:
                await self._relay()
            except (BrokerUnavailable, BrokerRefused) as error:
                log.warning("broker_unavailable", broker=self.name, why=str(error))
            except StoreUnavailable:
                log.warning("database_unavailable", broker=self.name)
            except Exception as error:  # noqa: BLE001 - the one place that must outlive anything
                # An event that cannot be told holds its broker up until a release can: nothing is ever skipped.
                log.error("relay_failed", broker=self.name, error=type(error).__name__)  # noqa: TRY400
            _heed_cancellation()
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Longer after each failure in a row, and never the same for two."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**self._failures)
        self._failures = min(self._failures + 1, 10)
        return random.uniform(longest / 2, longest)  # noqa: S311 - spreads the load, guards nothing

    async def _relay(self) -> None:
        limit = max(1, LARGEST >> 2 * self._failures)  # a queue that is nearly full has room for a few
        async with self._follow(limit) as following, self._opened() as publisher:
            log.info("relaying", broker=self.name)
            count = Counting()
            lost = asyncio.create_task(publisher.lost(), name=f"watch {self.name}")
            ahead = asyncio.create_task(self._fetch(following), name=f"fetch for {self.name}")
            try:
                while True:
                    await asyncio.wait({ahead, lost}, timeout=count.pause, return_when=asyncio.FIRST_COMPLETED)
                    if lost.done():
                        raise BrokerUnavailable("The connection to the broker has ended.")
                    if ahead.done():
                        batch, messages = ahead.result()
                        ahead = asyncio.create_task(self._fetch(following), name=f"fetch for {self.name}")
                        await publisher.publish(messages)
                        await following.done(batch)
                        self._failures, count.stale = 0, True
                    if count.pause == 0:
                        count.note(unrouted := await publisher.unrouted())
                        await following.unrouted(unrouted)
                    _heed_cancellation()
            finally:
                for task in (lost, ahead):
                    task.cancel()
                    with suppress(asyncio.CancelledError, Exception):
                        await task

    async def _fetch(self, following: Following[BatchT]) -> tuple[BatchT, Sequence[Message]]:
        """The next batch as messages, made while the one before is on its way."""
        batch = await following.next()
        told = [
            tell(one.recorded, one.facts, self._source) for one in batch.publications for tell in (translate, confide)
        ]
        return batch, [message for message in told if message is not None]


def _heed_cancellation() -> None:
    """Before Python 3.12 `wait_for`, which clients of brokers use, loses one that comes together with its result."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
