"""SIMULATED: a vendor that looks at nothing. It serves the sandbox, and can never approve a live tenant.

It approves what it does not know, and does whatever a magic file id asks for, so that an integrator can walk every
outcome: the file id `00000000-0000-4000-a000-0000000000NN`, with NN out of `MAGIC`.
"""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

from kyc_service.application.ports import Request, Started, VendorUnavailable
from kyc_service.domain.findings import Category, Field, Finding, Outcome, Result, Severity

PREFIX = "00000000-0000-4000-a000-0000000000"


class Magic(StrEnum):
    """What a magic file id makes the simulation do."""

    VERIFIED = "verified"
    EXPIRED = "document expired: rejected"
    UNREADABLE = "unreadable: a resubmission is asked for"
    MISMATCH = "name differs: a person reviews"
    UNKNOWN_CODE = "a code nobody knows: a person reviews"
    NOT_PERFORMED = "the check is not performed: a person reviews"
    EVERY_VENDOR_DOWN = "every vendor is down: rolled back"
    FIRST_VENDOR_DOWN = "the first vendor is down: the standby verifies"
    FLAKY = "down at the first attempt only: verified"
    HANGS = "the first vendor never answers the call: the standby verifies after the timeout"
    ANSWERS_LATER = "the vendor promises an answer and never gives it: times out"


MAGIC: Mapping[str, Magic] = {f"{number:02d}": magic for number, magic in enumerate(Magic, start=1)}


def magic_file_id(magic: Magic) -> UUID:
    """The file id that asks for *magic*."""
    return UUID(PREFIX + next(number for number, known in MAGIC.items() if known is magic))


class Simulated:
    """One of the two simulated vendors; the standby never fails but when every vendor is to be down."""

    def __init__(self, name: str, *, standby: bool = False) -> None:
        self.name = name
        self._standby = standby

    async def check(self, request: Request) -> Result | Started:
        """The outcome that the file id asks for; an approval by default.

        Raises:
            VendorUnavailable: when the magic says so.
        """
        magic = _magic_of(request.file_id)
        if magic is Magic.EVERY_VENDOR_DOWN:
            raise VendorUnavailable
        if not self._standby:
            match magic:
                case Magic.FIRST_VENDOR_DOWN:
                    raise VendorUnavailable
                case Magic.FLAKY if request.attempt == 1:
                    raise VendorUnavailable
                case Magic.HANGS:
                    await asyncio.Event().wait()
                case Magic.ANSWERS_LATER:
                    return Started(reference=f"simulated-{request.key}")
                case _:
                    pass
        return Result(
            vendor=self.name,
            version="2",
            findings=(_finding(magic),),
            fields=SPECIMEN,
            reference=f"simulated-{request.key}",
        )

    async def cancel(self, key: UUID, reference: str | None) -> str:
        """Nothing was started, so nothing is left; the receipt says whose it is."""
        del reference
        return f"{self.name}: cancelled {key}"


def _field(name: str, value: str) -> Field:
    return Field(name=name, value=value, source="simulated", confidence=0.0)


# Whom a simulated document is of: nobody, so that an application without declared names can be screened too.
SPECIMEN = (
    _field("surname", "SPECIMEN"),
    _field("given_names", "SIMULATED"),
    _field("birth_date", "1990-01-01"),
    _field("nationality", "UTO"),  # Utopia, the country of specimens (ICAO Doc 9303-3 section 5)
)


def _magic_of(file_id: UUID) -> Magic:
    text = str(file_id)
    return MAGIC.get(text.removeprefix(PREFIX), Magic.VERIFIED) if text.startswith(PREFIX) else Magic.VERIFIED


def _finding(magic: Magic) -> Finding:
    outcome, severity, reasons = OUTCOMES.get(magic, (Outcome.PASS, Severity.BLOCKING, ()))
    return Finding(
        id="document.simulated", category=Category.DOCUMENT, outcome=outcome, severity=severity, reasons=reasons
    )


OUTCOMES: Mapping[Magic, tuple[Outcome, Severity, tuple[str, ...]]] = {
    Magic.EXPIRED: (Outcome.FAIL, Severity.BLOCKING, ("DOC_EXPIRED",)),
    Magic.UNREADABLE: (Outcome.UNCLEAR, Severity.HIGH, ("DOC_UNREADABLE",)),
    Magic.MISMATCH: (Outcome.FAIL, Severity.HIGH, ("DATA_NAME_MISMATCH",)),
    Magic.UNKNOWN_CODE: (Outcome.PASS, Severity.HIGH, ("SIMULATED_CODE_THAT_NOBODY_KNOWS",)),
    Magic.NOT_PERFORMED: (Outcome.NOT_PERFORMED, Severity.HIGH, ("VENDOR_UNSUPPORTED",)),
}
