"""The built-in vendor keeps the contract, and reads real pictures."""

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from io import BytesIO
from uuid import uuid4

import pytest
import pytest_asyncio

pytest.importorskip("cv2", reason="the engine extra is not installed")

from contract import PERSON, VendorContract, never_uploaded
from PIL import Image

from kyc_service.application.ports import Companion, Request, Vendor, VendorBusy, VendorUnavailable
from kyc_service.documents.faults import EngineBusy, EngineNotInstalled
from kyc_service.documents.pool import EnginePool
from kyc_service.documents.readings import Reading
from kyc_service.documents.specimen import degraded, draw, draw_back, draw_front, draw_selfie, traveller
from kyc_service.domain.findings import Outcome, Result, Verdict, judge, reasons_of
from kyc_service.vendors.builtin import Builtin
from tests.documents.aamva_writer import drawn, encoded, front_drawn, written

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[EnginePool]:
    """An engine of one process, its models loaded once: it keeps nothing of a picture, what remembers is `Builtin`."""
    async with EnginePool(workers=1) as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def broken() -> AsyncIterator[EnginePool]:
    """An engine that does not start."""
    async with EnginePool(workers=1, command=(sys.executable, "-c", "pass")) as engine:
        yield engine


class TestBuiltin(VendorContract):
    @pytest.fixture
    def vendor(self, engine: EnginePool) -> Vendor:
        return Builtin(engine)

    @pytest.fixture
    def down(self, broken: EnginePool) -> Vendor:
        return Builtin(broken)

    @pytest.fixture
    def picture(self) -> bytes:
        return draw(traveller(issuer="NLD"))

    async def test_what_was_read_is_told_with_its_source(self, vendor: Vendor, good: Request) -> None:
        answer = await vendor.check(good)
        assert isinstance(answer, Result)
        read = {field.name: field.value for field in answer.fields}
        assert read["surname"] == "ERIKSSON"
        assert {field.source for field in answer.fields} == {"mrz", "layout"}
        assert len(answer.models) == 4
        assert len(answer.files) == 1

    @pytest.mark.parametrize(
        ("change", "verdict", "reason"),
        [
            ({"family_name": "Svensson"}, Verdict.REVIEW, "DATA_NAME_MISMATCH"),
            ({"birth_date": "1974-08-13"}, Verdict.REVIEW, "DATA_DOB_MISMATCH"),
            ({"given_names": "Anna"}, Verdict.CLEAR, None),
        ],
    )
    async def test_what_was_declared_is_held_against_the_document(
        self, vendor: Vendor, good: Request, change: dict[str, str], verdict: Verdict, reason: str | None
    ) -> None:
        answer = await vendor.check(replace(good, subject=replace(PERSON, **change)))
        assert isinstance(answer, Result)
        assert judge(answer.findings) is verdict
        assert reasons_of(answer.findings) == ((reason,) if reason else ())


def request_for(picture: bytes) -> Request:
    async def read() -> AsyncIterator[bytes]:
        yield picture

    return replace(never_uploaded(uuid4()), media_type="image/jpeg", read=read, subject=PERSON)


def blank() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (1200, 900), "white").save(buffer, "JPEG")
    return buffer.getvalue()


async def test_an_expired_document_is_a_no(engine: EnginePool) -> None:
    answer = await Builtin(engine).check(request_for(draw(traveller(issuer="NLD", expiry=date(2020, 1, 1)))))
    assert isinstance(answer, Result)
    assert judge(answer.findings) is Verdict.REJECT
    assert "DOC_EXPIRED" in reasons_of(answer.findings)


@pytest.mark.parametrize("picture", [degraded(draw(traveller(issuer="NLD"))), blank()], ids=["blurred", "blank"])
async def test_a_picture_that_says_nothing_is_asked_for_again(engine: EnginePool, picture: bytes) -> None:
    answer = await Builtin(engine).check(request_for(picture))
    assert isinstance(answer, Result)
    assert judge(answer.findings) is Verdict.RETRY
    assert {field.source for field in answer.fields} == {"layout"}


async def test_without_the_engine_nothing_is_approved() -> None:
    class Missing:
        async def read(self, picture: bytes, media_type: str, *, describe_faces: bool = False) -> Reading:
            raise EngineNotInstalled

    answer = await Builtin(Missing()).check(request_for(b""))
    assert isinstance(answer, Result)
    assert judge(answer.findings) is Verdict.REVIEW
    assert reasons_of(answer.findings) == ("ENGINE_NOT_INSTALLED",)


CARD = traveller(issuer="NLD", code="I")


def card(picture: bytes, *companions: Companion, agreed: bool = True) -> Request:
    """One side of PERSON's identity card, beside others."""
    return replace(
        request_for(picture),
        doc_type="NATIONAL_ID",
        companions=companions,
        subject=replace(PERSON, biometric_consent=agreed),
        face_matching=True,
    )


def beside(doc_type: str, picture: bytes) -> Companion:
    async def read() -> AsyncIterator[bytes]:
        yield picture

    return Companion(doc_type=doc_type, issued_country="NL", media_type="image/jpeg", read=read)


async def test_the_two_sides_of_a_card_are_clear_together_and_neither_alone(engine: EnginePool) -> None:
    front, back = draw_front(CARD), draw_back(CARD)
    builtin = Builtin(engine)
    for one, other in ((front, back), (back, front)):
        together = await builtin.check(card(one, beside("NATIONAL_ID", other)))
        assert isinstance(together, Result)
        assert (judge(together.findings), reasons_of(together.findings)) == (Verdict.CLEAR, ())
        assert len(together.files) == 2
        alone = await builtin.check(card(one))
        assert isinstance(alone, Result)
        assert judge(alone.findings) is Verdict.RETRY


LICENCE = ("DRIVER LICENSE", "DLN S12345678", "1 SAMPLE", "2 ALEXANDRA QUINN", "DOB 03/07/1990", "EXP 03/07/2031")


async def test_a_licence_without_a_zone_is_clear_by_its_barcode_and_a_forged_front_is_not(engine: EnginePool) -> None:
    front, back = front_drawn(*LICENCE), encoded(drawn(written(10)))
    forged = front_drawn(*(line.replace("SAMPLE", "EXEMPLAR") for line in LICENCE))
    holder = replace(PERSON, given_names="Alexandra Quinn", family_name="Sample", birth_date="1990-03-07")
    expected = {
        (front, back): (Verdict.CLEAR, ()),
        (back, front): (Verdict.CLEAR, ()),
        (forged, back): (Verdict.REVIEW, ("BARCODE_INCONSISTENT",)),
    }
    builtin = Builtin(engine)
    for (one, other), outcome in expected.items():
        side = replace(beside("DRIVING_LICENCE", other), issued_country="US")
        asked = replace(card(one, side), doc_type="DRIVING_LICENCE", issued_country="US", subject=holder)
        answer = await builtin.check(asked)
        assert isinstance(answer, Result)
        assert (judge(answer.findings), reasons_of(answer.findings)) == outcome
        if one == back:
            read = {field.name: field.value for field in answer.fields if field.source == "barcode"}
            assert (read["surname"], read["number"], read["country"]) == ("SAMPLE", "S12345678", "USA")


async def test_a_selfie_is_compared_with_the_portrait_only_with_consent(engine: EnginePool) -> None:
    builtin = Builtin(engine)
    documents = (beside("NATIONAL_ID", draw_front(CARD)),)
    for agreed, performed in ((True, True), (False, False)):
        asked = replace(card(draw_selfie(), *documents, agreed=agreed), doc_type="SELFIE")
        answer = await builtin.check(asked)
        assert isinstance(answer, Result)
        match = next(finding for finding in answer.findings if finding.id == "face.match")
        assert (match.outcome is not Outcome.NOT_PERFORMED) is performed
        assert (match.measured is not None) is performed
        assert answer.fields == ()


@pytest.mark.parametrize(("wanted", "agreed"), [(True, True), (False, True), (True, False)])
async def test_a_face_is_told_only_where_it_may_be_kept(engine: EnginePool, wanted: bool, agreed: bool) -> None:
    asked = replace(card(draw_selfie(), agreed=agreed), doc_type="SELFIE", face_duplicates=wanted)
    answer = await Builtin(engine).check(asked)
    assert isinstance(answer, Result)
    assert len(answer.face) == (128 if wanted and agreed else 0)
    passport = await Builtin(engine).check(replace(asked, doc_type="PASSPORT"))
    assert isinstance(passport, Result)
    assert passport.face == ()


async def test_a_document_that_was_never_uploaded_is_no_outage_that_could_be_waited_for(engine: EnginePool) -> None:
    with pytest.raises(VendorUnavailable) as refused:
        await Builtin(engine).check(never_uploaded(uuid4()))
    assert refused.value.cause == "VENDOR_UNSUPPORTED"


async def test_an_engine_without_room_is_busy_and_not_down() -> None:
    class Crowded:
        async def read(self, picture: bytes, media_type: str, *, describe_faces: bool = False) -> Reading:
            raise EngineBusy

    with pytest.raises(VendorBusy):
        await Builtin(Crowded()).check(request_for(b""))
