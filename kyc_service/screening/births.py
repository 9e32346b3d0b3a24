"""What two dates of birth say of whether two people are one."""

from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from typing import Final, TypeAlias

Span: TypeAlias = tuple[int, int, int]  # first day, last day, whether the publisher says "about"; days as ordinals

_YEAR: Final = 366


class BirthVerdict(StrEnum):
    """From the strongest agreement to the strongest contradiction; UNKNOWN where a side has no date."""

    SAME = "same"
    SWAPPED = "swapped"  # day and month exchanged
    NEAR = "near"  # one slip: a day off, a year off, another month or another day of the same month
    COMPATIBLE = "compatible"  # a less precise date that holds the other one
    ADJACENT = "adjacent"  # a less precise date that misses the other one by a year at most
    UNKNOWN = "unknown"
    OTHER_DAY = "other_day"  # two full dates of one year, or of neighbouring ones
    APART = "apart"  # up to five years apart
    FAR = "far"


ORDER: Final = {verdict: place for place, verdict in enumerate(BirthVerdict)}
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


def verdict_of(ours: Sequence[Span], theirs: Iterable[Span]) -> BirthVerdict:
    """The most favourable verdict on any pair of dates: a list that states two says that it is not sure."""
    best = BirthVerdict.UNKNOWN
    place = len(ORDER)
    for known in theirs:
        for own in ours:
            verdict = _verdict(own, known)
            if ORDER[verdict] < place:
                best, place = verdict, ORDER[verdict]
    return best


def _verdict(ours: Span, theirs: Span) -> BirthVerdict:
    gap = max(ours[0] - theirs[1], theirs[0] - ours[1], 0)
    exact = ours[0] == ours[1] and theirs[0] == theirs[1]
    if gap == 0:
        return BirthVerdict.SAME if exact and not theirs[2] and not ours[2] else BirthVerdict.COMPATIBLE
    if theirs[2] or ours[2]:
        return (
            BirthVerdict.COMPATIBLE
            if gap <= 2 * _YEAR
            else BirthVerdict.APART
            if gap <= 5 * _YEAR
            else BirthVerdict.FAR
        )
    if not exact:
        return BirthVerdict.ADJACENT if gap <= _YEAR else BirthVerdict.APART if gap <= 5 * _YEAR else BirthVerdict.FAR
    return _of_days(date.fromordinal(ours[0]), date.fromordinal(theirs[0]), gap)


def _of_days(ours: date, theirs: date, gap: int) -> BirthVerdict:
    years = abs(ours.year - theirs.year)
    same_day, same_month = ours.day == theirs.day, ours.month == theirs.month
    if years == 0 and ours.day == theirs.month and ours.month == theirs.day:
        return BirthVerdict.SWAPPED
    if gap == 1 or (years == 1 and same_day and same_month) or (years == 0 and (same_day or same_month)):
        return BirthVerdict.NEAR
    if years == 0 and (ours.day == ours.month == 1 or theirs.day == theirs.month == 1):
        return BirthVerdict.COMPATIBLE  # the first of January is how many lists write "that year"
    if years == 10 and same_day and same_month:
        return BirthVerdict.ADJACENT  # a digit of the year
    if years <= 1:
        return BirthVerdict.OTHER_DAY
    return BirthVerdict.APART if gap <= 5 * _YEAR else BirthVerdict.FAR
