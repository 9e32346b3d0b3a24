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
from kyc_service.documents.checks import Announced, Beside, Declared, examine
from kyc_service.documents.licences import Said, compared, fields, scanned
from kyc_service.documents.readings import Barcode, Face, Reading, Text
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


FACE = Face(corners=CORNERS, likely=1.0, share=0.03, height=200)
BACK = reading_of(written(10))
US_LICENCE = Announced(doc_type="DRIVING_LICENCE", issued_country="US")


def front_of(*lines: str) -> Reading:
    return replace(reading_of("", *lines), barcodes=(), faces=(FACE,), sharpness=400, lines_of_text=len(lines))


def front_with(old: str, new: str) -> Reading:
    return front_of(*(line.replace(old, new) for line in FRONT))


def judged(
    page: Reading, *others: Reading, said: Said = SAID, announced: Announced = US_LICENCE
) -> tuple[Verdict, tuple[str, ...]]:
    """What comes of one page of a licence beside others."""
    declared = Declared(name=said.name, birth_date=said.birth_date)
    found = (
        *examine(replace(page, sharpness=400), declared, announced, TODAY, Beside(pages=others)),
        *compared(page, others, said, TODAY, announced.doc_type),
    )
    return judge(found), reasons_of(found)


def test_the_two_sides_of_a_licence_without_a_zone_are_clear_together() -> None:
    assert judged(front_of(*FRONT), BACK) == judged(BACK, front_of(*FRONT)) == (Verdict.CLEAR, ())


def test_either_side_alone_is_for_a_reviewer() -> None:
    assert judged(front_of(*FRONT)) == (Verdict.REVIEW, ("DOC_TYPE_UNSUPPORTED",))
    assert judged(BACK) == (Verdict.REVIEW, ("IMAGE_WRONG_SIDE", "DOC_PORTRAIT_NOT_FOUND"))


def test_a_back_that_repeats_itself_is_no_front() -> None:
    back = reading_of(written(10), *FRONT)
    assert judged(back)[0] is Verdict.REVIEW
    assert judged(back, front_of("DRIVER LICENSE")) == (Verdict.REVIEW, ("BARCODE_INCONSISTENT",))


@pytest.mark.parametrize(
    "front",
    [
        front_with("S12345678", "S12345679"),
        front_with("S12345678", ""),
        front_with("SAMPLE", "EXAMPLE"),
        front_with("ALEXANDRA", "PATRICIA"),
        front_with("DOB 03/07/1990", "DOB 03/07/1996"),
        front_with("DOB 03/07/1990", "DOB 07/03/1990"),
        front_with("EXP 03/07/2031", "EXP 03/07/2036"),
        front_of("DRIVER LICENSE"),
    ],
)
@pytest.mark.parametrize("front_first", [True, False])
def test_a_front_that_says_anything_else_than_the_barcode_is_for_a_reviewer(front: Reading, front_first: bool) -> None:
    pages = (front, BACK) if front_first else (BACK, front)
    verdict, reasons = judged(*pages)
    assert (verdict, set(reasons)) == (Verdict.REVIEW, {"BARCODE_INCONSISTENT"})


@pytest.mark.parametrize("element", ["DBB", "DBA", "DCS", "DAC"])
def test_a_barcode_that_leaves_out_what_the_standard_wants_is_for_a_reviewer(element: str) -> None:
    assert judged(front_of(*FRONT), reading_of(written(10, changed={element: None})))[0] is Verdict.REVIEW


def test_the_barcodes_of_two_licences_are_for_a_reviewer() -> None:
    other = reading_of(written(10, changed={"DAQ": "S87654321"}))
    assert judged(front_of(*FRONT), BACK, other) == (Verdict.REVIEW, ("BARCODE_INCONSISTENT",))


@pytest.mark.parametrize(
    ("said", "announced", "expected"),
    [
        (replace(SAID, birth_date=date(1990, 7, 3)), US_LICENCE, (Verdict.REVIEW, ("DATA_DOB_MISMATCH",))),
        (
            replace(SAID, name=Name(surname="Other", given_names="Alexandra")),
            US_LICENCE,
            (Verdict.REVIEW, ("DATA_NAME_MISMATCH",)),
        ),
        (SAID, replace(US_LICENCE, issued_country="CA"), (Verdict.REVIEW, ("DOC_COUNTRY_MISMATCH",))),
        (SAID, replace(US_LICENCE, doc_type="NATIONAL_ID"), (Verdict.RETRY, ("DOC_TYPE_MISMATCH",))),
    ],
)
def test_a_licence_is_held_against_what_was_announced_and_declared(
    said: Said, announced: Announced, expected: tuple[Verdict, tuple[str, ...]]
) -> None:
    assert judged(front_of(*FRONT), BACK, said=said, announced=announced) == expected


def test_an_identity_card_with_a_barcode_is_read_as_a_licence_is() -> None:
    card = Announced(doc_type="ID_CARD", issued_country="US")
    assert judged(front_of(*FRONT), reading_of(written(10, kind="ID")), announced=card) == (Verdict.CLEAR, ())


def test_a_licence_whose_both_sides_say_that_it_expired_is_a_no() -> None:
    back = reading_of(written(10, expiry=date(2024, 3, 7)))
    assert judged(front_with("03/07/2031", "03/07/2024"), back) == (Verdict.REJECT, ("DOC_EXPIRED",))
    assert judged(front_of(*FRONT), back)[0] is Verdict.REVIEW


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
