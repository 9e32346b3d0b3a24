"""What the barcode of a driving licence says, held against the print, the zone and the applicant's word. Pure.

A barcode has no signature, no more than a machine-readable zone: whoever prints a false licence prints a fitting
barcode too. So by itself it approves nothing. On a card without a zone it is the machine-readable part, as the zone is
on others: there all that it says of the holder must stand on the front. What does not agree is for a reviewer.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date

from kyc_service.documents import transliteration
from kyc_service.documents.aamva import Licence, Name, NotAamva, parse
from kyc_service.documents.printed import Presence, date_on, dates, name_on, number_on
from kyc_service.documents.readings import Barcode, Reading
from kyc_service.documents.transliteration import Likeness, same_name
from kyc_service.domain.findings import Category, Evidence, Field, Finding, Outcome, Severity
from kyc_service.domain.record import record

# The subfiles that a kind of document may have (D.12.4): licences, enhanced ones, identity cards.
SUBFILES: Mapping[str, frozenset[str]] = {
    "DRIVING_LICENCE": frozenset({"DL", "EN"}),
    "DRIVERS_LICENSE": frozenset({"DL", "EN"}),
    "ID_CARD": frozenset({"ID"}),
    "NATIONAL_ID": frozenset({"ID"}),
}
FEW_LINES = 6  # a page with fewer lines of print need not repeat what the barcode says


@record
class Said:
    """What the applicant says of themselves; None: they were not asked."""

    name: transliteration.Name | None
    birth_date: date | None


@record
class Scanned:
    """A licence that was read from a barcode, and where it is."""

    licence: Licence
    evidence: Evidence


def scanned(reading: Reading) -> Scanned | None:
    """The first barcode of *reading* that is a licence."""
    for barcode in reading.barcodes:
        with suppress(NotAamva):
            return Scanned(licence=parse(barcode.text), evidence=Evidence(page=reading.page, box=barcode.box))
    return None


def instead_of_zone(pages: Sequence[Reading], doc_type: str) -> Scanned | None:
    """The barcode that is the machine-readable part of a card. None: the card has a zone, or no such barcode."""
    if doc_type not in SUBFILES or any(page.zone and page.zone.holds for page in pages):
        return None
    return next(filter(None, map(scanned, pages)), None)


def compared(
    reading: Reading, others: Sequence[Reading], said: Said, today: date, doc_type: str = ""
) -> tuple[Finding, ...]:
    """What the barcode of *reading* adds, when there is one; *others* are the other pages of the document.

    Where the barcode stands for the zone of a *doc_type*, it may be on any page.
    """
    pages = (reading, *others)
    machine_readable = instead_of_zone(pages, doc_type)
    found = machine_readable or scanned(reading)
    if found is None:
        return _no_licence(reading.barcodes, reading.page)
    lines = [one.text for page in pages for one in page.text]
    front = [one.text for page in pages if page.faces for one in page.text]
    readable = _finding(found, "barcode.readable", Category.DOCUMENT, Outcome.PASS)
    if machine_readable and front:
        return (readable, *_repeated(found, pages, front), *_valid(found, today, front), *_declared(found, said))
    return (
        readable,
        *_valid(found, today, ()),
        *_declared(found, said),
        *(_printed(found, lines) if len(lines) >= FEW_LINES else ()),
    )


def fields(found: Scanned) -> tuple[Field, ...]:
    """The data of the barcode, for the record."""
    licence = found.licence
    told = {
        "number": licence.number,
        "issuer": licence.issuer,
        "jurisdiction": licence.jurisdiction,
        "country": licence.country,
        "surname": licence.family_name.text,
        "given_names": " ".join(name.text for name in licence.given_names),
        "birth_date": licence.birth.isoformat() if licence.birth else "",
        "expiry_date": licence.expiry.isoformat() if licence.expiry else "",
        "sex": licence.sex,
    }
    return tuple(
        Field(name=name, value=value, source="barcode", confidence=1.0) for name, value in told.items() if value
    )


def _no_licence(barcodes: Sequence[Barcode], page: int) -> tuple[Finding, ...]:
    """A barcode of another kind is noted; none at all says nothing."""
    if not barcodes:
        return ()
    return (
        Finding(
            id="barcode.readable",
            category=Category.DOCUMENT,
            outcome=Outcome.NOT_PERFORMED,
            severity=Severity.INFO,
            evidence=Evidence(page=page, box=barcodes[0].box),
        ),
    )


def _valid(found: Scanned, today: date, front: Sequence[str]) -> Iterator[Finding]:
    """An expiry that stands on the *front* too rejects; one that only the barcode tells is for a person."""
    expires = found.licence.expiry
    if expires is None:
        return
    if expires >= today:
        yield _finding(found, "barcode.expiry", Category.DOCUMENT, Outcome.PASS)
    else:
        severity = Severity.BLOCKING if expires in _dates_on(front, found.licence) else Severity.HIGH
        yield _finding(found, "barcode.expiry", Category.DOCUMENT, Outcome.FAIL, "DOC_EXPIRED", severity=severity)


def _dates_on(lines: Sequence[str], licence: Licence) -> frozenset[date]:
    """The dates in print; the United States write the month first."""
    return frozenset(dates(lines, month_first=True if licence.country == "USA" else None))


def _repeated(found: Scanned, pages: Sequence[Reading], front: Sequence[str]) -> Iterator[Finding]:
    """Whether all that identifies the holder is in the barcode and on the front alike, and no page has another barcode.

    Annex D makes number, names, dates of birth and of expiry mandatory in both.
    """
    licence, printed = found.licence, _dates_on(front, found.licence)
    given = licence.given_names[0] if licence.given_names else None
    codes = [code.licence for code in map(scanned, pages) if code]
    agree = {
        "barcode.print.number": number_on(front, licence.number) is Presence.FOUND,
        "barcode.print.birth_date": licence.birth in printed,
        "barcode.print.expiry_date": licence.expiry in printed,
        "barcode.print.surname": _stands(front, licence.family_name),
        "barcode.print.given_name": given is not None and _stands(front, given),
        "barcode.single": all(code == licence for code in codes),
    }
    for name, agrees in agree.items():
        outcome, reasons = (Outcome.PASS, ()) if agrees else (Outcome.WARN, ("BARCODE_INCONSISTENT",))
        yield _finding(found, name, Category.DATA_CONSISTENCY, outcome, *reasons)


def _stands(lines: Sequence[str], name: Name) -> bool:
    return name_on(lines, _zone(name.text), truncated=bool(name.truncated)) is Presence.FOUND


def _declared(found: Scanned, said: Said) -> Iterator[Finding]:
    licence = found.licence
    if said.name is not None and licence.family_name.text:
        cut = any(name.truncated for name in (licence.family_name, *licence.given_names))
        barcode = transliteration.Name(
            surname=_zone(licence.family_name.text),
            given_names=_zone(" ".join(name.text for name in licence.given_names)),
            truncated=cut,
        )
        differs = same_name(said.name, barcode) in {Likeness.DIFFERENT, Likeness.UNKNOWN}
        outcome, reasons = (Outcome.FAIL, ("DATA_NAME_MISMATCH",)) if differs else (Outcome.PASS, ())
        yield _finding(found, "barcode.name", Category.DATA_COMPARISON, outcome, *reasons)
    if said.birth_date is not None and licence.birth is not None:
        agrees = said.birth_date == licence.birth
        outcome, reasons = (Outcome.PASS, ()) if agrees else (Outcome.FAIL, ("DATA_DOB_MISMATCH",))
        yield _finding(found, "barcode.birth_date", Category.DATA_COMPARISON, outcome, *reasons)


def _zone(name: str) -> str:
    """A name in the letters of a machine-readable zone, words apart."""
    return transliteration.to_mrz(name).replace("<", " ")


def _printed(found: Scanned, lines: Sequence[str]) -> Iterator[Finding]:
    """Whether number, birth date and surname stand in print as well; what stands there slightly otherwise weighs."""
    licence = found.licence
    birth = licence.birth.strftime("%y%m%d") if licence.birth else ""
    looked = (
        ("barcode.print.number", number_on(lines, licence.number), "BARCODE_INCONSISTENT"),
        ("barcode.print.birth_date", date_on(lines, birth) if birth else None, "BARCODE_INCONSISTENT"),
        ("barcode.print.surname", name_on(lines, _zone(licence.family_name.text)), "BARCODE_INCONSISTENT"),
    )
    for name, presence, reason in looked:
        match presence:
            case Presence.FOUND:
                yield _finding(found, name, Category.DATA_CONSISTENCY, Outcome.PASS)
            case Presence.NEARLY:
                yield _finding(found, name, Category.DATA_CONSISTENCY, Outcome.WARN, reason)
            case Presence.ABSENT:
                yield _finding(found, name, Category.DATA_CONSISTENCY, Outcome.WARN, reason, severity=Severity.LOW)
            case None:
                pass


def _finding(
    found: Scanned, name: str, category: Category, outcome: Outcome, *reasons: str, severity: Severity = Severity.HIGH
) -> Finding:
    return Finding(
        id=name, category=category, outcome=outcome, severity=severity, reasons=reasons, evidence=found.evidence
    )
