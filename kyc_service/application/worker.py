"""The worker: leases due orders, carries them out side by side, and survives whatever they do."""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta

import structlog

from kyc_service.application.effects import NO_FILES, Effects, Unfulfillable
from kyc_service.application.ports import (
    Clock,
    FilesUnavailable,
    Housekeeping,
    Leased,
    LeaseLost,
    Orders,
    PersonErased,
    StoreUnavailable,
    VendorBusy,
    VendorUnavailable,
)
from kyc_service.domain.record import record
from kyc_service.saga.verification import Later

log = structlog.get_logger("kyc.worker")

BREATH = 0.05  # seconds between two batches of upkeep
GIVEN_UP_AFTER = 20  # failures of a command for later, which no saga waits for


@record
class Pace:
    """How many orders run at a time; the seconds between renewals of a lease, looks unbidden, and rounds of upkeep."""

    concurrency: int
    heartbeat: float
    idle: float = 1.0
    tidying: float = 600.0


class Doorbell:
    """Tells the worker of this process that there may be work. Ringing costs nothing; sleeping through is harmless."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """There may be work."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Until it rings, or *seconds* have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        self._rung.clear()


class Worker:
    """Runs until it is stopped; then it finishes what it holds."""

    def __init__(
        self,
        orders: Orders,
        effects: Effects,
        bell: Doorbell,
        pace: Pace,
        housekeeping: Housekeeping,
        clock: Clock,
    ) -> None:
        self._orders = orders
        self._housekeeping = housekeeping
        self._clock = clock
        self._effects = effects
        self._bell = bell
        self._pace = pace
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    def stop(self) -> None:
        """Lease nothing more; `run` returns when the orders in hand are done."""
        self._stopping = True
        self._bell.ring()

    async def run(self) -> None:
        """Work until `stop`. An unreachable database is waited for; what is cancelled goes to another worker.

        Nothing that was begun here still runs afterwards.
        """
        tidying = asyncio.create_task(self._tidy(), name="upkeep")
        try:
            while not self._stopping:
                if not await self._take():
                    await self._bell.wait(self._pace.idle)
            if self._running:
                await asyncio.wait(self._running)
        finally:
            begun = (tidying, *self._running)
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)

    async def _tidy(self) -> None:
        """Now and then, batch after batch until nothing is left, while the orders go on."""
        while True:
            await asyncio.sleep(self._pace.tidying * random.uniform(0.5, 1.5))  # noqa: S311 - spreads workers
            removed = 0
            try:
                while batch := await self._housekeeping.tidy(self._clock()):
                    removed += batch
                    await asyncio.sleep(BREATH)
            except StoreUnavailable:
                log.warning("database_unavailable")
            except Exception as error:  # noqa: BLE001 - upkeep can wait, and must not end
                log.error("upkeep_failed", error=type(error).__name__)  # noqa: TRY400 - as in `_attempt`
            if removed:
                log.info("tidied", rows=removed)

    async def _take(self) -> bool:
        """Lease as much as there is room for; whether anything was due."""
        room = self._pace.concurrency - len(self._running)
        if room <= 0:
            return False
        try:
            leased = await self._orders.lease(room)
        except StoreUnavailable:
            log.warning("database_unavailable")
            return False
        for order in leased:
            task = asyncio.create_task(self._carry_out(order))
            self._running.add(task)
            task.add_done_callback(self._done)
        return bool(leased)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._bell.ring()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("order_lost_hold", error=type(error).__name__)

    async def _carry_out(self, order: Leased) -> None:
        work = asyncio.create_task(self._attempt(order))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=self._pace.heartbeat)
                if not work.done() and not await self._still_ours(order):
                    work.cancel()
                    break
        finally:
            if not work.done():
                work.cancel()
            with suppress(asyncio.CancelledError, StoreUnavailable):
                await work

    async def _still_ours(self, order: Leased) -> bool:
        try:
            return await self._orders.extend(order)
        except StoreUnavailable:
            return True  # unknown; the fencing token decides when the outcome is committed

    async def _attempt(self, order: Leased) -> None:
        """The top of the loop: whatever went wrong is recorded with the order, and never ends the worker."""
        try:
            try:
                await self._effects.carry_out(order)
            except VendorBusy as error:
                self._awake_in(await self._effects.stand_back(order, error.cause))
            except VendorUnavailable as error:
                await self._fail(order, error.cause)
            except FilesUnavailable:
                log.warning("files_unavailable", order=str(order.id))
                await self._fail(order, NO_FILES)
        except LeaseLost:
            log.info("lease_lost", order=str(order.id))
        except StoreUnavailable:
            log.warning("database_unavailable", order=str(order.id))
        except (Unfulfillable, PersonErased):
            await self._orders.bury(order, "UNFULFILLABLE")
        except Exception as error:  # noqa: BLE001 - the one place that must outlive anything
            # Only the kind of the error: its text and its traceback may hold personal data.
            log.error("order_failed", order=str(order.id), error=type(error).__name__)  # noqa: TRY400
            with suppress(LeaseLost):
                if isinstance(order.order, Later) and order.failures >= GIVEN_UP_AFTER:
                    await self._orders.bury(order, type(error).__name__)
                else:
                    await self._fail(order, "VENDOR_FAULT")

    async def _fail(self, order: Leased, cause: str) -> None:
        """Record the failure, and be awake when the order is due again."""
        self._awake_in(await self._effects.fail(order, cause))

    def _awake_in(self, pause: timedelta) -> None:
        asyncio.get_running_loop().call_later(pause.total_seconds(), self._bell.ring)
