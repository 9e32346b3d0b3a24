"""Machine-readable zones, written and parsed: the examples of Doc 9303, and properties for everything else."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_service.documents.mrz import (
    NEVER,
    WRITERS,
    BirthDate,
    Format,
    MalformedZone,
    Particulars,
    birth_date,
    check_digit,
    expiry_date,
    format_td1,
    format_td2,
    format_td3,
    parse,
)

TODAY = date(2026, 11, 24)
ERIKSSON = Particulars(
    code="P",
    issuer="UTO",
    number="L898902C3",
    surname="Eriksson",
    given_names="Anna Maria",
    nationality="UTO",
    birth=date(1974, 8, 12),
    sex="F",
    expiry=date(2012, 4, 15),
    optional="ZE184226B",
)
EXAMPLES = [  # Doc 9303 parts 4 to 7, appendices
    ("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10"),
    ("I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "D231458907UTO7408122F1204159<<<<<<<6"),
    ("I<UTOD231458907<<<<<<<<<<<<<<<", "7408122F1204159UTO<<<<<<<<<<<6", "ERIKSSON<<ANNA<MARIA<<<<<<<<<<"),
    ("V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L8988901C4XXX4009078F96121096ZE184226B<<<<<<"),
    ("V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "L8988901C4XXX4009078F9612109<<<<<<<<"),
]

LATIN = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=8)
NUMBERS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=9)
PEOPLE = st.builds(
    Particulars,
    code=st.sampled_from(["P", "PD", "PP", "PO"]),
    issuer=st.sampled_from(["UTO", "D", "GBD", "NLD", "XXA", "RKS", "UNO", "XOM", "EUE"]),
    number=NUMBERS,
    surname=LATIN,
    given_names=LATIN,
    nationality=st.sampled_from(["UTO", "D", "NLD", "XXB", "GBR"]),
    birth=st.none() | st.dates(date(1930, 1, 1), TODAY),
    sex=st.sampled_from(["M", "F", "X"]),
    expiry=st.dates(date(2000, 1, 1), date(2060, 1, 1)),
    optional=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", max_size=6),
)
CODES = {Format.TD1: "I", Format.TD2: "C", Format.TD3: "P", Format.MRVA: "V", Format.MRVB: "V"}


@pytest.mark.parametrize("lines", EXAMPLES, ids=["TD3", "TD2", "TD1", "MRV-A", "MRV-B"])
def test_the_examples_of_the_standard_hold(lines: tuple[str, ...]) -> None:
    zone = parse(lines)
    assert (zone.failed, zone.surname, zone.given_names, zone.issuer) == ((), "ERIKSSON", "ANNA MARIA", "UTO")


def test_a_passport_is_written_as_the_standard_writes_it() -> None:
    assert format_td3(ERIKSSON) == EXAMPLES[0]


def test_cards_are_written_as_the_standard_writes_them() -> None:
    holder = replace(ERIKSSON, code="I", number="D23145890", optional="")
    assert (format_td2(holder), format_td1(holder)) == (EXAMPLES[1], EXAMPLES[2])


@given(PEOPLE, st.sampled_from(sorted(CODES)))
def test_what_is_written_is_what_is_parsed(person: Particulars, kind: Format) -> None:
    zone = parse(WRITERS[kind](replace(person, code=CODES[kind])))
    read = (zone.format, zone.failed, zone.issuer, zone.number, zone.surname, zone.given_names, zone.nationality)
    assert read == (kind, (), person.issuer, person.number, person.surname, person.given_names, person.nationality)
    assert (zone.sex or "X", zone.optional, zone.truncated) == (person.sex, person.optional, False)
    assert zone.birth == (person.birth.strftime("%y%m%d") if person.birth else "<<<<<<")
    assert zone.expiry == person.expiry.strftime("%y%m%d")


@given(PEOPLE, st.text("ABCDEF0123456789", min_size=10, max_size=14), st.sampled_from([Format.TD1, Format.TD2]))
def test_a_long_number_runs_on_into_the_optional_data(person: Particulars, number: str, kind: Format) -> None:
    long = replace(person, code="I", number=number, optional="")
    zone = parse(WRITERS[kind](long))
    assert (zone.number, zone.optional, zone.failed) == (number, "", ())


def test_the_long_number_of_the_standard() -> None:
    lines = format_td1(replace(ERIKSSON, code="I", number="D23145890734", optional=""))
    assert lines[0] == "I<UTOD23145890<7349<<<<<<<<<<<"


@given(
    PEOPLE,
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ ", min_size=40),
    st.text("ABC DEF", min_size=1),
    st.sampled_from(sorted(CODES)),
)
def test_a_name_too_long_fills_its_field_and_says_so(
    person: Particulars, surname: str, given: str, kind: Format
) -> None:
    long = replace(person, code=CODES[kind], surname=f"X{surname.strip()}Y", given_names=f"A{given.strip()}")
    if len("".join(surname.split())) < 40:
        long = replace(long, surname="VERYLONGNAME" * 4)
    zone = parse(WRITERS[kind](long))
    assert zone.truncated
    assert zone.given_names.startswith("A")


@pytest.mark.parametrize(
    "lines",
    [(), ("P<UTO",), ("A" * 44, "A" * 36), ("a" * 44, "A" * 44), ("A" * 30, "A" * 30), ("Ä" * 36, "A" * 36)],
)
def test_what_has_no_proper_shape_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(MalformedZone):
        parse(lines)


@given(PEOPLE, st.sampled_from(sorted(CODES)), st.data())
def test_one_wrong_character_in_a_protected_field_fails_a_check_digit(
    person: Particulars, kind: Format, data: st.DataObject
) -> None:
    lines = list(WRITERS[kind](replace(person, code=CODES[kind])))
    number_at = (0, 5) if kind is Format.TD1 else (1, 0)
    birth_at = (1, 0) if kind is Format.TD1 else (1, 13)
    row, start, width = data.draw(st.sampled_from([(*number_at, 9), (*birth_at, 6)]))
    column = start + data.draw(st.integers(0, width - 1))
    wrong = data.draw(st.sampled_from("0123456789"))
    before = lines[row][column]
    lines[row] = lines[row][:column] + wrong + lines[row][column + 1 :]
    undetectable = check_digit(before) == check_digit(wrong)  # ten apart: the scheme cannot tell A from K, nor G from 6
    assert bool(parse(lines).failed) is not undetectable


@pytest.mark.parametrize(
    ("printed", "born"),
    [
        ("740812", BirthDate(year=1974, month=8, day=12)),
        ("261124", BirthDate(year=2026, month=11, day=24)),
        ("261125", BirthDate(year=1926, month=11, day=25)),
        ("000229", BirthDate(year=2000, month=2, day=29)),
        ("74<<<<", BirthDate(year=1974, month=None, day=None)),
        ("7408<<", BirthDate(year=1974, month=8, day=None)),
        ("<<<<<<", BirthDate(year=None, month=None, day=None)),
        ("741312", None),
        ("740231", None),
        ("740000", None),
        ("7408", None),
        ("74081<", None),
    ],
)
def test_a_date_of_birth_lies_in_the_past_and_may_be_partly_unknown(printed: str, born: BirthDate | None) -> None:
    assert birth_date(printed, TODAY) == born


DAYS = st.dates(TODAY - timedelta(days=49 * 365), TODAY + timedelta(days=49 * 365))


@given(DAYS.filter(lambda day: day.strftime("%y%m%d") not in NEVER))
def test_a_date_of_expiry_is_the_one_within_fifty_years(day: date) -> None:
    assert expiry_date(day.strftime("%y%m%d"), TODAY) == day


@pytest.mark.parametrize("printed", ["<<<<<<", "991332", "26<<<<", "abcdef", *sorted(NEVER)])
def test_what_is_no_date_of_expiry_is_none(printed: str) -> None:
    assert expiry_date(printed, TODAY) is None


@given(st.dates(date(1927, 1, 1), TODAY))
def test_every_date_of_birth_of_a_century_is_found_again(day: date) -> None:
    assert birth_date(day.strftime("%y%m%d"), TODAY) == BirthDate(year=day.year, month=day.month, day=day.day)


FRENCH = ("IDFRABERTHIER<<<<<<<<<<<<<<<<<<<<<<<", "8806923102858CORINNE<<<<<<<6512068F6")
LICENCES = ("D1FRA13AA000026181231MARTIN<<9", "D1NLD15094962111659VW87Z78NB84")


def test_the_french_identity_card_has_a_layout_of_its_own() -> None:
    zone = parse(FRENCH)
    assert (zone.format, zone.failed, zone.number) == (Format.FRENCH_ID, (), "880692310285")
    assert (zone.surname, zone.given_names, zone.nationality) == ("BERTHIER", "CORINNE", "FRA")
    assert (zone.birth, zone.sex, zone.expiry) == ("651206", "F", "")


@given(PEOPLE, st.integers(0, 10**12 - 1), st.booleans())
def test_a_french_card_is_written_as_it_is_parsed(person: Particulars, number: int, two_names: bool) -> None:
    given_names = f"{person.given_names[:5]} B" if two_names else person.given_names
    french = replace(person, issuer="FRA", number=f"{number:012}", given_names=given_names, optional="952042")
    zone = parse(WRITERS[Format.FRENCH_ID](french))
    assert (zone.format, zone.failed, zone.number) == (Format.FRENCH_ID, (), french.number)
    assert (zone.surname, zone.given_names, zone.optional) == (person.surname, given_names, "952042")


def test_a_card_of_france_in_the_general_layout_is_told_apart() -> None:
    card = replace(ERIKSSON, code="ID", issuer="FRA", number="X4RTBPFW4", optional="")
    assert parse(format_td2(card)).format is Format.TD2


def test_the_line_of_a_french_licence_tells_number_name_and_expiry() -> None:
    zone = parse((LICENCES[0],))
    assert (zone.format, zone.failed) == (Format.FRENCH_LICENCE, ())
    assert (zone.number, zone.surname, zone.expiry, zone.birth) == ("13AA00002", "MARTIN", "181231", "")
    holder = replace(ERIKSSON, issuer="FRA", number="13AA00002", surname="Martin", expiry=date(2018, 12, 31))
    assert WRITERS[Format.FRENCH_LICENCE](holder) == (LICENCES[0],)


def test_the_line_of_another_licence_tells_its_state_and_that_it_was_read_right() -> None:
    zone = parse((LICENCES[1],))
    assert (zone.format, zone.failed, zone.issuer, zone.number) == (Format.LICENCE, (), "NLD", "")
    assert parse((LICENCES[1][:-1] + "5",)).failed == ("composite",)
    holder = replace(ERIKSSON, issuer="NLD", optional=LICENCES[1][5:29])
    assert WRITERS[Format.LICENCE](holder) == (LICENCES[1],)


def test_a_card_that_never_expires_has_no_date_of_expiry() -> None:
    assert expiry_date("990101", TODAY) is None
