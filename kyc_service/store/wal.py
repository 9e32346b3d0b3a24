"""Following the log through wal2json: which positions were committed, in the order of the commits.

A replication slot makes PostgreSQL keep everything that was not acknowledged yet. The stream is read with psycopg's own
libpq layer, without blocking the loop. What can keep a slot from working is told in one sentence with its cure.
"""

import asyncio
import re
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from psycopg import errors, pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from kyc_service.application.published import CONFIDED, PUBLISHED
from kyc_service.domain.record import record

EPOCH = 946_684_800  # PostgreSQL's time begins in the year 2000
SECONDS_BETWEEN_REPORTS = 5.0
MOST_POSITIONS = 1000  # in one batch, unless one transaction has more
NAMES = frozenset(kind.__name__.encode() for kind in (*PUBLISHED, *CONFIDED))
BEGUN, COMMITTED, INSERTED = b'{"action":"B"}', b'{"action":"C"}', b'{"action":"I"'
# Of a row two columns are wanted, and reading all of them as JSON would take most of the time. This is exact: inside of
# a value every quotation mark has a backslash before it, so a tenant's name cannot look like the next column.
ROW = re.compile(
    rb'\{"action":"I",.*?"columns":\[\{"name":"position","value":(?P<position>\d+)\},.*?'
    rb'\{"name":"type","value":"(?P<type>\w+)"\}'
)
OPTIONS = {
    "format-version": "2",
    "actions": "insert",
    "include-types": "false",
    "include-timestamp": "false",
    "include-xids": "false",
}


class SlotUnusable(Exception):
    """The log cannot be followed through a slot at the moment; the message says why, and the cure."""


class SlotBusy(SlotUnusable):
    """Another process still has the slot."""


class StreamEnded(Exception):
    """The connection of a stream is gone."""


@record
class Changes:
    """What was committed up to the place `lsn` of the WAL: positions of events to be told, in the order of commits."""

    positions: tuple[int, ...]
    lsn: int


class Stream:
    """One open slot. Nobody else can have it meanwhile."""

    def __init__(self, connection: PGconn, *, renewed: bool) -> None:
        self.renewed = renewed
        self._connection = connection
        self._positions: list[int] = []
        self._reached = 0
        self._inside = False
        self._readable = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._acknowledged = 0
        self._received = 0
        self._reported = time.monotonic()
        self._reporter = asyncio.create_task(self._keep_reporting(), name="report to the slot")

    @classmethod
    async def open(cls, target: str, slot: str, table: str, after: int = 0) -> Self:
        """Stream what is inserted into *table*, from where *slot* stands; the slot is made if there is none.

        What was committed before the place *after* of the WAL is left out.

        Raises:
            SlotUnusable: in one sentence, why not, and the cure.
        """
        attempt = Attempt()
        opening = asyncio.ensure_future(asyncio.to_thread(attempt.open, target, slot, table, after))
        try:
            connection, renewed = await asyncio.shield(opening)
        except asyncio.CancelledError:
            while not opening.done():  # until the server has let go of the slot
                attempt.interrupt()
                await asyncio.wait({opening}, timeout=0.1)
            if opening.exception() is None:
                opening.result()[0].finish()
            raise
        return cls(connection, renewed=renewed)

    async def changes(self, patience: float) -> Changes:
        """The next transactions, or the news that others have written, or after *patience* seconds that nobody has.

        Raises:
            StreamEnded: the server or the network has closed it, or the slot was lost.
        """
        deadline = self._loop.time() + patience
        while not self._complete() or len(self._positions) < MOST_POSITIONS:
            message = self._next() or self._next_after_reading()
            if message is not None:
                self._take(*message)
            elif self._complete() or not await self._more(deadline):
                break
        if not self._complete():
            return Changes(positions=(), lsn=0)
        found = Changes(positions=tuple(self._positions), lsn=self._reached)
        self._positions, self._reached = [], 0
        return found

    def _complete(self) -> bool:
        """Whether there is something to hand out, and no transaction half of which is still to come."""
        return self._reached > 0 and not self._inside

    def _take(self, place: int, body: bytes | None) -> None:
        if body is None:
            self._reached = self._reached if self._inside else max(self._reached, place)
            return
        if row := ROW.match(body):
            if row["type"] in NAMES:
                self._positions.append(int(row["position"]))
        elif body == BEGUN:
            self._inside = True
        elif body == COMMITTED:
            self._inside, self._reached = False, place
        elif body.startswith(INSERTED):
            raise StreamEnded("wal2json writes the rows of events in a way that this release does not know")

    def acknowledge(self, lsn: int) -> None:
        """Everything up to *lsn* has arrived for good; PostgreSQL may throw it away."""
        self._acknowledged = max(self._acknowledged, lsn)
        if time.monotonic() - self._reported > 1:
            with suppress(StreamEnded):  # whoever reads next will see it
                self._report()

    async def close(self) -> None:
        """Say how far it came, and leave the slot to the next."""
        self._reporter.cancel()
        with suppress(asyncio.CancelledError):
            await self._reporter
        with suppress(StreamEnded):
            self._report()
        self._loop.remove_reader(self._connection.socket)
        self._connection.finish()

    def _next(self) -> tuple[int, bytes | None] | None:
        """The next message if it is here: its place in the WAL, and a row, or None for a sign of life."""
        size, data = self._connection.get_copy_data(1)
        if size == -1:
            result = self._connection.get_result()
            raise StreamEnded(_said(result.error_message if result else b""))
        if size < 0:
            raise StreamEnded(_said(self._connection.error_message))
        if size == 0:
            return None
        message = bytes(data)
        if message.startswith(b"w"):
            (place,) = struct.unpack("!Q", message[1:9])
            self._received = max(self._received, place)
            return place, message[25:]
        place, _, wanted = struct.unpack("!QQB", message[1:18])
        self._received = max(self._received, place)
        if wanted:
            self._report()
        return place, None

    def _next_after_reading(self) -> tuple[int, bytes | None] | None:
        """Libpq reads some kilobytes at a time, and there may be more."""
        self._consume()
        return self._next()

    async def _more(self, deadline: float) -> bool:
        """Wait until the server has sent something; False when it has not until *deadline*."""
        self._readable.clear()
        self._loop.add_reader(self._connection.socket, self._heard)
        try:
            async with asyncio.timeout_at(deadline):
                await self._readable.wait()
        except TimeoutError:
            return False
        self._consume()
        return True

    def _heard(self) -> None:
        self._loop.remove_reader(self._connection.socket)  # or it would be heard again at every turn of the loop
        self._readable.set()

    def _consume(self) -> None:
        try:
            self._connection.consume_input()
        except errors.OperationalError as error:
            raise StreamEnded(_said(str(error).encode())) from error

    async def _keep_reporting(self) -> None:
        """A slow broker must not look like a dead relay: the server ends a stream that is silent for a minute."""
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_REPORTS)
            with suppress(StreamEnded):
                self._report()

    def _report(self) -> None:
        moment = int((time.time() - EPOCH) * 1e6)
        known = self._acknowledged
        try:
            self._connection.put_copy_data(
                b"r" + struct.pack("!QQQQB", max(self._received, known), known, known, moment, 0)
            )
            self._connection.flush()
        except errors.OperationalError as error:
            raise StreamEnded(_said(str(error).encode())) from error
        self._reported = time.monotonic()


class Attempt:
    """Opening a slot, in a thread. To make one, PostgreSQL waits until everybody who is writing now has ended."""

    def __init__(self) -> None:
        self._connection: PGconn | None = None

    def open(self, target: str, slot: str, table: str, after: int) -> tuple[PGconn, bool]:
        """The connection that streams, and whether the slot had to be made anew."""
        self._connection = connection = _connected(target)
        try:
            renewed = _prepare(connection, slot)
            _start(connection, slot, table, after)
            connection.nonblocking = 1
        except BaseException:
            connection.finish()
            raise
        return connection, renewed

    def interrupt(self) -> None:
        """Have the server stop whatever it does for us at the moment."""
        if self._connection is not None and self._connection.status == pq.ConnStatus.OK:
            with suppress(errors.Error):
                self._connection.get_cancel().cancel()


def _connected(target: str) -> PGconn:
    conninfo = make_conninfo(
        target,
        replication="database",
        application_name="kyc-relay",
        connect_timeout=10,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
    )
    connection = pq.PGconn.connect(conninfo.encode())
    if connection.status != pq.ConnStatus.OK:
        said = _said(connection.error_message)
        connection.finish()
        raise SlotUnusable(_cure(None, said))
    return connection


def _prepare(connection: PGconn, slot: str) -> bool:
    """Make the slot if there is none; whether it had to be made anew, because PostgreSQL has given up on it."""
    state = _query(connection, f"select wal_status, active from pg_replication_slots where slot_name = '{slot}'")
    renewed = bool(state) and state[0][0] == "lost"
    if renewed:
        _query(connection, f"select pg_drop_replication_slot('{slot}')")
    if renewed or not state:
        _query(connection, f"CREATE_REPLICATION_SLOT {slot} LOGICAL wal2json NOEXPORT_SNAPSHOT")
    return renewed


def _start(connection: PGconn, slot: str, table: str, after: int) -> None:
    options = {**OPTIONS, "add-tables": table}
    given = ", ".join(f"\"{name}\" '{value}'" for name, value in options.items())
    place = f"{after >> 32:X}/{after & 0xFFFFFFFF:X}"
    result = connection.exec_(f"START_REPLICATION SLOT {slot} LOGICAL {place} ({given})".encode())
    if result.status != pq.ExecStatus.COPY_BOTH:
        raise _unusable(result)


def _query(connection: PGconn, statement: str) -> list[tuple[str, ...]]:
    result = connection.exec_(statement.encode())
    if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        raise _unusable(result)
    return [
        tuple((result.get_value(row, column) or b"").decode() for column in range(result.nfields))
        for row in range(result.ntuples)
    ]


def _unusable(result: PGresult) -> SlotUnusable:
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    sentence = _cure(state.decode() if state else None, _said(result.error_message))
    return SlotBusy(sentence) if state == b"55006" else SlotUnusable(sentence)


RENEWED = (
    "PostgreSQL gave the replication slot up, because it held back more WAL than `max_slot_wal_keep_size` allows: it is"
    " made anew, and what is missing is read from the table. Raise that limit if the relay stands still for so long."
)
# What PostgreSQL says, by a part of its words, and what helps.
CURES: Mapping[str, str] = {
    "may not be used as an output plugin": (
        "PostgreSQL does not let wal2json be an output plugin: run `alter system set output_plugin_libraries ="
        " 'pgoutput', 'test_decoding', 'wal2json'` and `select pg_reload_conf()`."
    ),
    'could not access file "wal2json"': (
        "wal2json is not installed on the database server: install its package (Debian: postgresql-NN-wal2json)."
    ),
    "requires wal_level": "The database server does not log enough: set `wal_level = logical` and restart PostgreSQL.",
    "replication role": "The database user may not replicate: run `alter role NAME with replication`.",
    "permission denied to use replication slots": (
        "The database user may not replicate: run `alter role NAME with replication`."
    ),
    "all replication slots are in use": "Every replication slot is taken: raise `max_replication_slots`.",
    "number of requested standby connections": "Every WAL sender is taken: raise `max_wal_senders`.",
    "is active for": "Another process has the replication slot.",
    "can no longer get changes": RENEWED,
}


def _cure(state: str | None, said: str) -> str:
    known = next((cure for words, cure in CURES.items() if words in said), None)
    return known or f"The replication slot cannot be used: {said}{f' ({state})' if state else ''}."


def _said(message: bytes) -> str:
    """The first line of what the server said, without its label."""
    lines = message.decode(errors="replace").strip().splitlines()
    return lines[0].removeprefix("ERROR:").removeprefix("FATAL:").strip().rstrip(".") if lines else "no reason given"
