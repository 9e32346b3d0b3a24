"""The built-in vendor: our own document engine, in processes of its own. It sends nothing anywhere."""

from datetime import date
from typing import Protocol
from uuid import UUID

from kyc_service.application.ports import Request, Started, Subject, VendorUnavailable
from kyc_service.documents.checks import Announced, Declared, examine, fields
from kyc_service.documents.faults import EngineFault, EngineNotInstalled, EngineTimeout
from kyc_service.documents.models import models
from kyc_service.documents.readings import Reading
from kyc_service.documents.transliteration import Name
from kyc_service.domain.findings import Category, Finding, Outcome, Result, Severity

VERSION = "0.1"


class Engine(Protocol):
    """Reads pictures somewhere where they can do no harm."""

    async def read(self, picture: bytes, media_type: str) -> Reading:
        """What stands on the picture; faults of the engine are raised, faults of the picture are in the reading."""
        ...


class Builtin:
    """Reads the machine-readable zone and holds it against what was declared."""

    name = "builtin"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def check(self, request: Request) -> Result | Started:
        """What the document says, and whether it fits.

        Raises:
            VendorUnavailable: the engine is overloaded, died of the picture or ran out of time.
        """
        if request.read is None or request.media_type is None:
            raise VendorUnavailable("VENDOR_UNSUPPORTED")  # there is nothing to look at
        picture = b"".join([chunk async for chunk in request.read()])
        try:
            reading = await self._engine.read(picture, request.media_type)
        except EngineNotInstalled:
            return Result(vendor=self.name, version=VERSION, findings=(NOT_INSTALLED,))
        except EngineTimeout as error:
            raise VendorUnavailable("VENDOR_TIMEOUT") from error
        except EngineFault as error:
            raise VendorUnavailable from error
        today = request.today.date()
        announced = Announced(doc_type=request.doc_type, issued_country=request.issued_country)
        return Result(
            vendor=self.name,
            version=VERSION,
            findings=examine(reading, declared_by(request.subject), announced, today),
            fields=fields(reading, today),
            models=models(),
            reference=str(request.key),
        )

    async def cancel(self, key: UUID, reference: str | None) -> str:
        """Nothing left this machine, so there is nothing to call back; the receipt says whose it is."""
        del reference
        return f"builtin: nothing was sent out for {key}"


NOT_INSTALLED = Finding(
    id="document.engine",
    category=Category.DOCUMENT,
    outcome=Outcome.NOT_PERFORMED,
    severity=Severity.BLOCKING,
    reasons=("ENGINE_NOT_INSTALLED",),
)


def declared_by(subject: Subject) -> Declared:
    """What the applicant says of themselves, as far as the document can say it too."""
    named = subject.family_name or subject.given_names
    return Declared(
        name=Name(surname=subject.family_name or "", given_names=subject.given_names or "") if named else None,
        birth_date=date.fromisoformat(subject.birth_date) if subject.birth_date else None,
        nationality=subject.nationality,
    )
