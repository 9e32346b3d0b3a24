"""What is wrong with a document, if anything: a reading held against what was announced and declared. Pure.

An identity document is judged by its zone, which must agree with its print and with what was declared; a selfie by its
face; a proof of address by its text. What cannot be looked at (security features, liveness) is said to be
`not_performed`; what had to be guessed goes to a person; what the applicant can mend with a better picture asks for
one. `domain.findings.judge` makes the verdict.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from kyc_service.documents import licences
from kyc_service.documents.addresses import KINDS as PROOFS_OF_ADDRESS
from kyc_service.documents.addresses import Address, Letter, prove
from kyc_service.documents.classes import DocumentClass, classify, issuer_on
from kyc_service.documents.consistency import consistent, paired, printed_lines
from kyc_service.documents.countries import alpha_2
from kyc_service.documents.decipher import Deciphered
from kyc_service.documents.found import finding, not_performed, note, place
from kyc_service.documents.mrz import BirthDate, birth_date, expiry_date
from kyc_service.documents.portraits import FaceUse, Selfie, portrait, selfie, without_match
from kyc_service.documents.readings import Reading
from kyc_service.documents.transliteration import Likeness, Name, same_name
from kyc_service.domain.application import SELFIE
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
BRIGHTNESS, SHARE = "median value of 255", "share of the text's area"
DARK, BRIGHT_ENOUGH = 45.0, 60.0  # median brightness where text is
GLARE = 0.04  # share of the text's area
SMALL_LETTERS = 10.0  # pixels
LICENCES = frozenset({"DRIVING_LICENCE", "DRIVERS_LICENSE"})  # most bear no zone
CARDS = frozenset({DocumentClass.NATIONAL_ID, DocumentClass.RESIDENCE_PERMIT})
ELSE = 0.6  # how sure a class must be to say that another document was sent


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
    address: Address | None = None


@record
class Beside:
    """What the application shows beside this picture, and whether faces may be compared.

    `pages` are the other pages of the document or, beside a selfie, the documents themselves.
    """

    pages: tuple[Reading, ...] = ()
    faces: FaceUse = FaceUse.OFF


def examine(
    reading: Reading, declared: Declared, announced: Announced | None, today: date, beside: Beside | None = None
) -> tuple[Finding, ...]:
    """Everything that was looked at, and how it came out. *announced* None: nobody said what it is."""
    beside = beside or Beside()
    if announced and announced.doc_type == SELFIE:
        return tuple(selfie(Selfie(reading=reading, documents=beside.pages, use=beside.faces)))
    if announced and announced.doc_type in PROOFS_OF_ADDRESS:
        letter = Letter(reading=reading, name=declared.name, address=declared.address, country=announced.issued_country)
        return tuple(prove(letter, today))
    return (
        *_examined(reading, declared, announced, today, beside.pages),
        not_performed("document.authenticity", Category.AUTHENTICITY),
        *without_match(),
    )


def fields(reading: Reading, today: date) -> tuple[Field, ...]:
    """The data of the document, for the record; what no check digit confirmed is not among them."""
    return (*_class_of(reading), *_of_zone(reading, today))


def _class_of(reading: Reading) -> Iterator[Field]:
    """What kind of document the page is, and of which state."""
    if reading.refused:
        return
    lines, zone = printed_lines([reading]), reading.zone.zone if reading.zone else None
    found = classify(lines, zone, [face.share for face in reading.faces])
    yield Field(name="document_class", value=found.kind.value, source="layout", confidence=found.likely)
    country = issuer_on(lines, zone)
    if country:
        by_zone = zone is not None and not zone.failed
        yield Field(
            name="issuing_country",
            value=country,
            source="mrz" if by_zone else "viz",
            confidence=1.0 if by_zone else 0.5,
        )


def _of_zone(reading: Reading, today: date) -> tuple[Field, ...]:
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
            confidence=sure.get(span, 1.0),
            repaired=reading.zone.guessed(span),
            alternatives=reading.zone.alternatives if span == "number" else 0,
        )
        for name, (value, span) in found.items()
        if value
    )


def _written(born: BirthDate) -> str:
    year = f"{born.year:04}" if born.year is not None else "????"
    month, day = (f"{part:02}" if part is not None else "??" for part in (born.month, born.day))
    return f"{year}-{month}-{day}"


def _examined(
    reading: Reading, declared: Declared, announced: Announced | None, today: date, pages: Sequence[Reading]
) -> Iterator[Finding]:
    if reading.refused:
        yield finding("image.usable", Category.IMAGE, Outcome.UNCLEAR, reading.refused)
        return
    yield finding("image.usable", Category.IMAGE, Outcome.PASS)
    if announced and announced.doc_type not in CODES:
        yield finding("document.supported", Category.DOCUMENT, Outcome.UNCLEAR, "DOC_TYPE_UNSUPPORTED")
        return
    yield from _origin(reading)
    found = reading.zone
    if found is None or not found.holds:
        yield from _without_zone(reading, announced, pages)
        return
    yield _readable(reading)
    yield from _good(reading)
    yield _certain(found)
    yield _unambiguous(found)
    if announced:
        yield _kind(found, announced)
        yield _country(found.zone.issuer, announced)
    yield _expiry(found, today)
    yield _birth(found, today)
    yield from consistent(found, reading, pages)
    yield from portrait(reading, pages)
    yield _name(found, declared)
    yield _born(found, declared, today)
    yield _nationality(found, declared)
    yield _sex(found, declared)
    yield _number(found, declared)


def _without_zone(reading: Reading, announced: Announced | None, pages: Sequence[Reading]) -> Iterator[Finding]:
    """A card with a barcode, the front of one whose back is there too, or else something that could not be read."""
    code = licences.instead_of_zone((reading, *pages), announced.doc_type) if announced else None
    if announced and code:
        yield from _with_barcode(code, announced, reading, pages)
        return
    sides = paired(reading, pages)
    if sides:
        yield sides
        yield from _good(reading)
        yield from portrait(reading, ())
        return
    yield _unread(reading, announced)


def _with_barcode(
    code: licences.Scanned, announced: Announced, reading: Reading, pages: Sequence[Reading]
) -> Iterator[Finding]:
    """A card whose machine-readable part is a barcode; `licences.compared` holds it against the print."""
    if any(page.faces for page in (reading, *pages)):
        yield finding("document.readable", Category.DOCUMENT, Outcome.PASS)
    else:  # the back alone: its print cannot tell whose it is
        yield finding("document.readable", Category.DOCUMENT, Outcome.WARN, "IMAGE_WRONG_SIDE")
    yield from _good(reading)
    if code.licence.kind in licences.SUBFILES[announced.doc_type]:
        yield finding("document.type", Category.DOCUMENT, Outcome.PASS)
    else:
        yield finding("document.type", Category.DOCUMENT, Outcome.UNCLEAR, "DOC_TYPE_MISMATCH")
    yield _country(code.licence.country, announced)
    yield from portrait(reading, pages)


def _readable(reading: Reading) -> Finding:
    return Finding(
        id="document.readable",
        category=Category.DOCUMENT,
        outcome=Outcome.PASS,
        severity=Severity.HIGH,
        evidence=place(reading.zone_corners, reading.page),
    )


# ── Could it be read? ────────────────────────────────────────────────────────────────────────────────────────────────


def _unread(reading: Reading, announced: Announced | None) -> Finding:
    """Why the zone could not be read, in words that help to take a better picture."""
    reason, measured = _reason_unread(reading, announced)
    return Finding(
        id="document.readable",
        category=Category.DOCUMENT,
        outcome=Outcome.UNCLEAR,
        severity=Severity.HIGH,
        reasons=(reason,),
        measured=measured,
    )


def _reason_unread(reading: Reading, announced: Announced | None) -> tuple[str, Measured | None]:
    quality = reading.quality
    other = _other_document(reading, announced)
    if reading.sharpness < BLURRED:
        reason: tuple[str, Measured | None] = ("IMAGE_BLURRED", _sharpness(reading, BLURRED))
    elif quality and quality.light is not None and quality.light < DARK:
        reason = ("IMAGE_DARK", Measured(value=quality.light, threshold=DARK, unit=BRIGHTNESS))
    elif other:
        reason = (other, None)
    elif quality and quality.glare is not None and quality.glare > GLARE:
        reason = ("IMAGE_GLARE", Measured(value=quality.glare, threshold=GLARE, unit=SHARE))
    elif reading.zone is not None:
        reason = ("MRZ_CHECK_DIGIT", None)
    else:
        reason = ("MRZ_NOT_FOUND" if reading.lines_of_text else "IMAGE_NO_DOCUMENT", None)
    return reason


def _other_document(reading: Reading, announced: Announced | None) -> str | None:
    """Why a page without a zone is not the one that was wanted; None: it may well be."""
    if reading.zone is not None:
        return None
    shown = classify(printed_lines([reading]), None, [face.share for face in reading.faces])
    if announced and announced.doc_type in LICENCES:
        return "DOC_TYPE_UNSUPPORTED" if shown.kind is DocumentClass.DRIVING_LICENCE else None
    if shown.kind in CARDS and reading.faces:
        return "IMAGE_WRONG_SIDE"
    if shown.kind not in {*CARDS, DocumentClass.PASSPORT, DocumentClass.OTHER} and shown.likely >= ELSE:
        return "DOC_TYPE_MISMATCH"
    return None


def _sharpness(reading: Reading, threshold: float) -> Measured:
    return Measured(value=reading.sharpness, threshold=threshold, unit="sobel p98")


def _good(reading: Reading) -> Iterator[Finding]:
    """A poor picture that could be read all the same is worth a note, no more."""
    yield _measured("image.sharpness", _sharpness(reading, SOFT), "IMAGE_BLURRED", poor=reading.sharpness < SOFT)
    quality = reading.quality
    if quality is None:
        return
    if quality.glare is None:
        yield not_performed("image.glare", Category.IMAGE)  # white paper: a reflection cannot be told from it
    else:
        glare = Measured(value=quality.glare, threshold=GLARE, unit=SHARE)
        yield _measured("image.glare", glare, "IMAGE_GLARE", poor=quality.glare > GLARE)
    if quality.light is not None:
        light = Measured(value=quality.light, threshold=BRIGHT_ENOUGH, unit=BRIGHTNESS)
        yield _measured("image.light", light, "IMAGE_DARK", poor=quality.light < BRIGHT_ENOUGH)
    size = Measured(value=quality.letters, threshold=SMALL_LETTERS, unit="pixels, median height of a line")
    yield _measured("image.size", size, "IMAGE_TOO_SMALL", poor=quality.letters < SMALL_LETTERS)


def _measured(name: str, measured: Measured, reason: str, *, poor: bool) -> Finding:
    reasons = (reason,) if poor else ()
    return note(name, Category.IMAGE, Outcome.WARN if poor else Outcome.PASS, *reasons, measured=measured)


def _origin(reading: Reading) -> Iterator[Finding]:
    """What the file says of itself. Nothing said proves nothing: whoever forges takes such signs away."""
    if reading.traces is None:
        return
    if reading.traces.editor:
        yield finding("image.origin", Category.AUTHENTICITY, Outcome.WARN, "AUTH_EDIT_SOFTWARE")
    elif reading.traces.screenshot:
        yield finding("image.origin", Category.AUTHENTICITY, Outcome.WARN, "IMAGE_SCREENSHOT")
    else:
        yield note("image.origin", Category.AUTHENTICITY, Outcome.PASS)


def _certain(found: Deciphered) -> Finding:
    if found.repaired:
        return finding("document.certain", Category.DATA_VALIDATION, Outcome.WARN, "MRZ_REPAIRED")
    return finding("document.certain", Category.DATA_VALIDATION, Outcome.PASS)


def _unambiguous(found: Deciphered) -> Finding:
    """Another picture does not help where two readings are equally right, so a person looks: not `unclear`."""
    if found.alternatives:
        return finding("document.unambiguous", Category.DATA_VALIDATION, Outcome.WARN, "MRZ_AMBIGUOUS")
    return finding("document.unambiguous", Category.DATA_VALIDATION, Outcome.PASS)


# ── Is it the document that was announced, and valid? ────────────────────────────────────────────────────────────────


def _kind(found: Deciphered, announced: Announced) -> Finding:
    if found.zone.code[:1] in CODES[announced.doc_type]:
        return finding("document.type", Category.DOCUMENT, Outcome.PASS)
    return finding("document.type", Category.DOCUMENT, Outcome.UNCLEAR, "DOC_TYPE_MISMATCH")


def _country(issued_by: str, announced: Announced) -> Finding:
    """Whether the issuing state is the announced one; an issuer that is no state we know is for a person."""
    issuer, country = alpha_2(issued_by), alpha_2(announced.issued_country)
    if issuer is None or country is None:
        return finding("document.country", Category.DOCUMENT, Outcome.WARN, "DOC_ISSUER_UNKNOWN")
    if issuer != country:
        return finding("document.country", Category.DOCUMENT, Outcome.FAIL, "DOC_COUNTRY_MISMATCH")
    return finding("document.country", Category.DOCUMENT, Outcome.PASS)


def _expiry(found: Deciphered, today: date) -> Finding:
    """Only a date that was read without a guess can reject."""
    expires = expiry_date(found.zone.expiry, today)
    if expires is None:
        return finding("document.expiry", Category.DOCUMENT, Outcome.WARN, "DOC_EXPIRY_UNKNOWN")
    if expires >= today:
        return finding("document.expiry", Category.DOCUMENT, Outcome.PASS)
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
        return finding("document.birth_date", Category.DATA_VALIDATION, Outcome.WARN, "DATA_DOB_INVALID")
    if born is None or born.year is None:
        return finding("document.birth_date", Category.DATA_VALIDATION, Outcome.WARN, "DATA_DOB_MISSING")
    return finding("document.birth_date", Category.DATA_VALIDATION, Outcome.PASS)


# ── Is it the applicant's? ───────────────────────────────────────────────────────────────────────────────────────────


def _compared(name: str, *, agrees: bool, reason: str) -> Finding:
    if agrees:
        return finding(name, Category.DATA_COMPARISON, Outcome.PASS)
    return finding(name, Category.DATA_COMPARISON, Outcome.FAIL, reason)


def _not_compared(name: str) -> Finding:
    return not_performed(name, Category.DATA_COMPARISON)


def _name(found: Deciphered, declared: Declared) -> Finding:
    if declared.name is None:
        return _not_compared("data.name")
    zone = found.zone
    printed = Name(surname=zone.surname, given_names=zone.given_names, truncated=zone.truncated)
    match same_name(declared.name, printed):
        case Likeness.SAME:
            return finding("data.name", Category.DATA_COMPARISON, Outcome.PASS)
        case Likeness.MINOR:
            return Finding(
                id="data.name",
                category=Category.DATA_COMPARISON,
                outcome=Outcome.WARN,
                severity=Severity.LOW,
                reasons=("DOC_MINOR_MISMATCH",),
            )
        case Likeness.DIFFERENT:
            return finding("data.name", Category.DATA_COMPARISON, Outcome.FAIL, "DATA_NAME_MISMATCH")
        case Likeness.UNKNOWN:
            return finding("data.name", Category.DATA_COMPARISON, Outcome.WARN, "DATA_NAME_MISMATCH")


def _born(found: Deciphered, declared: Declared, today: date) -> Finding:
    """The zone prints two digits of the year, so the century is the applicant's to say."""
    if declared.birth_date is None:
        return _not_compared("data.birth_date")
    born = birth_date(found.zone.birth, today)
    if not found.zone.birth:
        return _not_compared("data.birth_date")
    said = declared.birth_date
    if born is None or born.year is None:
        return finding("data.birth_date", Category.DATA_COMPARISON, Outcome.WARN, "DATA_DOB_MISMATCH")
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
        return finding("data.nationality", Category.DATA_COMPARISON, Outcome.WARN, "DATA_NATIONALITY_MISMATCH")
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
