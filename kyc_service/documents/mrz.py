"""The machine-readable zone of travel documents, pure: written, parsed, and made out of doubtful readings.

The layouts are those of ICAO Doc 9303: part 5 (TD1, 3×30), part 6 (TD2, 2×36), part 4 (TD3, 2×44) and part 7 (visas
MRV-A, 2×44, and MRV-B, 2×36); characters and check digits are those of part 3, §4.

`decipher` takes lines as a reader saw them. It grows or shrinks filler, puts letters where only letters can stand, and
lets the check digits choose between lookalikes; whatever it changed is listed, because a zone that needed a guess must
not be approved on that guess. Names have no check digit: nothing here can tell that a name was misread.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cache
from itertools import combinations, islice, product
from math import log10
from typing import NewType

from kyc_service.documents import transliteration
from kyc_service.documents.countries import STATES
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


@record
class Span:
    """A stretch of one row; *stop* is exclusive."""

    row: int
    start: int
    stop: int


@record
class Layout:
    """Where everything stands. *masks* says per character what may stand there: see `ALLOWED`."""

    masks: tuple[str, ...]
    spans: Mapping[str, Span]
    composite: tuple[Span, ...]

    @property
    def width(self) -> int:
        return len(self.masks[0])


# L: letter, N: letter of a name, X: anything, D: digit of a date, C: check digit, E: check digit that may be left out, S: sex
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
}
# The check digit of a long document number stands in the optional data, and a filler in its usual place.
LONG_NUMBERS = frozenset({Format.TD1, Format.TD2})
VALUES: Mapping[str, int] = {FILLER: 0} | {character: value for value, character in enumerate(DIGITS + LETTERS)}
WEIGHTS = (7, 3, 1)


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
    kind = _format_of(lines)
    if any(set(line) - VALUES.keys() for line in lines):
        raise MalformedZone("a zone is written with A-Z, 0-9 and <")
    layout = LAYOUTS[kind]

    def cut(name: str) -> str:
        span = layout.spans.get(name)
        return lines[span.row][span.start : span.stop] if span else ""

    surname, _, given = cut("names").rstrip(FILLER).partition(FILLER * 2)
    number, optional = _number(kind, lines)
    return Zone(
        format=kind,
        lines=tuple(lines),
        code=cut("code").rstrip(FILLER),
        issuer=cut("issuer").rstrip(FILLER),
        number=number.rstrip(FILLER),
        surname=_spaced(surname),
        given_names=_spaced(given),
        nationality=cut("nationality").rstrip(FILLER),
        birth=cut("birth"),
        sex=cut("sex").rstrip(FILLER),
        expiry=cut("expiry"),
        optional=optional.strip(FILLER),
        optional2=cut("optional2").strip(FILLER),
        truncated=not cut("names").endswith(FILLER),
        failed=tuple(check.name for check in _checks(kind, lines) if not check.holds),
    )


def _format_of(lines: Sequence[str]) -> Format:
    visa = bool(lines) and lines[0].startswith("V")
    match [len(line) for line in lines]:
        case [30, 30, 30]:
            return Format.TD1
        case [36, 36]:
            return Format.MRVB if visa else Format.TD2
        case [44, 44]:
            return Format.MRVA if visa else Format.TD3
        case _:
            raise MalformedZone("a zone has 3 lines of 30 characters, or 2 of 36 or 44")


def _spaced(name: str) -> str:
    return " ".join(part for part in name.split(FILLER) if part)


@record
class _Check:
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


def _checks(kind: Format, lines: Sequence[str]) -> tuple[_Check, ...]:
    layout = LAYOUTS[kind]

    def cut(span: Span) -> str:
        return lines[span.row][span.start : span.stop]

    def after(span: Span) -> str:
        return lines[span.row][span.stop]

    spans = layout.spans
    number, digit = _protected_number(kind, lines)
    checks = [
        _Check(name="number", covers=number, digit=digit),
        _Check(name="birth", covers=cut(spans["birth"]), digit=after(spans["birth"])),
        _Check(name="expiry", covers=cut(spans["expiry"]), digit=after(spans["expiry"])),
    ]
    if kind is Format.TD3:
        optional = spans["optional"]
        checks.append(_Check(name="optional", covers=cut(optional), digit=after(optional), may_be_filler=True))
    if layout.composite:
        covered = "".join(cut(span) for span in layout.composite)
        checks.append(_Check(name="composite", covers=covered, digit=lines[1][-1]))
    return tuple(checks)


def _protected_number(kind: Format, lines: Sequence[str]) -> tuple[str, str]:
    """The characters that the number's check digit covers, and that digit."""
    spans = LAYOUTS[kind].spans
    span, optional = spans["number"], spans["optional"]
    head, digit = lines[span.row][span.start : span.stop], lines[span.row][span.stop]
    if digit != FILLER or kind not in LONG_NUMBERS:
        return head, digit
    rest = lines[optional.row][optional.start : optional.stop].partition(FILLER)[0]
    return (head + rest[:-1], rest[-1]) if rest else (head, digit)


def _number(kind: Format, lines: Sequence[str]) -> tuple[str, str]:
    """The whole document number, and the optional data that is left."""
    optional = LAYOUTS[kind].spans["optional"]
    number, _ = _protected_number(kind, lines)
    data = lines[optional.row][optional.start : optional.stop]
    long = len(number) > 9
    return number, data[len(number) - 9 + 1 :] if long else data


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
    """The date of expiry: the century that brings it within fifty years of *today*. None: not a date."""
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


WRITERS = {
    Format.TD1: format_td1,
    Format.TD2: format_td2,
    Format.TD3: format_td3,
    Format.MRVA: format_mrva,
    Format.MRVB: format_mrvb,
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
    """Surname and given names; what is too long ends in a letter at the very edge, which says so (Doc 9303-4 §4.2.3)."""
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


# ── Making sense of doubtful lines ───────────────────────────────────────────────────────────────────────────────────


@record
class Doubt:
    """What a character might have been instead, and how likely the reader held that to be."""

    character: str
    likely: float


@record
class Glyph:
    """One character as a reader saw it, and the others that it might have been."""

    character: str
    likely: float = 1.0
    doubts: tuple[Doubt, ...] = ()

    @property
    def seen(self) -> str:
        """Everything that the reader saw in it, the likeliest first."""
        return self.character + "".join(doubt.character for doubt in self.doubts)


Row = tuple[Glyph, ...]


@record
class Deciphered:
    """The most plausible zone. `repaired`: characters that were replaced; `alternatives`: other zones that fit as well.

    `mended` counts fillers that were added, removed or restored: their number carries no information. `sure` gives for
    each field how likely its least likely character is, as the reader saw it.
    """

    zone: Zone
    repaired: tuple[Place, ...] = ()
    alternatives: int = 0
    mended: int = 0
    sure: tuple[tuple[str, float], ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every check digit is right."""
        return not self.zone.failed

    def guessed(self, field: str) -> bool:
        """Whether a character of *field*, or of its check digit, was replaced."""
        span = LAYOUTS[self.zone.format].spans[field]
        return any(r == span.row and span.start <= c <= span.stop for r, c in self.repaired)


LOOKALIKES: Mapping[str, str] = {  # what the readers of OCR-B confuse
    "O": "0",
    "Q": "0",
    "D": "0",
    "I": "1",
    "S": "5",
    "B": "8",
    "Z": "2",
    "G": "6",
    "0": "O",
    "1": "I",
    "5": "S",
    "8": "B",
    "2": "Z",
    "6": "G",
}
AS_DIGIT: Mapping[str, str] = {"O": "0", "Q": "0", "D": "0", "I": "1", "L": "1", "S": "5", "B": "8", "Z": "2", "G": "6"}
AS_LETTER: Mapping[str, str] = {"0": "O", "1": "I", "5": "S", "8": "B", "2": "Z", "6": "G"}
AS_SEX: Mapping[str, str] = {"P": "F", "E": "F", "N": "M", "H": "M", "C": FILLER, "K": FILLER, "X": FILLER}
LIKE_FILLER = frozenset("CKLESX4")  # what `<` is taken for in the middle of its own kind
CODES = frozenset("PACIV")  # the first letter of every document code
MOST_SWAPS = 4
MOST_OPTIONS = 24  # the cheapest swaps, of which combinations are tried
MOST_FITS = 60  # ways to bring the rows of one zone to their length that are tried
# What a swap costs, in powers of ten: the reader's own doubt is cheap, a lookalike that it did not see is dear.
UNSEEN = 3.0
TWINS = frozenset("O0")  # hardly to be told apart in print: a reader is sure of the wrong one as often as not
TWIN = 0.5
DEAREST_DOUBT = 2.0
AS_GOOD = 1.0  # another zone that is no ten times less likely is as good
SERIOUS = 1.3  # and against a zone that needed no swap at all, one that the reader gave at least 5 %


def row(text: str) -> Row:
    """A line read without a doubt."""
    return tuple(Glyph(character=character) for character in text)


def decipher(rows: Sequence[Row]) -> Deciphered | None:
    """The most plausible zone in *rows*, which run from top to bottom and may hold other text. None: there is none."""
    best: _Settled | None = None
    for kind, layout in LAYOUTS.items():
        fits = [[_fits(line, width, names=names) for width, names in _shapes(layout)] for line in rows]
        for chosen in combinations(range(len(rows)), len(layout.masks)):
            options = [fits[line][index] for index, line in enumerate(chosen)]
            for candidate in islice(product(*options), MOST_FITS):
                found = _settle(kind, candidate)
                if found and (best is None or found.rank < best.rank):
                    best = found
    return best.zone if best else None


def _shapes(layout: Layout) -> tuple[tuple[int, bool], ...]:
    return tuple((layout.width, "N" in mask) for mask in layout.masks)


@record
class _Fit:
    """A row brought to its proper length."""

    glyphs: Row
    mended: int


SPACE = Glyph(character=FILLER)


def _fits(line: Row, width: int, *, names: bool) -> tuple[_Fit, ...]:
    """The ways in which *line* may have *width* characters, the likeliest first."""
    if not width // 3 <= len(line) <= width + 8:
        return ()
    ways: list[_Fit] = []
    for left, right in ((0, 0), (0, 1), (1, 0), (0, 2), (2, 0), (1, 1)):  # characters read beside the line
        kept = line[left : len(line) - right]
        ways += [_Fit(glyphs=way, mended=abs(width - len(kept)) + 3 * (left + right)) for way in _stretched(kept, width, names=names)]
    return tuple(ways)


def _stretched(line: Row, width: int, *, names: bool) -> Iterator[Row]:
    """*line* with one run of fillers made longer or shorter."""
    missing = width - len(line)
    if missing == 0:
        yield line
        return
    text = "".join(glyph.character for glyph in line)
    runs = sorted(_runs(text), key=lambda run: run[0] - run[1])
    if missing > 0:
        if names and FILLER * 2 in text and not text.endswith(FILLER):
            yield line + (SPACE,) * missing
        for start, _ in [run for run in runs if run[1] - run[0] > 1 or not names][:3]:
            yield line[:start] + (SPACE,) * missing + line[start:]
        return
    for start, stop in runs[:2]:
        if stop - start > -missing:
            yield line[:start] + line[start - missing :]


def _runs(text: str) -> list[tuple[int, int]]:
    """Where the runs of fillers begin and end."""
    edges = [index for index in range(len(text) + 1) if (text[index - 1 : index] == FILLER) != (text[index : index + 1] == FILLER)]
    return list(zip(edges[::2], edges[1::2], strict=True))


@record
class _Draft:
    """A candidate zone while it is being settled."""

    kind: Format
    lines: tuple[str, ...]
    repaired: frozenset[Place]
    mended: int
    sure: tuple[tuple[str, float], ...]


@record
class _Settled:
    """A zone and how much had to be believed to get it."""

    zone: Deciphered
    cost: float

    @property
    def rank(self) -> tuple[int, float]:
        return len(self.zone.zone.failed), self.cost + 0.1 * self.zone.mended


def _settle(kind: Format, fits: Sequence[_Fit]) -> _Settled | None:
    """The zone that these rows make, once grammar and check digits had their say. None: it does not look like one."""
    draft = _by_grammar(kind, fits)
    if draft is None:
        return None
    failed = frozenset(check.name for check in _checks(kind, draft.lines) if not check.holds)
    if not failed:
        others = _swapped(draft, _doubted(draft, fits), dearest=SERIOUS)
        return _finished(draft, draft.lines, cost=0, alternatives=len(others))
    solutions = _swapped(draft, _suspects(draft, failed, fits), dearest=MOST_SWAPS * UNSEEN)
    if solutions:
        cost, lines = solutions[0]
        return _finished(draft, lines, cost=cost, alternatives=len(solutions) - 1)
    likely = 2 * len(failed) <= len(_checks(kind, draft.lines))
    return _finished(draft, draft.lines, cost=0, alternatives=0) if likely else None


def _finished(draft: _Draft, lines: tuple[str, ...], *, cost: float, alternatives: int) -> _Settled:
    swapped = {(r, c) for r, c in _places(draft.kind) if lines[r][c] != draft.lines[r][c]}
    zone = Deciphered(
        zone=parse(lines),
        repaired=tuple(sorted(draft.repaired | swapped)),
        alternatives=alternatives,
        mended=draft.mended,
        sure=draft.sure,
    )
    return _Settled(zone=zone, cost=cost + UNSEEN * len(draft.repaired))


def _by_grammar(kind: Format, fits: Sequence[_Fit]) -> _Draft | None:
    """Letters where letters must stand and digits where digits must. None: no document begins or reads like this."""
    layout = LAYOUTS[kind]
    rows: list[str] = []
    repaired: set[Place] = set()
    for index, (fit, mask) in enumerate(zip(fits, layout.masks, strict=True)):
        characters = []
        for column, (glyph, allowed) in enumerate(zip(fit.glyphs, mask, strict=True)):
            character = _coerced(glyph, allowed)
            if character is None:
                return None
            if character not in glyph.seen:
                repaired.add((index, column))
            characters.append(character)
        rows.append("".join(characters))
    visa = kind in {Format.MRVA, Format.MRVB}
    if rows[0][0] not in CODES or (rows[0][0] == "V") is not visa:
        return None
    for name in ("issuer", "nationality"):
        _known_state(rows, layout.spans[name], repaired)
    mended = sum(fit.mended for fit in fits) + _swept(rows, layout.spans["names"], repaired)
    sure = tuple(
        (name, round(min(glyph.likely for glyph in fits[span.row].glyphs[span.start : span.stop]), 4))
        for name, span in layout.spans.items()
    )
    return _Draft(kind=kind, lines=tuple(rows), repaired=frozenset(repaired), mended=mended, sure=sure)


def _coerced(glyph: Glyph, mask: str) -> str | None:
    """The character that may stand under *mask*: itself, what else the reader saw in it, or its lookalike. None: nothing fits."""
    allowed = ALLOWED[mask]
    if glyph.character in allowed:
        return glyph.character
    table = AS_SEX if mask == "S" else AS_LETTER if mask in "LN" else AS_DIGIT
    candidates = glyph.seen[1:] + table.get(glyph.character, "")
    return next((character for character in candidates if character in allowed), None)


def _known_state(rows: list[str], span: Span, repaired: set[Place]) -> None:
    """A state code that does not exist becomes the only one that looks like it.

    One that does exist is its own proof: an O that was read as a zero in it counts as read.
    """
    code = rows[span.row][span.start : span.stop]
    if code.rstrip(FILLER) in STATES:
        repaired -= {(span.row, span.start + index) for index in range(3) if code[index] == "O"}
        return
    similar = {"0": "O", "O": "DQ", "D": "O", "Q": "O", "C": FILLER, "K": FILLER, "I": "L", "L": "I", "V": "U", "U": "V"}
    options = [character + similar.get(character, "") for character in code]
    known = ["".join(option) for option in product(*options) if "".join(option).rstrip(FILLER) in STATES]
    if len(known) == 1:
        line = rows[span.row]
        rows[span.row] = line[: span.start] + known[0] + line[span.stop :]
        repaired |= {(span.row, span.start + i) for i in range(3) if known[0][i] != code[i]}


def _swept(rows: list[str], span: Span, repaired: set[Place]) -> int:
    """Whatever follows a second double filler in the names is filler too; a few lookalikes of it are no repair."""
    line = rows[span.row]
    field = line[span.start : span.stop]
    given = field.find(FILLER * 2)
    end = field.find(FILLER * 2, given + 2) if given >= 0 else -1
    if end < 0 or not field[end:].strip(FILLER):
        return 0
    strays = [index for index in range(end, len(field)) if field[index] != FILLER]
    words = [word for word in field[end:].split(FILLER) if word]
    if any(len(word) > 2 or set(word) - LIKE_FILLER for word in words):
        repaired |= {(span.row, span.start + index) for index in strays}
    rows[span.row] = line[: span.start] + field[:end].ljust(len(field), FILLER) + line[span.stop :]
    return len(strays)


@cache
def _places(kind: Format) -> tuple[Place, ...]:
    layout = LAYOUTS[kind]
    return tuple((r, c) for r in range(len(layout.masks)) for c in range(layout.width))


@cache
def _covered(kind: Format, name: str) -> frozenset[Place]:
    """The places that the check digit *name* speaks for, itself included."""
    layout = LAYOUTS[kind]
    if name == "composite":
        places = {(span.row, c) for span in layout.composite for c in range(span.start, span.stop)}
        return frozenset(places | {(1, layout.width - 1)})
    span = layout.spans[name]
    places = {(span.row, c) for c in range(span.start, span.stop + 1)}
    if name == "number" and kind in LONG_NUMBERS:
        optional = layout.spans["optional"]
        places |= {(optional.row, c) for c in range(optional.start, optional.stop)}
    return frozenset(places)


Options = Mapping[Place, Mapping[str, float]]  # per place, what may stand there instead, and at what cost


def _doubted(draft: _Draft, fits: Sequence[_Fit]) -> Options:
    """What the reader itself was unsure of, within reach of a check digit."""
    names = [check.name for check in _checks(draft.kind, draft.lines)]
    reach = frozenset[Place]().union(*(_covered(draft.kind, name) for name in names))
    return _options(draft, reach, fits, unseen=False)


def _suspects(draft: _Draft, failed: frozenset[str], fits: Sequence[_Fit]) -> Options:
    """The characters under the failed check digits, each with what it may be instead."""
    own = failed - {"composite"}
    reach = frozenset[Place]().union(*(_covered(draft.kind, name) for name in own or failed))
    if not own:  # each field holds by itself: only what none of them covers can be wrong, or else any of them
        held = [check.name for check in _checks(draft.kind, draft.lines) if check.name not in failed]
        loose = reach - frozenset[Place]().union(*(_covered(draft.kind, name) for name in held))
        reach = loose or reach
    return _options(draft, reach, fits, unseen=True)


def _options(draft: _Draft, reach: frozenset[Place], fits: Sequence[_Fit], *, unseen: bool) -> Options:
    options: dict[Place, dict[str, float]] = {}
    for index, column in sorted(reach):
        glyph, printed = fits[index].glyphs[column], draft.lines[index][column]
        allowed = ALLOWED[LAYOUTS[draft.kind].masks[index][column]] - {printed}
        lookalikes = LOOKALIKES.get(printed, "") if unseen else ""
        costs = {character: TWIN if {character, printed} == TWINS else UNSEEN for character in lookalikes}
        for doubt in glyph.doubts:
            seen = min(-log10(doubt.likely), DEAREST_DOUBT)
            costs[doubt.character] = min(seen, costs.get(doubt.character, seen))
        costs = {character: cost for character, cost in costs.items() if character in allowed}
        if costs:
            options[index, column] = costs
    return options


def _swapped(draft: _Draft, options: Options, *, dearest: float) -> list[tuple[float, tuple[str, ...]]]:
    """The zones that satisfy all check digits, with the cost of their swaps: the cheapest first, and those as good."""
    found: dict[tuple[str, ...], float] = {}
    swaps = sorted((cost, place, character) for place, ways in options.items() for character, cost in ways.items())
    limit = dearest
    for count in range(1, MOST_SWAPS + 1):
        for chosen in combinations(swaps[:MOST_OPTIONS], count):
            cost = sum(swap[0] for swap in chosen)
            if cost > limit or len({swap[1] for swap in chosen}) < count:
                continue
            lines = _with(draft.lines, [(place, character) for _, place, character in chosen])
            if lines not in found and _all_hold(draft.kind, lines):
                found[lines] = cost
                limit = min(limit, cost + AS_GOOD)
    return sorted((cost, lines) for lines, cost in found.items() if cost <= limit)


def _with(lines: tuple[str, ...], swaps: Sequence[tuple[Place, str]]) -> tuple[str, ...]:
    rows = [list(line) for line in lines]
    for (index, column), character in swaps:
        rows[index][column] = character
    return tuple("".join(line) for line in rows)


def _all_hold(kind: Format, lines: Sequence[str]) -> bool:
    return all(check.holds for check in _checks(kind, lines))
