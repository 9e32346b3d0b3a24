"""Findings, as the checks of the engine make them. Pure."""

from collections.abc import Sequence

from kyc_service.documents.readings import Corners
from kyc_service.domain.findings import Category, Evidence, Finding, Measured, Outcome, Severity


def finding(name: str, category: Category, outcome: Outcome, *reasons: str) -> Finding:
    """A finding that weighs."""
    return Finding(id=name, category=category, outcome=outcome, severity=Severity.HIGH, reasons=reasons)


def note(name: str, category: Category, outcome: Outcome, *reasons: str, measured: Measured | None = None) -> Finding:
    """A finding for the record, which changes no verdict."""
    return Finding(
        id=name, category=category, outcome=outcome, severity=Severity.LOW, reasons=reasons, measured=measured
    )


def not_performed(name: str, category: Category, *reasons: str) -> Finding:
    """Something that was not looked at, and need not have been."""
    return Finding(id=name, category=category, outcome=Outcome.NOT_PERFORMED, severity=Severity.INFO, reasons=reasons)


def place(corners: Sequence[Corners], page: int) -> Evidence | None:
    """The upright box around all *corners*."""
    points = [corner for one in corners for corner in one]
    if not points:
        return None
    across, down = [x for x, _ in points], [y for _, y in points]
    return Evidence(page=page, box=(min(across), min(down), max(across), max(down)))
