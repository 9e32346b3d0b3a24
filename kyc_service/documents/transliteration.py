"""Names in the 26 letters of the machine-readable zone, and whether two of them name the same person. Pure.

The table beside this module holds the recommendations of ICAO Doc 9303-3 §6 for Latin, Cyrillic and Arabic letters: the
first spelling is the recommended one, the others are its per-language exceptions and the romanisations that are common
in passports (`Ü`: UE, UXX, U; `Ю`: IU, YU, JU). A declared name is compared with *all* its spellings, so that Müller is
MUELLER and MULLER and MUXXLLER, and nothing else is tolerated but one slip of a character reader in a long name:
a fuzzy score would accept the neighbour's child too.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib.resources import files

from kyc_service.domain.record import record

LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
DROPPED = frozenset("'’‘ʼʻ`´ʹʺ.·")  # apostrophes vanish (Doc 9303-3 §4.6), and so do full stops
SPACES = frozenset(" -‐‑‒–—,/\t\u00a0")  # hyphens become fillers
# Letters that a reader of OCR-B confuses among themselves.
CONFUSED = frozenset(
    frozenset(pair) for pair in ("OQ", "OD", "QD", "IL", "IJ", "IT", "LT", "UV", "VY", "CG", "EF", "BR", "PR", "MN")
)
LONG_NAME = 6  # letters from which one reading slip is believed


class Likeness(StrEnum):
    """How one name compares with another. `unknown`: in a script that the table cannot write."""

    SAME = "same"
    MINOR = "minor"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@record
class Name:
    """A person's name; either part may be empty. `truncated`: the zone was too short for it."""

    surname: str
    given_names: str = ""
    truncated: bool = False


Spelling = tuple[tuple[str, ...], ...]  # per letter, the ways to write it


@cache
def table() -> Mapping[str, tuple[str, ...]]:
    """Each letter with its spellings, the recommended one first."""
    text = files(__package__).joinpath("transliteration.csv").read_text(encoding="utf-8")
    pairs = (line.split(",") for line in text.splitlines()[1:])
    return {character: tuple(written.split("|")) for character, written in pairs}


def to_mrz(name: str) -> str:
    """*name* as a zone writes it, for example `O'Connor-Müller` as `OCONNOR<MUELLER`."""
    words = ("".join(ways[0] for ways in word) for word in _words(name))
    return "<".join(word for word in words if word)


def same_name(declared: Name, printed: Name) -> Likeness:
    """Whether the *declared* name is the one *printed* in a zone."""
    surname, given = _words(declared.surname), _words(declared.given_names)
    if not _writable(declared) or not (surname or given):
        return Likeness.UNKNOWN
    read = _Printed(
        surname=tuple(printed.surname.split()), given=tuple(printed.given_names.split()), truncated=printed.truncated
    )
    likenesses = {_compared(*parts, read) for parts in _partings(surname, given, read)}
    return next(likeness for likeness in Likeness if likeness in likenesses)


def written_as(text: str, read: Sequence[str], *, truncated: bool = False) -> Likeness:
    """Whether the words of *text* may be written as the words that were *read* in a zone, in this order."""
    words = _words(text)
    if _spells(words, read) or (truncated and words and _spells(words, read, prefix=True)):
        return Likeness.SAME
    return Likeness.MINOR if _nearly(words, read) else Likeness.DIFFERENT


def _partings(
    surname: tuple[Spelling, ...], given: tuple[Spelling, ...], read: "_Printed"
) -> Iterator[tuple[tuple[Spelling, ...], tuple[Spelling, ...]]]:
    """The declared name; one that was declared in a single piece is parted wherever its surname may begin or end."""
    yield surname, given
    if read.given and not given:
        for index in range(1, len(surname)):
            yield surname[index:], surname[:index]
            yield surname[:index], surname[index:]


def _compared(surname: Sequence[Spelling], given: Sequence[Spelling], read: "_Printed") -> Likeness:
    if _same(surname, given, read):
        return Likeness.SAME
    if _subset(surname, given, read) or _swapped(surname, given, read) or _one_slip(surname, given, read):
        return Likeness.MINOR
    return Likeness.DIFFERENT


@record
class _Printed:
    surname: tuple[str, ...]
    given: tuple[str, ...]
    truncated: bool


def _words(name: str) -> tuple[Spelling, ...]:
    """The words of *name*, each letter with its spellings; what the table cannot write is left out."""
    words: list[list[tuple[str, ...]]] = [[]]
    for character in unicodedata.normalize("NFC", name).upper():
        if character in SPACES:
            words.append([])
        elif character not in DROPPED:
            words[-1].extend(_ways(character))
    return tuple(tuple(word) for word in words if word)


def _ways(character: str) -> Iterator[tuple[str, ...]]:
    """The spellings of one character; an accent that the table does not know is taken off."""
    if character in LETTERS:
        yield (character,)
    elif character in table():
        yield table()[character]
    else:
        base = unicodedata.normalize("NFKD", character)
        if base != character:
            for part in unicodedata.normalize("NFC", base[:-1] if unicodedata.combining(base[-1]) else base):
                yield from _ways(part)


def _writable(name: Name) -> bool:
    """Whether every letter of *name* has a spelling."""
    characters = unicodedata.normalize("NFC", name.surname + name.given_names).upper()
    return all(list(_ways(c)) or not c.isalpha() for c in characters if c not in DROPPED | SPACES)


def _same(surname: Sequence[Spelling], given: Sequence[Spelling], read: _Printed) -> bool:
    whole = (*read.surname, *read.given)
    if read.truncated and _cut_short((*surname, *given), whole):
        return True
    if not given or not read.given:  # one name only: it may stand in either field
        return _spells((*surname, *given), whole)
    return _spells(surname, read.surname) and _spells(given, read.given)


def _cut_short(words: Sequence[Spelling], read: Sequence[str]) -> bool:
    """Whether each word that was read begins the declared word in its place; the last ones may be missing."""
    if _spells(words, read, prefix=True):
        return True
    return len(read) <= len(words) and all(
        _spells((word,), (part,), prefix=True) for word, part in zip(words, read, strict=False)
    )


def _subset(surname: Sequence[Spelling], given: Sequence[Spelling], read: _Printed) -> bool:
    """Whether only given names are missing on one side, or shortened to an initial; the surnames agree."""
    if not given or not read.given or not _spells(surname, read.surname):
        return False
    if len(given) < len(read.given):
        printed = iter(read.given)
        inside = all(any(_given_alike(word, part) for part in printed) for word in given)
    else:
        said = iter(given)
        inside = all(any(_given_alike(word, part) for word in said) for part in read.given)
    return inside and _one_in_full(given, read.given)


def _given_alike(word: Spelling, part: str) -> bool:
    """Whether a declared and a printed given name agree, or one is the other's initial."""
    if _spells((word,), (part,)):
        return True
    return (len(word) == 1 or len(part) == 1) and part[:1] in {way[:1] for way in word[0]}


def _one_in_full(given: Sequence[Spelling], read: Sequence[str]) -> bool:
    return any(len(part) > 1 and _spells((word,), (part,)) for word in given for part in read)


def _swapped(surname: Sequence[Spelling], given: Sequence[Spelling], read: _Printed) -> bool:
    """Whether surname and given names changed places."""
    return bool(given and read.given) and _spells(surname, read.given) and _spells(given, read.surname)


def _one_slip(surname: Sequence[Spelling], given: Sequence[Spelling], read: _Printed) -> bool:
    """Whether one long name differs by one slip of a reader, and the other name is the same."""
    if not given or not read.given:
        return not given and not read.given and _nearly(surname, read.surname)
    if _spells(surname, read.surname):
        return _nearly(given, read.given)
    return _spells(given, read.given) and _nearly(surname, read.surname)


def _nearly(words: Sequence[Spelling], read: Sequence[str]) -> bool:
    text = "".join(read)
    return len(text) >= LONG_NAME and any(_spells(words, (slip,)) for slip in _slips(text))


def _slips(text: str) -> Iterator[str]:
    """What was perhaps printed where *text* was read: one lookalike, or one letter of a pair more or less."""
    for index, character in enumerate(text):
        for pair in CONFUSED:
            if character in pair:
                yield text[:index] + "".join(pair - {character}) + text[index + 1 :]
        yield text[:index] + character + text[index:]
        if text[index : index + 1] == text[index + 1 : index + 2]:
            yield text[:index] + text[index + 1 :]


def _spells(words: Sequence[Spelling], read: Sequence[str], *, prefix: bool = False) -> bool:
    """Whether *words* can be written as *read*, word boundaries aside; *prefix*: or at least begin so."""
    text = "".join(read)
    if not text:
        return False
    reached = {0}
    for ways in (ways for word in words for ways in word):
        reached = {end for start in reached for way in ways for end in _ends(text, start, way, prefix=prefix)}
        if prefix and len(text) in reached:
            return True
    return len(text) in reached


def _ends(text: str, start: int, way: str, *, prefix: bool) -> Iterator[int]:
    if text.startswith(way, start):
        yield start + len(way)
    elif prefix and way.startswith(text[start:]):
        yield len(text)
