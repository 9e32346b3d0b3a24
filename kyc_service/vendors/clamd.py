"""ClamAV's daemon: every upload passes it on its way to the store, in the INSTREAM protocol of clamd(8).

The file is never whole in memory and never on a disk: each chunk goes to the scanner and to the encrypting store side
by side, and the store only keeps what the scanner has called clean. A scanner that is down, slow, full or garbled lets
nothing through.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from urllib.parse import unquote, urlsplit

import structlog

from kyc_service.application.files import FileInfected, FileNotScannable, ScannerUnavailable
from kyc_service.domain.record import record

log = structlog.get_logger("kyc.scanner")

PORT = 3310
CONNECTING = 5.0
LONGEST_REPLY = 4096
PIECE = 1 << 16
END = bytes(4)  # a piece of no length
CLEAN = "stream: OK"


class ScannerUrlUnknown(ValueError):
    """A scanner is given as clamd://host:port, clamd://[address]:port or clamd:///path/of/the/socket."""


@record
class Address:
    """Where clamd listens: a host and a port, or the path of a socket."""

    host: str | None = None
    port: int = PORT
    path: str | None = None


def address(url: str) -> Address:
    """The address in a URL such as `clamd://localhost:3310` or `clamd:///run/clamav/clamd.ctl`.

    Raises:
        ScannerUrlUnknown: it is neither.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or PORT
    except ValueError as error:
        raise ScannerUrlUnknown from error
    if parts.scheme not in {"clamd", "unix"} or parts.query or parts.fragment or parts.username or parts.password:
        raise ScannerUrlUnknown
    if parts.scheme == "clamd" and parts.hostname and parts.path in {"", "/"}:
        return Address(host=parts.hostname, port=port)
    if not parts.netloc and len(parts.path) > 1:
        return Address(path=unquote(parts.path))
    raise ScannerUrlUnknown


class Clamd:
    """Keeps the promise of `application.files.Scanner` with a clamd somewhere near."""

    def __init__(self, where: Address, *, seconds: float) -> None:
        self._where = where
        self._seconds = seconds

    async def watch(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The same chunks; the end is only reached when clamd has called all of them clean."""
        async with self._connected() as connection:
            taken = await self._sent(connection, b"zINSTREAM\0")
            async for chunk in chunks:
                for begin in range(0, len(chunk), PIECE):
                    piece = chunk[begin : begin + PIECE]
                    taken = taken and await self._sent(connection, len(piece).to_bytes(4, "big") + piece)
                if not taken:
                    break
                yield chunk
            else:
                await self._sent(connection, END)
            _judge(await self._reply(connection))

    async def version(self) -> str:
        """The version of clamd and of its signatures.

        Raises:
            ScannerUnavailable: nobody answers.
        """
        async with self._connected() as connection:
            await self._sent(connection, b"zVERSION\0")
            return await self._reply(connection)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[socket.socket]:
        """A connection for one command.

        A plain socket and no stream: asyncio's streams forget an answer that is there to be read when they fail to
        write, and clamd answers before it hangs up on a file that is too large for it.
        """
        try:
            async with asyncio.timeout(CONNECTING):
                connection = await self._dialled()
        except (OSError, TimeoutError) as error:
            raise self._outage(error) from error
        with connection:
            yield connection

    async def _dialled(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        if self._where.path:
            return await _connection(socket.AF_UNIX, self._where.path)
        found = await loop.getaddrinfo(self._where.host, self._where.port, type=socket.SOCK_STREAM)
        for family, _, _, _, place in found[:-1]:
            with contextlib.suppress(OSError):
                return await _connection(family, place)
        return await _connection(found[-1][0], found[-1][4])

    async def _sent(self, connection: socket.socket, content: bytes) -> bool:
        """Whether clamd took it: one that has enough says so and hangs up, and its answer is still to be read."""
        try:
            async with asyncio.timeout(self._seconds):
                await asyncio.get_running_loop().sock_sendall(connection, content)
        except TimeoutError as error:
            raise self._outage(error) from error
        except OSError:
            return False
        return True

    async def _reply(self, connection: socket.socket) -> str:
        reply = b""
        try:
            async with asyncio.timeout(self._seconds):
                while not reply.endswith(b"\0"):
                    more = await asyncio.get_running_loop().sock_recv(connection, LONGEST_REPLY)
                    reply += more
                    if not more or len(reply) > LONGEST_REPLY:
                        raise self._outage(EOFError())
        except (OSError, TimeoutError) as error:
            raise self._outage(error) from error
        return reply.rstrip(b"\0\n").decode("utf-8", "replace")

    def _outage(self, error: Exception) -> ScannerUnavailable:
        log.error("scanner_unavailable", error=type(error).__name__)
        return ScannerUnavailable()


def _judge(reply: str) -> None:
    """Let only the one good answer pass."""
    if reply == CLEAN:
        return
    if reply.endswith(" FOUND"):
        log.warning("file_infected", signature=reply.removeprefix("stream: ").removesuffix(" FOUND"))
        raise FileInfected
    if "size limit exceeded" in reply:
        log.error("scanner_limit", cure="raise StreamMaxLength of clamd to KYC_MAX_FILE_BYTES")
        raise FileNotScannable
    log.error("scanner_unavailable", error="unexpected answer")
    raise ScannerUnavailable


async def _connection(family: int, place: str | tuple[object, ...]) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, place)
    except BaseException:
        connection.close()
        raise
    return connection
