"""A message that ends whatever touches it, on RabbitMQ: it is parked in the end, and does no harm to any other."""

import asyncio
import struct

import pika
import pytest
from bus import Proxy, eventually
from crowdpay_contracts import COMMANDS, MEDIA_TYPE, PARKED
from letterbox import PACE, Sender, declared, listening
from nodes import RabbitNode

from kyc_service.messaging import amqp_intake
from kyc_service.messaging.intake import Pace
from kyc_service.messaging.letters import Answer, Fate, Letter

POISON = b"poison"
INNOCENT = 12


class Tabled(pika.BasicProperties):
    """With a table of headers that holds one entry, as it goes over the wire: clients write what they like."""

    def __init__(self, name: bytes, value: bytes) -> None:
        super().__init__()
        self._entry = bytes([len(name)]) + name + value

    def encode(self) -> list[bytes]:
        """Content type, headers and the mode of delivery."""
        flags = self.FLAG_CONTENT_TYPE | self.FLAG_HEADERS | self.FLAG_DELIVERY_MODE
        kind = MEDIA_TYPE.encode()
        table = struct.pack(">I", len(self._entry)) + self._entry
        return [struct.pack(">H", flags), bytes([len(kind)]), kind, table, b"\x02"]


STRANGE = {
    "a timestamp in microseconds": pika.BasicProperties(content_type=MEDIA_TYPE, timestamp=1_790_000_000_000_000),
    "an id that is no text": pika.BasicProperties(content_type=MEDIA_TYPE, message_id=b"\xff\xfe"),
    "a header whose name is no text": Tabled(b"\xff\xfe", b"V"),
    "a header that is no text": Tabled(b"x", b"S" + struct.pack(">I", 2) + b"\xff\xfe"),
    "a header with a number too large for most": Tabled(b"x", b"d" + struct.pack(">d", 1e300)),
}


class Clerks:
    """Carry out everything but the poison."""

    def __init__(self, fate: Fate = Fate.UNREADABLE) -> None:
        self._fate = fate
        self.innocent = 0  # deliveries of them

    async def __call__(self, letter: Letter) -> Answer:
        if letter.body == POISON:
            return Answer(fate=self._fate, status=400, media_type="", body=b"", headers={}, reason="json_invalid")
        self.innocent += 1
        await asyncio.sleep(0.01)
        return Answer(fate=Fate.DONE, status=200, media_type="application/json", body=b"{}", headers={})


def innocent(outside: Sender) -> None:
    """Put some good commands behind it."""
    for number in range(INNOCENT):
        outside.send(b"good", None, str(number))


@pytest.mark.parametrize("strange", STRANGE)
async def test_what_no_client_could_read_or_write_is_parked_and_holds_up_nobody(
    clean: RabbitNode, outside: Sender, strange: str
) -> None:
    with pika.BlockingConnection(pika.URLParameters(clean.url)) as connection:
        for _ in range(PACE.concurrency):
            connection.channel().basic_publish("", COMMANDS, POISON, STRANGE[strange])
    innocent(outside)
    async with listening(clean.url, Clerks()):
        await outside.answers(INNOCENT)
        await eventually(lambda: asyncio.sleep(0, outside.waiting(PARKED) == PACE.concurrency))
    assert outside.waiting(COMMANDS) == 0


async def test_what_ends_the_connection_costs_no_other_message_its_deliveries(
    clean: RabbitNode, outside: Sender
) -> None:
    proxy = Proxy(clean.port)
    await proxy.open()
    clerks = Clerks()

    async def carry_out(letter: Letter) -> Answer:
        if letter.body == POISON:
            proxy.cut()
        return await clerks(letter)

    outside.send(POISON, None)
    innocent(outside)
    async with listening(proxy.url, carry_out):
        await outside.answers(INNOCENT)
        ((properties, body),) = await outside.answers(queue=PARKED)
    await proxy.close()
    assert (properties.headers["kyc-reason"], body) == ("delivered_too_often", POISON)
    assert clerks.innocent <= INNOCENT + PACE.concurrency  # those that were in hand at the first cut came twice


@pytest.mark.parametrize("fate", [Fate.FAILED, Fate.UNAVAILABLE])
async def test_what_fails_or_waits_is_tried_again_while_the_others_are_carried_out(
    clean: RabbitNode, outside: Sender, fate: Fate
) -> None:
    """Also when it was in somebody's hands before, and is taken alone."""
    outside.send(POISON, None)
    with pika.BlockingConnection(pika.URLParameters(clean.url)) as doomed:
        assert next(doomed.channel().consume(COMMANDS, inactivity_timeout=10))[0]
    innocent(outside)
    patient = Pace(concurrency=2, attempts=5, pause=60)
    async with listening(clean.url, Clerks(fate), patient):
        assert len(await outside.answers(INNOCENT)) == INNOCENT


async def test_a_sender_who_takes_no_answers_holds_up_nobody_else(clean: RabbitNode, outside: Sender) -> None:
    clerks = Clerks(Fate.DONE)
    with pika.BlockingConnection(pika.URLParameters(clean.url)) as connection:
        full = {"x-max-length": 1, "x-overflow": "reject-publish"}
        connection.channel().queue_declare("kyc.replies.full", arguments=full)
        connection.channel().basic_publish("", "kyc.replies.full", b"nobody reads this")
    outside.send(b"good", None, reply_to="kyc.replies.full")
    innocent(outside)
    async with listening(clean.url, clerks):
        await outside.answers(INNOCENT)
        ((properties, _),) = await outside.answers(queue=PARKED)
    assert properties.headers["kyc-reason"] == "answer_refused"
    assert clerks.innocent == INNOCENT + PACE.attempts
    with pika.BlockingConnection(pika.URLParameters(clean.url)) as connection:
        connection.channel().queue_delete("kyc.replies.full")


async def test_a_broker_whose_memory_is_full_costs_no_command_its_deliveries(
    clean: RabbitNode, outside: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ delivers then, and reads nothing from those who publish: no answer, and no acknowledgement either."""
    monkeypatch.setattr(amqp_intake, "PATIENCE", 0.2)
    clerks = Clerks()
    innocent(outside)
    await asyncio.to_thread(clean.control, "set_vm_memory_high_watermark", "0")
    try:
        async with listening(clean.url, clerks, Pace(concurrency=INNOCENT, attempts=1, hold=60)):
            await eventually(lambda: asyncio.sleep(0, clerks.innocent == INNOCENT))
            await asyncio.sleep(2)  # in which nothing is given up
            await asyncio.to_thread(clean.control, "set_vm_memory_high_watermark", "absolute", "1GB")
            assert len(await outside.answers(INNOCENT)) == INNOCENT
    finally:
        await asyncio.to_thread(clean.control, "set_vm_memory_high_watermark", "absolute", "1GB")
    assert (clerks.innocent, outside.waiting(PARKED)) == (INNOCENT, 0)


async def test_a_queue_that_is_deleted_is_declared_again(clean: RabbitNode, outside: Sender) -> None:
    async with listening(clean.url, Clerks()):
        outside.send(b"good", None)
        await outside.answers()
        with pika.BlockingConnection(pika.URLParameters(clean.url)) as connection:
            connection.channel().queue_delete(COMMANDS)
        await eventually(lambda: declared(clean.url))
        outside.send(b"good", None)
        await outside.answers()


async def test_a_token_is_parked_under_no_spelling_of_its_header(clean: RabbitNode, outside: Sender) -> None:
    with pika.BlockingConnection(pika.URLParameters(clean.url)) as connection:
        properties = pika.BasicProperties(headers={"Authorization": "Bearer secret", "kept": "1"})
        connection.channel().basic_publish("", COMMANDS, POISON, properties)
    async with listening(clean.url, Clerks()):
        ((properties, _),) = await outside.answers(queue=PARKED)
    assert set(properties.headers) == {"kept", "kyc-reason", "kyc-deliveries", "kyc-parked-at", "x-delivery-count"}
