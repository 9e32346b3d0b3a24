"""What the tests of the bus have in common: somebody who writes events, and somebody who reads them from the broker."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import jsonschema  # type: ignore[import-untyped]  # it has no stubs here
import pika
from crowdpay_contracts.envelope import TOPIC, KycEvent, parse_event
from nodes import free_port

from kyc_service.api.asyncapi import document
from kyc_service.application.handle import Task, handle
from kyc_service.application.ids import new_id
from kyc_service.application.ports import Cause
from kyc_service.application.worker import Doorbell
from kyc_service.domain.application import (
    Document,
    Mode,
    RecordAnswer,
    RecordScreening,
    Sealed,
    SubmitApplication,
    Terms,
)
from kyc_service.domain.clearance import Basis, Hit, ListVersion, ScreeningTerms
from kyc_service.domain.findings import Verdict
from kyc_service.messaging.amqp import UNROUTED
from kyc_service.messaging.brokers import Broker, opened
from kyc_service.messaging.relay import Relay
from kyc_service.settings import RelayMode
from kyc_service.store.applications import Applications
from kyc_service.store.bells import Bells
from kyc_service.store.database import Database
from kyc_service.store.following import SLOT_AGAIN, Log

TERMS = Terms(
    mode=Mode.SANDBOX,
    uploaded_route=("builtin",),
    missing_route=("simulated",),
    max_resubmissions=3,
    resubmission=timedelta(days=14),
    completion=timedelta(days=30),
    answer=timedelta(hours=24),
)
SCREENED = replace(TERMS, screening=ScreeningTerms(review_from=0.5))
BASIS = Basis(engine="1", lists=(ListVersion(list="us_ofac_sdn", version="12"),), review_from=0.5)
CLEAR = RecordAnswer(check="1.1", vendor="simulated", verdict=Verdict.CLEAR, reasons=())


class Consumer:
    """Another team's service: plain pika, and the contract's own reader."""

    def __init__(self, url: str, binding: str | None = "#", kind: str = "quorum") -> None:
        self.url = url
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            channel.exchange_declare(UNROUTED, "fanout", durable=True)
            channel.exchange_declare(TOPIC, "topic", durable=True, arguments={"alternate-exchange": UNROUTED})
            channel.queue_declare("test", durable=True, arguments={"x-queue-type": kind})
            if binding is not None:
                channel.queue_bind("test", TOPIC, binding)

    def taken(self, queue: str = "test") -> list[tuple[pika.spec.Basic.GetOk, pika.BasicProperties, bytes]]:
        """Everything that is in the queue at the moment."""
        found = []
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            while True:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method is None:
                    return found
                found.append((method, properties, body))

    async def events(self, count: int, seconds: float = 20) -> list[KycEvent]:
        """The next *count* events, and what comes with them."""
        found: list[KycEvent] = []
        async with asyncio.timeout(seconds):
            while len(found) < count:
                found += [parse_event(body) for _, _, body in await asyncio.to_thread(self.taken)]
                await asyncio.sleep(0.02)
        return found


class Proxy:
    """A TCP way to the broker that can be cut and closed; it carries what was sent before in whatever pieces it got."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = free_port()
        self.cut_after: int | None = None  # bytes of the next connection that still get through

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Let connections through from now on; with *tls*, they are encrypted as far as here."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port, ssl=tls)

    async def close(self) -> None:
        """Cut every connection, and take no other."""
        if self._server:
            self._server.close()
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """Cut every connection in the middle of whatever it carries."""
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        await asyncio.gather(self._pump(reader, back, counted=True), self._pump(there, writer, counted=False))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, counted: bool) -> None:
        try:
            while piece := await source.read(4096):
                if counted and self.cut_after is not None:
                    self.cut_after -= len(piece)
                    if self.cut_after < 0:
                        self.cut_after = None
                        sink.write(piece[: len(piece) // 2])
                        await sink.drain()
                        self.cut()
                        return
                sink.write(piece)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


class Journal:
    """Applications that make something to tell, in the database *target*."""

    def __init__(self, database: Database, bells: Bells) -> None:
        self.database = database
        self.bells = bells
        self.applications = Applications(database, bells.grown)

    async def submit(self, tenant: str = "sandbox", terms: Terms = TERMS) -> UUID:
        """A person applies."""
        stream = new_id()
        document = Document(doc_type="PASSPORT", file_id=uuid4(), issued_country="NL", uploaded=False)
        person = Sealed(entry=new_id(), box=b"\x01\x01ciphertext")
        command = SubmitApplication(user_id=uuid4(), documents=(document,), terms=terms, person=person)
        await self._carry_out(command, stream, tenant)
        return stream

    async def verify(self, stream: UUID, tenant: str = "sandbox") -> None:
        """Their only check comes back clear."""
        await self._carry_out(CLEAR, stream, tenant)

    async def suspect(self, stream: UUID, *hits: Hit) -> None:
        """The lists are asked about somebody whose only check is clear, and may mean them."""
        await self._carry_out(RecordScreening(round=1, basis=BASIS, hits=hits), stream, "sandbox")

    async def _carry_out(
        self, command: SubmitApplication | RecordAnswer | RecordScreening, stream: UUID, tenant: str
    ) -> None:
        cause = Cause(actor="test", causation="request", correlation=str(stream))
        task = Task(tenant=tenant, stream=stream, command=command, cause=cause)
        await handle(self.applications, task, datetime.now(UTC), fresh=isinstance(command, SubmitApplication))


@asynccontextmanager
async def journal_of(target: str) -> AsyncIterator[Journal]:
    """A journal on the database *target*."""
    database = Database(target, size=10)
    await database.open()
    try:
        yield Journal(database, Bells(target, Doorbell()))
    finally:
        await database.close()


def conforms(name: str, body: bytes, headers: Mapping[str, Any] | None = None) -> None:
    """Whether what the broker holds is the message *name* of the AsyncAPI document."""
    components = document()["components"]
    message = components["messages"][name]
    jsonschema.Draft202012Validator({**message["payload"], "components": components}).validate(json.loads(body))
    if headers is not None:
        jsonschema.Draft202012Validator(message["headers"]).validate(dict(headers))


async def unreported(broker: str, waiting: int) -> None:
    """Nobody wants to know what lies parked."""


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Until it holds."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - it is somebody else who makes it hold
            await asyncio.sleep(0.02)


def per_application(events: Sequence[KycEvent]) -> dict[UUID, list[str]]:
    """The sequence numbers of each application, in the order of arrival, each at its first arrival only."""
    first = {event.id: event for event in events}
    found: dict[UUID, list[str]] = {}
    for event in dict.fromkeys(event.id for event in events):
        found.setdefault(first[event].subject, []).append(first[event].sequence)
    return found


@asynccontextmanager
async def relaying(
    journal: Journal, url: str, mode: RelayMode, name: str = "rabbitmq", slot_again: float = SLOT_AGAIN
) -> AsyncIterator[Log]:
    """A relay of *journal* to the broker at *url* that runs meanwhile."""
    database, bell = journal.database, journal.bells.reader
    log = Log(database=database, target=database.target, mode=mode, bell=bell, slot_again=slot_again)
    relay = Relay(name, "/kyc", partial(log.follow, name), partial(opened, Broker(name=name, url=url)))
    running = asyncio.create_task(relay.run())
    try:
        yield log
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
