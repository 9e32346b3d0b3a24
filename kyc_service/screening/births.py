"""What two dates of birth say of whether two people are one."""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Span: TypeAlias = tuple[int, int, int]  # first day, last day, whether the publisher says "about"; days as ordinals

_YEAR: Final = 366
_EPOCH_YEAR: Final = 1970
_EPOCH: Final = date(_EPOCH_YEAR, 1, 1).toordinal()


class BirthVerdict(StrEnum):
    """From the strongest agreement to the strongest contradiction; UNKNOWN where a side has no date."""

    SAME = "same"
    SWAPPED = "swapped"  # day and month exchanged
    NEAR = "near"  # one slip: a day off, a year off, another month or day of the same year, 1946 for 1964
    COMPATIBLE = "compatible"  # a less precise date that holds the other one
    ADJACENT = "adjacent"  # a less precise date that misses the other one by a year at most
    UNKNOWN = "unknown"
    OTHER_DAY = "other_day"  # two full dates of one year, or of neighbouring ones
    APART = "apart"  # up to five years apart
    FAR = "far"


VERDICTS: Final = tuple(BirthVerdict)
CODES: Final = {verdict: np.int8(place) for place, verdict in enumerate(VERDICTS)}
(_SAME, _SWAPPED, _NEAR, _COMPATIBLE, _ADJACENT, _, _OTHER_DAY, _APART, _FAR) = CODES.values()
AGREEING: Final = frozenset({BirthVerdict.SAME, BirthVerdict.COMPATIBLE})
CONFLICTING: Final = frozenset({BirthVerdict.OTHER_DAY, BirthVerdict.APART, BirthVerdict.FAR})
IN_WORDS: Final = {
    BirthVerdict.SAME: "the same date of birth",
    BirthVerdict.SWAPPED: "the same date of birth with day and month exchanged",
    BirthVerdict.NEAR: "dates of birth that one slip apart explains",
    BirthVerdict.COMPATIBLE: "dates of birth that agree as far as they are known",
    BirthVerdict.ADJACENT: "dates of birth that miss each other by a year at most, one of them imprecise",
    BirthVerdict.UNKNOWN: "no date of birth to compare",
    BirthVerdict.OTHER_DAY: "different days of birth within a year or so",
    BirthVerdict.APART: "dates of birth that are years apart",
    BirthVerdict.FAR: "dates of birth that are more than five years apart",
}


def verdicts_of(ours: Sequence[Span], theirs: NDArray[np.int32]) -> NDArray[np.int8]:
    """For each date of *theirs*, a row of a `Span`'s numbers, the most favourable verdict on it and any of *ours*.

    A verdict is its place in `VERDICTS`, so that the least of several is the most favourable: a list that states two
    dates says that it is not sure. There has to be one of *ours*.
    """
    return np.asarray(np.min([_verdicts(own, theirs) for own in ours], axis=0), np.int8)


def _verdicts(ours: Span, theirs: NDArray[np.int32]) -> NDArray[np.int8]:
    first, last, circa = theirs.T
    gap = np.maximum(np.maximum(ours[0] - last, first - ours[1]), 0)
    about = (circa > 0) | bool(ours[2])
    exact = (first == last) & (ours[0] == ours[1])
    distant = np.where(gap <= 5 * _YEAR, _APART, _FAR)
    vague = np.where(gap <= _YEAR, _ADJACENT, distant)
    cases = [
        (gap == 0, np.where(exact & ~about, _SAME, _COMPATIBLE)),
        (about, np.where(gap <= 2 * _YEAR, _COMPATIBLE, distant)),
        (~exact, vague),
    ]
    by_days = _of_days(ours[0], first, gap, distant)
    return np.select([case for case, _ in cases], [verdict for _, verdict in cases], by_days).astype(np.int8)


def _of_days(
    ours: int, theirs: NDArray[np.int32], gap: NDArray[np.int32], distant: NDArray[np.int64]
) -> NDArray[np.int8]:
    """The verdicts on one day and many others, *gap* days from it."""
    (year,), (month,), (day,) = _calendar(np.array([ours]))
    other_year, other_month, other_day = _calendar(theirs)
    years = np.abs(other_year - year)
    same_day, same_month = other_day == day, other_month == month
    new_year = ((other_day == 1) & (other_month == 1)) | bool(day == month == 1)
    exchanged = same_day & same_month & ~new_year & _exchanged(year, other_year)
    cases = [
        ((years == 0) & (other_month == day) & (other_day == month), _SWAPPED),
        ((gap == 1) | ((years == 1) & same_day & same_month) | ((years == 0) & (same_day | same_month)), _NEAR),
        (exchanged, _NEAR),
        ((years == 0) & new_year, _COMPATIBLE),  # the first of January is how many lists write "that year"
        ((years == 10) & same_day & same_month, _ADJACENT),  # a digit of the year
        (years <= 1, _OTHER_DAY),
    ]
    return np.select([case for case, _ in cases], [verdict for _, verdict in cases], distant).astype(np.int8)


def _exchanged(year: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the last two digits of a year are those of the others, exchanged."""
    digits = (others // 100, others // 10 % 10, others % 10)
    same = [mine == theirs for mine, theirs in zip((year // 100, year % 10, year // 10 % 10), digits, strict=True)]
    return np.asarray(np.all(same, axis=0), bool)


def _calendar(ordinals: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Year, month and day of the month of days as ordinals."""
    days = (ordinals.astype(np.int64) - _EPOCH).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    month = months.astype(np.int64)
    return month // 12 + _EPOCH_YEAR, month % 12 + 1, (days - months).astype(np.int64) + 1
