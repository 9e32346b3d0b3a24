"""A file is one person's. Several applications of that person may need it, and it goes with the last of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from kyc_service.application.desk import Amendment, Announced, Caller, Submission, View
from kyc_service.application.files import Cabinet, FileView
from kyc_service.application.ports import DocumentTaken, FilesUnavailable, Request, Started, VendorUnavailable
from kyc_service.bootstrap import VENDORS, App, build
from kyc_service.domain.application import SELFIE, Status
from kyc_service.domain.findings import Category, Finding, Outcome, Result, Severity
from kyc_service.settings import AvailableVendors, Settings

PICTURE = b"\xff\xd8\xff a face"


class Patient:
    """A vendor that clears whatever it can read, as soon as the applicant's turn has come."""

    name = "builtin"

    def __init__(self) -> None:
        self.turns: dict[str, asyncio.Event] = {}
        self.down: set[str] = set()

    async def check(self, request: Request) -> Result | Started:
        name = request.subject.given_names or ""
        if name in self.down:
            raise VendorUnavailable
        await self.turns.setdefault(name, asyncio.Event()).wait()
        assert request.read
        assert b"".join([chunk async for chunk in request.read()]) == PICTURE
        passed = Finding(id="x", category=Category.DOCUMENT, outcome=Outcome.PASS, severity=Severity.HIGH)
        return Result(vendor=self.name, version="test", findings=(passed,))

    async def cancel(self, key: UUID, reference: str | None) -> str:
        return "nothing to undo"

    def turn_of(self, name: str) -> None:
        self.turns.setdefault(name, asyncio.Event()).set()


@pytest.fixture
def vendor() -> Patient:
    return Patient()


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_retries": 1, "document_route": [AvailableVendors.BUILTIN]})


@pytest.fixture
async def app(quick: Settings, vendor: Patient) -> AsyncIterator[App]:
    async with build(quick, vendors={**VENDORS, AvailableVendors.BUILTIN: lambda _: vendor}) as app:
        yield app


@pytest.fixture
async def working(app: App) -> AsyncIterator[App]:
    """The same, while its worker runs."""
    work = asyncio.create_task(app.worker.run())
    yield app
    app.worker.stop()
    await work


async def uploaded(app: App, caller: Caller) -> UUID:
    async def chunks() -> AsyncIterator[bytes]:
        yield PICTURE

    stored = await app.cabinet.upload(caller, "image/jpeg", chunks())
    assert isinstance(stored, FileView)
    return stored.id


def named(*files: UUID, doc_type: str = SELFIE) -> tuple[Announced, ...]:
    return tuple(Announced(doc_type=doc_type, file_id=file_id, issued_country="NL") for file_id in files)


async def submitted(app: App, caller: Caller, person: UUID, name: str, *documents: Announced) -> UUID:
    asked = Submission(
        user_id=person, email="a@example.com", documents=documents, applicant={"given_names": name, "family_name": "S"}
    )
    view = await app.desk.submit(caller, asked)
    assert isinstance(view, View)
    return view.snapshot.id


async def ended(app: App, application: UUID) -> Status:
    """What it came to, once nothing of the application is to be done any more but in days."""
    waiting = "select count(*) from orders where stream = %s and done_at is null and due_at < now() + interval '1 hour'"
    async with asyncio.timeout(20):
        while True:
            async with app.database.of("sandbox") as connection:
                left = await (await connection.execute(waiting, (application,))).fetchone()
            found = await app.applications.load("sandbox", application)
            assert found
            if left == (0,):
                return found.state.status
            await asyncio.sleep(0.01)


def living(dsn: str, file_id: UUID) -> Sequence[str]:
    """The classes of the keys that the file still has."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select class from keys where subject = %s and wrapped is not null", (file_id,))
        return [row[0] for row in rows]


def blobs(app: App) -> list[Path]:
    return [path for path in (app.settings.home / "blobs").rglob("*") if path.is_file()]


async def test_a_decision_takes_no_file_from_another_application_of_the_person(
    working: App, caller: Caller, vendor: Patient, dsn: str
) -> None:
    person, selfie = uuid4(), await uploaded(working, caller)
    first = await submitted(working, caller, person, "First", *named(selfie))
    second = await submitted(working, caller, person, "Second", *named(selfie))
    vendor.turn_of("Second")
    assert await ended(working, second) is Status.VERIFIED
    assert living(dsn, selfie) == ["biometric"]
    vendor.turn_of("First")
    assert await ended(working, first) is Status.VERIFIED
    assert living(dsn, selfie) == []
    assert blobs(working) == []


async def test_a_rollback_takes_no_file_from_another_application_of_the_person(
    working: App, caller: Caller, vendor: Patient, dsn: str
) -> None:
    person, selfie = uuid4(), await uploaded(working, caller)
    first = await submitted(working, caller, person, "First", *named(selfie))
    vendor.down.add("Second")
    second = await submitted(working, caller, person, "Second", *named(selfie))
    assert await ended(working, second) is Status.ROLLED_BACK
    vendor.turn_of("First")
    assert await ended(working, first) is Status.VERIFIED
    assert living(dsn, selfie) == []
    assert blobs(working) == []


async def test_a_selfie_that_one_application_keeps_is_kept_whatever_a_later_one_says(
    quick: Settings, caller: Caller, vendor: Patient, dsn: str
) -> None:
    person = uuid4()
    vendor.turn_of("Same")
    kept = None
    for keep in (True, False):
        given = quick.model_copy(update={"keep_selfies": keep})
        async with build(given, vendors={**VENDORS, AvailableVendors.BUILTIN: lambda _: vendor}) as app:
            kept = kept or await uploaded(app, caller)
            application = await submitted(app, caller, person, "Same", *named(kept))
            work = asyncio.create_task(app.worker.run())
            assert await ended(app, application) is Status.VERIFIED
            app.worker.stop()
            await work
    assert kept
    assert living(dsn, kept) == ["biometric"]


async def test_nobody_is_given_a_file_of_another_person(working: App, caller: Caller, vendor: Patient) -> None:
    anna, bert, passport = uuid4(), uuid4(), await uploaded(working, caller)
    vendor.turn_of("Anna")
    application = await submitted(working, caller, anna, "Anna", *named(passport, doc_type="PASSPORT"))
    assert await ended(working, application) is Status.VERIFIED
    with pytest.raises(DocumentTaken):
        await submitted(working, caller, bert, "Bert", *named(passport, doc_type="PASSPORT"))
    empty = await submitted(working, caller, bert, "Bert")
    with pytest.raises(DocumentTaken):
        await working.desk.amend(caller, empty, Amendment(documents=named(passport, doc_type="PASSPORT")))
    view = await working.desk.get("sandbox", empty)
    assert (view.snapshot.version, view.snapshot.state.documents) == (1, ())
    again = await submitted(working, caller, anna, "Anna", *named(passport, doc_type="PASSPORT"))
    assert await ended(working, again) is Status.VERIFIED


async def test_of_persons_who_name_one_file_at_the_same_moment_one_has_it(
    app: App, quick: Settings, caller: Caller, dsn: str
) -> None:
    async with build(quick) as other:
        for _ in range(5):
            files = [await uploaded(app, caller) for _ in range(3)]
            outcomes = await asyncio.gather(
                *(
                    submitted(one, caller, uuid4(), "Anybody", *named(*order, doc_type="PASSPORT"))
                    for one in (app, other, app, other)
                    for order in (files, files[::-1])
                ),
                return_exceptions=True,
            )
            refused = [outcome for outcome in outcomes if isinstance(outcome, DocumentTaken)]
            assert len(refused) == len(outcomes) - 1, outcomes
            with psycopg.connect(dsn) as connection:
                holders = connection.execute(
                    "select distinct f.person = a.user_id, c.application from file_claims c"
                    " join files f on f.id = c.file join applications a on a.id = c.application where c.file = any(%s)",
                    (files,),
                ).fetchall()
            assert holders == [(True, next(one for one in outcomes if isinstance(one, UUID)))]


async def test_applications_that_are_decided_at_the_same_moment_leave_nothing_of_the_file(
    app: App, caller: Caller, dsn: str
) -> None:
    for _ in range(10):
        person, selfie = uuid4(), await uploaded(app, caller)
        applications = [await submitted(app, caller, person, "Anybody", *named(selfie)) for _ in range(4)]
        await asyncio.gather(*(app.cabinet.give_up("sandbox", selfie, one, "decided") for one in applications))
        assert living(dsn, selfie) == []
    assert blobs(app) == []


async def test_a_file_that_is_moved_and_given_up_at_the_same_moment_is_gone(app: App, caller: Caller, dsn: str) -> None:
    for _ in range(10):
        selfie = await uploaded(app, caller)
        application = await submitted(app, caller, uuid4(), "Anybody", *named(selfie))
        await asyncio.gather(
            *(app.cabinet.set_apart("sandbox", selfie) for _ in range(3)),
            app.cabinet.give_up("sandbox", selfie, application, "decided"),
        )
        assert living(dsn, selfie) == []
    assert blobs(app) == []


async def test_what_is_moved_while_it_is_read_is_asked_for_again_and_not_called_erased(
    app: App, caller: Caller
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield PICTURE
        for _ in range(40):
            yield bytes(1 << 20)

    stored = await Cabinet(rows=app.cabinet._rows, vault=app.documents, limit=1 << 30, clock=app.clock).upload(
        caller, "image/jpeg", chunks()
    )
    assert isinstance(stored, FileView)
    reading = app.cabinet.read("sandbox", stored.id)
    assert await anext(reading)
    await app.cabinet.set_apart("sandbox", stored.id)
    with pytest.raises(FilesUnavailable):
        [chunk async for chunk in reading]
