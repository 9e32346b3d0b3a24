"""A machine-readable zone out of doubtful lines, pure.

A reader of characters gives lines that are too long or too short, letters where only digits can stand, and doubts. Here
filler grows or shrinks, grammar chooses among what the reader saw, and the check digits choose between lookalikes.
Whatever was put in that the reader did not see is listed as repaired, and other zones that fit as well are counted: a
document must not be approved on a guess. Names have no check digit: nothing here can tell that a name was misread.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations, islice, product
from math import log10

from kyc_service.documents.countries import STATES
from kyc_service.documents.mrz import (
    ALLOWED,
    FILLER,
    LAYOUTS,
    LONG_NUMBERS,
    Format,
    Layout,
    Place,
    Span,
    Zone,
    check_digits,
    parse_as,
)
from kyc_service.domain.record import record


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
    rows: tuple[int, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every check digit is right."""
        return not self.zone.failed

    def guessed(self, field: str) -> bool:
        """Whether a character of *field*, or of its check digit, was replaced."""
        span = LAYOUTS[self.zone.format].spans.get(field)
        return span is not None and any(r == span.row and span.start <= c <= span.stop for r, c in self.repaired)


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
CODES: Mapping[Format, str] = {  # the first letter of the document code (Doc 9303-4 to -7, §4.2.2)
    Format.TD1: "ACI",
    Format.TD2: "ACI",
    Format.TD3: "P",
    Format.MRVA: "V",
    Format.MRVB: "V",
    Format.FRENCH_ID: "I",
    Format.LICENCE: "D",
    Format.FRENCH_LICENCE: "D",
}
OWN_LAYOUT = frozenset({(Format.LICENCE, "FRA")})  # issuers that do not use the general layout
MOST_TOO_LONG = 4  # a line longer than that belongs to another format
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
                    best = replace(found, zone=replace(found.zone, rows=chosen))
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
    if not width // 3 <= len(line) <= width + MOST_TOO_LONG:
        return ()
    ways: list[_Fit] = []
    for left, right in ((0, 0), (0, 1), (1, 0), (0, 2), (2, 0), (1, 1)):
        # Only what is too much may have been read beside the line: dropping more would trade a character for a filler.
        if left + right and left + right > len(line) - width:
            continue
        kept = line[left : len(line) - right]
        mended = abs(width - len(kept)) + 3 * (left + right)
        ways += [_Fit(glyphs=way, mended=mended) for way in _stretched(kept, width, names=names)]
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
    edges = [
        index
        for index in range(len(text) + 1)
        if (text[index - 1 : index] == FILLER) != (text[index : index + 1] == FILLER)
    ]
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
    failed = frozenset(check.name for check in check_digits(kind, draft.lines) if not check.holds)
    if not failed:
        others = _swapped(draft, _doubted(draft, fits), dearest=SERIOUS)
        return _finished(draft, draft.lines, cost=0, alternatives=len(others))
    solutions = _swapped(draft, _suspects(draft, failed, fits), dearest=MOST_SWAPS * UNSEEN)
    if solutions:
        cost, lines = solutions[0]
        return _finished(draft, lines, cost=cost, alternatives=len(solutions) - 1)
    likely = 2 * len(failed) <= len(check_digits(kind, draft.lines))
    return _finished(draft, draft.lines, cost=0, alternatives=0) if likely else None


def _finished(draft: _Draft, lines: tuple[str, ...], *, cost: float, alternatives: int) -> _Settled:
    swapped = {(r, c) for r, c in _places(draft.kind) if lines[r][c] != draft.lines[r][c]}
    zone = Deciphered(
        zone=parse_as(draft.kind, lines),
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
    if rows[0][0] not in CODES[kind]:
        return None
    for name in ("issuer", "nationality"):
        if name in layout.spans:
            _known_state(rows, layout.spans[name], repaired)
    if not _issued_so(kind, rows):
        return None
    swept = _swept(rows, layout.spans["names"], repaired) if "names" in layout.spans else 0
    mended = sum(fit.mended for fit in fits) + swept
    sure = tuple(
        (name, round(min(glyph.likely for glyph in fits[span.row].glyphs[span.start : span.stop]), 4))
        for name, span in layout.spans.items()
    )
    return _Draft(kind=kind, lines=tuple(rows), repaired=frozenset(repaired), mended=mended, sure=sure)


def _issued_so(kind: Format, rows: Sequence[str]) -> bool:
    """Whether the issuer is one that uses the layout of *kind*."""
    issuer = rows[0][2:5].rstrip(FILLER)
    national = LAYOUTS[kind].issuer
    if kind in {Format.LICENCE, Format.FRENCH_LICENCE} and issuer not in STATES:  # a single line needs a better proof
        return False
    return (national is None or issuer == national) and (kind, issuer) not in OWN_LAYOUT


def _coerced(glyph: Glyph, mask: str) -> str | None:
    """The character that may stand under *mask*: itself, another that the reader saw, or its lookalike. None: none."""
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
    similar = {
        "0": "O",
        "O": "DQ",
        "D": "O",
        "Q": "O",
        "C": FILLER,
        "K": FILLER,
        "I": "L",
        "L": "I",
        "V": "U",
        "U": "V",
    }
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
        return frozenset(places | {(layout.signed, layout.width - 1)})
    span = layout.spans[name]
    places = {(span.row, c) for c in range(span.start, span.stop + 1)}
    if name == "number" and kind in LONG_NUMBERS:
        optional = layout.spans["optional"]
        places |= {(optional.row, c) for c in range(optional.start, optional.stop)}
    return frozenset(places)


Options = Mapping[Place, Mapping[str, float]]  # per place, what may stand there instead, and at what cost


def _doubted(draft: _Draft, fits: Sequence[_Fit]) -> Options:
    """What the reader itself was unsure of, within reach of a check digit."""
    names = [check.name for check in check_digits(draft.kind, draft.lines)]
    reach = frozenset[Place]().union(*(_covered(draft.kind, name) for name in names))
    return _options(draft, reach, fits, unseen=False)


def _suspects(draft: _Draft, failed: frozenset[str], fits: Sequence[_Fit]) -> Options:
    """The characters under the failed check digits, each with what it may be instead."""
    own = failed - {"composite"}
    reach = frozenset[Place]().union(*(_covered(draft.kind, name) for name in own or failed))
    if not own:  # each field holds by itself: only what none of them covers can be wrong, or else any of them
        held = [check.name for check in check_digits(draft.kind, draft.lines) if check.name not in failed]
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
    return all(check.holds for check in check_digits(kind, lines))
