"""The built-in vendor: our own document engine, in processes of its own. It sends nothing anywhere."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Protocol
from uuid import UUID

from kyc_service.application.ports import Request, Started, VendorUnavailable
from kyc_service.documents.checks import Announced, Declared, examine
from kyc_service.documents.faults import (
    EngineBusy,
    EngineClosed,
    EngineCrashed,
    EngineFault,
    EngineNotInstalled,
    EngineTimeout,
)
from kyc_service.documents.images import PictureRefused
from kyc_service.documents.readings import Reading
from kyc_service.domain.findings import Category, Field, Finding, Outcome, Result, Severity

VERSION = "0.1"


class Engine(Protocol):
    """Reads pictures, somewhere where they can do no harm."""

    async def read(self, picture: bytes, media_type: str) -> Reading:
        """What stands on the picture."""
        ...
