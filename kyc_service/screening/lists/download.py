"""Brings the files of a list: only when they changed, whole, and from where it was cut off.

A folder keeps the last good copy of each file with what the server said of it (ETag, Last-Modified, SHA-256), and the
part of a download that was cut off. A file takes the place of the one before only when it is complete and has the
checksum that the publisher gives.
"""

import asyncio
import fcntl
import hashlib
import ipaddress
import json
import os
import shutil
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeAlias

import httpx2

from kyc_service.application.watchlists import SourceFile
from kyc_service.domain.record import record
from kyc_service.screening.lists.reading import ListUnreadable, opened

Progress: TypeAlias = Callable[[str, int, int | None], None]  # which file, bytes that are here, bytes that there are

TRIES = 6
PAUSE = 0.5  # seconds before the second try; doubles
MAX_BYTES = 1 << 30
MAX_REDIRECTS = 5
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
TIMEOUT = httpx2.Timeout(60, connect=15)
LONGEST_WAIT = 60.0  # seconds that a server may ask for before it is asked again
PACKED = frozenset({"gzip", "x-gzip"})
# Some publishers turn away clients that do not say who they are. Parts of a packed answer would not fit together.
HEADERS: Mapping[str, str] = {"User-Agent": "crowdpay-kyc (kyc lists sync)", "Accept-Encoding": "identity"}
ALGORITHMS: Mapping[int, str] = {40: "sha1", 64: "sha256"}  # by the length of a checksum in hexadecimal


class DownloadFailed(Exception):
    """A list could not be downloaded; the message says which, and why. Addresses are told without their query."""


class SyncInProgress(Exception):
    """Another process is bringing the same list at the moment."""


class _Cut(Exception):
    """The connection ended before the file did. `wait`: how many seconds the server asks for."""

    def __init__(self, why: str, wait: float = 0) -> None:
        super().__init__(why)
        self.wait = wait


@record
class Fetched:
    """A file that is here, and whether it is another one than last time."""

    path: Path
    file: SourceFile
    changed: bool


class Downloads:
    """Downloads into one *folder*, one process at a time. `pause`: seconds before the second try."""

    def __init__(
        self, folder: Path, client: httpx2.AsyncClient, *, progress: Progress | None = None, pause: float = PAUSE
    ) -> None:
        self._folder = folder
        self._client = client
        self._progress = progress or (lambda *_: None)
        self._pause = pause

    @property
    def folder(self) -> Path:
        """Where the files are kept."""
        return self._folder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While this is open no other process brings files into the folder.

        Raises:
            SyncInProgress: another one does at the moment.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SyncInProgress(
                    f"Another process is downloading into {self._folder.name} at the moment."
                ) from error
            yield

    async def fetch(self, url: str, name: str | None = None, *, checksum: str | None = None) -> Fetched:
        """The file at *url*, downloaded only if it changed. `checksum`: SHA-1 or SHA-256 in hexadecimal.

        Raises:
            DownloadFailed: it could not be had whole, in several tries; the copy of before is untouched.
        """
        target = self._folder / (name or _name(url))
        part = target.with_name(f"{target.name}.part")
        why, wait = "", 0.0
        failures = 0  # in a row, without a byte that is new
        while failures < TRIES:
            if failures:
                await asyncio.sleep(max(self._pause * 2 ** (failures - 1), wait))
            before = _size(part)
            try:
                if not await self._try(url, target, part):
                    return Fetched(path=target, file=_described(target), changed=False)
            except (httpx2.TransportError, _Cut) as error:
                why, wait = str(error) or type(error).__name__, getattr(error, "wait", 0.0)
                failures = 1 if _size(part) > before else failures + 1
                continue
            whole = await asyncio.to_thread(_unpacked, part)
            if checksum and _hash(whole, ALGORITHMS.get(len(checksum), "sha256")) != checksum.lower():
                why = "it has another checksum than the publisher gives"
                _forget(part)
                failures += 1
                continue
            return await asyncio.to_thread(self._keep, target, part, whole)
        raise DownloadFailed(f"{target.name} could not be downloaded from {_shown(url)}: {why}.")

    async def _try(self, url: str, target: Path, part: Path) -> bool:
        """Bring *part* to its end; False when the server says that nothing changed."""
        begun = _told(part)
        here = _size(part) if begun else 0
        validator = begun.get("etag") or begun.get("last_modified")
        if here and validator and not validator.startswith("W/"):
            headers = {"Range": f"bytes={here}-", "If-Range": validator}
        else:
            here = 0
            headers = _conditions(target)
        async with self._response(url, headers) as response:
            if response.status_code == 304:
                return False
            if response.status_code == 416:
                _forget(part)
                raise _Cut("the server does not go on from where it was cut off")
            expired = response.status_code == 403 and response.url != httpx2.URL(url)  # a signed address, for minutes
            if response.status_code in AGAIN or expired:
                raise _Cut(f"the server answers {response.status_code}", _asked_to_wait(response))
            if response.status_code not in (200, 206):
                raise DownloadFailed(
                    f"{target.name} is not at {_shown(url)}: the server answers {response.status_code}."
                )
            if response.status_code == 206 and not _goes_on(response, here):
                _forget(part)
                raise _Cut("the server sent another part than it was asked for")
            if (packing := response.headers.get("content-encoding", "identity")) not in {"identity", *PACKED}:
                raise DownloadFailed(f"{target.name} comes packed as {packing}, which nobody asked for.")
            if response.status_code == 200:
                here = 0
                _tell(part, response)
            await self._write(response, part, here)
            return True

    async def _write(self, response: httpx2.Response, part: Path, here: int) -> None:
        length = response.headers.get("content-length")
        total = here + int(length) if length and length.isdigit() else None
        with part.open("ab" if here else "wb") as stream:
            async for chunk in response.aiter_raw():
                stream.write(chunk)
                here += len(chunk)
                if here > MAX_BYTES:
                    raise DownloadFailed(f"{part.stem} is larger than {MAX_BYTES >> 20} MiB.")
                self._progress(part.stem, here, total)
        if total is not None and here != total:
            raise _Cut(f"{here} of {total} bytes came")

    @asynccontextmanager
    async def _response(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[httpx2.Response]:
        """The answer after all redirections, none of which may leave HTTPS (but on this machine)."""
        address = start = httpx2.URL(url)
        for _ in range(MAX_REDIRECTS):
            if address.scheme != "https" and not (_local(address.host) and _local(start.host)):
                raise DownloadFailed(f"{_shown(str(address))} is not HTTPS.")
            async with self._client.stream("GET", address, headers={**HEADERS, **headers}, timeout=TIMEOUT) as response:
                if not response.has_redirect_location:
                    yield response
                    return
                try:
                    address = address.join(response.headers["location"])
                except httpx2.InvalidURL as error:
                    raise DownloadFailed(f"{_shown(url)} is redirected to what is no address.") from error
        raise DownloadFailed(f"{_shown(url)} is redirected without end.")

    def _keep(self, target: Path, part: Path, whole: Path) -> Fetched:
        """Put a complete download in its place."""
        told = {**_told(part), "sha256": _hash(whole, "sha256")}
        before = _told(target).get("sha256") if target.exists() else None
        with whole.open("rb") as stream:
            os.fsync(stream.fileno())
        _sidecar(target).unlink(missing_ok=True)  # so that a crash leaves a file of which nothing is claimed
        whole.replace(target)
        _sidecar(target).write_text(json.dumps(told), encoding="utf-8")
        _forget(part)
        return Fetched(path=target, file=_described(target), changed=told["sha256"] != before)


def _unpacked(part: Path) -> Path:
    """The file as its publisher made it, where a server packed it on the way unasked; else *part* itself.

    Raises:
        DownloadFailed: it cannot be unpacked.
    """
    if _told(part).get("packing") not in PACKED:
        return part
    whole = part.with_suffix(".unpacked")
    try:
        with opened(part) as packed, whole.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    except (ListUnreadable, zlib.error) as error:
        _forget(part)
        raise DownloadFailed(f"{part.stem} came packed and cannot be unpacked.") from error
    return whole


def _asked_to_wait(response: httpx2.Response) -> float:
    """Seconds that the server asks for, as far as we are patient. A date instead of seconds is not read."""
    asked = response.headers.get("retry-after", "")
    return min(float(asked), LONGEST_WAIT) if asked.isdecimal() else 0.0


def _goes_on(response: httpx2.Response, here: int) -> bool:
    return bool(here) and str(response.headers.get("content-range", "")).startswith(f"bytes {here}-")


def _conditions(target: Path) -> dict[str, str]:
    told = _told(target) if target.exists() else {}
    headers = {"If-None-Match": told.get("etag", ""), "If-Modified-Since": told.get("last_modified", "")}
    return {name: value for name, value in headers.items() if value}


def _forget(part: Path) -> None:
    for path in (part, _sidecar(part), part.with_suffix(".unpacked")):
        path.unlink(missing_ok=True)


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _told(path: Path) -> dict[str, str]:
    """What the server said of a file; nothing when that is not known."""
    try:
        found = json.loads(_sidecar(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _tell(path: Path, response: httpx2.Response) -> None:
    told = {
        "etag": response.headers.get("etag"),
        "last_modified": response.headers.get("last-modified"),
        "packing": response.headers.get("content-encoding"),
    }
    _sidecar(path).write_text(json.dumps({key: value for key, value in told.items() if value}), encoding="utf-8")


def _described(path: Path) -> SourceFile:
    told = _told(path)
    return SourceFile(
        role="main",
        name=path.name,
        sha256=told.get("sha256") or _hash(path, "sha256"),
        size=path.stat().st_size,
        etag=told.get("etag"),
        last_modified=told.get("last_modified"),
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _name(url: str) -> str:
    """The last part of the path, as the name of a file."""
    last = httpx2.URL(url).path.rstrip("/").rpartition("/")[2]
    return "".join(mark if mark.isalnum() or mark in "._-" else "_" for mark in last).lstrip(".") or "list"


def _shown(url: str) -> str:
    """An address without its query, which may hold a token."""
    address = httpx2.URL(url)
    return f"{address.scheme}://{address.host}{address.path}"


def _local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
