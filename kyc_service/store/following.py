"""Following the log on behalf of one receiver: from where it was told, in order, by one process at a time.

Who holds the advisory lock of the receiver follows for it; the server frees the lock when that process dies. The
position in `checkpoints` is a lower bound of what the receiver has: it is saved now and then, so after a kill something
may be told twice, and nothing is left out.

Through wal2json the log comes in the order of the commits instead of the order of the positions, a little sooner. An
application's own events have the same order in both. The table stays the truth: at every beginning, and whenever the
slot fails, the table is read up to its present end first, so a lost slot loses nothing. ADR 0008 tells why.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from kyc_service.application.published import Publication
from kyc_service.application.worker import Doorbell
from kyc_service.domain.record import record
from kyc_service.settings import RelayMode
from kyc_service.store.database import Database
from kyc_service.store.tail import Horizon, publications, publications_at
from kyc_service.store.wal import RENEWED, SlotBusy, SlotUnusable, Stream, StreamEnded

log = structlog.get_logger("kyc.following")

LOCK = "select pg_try_advisory_lock(hashtextextended('kyc relay ' || %s, 0))"
BEGIN = "insert into checkpoints (name, position) values (%s, 0) on conflict do nothing"
POSITION = "select position from checkpoints where name = %s"
SAVE = "update checkpoints set position = %s, updated_at = clock_timestamp() where name = %s and position < %s"
END = "select coalesce(max(position), 0) from events"
WRITTEN = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
PLACE = """
    select current_schema() || '.events', (select oid from pg_database where datname = current_database()),
           (select setting from pg_settings where name = 'wal_level') = 'logical'
             and (select setting from pg_settings where name = 'max_slot_wal_keep_size') <> '-1'
"""
BACKLOGS = """
    select b.name, b.behind, b.oldest, b.unrouted, coalesce(p.waiting, 0), p.since
    from backlogs(%s) b left join parked p on p.broker = b.name
"""
UNROUTED = "update checkpoints set unrouted = %s where name = %s and unrouted <> %s"
# A checkpoint that a crash of the server takes back costs a repetition; waiting for the disk would cost every batch.
PREPARE = "set synchronous_commit = off; set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 2"

LIMIT = 512  # events of one batch
STANDBY = 0.5  # seconds between two tries to become the one who follows
IDLE = 0.5  # a lost ring of the doorbell costs so much
SAVING = 0.2  # seconds between two saved positions
SLOT_AGAIN = 15.0  # seconds between two tries to use the slot
BUSY_AGAIN = 0.5
VISIBLE = 0.001  # a commit is in the WAL a moment before it is visible
PATIENT = 0.008  # the longest moment between two looks at writers who are not done
# For each event of the last batch beyond its first: so the batches grow when more than one comes in this time,
GATHERING = 0.002
LONGEST_GATHERING = 0.1  # up to so much, and shrink again when fewer do


@record
class Batch:
    """What is to be told next. `position` is how far it reaches when it was read from the table, `lsn` otherwise."""

    publications: Sequence[Publication]
    position: int | None = None
    lsn: int | None = None


@record
class Backlog:
    """How much a receiver has not been told yet (ten thousand means at least so many), and since when.

    `unrouted`: how many events its broker keeps that nobody there has asked for. `parked`: how many commands lie parked
    there, and since when there have always been some.
    """

    behind: int
    oldest: datetime | None
    unrouted: int
    parked: int
    parked_since: datetime | None


@record
class Log:
    """The log of a database, for those who follow it. `slot_again`: seconds between two tries to use a slot."""

    database: Database
    target: str
    mode: RelayMode
    bell: Callable[[], AbstractContextManager[Doorbell]]
    slot_again: float = SLOT_AGAIN

    @asynccontextmanager
    async def follow(self, name: str, limit: int = LIMIT) -> AsyncIterator["Following"]:
        """Wait until nobody else follows for the receiver *name*, and then do, in batches of *limit* at first.

        A receiver that takes no large batch takes a small one perhaps; the batches grow with each that has arrived.

        Raises:
            StoreUnavailable: the database does not answer, or went away meanwhile.
        """
        async with self.database.system() as connection:
            await connection.execute(PREPARE)
            while not (await _row(connection, LOCK, name))[0]:  # noqa: ASYNC110 - the lock has no event to wait for
                await asyncio.sleep(STANDBY)
            await connection.execute(BEGIN, (name,))
            (position,) = await _row(connection, POSITION, name)
            following = Following(self, connection, name, position, limit)
            try:
                yield following
            finally:
                await following.close()

    async def backlogs(self, names: Sequence[str]) -> dict[str, Backlog]:
        """How much each of the receivers has not been told yet."""
        async with self.database.any() as connection:
            cursor = await connection.execute(BACKLOGS, (list(names),), prepare=True)
            rows = await cursor.fetchall()
        return {
            name: Backlog(behind=behind, oldest=oldest, unrouted=unrouted, parked=parked, parked_since=since)
            for name, behind, oldest, unrouted, parked, since in rows
        }


def gathering(number: int, limit: int) -> float:
    """For how many seconds events gather after *number* of at most *limit*: one costs nearly as much as fifty."""
    return 0.0 if number >= limit else min((number - 1) * GATHERING, LONGEST_GATHERING)


class Following:
    """The one who follows for a receiver. One batch may be under way while the next is fetched."""

    def __init__(self, log_: Log, connection: AsyncConnection[TupleRow], name: str, position: int, limit: int) -> None:
        self._log = log_
        self._connection = connection
        self._ears = ExitStack()
        self._bell = self._ears.enter_context(log_.bell())
        self._name = name
        self._limit = limit
        self._horizon = Horizon()
        self._gathered_at = 0.0  # the next batch is not looked for before
        self._pause = VISIBLE
        self._read = position  # of the table: everything up to here was handed out
        self._told = position  # everything up to here has arrived
        self._saved = position
        self._saved_at = 0.0
        self._under_way = 0
        self._unrouted: int | None = None
        self._stream: Stream | None = None
        self._opening: asyncio.Task[Stream] | None = None
        self._streaming = False
        self._writers = Horizon()  # those who were writing when the stream began
        self._caught_up_at: int | None = None  # the table must be read up to here before the stream is
        self._slot_again = 0.0
        self._sentence = ""
        self._passed = 0  # nothing to tell up to this place of the WAL, once what is under way has arrived
        self._mark: tuple[int, int] | None = (
            None  # once the WAL is followed up to the second, the table is to the first
        )
        self._marked_at = 0.0

    @property
    def mode(self) -> RelayMode:
        """How the log is followed at the moment."""
        return RelayMode.WAL2JSON if self._streaming else RelayMode.TAIL

    async def next(self) -> Batch:
        """What comes next; waits until there is something.

        Raises:
            StoreUnavailable: the database went away.
        """
        await asyncio.sleep(max(0.0, self._gathered_at - time.monotonic()))
        while True:
            if self._stream is None and self._log.mode is not RelayMode.TAIL:
                await self._see_to_the_stream()
            if self._streaming and self._stream:
                try:
                    batch = await self._from_stream(self._stream)
                except StreamEnded as error:
                    await self._lose_stream(str(error))
                    continue
            else:
                batch = await self._from_table()
                if not batch.publications and await self._reaches_the_stream():
                    self._streaming = True
                    self._ears.close()  # the stream is heard by itself
                    log.info("following", receiver=self._name, mode=self.mode.value)
            if batch.publications:
                self._under_way += 1
                gathering_ends = time.monotonic() + gathering(len(batch.publications), self._limit)
                self._gathered_at, self._pause = gathering_ends, VISIBLE
                return batch

    async def done(self, batch: Batch) -> None:
        """The receiver has *batch* for good."""
        self._under_way -= 1
        self._limit = min(self._limit * 2, LIMIT)
        if batch.position is not None:
            self._told = max(self._told, batch.position)
        if batch.lsn is not None:
            self._acknowledge(batch.lsn if self._under_way else max(batch.lsn, self._passed))
        await self._save()

    async def unrouted(self, count: int) -> None:
        """The receiver keeps so many events that nobody has asked for."""
        if count == self._unrouted:
            return
        if count:
            log.warning("unrouted", receiver=self._name, waiting=count)
        await self._connection.execute(UNROUTED, (count, self._name, count), prepare=True)
        self._unrouted = count

    async def close(self) -> None:
        """Save the position, as far as the database still answers."""
        self._ears.close()
        if self._opening:
            self._opening.cancel()
            with suppress(asyncio.CancelledError, SlotUnusable):
                self._stream = await self._opening
        if self._stream:
            await self._stream.close()
            self._stream = None
        with suppress(psycopg.Error):
            await self._save(at_once=True)

    # ── the table ─────────────────────────────────────────────────────────────────

    async def _from_table(self) -> Batch:
        """The next events of the table; an empty batch after a while in which there were none."""
        settled = await self._horizon.settled(self._connection)
        if settled > self._read:
            found = await publications(self._connection, self._read, settled, limit := self._limit)
            self._read = found[-1].facts.position if len(found) == limit else settled
            if found:
                return Batch(publications=found, position=self._read)
        if not self._under_way:
            self._told = max(self._told, self._read)
        if await self._reaches_the_stream():
            return Batch(publications=())
        if self._horizon.waiting or self._writers.waiting:
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, PATIENT)
        else:
            await self._save()
            await self._bell.wait(IDLE if self._told == self._saved else SAVING)
        return Batch(publications=())

    # ── the slot ──────────────────────────────────────────────────────────────────

    async def _see_to_the_stream(self) -> None:
        """Take the slot as soon as it can be had, while the table is read on. That may take as long as others write."""
        if self._opening is None:
            if time.monotonic() >= self._slot_again:
                await self._open_stream()
            return
        if not self._opening.done():
            return
        opening, self._opening = self._opening, None
        try:
            self._stream = opening.result()
        except SlotBusy:
            self._slot_again = time.monotonic() + BUSY_AGAIN
        except SlotUnusable as error:
            self._explain(f"the log is followed through its table: {error}")
        else:
            if self._stream.renewed:
                log.warning("slot", receiver=self._name, why=RENEWED)
            self._writers, self._caught_up_at = Horizon(), None
            self._sentence = ""

    async def _reaches_the_stream(self) -> bool:
        """Whether everything that was committed before the stream begins has been read from the table.

        A commit may be in the WAL already and not be visible yet, for as long as it waits for a replica. It keeps its
        lock meanwhile: only when everybody has ended who was writing as the stream began does the table show it all.
        """
        if self._stream is None:
            return False
        if self._caught_up_at is None:
            await self._writers.settled(self._connection)
            if self._writers.waiting:
                return False
            (self._caught_up_at,) = await _row(self._connection, END)
        return self._read >= self._caught_up_at

    async def _open_stream(self) -> None:
        self._slot_again = time.monotonic() + self._log.slot_again
        table, database, bounded = await _row(self._connection, PLACE)
        if self._log.mode is RelayMode.AUTO and not bounded:
            self._explain(
                "the log is followed through its table: for wal2json set `wal_level = logical` and bound"
                " `max_slot_wal_keep_size`, so that a forgotten slot cannot fill the disk"
            )
            return
        slot = f"kyc_{self._name}_{database}"
        (written,) = await _row(self._connection, WRITTEN)  # the table has what was before, and need not come twice
        opening = Stream.open(self._log.target, slot, table, after=int(written))
        self._opening = asyncio.create_task(opening, name=f"open {slot}")
        self._opening.add_done_callback(lambda _: self._bell.ring())

    async def _lose_stream(self, why: str) -> None:
        if self._stream:
            await self._stream.close()
        self._bell = self._ears.enter_context(self._log.bell())
        self._stream, self._streaming, self._mark, self._passed = None, False, None, 0
        self._slot_again = time.monotonic() + BUSY_AGAIN
        self._read = self._told  # the stream's order is another: what came after may be told again
        self._explain(f"the stream of wal2json ended, and the log is followed through its table: {why}")

    def _explain(self, sentence: str) -> None:
        """Once for as long as it holds."""
        if sentence != self._sentence:
            self._sentence = sentence
            say = log.info if self._log.mode is RelayMode.AUTO else log.warning
            say("slot", receiver=self._name, why=sentence)

    async def _from_stream(self, stream: Stream) -> Batch:
        """The next committed events; an empty batch when only others have written."""
        if self._mark is None and self._marked_at < time.monotonic() - SAVING:
            await self._set_mark()
        changes = await stream.changes(SAVING)
        new = [position for position in changes.positions if position > self._read]
        if not new:
            self._passed = max(self._passed, changes.lsn)
            if not self._under_way:
                self._acknowledge(self._passed)
                await self._save()
            return Batch(publications=())
        return Batch(publications=await self._visible(new), lsn=changes.lsn)

    async def _visible(self, positions: Sequence[int]) -> Sequence[Publication]:
        """The events at *positions*, in that order, as soon as the table shows them all."""
        while True:
            found = {one.facts.position: one for one in await publications_at(self._connection, positions)}
            if len(found) == len(positions):
                return [found[position] for position in positions]
            await asyncio.sleep(VISIBLE)

    async def _set_mark(self) -> None:
        """Remember a place in the WAL behind everything that the table holds up to the horizon."""
        self._marked_at = time.monotonic()
        settled = await self._horizon.settled(self._connection)
        if settled > self._told:
            (written,) = await _row(self._connection, WRITTEN)
            self._mark = (settled, int(written))

    def _acknowledge(self, lsn: int) -> None:
        if self._stream:
            self._stream.acknowledge(lsn)
        if self._mark and lsn >= self._mark[1]:
            self._told = max(self._told, self._mark[0])
            self._mark = None

    # ── the position ──────────────────────────────────────────────────────────────

    async def _save(self, *, at_once: bool = False) -> None:
        if self._told == self._saved or (not at_once and time.monotonic() - self._saved_at < SAVING):
            return
        await self._connection.execute(SAVE, (self._told, self._name, self._told), prepare=True)
        self._saved, self._saved_at = self._told, time.monotonic()


async def _row(connection: AsyncConnection[TupleRow], statement: str, *values: object) -> tuple[Any, ...]:
    cursor = await connection.execute(statement, values, prepare=True)
    return await cursor.fetchone() or ()
