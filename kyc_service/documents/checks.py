"""What is wrong with a document, if anything: a reading held against what was announced and declared. Pure.

The built-in engine reads the machine-readable zone and nothing else. What it cannot look at (the face, the printed
text, the security features) is said to be `not_performed`; what it had to guess goes to a person; what the applicant
can mend with a better picture asks for one. `domain.findings.judge` makes the verdict.
"""

from collections.abc import Iterator, Mapping
from datetime import date

from kyc_service.documents.countries import alpha_2
from kyc_service.documents.decipher import Deciphered
from kyc_service.documents.mrz import BirthDate, birth_date, expiry_date
from kyc_service.documents.readings import Reading
from kyc_service.documents.transliteration import Likeness, Name, same_name
from kyc_service.domain.findings import Category, Field, Finding, Measured, Outcome, Severity
from kyc_service.domain.record import record

# The first letters of the document codes that a kind of document may bear (Doc 9303-4 to -7, ISO/IEC 18013).
CODES: Mapping[str, str] = {
    "PASSPORT": "P",
    "NATIONAL_ID": "IAC",
    "ID_CARD": "IAC",
    "PASSPORT_CARD": "IC",
    "RESIDENCE_PERMIT": "IAC",
    "VISA": "V",
    "DRIVING_LICENCE": "D",
    "DRIVERS_LICENSE": "D",
}
BLURRED = 90.0  # measured: below this the text becomes unreadable
SOFT = 150.0
OLDEST = 120
NOT_LOOKED_AT = (
    ("document.visual_zone", Category.DATA_CONSISTENCY),
    ("document.authenticity", Category.AUTHENTICITY),
    ("face.match", Category.FACE),
    ("face.liveness", Category.LIVENESS),
)


@record
class Announced:
    """What the application says about the document: its kind, and the issuing country as an alpha-2 code."""

    doc_type: str
    issued_country: str


@record
class Declared:
    """What the applicant said about themselves; None: they were not asked."""

    name: Name | None = None
    birth_date: date | None = None
    nationality: str | None = None
    sex: str | None = None
    number: str | None = None


def examine(reading: Reading, declared: Declared, announced: Announced | None, today: date) -> tuple[Finding, ...]:
    """Everything that was looked at in the document, and how it came out."""
    return (*_examined(reading, declared, announced, today), *_not_looked_at())


def fields(reading: Reading, today: date) -> tuple[Field, ...]:
    """The data of the document, for the record; what no check digit confirmed is not among them."""
    if reading.zone is None or not reading.zone.holds:
        return ()
    zone, sure = reading.zone.zone, dict(reading.zone.sure)
    born = birth_date(zone.birth, today)
    expires = expiry_date(zone.expiry, today)
    found = {
        "document_code": (zone.code, "code"),
        "issuer": (zone.issuer, "issuer"),
        "number": (zone.number, "number"),
        "surname": (zone.surname, "names"),
        "given_names": (zone.given_names, "names"),
        "nationality": (zone.nationality, "nationality"),
        "birth_date": (_written(born) if born else "", "birth"),
        "sex": (zone.sex, "sex"),
        "expiry_date": (expires.isoformat() if expires else "", "expiry"),
    }
    return tuple(
        Field(
            name=name,
            value=value,
            source="mrz",
            confidence=sure.get(place, 1.0),
            repaired=reading.zone.guessed(place),
            alternatives=reading.zone.alternatives if place == "number" else 0,
        )
        for name, (value, place) in found.items()
        if value
    )


def _written(born: BirthDate) -> str:
    year = f"{born.year:04}" if born.year is not None else "????"
    month, day = (f"{part:02}" if part is not None else "??" for part in (born.month, born.day))
    return f"{year}-{month}-{day}"


def _examined(reading: Reading, declared: Declared, announced: Announced | None, today: date) -> Iterator[Finding]:
    if reading.refused:
        yield _finding("image.usable", Category.IMAGE, Outcome.UNCLEAR, reading.refused)
        return
    yield _finding("image.usable", Category.IMAGE, Outcome.PASS)
    if announced and announced.doc_type not in CODES:
        yield _finding("document.supported", Category.DOCUMENT, Outcome.UNCLEAR, "DOC_TYPE_UNSUPPORTED")
        return
    found = reading.zone
    if found is None or not found.holds:
        yield _unread(reading)
        return
    yield _finding("document.readable", Category.DOCUMENT, Outcome.PASS)
    yield from _sharp(reading)
    yield _certain(found)
    yield _unambiguous(found)
    if announced:
        yield _kind(found, announced)
        yield _issuer(found, announced)
    yield _expiry(found, today)
    yield _birth(found, today)
    yield _name(found, declared)
    yield _born(found, declared, today)
    yield _nationality(found, declared)
    yield _sex(found, declared)
    yield _number(found, declared)


def _not_looked_at() -> Iterator[Finding]:
    for name, category in NOT_LOOKED_AT:
        reasons = ("LIVENESS_NOT_PERFORMED",) if category is Category.LIVENESS else ()
        yield Finding(
            id=name, category=category, outcome=Outcome.NOT_PERFORMED, severity=Severity.INFO, reasons=reasons
        )


def _finding(name: str, category: Category, outcome: Outcome, *reasons: str) -> Finding:
    return Finding(id=name, category=category, outcome=outcome, severity=Severity.HIGH, reasons=reasons)


# ── Could it be read? ────────────────────────────────────────────────────────────────────────────────────────────────


def _unread(reading: Reading) -> Finding:
    """Why the zone could not be read, in words that help to take a better picture."""
    measured = None
    if reading.sharpness < BLURRED:
        reason, measured = "IMAGE_BLURRED", _sharpness(reading, BLURRED)
    elif reading.zone is not None:
        reason = "MRZ_CHECK_DIGIT"
    elif reading.lines_of_text == 0:
        reason = "IMAGE_NO_DOCUMENT"
    else:
        reason = "MRZ_NOT_FOUND"
    return Finding(
        id="document.readable",
        category=Category.DOCUMENT,
        outcome=Outcome.UNCLEAR,
        severity=Severity.HIGH,
        reasons=(reason,),
        measured=measured,
    )


def _sharpness(reading: Reading, threshold: float) -> Measured:
    return Measured(value=reading.sharpness, threshold=threshold, unit="sobel p98")


def _sharp(reading: Reading) -> Iterator[Finding]:
    """A soft picture that could be read all the same is worth a note, no more."""
    soft = reading.sharpness < SOFT
    yield Finding(
        id="image.sharpness",
        category=Category.IMAGE,
        outcome=Outcome.WARN if soft else Outcome.PASS,
        severity=Severity.LOW,
        reasons=("IMAGE_BLURRED",) if soft else (),
        measured=_sharpness(reading, SOFT),
    )


def _certain(found: Deciphered) -> Finding:
    if found.repaired:
        return _finding("document.certain", Category.DATA_VALIDATION, Outcome.WARN, "MRZ_REPAIRED")
    return _finding("document.certain", Category.DATA_VALIDATION, Outcome.PASS)


def _unambiguous(found: Deciphered) -> Finding:
    """Another picture does not help where two readings are equally right, so a person looks: not `unclear`."""
    if found.alternatives:
        return _finding("document.unambiguous", Category.DATA_VALIDATION, Outcome.WARN, "MRZ_AMBIGUOUS")
    return _finding("document.unambiguous", Category.DATA_VALIDATION, Outcome.PASS)


# ── Is it the document that was announced, and valid? ────────────────────────────────────────────────────────────────


def _kind(found: Deciphered, announced: Announced) -> Finding:
    if found.zone.code[:1] in CODES[announced.doc_type]:
        return _finding("document.type", Category.DOCUMENT, Outcome.PASS)
    return _finding("document.type", Category.DOCUMENT, Outcome.UNCLEAR, "DOC_TYPE_MISMATCH")


def _issuer(found: Deciphered, announced: Announced) -> Finding:
    """Whether the issuing state is the announced one; an issuer that is no state we know is for a person."""
    issuer, country = alpha_2(found.zone.issuer), alpha_2(announced.issued_country)
    if issuer is None or country is None:
        return _finding("document.country", Category.DOCUMENT, Outcome.WARN, "DOC_ISSUER_UNKNOWN")
    if issuer != country:
        return _finding("document.country", Category.DOCUMENT, Outcome.FAIL, "DOC_COUNTRY_MISMATCH")
    return _finding("document.country", Category.DOCUMENT, Outcome.PASS)


def _expiry(found: Deciphered, today: date) -> Finding:
    """Only a date that was read without a guess can reject."""
    expires = expiry_date(found.zone.expiry, today)
    if expires is None:
        return _finding("document.expiry", Category.DOCUMENT, Outcome.WARN, "DOC_EXPIRY_UNKNOWN")
    if expires >= today:
        return _finding("document.expiry", Category.DOCUMENT, Outcome.PASS)
    certain = not found.guessed("expiry")
    return Finding(
        id="document.expiry",
        category=Category.DOCUMENT,
        outcome=Outcome.FAIL,
        severity=Severity.BLOCKING if certain else Severity.HIGH,
        reasons=("DOC_EXPIRED",),
        measured=Measured(value=(today - expires).days, threshold=0, unit="days since expiry"),
    )


def _birth(found: Deciphered, today: date) -> Finding:
    born = birth_date(found.zone.birth, today)
    if born is None and found.zone.birth:
        return _finding("document.birth_date", Category.DATA_VALIDATION, Outcome.WARN, "DATA_DOB_INVALID")
    if born is None or born.year is None:
        return _finding("document.birth_date", Category.DATA_VALIDATION, Outcome.WARN, "DATA_DOB_MISSING")
    return _finding("document.birth_date", Category.DATA_VALIDATION, Outcome.PASS)


# ── Is it the applicant's? ───────────────────────────────────────────────────────────────────────────────────────────


def _compared(name: str, *, agrees: bool, reason: str) -> Finding:
    if agrees:
        return _finding(name, Category.DATA_COMPARISON, Outcome.PASS)
    return _finding(name, Category.DATA_COMPARISON, Outcome.FAIL, reason)


def _not_compared(name: str) -> Finding:
    return Finding(id=name, category=Category.DATA_COMPARISON, outcome=Outcome.NOT_PERFORMED, severity=Severity.INFO)


def _name(found: Deciphered, declared: Declared) -> Finding:
    if declared.name is None:
        return _not_compared("data.name")
    zone = found.zone
    printed = Name(surname=zone.surname, given_names=zone.given_names, truncated=zone.truncated)
    match same_name(declared.name, printed):
        case Likeness.SAME:
            return _finding("data.name", Category.DATA_COMPARISON, Outcome.PASS)
        case Likeness.MINOR:
            return Finding(
                id="data.name",
                category=Category.DATA_COMPARISON,
                outcome=Outcome.WARN,
                severity=Severity.LOW,
                reasons=("DOC_MINOR_MISMATCH",),
            )
        case Likeness.DIFFERENT:
            return _finding("data.name", Category.DATA_COMPARISON, Outcome.FAIL, "DATA_NAME_MISMATCH")
        case Likeness.UNKNOWN:
            return _finding("data.name", Category.DATA_COMPARISON, Outcome.WARN, "DATA_NAME_MISMATCH")


def _born(found: Deciphered, declared: Declared, today: date) -> Finding:
    """The zone prints two digits of the year, so the century is the applicant's to say."""
    if declared.birth_date is None:
        return _not_compared("data.birth_date")
    born = birth_date(found.zone.birth, today)
    if not found.zone.birth:
        return _not_compared("data.birth_date")
    said = declared.birth_date
    if born is None or born.year is None:
        return _finding("data.birth_date", Category.DATA_COMPARISON, Outcome.WARN, "DATA_DOB_MISMATCH")
    agrees = (
        born.year % 100 == said.year % 100
        and born.month in {None, said.month}
        and born.day in {None, said.day}
        and today.year - said.year <= OLDEST
    )
    return _compared("data.birth_date", agrees=agrees, reason="DATA_DOB_MISMATCH")


def _nationality(found: Deciphered, declared: Declared) -> Finding:
    if declared.nationality is None or not found.zone.nationality:
        return _not_compared("data.nationality")
    printed, said = alpha_2(found.zone.nationality), alpha_2(declared.nationality)
    if printed is None or said is None:
        return _finding("data.nationality", Category.DATA_COMPARISON, Outcome.WARN, "DATA_NATIONALITY_MISMATCH")
    return _compared("data.nationality", agrees=printed == said, reason="DATA_NATIONALITY_MISMATCH")


def _sex(found: Deciphered, declared: Declared) -> Finding:
    """A document may leave it open, which contradicts nothing."""
    if declared.sex is None or not found.zone.sex:
        return _not_compared("data.sex")
    return _compared("data.sex", agrees=found.zone.sex == declared.sex.upper()[:1], reason="DATA_SEX_MISMATCH")


def _number(found: Deciphered, declared: Declared) -> Finding:
    if declared.number is None:
        return _not_compared("data.number")
    said = "".join(character for character in declared.number.upper() if character.isalnum())
    printed = found.zone.number.replace("<", "")
    return _compared("data.number", agrees=said == printed, reason="DATA_NUMBER_MISMATCH")
