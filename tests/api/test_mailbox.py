"""A command by message is what the same request over HTTP is, and a named command has one outcome."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import psycopg
import pytest
from crowdpay_contracts import MEDIA_TYPE, KycCommand, amend_command, encode_command, submit_command
from crowdpay_contracts.examples import AMEND, SUBMIT

from kyc_service.api import answers
from kyc_service.api.mailbox import Mailbox
from kyc_service.api.routes import LARGEST_BODY
from kyc_service.application.desk import Caller
from kyc_service.application.files import FileView
from kyc_service.bootstrap import App, build
from kyc_service.messaging.letters import Answer, Fate, Letter
from kyc_service.settings import Settings
from kyc_service.vendors.simulated import Magic, magic_file_id

Send: TypeAlias = Callable[..., Any]
Form: TypeAlias = Callable[..., dict[str, Any]]


@pytest.fixture
async def app(quiet: Settings) -> AsyncIterator[App]:
    async with build(quiet) as app:
        yield app


@pytest.fixture
def send(app: App, bearer: Callable[..., dict[str, str]]) -> Send:
    """Puts a command into the mailbox, under somebody's token."""
    mailbox = Mailbox(app)

    async def sent(command: KycCommand | bytes, authorization: str | None = None, **of: Any) -> Answer:
        given = authorization if authorization is not None else bearer(*of.pop("roles", ()), **of)["Authorization"]
        body = command if isinstance(command, bytes) else encode_command(command)
        return await mailbox.carry_out(Letter(body=body, media_type=MEDIA_TYPE, authorization=given))

    return sent


def submission(form: dict[str, Any], name: str = "1") -> KycCommand:
    return submit_command(form, id=name, source="/shop")


def amendment(application: str, patch: dict[str, Any], name: str = "2", expected: int | None = None) -> KycCommand:
    return amend_command(UUID(application), patch, id=name, source="/shop", expected_version=expected)


def told(answer: Answer) -> Any:
    return json.loads(answer.body)


async def test_a_submission_answers_with_the_application(app: App, send: Send, form: Form) -> None:
    answer = await send(submission(form()))
    assert (answer.fate, answer.status, answer.reason) == (Fate.DONE, 201, None)
    shown = answers.Application.model_validate_json(answer.body)
    assert answer.headers == {"location": f"/v1/kyc/applications/{shown.id}", "etag": '"v2"'}
    view = await app.desk.get("sandbox", shown.id)
    assert view.person == {"email": "alice@example.com"}


async def test_the_examples_of_the_contract_are_carried_out(send: Send) -> None:
    answer = await send(SUBMIT)
    assert (answer.status, told(answer)["email"]) == (201, "alice@example.com")
    missing = await send(AMEND)
    assert (missing.fate, missing.reason) == (Fate.REFUSED, "application_not_found")


async def test_the_same_command_again_is_the_same_outcome(app: App, send: Send, form: Form, dsn: str) -> None:
    command = submission(form())
    first, again = await send(command), await send(command)
    assert again.body == first.body
    assert (again.fate, again.headers["idempotent-replayed"]) == (Fate.DONE, "true")
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        assert await (await connection.execute("select count(*) from applications")).fetchone() == (1,)


async def test_the_same_name_for_another_command_is_refused(send: Send, form: Form) -> None:
    await send(submission(form()))
    answer = await send(submission(form()))
    assert (answer.fate, answer.reason) == (Fate.REFUSED, "idempotency_key_reused")


async def test_the_members_of_a_command_have_no_order(send: Send, form: Form) -> None:
    body = form()
    first = await send(submission(body))
    again = await send(submission(dict(reversed(body.items()))))
    assert again.body == first.body


async def test_a_name_is_the_source_and_the_id_together(send: Send, form: Form) -> None:
    body = form()
    first = await send(submit_command(body, id="1", source="/shop"))
    other = await send(submit_command(body, id="1", source="/bank"))
    assert told(first)["id"] != told(other)["id"]


async def test_a_name_belongs_to_one_client_of_one_tenant(send: Send, form: Form) -> None:
    command = submission(form())
    applications = {told(await send(command, client=client))["id"] for client in ("shop", "bank")}
    assert len(applications) == 2


async def test_a_name_cannot_be_an_idempotency_key_of_http(app: App, send: Send, form: Form, dsn: str) -> None:
    await send(submission(form()))
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        (key,) = await (await connection.execute("select key from idempotency")).fetchone() or ("",)
    assert key.startswith("ce ")
    assert "shop" not in key


async def test_an_amendment_is_applied_once(app: App, send: Send, form: Form) -> None:
    application = told(await send(submission(form(documents=[]))))["id"]
    bob = amendment(application, {"email": "bob@example.com"})
    changed = await send(bob)
    assert (changed.fate, changed.status, told(changed)["email"]) == (Fate.DONE, 200, "bob@example.com")
    await send(amendment(application, {"email": "carol@example.com"}, "3"))
    again = await send(bob)
    assert (again.body, again.headers["idempotent-replayed"]) == (changed.body, "true")
    assert (await app.desk.get("sandbox", UUID(application))).person == {"email": "carol@example.com"}


async def test_an_amendment_that_changed_nothing_is_remembered_too(app: App, send: Send, form: Form) -> None:
    application = told(await send(submission(form(documents=[]))))["id"]
    alice = amendment(application, {"email": "alice@example.com"})
    unchanged = await send(alice)
    assert told(unchanged)["version"] == 1
    await send(amendment(application, {"email": "carol@example.com"}, "3"))
    assert (await send(alice)).body == unchanged.body
    assert (await app.desk.get("sandbox", UUID(application))).person == {"email": "carol@example.com"}


async def test_an_amendment_again_is_answered_although_it_would_not_be_possible_any_more(
    send: Send, form: Form
) -> None:
    application = told(await send(submission(form(documents=[]))))["id"]
    document = {"doc_type": "PASSPORT", "file_id": str(magic_file_id(Magic.VERIFIED)), "issued_country": "NL"}
    started = amendment(application, {"documents": [document]}, expected=1)
    first = await send(started)
    assert told(first)["status"] == "IN_PROGRESS"
    assert (await send(started)).body == first.body
    late = await send(amendment(application, {"documents": []}, "3"))
    assert (late.fate, late.reason) == (Fate.REFUSED, "application_not_amendable")


async def test_only_the_version_that_was_seen_is_amended(send: Send, form: Form) -> None:
    application = told(await send(submission(form(documents=[]))))["id"]
    answer = await send(amendment(application, {"email": "bob@example.com"}, expected=7))
    assert (answer.fate, answer.reason, answer.status) == (Fate.REFUSED, "version_stale", 412)


async def test_a_refusal_stays_a_refusal(app: App, send: Send, form: Form) -> None:
    early = amendment(str(uuid4()), {"email": "bob@example.com"})
    first = await send(early)
    again = await send(early)
    assert (again.fate, again.reason) == (Fate.REFUSED, "application_not_found")
    assert again.body == first.body
    assert again.headers == {"idempotent-replayed": "true"}
    reused = await send(amendment(str(uuid4()), {"email": "bob@example.com"}))
    assert reused.reason == "idempotency_key_reused"


async def test_a_live_tenant_is_refused_once_and_for_all_what_http_refuses(send: Send, form: Form, dsn: str) -> None:
    command = submission(form())
    first = await send(command, tenant="acme")
    assert (first.fate, first.reason, first.status) == (Fate.REFUSED, "document_missing", 422)
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute("select i::text from inbox i")).fetchone()
    assert row
    assert "alice" not in row[0]
    assert "/shop" not in row[0]


async def test_the_file_of_another_person_is_refused_once_and_for_all(
    app: App, send: Send, form: Form, picture: bytes
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield picture

    caller = Caller(tenant="sandbox", client="shop", actor="anna", request="r-1")
    file = await app.cabinet.upload(caller, "image/jpeg", chunks())
    assert isinstance(file, FileView)
    documents = [{"doc_type": "PASSPORT", "file_id": str(file.id), "issued_country": "NL"}]
    assert (await send(submission(form(documents=documents)))).fate is Fate.DONE
    command = submission(form(documents=documents), "2")
    first, again = await send(command), await send(command)
    assert (first.fate, first.reason, first.status) == (Fate.REFUSED, "document_taken", 409)
    assert (again.body, again.headers) == (first.body, {"idempotent-replayed": "true"})


async def test_what_is_wrong_is_pointed_out_within_the_envelope(send: Send, form: Form) -> None:
    answer = await send(submission(form(email="nobody")))
    assert (answer.fate, answer.reason, answer.status) == (Fate.REFUSED, "validation_failed", 422)
    problem = answers.Problem.model_validate_json(answer.body)
    assert [fault.pointer for fault in problem.errors or []] == ["#/data/email"]
    assert problem.request_id == "1"
    assert b"nobody" not in answer.body


async def test_an_id_that_could_be_anything_is_not_written_down(send: Send, form: Form) -> None:
    answer = await send(submission(form(email="nobody"), "alice@example.com"))
    assert b"alice" not in answer.body


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [("", "token_missing"), ("Basic YTpi", "token_missing"), ("Bearer none", "token_malformed")],
)
async def test_nobody_gets_anywhere_without_a_token(send: Send, form: Form, authorization: str, reason: str) -> None:
    answer = await send(submission(form()), authorization)
    assert (answer.fate, answer.status, answer.reason) == (Fate.REFUSED, 401, reason)


async def test_a_command_may_be_sent_again_with_a_better_token(send: Send, form: Form) -> None:
    command = submission(form())
    expired = await send(command, lifetime=-3600)
    assert (expired.fate, expired.reason) == (Fate.REFUSED, "token_expired")
    forbidden = await send(command, roles=("reader",))
    assert (forbidden.fate, forbidden.reason) == (Fate.REFUSED, "forbidden")
    assert (await send(command)).fate is Fate.DONE


async def test_the_application_of_another_tenant_does_not_exist(send: Send, form: Form) -> None:
    application = told(await send(submission(form(documents=[]))))["id"]
    answer = await send(amendment(application, {"email": "bob@example.com"}), tenant="acme")
    assert (answer.fate, answer.reason) == (Fate.REFUSED, "application_not_found")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "json_invalid"),
        (b"\xff\xfe", "json_invalid"),
        (b"[" * 100_000, "json_invalid"),
        (b"[]", "validation_failed"),
        (b"{}", "validation_failed"),
        (b'{"specversion": "1.0", "id": "1", "source": "/s", "type": "KYC_DELETE", "data": {}}', "validation_failed"),
        (b'{"specversion": "1.0", "id": "1", "source": "/s", "type": "KYC_AMEND", "data": {}}', "validation_failed"),
        (b'{"x": "' + b"x" * LARGEST_BODY + b'"}', "body_too_large"),
    ],
    ids=["nothing", "not-text", "deep", "list", "empty", "unknown", "without-subject", "large"],
)
async def test_what_is_no_command_is_unreadable(send: Send, body: bytes, reason: str) -> None:
    answer = await send(body)
    assert (answer.fate, answer.reason) == (Fate.UNREADABLE, reason)


async def test_a_message_of_another_type_is_unreadable(app: App) -> None:
    letter = Letter(body=encode_command(SUBMIT), media_type="application/json", authorization=None)
    answer = await Mailbox(app).carry_out(letter)
    assert (answer.fate, answer.reason) == (Fate.UNREADABLE, "media_type_unsupported")


async def test_an_outage_is_nobodys_fault(app: App, send: Send, form: Form) -> None:
    command = submission(form())
    await app.database.close()
    answer = await send(command)
    assert (answer.fate, answer.reason, answer.status) == (Fate.UNAVAILABLE, "store_unavailable", 503)


async def test_the_trace_of_a_command_is_taken_along(app: App, send: Send, form: Form) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    command = submission(form()).model_copy(update={"traceparent": trace})
    application = UUID(told(await send(command))["id"])
    events = await app.applications.history("sandbox", application)
    assert {(event.cause.trace, event.cause.causation, event.cause.actor) for event in events} == {
        (trace, "1", app.people.pseudonym("sandbox", "u-1"))
    }


async def test_a_trace_that_cannot_be_one_is_none_as_over_http(app: App, send: Send, form: Form) -> None:
    command = submission(form()).model_copy(update={"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"})
    application = UUID(told(await send(command))["id"])
    history = await app.applications.history("sandbox", application)
    assert {event.cause.trace for event in history} == {None}
    again = await send(command.model_copy(update={"data": {}}))
    assert "trace_id" not in told(again)


def test_nothing_of_a_letter_is_printed() -> None:
    letter = Letter(body=b"alice@example.com", media_type="a/b", authorization="Bearer secret")
    assert repr(letter) == "Letter(***)"
