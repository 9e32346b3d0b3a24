"""Commands over real brokers: answered, carried out once, and parked with a reason when nobody can carry them out."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pika
import psycopg
import pytest
from bus import Proxy, conforms, eventually
from crowdpay_contracts import COMMANDS, MEDIA_TYPE, PARKED, amend_command, encode_command, submit_command
from letterbox import PACE, Faulty, Sender, declared, listening
from nodes import RabbitNode

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.api.answers import Application, Problem
from kyc_service.api.mailbox import Mailbox
from kyc_service.bootstrap import App, build
from kyc_service.messaging.amqp_intake import AmqpIntake
from kyc_service.messaging.intake import ADDRESS, Pace
from kyc_service.messaging.letters import Answer, Fate, Letter
from kyc_service.settings import Settings
from kyc_service.store.applications import Page

Bearer: TypeAlias = Callable[..., str]


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    async with build(settings) as app:
        yield app


@pytest.fixture
def bearer(settings: Settings) -> Bearer:
    issuer = DevelopmentIssuer(settings)

    def header(*roles: str, tenant: str = "sandbox", lifetime: float = 600) -> str:
        token = issuer.issue(tenant, roles or ("submitter",), "u-1", "shop", timedelta(seconds=lifetime))
        return f"Bearer {token}"

    return header


def form(**replaced: Any) -> dict[str, Any]:
    return {"user_id": str(uuid4()), "email": "alice@example.com", "documents": [], **replaced}


@pytest.fixture
async def intake(clean: RabbitNode, app: App) -> AsyncIterator[AmqpIntake]:
    async with listening(clean.url, Mailbox(app).carry_out) as intake:
        yield intake


@pytest.fixture
async def sender(clean: RabbitNode, intake: AmqpIntake) -> AsyncIterator[Sender]:
    """Somebody who sends commands while the intake listens."""
    await eventually(lambda: declared(clean.url))
    sender = Sender(clean.url)
    yield sender
    sender.close()


async def test_a_submission_is_answered_with_the_application(app: App, sender: Sender, bearer: Bearer) -> None:
    sender.send(encode_command(submit_command(form(), id="1", source="/shop")), bearer(), correlation_id="mine")
    ((properties, body),) = await sender.answers()
    conforms("Application", body, properties.headers)
    application = Application.model_validate_json(body)
    assert (properties.content_type, properties.correlation_id) == ("application/json", "mine")
    assert properties.headers == {
        "status": 201,
        "location": f"/v1/kyc/applications/{application.id}",
        "etag": '"v1"',
    }
    assert (properties.delivery_mode, properties.expiration) == (1, "3600000")
    assert (await app.desk.get("sandbox", application.id)).person == {"email": "alice@example.com"}
    assert sender.waiting(PARKED) == 0


async def test_an_amendment_is_answered_and_the_message_id_stands_in_for_a_correlation(
    sender: Sender, bearer: Bearer
) -> None:
    sender.send(encode_command(submit_command(form(), id="1", source="/shop")), bearer())
    ((_, body),) = await sender.answers()
    application = UUID(json.loads(body)["id"])
    patch = amend_command(application, {"email": "bob@example.com"}, id="2", source="/shop", expected_version=1)
    sender.send(encode_command(patch), bearer(), "the-second")
    ((properties, body),) = await sender.answers()
    assert (properties.correlation_id, properties.headers["status"]) == ("the-second", 200)
    assert json.loads(body)["email"] == "bob@example.com"


async def test_an_answer_goes_straight_back_to_a_connection_that_has_no_queue(
    clean: RabbitNode, sender: Sender, bearer: Bearer
) -> None:
    def ask() -> bytes:
        with pika.BlockingConnection(pika.URLParameters(clean.url)) as connection:
            channel = connection.channel()
            answers = channel.consume("amq.rabbitmq.reply-to", auto_ack=True, inactivity_timeout=15)
            next(channel.consume("amq.rabbitmq.reply-to", auto_ack=True, inactivity_timeout=0.1))
            properties = pika.BasicProperties(
                reply_to="amq.rabbitmq.reply-to", content_type=MEDIA_TYPE, headers={"authorization": bearer()}
            )
            body = encode_command(submit_command(form(), id="1", source="/shop"))
            channel.basic_publish("", COMMANDS, body, properties)
            _, _, answer = next(answers)
            return answer or b""

    assert Application.model_validate_json(await asyncio.to_thread(ask)).version == 1


async def test_a_command_that_is_sent_twice_is_carried_out_once(app: App, sender: Sender, bearer: Bearer) -> None:
    command = encode_command(submit_command(form(), id="1", source="/shop"))
    for _ in range(10):
        sender.send(command, bearer())
    answers = await sender.answers(10)
    assert len({body for _, body in answers}) == 1
    assert len(await app.applications.page("sandbox", Page())) == 1


async def test_who_gave_an_address_is_told_the_problem_and_nothing_is_parked(sender: Sender, bearer: Bearer) -> None:
    sender.send(encode_command(submit_command(form(email="nobody"), id="1", source="/shop")), bearer())
    ((properties, body),) = await sender.answers()
    assert (properties.content_type, properties.headers) == ("application/problem+json", {"status": 422})
    conforms("Problem", body, properties.headers)
    problem = Problem.model_validate_json(body)
    assert (problem.code, [fault.pointer for fault in problem.errors or []]) == ("validation_failed", ["#/data/email"])
    assert sender.waiting(PARKED) == 0


async def test_what_nobody_would_be_told_is_parked_with_its_reason_and_without_its_token(
    sender: Sender, bearer: Bearer
) -> None:
    command = encode_command(submit_command(form(), id="1", source="/shop"))
    sender.send(command, bearer("reader"), reply_to=None)
    ((properties, body),) = await sender.answers(queue=PARKED)
    assert body == command
    conforms("ParkedCommand", body, properties.headers)
    assert properties.headers.pop("kyc-parked-at")
    assert properties.headers == {"kyc-reason": "forbidden", "kyc-deliveries": 1, "x-delivery-count": 0}
    assert (properties.message_id, properties.content_type) == ("1", MEDIA_TYPE)


@pytest.mark.parametrize("body", [b"nonsense", b'{"type": "KYC_DELETE"}'])
async def test_what_is_no_command_is_parked_and_blocks_nothing(sender: Sender, bearer: Bearer, body: bytes) -> None:
    for _ in range(PACE.concurrency * 3):
        sender.send(body, None, reply_to=None)
    sender.send(encode_command(submit_command(form(), id="1", source="/shop")), bearer())
    await sender.answers()
    parked = await sender.answers(PACE.concurrency * 3, queue=PARKED)
    assert {properties.headers["kyc-reason"] for properties, _ in parked} <= {"json_invalid", "validation_failed"}


async def test_nobody_chooses_the_queue_of_somebody_else_for_an_answer(
    app: App, sender: Sender, bearer: Bearer
) -> None:
    sender.send(encode_command(submit_command(form(), id="1", source="/shop")), bearer(), reply_to="payments")
    ((properties, _),) = await sender.answers(queue=PARKED)
    assert properties.headers["kyc-reason"] == "reply_address_refused"
    assert await app.applications.page("sandbox", Page()) == []


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("kyc.replies", True),
        ("kyc.replies.shop", True),
        ("amq.gen-Xa2R", True),
        ("amq.rabbitmq.reply-to.g1h2", True),
        ("kyc.repliesshop", False),
        ("my.kyc.replies.shop", False),
        ("kyc.replies.shop\npayments", False),
        ("kyc.commands", False),
        ("kyc.events.unrouted", False),
        ("amq.generic", False),
    ],
)
def test_an_address_is_one_for_answers_and_nothing_else(address: str, *, permitted: bool) -> None:
    assert bool(ADDRESS.fullmatch(address)) is permitted


async def test_an_answer_to_nobody_is_let_go(app: App, sender: Sender, bearer: Bearer) -> None:
    command = encode_command(submit_command(form(), id="1", source="/shop"))
    sender.send(command, bearer(), reply_to="kyc.replies.gone")

    async def carried_out() -> bool:
        return len(await app.applications.page("sandbox", Page())) == 1

    await eventually(carried_out)
    assert sender.waiting(PARKED) == 0


# ── what fails ────────────────────────────────────────────────────────────────────


async def test_what_fails_is_tried_again_and_parked_in_the_end(clean: RabbitNode, outside: Sender) -> None:
    faulty = Faulty(*[Fate.FAILED] * PACE.attempts)
    outside.send(b"x", None)
    async with listening(clean.url, faulty):
        ((properties, _),) = await outside.answers(queue=PARKED)
    assert properties.headers["kyc-reason"] == "internal_error"
    assert properties.headers["kyc-deliveries"] == PACE.attempts == len(faulty.letters)
    assert len(outside.taken()) == 1  # whoever asked was told once, and not at every attempt


async def test_a_failure_that_passes_is_forgotten(clean: RabbitNode, outside: Sender) -> None:
    faulty = Faulty(Fate.FAILED, Fate.FAILED)
    outside.send(b"x", None)
    async with listening(clean.url, faulty):

        async def over() -> bool:
            return len(faulty.letters) == 3

        await eventually(over)
    assert (outside.waiting(COMMANDS), outside.waiting(PARKED)) == (0, 0)


async def test_an_outage_is_waited_for_however_long_it_lasts(clean: RabbitNode, outside: Sender) -> None:
    """Longer than a message is held, and many more attempts than a failure gets; it comes back as it was."""
    faulty = Faulty(*[Fate.UNAVAILABLE] * 12)

    async def carry_out(letter: Letter) -> Answer:
        answer = await faulty(letter)
        return replace(answer, body=b"{}") if answer.fate is Fate.DONE else answer

    outside.send(b"x", "Bearer token", correlation_id="mine")
    async with listening(clean.url, carry_out):
        ((properties, _),) = await outside.answers()
    assert properties.correlation_id == "mine"
    assert {(letter.body, letter.authorization, letter.media_type) for letter in faulty.letters} == {
        (b"x", "Bearer token", MEDIA_TYPE)
    }
    assert (len(faulty.letters), outside.waiting(COMMANDS), outside.waiting(PARKED)) == (13, 0, 0)


async def test_what_takes_too_long_is_a_failure(clean: RabbitNode, outside: Sender) -> None:
    outside.send(b"x", None)
    async with listening(clean.url, Faulty(seconds=5), Pace(concurrency=1, attempts=1, limit=0.05)):
        ((properties, _),) = await outside.answers(queue=PARKED)
    assert properties.headers["kyc-reason"] == "too_slow"


async def test_what_kills_every_process_that_takes_it_is_parked_untouched(clean: RabbitNode, outside: Sender) -> None:
    outside.send(b"x", None)
    with pika.BlockingConnection(pika.URLParameters(clean.url)) as doomed:
        for _ in range(PACE.attempts):
            channel = doomed.channel()
            assert next(channel.consume(COMMANDS, inactivity_timeout=10))[0]
            channel.close()  # whoever took it is gone
    faulty = Faulty()
    async with listening(clean.url, faulty):
        ((properties, _),) = await outside.answers(queue=PARKED)
    assert properties.headers["kyc-reason"] == "delivered_too_often"
    assert faulty.letters == []


async def test_a_process_that_stops_finishes_what_it_holds(clean: RabbitNode, outside: Sender) -> None:
    faulty = Faulty(seconds=0.5)
    outside.send(b"x", None)
    async with listening(clean.url, faulty):

        async def begun() -> bool:
            return bool(faulty.letters)

        await eventually(begun)
    assert (outside.waiting(COMMANDS), outside.waiting(PARKED), len(faulty.letters)) == (0, 0, 1)


async def test_a_connection_that_is_cut_is_made_again_and_nothing_is_done_twice(
    clean: RabbitNode, outside: Sender, app: App, bearer: Bearer
) -> None:
    proxy = Proxy(clean.port)
    await proxy.open()
    async with listening(proxy.url, Mailbox(app).carry_out, Pace(concurrency=4)):
        for number in range(30):
            outside.send(encode_command(submit_command(form(), id=str(number), source="/shop")), bearer(), str(number))
            await asyncio.sleep(0.02)
            if number % 10 == 9:
                proxy.cut()

        told: dict[str, set[bytes]] = {}

        async def everybody_told() -> bool:
            for properties, body in outside.taken():
                told.setdefault(properties.correlation_id, set()).add(body)
            return len(told) == 30 and outside.waiting(COMMANDS) == 0

        await eventually(everybody_told, 40)
    await proxy.close()
    assert {len(bodies) for bodies in told.values()} == {1}
    assert len(await app.applications.page("sandbox", Page(limit=100))) == 30
    assert outside.waiting(PARKED) == 0


async def test_a_queue_of_another_kind_is_told_with_the_cure(clean: RabbitNode) -> None:
    from structlog.testing import capture_logs

    with pika.BlockingConnection(pika.URLParameters(clean.url)) as connection:
        connection.channel().queue_declare(COMMANDS, durable=True)
    with capture_logs() as logs:
        async with listening(clean.url, Faulty()):
            await eventually(lambda: asyncio.sleep(0.05, bool(logs)))
    assert "docs/commands.md" in logs[0]["why"]
    with pika.BlockingConnection(pika.URLParameters(clean.url)) as connection:
        connection.channel().queue_delete(COMMANDS)


async def test_no_personal_data_is_left_with_the_broker(
    clean: RabbitNode, sender: Sender, bearer: Bearer, dsn: str
) -> None:
    """But for what was parked, which is the sender's own message."""
    sender.send(encode_command(submit_command(form(email="canary@example.com"), id="1", source="/shop")), bearer())
    await sender.answers()
    assert (sender.waiting(COMMANDS), sender.waiting(PARKED)) == (0, 0)
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        for table in ("events", "applications", "idempotency", "inbox", "orders"):
            rows = await (await connection.execute(f"select t::text from {table} t")).fetchall()
            assert "canary" not in str(rows)


async def test_what_lies_parked_is_counted_until_somebody_takes_it(clean: RabbitNode, app: App) -> None:
    async def lies(number: int) -> bool:
        found = (await app.log.backlogs(["rabbitmq"]))["rabbitmq"]
        assert (found.parked_since is None) == (found.parked == 0)
        return found.parked == number

    await app.parked.report("rabbitmq", 7)  # as an earlier intake has left it
    async with listening(clean.url, Mailbox(app).carry_out, report=app.parked.report):
        await eventually(lambda: lies(0))
        sender = Sender(clean.url)
        sender.send(b"no command", None)
        await eventually(lambda: lies(1))
        sender.send(b"no command either", None)
        await eventually(lambda: lies(2))
    assert len(sender.taken(PARKED)) == 2
    sender.close()
    async with listening(clean.url, Mailbox(app).carry_out, report=app.parked.report):
        await eventually(lambda: lies(0))
