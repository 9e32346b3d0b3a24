"""Encrypted files: what our container costs over the bare cipher, and how much memory a large file takes.

    python bench/blobs.py              # every measurement, side by side in one run
    python bench/blobs.py encryption   # one of them

Each measurement is a row of MEASUREMENTS: a name, a goal, and a function that returns ratios or megabytes. The floor is
libsodium called directly through PyNaCl with the same chunks; both sides take turns, and the median of the rounds
counts, because the machine is shared. Memory is measured in a process of its own: of the bare store, and of the whole
service, which gets the file over HTTP.
"""

import asyncio
import contextlib
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from nacl.bindings import crypto_aead_aes256gcm_decrypt, crypto_aead_aes256gcm_encrypt

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.domain.record import record
from kyc_service.privacy.blobs import BlobStore, Opener, S3Options, Sealer, open_blob_store
from kyc_service.privacy.sealing import DataKey
from kyc_service.settings import Settings
from kyc_service.store.embedded import discard

MIB = 1024 * 1024
CHUNK = 64 * 1024
CHUNKS = 256  # 16 MiB a round
ROUNDS = 15
STREAMED = 200 * MIB
CONTEXT = b"bench"


@record
class Result:
    """One line of the report."""

    what: str
    figure: float
    unit: str
    goal: str
    reached: bool
    detail: str

    def line(self) -> str:
        """The line as it is printed."""
        verdict = "ok  " if self.reached else "MISS"
        return f"{verdict} {self.what:<34}{self.figure:>8.2f} {self.unit:<6} goal {self.goal:<8} {self.detail}"


def _key() -> DataKey:
    return DataKey(id=uuid4(), secret=os.urandom(32))


def _median_seconds(ours: Callable[[], object], floor: Callable[[], object]) -> tuple[float, float]:
    """The median time of each, taken in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for side, run in enumerate((ours, floor)):
            begin = time.perf_counter()
            run()
            times[side].append(time.perf_counter() - begin)
    return statistics.median(times[0]), statistics.median(times[1])


def _ratio(what: str, ours: Callable[[], object], floor: Callable[[], object]) -> Result:
    mine, bare = _median_seconds(ours, floor)
    speeds = f"{CHUNK * CHUNKS / mine / 1e6:.0f} MB/s against {CHUNK * CHUNKS / bare / 1e6:.0f} MB/s"
    return Result(what=what, figure=bare / mine, unit="x", goal=">= 0.70", reached=bare / mine >= 0.7, detail=speeds)


def encryption() -> list[Result]:
    """Sealing, for the sizes in which a file comes in from the network and from a disk."""
    key, nonce = _key(), os.urandom(12)
    pieces = [os.urandom(CHUNK) for _ in range(CHUNKS)]

    def floor() -> None:
        for piece in pieces:
            crypto_aead_aes256gcm_encrypt(piece, None, nonce, key.secret)

    def ours(cut: list[bytes]) -> Callable[[], None]:
        def run() -> None:
            sealer = Sealer(key, CONTEXT)
            for piece in cut:
                for _ in sealer.sealing(piece):
                    pass
            sealer.finish()

        return run

    return [
        _ratio("encrypt, in pieces of 64 KiB", ours(pieces), floor),
        _ratio("encrypt, in pieces of 1 MiB", ours(_cut(b"".join(pieces), MIB)), floor),
        _ratio("encrypt, in pieces of 50 000 bytes", ours(_cut(b"".join(pieces), 50_000)), floor),
    ]


def decryption() -> list[Result]:
    """Opening, for the sizes in which a container comes from a folder and from a bucket."""
    key, nonce = _key(), os.urandom(12)
    plain = [os.urandom(CHUNK) for _ in range(CHUNKS)]
    bare = [crypto_aead_aes256gcm_encrypt(piece, None, nonce, key.secret) for piece in plain]
    sealer = Sealer(key, CONTEXT)
    container = b"".join([sealer.header, *sealer.feed(b"".join(plain)), sealer.finish()])

    def floor() -> None:
        for piece in bare:
            crypto_aead_aes256gcm_decrypt(piece, None, nonce, key.secret)

    def ours(cut: list[bytes]) -> Callable[[], None]:
        def run() -> None:
            opener = Opener(key, CONTEXT)
            for piece in cut:
                for _ in opener.opening(piece):
                    pass
            opener.finish()

        return run

    return [
        _ratio("decrypt, in pieces of 64 KiB", ours(_cut(container, CHUNK)), floor),
        _ratio("decrypt, in pieces of 1 MiB", ours(_cut(container, MIB)), floor),
    ]


def memory() -> list[Result]:
    """What a file of 200 MiB adds to a process that streams it into a folder and out again."""
    child = subprocess.run(
        [sys.executable, __file__, "--stream"], stdout=subprocess.PIPE, text=True, check=True, timeout=300
    )
    grown, put, got = map(float, child.stdout.split())
    speeds = f"in at {STREAMED / put / 1e6:.0f} MB/s, out at {STREAMED / got / 1e6:.0f} MB/s"
    return [
        Result(
            what="memory for 200 MiB in and out",
            figure=grown,
            unit="MiB",
            goal="< 32",
            reached=grown < 32,
            detail=speeds,
        )
    ]


def upload() -> list[Result]:
    """What a file of 200 MiB adds to a service that takes it in over HTTP."""
    with tempfile.TemporaryDirectory(prefix="kyc-bench-") as home, served(Path(home)) as (process, port, token):
        _post(port, token, CHUNK)  # whatever the first upload loads
        before = _status_mib(process.pid, "VmRSS")
        Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here on
        begin = time.perf_counter()
        _post(port, token, STREAMED)
        seconds = time.perf_counter() - begin
        grown = _status_mib(process.pid, "VmHWM") - before
    return [
        Result(
            what="memory for 200 MiB over HTTP",
            figure=grown,
            unit="MiB",
            goal="< 32",
            reached=grown < 32,
            detail=f"of {before:.0f} MiB, in at {STREAMED / seconds / 1e6:.0f} MB/s",
        )
    ]


@contextlib.contextmanager
def served(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    """A service of its own with the settings of development, but for the size of a file: the process, port, a token."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    given = {"KYC_STATE_DIR": str(home), "KYC_MAX_FILE_BYTES": str(STREAMED), "KYC_INLINE_WORKER": "false"}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("KYC_")}
    command = [sys.executable, "-m", "kyc_service.cli.main", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env={**ours, **given}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        issuer = DevelopmentIssuer(Settings(_env_file=None, state_dir=home))
        yield process, port, issuer.issue("sandbox", ["submitter"], "bench", "bench", timedelta(hours=1))
    finally:
        process.terminate()
        process.wait(timeout=60)
        discard(home)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("the service did not start")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit("the service did not answer")


def _post(port: int, token: str, size: int) -> None:
    """Upload something of *size* bytes that begins as a JPEG."""
    first, piece = b"\xff\xd8\xff" + bytes(CHUNK - 3), bytes(CHUNK)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request(
        "POST",
        "/v1/kyc/files",
        body=(piece if number else first for number in range(size // CHUNK)),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "image/jpeg", "Content-Length": str(size)},
    )
    answer = connection.getresponse()
    if answer.status != http.HTTPStatus.CREATED:
        raise SystemExit(f"the upload was answered with {answer.status}: {answer.read()!r}")
    connection.close()


MEASUREMENTS: dict[str, Callable[[], list[Result]]] = {
    "encryption": encryption,
    "decryption": decryption,
    "memory": memory,
    "upload": upload,
}


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _status_mib(process: int | str, name: str) -> float:
    """What the kernel counts of a process: `VmRSS` is its resident memory, `VmHWM` the most that this ever was."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) / 1024


async def _stream_once(store: BlobStore, size: int) -> tuple[float, float]:
    """The seconds that a file of *size* takes into the store and out again."""
    key, piece = _key(), os.urandom(CHUNK)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(size // CHUNK):
            yield piece

    begin = time.perf_counter()
    await store.put("bench", chunks(), key, CONTEXT)
    between = time.perf_counter()
    read = 0
    async for chunk in store.get("bench", key, CONTEXT):
        read += len(chunk)
    assert read == size
    return between - begin, time.perf_counter() - between


async def _stream() -> None:
    """Run in a process of its own: a small file first, so that only what grows with the size is counted."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_blob_store(None, Path(folder) / "blobs", S3Options())
        await _stream_once(store, CHUNK)
        before = _status_mib("self", "VmHWM")
        put, got = await _stream_once(store, STREAMED)
        print(_status_mib("self", "VmHWM") - before, put, got)


def main(names: list[str]) -> int:
    """Print the report; 1 if a goal was missed."""
    results = [result for name in names or MEASUREMENTS for result in MEASUREMENTS[name]()]
    for result in results:
        print(result.line())
    return 0 if all(result.reached for result in results) else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["--stream"]:
        asyncio.run(_stream())
    else:
        sys.exit(main(sys.argv[1:]))
