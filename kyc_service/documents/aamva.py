"""The barcode on the back of driving licences and identity cards of the United States and Canada, parsed. Pure.

AAMVA DL/ID Card Design Standard, annex D ("Mandatory PDF417 bar code"): D.12.3 the header, D.12.4 the designators of
subfiles, D.12.5 the data elements. Versions 1 (2000) to 10 (2020) and those after differ in three ways: version 1 has
no version of the jurisdiction in its header and one element for the whole name, versions 2 and 3 have one for all given
names, and from version 4 on the names stand apart, each with a flag that says whether it was cut short. Dates are
MMDDCCYY in the United States and CCYYMMDD in Canada and in version 1.
"""

import re
from collections.abc import Mapping
from datetime import date

from kyc_service.domain.record import record

HEAD = re.compile(r"@\s*\n\x1e?\r?(?P<type>ANSI |AAMVA)(?P<issuer>\d{6})(?P<version>\d{2})")
FIRST = 1  # the version of 2000
TRUNCATING = 4  # since the version of 2009
MOST = 8192  # characters: a PDF417 holds 1850
ABSENT = frozenset({"", "NONE", "UNAVL", "UNAVAIL"})  # D.12.5.1: not collected, or not available
SEXES: Mapping[str, str] = {"1": "M", "2": "F", "9": "X", "M": "M", "F": "F", "X": "X"}
KINDS = ("DL", "ID", "EN")  # licence, identity card, enhanced licence
ELEMENT = re.compile(r"([A-Z]{2}[A-Z0-9])(.*)", re.DOTALL)


class NotAamva(ValueError):
    """The text is not that of a driving licence or identity card by AAMVA's standard."""


@record
class Name:
    """One part of a name. `truncated`: it was cut short (T); None: nobody says (U, or an old version)."""

    text: str
    truncated: bool | None = None


@record
class Licence:
    """What the barcode says; None or empty: it does not say."""

    version: int
    issuer: str  # the issuer identification number, six digits
    kind: str
    jurisdiction: str
    country: str  # alpha-3
    number: str
    family_name: Name
    given_names: tuple[Name, ...]
    birth: date | None
    expiry: date | None
    issued: date | None
    sex: str
    street: str
    city: str
    postal_code: str

    def __repr__(self) -> str:
        return f"Licence(version={self.version}, kind={self.kind!r}, ***)"


def parse(text: str) -> Licence:
    """The licence in the *text* of a barcode, one character for each byte.

    Raises:
        NotAamva: it has another header, no subfile of a licence or card, or no number.
    """
    head = HEAD.match(text[:64]) if len(text) <= MOST else None
    if head is None:
        raise NotAamva
    version = int(head["version"])
    kind, content = _subfile(text, head.end() + (2 if version > FIRST else 0))
    elements = _elements(content)
    country = _country(elements, version)
    licence = Licence(
        version=version,
        issuer=head["issuer"],
        kind=kind,
        jurisdiction=_told(elements, "DAJ", "DAO"),
        country=country,
        number=_told(elements, "DAQ", "DBJ"),
        family_name=_family_name(elements),
        given_names=_given_names(elements),
        birth=_date(_told(elements, "DBB"), country, version),
        expiry=_date(_told(elements, "DBA"), country, version),
        issued=_date(_told(elements, "DBD"), country, version),
        sex=SEXES.get(_told(elements, "DBC"), ""),
        street=_told(elements, "DAG", "DAL"),
        city=_told(elements, "DAI", "DAN"),
        postal_code=_told(elements, "DAK", "DAP").replace(" ", ""),
    )
    if not licence.number:
        raise NotAamva
    return licence


def _subfile(text: str, place: int) -> tuple[str, str]:
    """The first subfile of a licence or card (D.12.4): its type, and its content without the type.

    Issuers count offsets from different beginnings, so the type is looked for near the place that they name.
    """
    count = text[place : place + 2]
    if not re.fullmatch(r"\d{2}", count):
        raise NotAamva
    place += 2
    for _ in range(min(int(count), 16)):
        designator = re.fullmatch(r"(..)(\d{4})(\d{4})", text[place : place + 10], re.DOTALL)
        if designator is None:
            break
        place += 10
        kind, offset, length = designator[1], int(designator[2]), int(designator[3])
        if kind in KINDS:
            begin = text.find(kind, max(place - 1, offset - 4))
            if begin < 0:
                raise NotAamva
            end = text.find("\r", begin)
            return kind, text[begin + 2 : end if end >= 0 else begin + max(length, 2)]
    raise NotAamva


def _elements(content: str) -> Mapping[str, str]:
    """The data elements by their identifiers; the first of a kind counts, and absent ones are left out."""
    found: dict[str, str] = {}
    for line in content.split("\n"):
        element = ELEMENT.fullmatch(line.strip("\r\x1e"))
        if element and element[2].strip().upper() not in ABSENT:
            found.setdefault(element[1], element[2].strip())
    return found


def _told(elements: Mapping[str, str], *names: str) -> str:
    return next((elements[name] for name in names if name in elements), "")


def _country(elements: Mapping[str, str], version: int) -> str:
    """DCG, which version 1 lacks; a Canadian postal code tells there."""
    told = elements.get("DCG", "").upper()
    if told in {"USA", "CAN", "MEX"}:
        return told
    canadian = re.match(r"[A-Z]\d[A-Z]", elements.get("DAK", "").upper())
    return "CAN" if canadian else "USA" if version else ""


def _date(text: str, country: str, version: int) -> date | None:
    """A date in the order of the country; the other order is taken where only that one is a date of our time."""
    if not re.fullmatch(r"\d{8}", text):
        return None
    year_first = country == "CAN" or version <= FIRST
    for first in (year_first, not year_first):
        parts = (text[:4], text[4:6], text[6:]) if first else (text[4:], text[:2], text[2:4])
        year, month, day = (int(part) for part in parts)
        if 1880 <= year <= 2200:
            try:
                return date(year, month, day)
            except ValueError:
                continue
    return None


def _family_name(elements: Mapping[str, str]) -> Name:
    if "DAA" in elements and not {"DCS", "DAB"} & elements.keys():
        return Name(text=_parts(elements["DAA"])[0])
    return Name(text=_told(elements, "DCS", "DAB"), truncated=_cut(elements, "DDE"))


def _given_names(elements: Mapping[str, str]) -> tuple[Name, ...]:
    if "DAC" in elements:
        middle = [Name(text=elements["DAD"], truncated=_cut(elements, "DDG"))] if "DAD" in elements else []
        return (Name(text=elements["DAC"], truncated=_cut(elements, "DDF")), *middle)
    if "DCT" in elements:
        return tuple(Name(text=part) for part in re.split(r"[, ]+", elements["DCT"]) if part)
    return tuple(Name(text=part) for part in _parts(elements.get("DAA", ""))[1:])


def _parts(name: str) -> list[str]:
    """The whole name of version 1: LAST,FIRST,MIDDLE,SUFFIX, or with `@` or blanks between."""
    parts = [part.strip() for part in re.split(r"[,@]" if re.search(r"[,@]", name) else r"\s+", name)]
    return parts[:3] if parts[0] else ["", *parts[1:3]]


def _cut(elements: Mapping[str, str], flag: str) -> bool | None:
    """D.12.5.1: T was truncated, N was not, U unknown."""
    return {"T": True, "N": False}.get(elements.get(flag, ""))
