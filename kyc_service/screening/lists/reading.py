"""What every parser stands on: files that are opened safely, rows, elements, and field problems that are told.

A parser reads a list into entries. Where one field cannot be understood the entry is kept without it and the problem is
collected; where the file is not what it claims to be, `ListUnreadable` ends the reading, and nothing of it is used.
"""

import csv
import gzip
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, TypeAlias, TypeVar
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from kyc_service.domain.record import record
from kyc_service.screening.entries import Birth, Entry, Group, Identifier, Kind, ListedName, NameKind
from kyc_service.screening.lists import dates
from kyc_service.screening.lists.dates import DateUnreadable
from kyc_service.screening.lists.places import CountryUnknown, country

T = TypeVar("T")
# What the files of a list are to each other ("main", "aliases", …) → where they lie.
Files: TypeAlias = Mapping[str, Path]
Parse: TypeAlias = Callable[["Files", str, "Problems"], Iterable[Entry]]

MAX_BYTES = 1 << 30  # of one file, unpacked: twice the largest list that there is
MAX_FIELD = 1 << 20  # characters of one field of a CSV
SHOWN = 100  # problems that are told one by one; the rest is counted
CTRL_Z = b"\x1a"
GZIP = b"\x1f\x8b"
NUMBERED = re.compile(r"(?:^|\s)\(\d{1,2}\)\s+")


class ListUnreadable(Exception):
    """The file is not the list that it should be; the message says why."""


@record
class Problem:
    """A field that could not be understood. Lists are public, so the value may be shown."""

    entry: str
    field: str
    value: str
    why: str


class Problems:
    """Collects the problems of one reading: all are counted, the first hundred are told."""

    def __init__(self) -> None:
        self.count = 0
        self.shown: list[Problem] = []
        self.encoding = "utf-8"

    def note(self, entry: str, field: str, value: object, why: str) -> None:
        """Another field of an entry that could not be understood."""
        self.count += 1
        if len(self.shown) < SHOWN:
            self.shown.append(Problem(entry=entry, field=field, value=str(value)[:200], why=why))


class Draft:
    """An entry in the making. Whatever is said twice stands in it once; what cannot be understood is noted."""

    def __init__(
        self, source: str, number: str, problems: Problems, *, kind: Kind, group: Group = Group.SANCTION
    ) -> None:
        self.id = f"{source}:{number}"
        self.kind = kind
        self.group = group
        self.gender: str | None = None
        self.listed_on: str | None = None
        self.link: str | None = None
        self._source = source
        self._problems = problems
        self._names: dict[str, NameKind] = {}
        self._births: dict[Birth, None] = {}
        self._countries: dict[str, None] = {}
        self._identifiers: dict[Identifier, None] = {}
        self._programmes: dict[str, None] = {}
        self._referents: dict[str, None] = {}
        self._places: dict[str, None] = {}
        self._addresses: dict[str, None] = {}
        self._remarks: dict[str, None] = {}

    def name(self, value: str | None, kind: NameKind = NameKind.ALIAS) -> None:
        """A name; one that is known already keeps the stronger of its kinds."""
        if name := clean(value):
            known = self._names.get(name)
            if known is None or (known is NameKind.WEAK and kind is not NameKind.WEAK):
                self._names[name] = kind

    @property
    def has_primary(self) -> bool:
        """Whether a primary name is known by now."""
        return NameKind.PRIMARY in self._names.values()

    def note(self, field: str, value: str, why: str) -> None:
        """A field that could not be understood, and why."""
        self._problems.note(self.id, field, value, why)

    def read(self, field: str, value: str | None, into: Callable[[str], None]) -> None:
        """Hand a field that is there to *into*; what that cannot understand is noted and left out."""
        if text := clean(value):
            try:
                into(text)
            except (DateUnreadable, CountryUnknown, ValueError) as error:
                self._problems.note(self.id, field, text, type(error).__doc__ or "")

    def birth(self, birth: Birth) -> None:
        """A date of birth, or of foundation."""
        self._births[birth] = None

    def country(self, text: str | None, field: str = "country") -> None:
        """A country that the list ties to the entry, in the list's words."""
        self.read(field, text, self._country)

    def _country(self, text: str) -> None:
        if code := country(text):
            self._countries[code] = None

    def identifier(self, kind: str, value: str | None, issuer: str | None = None) -> None:
        """A number that somebody issued. An issuer that we cannot place is left out."""
        if number := clean(value):
            try:
                code = country(issuer)
            except CountryUnknown as error:
                self._problems.note(self.id, "issuer", issuer, error.__doc__ or "")
                code = None
            self._identifiers[Identifier(type=kind, value=number, country=code)] = None

    def is_of_gender(self, text: str | None) -> None:
        """The gender, if the list states one of the two that it can be compared by."""
        match (text or "").strip(" .").casefold():
            case "m" | "male" | "man" | "homme":
                self.gender = "male"
            case "f" | "female" | "woman" | "femme":
                self.gender = "female"
            case "" | "-0-" | "u" | "unknown" | "na" | "other":
                pass
            case _:
                self._problems.note(self.id, "gender", text, "It is neither male nor female.")

    def was_listed(self, text: str) -> None:
        """The day on which the publisher listed it.

        Raises:
            DateUnreadable: it is no day.
        """
        self.listed_on = dates.day(text)

    def born(self, text: str | None, field: str = "birth date", *, circa: bool = False) -> None:
        """A date of birth, or of foundation, in the list's words."""
        self.read(field, text, lambda words: self.birth(dates.birth(words, circa=circa)))

    def programme(self, text: str | None) -> None:
        """Why they are on the list, in the publisher's own code or title."""
        _keep(self._programmes, text)

    def referent(self, identity: str | None) -> None:
        """An id that the publisher merged into this one."""
        _keep(self._referents, identity)

    def birth_place(self, text: str | None) -> None:
        """Where somebody was born."""
        _keep(self._places, text)

    def address(self, *parts: str | None) -> None:
        """One address, out of its parts."""
        _keep(self._addresses, ", ".join(cleaned for part in parts if (cleaned := clean(part))))

    def remark(self, text: str | None, label: str | None = None) -> None:
        """Whatever else the list says, for a reviewer's eyes."""
        if cleaned := clean(text):
            _keep(self._remarks, f"{label}: {cleaned}" if label else cleaned)

    def entry(self) -> Entry:
        """The entry, whole. Without a primary name the first one is taken for it; without any name that is noted."""
        if not self._names:
            self._problems.note(self.id, "name", "", "The list gives no name.")
        names = [ListedName(value=value, kind=kind) for value, kind in self._names.items()]
        if names and all(name.kind is not NameKind.PRIMARY for name in names):
            names[0] = ListedName(value=names[0].value)
        return Entry(
            id=self.id,
            source=self._source,
            group=self.group,
            kind=self.kind,
            names=tuple(names),
            births=tuple(self._births),
            countries=tuple(self._countries),
            gender=self.gender,
            identifiers=tuple(self._identifiers),
            programmes=tuple(self._programmes),
            referents=tuple(self._referents),
            birth_places=tuple(self._places),
            addresses=tuple(self._addresses),
            remarks="\n".join(self._remarks) or None,
            listed_on=self.listed_on,
            link=self.link,
        )


def _keep(where: dict[str, None], text: str | None) -> None:
    if cleaned := clean(text):
        where[cleaned] = None


def is_latin(text: str) -> bool:
    """Whether the letters of *text* are Latin ones, most of them at least."""
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum("LATIN" in unicodedata.name(letter, "") for letter in letters) >= len(letters)


def numbered(text: str | None) -> Iterator[str]:
    """The values in one cell, which have numbers before them when there are several: `(1) Iraqi (2) Syrian`."""
    for part in NUMBERED.split(text or ""):
        if value := clean(part):
            yield value


def clean(text: str | None) -> str | None:
    """*text* without superfluous white space and control characters; None where nothing is left."""
    if not text:
        return None
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split()) or None


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked when it is packed with gzip, and never more than `MAX_BYTES`.

    Raises:
        ListUnreadable: it is broken, or larger than any list.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == GZIP
            raw.seek(0)
            inner: Readable = gzip.GzipFile(fileobj=raw) if packed else raw
            yield io.BufferedReader(_Bounded(inner), 1 << 16)
    except (EOFError, gzip.BadGzipFile) as error:
        raise ListUnreadable("The packed file is broken: it ends too early, or was not packed with gzip.") from error


class Readable(Protocol):
    """Something with bytes in it."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many."""
        ...


class _Bounded(io.RawIOBase):
    def __init__(self, inner: Readable) -> None:
        self._inner = inner
        self._left = MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # typeshed has no name for what may be written into
        chunk = self._inner.read(len(view))
        self._left -= len(chunk)
        if self._left < 0:
            raise ListUnreadable(f"The file is larger than {MAX_BYTES >> 20} MiB.")
        view[: len(chunk)] = chunk
        return len(chunk)


def lines(path: Path, problems: Problems) -> Iterator[str]:
    """The lines of a text file: strictly UTF-8 (with or without a mark), else Windows-1252, which is told."""
    encoding = "utf-8-sig"
    try:
        with opened(path) as stream:
            for _ in io.TextIOWrapper(stream, encoding):
                pass
    except UnicodeDecodeError:
        encoding = problems.encoding = "cp1252"
        problems.note("-", "encoding", path.name, "The file is not UTF-8; it was read as Windows-1252.")
    with opened(path) as stream:
        errors = "strict" if encoding == "utf-8-sig" else "replace"
        for line in io.TextIOWrapper(stream, encoding, errors=errors, newline=""):
            if not line.startswith("\x1a"):  # OFAC ends its files as CP/M did
                yield line


def rows(path: Path, problems: Problems, *, delimiter: str = ",") -> Iterator[Sequence[str]]:
    """The rows of a CSV file, empty ones left out.

    Raises:
        ListUnreadable: a field is larger than any list has, as when a quotation mark is never closed.
    """
    csv.field_size_limit(MAX_FIELD)
    try:
        yield from (row for row in csv.reader(lines(path, problems), delimiter=delimiter, strict=False) if row)
    except csv.Error as error:
        raise ListUnreadable(f"The CSV is broken: {error}.") from error


def table(
    path: Path, problems: Problems, wanted: Iterable[str], *, delimiter: str = ","
) -> Iterator[Mapping[str, str]]:
    """The rows of a CSV file by the names in its header, which stands in the first row that has every *wanted* name.

    A row with more or fewer columns is noted; what is missing is empty.

    Raises:
        ListUnreadable: no row among the first ten is such a header.
    """
    needed = set(wanted)
    header: list[str] | None = None
    for number, row in enumerate(rows(path, problems, delimiter=delimiter)):
        if header is None:
            stripped = [cell.strip() for cell in row]
            if needed <= set(stripped):
                header = stripped
            elif number >= 10:
                break
            continue
        if len(row) != len(header):
            problems.note(f"row {number + 1}", "row", row[:3], f"It has {len(row)} columns, not {len(header)}.")
        yield dict(zip(header, [*row, *[""] * (len(header) - len(row))], strict=False))
    if header is None:
        raise ListUnreadable(f"No row is a header with {', '.join(sorted(needed))}.")


def elements(path: Path, wanted: Iterable[str], *, root: str | None = None) -> Iterator[Element]:
    """Every element with a *wanted* name, namespaces taken off, each given free again once it is read.

    Raises:
        ListUnreadable: the XML is broken, ends too early, has another root, or declares entities.
    """
    names = frozenset(wanted)
    depth = 0
    inside = 0
    stack: list[Element] = []
    try:
        with opened(path) as stream:
            for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
                element.tag = str(element.tag).rpartition("}")[2]
                if event == "start":
                    depth += 1
                    if depth == 1 and root and element.tag != root:
                        raise ListUnreadable(f"The root is <{element.tag}>, not <{root}>.")
                    inside += element.tag in names
                    stack.append(element)
                    continue
                depth -= 1
                stack.pop()
                if element.tag in names:
                    inside -= 1
                    yield element
                if not inside:  # nobody reads it any more: forget it, and what its parent knows of it
                    element.clear()
                    if stack:
                        stack[-1].clear()
    except DefusedXmlException as error:
        raise ListUnreadable("The XML declares entities or a document type, which no list does.") from error
    except (ParseError, LookupError, ValueError) as error:  # the latter two: it claims an encoding that there is not
        raise ListUnreadable(f"The XML is broken: {error}.") from error


def text_of(element: Element, path: str) -> str | None:
    """The text of the first element at *path*, cleaned; None where there is none."""
    return clean(element.findtext(path))


def texts(element: Element, path: str) -> Iterator[str]:
    """The texts of all elements at *path*, cleaned, empty ones left out."""
    for found in element.iterfind(path):
        if text := clean(found.text):
            yield text
