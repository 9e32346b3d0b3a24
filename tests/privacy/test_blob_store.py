"""Encrypted files in a folder and in a real S3 bucket: the same promises on both."""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from kyc_service.privacy.blobs import (
    BlobMissing,
    BlobStore,
    BlobStoreFailed,
    S3Options,
    TamperError,
    UnknownBlobUrl,
    blob_path,
    open_blob_store,
)
from kyc_service.privacy.sealing import DataKey

Pieces = Callable[[bytes, int], AsyncIterator[bytes]]
Kept = Callable[[], dict[str, bytes]]

CONTEXT = b"tenant acme, file 1"
MULTIPART = 12 * 1024 * 1024  # more than two parts


@pytest.fixture
def path() -> str:
    return blob_path("acme", uuid4())


async def content(store: BlobStore, path: str, key: DataKey, context: bytes = CONTEXT) -> bytes:
    return b"".join([piece async for piece in store.get(path, key, context)])


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 300_000, MULTIPART])
async def test_a_stored_file_is_read_as_it_was(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces, kept: Kept, size: int
) -> None:
    plain = os.urandom(size)
    written = await blob_store.put(path, pieces(plain, 65536), key, CONTEXT)
    assert await content(blob_store, path, key) == plain
    assert {name: len(box) for name, box in kept().items()} == {path: written}


async def test_a_stored_file_survives_a_loss_of_power(
    tmp_path: Path, path: str, key: DataKey, pieces: Pieces, synced: list[tuple[Path, int]]
) -> None:
    """Its bytes and its name are on the disk, and so is the name of every folder that leads to it."""
    place = tmp_path / "new" / "blobs"
    store = open_blob_store(None, place, S3Options())
    assert {folder for folder, _ in synced} == {tmp_path, place.parent}
    synced.clear()
    size = await store.put(path, pieces(bytes(300_000), 65536), key, CONTEXT)
    file = place / path
    assert synced[0] == (file, size)  # whole by then
    folders = [folder for folder, _ in synced[1:]]
    assert folders == list(file.parents)[: len(Path(path).parts)]
    assert folders[-1] == place


async def test_a_disk_that_fails_keeps_nothing_and_promises_nothing(
    tmp_path: Path, path: str, key: DataKey, pieces: Pieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    store = open_blob_store(None, tmp_path, S3Options())
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(BlobStoreFailed):
        await store.put(path, pieces(bytes(1000), 65536), key, CONTEXT)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int]]:
    """What the kernel was asked to have on the disk, and its size at that moment."""
    asked: list[tuple[Path, int]] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        really(descriptor)
        asked.append((Path(f"/proc/self/fd/{descriptor}").readlink(), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    return asked


async def test_nothing_of_a_file_is_stored_in_the_clear(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces, kept: Kept
) -> None:
    await blob_store.put(path, pieces(b"passport of Alice " * 10_000, 5000), key, CONTEXT)
    assert b"Alice" not in kept()[path]


async def test_a_range_is_read_from_the_middle(blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces) -> None:
    plain = os.urandom(500_000)
    await blob_store.put(path, pieces(plain, 65536), key, CONTEXT)
    middle = [piece async for piece in blob_store.get_range(path, key, CONTEXT, start=70_000, stop=400_000)]
    assert b"".join(middle) == plain[70_000:400_000]


@pytest.mark.parametrize("size", [1000, MULTIPART], ids=["small", "multipart"])
async def test_an_upload_that_breaks_off_leaves_nothing_behind(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces, kept: Kept, size: int
) -> None:
    class TooLarge(Exception):
        """What the service raises when a file is larger than allowed."""

    async def breaking() -> AsyncIterator[bytes]:
        async for piece in pieces(bytes(size), 65536):
            yield piece
        raise TooLarge

    with pytest.raises(TooLarge):
        await blob_store.put(path, breaking(), key, CONTEXT)
    assert kept() == {}


async def test_a_connection_that_breaks_is_not_taken_for_a_failure_of_the_store(
    blob_store: BlobStore, path: str, key: DataKey, kept: Kept
) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await blob_store.put(path, breaking(), key, CONTEXT)
    assert kept() == {}


@pytest.mark.parametrize("size", [1000, MULTIPART], ids=["small", "multipart"])
async def test_a_cancelled_upload_leaves_nothing_behind(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces, kept: Kept, size: int
) -> None:
    stuck = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for piece in pieces(bytes(size), 65536):
            yield piece
        stuck.set()
        await asyncio.Event().wait()

    upload = asyncio.ensure_future(blob_store.put(path, endless(), key, CONTEXT))
    await stuck.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert kept() == {}


async def test_an_upload_cancelled_while_it_is_written_leaves_nothing_behind(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces, kept: Kept
) -> None:
    async def cancelled(after: int, delay: float) -> None:
        """An upload that is given up *delay* seconds after so many pieces."""

        async def source() -> AsyncIterator[bytes]:
            taken = 0
            async for piece in pieces(bytes(MULTIPART), 65536):
                taken += 1
                if taken == after:
                    asyncio.get_running_loop().call_later(delay, upload.cancel)
                yield piece
            await asyncio.Event().wait()

        upload = asyncio.ensure_future(blob_store.put(path, source(), key, CONTEXT))
        with pytest.raises(asyncio.CancelledError):
            await upload

    # The sixth megabyte begins the multipart upload: cancelled within that request, it must still be undone.
    for after in (81, 97, 113):
        for delay in (0, 0.0002, 0.0005, 0.001, 0.002, 0.004):
            await cancelled(after, delay)
    assert kept() == {}


async def test_an_upload_that_breaks_off_with_a_part_on_its_way_leaves_nothing_behind(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces, kept: Kept
) -> None:
    async def breaking(after: int) -> AsyncIterator[bytes]:
        async for piece in pieces(bytes(after * 65536), 65536):
            yield piece
        raise ConnectionResetError

    for after in range(82, 122, 2):  # around the sixth and seventh megabyte, where the first part is sent
        with pytest.raises(ConnectionResetError):
            await blob_store.put(path, breaking(after), key, CONTEXT)
    assert kept() == {}


@pytest.mark.parametrize("size", [1000, MULTIPART], ids=["small", "multipart"])
async def test_an_upload_cancelled_in_its_last_request_leaves_nothing_behind(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces, kept: Kept, size: int
) -> None:
    async def cancelled(delay: float) -> None:
        """An upload that is given up *delay* seconds after its last piece; it may be complete by then."""

        async def source() -> AsyncIterator[bytes]:
            async for piece in pieces(bytes(size), 65536):
                yield piece
            asyncio.get_running_loop().call_later(delay, upload.cancel)

        upload = asyncio.ensure_future(blob_store.put(path, source(), key, CONTEXT))
        await asyncio.wait([upload])
        if not upload.cancelled():
            assert await blob_store.exists(path)
            await blob_store.delete(path)

    for delay in (0, 0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008):
        await cancelled(delay)
    assert kept() == {}


async def test_a_second_file_at_a_path_replaces_the_first_whole(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces
) -> None:
    await blob_store.put(path, pieces(b"first" * 100_000, 65536), key, CONTEXT)
    await blob_store.put(path, pieces(b"second", 65536), key, CONTEXT)
    assert await content(blob_store, path, key) == b"second"


async def test_a_deleted_file_is_gone_and_deleting_again_changes_nothing(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces, kept: Kept
) -> None:
    await blob_store.put(path, pieces(b"Alice", 100), key, CONTEXT)
    assert await blob_store.exists(path)
    await blob_store.delete(path)
    await blob_store.delete(path)
    assert not await blob_store.exists(path)
    assert kept() == {}


async def test_a_missing_file_is_a_fact_with_a_name(blob_store: BlobStore, path: str, key: DataKey) -> None:
    with pytest.raises(BlobMissing):
        await content(blob_store, path, key)
    with pytest.raises(BlobMissing):
        await anext(blob_store.get_range(path, key, CONTEXT, start=0, stop=1))


@pytest.mark.parametrize("wrong", ["key", "context"])
async def test_a_file_opens_under_no_other_key_and_in_no_other_place(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces, wrong: str
) -> None:
    await blob_store.put(path, pieces(b"Alice", 100), key, CONTEXT)
    other = DataKey(id=key.id, secret=bytes(32)) if wrong == "key" else key
    with pytest.raises(TamperError):
        await content(blob_store, path, other, b"another" if wrong == "context" else CONTEXT)


async def test_a_file_changed_where_it_is_kept_is_noticed(
    tmp_path: Path, path: str, key: DataKey, pieces: Pieces
) -> None:
    store = open_blob_store(None, tmp_path / "blobs", S3Options())
    await store.put(path, pieces(bytes(200_000), 65536), key, CONTEXT)
    file = tmp_path / "blobs" / path
    changed = bytearray(file.read_bytes())
    changed[150_000] ^= 1
    file.write_bytes(changed)
    reading = store.get(path, key, CONTEXT)
    assert [await anext(reading), await anext(reading)] == [bytes(65536)] * 2
    with pytest.raises(TamperError, match="Chunk 2"):
        await anext(reading)


async def test_a_reader_that_goes_away_early_is_no_error(
    blob_store: BlobStore, path: str, key: DataKey, pieces: Pieces
) -> None:
    await blob_store.put(path, pieces(bytes(3_000_000), 65536), key, CONTEXT)
    reading = blob_store.get(path, key, CONTEXT)
    assert await anext(reading) == bytes(65536)
    await reading.aclose()


# ── how a store is opened ─────────────────────────────────────────────────────────────


def test_a_new_folder_is_open_to_its_owner_alone(tmp_path: Path) -> None:
    open_blob_store(None, tmp_path / "state" / "blobs", S3Options())
    assert stat.S_IMODE((tmp_path / "state" / "blobs").stat().st_mode) == 0o700


async def test_a_file_url_names_a_folder(tmp_path: Path, path: str, key: DataKey, pieces: Pieces) -> None:
    folder = tmp_path / "with space"
    store = open_blob_store(folder.as_uri(), tmp_path / "unused", S3Options())
    await store.put(path, pieces(b"Alice", 100), key, CONTEXT)
    assert (folder / path).is_file()
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("url", ["https://bucket", "s3:///prefix", "file://host/folder", "bucket", "file:"])
def test_an_address_that_is_no_store_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownBlobUrl):
        open_blob_store(url, tmp_path, S3Options())


async def test_two_prefixes_of_a_bucket_are_two_stores(
    s3_options: S3Options, bucket_url: str, tmp_path: Path, path: str, key: DataKey, pieces: Pieces
) -> None:
    one = open_blob_store(bucket_url + "/one", tmp_path, s3_options)
    other = open_blob_store(bucket_url + "/other", tmp_path, s3_options)
    await one.put(path, pieces(b"Alice", 100), key, CONTEXT)
    assert (await one.exists(path), await other.exists(path)) == (True, False)


async def test_a_bucket_refuses_wrong_credentials(
    s3_options: S3Options, bucket_url: str, tmp_path: Path, path: str, key: DataKey, pieces: Pieces
) -> None:
    store = open_blob_store(bucket_url, tmp_path, replace(s3_options, secret_access_key="another"))
    with pytest.raises(BlobStoreFailed) as refused:
        await store.put(path, pieces(b"Alice", 100), key, CONTEXT)
    assert "another" not in str(refused.value)


async def test_a_bucket_that_is_not_there_is_a_failure_of_the_store(
    bucket_url: str, tmp_path: Path, path: str, key: DataKey, pieces: Pieces, unused_tcp_port: int
) -> None:
    nobody = S3Options(endpoint=f"http://127.0.0.1:{unused_tcp_port}", access_key_id="a", secret_access_key="b")
    store = open_blob_store(bucket_url, tmp_path, nobody)
    with pytest.raises(BlobStoreFailed):
        await store.put(path, pieces(b"Alice", 100), key, CONTEXT)


async def test_a_bucket_that_accepts_and_never_answers_is_a_failure_of_the_store(
    tmp_path: Path, path: str, key: DataKey
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:  # who connects is queued, and nobody ever looks
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        options = S3Options(endpoint=endpoint, access_key_id="a", secret_access_key="b")
        store = open_blob_store("s3://kyc/files", tmp_path, options, seconds=0.1)
        async with asyncio.timeout(20):
            for asked in (content(store, path, key), store.exists(path), store.delete(path)):
                with pytest.raises(BlobStoreFailed):
                    await asked


async def test_a_folder_that_hangs_is_a_failure_of_the_store(tmp_path: Path, path: str, key: DataKey) -> None:
    store = open_blob_store(None, tmp_path, S3Options(), seconds=0.1)
    (tmp_path / path).parent.mkdir(parents=True)
    os.mkfifo(tmp_path / path)
    try:
        async with asyncio.timeout(20):
            with pytest.raises(BlobStoreFailed):
                await content(store, path, key)
    finally:
        os.close(os.open(tmp_path / path, os.O_RDWR))
