"""What is printed besides the zone: found in whatever order, words and spelling it stands there."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_service.documents.printed import Presence, code_on, date_on, dates, name_on, number_on

PAGE = (
    "REPUBLIC OF UTOPIA",
    "Surname / Nom  MÜLLER-O'NEILL",
    "Given names  Jürgen Åse",
    "12 AUG/AOÛT 1974",
    "Passport No. L898902C3",
    "15.04.2034",
)


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ("12.08.1974", date(1974, 8, 12)),
        ("12 08 1974", date(1974, 8, 12)),
        ("1974-08-12", date(1974, 8, 12)),
        ("12/08/74", date(1974, 8, 12)),
        ("08/12/1974", date(1974, 8, 12)),
        ("12 AUG/AOÛT 74", date(1974, 8, 12)),
        ("12. August 1974", date(1974, 8, 12)),
        ("le 12 août 1974", date(1974, 8, 12)),
        ("12 de agosto de 1974", date(1974, 8, 12)),
        ("August 12, 1974", date(1974, 8, 12)),
        ("13 071990", date(1990, 7, 13)),
        ("1974年08月12日", date(1974, 8, 12)),
    ],
)
def test_a_date_is_recognised_in_many_writings(line: str, day: date) -> None:
    assert day in dates([line])


@pytest.mark.parametrize("line", ["", "32.01.1990", "99/99/9999", "call 0800 123456", "X1234567", "30.02.2020"])
def test_what_is_no_date_gives_none(line: str) -> None:
    assert dates([line]) == ()


@given(
    st.dates(date(1950, 1, 1), date(2049, 12, 31)), st.sampled_from(["%d.%m.%Y", "%Y-%m-%d", "%d %b %y", "%d/%m/%y"])
)
def test_every_date_that_is_printed_is_found(day: date, style: str) -> None:
    assert date_on([f"born {day.strftime(style)}"], day.strftime("%y%m%d")) is Presence.FOUND


def test_a_number_is_found_and_one_that_differs_a_little_is_pointed_out() -> None:
    assert number_on(PAGE, "L898902C3") is Presence.FOUND
    assert number_on(["L8989O2C3"], "L898902C3") is Presence.FOUND
    assert number_on(["L89 8902 C3"], "L898902C3") is Presence.FOUND
    assert number_on(["Passport No. L898907C3"], "L898902C3") is Presence.NEARLY
    assert number_on(["X4RTBPFW4"], "L898902C3") is Presence.ABSENT
    assert number_on(PAGE, "") is Presence.ABSENT


@pytest.mark.parametrize(
    ("name", "presence"),
    [
        ("MUELLER ONEILL", Presence.FOUND),
        ("MULLER ONEILL", Presence.FOUND),
        ("JUERGEN AASE", Presence.FOUND),
        ("JURGEN", Presence.FOUND),
        ("ERIKSSON", Presence.ABSENT),
        ("MUELLER", Presence.FOUND),
        ("", Presence.ABSENT),
    ],
)
def test_a_name_is_found_in_every_spelling_of_the_standard(name: str, presence: Presence) -> None:
    page = [*PAGE, "Müller"]
    assert name_on(page, name) is presence


def test_a_slip_of_the_reader_in_a_long_name_is_nearly_the_name() -> None:
    assert name_on(["ROB1NSON", "Jacgueline"], "ROBINSON") is Presence.ABSENT
    assert name_on(["ERIKSSOQ"], "ERIKSSOO") is Presence.NEARLY


def test_a_name_that_the_zone_cut_off_is_found_by_its_beginning() -> None:
    assert name_on(["Papandropoulous"], "PAPANDROP", truncated=True) is Presence.FOUND
    assert name_on(["Papandropoulous"], "PAPANDROP") is Presence.ABSENT


def test_an_accent_that_was_overlooked_does_not_hide_a_name() -> None:
    assert name_on(["Ase"], "AASE") is Presence.FOUND


def test_a_capital_i_that_was_taken_for_an_l_is_believed() -> None:
    assert name_on(["lvo"], "IVO") is Presence.FOUND


def test_a_code_of_a_state_stands_by_itself() -> None:
    assert code_on(["Nationality/NLD"], "NLD") is Presence.FOUND
    assert code_on(["NLDX"], "NLD") is Presence.ABSENT
    assert code_on(["D"], "D") is Presence.FOUND
    assert code_on(["D"], "") is Presence.ABSENT
