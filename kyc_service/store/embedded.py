"""The embedded PostgreSQL: `join` a state folder, and there is a server for as long as anybody needs it.

The first who joins starts it, the others of the same machine share it, and it ends a moment after the last has left.
A membership is a lock on a file, which the kernel drops with its process: nobody has to say good-bye, and a killed
process leaks nothing. `pg_supervisor` is the process that watches the lock; `pg_cluster` makes what it runs.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self
from urllib.parse import quote

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from kyc_service.store import pg_cluster, pg_supervisor
from kyc_service.store.pg_cluster import (
    DATABASE,
    USER,
    BinariesNotFound,
    Cluster,
    ClusterNotMade,
    EmbeddedServerUnavailable,
    FolderNotOurs,
    MajorVersionMismatch,
    NoAccount,
)
from kyc_service.store.pg_supervisor import PORT, open_lock, try_lock

if TYPE_CHECKING:
    import structlog

__all__ = [
    "BinariesNotFound",
    "ClusterNotMade",
    "EmbeddedServerUnavailable",
    "FolderNotOurs",
    "MajorVersionMismatch",
    "NoAccount",
    "Server",
    "ServerDidNotStart",
    "discard",
    "guard",
    "join",
]

GRACE_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.02
GUARD_SECONDS = 1.0  # how long nobody notices at most that the supervisor is gone
LONGEST_GUARD_SECONDS = 60.0
JOIN_SECONDS = 5.0
LONGEST_LOG = 1024 * 1024


class ServerDidNotStart(EmbeddedServerUnavailable):
    """The server was made ready and did not start, or does not answer."""


class Server:
    """A place at the embedded server. The server runs at least until this is closed or the process ends.

    The lock is a bare descriptor on purpose: one who keeps the `dsn` and drops this object keeps the server too.
    """

    __slots__ = ("_seat", "dsn")

    def __init__(self, dsn: str, seat: int) -> None:
        self.dsn = dsn
        self._seat: int | None = seat

    def close(self) -> None:
        """Leave. A forked child that still has the lock keeps the server."""
        seat, self._seat = self._seat, None
        if seat is not None:
            os.close(seat)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def join(home: Path, *, grace: float = GRACE_SECONDS, patience: float = PATIENCE_SECONDS) -> Server:
    """A place at the one embedded server of the state folder *home*, which is started if nobody has.

    The server ends *grace* seconds after the last has left; the one who starts it decides. *patience* bounds the wait
    for a server that recovers from a crash.

    Raises:
        EmbeddedServerUnavailable: in one sentence, why there is none and what helps.
    """
    deadline = time.monotonic() + patience
    control = _control_folder(home)
    waited = (
        "The embedded PostgreSQL does not answer yet: it may be recovering from a crash, so try again,"
        f" or read {control / 'supervisor.log'}."
    )
    seat = _open(control / "clients.lock")
    try:
        # Held against us only while a supervisor ends its server; then we start the next.
        while not try_lock(seat, fcntl.LOCK_SH):
            _pause(deadline, waited)
        while True:
            _see_to_a_supervisor(control, grace, deadline)
            if dsn := _answering(control):
                return Server(dsn, seat)
            _pause(deadline, waited)
    except BaseException as error:
        os.close(seat)
        if isinstance(error, OSError):
            raise ServerDidNotStart(f"The embedded PostgreSQL cannot be made in {control}: {error}.") from error
        raise


@contextmanager
def guard(home: Path, *, grace: float = GRACE_SECONDS, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """While the context is open, a thread starts the server of *home* again whenever its supervisor is gone.

    A server that dies is started by its supervisor. A supervisor that is killed takes its server along, and has nobody
    but those who use it: for them the next one listens in the same place, under the same password.
    """
    control = _control_folder(home)
    over = threading.Event()
    watching = threading.Thread(
        target=_guard, args=(control, grace, patience, over), name="embedded-postgres-guard", daemon=True
    )
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join(JOIN_SECONDS)


def _guard(control: Path, grace: float, patience: float, over: threading.Event) -> None:
    pause = GUARD_SECONDS
    while not over.wait(pause):
        try:
            if _see_to_a_supervisor(control, grace, time.monotonic() + patience):
                _log().warning("embedded_server_restarted", reason="its supervisor was gone")
            pause = GUARD_SECONDS
        except (EmbeddedServerUnavailable, OSError) as error:
            _log().error("embedded_server_lost", error=type(error).__name__)
            pause = min(pause * 2, LONGEST_GUARD_SECONDS)


def _log() -> "structlog.typing.FilteringBoundLogger":
    import structlog  # noqa: PLC0415 - joining a server needs nothing but psycopg

    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger("kyc.embedded")
    return logger


def discard(home: Path, *, patience: float = PATIENCE_SECONDS) -> None:
    """Delete the embedded database of *home*, wherever it is, after everybody has left.

    Raises:
        EmbeddedServerUnavailable: somebody still uses it.
    """
    deadline = time.monotonic() + patience
    control = home.resolve() / "pg"
    if not control.exists():
        return
    control = _control_folder(home)
    # The clients' lock comes last: a supervisor must get it in order to end.
    locks = [_open(control / name) for name in ("supervisor.lock", "server.lock", "clients.lock")]
    try:
        while not all(try_lock(lock, fcntl.LOCK_EX) for lock in locks):
            _pause(deadline, f"The database in {control} is still in use: end the processes that joined it.")
        pg_cluster.discard(control)
    finally:
        for lock in locks:
            os.close(lock)


def _control_folder(home: Path) -> Path:
    """`<home>/pg`: the locks, the passwords, and the cluster or a link to it. Only its owner works in it."""
    control = home.resolve() / "pg"  # two spellings of one folder share one server
    root = os.geteuid() == 0
    try:
        # Root's server runs as somebody else, who has to pass through on the way to the data.
        pg_cluster.make_folder(control, 0o711 if root else 0o700)
        status = control.lstat()
    except OSError as error:
        raise FolderNotOurs(
            f"The state folder {control} cannot be made ({error.strerror}): set KYC_STATE_DIR to one that can."
        ) from error
    if control.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise FolderNotOurs(
            f"{control} belongs to another user or is open to others: run this as its owner,"
            " or set KYC_STATE_DIR to a folder of your own."
        )
    return control


def _open(path: Path) -> int:
    try:
        return open_lock(path)
    except OSError as error:
        raise FolderNotOurs(f"{path} cannot be opened ({error.strerror}): remove it.") from error


def _pause(deadline: float, complaint: str) -> None:
    if time.monotonic() > deadline:
        raise ServerDidNotStart(complaint)
    time.sleep(PAUSE_SECONDS)


def _see_to_a_supervisor(control: Path, grace: float, deadline: float) -> bool:
    """Start one if there is none, and whether that was so. Its lock is handed over, so two can never start."""
    lock = _open(control / "supervisor.lock")
    try:
        missing = try_lock(lock, fcntl.LOCK_EX)
        if missing:
            _launch(control, pg_cluster.prepare(control, deadline), lock, grace, deadline)
    finally:
        os.close(lock)
    return missing


def _launch(control: Path, cluster: Cluster, lock: int, grace: float, deadline: float) -> None:
    journal = control / "supervisor.log"
    script = Path(pg_supervisor.__file__)
    command = [sys.executable, "-I", "-S", str(script), f"--folder={control}", f"--grace={grace}", f"--lock={lock}"]
    command += [f"--binaries={cluster.binaries}", f"--data={cluster.data}", f"--sockets={cluster.sockets}"]
    if cluster.account:
        command += [f"--uid={cluster.account.uid}", f"--gid={cluster.account.gid}"]
    with _open_journal(journal) as log:
        process = subprocess.Popen(  # noqa: S603 -- our own arguments, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env={"LC_ALL": "C", "PATH": os.defpath},  # it outlives us: no secret of ours may stay with it
            start_new_session=True,  # Ctrl-C is for us alone
            pass_fds=(lock,),
        )
    with process:
        try:
            answer = process.communicate(timeout=max(1.0, deadline - time.monotonic()))[0].decode()
        except subprocess.TimeoutExpired:
            return  # it goes on, and the next who asks may be lucky
    if answer != "ready":
        reason = answer or "Its supervisor ended without a word."
        raise ServerDidNotStart(f"{reason} See {journal} and {cluster.data / 'log'}.")


def _open_journal(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.fdopen(os.open(path, flags, 0o600), "ab")
    if file.tell() > LONGEST_LOG:
        file.truncate(0)
    return file


def _answering(control: Path) -> str | None:
    """The DSN of a server that lets us in, or None while there is no such server.

    Raises:
        ServerDidNotStart: it takes connections, but not ours.
    """
    try:
        password = (control / "password").read_text(encoding="utf-8")
        sockets = (control / "sockets").readlink()
    except FileNotFoundError:
        return None
    door = make_conninfo(host=str(sockets), port=PORT, dbname=DATABASE, connect_timeout=5).encode()
    if PGconn.ping(door) != Ping.OK:
        return None
    dsn = f"postgresql://{USER}:{quote(password, safe='')}@/{DATABASE}?host={quote(str(sockets), safe='/')}&port={PORT}"
    try:
        psycopg.connect(dsn, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        if PGconn.ping(door) != Ping.OK:  # it ended in between
            return None
        raise ServerDidNotStart(f"The embedded PostgreSQL does not let us in: {error}") from error
    return dsn
