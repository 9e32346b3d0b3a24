"""What a check found: one model for the built-in engine and for every vendor, and the verdict that follows from it.

The categories, outcomes and reason codes are those of docs/reasons.md; a vendor's own vocabulary is translated into
them by its adapter. `judge` is the only place where findings become a verdict, so no vendor can approve in words of
its own.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

from kyc_service.domain.reasons import REASONS
from kyc_service.domain.record import record


class Outcome(StrEnum):
    """How one finding came out. `not_performed` is an absent capability: it is never a pass."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    UNCLEAR = "unclear"
    NOT_PERFORMED = "not_performed"
    ERROR = "error"


class Category(StrEnum):
    """What a finding is about."""

    IMAGE = "image"
    DOCUMENT = "document"
    DATA_VALIDATION = "data_validation"
    DATA_CONSISTENCY = "data_consistency"
    DATA_COMPARISON = "data_comparison"
    AUTHENTICITY = "authenticity"
    CHIP = "chip"
    CREDENTIAL = "credential"
    FACE = "face"
    LIVENESS = "liveness"
    DUPLICATE = "duplicate"
    AGE = "age"
    WATCHLIST = "watchlist"


class Severity(StrEnum):
    """How much a finding weighs: `info` never changes a verdict, `blocking` alone decides one."""

    INFO = "info"
    LOW = "low"
    HIGH = "high"
    BLOCKING = "blocking"


class Verdict(StrEnum):
    """What the findings of one check amount to."""

    CLEAR = "clear"
    REVIEW = "review"
    RETRY = "retry"
    REJECT = "reject"


@record
class Measured:
    """A measured value beside the threshold that it was held against."""

    value: float
    threshold: float
    unit: str


@record
class Evidence:
    """Where something was seen: the page, and left, top, right and bottom in pixels of the upright picture."""

    page: int
    box: tuple[float, float, float, float]


@record
class Finding:
    """One thing that was looked at, for example `document.expiry`."""

    id: str
    category: Category
    outcome: Outcome
    severity: Severity
    reasons: tuple[str, ...] = ()
    measured: Measured | None = None
    evidence: Evidence | None = None


@record
class Field:
    """One datum read from a document. `repaired`: check digits helped; `alternatives`: other readings as good."""

    name: str
    value: str
    source: str
    confidence: float
    repaired: bool = False
    alternatives: int = 0


@record
class Result:
    """Everything that a vendor or the built-in engine answered for one check. The fields are personal data.

    `models` are names and SHA-256 digests of what looked, `files` the digests of what it looked at, the
    document itself first. `picture` is the look of its picture, 1024 bits in hexadecimal digits; it is never kept.
    `face` describes the face of a selfie, a unit vector; it is there only where it may be kept.
    """

    vendor: str
    version: str
    findings: tuple[Finding, ...]
    fields: tuple[Field, ...] = ()
    models: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()
    reference: str | None = None
    picture: str | None = None
    face: tuple[float, ...] = ()


WEIGHTY = frozenset({Severity.HIGH, Severity.BLOCKING})


def judge(findings: Sequence[Finding]) -> Verdict:
    """The verdict on *findings*: clear only when everything weighty was looked at and passed.

    An unknown reason code, an error or a missing capability goes to a person; only a capture problem that the
    applicant can mend asks for another picture, and only a blocking failure rejects by itself.
    """
    weighty = [finding for finding in findings if finding.severity in WEIGHTY]
    if any(f.outcome is Outcome.FAIL and f.severity is Severity.BLOCKING and _known(f.reasons) for f in weighty):
        return Verdict.REJECT
    if any(f.outcome is Outcome.FAIL for f in weighty) or not all(_known(f.reasons) for f in findings):
        return Verdict.REVIEW
    if any(f.outcome is Outcome.UNCLEAR and _mendable(f.reasons) for f in weighty):
        return Verdict.RETRY
    if weighty and all(f.outcome is Outcome.PASS for f in weighty):
        return Verdict.CLEAR
    return Verdict.REVIEW


def reasons_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """The reason codes behind the verdict, each once, in the order they were found."""
    raised = (f for f in findings if f.severity in WEIGHTY and f.outcome is not Outcome.PASS)
    return tuple(dict.fromkeys(code for finding in raised for code in finding.reasons))


def _known(codes: Collection[str]) -> bool:
    return all(code in REASONS for code in codes)


def _mendable(codes: Collection[str]) -> bool:
    return any(REASONS[code].retryable for code in codes)
