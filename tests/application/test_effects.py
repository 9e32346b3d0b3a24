"""Orders become outcomes: retries, fallbacks, rollbacks and timeouts, on a real database."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from kyc_service.application.desk import Amendment, Announced, Caller, Submission, Verdict, View
from kyc_service.application.effects import vendor_key
from kyc_service.application.files import FileView
from kyc_service.application.ports import PersonErased, Request, Started, VendorBusy
from kyc_service.bootstrap import VENDORS, App, build
from kyc_service.documents.pool import EnginePool
from kyc_service.domain.application import (
    TERMINAL,
    ApplicationRolledBack,
    Awaiting,
    CheckStarted,
    CompensationStalled,
    Evidence,
    ReviewDecision,
    Status,
    StepCompensated,
    VendorGivenUp,
)
from kyc_service.domain.findings import Result
from kyc_service.privacy.blobs import BlobStoreFailed
from kyc_service.settings import AvailableVendors, Settings
from kyc_service.vendors.builtin import Builtin
from kyc_service.vendors.simulated import Magic, Simulated, magic_file_id

Submit = Callable[..., Awaitable[UUID]]


async def worked_off(app: App, application: UUID) -> tuple[Status, Awaiting | None]:
    """Run the worker until nothing is left that could go on by itself."""
    work = asyncio.create_task(app.worker.run())
    try:
        async with asyncio.timeout(20):
            while True:
                found = await app.applications.load("sandbox", application)
                assert found
                if found.state.awaiting not in (Awaiting.CHECKS, Awaiting.COMPENSATION):
                    return found.state.status, found.state.awaiting
                await asyncio.sleep(0.01)
    finally:
        app.worker.stop()
        await work


async def happened(app: App, application: UUID) -> list[str]:
    return [type(one.event).__name__ for one in await app.applications.history("sandbox", application)]


@pytest.mark.parametrize(
    ("magic", "status", "awaiting"),
    [
        (Magic.VERIFIED, Status.VERIFIED, None),
        (Magic.EXPIRED, Status.REJECTED, None),
        (Magic.UNREADABLE, Status.IN_PROGRESS, Awaiting.RESUBMISSION),
        (Magic.MISMATCH, Status.IN_PROGRESS, Awaiting.REVIEW),
        (Magic.UNKNOWN_CODE, Status.IN_PROGRESS, Awaiting.REVIEW),
        (Magic.NOT_PERFORMED, Status.IN_PROGRESS, Awaiting.REVIEW),
        (Magic.EVERY_VENDOR_DOWN, Status.ROLLED_BACK, None),
        (Magic.FIRST_VENDOR_DOWN, Status.VERIFIED, None),
        (Magic.FLAKY, Status.VERIFIED, None),
        (Magic.HANGS, Status.VERIFIED, None),
    ],
)
async def test_each_magic_file_id_ends_as_documented(
    app: App, submit: Submit, magic: Magic, status: Status, awaiting: Awaiting | None
) -> None:
    application = await submit(magic_file_id(magic))
    assert await worked_off(app, application) == (status, awaiting)


async def test_an_unknown_file_of_the_sandbox_is_verified_and_says_it_was_simulated(app: App, submit: Submit) -> None:
    application = await submit(uuid4())
    await worked_off(app, application)
    found = await app.applications.load("sandbox", application)
    assert found
    assert found.state.evidence is Evidence.SIMULATED


async def test_a_flaky_vendor_is_retried_without_a_word_in_the_log(app: App, submit: Submit) -> None:
    application = await submit(magic_file_id(Magic.FLAKY))
    await worked_off(app, application)
    assert "VendorGivenUp" not in await happened(app, application)


async def test_a_vendor_is_given_up_after_exactly_the_retries_that_are_allowed(
    app: App, dsn: str, submit: Submit
) -> None:
    application = await submit(magic_file_id(Magic.FIRST_VENDOR_DOWN))
    await worked_off(app, application)
    with psycopg.connect(dsn) as superuser:
        failures = superuser.execute(
            "select failures from orders where kind = 'RunCheck' and payload ->> 'vendor' = 'simulated'"
        ).fetchone()
    assert failures == (app.settings.max_retries,)
    events = [one.event for one in await app.applications.history("sandbox", application)]
    assert VendorGivenUp(check="1.1", vendor="simulated", cause="VENDOR_UNAVAILABLE") in events


async def test_a_rollback_has_a_receipt_for_every_step_newest_first(app: App, submit: Submit) -> None:
    application = await submit(magic_file_id(Magic.EVERY_VENDOR_DOWN))
    await worked_off(app, application)
    events = [one.event for one in await app.applications.history("sandbox", application)]
    undone = [event.step.vendor or event.step.name for event in events if isinstance(event, StepCompensated)]
    assert undone == ["simulated_standby", "simulated", "claim-documents"]
    assert isinstance(events[-1], ApplicationRolledBack)
    assert all(done.receipt for done in events[-1].compensations)


async def test_a_vendor_that_never_keeps_its_promise_is_given_up_one_day(
    app: App, clock: Callable[..., None], dsn: str, submit: Submit
) -> None:
    application = await submit(magic_file_id(Magic.ANSWERS_LATER))
    work = asyncio.create_task(app.worker.run())
    async with asyncio.timeout(20):
        while (await happened(app, application))[-1] != CheckStarted.__name__:  # noqa: ASYNC110 - the worker makes it so
            await asyncio.sleep(0.01)
    app.worker.stop()
    await work
    # the day after: the order that waited for it is due
    with psycopg.connect(dsn, autocommit=True) as superuser:
        superuser.execute("update orders set due_at = now() where kind = 'LapseAnswer'")
    app_again = app.worker
    app_again._stopping = False
    assert await worked_off(app, application) == (Status.VERIFIED, None)
    events = [one.event for one in await app.applications.history("sandbox", application)]
    assert VendorGivenUp(check="1.1", vendor="simulated", cause="VENDOR_TIMEOUT") in events


async def test_a_step_that_cannot_be_undone_is_told_to_an_operator_and_tried_on(
    settings: Settings, caller: Caller
) -> None:
    class Stubborn(Simulated):
        refusals = 6

        async def cancel(self, key: UUID, reference: str | None) -> str:
            if Stubborn.refusals:
                Stubborn.refusals -= 1
                raise RuntimeError("not today")
            return await super().cancel(key, reference)

    vendors = {**VENDORS, AvailableVendors.SIMULATED: lambda _: Stubborn("simulated")}
    async with build(settings, vendors=vendors) as app:
        down = Announced(doc_type="PASSPORT", file_id=magic_file_id(Magic.EVERY_VENDOR_DOWN), issued_country="NL")
        view = await app.desk.submit(caller, Submission(user_id=uuid4(), email="a@example.com", documents=(down,)))
        assert isinstance(view, View)
        work = asyncio.create_task(app.worker.run())
        ended = await app.desk.wait("sandbox", view.snapshot.id, 20)
        app.worker.stop()
        await work
        assert ended.snapshot.state.status is Status.ROLLED_BACK
        assert CompensationStalled.__name__ in await happened(app, view.snapshot.id)


async def test_a_rollback_cancels_the_checks_of_earlier_rounds_by_the_vendors_reference(
    settings: Settings, caller: Caller
) -> None:
    cancelled: list[tuple[UUID, str | None]] = []

    class Attentive(Simulated):
        async def cancel(self, key: UUID, reference: str | None) -> str:
            cancelled.append((key, reference))
            return await super().cancel(key, reference)

    def passport(magic: Magic) -> Announced:
        return Announced(doc_type="PASSPORT", file_id=magic_file_id(magic), issued_country="NL")

    vendors = {**VENDORS, AvailableVendors.SIMULATED: lambda _: Attentive("simulated")}
    async with build(settings, vendors=vendors) as app:
        blurred = Submission(user_id=uuid4(), email="a@example.com", documents=(passport(Magic.UNREADABLE),))
        view = await app.desk.submit(caller, blurred)
        assert isinstance(view, View)
        application = view.snapshot.id
        assert await worked_off(app, application) == (Status.IN_PROGRESS, Awaiting.RESUBMISSION)
        await app.desk.amend(caller, application, Amendment(documents=(passport(Magic.EVERY_VENDOR_DOWN),)))
        app.worker._stopping = False
        assert await worked_off(app, application) == (Status.ROLLED_BACK, None)
    first, second = (vendor_key(application, check, "simulated") for check in ("1.1", "2.1"))
    assert cancelled == [(second, None), (first, f"simulated-{first}")]


async def test_a_resubmission_is_checked_anew_and_can_verify(app: App, submit: Submit, caller: Caller) -> None:
    application = await submit(magic_file_id(Magic.UNREADABLE))
    await worked_off(app, application)
    better = Announced(doc_type="PASSPORT", file_id=uuid4(), issued_country="NL")
    await app.desk.amend(caller, application, Amendment(documents=(better,)))
    app.worker._stopping = False
    assert await worked_off(app, application) == (Status.VERIFIED, None)


async def test_a_reviewer_decides_with_a_note_that_only_reviewers_read(
    app: App, submit: Submit, caller: Caller, dsn: str
) -> None:
    application = await submit(magic_file_id(Magic.MISMATCH))
    await worked_off(app, application)
    verdict = Verdict(decision=ReviewDecision.APPROVE, reason="CASE_REVIEW_APPROVED", note="married last year")
    await app.desk.review(caller, application, verdict)
    plain = await app.desk.history("sandbox", application, lambda _: False)
    detailed = await app.desk.history("sandbox", application, lambda _: True)
    assert {"note": "married last year"} not in [one.details for one in plain]
    assert {"note": "married last year"} in [one.details for one in detailed]
    with psycopg.connect(dsn) as superuser:
        rows = superuser.execute("select data::text || meta::text from events").fetchall()
    assert not any("married" in row[0] for row in rows)


async def test_work_that_cannot_ever_be_done_is_buried_where_an_operator_finds_it(
    app: App, dsn: str, submit: Submit
) -> None:
    application = await submit(uuid4())
    with psycopg.connect(dsn, autocommit=True) as superuser:
        superuser.execute("update keys set wrapped = null, destroyed_at = now(), destroy_reason = 'test'")
    app.people._vault.forget("sandbox", (await app.applications.load("sandbox", application)).state.user_id)
    work = asyncio.create_task(app.worker.run())
    async with asyncio.timeout(10):
        while not (await app.orders.backlog()).dead:  # noqa: ASYNC110 - the database rings no bell
            await asyncio.sleep(0.02)
    app.worker.stop()
    await work
    assert replace(await app.orders.backlog(), oldest_due=None).dead == 1


async def test_an_order_that_this_release_does_not_know_stops_nobody_else(app: App, dsn: str, submit: Submit) -> None:
    application = await submit(uuid4())
    with psycopg.connect(dsn, autocommit=True) as superuser:
        superuser.execute(
            "insert into orders (tenant, id, stream, kind, payload, created_at, due_at)"
            " values ('sandbox', gen_random_uuid(), %s, 'FromTheFuture', %s, now(), now() - interval '1 day')",
            (application, Jsonb({})),
        )
    assert await worked_off(app, application) == (Status.VERIFIED, None)


JPEG = b"\xff\xd8\xff\xe0 a face"


async def test_a_selfie_cannot_be_read_any_more_once_the_application_is_over(app: App, caller: Caller) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield JPEG

    stored = await app.cabinet.upload(caller, "image/jpeg", chunks())
    assert isinstance(stored, FileView)
    documents = (
        Announced(doc_type="PASSPORT", file_id=magic_file_id(Magic.EXPIRED), issued_country="NL"),
        Announced(doc_type="SELFIE", file_id=stored.id, issued_country="NL"),
    )
    view = await app.desk.submit(caller, Submission(user_id=uuid4(), email="a@example.com", documents=documents))
    assert isinstance(view, View)
    work = asyncio.create_task(app.worker.run())
    async with asyncio.timeout(60):
        while (await app.cabinet.view("sandbox", stored.id)).sha256 is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    app.worker.stop()
    await work
    found = await app.applications.load("sandbox", view.snapshot.id)
    assert found is not None
    assert found.state.status in TERMINAL
    with pytest.raises(PersonErased):
        [chunk async for chunk in app.cabinet.read("sandbox", stored.id)]
    await app.cabinet.erase("sandbox", stored.id, "once more does no harm")


async def test_a_vendor_without_room_is_asked_again_and_never_given_up(settings: Settings, caller: Caller) -> None:
    class Crowded(Simulated):
        full = 8  # more often than a vendor may fail

        async def check(self, request: Request) -> Result | Started:
            if Crowded.full:
                Crowded.full -= 1
                raise VendorBusy
            return await super().check(request)

    vendors = {**VENDORS, AvailableVendors.SIMULATED: lambda _: Crowded("simulated")}
    async with build(settings, vendors=vendors) as app:
        passport = Announced(doc_type="PASSPORT", file_id=magic_file_id(Magic.VERIFIED), issued_country="NL")
        view = await app.desk.submit(caller, Submission(user_id=uuid4(), email="a@example.com", documents=(passport,)))
        assert isinstance(view, View)
        assert await worked_off(app, view.snapshot.id) == (Status.VERIFIED, None)
        assert Crowded.full == 0
        assert VendorGivenUp.__name__ not in await happened(app, view.snapshot.id)


async def test_a_store_of_files_that_is_away_is_waited_for_and_no_vendor_is_given_up(
    settings: Settings, caller: Caller, dsn: str
) -> None:
    class Fileless(Simulated):
        away = 8  # more often than a vendor may fail

        async def check(self, request: Request) -> Result | Started:
            if Fileless.away:
                Fileless.away -= 1
                raise BlobStoreFailed
            return await super().check(request)

    vendors = {**VENDORS, AvailableVendors.SIMULATED: lambda _: Fileless("simulated")}
    async with build(settings, vendors=vendors) as app:
        passport = Announced(doc_type="PASSPORT", file_id=magic_file_id(Magic.VERIFIED), issued_country="NL")
        view = await app.desk.submit(caller, Submission(user_id=uuid4(), email="a@example.com", documents=(passport,)))
        assert isinstance(view, View)
        assert await worked_off(app, view.snapshot.id) == (Status.VERIFIED, None)
        assert VendorGivenUp.__name__ not in await happened(app, view.snapshot.id)
    with psycopg.connect(dsn) as superuser:
        failed = superuser.execute("select failures, last_error from orders where kind = 'RunCheck'").fetchall()
    assert failed == [(8, "FILES_UNAVAILABLE")]


async def test_a_worker_that_is_cancelled_has_ended_what_it_had_begun(settings: Settings, caller: Caller) -> None:
    class Slow(Simulated):
        asked, over = asyncio.Event(), False

        async def check(self, request: Request) -> Result | Started:
            Slow.asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.05)  # a connection that is hung up politely
                Slow.over = True
            return await super().check(request)

    vendors = {**VENDORS, AvailableVendors.SIMULATED: lambda _: Slow("simulated")}
    async with build(settings, vendors=vendors) as app:
        passport = Announced(doc_type="PASSPORT", file_id=magic_file_id(Magic.VERIFIED), issued_country="NL")
        await app.desk.submit(caller, Submission(user_id=uuid4(), email="a@example.com", documents=(passport,)))
        work = asyncio.create_task(app.worker.run())
        async with asyncio.timeout(20):
            await Slow.asked.wait()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert work.cancelled()
        assert Slow.over


OBEDIENT = (sys.executable, str(Path(__file__).parents[1] / "documents/children/obedient.py"))


@pytest.mark.parametrize(
    ("command", "picture", "ends"),
    [
        (OBEDIENT, b" segfault", (Status.IN_PROGRESS, Awaiting.REVIEW, ("ANALYSIS_FAILED",))),
        (OBEDIENT, b" eat 2000000000", (Status.IN_PROGRESS, Awaiting.REVIEW, ("ANALYSIS_FAILED",))),
        (OBEDIENT, b" spin", (Status.IN_PROGRESS, Awaiting.REVIEW, ("ANALYSIS_FAILED",))),
        ((sys.executable, "-c", "pass"), b" hello", (Status.ROLLED_BACK, None, ("VENDOR_UNAVAILABLE",))),
    ],
    ids=["segfault", "memory", "processor", "no engine"],
)
async def test_a_picture_that_kills_the_engine_each_time_goes_to_a_person_and_an_engine_that_never_starts_is_an_outage(
    settings: Settings,
    caller: Caller,
    command: tuple[str, ...],
    picture: bytes,
    ends: tuple[Status, Awaiting | None, tuple[str, ...]],
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"\xff\xd8\xff\xe0" + picture

    async with EnginePool(workers=1, timeout=1, memory=1 << 30, command=command) as engine:
        vendors = {**VENDORS, AvailableVendors.BUILTIN: lambda _: Builtin(engine)}
        async with build(settings.model_copy(update={"max_retries": 1}), vendors=vendors) as app:
            stored = await app.cabinet.upload(caller, "image/jpeg", chunks())
            assert isinstance(stored, FileView)
            passport = Announced(doc_type="PASSPORT", file_id=stored.id, issued_country="NL")
            view = await app.desk.submit(
                caller, Submission(user_id=uuid4(), email="a@example.com", documents=(passport,))
            )
            assert isinstance(view, View)
            await worked_off(app, view.snapshot.id)
            found = await app.applications.load("sandbox", view.snapshot.id)
            assert found
            assert (found.state.status, found.state.awaiting, found.state.reasons) == ends
