"""A selfie is biometric data: under a key of that class once it is known to be one, and gone with the decision."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from kyc_service.application.desk import Announced, Caller, Submission, View
from kyc_service.application.files import Cabinet, FileRow, FileView
from kyc_service.application.keys import DataClass
from kyc_service.application.ports import PersonErased, Request, Started
from kyc_service.bootstrap import VENDORS, App, build
from kyc_service.domain.application import SELFIE, Awaiting, Status
from kyc_service.domain.findings import Category, Finding, Outcome, Result, Severity
from kyc_service.settings import AvailableVendors, Settings
from kyc_service.store.files import FileRows

CONTENT = {"PASSPORT": b"\xff\xd8\xff a passport", SELFIE: b"\xff\xd8\xff a face"}
SOON = "select count(*) from orders where done_at is null and due_at < now() + interval '1 hour'"
Classes = dict[str, bool]  # each class of data that a file had a key of, and whether that lives


class Watching:
    """A vendor that clears whatever it reads, and notes under keys of which classes each file was meanwhile."""

    name = "builtin"

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.seen: dict[str, tuple[bytes, Classes]] = {}

    async def check(self, request: Request) -> Result | Started:
        assert request.read
        content = b"".join([chunk async for chunk in request.read()])
        self.seen[request.doc_type] = content, classes(self._dsn, request.file_id)
        passed = Finding(id="x", category=Category.DOCUMENT, outcome=Outcome.PASS, severity=Severity.HIGH)
        return Result(vendor=self.name, version="test", findings=(passed,))

    async def cancel(self, key: UUID, reference: str | None) -> str:
        return "nothing to undo"


def classes(dsn: str, file_id: UUID) -> Classes:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select class, wrapped is not null from keys where subject = %s", (file_id,))
        return dict(rows.fetchall())


def blobs(app: App) -> list[Path]:
    return [path for path in (app.settings.home / "blobs").rglob("*") if path.is_file()]


@pytest.fixture
def watching(dsn: str) -> Watching:
    return Watching(dsn)


@pytest.fixture
async def app(settings: Settings, watching: Watching) -> AsyncIterator[App]:
    vendors = {**VENDORS, AvailableVendors.BUILTIN: lambda _: watching}
    async with build(settings, vendors=vendors) as app:
        yield app


async def uploaded(app: App, caller: Caller, doc_type: str, data_class: DataClass = DataClass.DOCUMENT) -> UUID:
    async def chunks() -> AsyncIterator[bytes]:
        yield CONTENT[doc_type]

    stored = await app.cabinet.upload(caller, "image/jpeg", chunks(), data_class=data_class)
    assert isinstance(stored, FileView)
    return stored.id


async def content(cabinet: Cabinet, file_id: UUID) -> bytes:
    return b"".join([chunk async for chunk in cabinet.read("sandbox", file_id)])


async def settled(
    app: App, caller: Caller, files: dict[str, UUID], applicant: UUID | None = None
) -> tuple[Status, Awaiting | None, tuple[str, ...]]:
    """What an application with these *files* comes to, every order of it done."""
    documents = tuple(Announced(doc_type=one, file_id=file_id, issued_country="NL") for one, file_id in files.items())
    person: dict[str, object] = {"given_names": "Anna", "family_name": "Smit"}
    asked = Submission(user_id=applicant or uuid4(), email="a@example.com", documents=documents, applicant=person)
    view = await app.desk.submit(caller, asked)
    assert isinstance(view, View)
    work = asyncio.create_task(app.worker.run())
    async with asyncio.timeout(20), app.database.system() as connection:
        while (await (await connection.execute(SOON)).fetchone()) != (0,):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    app.worker.stop()
    await work
    app.worker._stopping = False
    found = await app.applications.load("sandbox", view.snapshot.id)
    assert found
    return found.state.status, found.state.awaiting, found.state.reasons


async def test_a_selfie_has_a_key_of_its_own_class_while_it_is_looked_at_and_none_after_the_decision(
    app: App, caller: Caller, watching: Watching, dsn: str
) -> None:
    files = {one: await uploaded(app, caller, one) for one in CONTENT}
    assert (await settled(app, caller, files))[0] is Status.VERIFIED
    assert watching.seen == {
        "PASSPORT": (CONTENT["PASSPORT"], {"document": True}),
        SELFIE: (CONTENT[SELFIE], {"document": False, "biometric": True}),
    }
    assert classes(dsn, files[SELFIE]) == {"document": False, "biometric": False}
    assert (await app.cabinet.view("sandbox", files[SELFIE])).sha256 is None
    with pytest.raises(PersonErased):
        await content(app.cabinet, files[SELFIE])
    assert await content(app.cabinet, files["PASSPORT"]) == CONTENT["PASSPORT"]
    assert len(blobs(app)) == 1


async def test_a_selfie_that_was_uploaded_as_one_never_has_another_key(
    app: App, caller: Caller, watching: Watching, dsn: str
) -> None:
    selfie = await uploaded(app, caller, SELFIE, DataClass.BIOMETRIC)
    assert classes(dsn, selfie) == {"biometric": True}
    assert (await settled(app, caller, {SELFIE: selfie}))[0] is Status.VERIFIED
    assert watching.seen == {SELFIE: (CONTENT[SELFIE], {"biometric": True})}
    assert classes(dsn, selfie) == {"biometric": False}
    assert blobs(app) == []


async def test_a_selfie_that_is_kept_stays_biometric_data(settings: Settings, caller: Caller, dsn: str) -> None:
    vendors = {**VENDORS, AvailableVendors.BUILTIN: lambda _: Watching(dsn)}
    async with build(settings.model_copy(update={"keep_selfies": True}), vendors=vendors) as app:
        selfie = await uploaded(app, caller, SELFIE)
        await settled(app, caller, {SELFIE: selfie})
        assert classes(dsn, selfie) == {"document": False, "biometric": True}
        assert await content(app.cabinet, selfie) == CONTENT[SELFIE]


async def test_who_applies_again_with_an_erased_selfie_is_asked_for_another(app: App, caller: Caller) -> None:
    selfie, applicant = await uploaded(app, caller, SELFIE), uuid4()
    await settled(app, caller, {SELFIE: selfie}, applicant)
    again = await settled(app, caller, {SELFIE: selfie}, applicant)
    assert again == (Status.IN_PROGRESS, Awaiting.RESUBMISSION, ("FILE_ERASED",))


async def test_whoever_moves_a_selfie_at_the_same_moment_it_is_moved_once(app: App, caller: Caller, dsn: str) -> None:
    selfie = await uploaded(app, caller, SELFIE)
    await asyncio.gather(*(app.cabinet.set_apart("sandbox", selfie) for _ in range(5)))
    assert classes(dsn, selfie) == {"document": False, "biometric": True}
    assert await content(app.cabinet, selfie) == CONTENT[SELFIE]
    assert (await app.cabinet.view("sandbox", selfie)).sha256
    assert len(blobs(app)) == 1


async def test_a_selfie_that_is_erased_while_it_is_moved_is_gone(app: App, caller: Caller, dsn: str) -> None:
    for _ in range(10):
        selfie = await uploaded(app, caller, SELFIE)
        await asyncio.gather(
            app.cabinet.set_apart("sandbox", selfie), app.cabinet.erase("sandbox", selfie, "in the same moment")
        )
        assert not any(classes(dsn, selfie).values())
        with pytest.raises(PersonErased):
            await content(app.cabinet, selfie)


class Behind(FileRows):
    """Tells once of a file as it was before it moved, like a process that asked a moment ago."""

    former: FileRow | None = None

    async def get(self, tenant: str, file_id: UUID) -> FileRow | None:
        told, self.former = self.former, None
        return told or await super().get(tenant, file_id)


async def test_no_byte_is_left_of_a_selfie_that_was_moved_in_the_moment_before_it_was_erased(
    app: App, caller: Caller, dsn: str
) -> None:
    rows = Behind(app.database)
    cabinet = Cabinet(rows=rows, vault=app.documents, limit=1 << 20, clock=app.clock)
    selfie = await uploaded(app, caller, SELFIE)
    former = await rows.get("sandbox", selfie)
    await app.cabinet.set_apart("sandbox", selfie)
    rows.former = former
    await cabinet.erase("sandbox", selfie, "in the moment after")
    assert classes(dsn, selfie) == {"document": False, "biometric": False}
    assert blobs(app) == []


async def test_who_reads_a_selfie_while_it_is_moved_gets_it_all_the_same(app: App, caller: Caller) -> None:
    rows = Behind(app.database)
    cabinet = Cabinet(rows=rows, vault=app.documents, limit=1 << 20, clock=app.clock)
    selfie = await uploaded(app, caller, SELFIE)
    former = await rows.get("sandbox", selfie)
    await app.cabinet.set_apart("sandbox", selfie)
    rows.former = former
    assert await content(cabinet, selfie) == CONTENT[SELFIE]
    rows.former = former
    assert (await cabinet.view("sandbox", selfie)).sha256
