"""The engine on pictures: specimens of our own, the synthetic public set, and pictures that say nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from kyc_service.documents.checks import Announced, Declared, examine
from kyc_service.documents.faults import EngineFault
from kyc_service.documents.models import ModelAltered, models, verified
from kyc_service.documents.mrz import WRITERS, Format, Particulars
from kyc_service.documents.pool import EnginePool
from kyc_service.documents.readings import Reading
from kyc_service.documents.specimen import degraded, draw, traveller
from kyc_service.documents.transliteration import Name
from kyc_service.documents.wire import dump, load
from kyc_service.domain.findings import Verdict, judge

TODAY = date(2026, 11, 24)
Read = Callable[[bytes], Reading]

SPECIMENS = [  # those of EVERYDAY run always
    (traveller(), Format.TD3),
    (traveller(issuer="NLD", surname="de Vries", given_names="Willeke", number="SPECI2014"), Format.TD3),
    (traveller(issuer="USA", surname="Smith-Jones", given_names="John", number="340020013", sex="M"), Format.TD3),
    (traveller(issuer="D", surname="Mustermann", given_names="Erika", number="C01X00T47"), Format.TD3),
    (traveller(issuer="GBR", surname="O'Connor", given_names="Siobhán", number="925076473"), Format.TD3),
    (traveller(surname="Иванов", given_names="Юрий", number="75P334467", sex="X"), Format.TD3),
    (traveller(code="I", number="D23145897"), Format.TD1),
    (traveller(code="ID", issuer="NLD", surname="Müller", given_names="Jürgen", number="XR1001R58"), Format.TD1),
    (traveller(code="I", number="D23145897", birth=date(2001, 1, 31)), Format.TD2),
    (traveller(code="ID", issuer="FRA", surname="García Márquez", number="X4RTBPFW4"), Format.TD2),
    (traveller(code="V", number="L898901C4"), Format.MRVA),
    (traveller(code="V", issuer="PRT", surname="Macedo", given_names="Ivo", number="676507826"), Format.MRVB),
    (traveller(issuer="FRA", surname="Berthier", given_names="Sabine", number="880692310285"), Format.FRENCH_ID),
    (traveller(issuer="FRA", surname="Martin", number="13AA00002"), Format.FRENCH_LICENCE),
    (traveller(issuer="XOM", number="SM0012345"), Format.TD3),
    (traveller(issuer="RKS", number="P00000001"), Format.TD3),
    (traveller(issuer="GBD", number="925076473"), Format.TD3),
    (traveller(code="I", number="D23145890734"), Format.TD1),
]


def turned(picture: bytes, angle: int) -> bytes:
    out = BytesIO()
    with Image.open(BytesIO(picture)) as image:
        image.rotate(angle, expand=True, fillcolor=(90, 80, 70)).save(out, "JPEG", quality=92)
    return out.getvalue()


EVERYDAY = {0, 5, 13}


@pytest.mark.parametrize(
    ("person", "kind"),
    [pytest.param(*one, marks=[] if at in EVERYDAY else pytest.mark.long) for at, one in enumerate(SPECIMENS)],
)
def test_a_specimen_is_read_exactly(person: Particulars, kind: Format, read_jpeg: Read) -> None:
    found = read_jpeg(draw(person, kind)).zone
    assert found
    assert (found.zone.lines, found.repaired, found.alternatives) == (WRITERS[kind](person), (), 0)


@pytest.mark.parametrize("angle", [90, -12, *(pytest.param(angle, marks=pytest.mark.long) for angle in (180, 270, 7))])
def test_a_picture_may_lie_any_way(angle: int, read_jpeg: Read) -> None:
    found = read_jpeg(turned(draw(traveller()), angle)).zone
    assert found
    assert found.zone.lines == WRITERS[Format.TD3](traveller())


def test_a_specimen_of_a_real_country_clears_and_an_unreadable_one_is_asked_for_again(read_jpeg: Read) -> None:
    person = traveller(issuer="NLD")
    picture = draw(person)
    declared = Declared(
        name=Name(surname=person.surname, given_names=person.given_names), birth_date=person.birth, nationality="NL"
    )
    announced = Announced(doc_type="PASSPORT", issued_country="NL")
    assert judge(examine(read_jpeg(picture), declared, announced, TODAY)) is Verdict.CLEAR
    assert judge(examine(read_jpeg(degraded(picture)), declared, announced, TODAY)) is Verdict.RETRY
    expired = draw(replace(person, expiry=date(2025, 1, 1)))
    assert judge(examine(read_jpeg(expired), declared, announced, TODAY)) is Verdict.REJECT


def test_the_synthetic_set_is_read_and_never_wrong_without_a_warning(
    synthetic: list[tuple[Path, tuple[str, ...]]], read_jpeg: Read
) -> None:
    sample = synthetic[::40]
    exact = 0
    for path, lines in sample:
        found = read_jpeg(path.read_bytes()).zone
        right = found is not None and found.zone.lines == lines
        exact += right
        sure = found is not None and found.holds and not found.repaired and not found.alternatives
        assert right or not sure, path.name
    assert exact >= len(sample) - 1


@pytest.mark.long
def test_a_third_of_the_synthetic_set_is_read_at_least_as_well_as_promised(
    synthetic: list[tuple[Path, tuple[str, ...]]], read_jpeg: Read
) -> None:
    sample = synthetic[1::3]  # every document and every level, forty pictures
    readings = [(lines, read_jpeg(path.read_bytes()).zone) for path, lines in sample]
    assert sum(found is not None and found.zone.lines == lines for lines, found in readings) >= len(sample) - 1


def test_a_picture_without_text_has_no_zone(read_jpeg: Read) -> None:
    out = BytesIO()
    Image.new("RGB", (800, 600), "white").save(out, "JPEG")
    found = read_jpeg(out.getvalue())
    assert (found.refused, found.lines_of_text, found.zone) == (None, 0, None)


def test_a_file_that_is_no_picture_is_a_reading_and_not_an_error(read_jpeg: Read) -> None:
    found = read_jpeg(b"%PDF-1.7")
    assert found.refused == "FILE_TYPE_MISMATCH"


def test_a_reading_says_what_each_stage_cost(read_jpeg: Read) -> None:
    found = read_jpeg(draw(traveller()))
    stages = ["decode", "quality", "find", "read", "text", "barcodes", "faces", "light"]
    assert sorted(one.stage for one in found.seconds) == sorted(stages)
    assert load(dump(found)) == found


async def test_the_pool_reads_what_the_engine_reads() -> None:
    async with EnginePool(workers=1, timeout=60) as pool:
        good = await pool.read(draw(traveller()), "image/jpeg")
        assert good.zone
        assert good.zone.zone.lines == WRITERS[Format.TD3](traveller())
        assert (await pool.read(b"no picture", "image/jpeg")).refused == "FILE_TYPE_MISMATCH"


def test_a_model_that_was_altered_is_not_loaded() -> None:
    assert len(models()) == 4
    with pytest.raises(ModelAltered) as caught:
        verified(b"another model", models()[0][1])
    assert isinstance(caught.value, EngineFault)
