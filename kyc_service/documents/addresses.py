"""Proof of address: a recent letter to the applicant at the declared address, as far as its text can tell. Pure.

A letter has no security features: this finds the wrong person, the wrong place and the wrong year, and no forgery.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from kyc_service.documents.classes import DocumentClass, classify
from kyc_service.documents.found import finding
from kyc_service.documents.printed import Presence, dates, name_on, plain
from kyc_service.documents.readings import Reading
from kyc_service.documents.transliteration import Name, to_mrz
from kyc_service.domain.findings import Category, Finding, Measured, Outcome, Severity
from kyc_service.domain.record import record

KINDS = frozenset({"PROOF_OF_ADDRESS", "UTILITY_BILL", "BANK_STATEMENT", "TAX_NOTICE"})
ACCEPTED = frozenset({DocumentClass.UTILITY_BILL, DocumentClass.BANK_STATEMENT, DocumentClass.TAX_NOTICE})
OLDEST = timedelta(days=92)
ENOUGH = 0.6  # of the words of a declared street or town that must be printed
MONTH_FIRST = frozenset({"US", "PH", "FM"})


@record
class Address:
    """A declared address; every part may be missing."""

    lines: tuple[str, ...] = ()
    city: str | None = None
    postal_code: str | None = None

    @property
    def given(self) -> bool:
        return bool(self.lines or self.city or self.postal_code)

    def __repr__(self) -> str:
        return "Address(***)"


@record
class Letter:
    """A page that shall prove an address: what is on it, and to whom it was sent."""

    reading: Reading
    name: Name | None
    address: Address | None
    country: str


def prove(letter: Letter, today: date) -> Iterator[Finding]:
    """Everything that is looked at in a proof of address."""
    reading = letter.reading
    if reading.refused:
        yield finding("image.usable", Category.IMAGE, Outcome.UNCLEAR, reading.refused)
        return
    yield finding("image.usable", Category.IMAGE, Outcome.PASS)
    lines = [one.text for one in reading.text]
    if not lines:
        yield finding("document.readable", Category.DOCUMENT, Outcome.UNCLEAR, "IMAGE_NO_DOCUMENT")
        return
    yield _kind(reading, lines)
    yield _name(lines, letter.name)
    yield _address(lines, letter.address)
    yield _date(lines, letter.country, today)
    yield finding("document.authenticity", Category.AUTHENTICITY, Outcome.NOT_PERFORMED)


def _kind(reading: Reading, lines: Sequence[str]) -> Finding:
    zone = reading.zone.zone if reading.zone else None
    found = classify(lines, zone, [face.share for face in reading.faces])
    if found.kind in ACCEPTED:
        return finding("document.type", Category.DOCUMENT, Outcome.PASS)
    return finding("document.type", Category.DOCUMENT, Outcome.WARN, "DOC_TYPE_MISMATCH")


def _name(lines: Sequence[str], name: Name | None) -> Finding:
    """The surname, and a given name or its initial, in any order."""
    if name is None:
        return finding("data.name", Category.DATA_COMPARISON, Outcome.NOT_PERFORMED, "ID_MISSING_NAME")
    surname, given = (to_mrz(part).replace("<", " ") for part in (name.surname, name.given_names))
    first = given.split()[:1]
    known = not surname or name_on(lines, surname) is not Presence.ABSENT
    known = known and (not first or _first_name(lines, first[0]))
    if known and (surname or first):
        return finding("data.name", Category.DATA_COMPARISON, Outcome.PASS)
    return finding("data.name", Category.DATA_COMPARISON, Outcome.FAIL, "DATA_NAME_MISMATCH")


def _first_name(lines: Sequence[str], name: str) -> bool:
    tokens = {plain(token) for line in lines for token in line.split()}
    return name_on(lines, name) is not Presence.ABSENT or name[:1] in tokens


def _address(lines: Sequence[str], address: Address | None) -> Finding:
    """The postal code whole, and most words of street and town."""
    if address is None or not address.given:
        return finding("data.address", Category.DATA_COMPARISON, Outcome.NOT_PERFORMED, "DATA_ADDRESS_MISSING")
    page = "".join(plain(line) for line in lines)
    code = plain(address.postal_code or "")
    words = [plain(word) for part in (*address.lines, address.city or "") for word in part.split() if plain(word)]
    share = sum(word in page for word in words) / len(words) if words else 1.0
    agrees = code in page and share >= ENOUGH
    return Finding(
        id="data.address",
        category=Category.DATA_COMPARISON,
        outcome=Outcome.PASS if agrees else Outcome.FAIL,
        severity=Severity.HIGH,
        reasons=() if agrees else ("DATA_ADDRESS_MISMATCH",),
        measured=Measured(value=round(share, 2), threshold=ENOUGH, unit="share of the words"),
    )


def _date(lines: Sequence[str], country: str, today: date) -> Finding:
    """The latest date on the page that is not in the future: a letter names the days of its own month."""
    past = [day for day in dates(lines, month_first=country in MONTH_FIRST) if day <= today]
    if not past:
        return finding("document.date", Category.DOCUMENT, Outcome.WARN, "DOC_DATE_NOT_FOUND")
    age = (today - max(past)).days
    recent = age <= OLDEST.days
    return Finding(
        id="document.date",
        category=Category.DOCUMENT,
        outcome=Outcome.PASS if recent else Outcome.UNCLEAR,
        severity=Severity.HIGH,
        reasons=() if recent else ("DOC_TOO_OLD",),
        measured=Measured(value=age, threshold=OLDEST.days, unit="days"),
    )
