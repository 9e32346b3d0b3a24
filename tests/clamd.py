"""A real clamd of the test run's own, with one signature: that of the test file that every scanner knows (EICAR)."""

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kyc_service.domain.record import record
from tests.messaging.nodes import free_port

# Put together here, so that no scanner takes this file for the test file itself.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}" + b"$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
LIMIT = 1 << 20


@record
class Daemon:
    """A clamd that runs: both of its addresses."""

    socket: str
    tcp: str


@contextmanager
def daemon() -> Iterator[Daemon]:
    """A clamd that takes up to one MiB of a file; skips where none is installed."""
    program = shutil.which("clamd", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("clamd is not installed: apt-get install clamav-daemon")
    home = Path(tempfile.mkdtemp(prefix="kyc-clamd-"))  # short: a socket's path may have 107 characters
    try:
        database = home / "db"
        database.mkdir()
        digest = hashlib.md5(EICAR, usedforsecurity=False).hexdigest()
        (database / "test.hdb").write_text(f"{digest}:{len(EICAR)}:Eicar-Test\n", encoding="ascii")
        (database / "test.ndb").write_text(f"Eicar-Inside:0:*:{EICAR.hex()}\n", encoding="ascii")
        port = free_port()
        config = home / "clamd.conf"
        config.write_text(
            f"DatabaseDirectory {database}\nLocalSocket {home}/clamd.ctl\nTCPSocket {port}\nTCPAddr 127.0.0.1\n"
            f"Foreground yes\nStreamMaxLength {LIMIT}\nTemporaryDirectory {home}\nFixStaleSocket yes\n",
            encoding="ascii",
        )
        with subprocess.Popen(
            [program, "--config-file", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                _wait(home / "clamd.ctl", process)
                yield Daemon(socket=f"clamd://{home}/clamd.ctl", tcp=f"clamd://127.0.0.1:{port}")
            finally:
                process.kill()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait(path: Path, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if process.poll() is not None:
            pytest.fail(f"clamd ended with {process.returncode} while it started")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
                probe.sendall(b"zPING\0")
                if probe.recv(5) == b"PONG\0":
                    return
            except OSError:
                pass
        time.sleep(0.1)
    pytest.fail("clamd did not start within a minute")
