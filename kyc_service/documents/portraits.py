"""The faces on a document and in a selfie. Pure.

A comparison of faces never approves nor rejects by itself: what does not clearly match goes to a person. The selfie may
be a picture of a picture; telling that is liveness detection, which is not performed here.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from kyc_service.documents.found import finding, not_performed, place
from kyc_service.documents.likeness import MATCH, MISMATCH, Band, FaceLikeness, compare
from kyc_service.documents.readings import Face, Reading
from kyc_service.domain.findings import Category, Finding, Measured, Outcome, Severity
from kyc_service.domain.record import record

SMALLEST = 80.0  # pixels of a face in a selfie; below, too little is left to compare
GHOST = 30.0  # of a ghost image
SMALL_BESIDE = 0.1  # of the largest face: people in the background are that small
SAME_PICTURE = 0.95  # two pictures of one person, however alike, stayed below 0.91
UNIT = "cosine"


class FaceUse(StrEnum):
    """Whether faces may be compared: the tenant has to want it, and the applicant to have agreed."""

    ALLOWED = "allowed"
    OFF = "off"
    NO_CONSENT = "no_consent"


@record
class Selfie:
    """A selfie, and the pages of the document whose portrait it is held against."""

    reading: Reading
    documents: tuple[Reading, ...]
    use: FaceUse


def portrait(reading: Reading, others: Sequence[Reading]) -> Iterator[Finding]:
    """Whether the document shows its holder, and whether a second, fainter image of the holder is the same face."""
    faces = [face for page in (reading, *others) for face in page.faces]
    if not faces:
        yield finding("face.portrait", Category.FACE, Outcome.WARN, "DOC_PORTRAIT_NOT_FOUND")
        return
    yield Finding(
        id="face.portrait",
        category=Category.FACE,
        outcome=Outcome.PASS,
        severity=Severity.HIGH,
        evidence=place([reading.faces[0].corners], reading.page) if reading.faces else None,
    )
    ghosts = [face for face in reading.faces[1:] if face.height >= GHOST and face.description]
    if not ghosts:
        yield not_performed("face.ghost", Category.FACE)
        return
    likeness = compare(reading.faces[0].description, ghosts[0].description)
    differs = likeness.cosine < MISMATCH
    yield Finding(
        id="face.ghost",
        category=Category.FACE,
        outcome=Outcome.WARN if differs else Outcome.PASS,
        severity=Severity.HIGH if differs else Severity.LOW,
        reasons=("FACE_GHOST_MISMATCH",) if differs else (),
        measured=Measured(value=likeness.cosine, threshold=MISMATCH, unit=UNIT),
        evidence=place([ghosts[0].corners], reading.page),
    )


def selfie(picture: Selfie) -> Iterator[Finding]:
    """Everything that is looked at in a selfie."""
    reading = picture.reading
    if reading.refused:
        yield finding("image.usable", Category.IMAGE, Outcome.UNCLEAR, reading.refused)
    else:
        yield finding("image.usable", Category.IMAGE, Outcome.PASS)
        yield from _person(picture)
    yield not_performed("face.liveness", Category.LIVENESS, "LIVENESS_NOT_PERFORMED")


def _person(picture: Selfie) -> Iterator[Finding]:
    reading = picture.reading
    if reading.zone and reading.zone.holds:
        yield finding("document.type", Category.DOCUMENT, Outcome.UNCLEAR, "DOC_TYPE_MISMATCH")
        return
    if not reading.faces:
        yield finding("face.count", Category.FACE, Outcome.UNCLEAR, "FACE_NOT_FOUND")
        return
    largest = reading.faces[0]
    people = [face for face in reading.faces if face.share >= SMALL_BESIDE * largest.share]
    measured = Measured(value=len(people), threshold=1, unit="faces")
    yield Finding(
        id="face.count",
        category=Category.FACE,
        outcome=Outcome.PASS if len(people) == 1 else Outcome.UNCLEAR,
        severity=Severity.HIGH,
        reasons=() if len(people) == 1 else ("FACE_MULTIPLE",),
        measured=measured,
        evidence=place([face.corners for face in people], reading.page),
    )
    yield Finding(
        id="face.size",
        category=Category.FACE,
        outcome=Outcome.PASS if largest.height >= SMALLEST else Outcome.UNCLEAR,
        severity=Severity.HIGH,
        reasons=() if largest.height >= SMALLEST else ("IMAGE_TOO_SMALL",),
        measured=Measured(value=largest.height, threshold=SMALLEST, unit="pixels"),
    )
    yield from _matched(picture, largest)


def _matched(picture: Selfie, face: Face) -> Iterator[Finding]:
    if picture.use is FaceUse.OFF:
        yield finding("face.match", Category.FACE, Outcome.NOT_PERFORMED, "FACE_MATCHING_OFF")
        return
    if picture.use is FaceUse.NO_CONSENT:
        yield finding("face.match", Category.FACE, Outcome.NOT_PERFORMED, "FACE_CONSENT_MISSING")
        return
    shown = [page.faces[0] for page in picture.documents if page.faces and page.faces[0].description]
    if not shown or not face.description:
        yield finding("face.match", Category.FACE, Outcome.NOT_PERFORMED, "DOC_PORTRAIT_NOT_FOUND")
        return
    largest = max(shown, key=lambda one: one.height)
    yield _judged(compare(largest.description, face.description))


def _judged(likeness: FaceLikeness) -> Finding:
    same = likeness.cosine >= SAME_PICTURE
    outcome, reasons = {
        Band.MATCH: (Outcome.WARN, ("FACE_SAME_PICTURE",)) if same else (Outcome.PASS, ()),
        Band.UNCLEAR: (Outcome.WARN, ("FACE_UNCLEAR",)),
        Band.MISMATCH: (Outcome.FAIL, ("FACE_MISMATCH",)),
    }[likeness.band]
    return Finding(
        id="face.match",
        category=Category.FACE,
        outcome=outcome,
        severity=Severity.HIGH,
        reasons=reasons,
        measured=Measured(value=likeness.cosine, threshold=SAME_PICTURE if same else MATCH, unit=UNIT),
    )


def without_match() -> Iterator[Finding]:
    """What a document alone cannot tell."""
    yield not_performed("face.match", Category.FACE)
    yield not_performed("face.liveness", Category.LIVENESS, "LIVENESS_NOT_PERFORMED")
