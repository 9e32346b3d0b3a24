r"""Files of any size at rest: the KYCB container, and the folder or bucket that keeps such containers.

KYCB version 1 is the STREAM construction over 64 KiB chunks of AES-256-GCM:

    header   "KYCB"  version 1  suite 1  log2 of chunk size (2 B)  salt (32 B)  nonce prefix (7 B)  commitment (32 B)
    keys     file key ‖ commitment = HKDF-SHA256(data key, salt, "kyc/blob/v1\0" ‖ first 8 header bytes ‖ context)
    chunk i  AES-256-GCM, nonce = prefix ‖ i (4 B) ‖ last (1 B), associated data = the header for chunk 0, else nothing

Numbers are big-endian. The counter and the mark of the last chunk make every cut, swap and extension fail; the
commitment makes a wrong key or context fail before anything is decrypted. Chunk i starts at 79 + i · (size + 16), so a
range is read without what precedes it. Every chunk but the last is full, and the last is empty in an empty file alone.
"""

import asyncio
import hashlib
import hmac
import os
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import UUID

import obstore
from nacl.bindings import crypto_aead_aes256gcm_encrypt
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, S3Store

from kyc_service.application.keys import Owner
from kyc_service.application.ports import FilesUnavailable
from kyc_service.domain.record import record
from kyc_service.privacy.sealing import (
    KEY_BYTES,
    TAG_BYTES,
    DataKey,
    DecryptionError,
    PrivacyError,
    associated_data,
    decipher,
    hkdf,
)

if TYPE_CHECKING:
    from obstore import AsyncWritableFile
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

MAGIC, VERSION, SUITE = b"KYCB", 1, 1
LOG2_CHUNK = 16  # 64 KiB: libsodium's binding copies, and larger chunks cost it page faults
SMALLEST_LOG2, LARGEST_LOG2 = 10, 22
_FIXED = struct.Struct(">4sBBH")
_HEADER = struct.Struct(">4sBBH32s7s32s")
_COUNTER = struct.Struct(">IB")
HEADER_BYTES = _HEADER.size

PART_BYTES = 5 * 1024 * 1024  # the smallest part that S3 takes; a smaller file is one request
READ_BYTES = 1024 * 1024
READ_SECONDS = 20.0  # what a store may take to give as much, or to delete a file
S3_RETRY: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
S3_CLIENT: "ClientConfig" = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(minutes=5)}

Read = Callable[[int, int], Awaitable[bytes]]
Entropy = Callable[[int], bytes]
T = TypeVar("T")


class TamperError(DecryptionError):
    """The file was changed, cut short, or belongs to another place or key."""


class BlobMissing(PrivacyError):
    """There is no file at this path."""


class BlobStoreFailed(PrivacyError, FilesUnavailable):
    """The store of the files did not do what it was asked."""


class UnknownBlobUrl(PrivacyError):
    """The address of the blob store is neither `file:///folder` nor `s3://bucket/prefix`."""


@record
class _Header:
    """An opened header: what the chunks after it need."""

    raw: bytes
    key: bytes
    prefix: bytes
    chunk_bytes: int

    def __repr__(self) -> str:
        return f"_Header(chunk_bytes={self.chunk_bytes}, ***)"

    def nonce(self, index: int, *, last: bool) -> bytes:
        """The nonce of one chunk; beyond 2³² chunks (256 TiB) `struct` refuses."""
        return self.prefix + _COUNTER.pack(index, last)

    def bound(self, index: int) -> bytes:
        """The associated data of one chunk."""
        return b"" if index else self.raw

    def opened(self, sealed: bytes, index: int, *, last: bool) -> bytes:
        """One chunk in the clear, verified."""
        try:
            plain = decipher(sealed, self.bound(index), self.nonce(index, last=last), self.key)
        except DecryptionError as error:
            raise TamperError(f"Chunk {index} of the file was changed, moved or cut short.") from error
        if last and index and not plain:
            raise TamperError("The file ends with an empty chunk, which no writer of this format leaves.")
        return plain


class _Blocks:
    """Cuts a stream into blocks of one size, and holds the last one back: only the end tells which one is last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pieces: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The blocks that are certainly not the last; whoever asks must take them all."""
        start = 0
        if self._held:
            start = min(self._size - self._held, len(data))
            if start:
                self._hold(data[:start])
            if start == len(data):
                return
            yield self.rest()
        while len(data) - start > self._size:
            yield data[start : start + self._size]
            start += self._size
        if start < len(data):
            self._hold(data[start:])

    def rest(self) -> bytes:
        """What is held back; nothing is held after that."""
        block = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        return block

    def _hold(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._held += len(piece)


class Sealer:
    """Writes one container: `feed` it the file in pieces of any size, then `finish`.

    *entropy* is for test vectors; with fixed bytes two files would share a key and nonces.
    """

    def __init__(
        self, key: DataKey, context: bytes, *, log2_chunk: int = LOG2_CHUNK, entropy: Entropy = os.urandom
    ) -> None:
        salt, prefix = entropy(32), entropy(7)
        fixed = _FIXED.pack(MAGIC, VERSION, SUITE, log2_chunk)
        file_key, commitment = _derive(key, salt, fixed, context)
        raw = _HEADER.pack(MAGIC, VERSION, SUITE, log2_chunk, salt, prefix, commitment)
        self._header = _Header(raw=raw, key=file_key, prefix=prefix, chunk_bytes=1 << log2_chunk)
        self._blocks = _Blocks(1 << log2_chunk)
        self._index = 0

    def __repr__(self) -> str:
        return f"Sealer({self._index} chunks, ***)"

    @property
    def header(self) -> bytes:
        """What the container begins with."""
        return self._header.raw

    def feed(self, data: bytes) -> list[bytes]:
        """The chunks that are complete now, to be written after the header."""
        return list(self.sealing(data))

    def sealing(self, data: bytes) -> Iterator[bytes]:
        """As `feed`, one chunk at a time; the next `feed` may follow only when all were taken."""
        for block in self._blocks.feed(data):
            yield self._seal(block, last=False)

    def finish(self) -> bytes:
        """The last chunk."""
        return self._seal(self._blocks.rest(), last=True)

    def _seal(self, block: bytes, *, last: bool) -> bytes:
        header, index = self._header, self._index
        self._index += 1
        return crypto_aead_aes256gcm_encrypt(block, header.bound(index), header.nonce(index, last=last), header.key)


class Opener:
    """Reads one container: `feed` it in pieces of any size, then `finish`; whatever comes out is verified.

    That nothing is missing at the end is known only after `finish`.
    """

    def __init__(self, key: DataKey, context: bytes) -> None:
        self._key = key
        self._context = context
        self._begun = b""
        self._opened: tuple[_Header, _Blocks] | None = None
        self._index = 0

    def __repr__(self) -> str:
        return f"Opener({self._index} chunks, ***)"

    def feed(self, data: bytes) -> list[bytes]:
        """The plaintext of the chunks that are complete now."""
        return list(self.opening(data))

    def opening(self, data: bytes) -> Iterator[bytes]:
        """As `feed`, one chunk at a time; the next `feed` may follow only when all were taken."""
        if self._opened is None:
            missing = HEADER_BYTES - len(self._begun)
            self._begun += data[:missing]
            data = data[missing:]
            if len(self._begun) < HEADER_BYTES:
                return
            header = _open_header(self._begun, self._key, self._context)
            self._opened = header, _Blocks(header.chunk_bytes + TAG_BYTES)
        header, blocks = self._opened
        for block in blocks.feed(data):
            yield self._open(header, block, last=False)

    def finish(self) -> bytes:
        """The plaintext of the last chunk, which proves that nothing is missing."""
        if self._opened is None:
            raise TamperError("The file is shorter than its header.")
        header, blocks = self._opened
        return self._open(header, blocks.rest(), last=True)

    def _open(self, header: _Header, block: bytes, *, last: bool) -> bytes:
        index = self._index
        self._index += 1
        return header.opened(block, index, last=last)


async def encrypt(chunks: AsyncIterator[bytes], key: DataKey, context: bytes) -> AsyncGenerator[bytes, None]:
    """The container of a file that comes in pieces.

    It runs where it is called: a chunk takes some 20 µs, less than it costs to hand it to a thread and back.
    """
    sealer = Sealer(key, context)
    yield sealer.header
    async for data in chunks:
        for piece in sealer.sealing(data):
            yield piece
    yield sealer.finish()


async def decrypt(chunks: AsyncIterator[bytes], key: DataKey, context: bytes) -> AsyncGenerator[bytes, None]:
    """The file in a container that comes in pieces; each is verified before it is given on."""
    opener = Opener(key, context)
    async for data in chunks:
        for piece in opener.opening(data):
            yield piece
    last = opener.finish()
    if last:
        yield last


async def open_range(
    read: Read, length: int, key: DataKey, context: bytes, *, start: int, stop: int
) -> AsyncGenerator[bytes, None]:
    """Bytes *start* to *stop* of a file whose container is *length* bytes long; `read(a, b)` gives bytes of it.

    Only the chunks that hold them are read, and each is verified. A range that ends before the last chunk does not
    prove that the container still has one: who needs that compares *length* with what was written.
    """
    if length < HEADER_BYTES + TAG_BYTES:
        raise TamperError("The file is shorter than its header.")
    header = _open_header(await read(0, HEADER_BYTES), key, context)
    sealed_bytes = header.chunk_bytes + TAG_BYTES
    chunks = -(-(length - HEADER_BYTES) // sealed_bytes)
    if length - HEADER_BYTES - (chunks - 1) * sealed_bytes < TAG_BYTES:
        raise TamperError("The file ends within a tag.")
    stop = min(stop, length - HEADER_BYTES - chunks * TAG_BYTES)
    if start >= stop:
        return
    ahead = max(1, READ_BYTES // header.chunk_bytes)
    end = -(-stop // header.chunk_bytes)
    for first in range(start // header.chunk_bytes, end, ahead):
        after = min(first + ahead, end)
        until = min(HEADER_BYTES + after * sealed_bytes, length)
        block = await read(HEADER_BYTES + first * sealed_bytes, until)
        for index in range(first, after):
            offset = (index - first) * sealed_bytes
            sealed = block[offset : offset + sealed_bytes]
            plain = header.opened(sealed, index, last=index == chunks - 1)
            begins = index * header.chunk_bytes
            yield plain[max(0, start - begins) : stop - begins]


def _open_header(raw: bytes, key: DataKey, context: bytes) -> _Header:
    magic, version, suite, log2_chunk, salt, prefix, commitment = _HEADER.unpack(raw)
    if (magic, version, suite) != (MAGIC, VERSION, SUITE) or not SMALLEST_LOG2 <= log2_chunk <= LARGEST_LOG2:
        raise TamperError("The file does not begin as a container of a known version.")
    file_key, expected = _derive(key, salt, raw[: _FIXED.size], context)
    if not hmac.compare_digest(commitment, expected):
        raise TamperError("The file was sealed under another key or for another place.")
    return _Header(raw=raw, key=file_key, prefix=prefix, chunk_bytes=1 << log2_chunk)


def _derive(key: DataKey, salt: bytes, fixed: bytes, context: bytes) -> tuple[bytes, bytes]:
    material = hkdf(key.secret, salt, b"kyc/blob/v1\0" + fixed + context, 2 * KEY_BYTES)
    return material[:KEY_BYTES], material[KEY_BYTES:]


# ── where containers are kept ─────────────────────────────────────────────────────────


@record
class S3Options:
    """How a bucket is reached; without an endpoint it is AWS, without credentials the machine's own are used."""

    endpoint: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: str | None = None

    def __repr__(self) -> str:
        return f"S3Options(endpoint={self.endpoint!r}, region={self.region!r}, ***)"


def blob_path(tenant: str, blob: UUID) -> str:
    """Where a file is kept. The path tells of no person, and a tenant's name in it is no path of its own making."""
    folder = hashlib.sha256(associated_data("kyc/blob-path/v1", tenant)).hexdigest()[:32]
    return f"t/{folder}/{blob.hex[:2]}/{blob}"


def blob_context(owner: Owner, blob: UUID) -> bytes:
    """What a file is bound to: its owner and its id."""
    return associated_data("kyc/blob/v1", owner.tenant, owner.subject, owner.data_class.value, blob)


class BlobStore:
    """Keeps files encrypted in a folder or bucket; nothing is ever there in the clear or half written.

    A store that does not answer a read or a deletion within *seconds* has failed.
    """

    def __init__(self, store: "ObjectStore", seconds: float = READ_SECONDS) -> None:
        self._store = store
        self._seconds = seconds

    async def put(self, path: str, chunks: AsyncIterator[bytes], key: DataKey, context: bytes) -> int:
        """Encrypt and store a file while it comes in; the stored size. If *chunks* raises, nothing is left behind.

        What is stored stays stored when the machine loses its power: a bucket promises that, a folder is asked for it.
        """
        written = 0
        try:
            async with self._upload(path) as writer, aclosing(_grouped(encrypt(chunks, key, context))) as pieces:
                async for piece in pieces:
                    with _translated(path):
                        await _seen_through(writer.write(piece))
                    written += len(piece)
            if isinstance(self._store, LocalStore):
                await self._on_disk(Path(str(self._store.prefix)), path)
        except asyncio.CancelledError:
            await self.delete(path)  # it was cancelled while the last request went through
            raise
        return written

    async def _on_disk(self, root: Path, path: str) -> None:
        try:
            with _translated(path):
                await _seen_through(asyncio.to_thread(_sync, root, path))
        except BlobStoreFailed:
            await self.delete(path)
            raise

    async def get(self, path: str, key: DataKey, context: bytes) -> AsyncGenerator[bytes, None]:
        """The file, each piece verified before it is given on; `TamperError` as soon as one is not what was written."""
        async with aclosing(decrypt(self._stored(path), key, context)) as pieces:
            async for piece in pieces:
                yield piece

    async def get_range(
        self, path: str, key: DataKey, context: bytes, *, start: int, stop: int
    ) -> AsyncGenerator[bytes, None]:
        """Bytes *start* to *stop* of the file, without reading what precedes them."""
        async with self._in_time(path):
            length = (await obstore.head_async(self._store, path))["size"]

        async def read(begin: int, end: int) -> bytes:
            return await self._range(path, begin, end)

        async with aclosing(open_range(read, length, key, context, start=start, stop=stop)) as pieces:
            async for piece in pieces:
                yield piece

    async def delete(self, path: str) -> None:
        """There is no file at *path* afterwards, whether there was one or not."""
        try:
            async with self._in_time(path):
                await obstore.delete_async(self._store, path)
        except BlobMissing:
            pass  # a folder says so, a bucket does not

    async def exists(self, path: str) -> bool:
        """Whether there is a file at *path*."""
        try:
            async with self._in_time(path):
                await obstore.head_async(self._store, path)
        except BlobMissing:
            return False
        return True

    @asynccontextmanager
    async def _upload(self, path: str) -> AsyncGenerator["AsyncWritableFile", None]:
        """A writer that is committed at the end, and given up if anything is raised before.

        A writer, and not `put_async` with a generator: when that is cancelled, its multipart upload stays. One part at
        a time, because only then is it known that none is on its way when the upload is given up.
        """
        with _translated(path):
            writer = obstore.open_writer_async(self._store, path, buffer_size=PART_BYTES, max_concurrency=1)
            await writer.__aenter__()
        try:
            yield writer
        except BaseException as error:
            await _seen_through(_give_up(writer, error))
            raise
        with _translated(path):
            await _seen_through(writer.close())

    async def _stored(self, path: str) -> AsyncGenerator[bytes, None]:
        async with self._in_time(path):
            result = await obstore.get_async(self._store, path)
        if isinstance(self._store, LocalStore):
            # Its stream reads 8 KiB at a time through a thread: ranges are 20 times as fast, and cost no requests here.
            length = result.meta["size"]
            for start in range(0, length, READ_BYTES):
                yield await self._range(path, start, min(start + READ_BYTES, length))
            return
        stream = result.stream(min_chunk_size=READ_BYTES)
        while True:
            async with self._in_time(path):
                data = await anext(stream, None)
            if data is None:
                return
            yield data

    async def _range(self, path: str, start: int, stop: int) -> bytes:
        async with self._in_time(path):
            return (await obstore.get_range_async(self._store, path, start=start, end=stop)).to_bytes()

    @asynccontextmanager
    async def _in_time(self, path: str) -> AsyncGenerator[None, None]:
        """One request to the store, which fails when it takes too long: a disk that is gone does not say so."""
        with _translated(path):
            async with asyncio.timeout(self._seconds):
                yield


def open_blob_store(url: str | None, folder: Path, s3: S3Options, seconds: float = READ_SECONDS) -> BlobStore:
    """The store at *url*: `file:///folder` or `s3://bucket/prefix`; without one, the local *folder*."""
    address = urlsplit(url or "")
    if not url or (address.scheme == "file" and not address.netloc and address.path):
        place = Path(url2pathname(address.path)) if url else folder
        _make_folder(place)
        return BlobStore(LocalStore(place), seconds)
    if address.scheme == "s3" and address.netloc:
        return BlobStore(_bucket(address.netloc, address.path.strip("/"), s3), seconds)
    raise UnknownBlobUrl("The address of the blob store is neither `file:///folder` nor `s3://bucket/prefix`.")


def _make_folder(place: Path) -> None:
    missing = [folder for folder in (place, *place.parents) if not folder.exists()]
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in missing:
        _sync_one(folder.parent)


def _sync(root: Path, path: str) -> None:
    """Have the file and its name in every folder on the way to *root* on the disk: `obstore` leaves that to chance."""
    file = root / path
    for step in (file, *file.parents):
        _sync_one(step)
        if step == root:
            return


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _bucket(name: str, prefix: str, s3: S3Options) -> S3Store:
    given = {
        "endpoint": s3.endpoint,
        "access_key_id": s3.access_key_id,
        "secret_access_key": s3.secret_access_key,
    }
    return S3Store(
        name,
        prefix=prefix or None,
        region=s3.region,
        client_options={**S3_CLIENT, "allow_http": (s3.endpoint or "").startswith("http://")},
        retry_config=S3_RETRY,
        **{option: value for option, value in given.items() if value},  # type: ignore[arg-type]  # a TypedDict, built
    )


async def _grouped(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The same bytes in pieces of about a megabyte, because each write crosses into another runtime and back."""
    group: list[bytes] = []
    size = 0
    async for piece in pieces:
        group.append(piece)
        size += len(piece)
        if size >= READ_BYTES:
            yield b"".join(group)
            group.clear()
            size = 0
    if group:
        yield b"".join(group)


async def _give_up(writer: "AsyncWritableFile", reason: BaseException) -> None:
    """Leave nothing of an upload. What fails here is not told: *reason* is the news.

    A part that arrives at a bucket after the upload was aborted opens it again, for ever. A write waits for the part on
    its way; as that byte may complete another part, a second one waits for that.
    """
    with suppress(BaseError, OSError):
        for _ in range(2):
            await writer.write(b"\0")
    with suppress(BaseError, OSError):
        await writer.__aexit__(type(reason), reason, reason.__traceback__)


async def _seen_through(step: Awaitable[T]) -> T:
    """The outcome of *step*. Cancelled, it waits for it all the same: only a request that has ended can be undone."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # asked for, so that it is not reported as forgotten
        raise


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise BlobMissing(f"There is no file at {path}.") from error
    except (BaseError, OSError) as error:
        raise BlobStoreFailed(f"The store of the files failed at {path}: {type(error).__name__}.") from error
