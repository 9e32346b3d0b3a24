"""What clients ask for is done once, told again when it is asked again, and never mixed up."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID, uuid4

import pytest

from kyc_service.application.desk import (
    Again,
    Amendment,
    Announced,
    AnswerErased,
    Caller,
    Keyed,
    KeyReused,
    Submission,
    Verdict,
    View,
)
from kyc_service.application.handle import StaleVersion
from kyc_service.application.keys import DataClass
from kyc_service.application.ports import PersonErased
from kyc_service.bootstrap import App
from kyc_service.domain.application import (
    ApplicationNotFound,
    ApplicationNotInReview,
    Awaiting,
    DocumentMissing,
    ReviewDecision,
    Status,
)
from kyc_service.store.applications import Page
from kyc_service.store.keys import Keys

LIVE = Caller(tenant="acme", client="backend", actor="anna", request="r-1")


def submission(*, user: UUID | None = None, email: str = "anna@example.com", documents: int = 1) -> Submission:
    return Submission(
        user_id=user or uuid4(),
        email=email,
        documents=tuple(Announced(doc_type="PASSPORT", file_id=uuid4(), issued_country="NL") for _ in range(documents)),
        applicant={"family_name": "Eriksson"},
    )


def keyed(request: bytes, key: str = "k") -> Keyed:
    return Keyed(key=key, request=request, render=lambda view: str(view.snapshot.id).encode())


def told(outcome: View | Again) -> bytes:
    return outcome.answer if isinstance(outcome, Again) else str(outcome.snapshot.id).encode()


async def erase(app: App, tenant: str, user: UUID, clock: Callable[[], object]) -> None:
    await Keys(app.database).destroy(tenant, user, DataClass.CDD, clock(), "test")  # type: ignore[arg-type]
    app.people._vault.forget(tenant, user)


async def test_the_same_request_sixteen_times_at_once_is_one_application(app: App, caller: Caller) -> None:
    asked = submission()
    outcomes = await asyncio.gather(*(app.desk.submit(caller, asked, keyed(b"same")) for _ in range(16)))
    assert len({told(outcome) for outcome in outcomes}) == 1
    assert [type(outcome) for outcome in outcomes].count(View) == 1
    assert len(await app.applications.page("sandbox", Page())) == 1


async def test_the_same_key_for_another_request_is_refused(app: App, caller: Caller) -> None:
    await app.desk.submit(caller, submission(), keyed(b"one"))
    with pytest.raises(KeyReused):
        await app.desk.submit(caller, submission(), keyed(b"another"))


async def test_a_key_belongs_to_one_client_of_one_tenant(app: App, caller: Caller) -> None:
    from dataclasses import replace

    first = await app.desk.submit(caller, submission(), keyed(b"same"))
    other_client = await app.desk.submit(replace(caller, client="other"), submission(), keyed(b"same"))
    assert isinstance(first, View)
    assert isinstance(other_client, View)


async def test_two_first_applications_of_one_person_at_once_share_one_key(app: App, caller: Caller, dsn: str) -> None:
    user = uuid4()
    views = await asyncio.gather(*(app.desk.submit(caller, submission(user=user)) for _ in range(8)))
    seen = [await app.desk.get("sandbox", view.snapshot.id) for view in views if isinstance(view, View)]
    assert [view.person for view in seen] == [
        {"email": "anna@example.com", "applicant": {"family_name": "Eriksson"}}
    ] * 8
    import psycopg

    with psycopg.connect(dsn) as superuser:
        assert superuser.execute("select count(*) from keys where subject = %s", (user,)).fetchone() == (1,)


async def test_a_live_tenant_cannot_submit_a_file_that_was_never_uploaded(app: App) -> None:
    with pytest.raises(DocumentMissing):
        await app.desk.submit(LIVE, submission())
    assert await app.applications.page("acme", Page()) == []


async def test_another_tenant_finds_nothing(app: App, submit: Callable[..., Awaitable[UUID]]) -> None:
    application = await submit(uuid4())
    with pytest.raises(ApplicationNotFound):
        await app.desk.get("acme", application)
    with pytest.raises(ApplicationNotFound):
        await app.desk.history("acme", application, lambda _: True)
    with pytest.raises(ApplicationNotFound):
        await app.desk.amend(LIVE, application, Amendment())


async def test_a_person_is_found_by_address_in_any_spelling(app: App, caller: Caller) -> None:
    view = await app.desk.submit(caller, submission(email="Anna@Example.com"))
    assert isinstance(view, View)
    for spelling in ("anna@example.com", " ANNA@EXAMPLE.COM "):
        found = await app.applications.page("sandbox", Page(email_index=app.desk.email_index("sandbox", spelling)))
        assert [snapshot.id for snapshot in found] == [view.snapshot.id]
    elsewhere = app.desk.email_index("acme", "anna@example.com")
    assert elsewhere != app.desk.email_index("sandbox", "anna@example.com")


def renamed(person: Mapping[str, object]) -> Mapping[str, object]:
    return {**person, "email": "maria@example.com", "applicant": {"family_name": "Svensson"}}


async def test_particulars_are_amended_under_the_persons_key_and_found_anew(app: App, caller: Caller) -> None:
    view = await app.desk.submit(caller, submission(documents=0))
    assert isinstance(view, View)
    amended = await app.desk.amend(caller, view.snapshot.id, Amendment(person=renamed))
    seen = await app.desk.get("sandbox", view.snapshot.id)
    assert seen.person == amended.person == {"email": "maria@example.com", "applicant": {"family_name": "Svensson"}}
    assert seen.snapshot.version == 2
    by_new = await app.applications.page(
        "sandbox", Page(email_index=app.desk.email_index("sandbox", "maria@example.com"))
    )
    by_old = await app.applications.page(
        "sandbox", Page(email_index=app.desk.email_index("sandbox", "anna@example.com"))
    )
    assert ([s.id for s in by_new], by_old) == ([view.snapshot.id], [])


async def test_an_amendment_that_changes_nothing_is_no_event(app: App, caller: Caller) -> None:
    view = await app.desk.submit(caller, submission(documents=0))
    assert isinstance(view, View)
    amended = await app.desk.amend(caller, view.snapshot.id, Amendment(person=dict))
    assert amended.snapshot.version == 1


async def test_amendments_of_two_clients_at_once_are_both_kept(app: App, caller: Caller) -> None:
    view = await app.desk.submit(caller, submission(documents=0))
    assert isinstance(view, View)

    def adding(name: str) -> Callable[[Mapping[str, object]], Mapping[str, object]]:
        return lambda person: {**person, name: name}

    names = [f"part-{number}" for number in range(4)]
    await asyncio.gather(*(app.desk.amend(caller, view.snapshot.id, Amendment(person=adding(name))) for name in names))
    seen = await app.desk.get("sandbox", view.snapshot.id)
    assert seen.person is not None
    assert set(names) <= set(seen.person)


async def test_an_amendment_of_an_older_version_is_refused(app: App, caller: Caller) -> None:
    view = await app.desk.submit(caller, submission(documents=0))
    assert isinstance(view, View)
    await app.desk.amend(caller, view.snapshot.id, Amendment(person=renamed, expected=1))
    with pytest.raises(StaleVersion):
        await app.desk.amend(caller, view.snapshot.id, Amendment(person=dict, expected=1))


async def test_only_what_awaits_a_review_can_be_reviewed(app: App, caller: Caller) -> None:
    view = await app.desk.submit(caller, submission(documents=0))
    assert isinstance(view, View)
    verdict = Verdict(decision=ReviewDecision.APPROVE, reason="CASE_REVIEW_APPROVED", note=None)
    with pytest.raises(ApplicationNotInReview):
        await app.desk.review(caller, view.snapshot.id, verdict)


async def test_waiting_ends_with_the_decision_or_with_the_time(
    app: App, submit: Callable[..., Awaitable[UUID]]
) -> None:
    application = await submit(uuid4())
    early = await app.desk.wait("sandbox", application, 0.05)
    assert (early.snapshot.state.status, early.snapshot.state.awaiting) == (Status.IN_PROGRESS, Awaiting.CHECKS)
    work = asyncio.create_task(app.worker.run())
    late = await app.desk.wait("sandbox", application, 10)
    app.worker.stop()
    await work
    assert late.snapshot.state.status is Status.VERIFIED


async def test_an_erased_person_is_a_tombstone_and_nothing_new_is_kept_about_them(
    app: App, caller: Caller, clock: Callable[[], object]
) -> None:
    user = uuid4()
    asked = submission(user=user, documents=0)
    view = await app.desk.submit(caller, asked, keyed(b"same"))
    assert isinstance(view, View)
    await erase(app, "sandbox", user, clock)
    seen = await app.desk.get("sandbox", view.snapshot.id)
    assert seen.person is None
    assert [one.details for one in await app.desk.history("sandbox", view.snapshot.id, lambda _: True)] == [None]
    with pytest.raises(AnswerErased):
        await app.desk.submit(caller, asked, keyed(b"same"))
    with pytest.raises(PersonErased):
        await app.desk.submit(caller, submission(user=user))
