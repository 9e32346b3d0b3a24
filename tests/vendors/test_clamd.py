"""The scanner, on a real clamd: what it lets through, what it stops, and that nothing passes when it is not there."""

import asyncio
import io
import os
import struct
from collections.abc import AsyncIterator, Iterator
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from kyc_service.application.files import FileInfected, FileNotScannable, ScannerUnavailable
from kyc_service.vendors.clamd import Address, Clamd, ScannerUrlUnknown, address
from tests.clamd import EICAR, LIMIT, Daemon, daemon


@pytest.fixture(scope="module")
def running() -> Iterator[Daemon]:
    """A clamd of this module's own."""
    with daemon() as clamd:
        yield clamd


async def pieces(content: bytes, size: int = 4096) -> AsyncIterator[bytes]:
    for begin in range(0, len(content), size):
        yield content[begin : begin + size]


async def scanned(url: str, content: bytes, *, seconds: float = 20) -> bytes:
    return b"".join([chunk async for chunk in Clamd(address(url), seconds=seconds).watch(pieces(content))])


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        archive.writestr("test.com", content)
    return out.getvalue()


async def test_a_clean_file_passes_unchanged_on_both_kinds_of_socket(running: Daemon) -> None:
    content = os.urandom(300_000)
    assert await scanned(running.tcp, content) == content
    assert await scanned(running.socket, content) == content
    assert await scanned(running.tcp, b"") == b""


@pytest.mark.parametrize(
    "content",
    [EICAR, b"%PDF-1.4\n1 0 obj<<>>endobj\n" + EICAR, zipped(EICAR), bytes(200_000) + EICAR],
    ids=["itself", "in a PDF", "in an archive", "far behind"],
)
async def test_malware_is_found_before_the_end_is_reached(running: Daemon, content: bytes) -> None:
    with pytest.raises(FileInfected):
        await scanned(running.tcp, content)


async def test_a_file_beyond_the_limit_of_the_scanner_is_not_taken_in(running: Daemon) -> None:
    with pytest.raises(FileNotScannable):
        await scanned(running.socket, bytes(LIMIT * 3))


async def test_many_files_are_scanned_side_by_side(running: Daemon) -> None:
    contents = [os.urandom(50_000) for _ in range(8)]
    assert await asyncio.gather(*(scanned(running.tcp, content) for content in contents)) == contents


async def test_a_fault_of_the_upload_stays_what_it_is(running: Daemon) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"begun"
        raise ConnectionResetError("the client hung up")

    with pytest.raises(ConnectionResetError, match="the client hung up"):
        async for _ in Clamd(address(running.tcp), seconds=5).watch(broken()):
            pass


async def test_the_scanner_says_its_version(running: Daemon) -> None:
    assert (await Clamd(address(running.tcp), seconds=5).version()).startswith("ClamAV ")


async def test_nobody_at_the_address_is_an_outage(unused_tcp_port: int) -> None:
    for url in (f"clamd://127.0.0.1:{unused_tcp_port}", "clamd:///nowhere/clamd.ctl"):
        with pytest.raises(ScannerUnavailable):
            await scanned(url, b"hello")


@pytest.mark.parametrize(
    "answer", [b"", b"stream: OK", b"UNKNOWN COMMAND\0", b"stream: OK FOUND OK\0", b"x" * 10_000, b"\0"]
)
async def test_an_answer_that_is_no_verdict_lets_nothing_pass(unused_tcp_port: int, answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not (await reader.read(65536)).endswith(struct.pack(">I", 0)):
            pass
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", unused_tcp_port):
        with pytest.raises(ScannerUnavailable):
            await scanned(f"clamd://127.0.0.1:{unused_tcp_port}", b"hello")


@pytest.mark.parametrize("content", [b"hello", bytes(64 << 20)], ids=["silent", "never reads"])
async def test_a_scanner_that_hangs_is_not_waited_for(unused_tcp_port: int, content: bytes) -> None:
    over = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.transport.abort()

    async with await asyncio.start_server(hang, "127.0.0.1", unused_tcp_port):
        with pytest.raises(ScannerUnavailable):
            await scanned(f"clamd://127.0.0.1:{unused_tcp_port}", content, seconds=0.5)
        over.set()


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("clamd://scanner", Address(host="scanner")),
        ("clamd://[::1]:99", Address(host="::1", port=99)),
        ("clamd:///run/clamav/clamd.ctl", Address(path="/run/clamav/clamd.ctl")),
        ("unix:///run/a%20b", Address(path="/run/a b")),
    ],
)
def test_an_address_is_a_host_or_a_socket(url: str, where: Address) -> None:
    assert address(url) == where


@pytest.mark.parametrize(
    "url",
    ["", "scanner:3310", "http://scanner", "clamd://", "clamd://a/b", "clamd://a:port", "clamd://u:p@a", "unix://a/b"],
)
def test_anything_else_is_no_address(url: str) -> None:
    with pytest.raises(ScannerUrlUnknown):
        address(url)
