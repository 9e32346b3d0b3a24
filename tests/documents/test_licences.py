"""Barcodes of driving licences: every version of the standard, drawn, read again, and held against what is known."""

from contextlib import suppress
from dataclasses import replace
from datetime import date
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kyc_service.documents.aamva import NotAamva, parse
from kyc_service.documents.barcodes import find
from kyc_service.documents.licences import Said, compared, fields, scanned
from kyc_service.documents.readings import Barcode, Reading, Text
from kyc_service.documents.transliteration import Name
from kyc_service.domain.findings import Finding, Outcome, Verdict, judge, reasons_of
from tests.documents.aamva_writer import drawn, written
from tests.documents.conftest import ReadFile

TODAY = date(2026, 11, 25)
BIRTH, EXPIRY = date(1990, 3, 7), date(2031, 3, 7)
SAID = Said(name=Name(surname="Sample", given_names="Alexandra Quinn"), birth_date=BIRTH)
CORNERS = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))
FRONT = ("DRIVER LICENSE", "4d DLN S12345678", "1 SAMPLE", "2 ALEXANDRA QUINN", "3 DOB 03/07/1990", "4b EXP 03/07/2031")


@pytest.mark.parametrize("country", ["USA", "CAN"])
@pytest.mark.parametrize("version", range(1, 12))
def test_every_version_is_read(version: int, country: str) -> None:
    licence = parse(written(version, country=country))
    assert (licence.version, licence.issuer, licence.kind, licence.country) == (version, "636000", "DL", country)
    assert (licence.number, licence.family_name.text) == ("S12345678", "SAMPLE")
    assert [name.text for name in licence.given_names] == ["ALEXANDRA", "QUINN"]
    assert (licence.birth, licence.expiry, licence.issued) == (BIRTH, EXPIRY, date(2023, 3, 7))
    assert licence.sex == "F"
    assert licence.postal_code == ("K1A0B1" if country == "CAN" else "221010000")


def test_a_name_that_was_cut_short_says_so() -> None:
    licence = parse(written(10, changed={"DDE": "U"}))
    assert licence.family_name.truncated is None
    assert [name.truncated for name in licence.given_names] == [False, True]


@pytest.mark.parametrize("value", ["NONE", "unavl", "", None])
def test_what_is_not_available_is_absent(value: str | None) -> None:
    licence = parse(written(10, changed={"DAD": value, "DBC": value, "DBA": value}))
    assert (len(licence.given_names), licence.sex, licence.expiry) == (1, "", None)


@pytest.mark.parametrize(
    ("element", "day"),
    [("19900307", BIRTH), ("13451990", None), ("02301990", None), ("0307199", None), ("00000000", None)],
)
def test_a_date_in_the_other_order_is_taken_where_it_can_mean_nothing_else(element: str, day: date | None) -> None:
    assert parse(written(8, changed={"DBB": element})).birth == day


@pytest.mark.parametrize("kind", ["ID", "EN"])
def test_cards_are_read_as_licences_are(kind: str) -> None:
    assert parse(written(9, kind=kind)).kind == kind


def test_the_subfile_is_found_where_the_offset_is_wrong() -> None:
    text = written(8)
    assert parse(text.replace("DL0031", "DL0025", 1)).number == "S12345678"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://example.com",
        written(8).replace("ANSI ", "ANSI!"),
        written(8).replace("DL", "ZV"),
        written(8, changed={"DAQ": "NONE"}),
        written(8)[:25],
        written(8) + "x" * 9000,
        "@\n\x1e\rANSI 6360000801xxDL",
    ],
)
def test_what_is_no_licence_is_refused(text: str) -> None:
    with pytest.raises(NotAamva):
        parse(text)


@given(st.text(max_size=300), st.integers(0, 300), st.integers(1, 12))
def test_whatever_stands_there_is_a_licence_or_refused(noise: str, place: int, version: int) -> None:
    text = written(version)
    with suppress(NotAamva):
        assert parse(text[:place] + noise + text[place:]).number


@pytest.mark.parametrize("aslant", [0, 90, 180, 4, -4])
def test_a_licence_is_read_from_a_picture(aslant: float) -> None:
    (code,) = find(drawn(written(10), aslant=aslant))
    assert (code.kind, parse(code.text).number) == ("PDF417", "S12345678")


def test_the_code_is_found_in_a_file_with_its_place(read_file: ReadFile) -> None:
    out = BytesIO()
    Image.fromarray(drawn(written(8), *FRONT)[:, :, ::-1]).save(out, "PNG")
    reading = read_file(out.getvalue(), "image/png")
    (code,) = reading.barcodes
    left, top, right, bottom = code.box
    assert 60 < left < right < reading.width
    assert 40 < top < bottom < reading.height
    found = compared(reading, (), SAID, TODAY)
    assert {one.outcome for one in found} == {Outcome.PASS}
    assert {one.id for one in found} >= {"barcode.print.number", "barcode.print.surname", "barcode.print.birth_date"}
    assert all(one.evidence and one.evidence.box == code.box for one in found)


def test_a_square_code_of_something_else_is_noted() -> None:
    reading = Reading(barcodes=find(drawn("https://example.com", kind="QR")))
    assert [code.kind for code in reading.barcodes] == ["QR"]
    (only,) = compared(reading, (), SAID, TODAY)
    assert (only.outcome, only.reasons) == (Outcome.NOT_PERFORMED, ())


def reading_of(text: str, *lines: str) -> Reading:
    return Reading(
        barcodes=(Barcode(kind="PDF417", text=text, box=(0, 0, 9, 9)),),
        text=tuple(Text(text=line, likely=1.0, corners=CORNERS) for line in lines),
    )


def outcomes(found: tuple[Finding, ...]) -> dict[str, Outcome]:
    return {one.id: one.outcome for one in found}


@pytest.mark.parametrize(
    ("text", "lines", "said", "reasons"),
    [
        (written(10), FRONT, SAID, ()),
        (written(3), FRONT, SAID, ()),
        (written(10), (), SAID, ()),
        (written(10, expiry=date(2024, 3, 7)), (), SAID, ("DOC_EXPIRED",)),
        (written(10), (), replace(SAID, name=Name(surname="Other", given_names="Alexandra")), ("DATA_NAME_MISMATCH",)),
        (written(10), (), replace(SAID, birth_date=date(1990, 7, 3)), ("DATA_DOB_MISMATCH",)),
        (written(10, changed={"DAQ": "S12345679"}), FRONT, SAID, ("BARCODE_INCONSISTENT",)),
    ],
)
def test_what_does_not_agree_is_for_a_reviewer(
    text: str, lines: tuple[str, ...], said: Said, reasons: tuple[str, ...]
) -> None:
    found = compared(reading_of(text, *lines), (), said, TODAY)
    assert reasons_of(found) == reasons
    assert judge(found) is (Verdict.REVIEW if reasons else Verdict.CLEAR)


def test_the_print_may_stand_on_the_other_page() -> None:
    found = compared(reading_of(written(10)), (reading_of("", *FRONT),), SAID, TODAY)
    assert outcomes(found)["barcode.print.number"] is Outcome.PASS


def test_its_data_are_told_with_their_source() -> None:
    found = scanned(reading_of(written(10)))
    assert found
    told = {field.name: field.value for field in fields(found)}
    assert told["birth_date"] == "1990-03-07"
    assert told["given_names"] == "ALEXANDRA QUINN"
    assert {field.source for field in fields(found)} == {"barcode"}


def test_without_a_code_there_is_nothing_to_say() -> None:
    assert compared(Reading(), (), SAID, TODAY) == ()
