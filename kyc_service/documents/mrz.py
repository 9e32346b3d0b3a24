"""The machine-readable zone of identity documents, pure: written and parsed.

The layouts are those of ICAO Doc 9303: part 5 (TD1, 3×30), part 6 (TD2, 2×36), part 4 (TD3, 2×44) and part 7 (visas
MRV-A, 2×44, and MRV-B, 2×36); characters and check digits are those of part 3, §4. Three national ones use the same
alphabet and check digits: the French identity card of 1988 to 2021 (2×36), and the line on driving licences (1×30,
ISO/IEC 18013), of which only the French fill is public.
Names have no check digit: nothing here can tell that a name was misread.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import NewType

from kyc_service.documents import transliteration
from kyc_service.domain.record import record

FILLER = "<"
DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ALPHABET = DIGITS + LETTERS + FILLER

Text = NewType("Text", str)  # the lines of a zone joined without a break
Place = tuple[int, int]  # row and column


class Format(StrEnum):
    """The size and kind of a zone."""

    TD1 = "TD1"
    TD2 = "TD2"
    TD3 = "TD3"
    MRVA = "MRVA"
    MRVB = "MRVB"
    FRENCH_ID = "FRENCH_ID"
    LICENCE = "LICENCE"
    FRENCH_LICENCE = "FRENCH_LICENCE"


@record
class Span:
    """A stretch of one row; *stop* is exclusive."""

    row: int
    start: int
    stop: int


@record
class Layout:
    """Where everything stands. *masks* says per character what may stand there: see `ALLOWED`.

    *signed* is the row whose last character is the digit over *composite*; *issuer* is the only one to use the layout.
    """

    masks: tuple[str, ...]
    spans: Mapping[str, Span]
    composite: tuple[Span, ...]
    signed: int = 1
    issuer: str | None = None

    @property
    def width(self) -> int:
        return len(self.masks[0])


# L: letter, N: letter of a name, X: anything, D: digit of a date, C: check digit, E: one that may be left out, S: sex
ALLOWED: Mapping[str, frozenset[str]] = {
    "L": frozenset(LETTERS + FILLER),
    "N": frozenset(LETTERS + FILLER),
    "X": frozenset(ALPHABET),
    "D": frozenset(DIGITS + FILLER),
    "C": frozenset(DIGITS),
    "E": frozenset(DIGITS + FILLER),
    "S": frozenset("MF" + FILLER),
}


def _span(row: int, start: int, stop: int) -> Span:
    return Span(row=row, start=start, stop=stop)


def _two_rows(width: int, tail: str, optional: Span, composite: tuple[Span, ...]) -> Layout:
    """The layout that TD2, TD3 and the visas share up to the expiry date (Doc 9303-4 §4.2.2, -6 §4.2.2, -7 §4.2)."""
    return Layout(
        masks=("L" * 5 + "N" * (width - 5), "X" * 9 + "C" + "LLL" + "D" * 6 + "C" + "S" + "D" * 6 + "C" + tail),
        spans={
            "code": _span(0, 0, 2),
            "issuer": _span(0, 2, 5),
            "names": _span(0, 5, width),
            "number": _span(1, 0, 9),
            "nationality": _span(1, 10, 13),
            "birth": _span(1, 13, 19),
            "sex": _span(1, 20, 21),
            "expiry": _span(1, 21, 27),
            "optional": optional,
        },
        composite=composite,
    )


LAYOUTS: Mapping[Format, Layout] = {
    Format.TD1: Layout(  # Doc 9303-5 §4.2.2
        masks=("LL" + "LLL" + "X" * 9 + "E" + "X" * 15, "DDDDDDCSDDDDDDCLLL" + "X" * 11 + "C", "N" * 30),
        spans={
            "code": _span(0, 0, 2),
            "issuer": _span(0, 2, 5),
            "number": _span(0, 5, 14),
            "optional": _span(0, 15, 30),
            "birth": _span(1, 0, 6),
            "sex": _span(1, 7, 8),
            "expiry": _span(1, 8, 14),
            "nationality": _span(1, 15, 18),
            "optional2": _span(1, 18, 29),
            "names": _span(2, 0, 30),
        },
        composite=(_span(0, 5, 30), _span(1, 0, 7), _span(1, 8, 15), _span(1, 18, 29)),
    ),
    Format.TD2: _two_rows(36, "X" * 7 + "C", _span(1, 28, 35), (_span(1, 0, 10), _span(1, 13, 20), _span(1, 21, 35))),
    Format.TD3: _two_rows(44, "X" * 14 + "EC", _span(1, 28, 42), (_span(1, 0, 10), _span(1, 13, 20), _span(1, 21, 43))),
    Format.MRVA: _two_rows(44, "X" * 16, _span(1, 28, 44), ()),
    Format.MRVB: _two_rows(36, "X" * 8, _span(1, 28, 36), ()),
    Format.FRENCH_ID: Layout(  # the number is year and month of issue, department, and a running number
        masks=("L" * 5 + "N" * 25 + "X" * 6, "DDDD" + "XXX" + "DDDDD" + "C" + "N" * 14 + "D" * 6 + "C" + "S" + "C"),
        spans={
            "code": _span(0, 0, 2),
            "issuer": _span(0, 2, 5),
            "names": _span(0, 5, 30),
            "optional": _span(0, 30, 36),
            "number": _span(1, 0, 12),
            "given": _span(1, 13, 27),
            "birth": _span(1, 27, 33),
            "sex": _span(1, 34, 35),
        },
        composite=(_span(0, 0, 36), _span(1, 0, 35)),
        issuer="FRA",
    ),
    Format.LICENCE: Layout(  # what stands between the state and the digit is the issuer's affair
        masks=("L" + "X" + "LLL" + "X" * 24 + "C",),
        spans={"code": _span(0, 0, 2), "issuer": _span(0, 2, 5), "optional": _span(0, 5, 29)},
        composite=(_span(0, 0, 29),),
        signed=0,
    ),
    Format.FRENCH_LICENCE: Layout(
        masks=("L" + "X" + "LLL" + "X" * 9 + "C" + "D" * 6 + "N" * 8 + "C",),
        spans={
            "code": _span(0, 0, 2),
            "issuer": _span(0, 2, 5),
            "number": _span(0, 5, 14),
            "expiry": _span(0, 15, 21),
            "names": _span(0, 21, 29),
        },
        composite=(_span(0, 0, 29),),
        signed=0,
        issuer="FRA",
    ),
}
# Fields whose own check digit stands right behind them; an expiry date on a licence has none.
PROTECTED = ("number", "birth", "expiry")
UNPROTECTED = frozenset({(Format.FRENCH_LICENCE, "expiry")})
# The check digit of a long document number stands in the optional data, and a filler in its usual place.
LONG_NUMBERS = frozenset({Format.TD1, Format.TD2})
VALUES: Mapping[str, int] = {FILLER: 0} | {character: value for value, character in enumerate(DIGITS + LETTERS)}
WEIGHTS = (7, 3, 1)
NEVER = frozenset({"990101", "991231"})  # 1 January or 31 December 9999


class MalformedZone(ValueError):
    """These lines are not a machine-readable zone: their number, their length or their characters are wrong."""


def check_digit(text: str) -> str:
    """The check digit over *text*: weights 7-3-1, modulus 10 (Doc 9303-3 §4.9)."""
    return str(sum(VALUES[character] * WEIGHTS[index % 3] for index, character in enumerate(text)) % 10)


@record
class Zone:
    """What the lines say. Dates are as printed (YYMMDD); `failed` names the check digits that do not hold."""

    format: Format
    lines: tuple[str, ...]
    code: str
    issuer: str
    number: str
    surname: str
    given_names: str
    nationality: str
    birth: str
    sex: str
    expiry: str
    optional: str
    optional2: str
    truncated: bool
    failed: tuple[str, ...]


def parse(lines: Sequence[str]) -> Zone:
    """What exact *lines* say; wrong check digits are named in the result, wrong shapes raise `MalformedZone`."""
    if any(set(line) - VALUES.keys() for line in lines):
        raise MalformedZone("a zone is written with A-Z, 0-9 and <")
    return parse_as(_format_of(lines), lines)


def parse_as(kind: Format, lines: Sequence[str]) -> Zone:
    """What *lines*, which have the shape of *kind*, say."""
    layout = LAYOUTS[kind]

    def cut(name: str) -> str:
        span = layout.spans.get(name)
        return lines[span.row][span.start : span.stop] if span else ""

    surname, _, given = cut("names").rstrip(FILLER).partition(FILLER * 2)
    if "given" in layout.spans:
        surname, given = cut("names"), cut("given")
    number, optional = _number(kind, lines)
    return Zone(
        format=kind,
        lines=tuple(lines),
        code=cut("code").rstrip(FILLER),
        issuer=cut("issuer").rstrip(FILLER),
        number=number.rstrip(FILLER),
        surname=_spaced(surname),
        given_names=_spaced(given),
        nationality=cut("nationality").rstrip(FILLER) or (layout.issuer or "" if kind is Format.FRENCH_ID else ""),
        birth=cut("birth"),
        sex=cut("sex").rstrip(FILLER),
        expiry=cut("expiry"),
        optional=optional.strip(FILLER),
        optional2=cut("optional2").strip(FILLER),
        truncated=any(name in layout.spans and not cut(name).endswith(FILLER) for name in ("names", "given")),
        failed=tuple(check.name for check in check_digits(kind, lines) if not check.holds),
    )


def _format_of(lines: Sequence[str]) -> Format:
    visa = bool(lines) and lines[0].startswith("V")
    match [len(line) for line in lines]:
        case [30, 30, 30]:
            return Format.TD1
        case [36, 36] if lines[0].startswith("IDFRA"):
            return min(Format.FRENCH_ID, Format.TD2, key=lambda kind: _wrong(kind, lines))
        case [36, 36]:
            return Format.MRVB if visa else Format.TD2
        case [44, 44]:
            return Format.MRVA if visa else Format.TD3
        case [30] if lines[0].startswith("D"):
            return Format.FRENCH_LICENCE if lines[0][2:5] == "FRA" else Format.LICENCE
        case _:
            raise MalformedZone("a zone has 3 lines of 30 characters, 2 of 36 or 44, or 1 of 30 that begins with D")


def _wrong(kind: Format, lines: Sequence[str]) -> float:
    """The share of check digits that do not hold if *lines* are of *kind*."""
    checks = check_digits(kind, lines)
    return sum(not check.holds for check in checks) / len(checks)


def _spaced(name: str) -> str:
    return " ".join(part for part in name.split(FILLER) if part)


@record
class CheckDigit:
    """One check digit as it stands, over what it covers."""

    name: str
    covers: str
    digit: str
    may_be_filler: bool = False

    @property
    def holds(self) -> bool:
        if self.may_be_filler and self.digit == FILLER:
            return not self.covers.strip(FILLER)
        return self.digit == check_digit(self.covers)


def check_digits(kind: Format, lines: Sequence[str]) -> tuple[CheckDigit, ...]:
    """Every check digit of the zone, over what it covers."""
    layout = LAYOUTS[kind]

    def cut(span: Span) -> str:
        return lines[span.row][span.start : span.stop]

    def after(span: Span) -> str:
        return lines[span.row][span.stop]

    spans = layout.spans
    checks = []
    for name in protected(kind):
        number, digit = _protected_number(kind, lines) if name == "number" else (cut(spans[name]), after(spans[name]))
        checks.append(CheckDigit(name=name, covers=number, digit=digit))
    if kind is Format.TD3:
        optional = spans["optional"]
        checks.append(CheckDigit(name="optional", covers=cut(optional), digit=after(optional), may_be_filler=True))
    if layout.composite:
        covered = "".join(cut(span) for span in layout.composite)
        checks.append(CheckDigit(name="composite", covers=covered, digit=lines[layout.signed][-1]))
    return tuple(checks)


def protected(kind: Format) -> tuple[str, ...]:
    """The fields of *kind* that a check digit of their own follows."""
    spans = LAYOUTS[kind].spans
    return tuple(name for name in PROTECTED if name in spans and (kind, name) not in UNPROTECTED)


def _protected_number(kind: Format, lines: Sequence[str]) -> tuple[str, str]:
    """The characters that the number's check digit covers, and that digit."""
    spans = LAYOUTS[kind].spans
    span = spans["number"]
    head, digit = lines[span.row][span.start : span.stop], lines[span.row][span.stop]
    if kind is Format.FRENCH_LICENCE:  # the digit covers the line up to it
        return lines[0][: span.stop], digit
    if digit != FILLER or kind not in LONG_NUMBERS:
        return head, digit
    optional = spans["optional"]
    rest = lines[optional.row][optional.start : optional.stop].partition(FILLER)[0]
    return (head + rest[:-1], rest[-1]) if rest else (head, digit)


def _number(kind: Format, lines: Sequence[str]) -> tuple[str, str]:
    """The whole document number, and the optional data that is left."""
    spans = LAYOUTS[kind].spans
    optional = spans.get("optional")
    data = lines[optional.row][optional.start : optional.stop] if optional else ""
    if kind in LONG_NUMBERS:
        number, _ = _protected_number(kind, lines)
        return number, data[len(number) - 9 + 1 :] if len(number) > 9 else data
    span = spans.get("number")
    return lines[span.row][span.start : span.stop] if span else "", data


# ── Dates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@record
class BirthDate:
    """A date of birth, of which a document may leave month and day, or everything, unknown (Doc 9303-3 §4.8)."""

    year: int | None
    month: int | None
    day: int | None


def birth_date(printed: str, today: date) -> BirthDate | None:
    """The date of birth: the latest century that does not lie in the future. None: not a date."""
    parts = _parts(printed)
    if parts is None:
        return None
    year, month, day = parts
    if year is None:
        return BirthDate(year=None, month=month, day=day) if _calendar(2000, month, day) else None
    full = today.year // 100 * 100 + year
    earliest = _calendar(full, month, day)
    if earliest is None or earliest > today:
        full -= 100
    return BirthDate(year=full, month=month, day=day) if _calendar(full, month, day) else None


def expiry_date(printed: str, today: date) -> date | None:
    """The date of expiry: the century that brings it within fifty years of *today*. None: not a date, or no expiry.

    Cards that do not expire, such as the Spanish one of the elderly, print a day of the year 9999.
    """
    if printed in NEVER:
        return None
    parts = _parts(printed)
    if parts is None or None in parts:
        return None
    year, month, day = (part or 0 for part in parts)
    full = min((today.year // 100 * 100 + year + shift for shift in (-100, 0, 100)), key=lambda y: abs(y - today.year))
    return _calendar(full, month, day)


def _parts(printed: str) -> tuple[int | None, int | None, int | None] | None:
    pairs = [printed[index : index + 2] for index in (0, 2, 4)]
    if len(printed) != 6 or not all(pair.isdecimal() or pair == FILLER * 2 for pair in pairs):
        return None
    year, month, day = (None if pair == FILLER * 2 else int(pair) for pair in pairs)
    return year, month, day


def _calendar(year: int, month: int | None, day: int | None) -> date | None:
    """The first day that the date may mean; a zero month or day is not one."""
    try:
        return date(year, 1 if month is None else month, 1 if day is None else day)
    except ValueError:
        return None


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@record
class Particulars:
    """What a zone is written from; names in any script that Doc 9303-3 §6 transliterates. `birth` None: unknown."""

    code: str
    issuer: str
    number: str
    surname: str
    given_names: str
    nationality: str
    birth: date | None
    sex: str
    expiry: date
    optional: str = ""
    optional2: str = ""


def format_td1(person: Particulars) -> tuple[str, ...]:
    """Three lines of 30; a number of more than nine characters runs on into the optional data (Doc 9303-5 §4.2.2)."""
    number = _numbered(person, room=15)
    dates = _dated(person)
    first = f"{_padded(person.code, 2)}{_padded(person.issuer, 3)}{number}"
    second = f"{dates.birth}{dates.sex}{dates.expiry}{_padded(person.nationality, 3)}{_padded(person.optional2, 11)}"
    return first, second + check_digit(first[5:] + second[:7] + second[8:15] + second[18:]), _names(person, 30)


def format_td2(person: Particulars) -> tuple[str, ...]:
    """Two lines of 36 (Doc 9303-6 §4.2.2)."""
    number = _numbered(person, room=7)
    dates = _dated(person)
    nationality = _padded(person.nationality, 3)
    second = f"{number[:10]}{nationality}{dates.birth}{dates.sex}{dates.expiry}{number[10:]}"
    return _first(person, 36), second + check_digit(second[:10] + second[13:20] + second[21:])


def format_td3(person: Particulars) -> tuple[str, ...]:
    """Two lines of 44 (Doc 9303-4 §4.2.2)."""
    optional = _padded(person.optional, 14)
    second = f"{_front(person)}{optional}{check_digit(optional) if person.optional else FILLER}"
    return _first(person, 44), second + check_digit(second[:10] + second[13:20] + second[21:])


def format_mrva(person: Particulars) -> tuple[str, ...]:
    """Two lines of 44 of a full-page visa (Doc 9303-7 §4.2)."""
    return _first(person, 44), _front(person) + _padded(person.optional, 16)


def format_mrvb(person: Particulars) -> tuple[str, ...]:
    """Two lines of 36 of a small visa (Doc 9303-7 §5.2)."""
    return _first(person, 36), _front(person) + _padded(person.optional, 8)


def format_french_id(person: Particulars) -> tuple[str, ...]:
    """Two lines of 36 of the French identity card of 1988 to 2021; `optional` is the office of issue."""
    birth = _dated(person).birth
    sex = person.sex if person.sex in {"M", "F"} else FILLER
    surname = transliteration.to_mrz(person.surname).ljust(25, FILLER)[:25]
    given = transliteration.to_mrz(person.given_names).replace(FILLER, FILLER * 2).ljust(14, FILLER)[:14]
    number = _padded(person.number, 12)
    first = f"IDFRA{surname}{_padded(person.optional, 6)}"
    second = f"{number}{check_digit(number)}{given}{birth}{sex}"
    return first, second + check_digit(first + second)


def format_licence(person: Particulars) -> tuple[str, ...]:
    """The line of 30 on a driving licence; `optional` is what an issuer other than France fills it with."""
    if person.issuer == "FRA":
        number = _padded(person.number, 9)
        names = transliteration.to_mrz(person.surname).ljust(8, FILLER)[:8]
        content = f"{number}{check_digit(f'D1FRA{number}')}{person.expiry:%y%m%d}{names}"
    else:
        content = _padded(person.optional, 24)
    line = f"D1{_padded(person.issuer, 3)}{content}"
    return (line + check_digit(line),)


WRITERS = {
    Format.TD1: format_td1,
    Format.TD2: format_td2,
    Format.TD3: format_td3,
    Format.MRVA: format_mrva,
    Format.MRVB: format_mrvb,
    Format.FRENCH_ID: format_french_id,
    Format.LICENCE: format_licence,
    Format.FRENCH_LICENCE: format_licence,
}


@record
class _Dated:
    birth: str
    sex: str
    expiry: str


def _dated(person: Particulars) -> _Dated:
    birth = person.birth.strftime("%y%m%d") if person.birth else FILLER * 6
    expiry = person.expiry.strftime("%y%m%d")
    sex = person.sex if person.sex in {"M", "F"} else FILLER
    return _Dated(birth=birth + check_digit(birth), sex=sex, expiry=expiry + check_digit(expiry))


def _numbered(person: Particulars, *, room: int) -> str:
    """Number, check digit and optional data, where a long number may run on."""
    number = person.number
    if len(number) <= 9:
        return _padded(number, 9) + check_digit(_padded(number, 9)) + _padded(person.optional, room)
    return number[:9] + FILLER + _padded(f"{number[9:]}{check_digit(number)}{FILLER}{person.optional}", room)


def _front(person: Particulars) -> str:
    number, dates = _padded(person.number, 9), _dated(person)
    return f"{number}{check_digit(number)}{_padded(person.nationality, 3)}{dates.birth}{dates.sex}{dates.expiry}"


def _first(person: Particulars, width: int) -> str:
    return _padded(person.code, 2) + _padded(person.issuer, 3) + _names(person, width - 5)


def _padded(text: str, width: int) -> str:
    if len(text.rstrip(FILLER)) > width or set(text) - VALUES.keys():
        raise MalformedZone(f"does not fit {width} characters of A-Z, 0-9 and <")
    return text.ljust(width, FILLER)[:width]


def _names(person: Particulars, width: int) -> str:
    """Surname and given names; a letter at the very edge says that they were truncated (Doc 9303-4 §4.2.3)."""
    surname = transliteration.to_mrz(person.surname)
    given = transliteration.to_mrz(person.given_names)
    if given:
        surname = surname[: width - 3].rstrip(FILLER)  # at least the initial of a given name stays
    whole = f"{surname}{FILLER * 2}{given}" if given else surname
    if len(whole) <= width:
        return whole.ljust(width, FILLER)
    if not whole[:width].endswith(FILLER):
        return whole[:width]
    # The cut fell between two names: one letter less before it lets the next initial mark the truncation.
    gap = whole[:width].rstrip(FILLER)
    fillers = len(whole) - len(gap) - len(whole[len(gap) :].lstrip(FILLER))
    start = width - fillers - 1
    return whole[:start] + FILLER * fillers + whole[len(gap) + fillers]
