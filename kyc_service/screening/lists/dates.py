"""Dates as lists write them. Pure.

A date keeps the precision that the list gives it: a year alone becomes the whole year. Nothing is guessed: 05/06/1970
is always the fifth of June, as the British lists write it; no other list that we read writes dates with slashes.
"""

import calendar
import re
from collections.abc import Mapping
from datetime import date
from typing import TypeAlias

from kyc_service.screening.entries import Birth

Span: TypeAlias = tuple[date, date]

MONTHS: Mapping[str, int] = {
    name.casefold(): number
    for names in (calendar.month_name, calendar.month_abbr)
    for number, name in enumerate(names)
    if name
} | {"sept": 9}
CIRCA = re.compile(r"(?i)^(?:circa|approximately|approx\.?|about|around|ca\.|c\.)\s*")
RANGE = re.compile(r"(?i)^(?:between\s+)?(?P<first>.+?)\s*(?:\bto\b|\band\b|–|--| - )\s*(?P<last>.+)$")
YEARS = re.compile(r"^(?P<first>\d{4})\s*[-/]\s*(?P<last>\d{4})$")
WORDS = re.compile(r"^(?:(?P<day>\d{1,2})\s+)?(?P<month>[A-Za-z]+)\.?,?\s+(?P<year>\d{4})$")
AMERICAN_WORDS = re.compile(r"^(?P<month>[A-Za-z]+)\.?\s+(?P<day>\d{1,2}),?\s+(?P<year>\d{4})$")
ISO = re.compile(r"^(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2}))?)?(?:T.*|Z|[+-]\d{2}:\d{2})?$")
BRITISH = re.compile(r"^(?P<day>\d{1,2}|dd)[/.](?P<month>\d{1,2}|mm)[/.](?P<year>\d{4})$")
OLDEST, YOUNGEST = 1700, 2100  # vessels and companies have years of foundation too


class DateUnreadable(ValueError):
    """The list writes a date that we cannot read."""


def birth(text: str, *, circa: bool = False) -> Birth:
    """What *text* says of a date: `08 Nov 1957`, `Nov 1957`, `1957`, `circa 1957`, `1955 to 1957`, `1957-11-08`,
    `08/11/1957` (day first), `00/00/1957`, `dd/mm/1957`.

    Raises:
        DateUnreadable: it says none.
    """
    cleaned = " ".join(text.split()).strip(" .;")
    about = CIRCA.sub("", cleaned)
    circa = circa or about != cleaned
    simple = _span(about)
    if simple is None:
        pair = YEARS.match(about) or RANGE.match(about)
        first, last = (_span(CIRCA.sub("", pair[part])) for part in ("first", "last")) if pair else (None, None)
        if first is None or last is None or first[0] > last[1]:
            raise DateUnreadable(text)
        simple = (first[0], last[1])
    return Birth(first=simple[0].isoformat(), last=simple[1].isoformat(), circa=circa)


def birth_of(year: str | int | None, month: str | int | None, day: str | int | None, *, circa: bool = False) -> Birth:
    """A date given in parts; a part that is missing or zero is not known.

    Raises:
        DateUnreadable: there is no such date.
    """
    try:
        span = _whole(int(year or 0), int(month or 0), int(day or 0))
    except ValueError:
        span = None
    if span is None:
        raise DateUnreadable(f"{year}-{month}-{day}")
    return Birth(first=span[0].isoformat(), last=span[1].isoformat(), circa=circa)


def years(first: str | int, last: str | int, *, circa: bool = False) -> Birth:
    """Some day from the beginning of one year to the end of another.

    Raises:
        DateUnreadable: there are no such years.
    """
    return birth(f"{first} to {last}", circa=circa)


def day(text: str) -> str:
    """One whole day, ISO 8601.

    Raises:
        DateUnreadable: it is not one.
    """
    span = _span(" ".join(text.split()).strip(" ."))
    if span is None or span[0] != span[1]:
        raise DateUnreadable(text)
    return span[0].isoformat()


def _span(text: str) -> Span | None:
    """The days that a single date allows, or None when it is none."""
    for pattern in (ISO, BRITISH, WORDS, AMERICAN_WORDS):
        if found := pattern.match(text):
            parts = found.groupdict()
            month = parts.get("month") or "0"
            number = int(month) if month.isdigit() else 0 if month == "mm" else MONTHS.get(month.casefold(), -1)
            day = parts.get("day") or "0"
            return _whole(int(parts["year"]), number, 0 if day == "dd" else int(day))
    return None


def _whole(year: int, month: int, day: int) -> Span | None:
    if not OLDEST <= year <= YOUNGEST or not 0 <= month <= 12 or (day and not month):
        return None
    if not month:
        return date(year, 1, 1), date(year, 12, 31)
    last = calendar.monthrange(year, month)[1]
    if not 0 <= day <= last:
        return None
    return date(year, month, day or 1), date(year, month, day or last)
