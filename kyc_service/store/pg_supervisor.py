"""The supervisor of an embedded PostgreSQL: the small process that keeps one server alive while anybody needs it.

It is the direct parent of `postgres`, so a server that dies is reaped and started again, and never stays behind as a
zombie that looks alive. It ends, and the server with it, once nobody has held the clients' lock for a while; the kernel
drops such a lock with its process, so a killed client cannot leak a server.

It runs by its path, in isolated mode and without site-packages, and therefore imports the standard library alone:
nothing in the caller's folder or environment can put code into it.
"""

import argparse
import contextlib
import ctypes
import fcntl
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger("pg_supervisor")

PORT = 5432  # names the socket file; nothing listens on the network
POLL_SECONDS = 0.2
HANDOVER_SECONDS = 60.0  # how long a server that lost its supervisor may take to end
STOP_SECONDS = 60.0
STEADY_SECONDS = 60.0  # a server that lived so long starts with a clean record
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
MOST_FAILURES = 6
PR_SET_PDEATHSIG = 1  # linux/prctl.h

# Everything the service promises about its server. On the command line they cannot be overridden by a file in the data
# folder, and a new release of the service brings its own to a cluster of any age.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "wal_level": "logical",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "max_slot_wal_keep_size": "1GB",  # a forgotten slot must not fill the disk
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "idle_in_transaction_session_timeout": "60s",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgres-%a.log",  # seven files, each overwritten after a week
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_file_mode": "0600",
}

# An error message or its DETAIL can quote a row, and a statement can hold a literal. The server's log gets neither: of
# everything a statement can cause, only the end of the server or of a session is written, and without DETAIL.
DISCRETION: Mapping[str, str] = {
    "log_min_messages": "log",  # in the server's log this ranks above ERROR
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


class CannotSupervise(Exception):
    """The server cannot be kept alive."""


class Charge(NamedTuple):
    """What is supervised: the binaries, the cluster, its socket folder, and the account that runs it."""

    binaries: Path
    data: Path
    sockets: Path
    account: tuple[int, int] | None


def options(settings: Mapping[str, str]) -> list[str]:
    """*settings* as arguments of `postgres`."""
    return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]


def try_lock(descriptor: int, kind: int) -> bool:
    """Take the lock of that kind, if nobody is in the way."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_lock(path: Path) -> int:
    """A descriptor of the lock file, which is made if need be; it does not survive an exec."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


class Alarm:
    """Sleep that a signal ends early, and the wish of others that the supervisor should stop."""

    def __init__(self) -> None:
        self.stop_wanted = False
        self._reader, writer = os.pipe()
        for end in (self._reader, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # with no handler the wakeup stays silent
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._want_stop)

    def _want_stop(self, *_: object) -> None:
        self.stop_wanted = True

    def sleep(self, seconds: float) -> None:
        """Until *seconds* have passed or a signal came."""
        if select.select([self._reader], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)


class Postmaster:
    """One `postgres` at a time over one cluster; starting is safe whatever became of the one before."""

    def __init__(self, charge: Charge, alive: Path, alarm: Alarm) -> None:
        self._charge = charge
        self._alive = alive
        self._alarm = alarm
        self._process: subprocess.Popen[bytes] | None = None
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    @property
    def running(self) -> bool:
        """Whether the child lives; asking reaps it when it does not."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What the last child ended with."""
        return self._process.returncode if self._process else None

    @property
    def ready(self) -> bool:
        """Whether it says itself that it takes connections: the eighth line of its pid file, as `pg_ctl` reads it."""
        lines = self._pid_file()
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def start(self) -> None:
        """Start the server, after the last process of the one before is gone."""
        # Every process of a server inherits this lock, and the kernel drops it with the last of them: no pid to
        # misread, no zombie that counts as alive.
        lock = open_lock(self._alive)
        try:
            self._outlive_predecessor(lock)
            self._sweep()
            self._process = self._spawn(lock)
        finally:
            os.close(lock)

    def stop(self) -> None:
        """Disconnect everybody, write the checkpoint, end; by force only when that takes too long."""
        if self._process is None:
            return
        for number, patience in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 15.0), (signal.SIGKILL, 15.0)):
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
                return

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        # In that list a folder stands in double quotes, because a comma separates and a blank is cut off.
        sockets = '"{}"'.format(str(self._charge.sockets).replace('"', '""'))
        own = {"unix_socket_directories": sockets}
        uid, gid = self._charge.account or (None, None)
        return subprocess.Popen(  # noqa: S603 -- our own arguments, no shell
            [
                str(self._charge.binaries / "postgres"),
                "-D",
                str(self._charge.data),
                *options({**SETTINGS, **DISCRETION, **own}),
            ],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,  # ours is the pipe to whoever waits for the answer
            cwd="/",  # the account may not look into the caller's folder
            env={"LC_ALL": "C", "PATH": os.defpath},  # not ours: it can hold secrets, and PG… variables that interfere
            user=uid,
            group=gid,
            extra_groups=[] if self._charge.account else None,
            umask=0o077,
            pass_fds=(lock,),
            preexec_fn=self._die_with_me(),  # noqa: PLW1509 -- this process has one thread
        )

    def _die_with_me(self) -> Callable[[], None] | None:
        """Linux: a fast shutdown when the supervisor dies, even by SIGKILL. It must be asked for after the setuid."""
        libc, parent = self._libc, os.getpid()
        if libc is None:
            return None

        def ask() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT)
            if os.getppid() != parent:  # it died before the question
                os._exit(1)

        return ask

    def _outlive_predecessor(self, lock: int) -> None:
        started = time.monotonic()
        asked = False
        while not try_lock(lock, fcntl.LOCK_EX):
            waited = time.monotonic() - started
            if self._alarm.stop_wanted or waited > HANDOVER_SECONDS:
                raise CannotSupervise("The server that ran before has not ended yet: try again in a minute.")
            if waited > 1 and not asked and (pid := self._named_process()):
                asked = True
                log.info("asking the server without a supervisor, process %d, to end", pid)
                os.kill(pid, signal.SIGINT)
            self._alarm.sleep(0.02)

    def _sweep(self) -> None:
        """Remove what a killed server left. The lock proved that none of ours lives; somebody else's is respected."""
        pid = self._named_process()
        if pid and sys.platform == "linux":
            raise CannotSupervise(
                f"Process {pid} already runs a server over {self._charge.data}, and it is not ours: stop it first."
            )
        if pid is None:
            (self._charge.data / "postmaster.pid").unlink(missing_ok=True)
            for suffix in ("", ".lock"):
                (self._charge.sockets / f".s.PGSQL.{PORT}{suffix}").unlink(missing_ok=True)

    def _named_process(self) -> int | None:
        """The process that the pid file names, if it lives and, where one can see that, works in our data folder."""
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit():
            return None
        pid = int(lines[0])
        if sys.platform == "linux":
            return pid if _works_in(pid, self._charge.data) else None
        try:
            os.kill(pid, 0)
        except OSError:
            return None
        return pid

    def _pid_file(self) -> Sequence[str]:
        try:
            return (self._charge.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ()


def _works_in(pid: int, folder: Path) -> bool:
    """Whether the process lives and has *folder* as its working directory. A zombie has none."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except OSError:
        return False


class Supervisor:
    """Keeps the server alive while the clients' lock is held, and ends it when that was free for *grace* seconds."""

    def __init__(self, postmaster: Postmaster, clients: int, grace: float, alarm: Alarm) -> None:
        self._postmaster = postmaster
        self._clients = clients
        self._grace = grace
        self._alarm = alarm
        self._free_since: float | None = None
        self._started_at = 0.0
        self._failures = 0

    def start(self) -> None:
        """Start the server and wait until it takes connections, which after a crash can be minutes."""
        self._postmaster.start()
        self._started_at = time.monotonic()
        while not self._postmaster.ready:
            if not self._postmaster.running:
                raise CannotSupervise(f"PostgreSQL ended at its start with code {self._postmaster.exit_code}.")
            if self._alarm.stop_wanted:
                raise CannotSupervise("The server was told to stop while it started.")
            self._alarm.sleep(0.01)

    def watch(self) -> None:
        """Return when nobody needs the server any more, or when told to stop."""
        while not self._alarm.stop_wanted and not self._deserted():
            if not self._postmaster.running:
                self._revive()
            self._alarm.sleep(POLL_SECONDS)

    def _deserted(self) -> bool:
        """True keeps the lock: whoever comes now waits until the server has ended, and then starts the next."""
        if not try_lock(self._clients, fcntl.LOCK_EX):
            self._free_since = None
            return False
        now = time.monotonic()
        if self._free_since is None:
            self._free_since = now
        if now - self._free_since >= self._grace:
            return True
        fcntl.flock(self._clients, fcntl.LOCK_UN)
        return False

    def _revive(self) -> None:
        if time.monotonic() - self._started_at > STEADY_SECONDS:
            self._failures = 0
        if self._failures == MOST_FAILURES:
            raise CannotSupervise(f"PostgreSQL ended {MOST_FAILURES} times in a row.")
        pause = min(FIRST_PAUSE_SECONDS * 2**self._failures, LONGEST_PAUSE_SECONDS)
        self._failures += 1
        log.warning("postgres ended with code %s; starting it again in %.1f s", self._postmaster.exit_code, pause)
        self._alarm.sleep(pause)
        self._postmaster.start()
        self._started_at = time.monotonic()


def main(arguments: Sequence[str]) -> int:
    """Detach, start the server, say `ready` or why not on standard output, and stay."""
    given = _parse(arguments)
    if os.fork():  # the caller waits for the answer on the pipe, not for a process
        os._exit(0)
    os.chdir("/")
    os.umask(0o077)
    logging.basicConfig(format="%(asctime)s [%(process)d] %(message)s", level=logging.INFO, stream=sys.stderr)
    folder = Path(given.folder)
    alarm = Alarm()
    charge = Charge(
        binaries=Path(given.binaries),
        data=Path(given.data),
        sockets=Path(given.sockets),
        account=(given.uid, given.gid) if given.uid is not None else None,
    )
    postmaster = Postmaster(charge, folder / "server.lock", alarm)
    supervisor = Supervisor(postmaster, open_lock(folder / "clients.lock"), given.grace, alarm)
    try:
        supervisor.start()
        log.info("postgres is ready")
        _answer("ready")
        supervisor.watch()
        log.info("told to stop" if alarm.stop_wanted else "nobody is left")
    except (CannotSupervise, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 -- one sentence, no trace
        _answer(str(error))
        return 1
    finally:
        postmaster.stop()
        if not alarm.stop_wanted:  # told to stop, it may leave clients who look for the next server in the same place
            with contextlib.suppress(OSError):
                charge.sockets.rmdir()
        # Before the clients' lock goes: whoever gets that one must not meet a supervisor that is about to end.
        fcntl.flock(given.lock, fcntl.LOCK_UN)
    return 0


def _answer(text: str) -> None:
    with contextlib.suppress(OSError):  # the caller may be gone, or have had its answer
        os.write(1, text.encode())
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.close(silence)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--folder", "--binaries", "--data", "--sockets"):
        parser.add_argument(name, required=True)
    parser.add_argument("--lock", type=int, required=True, help="inherited descriptor of the supervisor's lock")
    parser.add_argument("--grace", type=float, required=True, help="seconds without clients before the end")
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
