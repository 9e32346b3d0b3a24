"""What is printed on a page besides the zone: whether a number, a date or a name stands there. Pure.

Nothing is known of where a field stands on which country's document, so the whole page is searched. That tells whether
the printed text and the zone agree, and not which label a value stands beside.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum

from kyc_service.documents.transliteration import Likeness, written_as

LOOKALIKES = str.maketrans("OQDISBZG", "00015826")
TOKEN = re.compile(r"[^\W_]+(?:['’`.-][^\W_]+)*")
SLENDER_I = re.compile(r"^l(?=[^\W\d_])(?![aeiouy])")  # a capital I that was taken for an l: no name begins so
LONGEST_NAME = 6  # words of a name
NEARLY = 2  # characters by which a number may differ and still be meant to be the same one

# The months as documents print them: whole or cut to their first letters, in the languages of the Doc 9303 examples.
DIGRAPHS = {"AA": "A", "AE": "A", "OE": "O", "UE": "U"}  # of letters whose accents are easily overlooked in print
MONTHS: Mapping[int, str] = {
    1: "JAN JANUARY JANV JANVIER JANUAR JÄN JÄNNER ENE ENERO GEN GENNAIO JANUARI JANEIRO STYCZNIA LEDNA ЯНВ ЯНВАРЯ",
    2: "FEB FEBRUARY FEV FÉVR FÉVRIER FEBRUAR FEBRERO FEBBRAIO FEBRUARI FEVEREIRO LUTEGO ÚNORA ФЕВ ФЕВРАЛЯ",
    3: "MAR MARCH MARS MÄRZ MRZ MARZO MAART MRT MARÇO MARCA BŘEZNA МАР МАРТА",
    4: "APR APRIL AVR AVRIL ABR ABRIL APRILE KWIETNIA DUBNA АПР АПРЕЛЯ",
    5: "MAY MAI MAYO MAG MAGGIO MEI MAIO MAJA KVĚTNA МАЙ МАЯ",
    6: "JUN JUNE JUIN JUNI JUNIO GIU GIUGNO JUNHO CZERWCA ČERVNA ИЮН ИЮНЯ",
    7: "JUL JULY JUIL JUILLET JULI JULIO LUG LUGLIO JULHO LIPCA ČERVENCE ИЮЛ ИЮЛЯ",
    8: "AUG AUGUST AOÛ AOÛT AGO AGOSTO AUGUSTUS SIERPNIA SRPNA АВГ АВГУСТА",
    9: "SEP SEPT SEPTEMBER SEPTEMBRE SEPTIEMBRE SET SETTEMBRE SETEMBRO WRZEŚNIA ZÁŘÍ СЕН СЕНТЯБРЯ",
    10: "OCT OCTOBER OCTOBRE OKT OKTOBER OCTUBRE OTT OTTOBRE OUT OUTUBRO PAŹDZIERNIKA ŘÍJNA ОКТ ОКТЯБРЯ",
    11: "NOV NOVEMBER NOVEMBRE NOVIEMBRE NOVEMBRO LISTOPADA LISTOPADU НОЯ НОЯБРЯ",
    12: "DEC DECEMBER DÉC DÉCEMBRE DEZ DEZEMBER DIC DICIEMBRE DICEMBRE DEZEMBRO GRUDNIA PROSINCE ДЕК ДЕКАБРЯ",
}
NUMERIC = re.compile(r"(?<!\d)(\d{1,4})\s?[./ \-年]\s?(\d{1,2})\s?[./ \-月]\s?(\d{2,4})(?!\d)")
SOLID = re.compile(r"(?<!\d)(\d{2})\s?(\d{2})\s?(\d{4})(?!\d)")
NAMED = re.compile(
    r"(?<!\d)(\d{1,2})(?:ER|ST|ND|RD|TH|\.)?[\s./-]*(?:DE\s+)?([^\W\d_]{3,12})\.?(?:[\s./-]+[^\W\d_]{3,12}\.?)?"
    r"[\s./,-]*(?:DE\s+)?(\d{4}|\d{2})(?!\d)"
)
MONTH_FIRST = re.compile(r"([^\W\d_]{3,12})\.?\s*(\d{1,2})(?:ST|ND|RD|TH)?\s*,?\s*(\d{4})(?!\d)")


class Presence(StrEnum):
    """Whether something stands on the page."""

    FOUND = "found"
    NEARLY = "nearly"  # something stands there that differs by so little that it must be meant to be the same
    ABSENT = "absent"


def plain(text: str) -> str:
    """*text* in capitals, without accents and without anything but letters and digits."""
    apart = unicodedata.normalize("NFKD", text.upper())
    return "".join(character for character in apart if character.isalnum())


# ── Numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def number_on(lines: Sequence[str], number: str) -> Presence:
    """Whether the document number is printed; letters and digits that look alike count as the same."""
    wanted = plain(number).translate(LOOKALIKES)
    if not wanted:
        return Presence.ABSENT
    bones = [plain(line).translate(LOOKALIKES) for line in lines]
    if any(wanted in line for line in bones):
        return Presence.FOUND
    tokens = {plain(token).translate(LOOKALIKES) for line in lines for token in line.split()} | set(bones)
    if any(0 < _different(token, wanted) <= NEARLY for token in tokens):
        return Presence.NEARLY
    return Presence.ABSENT


def code_on(lines: Sequence[str], code: str) -> Presence:
    """Whether the code of a state stands by itself somewhere; its name in words is not looked for."""
    tokens = {plain(token) for line in lines for token in line.replace("/", " ").split()}
    return Presence.FOUND if code and code in tokens else Presence.ABSENT


def _different(one: str, other: str) -> int:
    """In how many places two numbers of the same length differ; a large number where the lengths do."""
    if len(one) != len(other) or len(one) < 6:
        return 99
    return sum(a != b for a, b in zip(one, other, strict=True))


# ── Dates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def date_on(lines: Sequence[str], printed: str) -> Presence:
    """Whether the date YYMMDD of a zone is printed, in whatever order and words."""
    known = {(day.year % 100, day.month, day.day) for day in dates(lines)}
    if len(printed) != 6 or not printed.isdecimal():
        return Presence.ABSENT
    wanted = int(printed[:2]), int(printed[2:4]), int(printed[4:])
    return Presence.FOUND if wanted in known else Presence.ABSENT


def dates(lines: Sequence[str], *, month_first: bool | None = None) -> tuple[date, ...]:
    """Every date that the lines may mean, each once; a short year is of 1950 to 2049.

    02/03/2020 is two dates, unless *month_first* says which of them is meant.
    """
    orders = (False, True) if month_first is None else (month_first,)
    return tuple(dict.fromkeys(day for line in lines for day in _dates(line.upper(), orders)))


def _dates(line: str, orders: Sequence[bool]) -> Iterator[date]:
    for match in NUMERIC.finditer(line):
        yield from _numeric([int(part) for part in match.groups()], orders, year_first=len(match[1]) > 2)
    for match in SOLID.finditer(line):
        yield from _numeric([int(part) for part in match.groups()], orders, year_first=False)
    for match in NAMED.finditer(line):
        month = _month(match[2])
        if month:
            yield from _day(int(match[3]), month, int(match[1]))
    for match in MONTH_FIRST.finditer(line):
        month = _month(match[1])
        if month:
            yield from _day(int(match[3]), month, int(match[2]))


def _numeric(parts: Sequence[int], orders: Sequence[bool], *, year_first: bool) -> Iterator[date]:
    one, two, three = parts
    if year_first:
        yield from _day(one, two, three)
        return
    for month_first in orders:
        month, day = (one, two) if month_first else (two, one)
        yield from _day(three, month, day)


def _day(year: int, month: int, day: int) -> Iterator[date]:
    full = year if year > 99 else year + (1900 if year >= 50 else 2000)
    try:
        yield date(full, month, day)
    except ValueError:
        return


def _month(name: str) -> int | None:
    wanted = plain(name)
    return next((month for month, names in MONTHS.items() if wanted in map(plain, names.split())), None)


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def name_on(lines: Sequence[str], name: str, *, truncated: bool = False) -> Presence:
    """Whether *name*, in the letters of a zone, is printed in some spelling that may be written so."""
    wanted = tuple(name.split())
    if not wanted:
        return Presence.ABSENT
    best = Likeness.DIFFERENT
    letters = len(name.replace(" ", ""))
    simple = "".join(wanted)
    for folded, usual in DIGRAPHS.items():
        simple = simple.replace(folded, usual)
    for words in _runs(lines, len(wanted)):
        if len(plain(words)) < letters // 2 or (not truncated and len(plain(words)) > letters + 2):
            continue  # a letter is written with two at the most
        likeness = written_as(words, wanted, truncated=truncated)
        if likeness is Likeness.SAME or plain(words) == simple:
            return Presence.FOUND
        if likeness is Likeness.MINOR:
            best = likeness
    return Presence.NEARLY if best is Likeness.MINOR else Presence.ABSENT


def _runs(lines: Sequence[str], count: int) -> Iterator[str]:
    """Neighbouring words, as many as a name of *count* words may have; they may run on into the next line."""
    found = [token for line in lines for token in TOKEN.findall(line) if not token.isdecimal()]
    tokens = [SLENDER_I.sub("I", token) for token in found]
    for length in range(max(1, count - 1), min(count + 2, LONGEST_NAME) + 1):
        for start in range(len(tokens) - length + 1):
            yield " ".join(tokens[start : start + length])
