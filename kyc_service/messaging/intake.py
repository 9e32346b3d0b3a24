"""Commands from a broker: what every intake has in common, whichever bus it listens to.

A message is let go only after its outcome is committed and its answer is on the way, so a process may be killed at any
moment: the broker delivers the message again, and a command that was carried out before is answered and not repeated.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

import structlog
from crowdpay_contracts.commands import REPLIES

from kyc_service.domain.record import record
from kyc_service.messaging.letters import Answer, Carrier, Fate, Letter
from kyc_service.messaging.publisher import BrokerRefused, BrokerUnavailable

log = structlog.get_logger("kyc.intake")

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 15.0
# Where an answer may go. We may write where the sender may not, so nobody chooses the queues of others.
ADDRESS = re.compile(rf"(amq\.rabbitmq\.reply-to\.|amq\.gen-|{re.escape(REPLIES)}(\.|$)).{{0,200}}")
ADDRESS_REFUSED = "reply_address_refused"
ANSWER_REFUSED = "answer_refused"
DELIVERED_TOO_OFTEN = "delivered_too_often"
TOO_SLOW = "too_slow"
KEPT = timedelta(hours=1)  # for how long an answer waits for whoever asked


@record
class Pace:
    """How many commands are under way at a time, and how patient the intake is, in seconds."""

    concurrency: int
    attempts: int = 5  # deliveries after which a command that fails is parked
    pause: float = 1.0  # before the second attempt; doubles
    limit: float = 60.0  # for one attempt
    hold: float = 600.0  # for which a message is held while something that it needs is out of order


class Intake(Protocol):
    """Listens to one broker."""

    async def run(self) -> None:
        """Carry out what comes in until `stop`; then finish what is in hand."""
        ...

    def stop(self) -> None:
        """Take nothing more."""
        ...


class Clerk:
    """Has letters carried out: in time, and again as long as something is out of order that they need."""

    def __init__(self, carry_out: Carrier, pace: Pace, stopping: asyncio.Event) -> None:
        self._carry_out = carry_out
        self._pace = pace
        self._stopping = stopping

    async def answer(self, letter: Letter, waiting: Callable[[], Awaitable[None]] | None = None) -> Answer | None:
        """The answer; None when it has to wait any longer, or when the process ends. Before it waits: *waiting*."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._pace.hold
        pause = FIRST_PAUSE
        while True:
            answer = await self._once(letter)
            if answer.fate is not Fate.UNAVAILABLE:
                return answer
            if self._stopping.is_set() or loop.time() + pause > deadline:
                return None
            if waiting is not None:
                await waiting()
            await self.rest(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _once(self, letter: Letter) -> Answer:
        try:
            async with asyncio.timeout(self._pace.limit):
                return await self._carry_out(letter)
        except TimeoutError:
            return Answer(fate=Fate.FAILED, status=504, media_type="", body=b"", headers={}, reason=TOO_SLOW)

    async def rest(self, seconds: float) -> None:
        """Until *seconds* have passed, or the process ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def pause(self, attempt: int) -> float:
        """How long to wait after the failure of that attempt."""
        longest = self._pace.pause * 2.0 ** (attempt - 1)
        return random.uniform(longest / 2, longest)  # noqa: S311 - spreads the load, guards nothing


def parked(answer: Answer, *, told: bool) -> bool:
    """Whether a message with that answer is kept apart: nobody was told, or somebody has to look at it."""
    return answer.fate in {Fate.UNREADABLE, Fate.FAILED} or (answer.fate is Fate.REFUSED and not told)


async def lasting(name: str, session: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    """One session with the broker after another until the process ends; a lost one begins again by itself."""
    failures = 0
    while not stopping.is_set():
        began = asyncio.get_running_loop().time()
        try:
            await session()
        except (BrokerUnavailable, BrokerRefused) as error:
            log.warning("broker_unavailable", intake=name, why=str(error))
        except Exception as error:  # noqa: BLE001 - the one place that must outlive anything
            log.error("intake_failed", intake=name, error=type(error).__name__)  # noqa: TRY400
        failures = 0 if asyncio.get_running_loop().time() - began > LONGEST_PAUSE else min(failures + 1, 10)
        if failures:
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**failures)
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(longest / 2, longest)):  # noqa: S311
                    await stopping.wait()
