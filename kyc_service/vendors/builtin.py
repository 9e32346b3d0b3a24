"""The built-in vendor: our own document engine, in processes of its own. It sends nothing anywhere."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from typing import Protocol, TypeAlias
from uuid import UUID

from kyc_service.application.ports import (
    Companion,
    PostalAddress,
    Request,
    Started,
    Subject,
    VendorBusy,
    VendorUnavailable,
)
from kyc_service.documents import licences
from kyc_service.documents.addresses import Address
from kyc_service.documents.checks import CODES, Announced, Beside, Declared, examine, fields
from kyc_service.documents.faults import EngineBusy, EngineCrashed, EngineFault, EngineNotInstalled, EngineTimeout
from kyc_service.documents.models import models
from kyc_service.documents.mrz import Format
from kyc_service.documents.portraits import FaceUse
from kyc_service.documents.readings import Reading
from kyc_service.documents.transliteration import Name
from kyc_service.domain.application import SELFIE
from kyc_service.domain.findings import Category, Field, Finding, Outcome, Result, Severity
from kyc_service.domain.record import record

VERSION = "0.2"
REMEMBERED = 60.0  # seconds in which the checks of one application use the same readings
Read: TypeAlias = Callable[[], AsyncIterator[bytes]]


class Engine(Protocol):
    """Reads pictures somewhere where they can do no harm."""

    async def read(self, picture: bytes, media_type: str, *, describe_faces: bool = False) -> Reading:
        """What stands on the picture; faults of the engine are raised, faults of the picture are in the reading."""
        ...


@record
class Seen:
    """A picture that was read, and the SHA-256 of its file."""

    reading: Reading
    sha256: str


class Builtin:
    """Reads pictures and holds them against each other and against what was declared.

    A card has two sides and a selfie is held against a portrait, so the same picture is needed for several checks. It
    is read once: readings stay in memory for a minute and are then forgotten, descriptions of faces with them.
    """

    name = "builtin"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readings: dict[tuple[str, str, bool], asyncio.Task[Reading]] = {}

    async def check(self, request: Request) -> Result | Started:
        """What the document says, and whether it fits.

        Raises:
            VendorBusy: as many pictures wait for the engine as may.
            VendorUnavailable: the engine does not start; or it died of the picture, or ran out of time, and the picture
                may be tried again.
        """
        if request.read is None or request.media_type is None:
            raise VendorUnavailable("VENDOR_UNSUPPORTED")  # there is nothing to look at
        try:
            return await self._checked(request, request.read, request.media_type)
        except EngineNotInstalled:
            return Result(vendor=self.name, version=VERSION, findings=(NOT_INSTALLED,))
        except EngineBusy as error:
            raise VendorBusy from error
        except (EngineCrashed, EngineTimeout) as error:
            if request.final:
                return Result(vendor=self.name, version=VERSION, findings=(ANALYSIS_FAILED,), models=models())
            timed_out = isinstance(error, EngineTimeout)
            raise VendorUnavailable("VENDOR_TIMEOUT" if timed_out else "VENDOR_UNAVAILABLE") from error
        except EngineFault as error:
            raise VendorUnavailable from error

    async def _checked(self, request: Request, read: Read, media_type: str) -> Result:
        describe = _may_describe(request)
        seen = await self._seen(read, media_type, describe=describe)
        beside = [
            await self._seen(companion.read, companion.media_type, describe=describe)
            for companion in _wanted(request, seen.reading)
        ]
        today = request.today.date()
        findings = examine(
            seen.reading,
            declared_by(request.subject),
            Announced(doc_type=request.doc_type, issued_country=request.issued_country),
            today,
            Beside(pages=tuple(one.reading for one in beside), faces=_face_use(request)),
        )
        declared = declared_by(request.subject)
        said = licences.Said(name=declared.name, birth_date=declared.birth_date)
        codes = licences.compared(seen.reading, [one.reading for one in beside], said, today, request.doc_type)
        return Result(
            vendor=self.name,
            version=VERSION,
            findings=(*findings, *codes),
            fields=_fields(request, seen.reading),
            models=models(),
            files=tuple(one.sha256 for one in (seen, *beside)),
            reference=str(request.key),
            picture=seen.reading.look,
            face=_face(request, seen.reading),
        )

    async def _seen(self, read: Read, media_type: str, *, describe: bool) -> Seen:
        picture = b"".join([chunk async for chunk in read()])
        sha256 = hashlib.sha256(picture).hexdigest()
        key = (sha256, media_type, describe)
        task = self._readings.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = asyncio.create_task(self._engine.read(picture, media_type, describe_faces=describe))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # somebody looked at it
            self._readings[key] = task
            asyncio.get_running_loop().call_later(REMEMBERED, self._readings.pop, key, None)
        return Seen(reading=await asyncio.shield(task), sha256=sha256)

    async def cancel(self, key: UUID, reference: str | None) -> str:
        """Nothing left this machine, so there is nothing to call back; the receipt says whose it is."""
        del reference
        return f"builtin: nothing was sent out for {key}"


def _fields(request: Request, reading: Reading) -> tuple[Field, ...]:
    """The data of the zone, or where there is none those of the barcode; a selfie has no data."""
    if request.doc_type == SELFIE:
        return ()
    zone = reading.zone is not None and reading.zone.holds
    barcode = None if zone else licences.scanned(reading)
    return (*fields(reading, request.today.date()), *(licences.fields(barcode) if barcode else ()))


NOT_INSTALLED = Finding(
    id="document.engine",
    category=Category.DOCUMENT,
    outcome=Outcome.NOT_PERFORMED,
    severity=Severity.BLOCKING,
    reasons=("ENGINE_NOT_INSTALLED",),
)
# A picture of which the engine died at every attempt: whoever sent it is not to be served as if the engine were away.
ANALYSIS_FAILED = Finding(
    id="document.analysis",
    category=Category.DOCUMENT,
    outcome=Outcome.ERROR,
    severity=Severity.HIGH,
    reasons=("ANALYSIS_FAILED",),
)


def _may_describe(request: Request) -> bool:
    """Whether faces are to be described at all: there is a selfie, the tenant wants it and the person agreed."""
    selfie = SELFIE in {request.doc_type, *(companion.doc_type for companion in request.companions)}
    return selfie and _face_use(request) is FaceUse.ALLOWED


def _face(request: Request, reading: Reading) -> tuple[float, ...]:
    """The one face of a selfie, if it may be kept; it was described only by consent."""
    wanted = request.face_duplicates and request.doc_type == SELFIE and len(reading.faces) == 1
    return reading.faces[0].description if wanted else ()


def _face_use(request: Request) -> FaceUse:
    if not request.face_matching:
        return FaceUse.OFF
    return FaceUse.ALLOWED if request.subject.biometric_consent else FaceUse.NO_CONSENT


def _wanted(request: Request, reading: Reading) -> Sequence[Companion]:
    """The companions that help to judge *reading*: for a selfie the documents, for one side of a card the other."""
    if request.doc_type == SELFIE:
        return [one for one in request.companions if one.doc_type in CODES] if _may_describe(request) else ()
    two_sided = reading.zone is None or reading.zone.zone.format is Format.TD1
    if request.doc_type not in CODES or not two_sided or reading.refused:
        return ()
    kind = (request.doc_type, request.issued_country)
    return [one for one in request.companions if (one.doc_type, one.issued_country) == kind]


def declared_by(subject: Subject) -> Declared:
    """What the applicant says of themselves, as far as the document can say it too."""
    named = subject.family_name or subject.given_names
    return Declared(
        name=Name(surname=subject.family_name or "", given_names=subject.given_names or "") if named else None,
        birth_date=date.fromisoformat(subject.birth_date) if subject.birth_date else None,
        nationality=subject.nationality,
        address=_address(subject.address),
    )


def _address(declared: PostalAddress | None) -> Address | None:
    if declared is None:
        return None
    return Address(lines=declared.lines, city=declared.city, postal_code=declared.postal_code)
