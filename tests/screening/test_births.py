"""What two dates of birth say, by example."""

from datetime import date

import numpy as np
import pytest

from kyc_service.screening.births import VERDICTS, BirthVerdict, Span, verdicts_of


def span(first: str, last: str = "", *, circa: bool = False) -> Span:
    return date.fromisoformat(first).toordinal(), date.fromisoformat(last or first).toordinal(), int(circa)


def verdict(ours: list[Span], theirs: Span) -> BirthVerdict:
    (code,) = verdicts_of(ours, np.array([theirs], np.int32))
    return VERDICTS[code]


YEAR_1961 = span("1961-01-01", "1961-12-31")
EXAMPLES = [
    ("1961-04-17", span("1961-04-17"), BirthVerdict.SAME),
    ("1961-04-03", span("1961-03-04"), BirthVerdict.SWAPPED),
    ("1961-04-30", span("1961-05-01"), BirthVerdict.NEAR),
    ("1961-04-17", span("1962-04-17"), BirthVerdict.NEAR),
    ("1961-04-17", span("1961-04-28"), BirthVerdict.NEAR),
    ("1961-04-17", span("1961-11-17"), BirthVerdict.NEAR),
    ("1964-04-17", span("1946-04-17"), BirthVerdict.NEAR),
    ("1964-04-17", span("1946-04-18"), BirthVerdict.FAR),
    ("1964-04-17", span("2046-04-17"), BirthVerdict.FAR),
    ("1964-01-01", span("1946-01-01"), BirthVerdict.FAR),  # no day, and a year
    ("1961-04-17", YEAR_1961, BirthVerdict.COMPATIBLE),
    ("1961-04-17", span("1961-01-01"), BirthVerdict.COMPATIBLE),
    ("1961-01-01", span("1961-04-17"), BirthVerdict.COMPATIBLE),
    ("1961-04-17", span("1963-01-01", circa=True), BirthVerdict.COMPATIBLE),
    ("1962-04-17", YEAR_1961, BirthVerdict.ADJACENT),
    ("1961-04-17", span("1971-04-17"), BirthVerdict.ADJACENT),
    ("1961-04-17", span("1961-11-23"), BirthVerdict.OTHER_DAY),
    ("1961-04-17", span("1962-11-23"), BirthVerdict.OTHER_DAY),
    ("1961-04-17", span("1964-11-23"), BirthVerdict.APART),
    ("1965-04-17", YEAR_1961, BirthVerdict.APART),
    ("1961-04-17", span("1965-01-01", circa=True), BirthVerdict.APART),
    ("1961-04-17", span("1981-04-17"), BirthVerdict.FAR),
    ("1981-04-17", YEAR_1961, BirthVerdict.FAR),
    ("1961-04-17", span("1971-01-01", circa=True), BirthVerdict.FAR),
]


@pytest.mark.parametrize(("ours", "theirs", "expected"), EXAMPLES)
def test_two_dates_of_birth_are_judged_the_same_both_ways_round(
    ours: str, theirs: Span, expected: BirthVerdict
) -> None:
    assert verdict([span(ours)], theirs) is expected
    assert verdict([theirs], span(ours)) is expected


def test_the_most_favourable_of_several_dates_counts() -> None:
    assert verdict([span("1999-09-09"), span("1961-04-17")], span("1961-04-17")) is BirthVerdict.SAME


def test_dates_before_1970_and_leap_days_are_dates_like_others() -> None:
    assert verdict([span("1908-02-29")], span("1909-02-28")) is BirthVerdict.OTHER_DAY
    assert verdict([span("1908-02-29")], span("1908-03-01")) is BirthVerdict.NEAR
