"""The same document with two persons, on a real database: found, kept from the applicant, and forgotten in time."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest

from kyc_service.application.desk import Announced, Caller, Submission, View
from kyc_service.application.duplicates import ALIKE, BANDS, Bearer, KnownFaces, Trait, findings, traits
from kyc_service.application.keys import DataClass
from kyc_service.application.ports import Request, Started
from kyc_service.bootstrap import VENDORS, App, build
from kyc_service.domain.application import CheckAnswered
from kyc_service.domain.findings import Category, Field, Finding, Outcome, Result, Severity, Verdict, judge, reasons_of
from kyc_service.domain.reasons import GENERIC_TEXT, applicant_texts
from kyc_service.settings import AvailableVendors, Settings
from kyc_service.store.faces import FaceRows
from kyc_service.store.keys import Keys

PASSED = Finding(id="document.readable", category=Category.DOCUMENT, outcome=Outcome.PASS, severity=Severity.HIGH)
LOOK = hashlib.shake_256(b"a face among lines").hexdigest(128)


def field(name: str, value: str, *, repaired: bool = False) -> Field:
    return Field(name=name, value=value, source="mrz", confidence=1.0, repaired=repaired)


def result(content: bytes, *, number: str = "SPECI2014", look: str = LOOK, repaired: bool = False) -> Result:
    return Result(
        vendor="builtin",
        version="test",
        findings=(PASSED,),
        fields=(field("issuer", "NLD"), field("number", number, repaired=repaired)),
        files=(hashlib.sha256(content).hexdigest(),),
        picture=look,
    )


class Scripted:
    """A vendor that reads in the file itself what it is to find: the look, and the number."""

    name = "builtin"

    async def check(self, request: Request) -> Result | Started:
        assert request.read
        content = b"".join([chunk async for chunk in request.read()])
        look, number = content.removeprefix(b"\xff\xd8\xff").split(b" ")[:2]
        return result(content, number=number.decode(), look=look.decode())

    async def cancel(self, key: UUID, reference: str | None) -> str:
        return "nothing to undo"


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    vendors = {**VENDORS, AvailableVendors.BUILTIN: lambda _: Scripted()}
    async with build(settings, vendors=vendors) as app:
        yield app


def other_look(share: int) -> str:
    """A look that has *share* of its bands in common with LOOK."""
    width = len(LOOK) // BANDS
    return LOOK[: width * share] + "".join("0" if digit != "0" else "1" for digit in LOOK[width * share :])


async def shown(
    app: App, caller: Caller, person: UUID, look: str, number: str, salt: str = "", doc_type: str = "PASSPORT"
) -> CheckAnswered:
    """What came of the check after *person* had shown a document."""

    async def content() -> AsyncIterator[bytes]:
        yield b"\xff\xd8\xff" + f"{look} {number} {salt}".encode()

    file = await app.cabinet.upload(caller, "image/jpeg", content())
    assert not hasattr(file, "answer")
    document = Announced(doc_type=doc_type, file_id=file.id, issued_country="NL")
    view = await app.desk.submit(
        caller, Submission(user_id=person, email=f"{person}@example.com", documents=(document,), applicant=None)
    )
    assert isinstance(view, View)
    work = asyncio.create_task(app.worker.run())
    try:
        async with asyncio.timeout(20):
            while True:
                history = await app.applications.history(caller.tenant, view.snapshot.id)
                for one in history:
                    if isinstance(one.event, CheckAnswered):
                        return one.event
                await asyncio.sleep(0.01)
    finally:
        app.worker.stop()
        await work
        app.worker._stopping = False


async def test_the_same_document_with_another_person_is_for_a_reviewer(app: App, caller: Caller) -> None:
    first, second = uuid4(), uuid4()
    assert (await shown(app, caller, first, LOOK, "SPECI2014")).verdict is Verdict.CLEAR
    again = await shown(app, caller, first, LOOK, "SPECI2014")
    assert (again.verdict, again.reasons) == (Verdict.CLEAR, ())
    copied = await shown(app, caller, second, LOOK, "SPECI2014")
    assert (copied.verdict, copied.reasons) == (Verdict.REVIEW, ("DUPLICATE_IMAGE", "DUPLICATE_DOCUMENT"))
    assert applicant_texts(copied.reasons) == (GENERIC_TEXT,)


@pytest.mark.parametrize(
    ("look", "number", "reasons"),
    [
        (other_look(ALIKE), "OTHER1", ("DUPLICATE_IMAGE",)),
        (other_look(ALIKE - 1), "OTHER1", ()),
        (other_look(0), "SPECI-2014", ("DUPLICATE_DOCUMENT",)),
        (other_look(0), "OTHER1", ()),
    ],
)
async def test_each_trait_is_found_by_itself(
    app: App, caller: Caller, look: str, number: str, reasons: tuple[str, ...]
) -> None:
    await shown(app, caller, uuid4(), LOOK, "SPECI2014")
    assert (await shown(app, caller, uuid4(), look, number, "another file")).reasons == reasons


async def test_tenants_know_nothing_of_each_other(app: App, caller: Caller) -> None:
    await shown(app, caller, uuid4(), LOOK, "SPECI2014")
    assert (await shown(app, replace(caller, tenant="acme"), uuid4(), LOOK, "SPECI2014")).reasons == ()


ERASE = "update keys set wrapped = null, destroyed_at = now(), destroy_reason = 'test' where subject = %s"


@pytest.mark.parametrize("erased", ["person", "file"])
async def test_the_marks_go_with_the_person_and_with_the_file(app: App, caller: Caller, dsn: str, erased: str) -> None:
    person = uuid4()
    await shown(app, caller, person, LOOK, "SPECI2014")
    with psycopg.connect(dsn, autocommit=True) as connection:
        marks = connection.execute("select count(*), min(file::text) from document_marks").fetchone()
        assert marks
        assert marks[0] == BANDS + 2
        connection.execute(ERASE, (person if erased == "person" else marks[1],))
        assert connection.execute("select count(*) from document_marks").fetchone() == (0,)
    assert (await shown(app, caller, uuid4(), LOOK, "SPECI2014")).verdict is Verdict.CLEAR


async def test_a_rollback_takes_the_marks_along(app: App, caller: Caller, dsn: str) -> None:
    await shown(app, caller, uuid4(), LOOK, "SPECI2014")
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("select application from document_marks limit 1").fetchone()
        assert row
        assert await app.cabinet.release(caller.tenant, row[0]) == 1
        assert connection.execute("select count(*) from document_marks").fetchone() == (0,)


async def test_nothing_of_a_document_stands_in_the_table(app: App, caller: Caller, dsn: str) -> None:
    await shown(app, caller, uuid4(), LOOK, "SPECI2014")
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select digest, document_marks::text from document_marks").fetchall()
    plain = {hashlib.sha256(value).digest()[:16] for _, value in traits(result(b""))}
    assert not plain & {row[0] for row in rows}
    assert not any("SPECI" in row[1] for row in rows)


# ── faces ────────────────────────────────────────────────────────────────────────────────────────────────────────────

ANNA, SOMEBODY = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
ANNA_AGAIN, ALMOST = (0.6, 0.0, 0.8), (0.49, 0.0, 0.8717)


class Portraitist(Scripted):
    """A vendor that reads in the file the face that it is to find, and tells it if it may be kept."""

    async def check(self, request: Request) -> Result | Started:
        assert request.read
        content = b"".join([chunk async for chunk in request.read()])
        face = tuple(float(part) for part in content.removeprefix(b"\xff\xd8\xff").split(b" ")[:-2])
        answer = replace(result(content, look=""), fields=(), picture=None)
        return replace(answer, face=face if request.face_duplicates else ())


@pytest.fixture
async def keeping(settings: Settings) -> AsyncIterator[App]:
    """A service whose tenant `sandbox` looks for one face under two names, and the tenant `acme` does not."""
    vendors = {**VENDORS, AvailableVendors.BUILTIN: lambda _: Portraitist()}
    async with build(settings.model_copy(update={"face_duplicates_tenants": ("sandbox",)}), vendors=vendors) as app:
        yield app


async def seen(app: App, caller: Caller, person: UUID, face: tuple[float, ...]) -> CheckAnswered:
    """What came of the check after *person* had shown a selfie."""
    return await shown(app, caller, person, " ".join(map(str, face)), str(person), doc_type="SELFIE")


async def test_one_face_under_two_names_is_for_a_reviewer_and_never_a_no(keeping: App, caller: Caller) -> None:
    first = uuid4()
    assert (await seen(keeping, caller, first, ANNA)).verdict is Verdict.CLEAR
    assert (await seen(keeping, caller, first, ANNA)).verdict is Verdict.CLEAR
    again = await seen(keeping, caller, uuid4(), ANNA_AGAIN)
    assert (again.verdict, again.reasons) == (Verdict.REVIEW, ("DUPLICATE_FACE",))
    assert applicant_texts(again.reasons) == (GENERIC_TEXT,)


@pytest.mark.parametrize("face", [SOMEBODY, ALMOST])
async def test_other_faces_are_other_persons(keeping: App, caller: Caller, face: tuple[float, ...]) -> None:
    await seen(keeping, caller, uuid4(), ANNA)
    assert (await seen(keeping, caller, uuid4(), face)).verdict is Verdict.CLEAR


async def test_a_tenant_that_does_not_want_it_keeps_no_face(keeping: App, caller: Caller, dsn: str) -> None:
    for _ in range(2):
        answer = await seen(keeping, replace(caller, tenant="acme"), uuid4(), ANNA)
        assert answer.verdict is Verdict.CLEAR
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from face_descriptions").fetchone() == (0,)


async def test_a_kept_face_is_sealed_and_goes_with_the_person(keeping: App, caller: Caller, dsn: str) -> None:
    person = uuid4()
    answer = await seen(keeping, caller, person, (0.1234, 0.5678, 0.8138))
    assert answer.findings
    told = await keeping.people.open(caller.tenant, person, (await applications(dsn))[0], answer.findings)
    assert told
    assert told["face"] == []
    with psycopg.connect(dsn, autocommit=True) as connection:
        (row,) = connection.execute("select sealed from face_descriptions").fetchall()
        assert b"0.1234" not in row[0]
        connection.execute(ERASE, (person,))
        assert connection.execute("select count(*) from face_descriptions").fetchone() == (0,)
    assert (await seen(keeping, caller, uuid4(), (0.1234, 0.5678, 0.8138))).verdict is Verdict.CLEAR


async def test_who_had_biometric_data_erased_is_not_compared_any_more(keeping: App, caller: Caller, dsn: str) -> None:
    person = uuid4()
    await seen(keeping, caller, person, ANNA)
    await Keys(keeping.database).destroy(caller.tenant, person, DataClass.BIOMETRIC, keeping.clock(), "test")
    assert (await seen(keeping, caller, person, ANNA)).verdict is Verdict.CLEAR
    assert await applications(dsn) == []


async def test_whoever_was_erased_meanwhile_is_given_no_key_and_leaves_no_face(
    keeping: App, caller: Caller, dsn: str
) -> None:
    person, elsewhere = uuid4(), replace(caller, tenant="acme")
    await seen(keeping, elsewhere, person, ANNA)  # who has never had a biometric key
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(ERASE, (person,))
    bearer = Bearer(person=person, application=uuid4(), file=uuid4())
    assert await KnownFaces(keeping.people, FaceRows(keeping.database)).closest("acme", bearer, ANNA) is None
    with psycopg.connect(dsn) as connection:
        living = connection.execute("select class from keys where subject = %s and wrapped is not null", (person,))
        assert living.fetchall() == []
    assert await applications(dsn) == []


async def test_a_face_that_was_sealed_just_before_its_person_was_erased_is_not_kept(
    keeping: App, caller: Caller, dsn: str
) -> None:
    person = uuid4()
    await seen(keeping, replace(caller, tenant="acme"), person, ANNA)
    face = await keeping.people.seal_face("acme", person, ANNA)
    await Keys(keeping.database).destroy("acme", person, DataClass.CDD, keeping.clock(), "test")
    await FaceRows(keeping.database).keep("acme", Bearer(person=person, application=uuid4(), file=uuid4()), face)
    assert await applications(dsn) == []


async def test_every_face_is_looked_at_however_few_are_opened_at_once(keeping: App, caller: Caller) -> None:
    for face in (SOMEBODY, ANNA, SOMEBODY, (0.0, 0.0, 1.0)):
        await seen(keeping, caller, uuid4(), face)
    person = uuid4()
    await seen(keeping, caller, person, SOMEBODY)
    few = KnownFaces(keeping.people, FaceRows(keeping.database), at_once=2)
    closest = await few.closest(caller.tenant, Bearer(person=person, application=uuid4(), file=uuid4()), ANNA_AGAIN)
    assert closest == pytest.approx(0.8)
    alone = Bearer(person=person, application=uuid4(), file=uuid4())
    assert await few.closest(caller.tenant, alone, (-1.0, 0.0, 0.0)) == pytest.approx(0.0)


async def test_a_description_by_another_model_holds_up_nobody(keeping: App, caller: Caller) -> None:
    await seen(keeping, caller, uuid4(), (*ANNA, 0.0))
    assert (await seen(keeping, caller, uuid4(), ANNA)).verdict is Verdict.CLEAR


async def test_a_rollback_takes_the_face_along(keeping: App, caller: Caller, dsn: str) -> None:
    await seen(keeping, caller, uuid4(), ANNA)
    await keeping.cabinet.release(caller.tenant, (await applications(dsn))[0])
    assert (await seen(keeping, caller, uuid4(), ANNA)).verdict is Verdict.CLEAR


async def applications(dsn: str) -> list[UUID]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute("select application from face_descriptions").fetchall()]


def test_a_number_that_was_guessed_recognises_nothing() -> None:
    assert {trait for trait, _ in traits(result(b"x", repaired=True))} == {Trait.FILE, Trait.PICTURE}


def test_what_was_not_looked_for_did_not_pass() -> None:
    (only,) = findings(frozenset(), {})
    assert (only.id, only.outcome) == ("duplicate.face", Outcome.NOT_PERFORMED)
    assert judge((PASSED, *findings(frozenset(Trait), {}))) is Verdict.CLEAR
    found = findings(frozenset(Trait), {Trait.FILE: 1})
    assert reasons_of(found) == ("DUPLICATE_IMAGE",)
    assert found[0].measured
    assert found[0].measured.value == BANDS
