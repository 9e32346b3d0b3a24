"""The container format, byte by byte, without any store."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kyc_service.application.keys import DataClass, Owner
from kyc_service.privacy.blobs import (
    HEADER_BYTES,
    Opener,
    Sealer,
    TamperError,
    blob_context,
    blob_path,
    decrypt,
    encrypt,
    open_range,
)
from kyc_service.privacy.sealing import TAG_BYTES, DataKey

Pieces = Callable[[bytes, int], AsyncIterator[bytes]]

CONTEXT = b"tenant acme, file 1"
SMALL = 10  # log2 of a chunk of 1 KiB: small files then have many chunks
CHUNK = 1 << SMALL
SEALED_CHUNK = CHUNK + TAG_BYTES
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1, 5 * CHUNK + 7]
CUTS = [1, 13, CHUNK, SEALED_CHUNK, 10**6]


def sealed(plain: bytes, key: DataKey, *, cut: int = 10**6, log2_chunk: int = SMALL) -> bytes:
    """The container of *plain*, which came in pieces of *cut* bytes."""
    sealer = Sealer(key, CONTEXT, log2_chunk=log2_chunk)
    chunks = [chunk for start in range(0, len(plain), cut) for chunk in sealer.feed(plain[start : start + cut])]
    return b"".join([sealer.header, *chunks, sealer.finish()])


def opened(container: bytes, key: DataKey, *, cut: int = 10**6, context: bytes = CONTEXT) -> bytes:
    """What is in *container*, which came in pieces of *cut* bytes."""
    opener = Opener(key, context)
    chunks = [chunk for start in range(0, len(container), cut) for chunk in opener.feed(container[start : start + cut])]
    return b"".join([*chunks, opener.finish()])


@pytest.mark.parametrize("written", CUTS)
@pytest.mark.parametrize("read", CUTS)
@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_back_however_it_was_cut(key: DataKey, size: int, written: int, read: int) -> None:
    plain = os.urandom(size)
    assert opened(sealed(plain, key, cut=written), key, cut=read) == plain


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(pieces=st.lists(st.binary(max_size=3000), max_size=6), cut=st.integers(1, 3000))
def test_pieces_of_any_sizes_make_one_file(key: DataKey, pieces: list[bytes], cut: int) -> None:
    sealer = Sealer(key, CONTEXT, log2_chunk=SMALL)
    chunks = [chunk for piece in pieces for chunk in sealer.feed(piece)]
    container = b"".join([sealer.header, *chunks, sealer.finish()])
    assert opened(container, key, cut=cut) == b"".join(pieces)


@pytest.mark.parametrize("size", SIZES)
def test_the_size_of_a_container_is_that_of_its_chunks(key: DataKey, size: int) -> None:
    chunks = max(1, -(-size // CHUNK))
    assert len(sealed(bytes(size), key)) == HEADER_BYTES + size + chunks * TAG_BYTES
    assert HEADER_BYTES == 79


def test_the_same_file_never_looks_the_same_twice(key: DataKey) -> None:
    one, other = sealed(bytes(5000), key), sealed(bytes(5000), key)
    assert one[:8] == other[:8]
    assert not {one[i : i + 16] for i in range(8, len(one), 16)} & {other[i : i + 16] for i in range(8, len(one), 16)}


async def test_streams_give_the_same_as_single_steps(key: DataKey, pieces: Pieces) -> None:
    plain = os.urandom(300_001)
    container = b"".join([chunk async for chunk in encrypt(pieces(plain, 7000), key, CONTEXT)])
    assert opened(container, key) == plain
    assert b"".join([chunk async for chunk in decrypt(pieces(container, 5000), key, CONTEXT)]) == plain


async def test_an_empty_file_gives_no_pieces(key: DataKey, pieces: Pieces) -> None:
    container = b"".join([chunk async for chunk in encrypt(pieces(b"", 1), key, CONTEXT)])
    assert [chunk async for chunk in decrypt(pieces(container, 100), key, CONTEXT)] == []


# ── tampering ─────────────────────────────────────────────────────────────────────────

PLAIN = os.urandom(3 * CHUNK + 100)
FIRST, SECOND, THIRD, END = (HEADER_BYTES + index * SEALED_CHUNK for index in range(4))

FORGERIES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "less than a header": lambda whole: whole[: HEADER_BYTES - 1],
    "a header alone": lambda whole: whole[:HEADER_BYTES],
    "less than a tag": lambda whole: whole[: HEADER_BYTES + 15],
    "one byte less": lambda whole: whole[:-1],
    "the last chunk missing": lambda whole: whole[:END],
    "the last two missing": lambda whole: whole[:THIRD],
    "the first missing": lambda whole: whole[:FIRST] + whole[SECOND:],
    "the middle missing": lambda whole: whole[:SECOND] + whole[THIRD:],
    "one byte more": lambda whole: whole + b"\0",
    "a chunk more": lambda whole: whole + whole[END:],
    "two chunks swapped": lambda whole: whole[:FIRST] + whole[SECOND:THIRD] + whole[FIRST:SECOND] + whole[THIRD:],
    "a chunk twice": lambda whole: whole[:SECOND] + whole[FIRST:],
    "the last chunk alone": lambda whole: whole[:FIRST] + whole[END:],
}


@pytest.mark.parametrize("cut", [17, 10**6])
@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_whatever_is_cut_moved_or_added_is_noticed(key: DataKey, forge: Callable[[bytes], bytes], cut: int) -> None:
    with pytest.raises(TamperError):
        opened(forge(sealed(PLAIN, key)), key, cut=cut)


def test_every_changed_bit_of_a_header_is_noticed(key: DataKey) -> None:
    container = sealed(b"", key)
    for position in range(len(container) * 8):
        changed = bytearray(container)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(TamperError):
            opened(bytes(changed), key)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=300)
@given(position=st.integers(0, (HEADER_BYTES + len(PLAIN) + 4 * TAG_BYTES) * 8 - 1))
def test_a_changed_bit_anywhere_is_noticed(key: DataKey, position: int) -> None:
    changed = bytearray(sealed(PLAIN, key))
    changed[position // 8] ^= 1 << position % 8
    with pytest.raises(TamperError):
        opened(bytes(changed), key)


def test_nothing_that_was_not_verified_is_given_out(key: DataKey) -> None:
    container = bytearray(sealed(PLAIN, key))
    container[SECOND + 5] ^= 1
    opening = Opener(key, CONTEXT).opening(bytes(container))
    assert next(opening) == PLAIN[:CHUNK]
    with pytest.raises(TamperError, match="Chunk 1"):
        next(opening)


def test_chunks_of_two_files_of_one_person_do_not_mix(key: DataKey) -> None:
    one, other = sealed(PLAIN, key), sealed(PLAIN, key)
    with pytest.raises(TamperError):
        opened(one[:SECOND] + other[SECOND:], key)


@pytest.mark.parametrize("wrong", ["key", "context"])
def test_a_wrong_key_or_place_fails_before_anything_is_decrypted(key: DataKey, wrong: str) -> None:
    other = DataKey(id=key.id, secret=bytes(32)) if wrong == "key" else key
    opener = Opener(other, b"another place" if wrong == "context" else CONTEXT)
    with pytest.raises(TamperError, match="under another key or for another place"):
        opener.feed(sealed(b"", key)[:HEADER_BYTES])


def test_an_empty_last_chunk_after_others_is_of_no_writer_of_ours(key: DataKey) -> None:
    sealer = Sealer(key, CONTEXT, log2_chunk=SMALL)
    first = sealer.feed(bytes(CHUNK) + b"\0")[0]
    sealer._blocks.rest()  # a writer that closes too late
    with pytest.raises(TamperError, match="empty chunk"):
        opened(sealer.header + first + sealer.finish(), key)


# ── ranges ────────────────────────────────────────────────────────────────────────────


async def ranged(container: bytes, key: DataKey, start: int, stop: int) -> tuple[bytes, list[tuple[int, int]]]:
    """A range of the file, and what was read of its container."""
    reads: list[tuple[int, int]] = []

    async def read(begin: int, end: int) -> bytes:
        reads.append((begin, end))
        return container[begin:end]

    pieces = open_range(read, len(container), key, CONTEXT, start=start, stop=stop)
    return b"".join([piece async for piece in pieces]), reads


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=200)
@given(size=st.sampled_from(SIZES), start=st.integers(0, 6 * CHUNK), stop=st.integers(0, 6 * CHUNK))
async def test_a_range_is_a_slice_of_the_file(key: DataKey, size: int, start: int, stop: int) -> None:
    plain = os.urandom(size)
    assert (await ranged(sealed(plain, key), key, start, stop))[0] == plain[start:stop]


async def test_a_range_reads_only_the_chunks_that_hold_it(key: DataKey) -> None:
    plain, reads = await ranged(sealed(PLAIN, key), key, CHUNK + 10, CHUNK + 20)
    assert plain == PLAIN[CHUNK + 10 : CHUNK + 20]
    assert reads == [(0, HEADER_BYTES), (SECOND, THIRD)]


async def test_a_long_range_is_read_a_megabyte_at_a_time(key: DataKey) -> None:
    plain = os.urandom(5 << 19)
    read, reads = await ranged(sealed(plain, key, log2_chunk=16), key, 1, 5 << 19)
    assert read == plain[1:]
    assert [end - begin for begin, end in reads] == [79, 16 * 65552, 16 * 65552, 8 * 65552]


async def test_a_range_that_reaches_the_end_notices_a_cut(key: DataKey) -> None:
    with pytest.raises(TamperError):
        await ranged(sealed(PLAIN, key)[:END], key, 0, len(PLAIN))


@pytest.mark.parametrize("length", [0, 10, HEADER_BYTES, HEADER_BYTES + 15])
async def test_a_range_of_a_fragment_is_refused(key: DataKey, length: int) -> None:
    with pytest.raises(TamperError):
        await ranged(sealed(PLAIN, key)[:length], key, 0, 1)


@pytest.mark.parametrize("extra", [1, 15])
async def test_a_range_of_a_container_that_ends_within_a_tag_is_refused(key: DataKey, extra: int) -> None:
    with pytest.raises(TamperError):
        await ranged(sealed(PLAIN, key)[: END + extra], key, 0, len(PLAIN))


# ── where a file is kept, and what it is bound to ─────────────────────────────────────


def test_a_path_tells_neither_the_tenant_nor_anything_else() -> None:
    blob = UUID("7b1e6c0e-5a2b-4c3d-8e9f-001122334455")
    path = blob_path("../acme", blob)
    folder, tenant, shard, name = path.split("/")
    assert (folder, shard, name) == ("t", "7b", str(blob))
    assert len(tenant) == 32
    assert int(tenant, 16)
    assert blob_path("globex", blob) != path


def test_a_file_is_bound_to_its_owner_and_its_id(owner: Owner) -> None:
    blob = uuid4()
    contexts = {
        blob_context(owner, blob),
        blob_context(owner, uuid4()),
        blob_context(replace(owner, tenant="globex"), blob),
        blob_context(replace(owner, subject=uuid4()), blob),
        blob_context(replace(owner, data_class=DataClass.BIOMETRIC), blob),
    }
    assert len(contexts) == 5
