"""Doubtful lines: what is recovered, what is flagged, and what is never accepted."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_service.documents.decipher import Deciphered, Doubt, Glyph, Row, decipher, row
from kyc_service.documents.mrz import ALPHABET, WRITERS, Format, Particulars, check_digit, parse

TD3 = ("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10")
TD1 = ("I<UTOD231458907<<<<<<<<<<<<<<<", "7408122F1204159UTO<<<<<<<<<<<6", "ERIKSSON<<ANNA<MARIA<<<<<<<<<<")
ITALIAN = ("P<ITACOSSIGA<<PARIDE<<<<<<<<<<<<<<<<<<<<<<<<", "CV82COZE62ITA5204249M2811062<<<<<<<<<<<<<<<4")
CODES = {Format.TD1: "I", Format.TD2: "C", Format.TD3: "P", Format.MRVA: "V", Format.MRVB: "V"}


@st.composite
def zones(draw: st.DrawFn) -> tuple[str, ...]:
    kind = draw(st.sampled_from(sorted(CODES)))
    letters = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=9)
    person = Particulars(
        code=CODES[kind],
        issuer=draw(st.sampled_from(["UTO", "D", "NLD", "GBR", "USA"])),
        number=draw(st.text("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", min_size=7, max_size=9)),
        surname=draw(letters),
        given_names=draw(letters),
        nationality=draw(st.sampled_from(["UTO", "D", "NLD"])),
        birth=draw(st.dates(date(1940, 1, 1), date(2020, 1, 1))),
        sex=draw(st.sampled_from(["M", "F", "X"])),
        expiry=draw(st.dates(date(2020, 1, 1), date(2040, 1, 1))),
    )
    return WRITERS[kind](person)


def found(lines: Sequence[str]) -> Deciphered | None:
    return decipher([row(line) for line in lines])


def doubtful(line: str, column: int, *doubts: tuple[str, float]) -> Row:
    glyphs = list(row(line))
    others = tuple(Doubt(character=character, likely=likely) for character, likely in doubts)
    glyphs[column] = replace(glyphs[column], doubts=others)
    return tuple(glyphs)


def changed(line: str, column: int, character: str) -> str:
    return line[:column] + character + line[column + 1 :]


@given(zones())
@settings(deadline=None, max_examples=60)
def test_a_zone_that_was_read_right_is_left_alone(lines: tuple[str, ...]) -> None:
    deciphered = found(lines)
    assert deciphered
    assert (deciphered.zone, deciphered.repaired, deciphered.alternatives) == (parse(lines), (), 0)


@given(zones(), st.data())
@settings(deadline=None, max_examples=150)
def test_one_wrong_character_in_a_protected_field_is_never_accepted_in_silence(
    lines: tuple[str, ...], data: st.DataObject
) -> None:
    protected = [(0, 5, 15), (1, 0, 7), (1, 8, 15)] if len(lines) == 3 else [(1, 0, 10), (1, 13, 20), (1, 21, 28)]
    index, start, stop = data.draw(st.sampled_from(protected))
    column = data.draw(st.integers(start, stop - 1))
    wrong = data.draw(st.sampled_from(ALPHABET))
    right = lines[index][column]
    if check_digit(wrong) == check_digit(right):
        return  # ten apart: no check digit can see it
    damaged = [changed(line, column, wrong) if at == index else line for at, line in enumerate(lines)]
    deciphered = found(damaged)
    assert deciphered is None or deciphered.zone.failed or deciphered.repaired


@given(zones(), st.data())
@settings(deadline=None, max_examples=100)
def test_lookalikes_in_the_number_are_put_right_or_pointed_out(lines: tuple[str, ...], data: st.DataObject) -> None:
    index, start = (0, 5) if len(lines) == 3 else (1, 0)
    twins = {"S": "5", "B": "8", "Z": "2", "5": "S", "8": "B", "2": "Z", "0": "O"}
    places = [start + column for column in range(9) if lines[index][start + column] in twins]
    if not places:
        return
    for column in data.draw(st.lists(st.sampled_from(places), unique=True, min_size=1, max_size=3)):
        wrong = changed(lines[index], column, twins[lines[index][column]])
        lines = tuple(wrong if at == index else line for at, line in enumerate(lines))
    deciphered = found(lines)
    assert deciphered is None or deciphered.repaired or deciphered.zone.lines == lines
    assert deciphered is None or not deciphered.repaired or deciphered.holds


@given(st.lists(st.text(ALPHABET, max_size=50), max_size=4))
@settings(deadline=None, max_examples=60)
def test_whatever_comes_out_says_truly_which_check_digits_hold(lines: list[str]) -> None:
    deciphered = found(lines)
    assert deciphered is None or deciphered.zone == parse(deciphered.zone.lines)


@given(zones(), st.integers(1, 8))
@settings(deadline=None, max_examples=60)
def test_fillers_that_were_swallowed_come_back(lines: tuple[str, ...], swallowed: int) -> None:
    names = 2 if len(lines) == 3 else 0
    kept = max(len(lines[names].rstrip("<")) + 1, len(lines[names]) - swallowed)
    short = tuple(line[:kept] if at == names else line for at, line in enumerate(lines))
    deciphered = found(short)
    assert deciphered
    assert (deciphered.zone.lines, deciphered.repaired) == (lines, ())


def test_fillers_too_many_go_away() -> None:
    deciphered = found((TD3[0] + "<<<", TD3[1].replace("<<<<<", "<<<<<<<")))
    assert deciphered
    assert (deciphered.zone.lines, deciphered.mended) == (TD3, 5)


def test_a_passport_is_not_squeezed_into_the_format_of_a_card() -> None:
    """The strip of a passport with its last check digit in the wrong place: as a TD2 zone every digit would hold."""
    misprinted = "P<GBRTAYLOR<<SARA<JANE<<<<<<<<<<<<<<<<<<<<<<", "B987654323GBR9011229F3310300<<<<<<<<<<<<<<2<"
    assert found(misprinted) is None
    assert found((misprinted[0], misprinted[1][:42] + "02")) is not None


def test_characters_read_beside_the_line_are_dropped() -> None:
    deciphered = found(("7" + TD3[0], TD3[1] + "I"))
    assert deciphered
    assert deciphered.zone.lines == TD3


def test_other_text_around_the_zone_does_not_matter() -> None:
    deciphered = found(("REPUBLICOFUTOPIAPASSPORTPASSEPORTPASAPORTE", *TD1, "SPECIMENOFANIDENTITYCARD<<"))
    assert deciphered
    assert deciphered.zone == parse(TD1)


@pytest.mark.parametrize("lines", [(), ("HELLO",), ("UTILITYBILLFORNOVEMBER2026PAYABLEBY1DECEMBER", "A" * 44)])
def test_text_that_is_no_zone_gives_none(lines: tuple[str, ...]) -> None:
    assert found(lines) is None


def test_a_digit_among_letters_is_a_repair_when_the_reader_did_not_see_the_letter() -> None:
    deciphered = found((TD3[0].replace("ERIKSSON", "ERIKS5ON"), TD3[1]))
    assert deciphered
    assert (deciphered.zone.surname, deciphered.repaired) == ("ERIKSSON", ((0, 10),))


def test_a_letter_that_the_reader_saw_too_is_no_repair() -> None:
    first = doubtful(TD3[0].replace("ERIKSSON", "ERIKSS0N"), 11, ("O", 0.3))
    deciphered = decipher([first, row(TD3[1])])
    assert deciphered
    assert (deciphered.zone.surname, deciphered.repaired) == ("ERIKSSON", ())


def test_a_letter_in_a_date_is_put_right_and_flagged() -> None:
    deciphered = found((TD3[0], TD3[1].replace("740812", "74O812")))
    assert deciphered
    assert (deciphered.zone.birth, deciphered.repaired, deciphered.guessed("birth")) == ("740812", ((1, 15),), True)
    assert not deciphered.guessed("expiry")


def test_a_state_that_exists_proves_its_own_o() -> None:
    deciphered = found((TD3[0].replace("UTO", "UT0"), TD3[1].replace("UTO", "UT0")))
    assert deciphered
    assert (deciphered.zone.lines, deciphered.repaired) == (TD3, ())


def test_an_o_read_as_a_zero_in_the_number_is_the_first_thing_to_suspect() -> None:
    deciphered = found((ITALIAN[0], ITALIAN[1].replace("CV82CO", "CV82C0")))
    assert deciphered
    assert (deciphered.zone.number, deciphered.repaired) == ("CV82COZE6", ((1, 5),))


def test_two_readings_that_both_fit_are_ambiguous() -> None:
    """G and 6 weigh the same in every check digit: where the reader was unsure, nothing else can tell."""
    lines = format_with_number("L8989G2C3")
    deciphered = decipher([row(lines[0]), doubtful(lines[1], 5, ("6", 0.3))])
    assert deciphered
    assert (deciphered.holds, deciphered.repaired, deciphered.alternatives) == (True, (), 1)


def test_a_doubt_that_is_next_to_nothing_makes_nothing_ambiguous() -> None:
    lines = format_with_number("L8989G2C3")
    deciphered = decipher([row(lines[0]), doubtful(lines[1], 5, ("6", 0.002))])
    assert deciphered
    assert deciphered.alternatives == 0


def test_stray_lookalikes_among_the_last_fillers_are_swept_away() -> None:
    deciphered = found((TD3[0][:35] + "C" + TD3[0][36:], TD3[1]))
    assert deciphered
    assert (deciphered.zone.lines, deciphered.repaired, deciphered.mended) == (TD3, (), 1)


def test_a_word_among_the_last_fillers_is_not_swept_away_in_silence() -> None:
    deciphered = found((TD3[0][:35] + "JOHN" + TD3[0][39:], TD3[1]))
    assert deciphered
    assert deciphered.repaired == ((0, 35), (0, 36), (0, 37), (0, 38))


def test_the_least_sure_character_of_a_field_is_remembered() -> None:
    glyphs = list(row(TD3[0]))
    glyphs[7] = Glyph(character="I", likely=0.61)
    deciphered = decipher([tuple(glyphs), row(TD3[1])])
    assert deciphered
    assert dict(deciphered.sure)["names"] == 0.61


def format_with_number(number: str) -> tuple[str, ...]:
    person = Particulars(
        code="P",
        issuer="UTO",
        number=number,
        surname="Eriksson",
        given_names="Anna",
        nationality="UTO",
        birth=date(1974, 8, 12),
        sex="F",
        expiry=date(2034, 4, 15),
    )
    return WRITERS[Format.TD3](person)


FRENCH = ("IDFRABERTHIER<<<<<<<<<<<<<<<<<<<<<<<", "8806923102858CORINNE<<<<<<<6512068F6")


@pytest.mark.parametrize(
    "lines", [FRENCH, ("D1FRA13AA000026181231MARTIN<<9",), ("D1NLD15094962111659VW87Z78NB84",)], ids=["ID", "FR", "NL"]
)
def test_national_layouts_are_deciphered_too(lines: tuple[str, ...]) -> None:
    deciphered = found(lines)
    assert deciphered
    assert (deciphered.zone, deciphered.repaired, deciphered.alternatives) == (parse(lines), (), 0)


def test_a_damaged_licence_is_never_put_right_in_silence() -> None:
    """One check digit over one line finds many repairs, so that any of them is a guess."""
    deciphered = found(("D1FRA13AA000026181231MARTIN<<9".replace("13AA", "13A4"),))
    assert deciphered is None or not deciphered.holds or deciphered.repaired


def test_a_line_that_begins_like_a_licence_of_no_state_is_none() -> None:
    assert found(("D1QQQ13AA000026181231MARTIN<<5",)) is None


GLYPHS = st.builds(
    Glyph,
    character=st.sampled_from(ALPHABET),
    likely=st.floats(0.2, 1),
    doubts=st.lists(
        st.builds(Doubt, character=st.sampled_from(ALPHABET), likely=st.floats(0.001, 0.4)), max_size=2
    ).map(tuple),
)


@pytest.mark.long
@given(zones(), st.data())
@settings(deadline=None, max_examples=800)
def test_whatever_a_reader_makes_of_a_zone_the_result_is_a_zone_or_none(
    lines: tuple[str, ...], data: st.DataObject
) -> None:
    """Characters are swapped, doubted, lost and added."""
    rows: list[Row] = []
    for line in lines:
        glyphs = list(row(line))
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(glyphs) - 1))
            glyphs[at : at + data.draw(st.integers(0, 1))] = data.draw(st.lists(GLYPHS, max_size=1))
        rows.append(tuple(glyphs))
    deciphered = decipher(rows)
    assert deciphered is None or deciphered.zone == parse(deciphered.zone.lines)
    assert deciphered is None or not deciphered.repaired or max(r for r, _ in deciphered.repaired) < len(lines)
