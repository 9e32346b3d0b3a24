"""The verification saga: which work each event calls for, and how it is undone, readable from top to bottom.

It keeps no memory of its own: what was started and what was undone is in the application's own state.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

from kyc_service.domain.application import (
    AlertRaised,
    Application,
    ApplicationAmended,
    ApplicationRejected,
    ApplicationReviewed,
    ApplicationRolledBack,
    ApplicationSubmitted,
    ApplicationVerified,
    CheckAnswered,
    CheckStarted,
    Command,
    CompensationStalled,
    Event,
    HitDecided,
    HitDelisted,
    HitReopened,
    LapseAnswer,
    LapseClearance,
    LapseCompletion,
    LapseResubmission,
    PersonScreened,
    ResubmissionRequested,
    ReviewRequested,
    RollbackStarted,
    ScreeningStarted,
    Status,
    Step,
    StepCompensated,
    VendorGivenUp,
    VerificationStarted,
    next_to_undo,
)
from kyc_service.domain.clearance import HitDecision
from kyc_service.domain.record import record


@record
class RunCheck:
    """Have a vendor look at a document."""

    check: str
    vendor: str


@record
class Screen:
    """Ask the sanctions and PEP lists about the person whose identity this round established."""

    round: int


@record
class Enrol:
    """Watch a person from now on: they are screened again when a list changes."""


@record
class Discharge:
    """Watch a person no more."""


@record
class Undo:
    """Undo a step, at whoever it was started."""

    step: Step


@record
class ForgetSelfie:
    """Erase a selfie, unless another application still needs it: the decision that it was for has been taken."""

    file_id: UUID


@record
class Later:
    """Carry out a command when *after* has passed; it finds out by itself whether it still matters."""

    command: Command
    after: timedelta


Order: TypeAlias = RunCheck | Screen | Enrol | Discharge | Undo | ForgetSelfie | Later


def react(event: Event, state: Application) -> Sequence[Order]:
    """The orders that *event* calls for, given the *state* after it."""
    match event:
        case ApplicationSubmitted() if state.status is Status.PENDING and not state.documents:
            return [Later(command=LapseCompletion(), after=state.terms.completion)]
        case VerificationStarted(checks=checks):
            return [RunCheck(check=check.key, vendor=check.vendor) for check in checks if check.vendor]
        case VendorGivenUp(check=key):
            check = state.check(key)
            return [RunCheck(check=key, vendor=check.vendor)] if check and check.vendor else []
        case CheckStarted(check=key, vendor=vendor):
            return [Later(command=LapseAnswer(check=key, vendor=vendor), after=state.terms.answer)]
        case ScreeningStarted(round=number):
            return [Screen(round=number)]
        case ResubmissionRequested(round=number):
            return [Later(command=LapseResubmission(round=number), after=state.terms.resubmission)]
        case HitDecided(decision=HitDecision.CLEARED):
            return _lapse(event, state)
        case RollbackStarted() | StepCompensated():
            step = next_to_undo(state)
            return [Undo(step=step)] if step else []
        case ApplicationVerified():
            return [*([Enrol()] if state.clearance else ()), *_forgotten(state)]
        case ApplicationRejected() | ApplicationRolledBack():
            return [*([Discharge()] if state.clearance else ()), *_forgotten(state)]
        case (
            ApplicationSubmitted()
            | ApplicationAmended()
            | CheckAnswered()
            | ReviewRequested()
            | ApplicationReviewed()
            | PersonScreened()
            | AlertRaised()
            | HitDecided()
            | HitReopened()
            | HitDelisted()
            | CompensationStalled()
        ):
            return []


def _lapse(cleared: HitDecided, state: Application) -> Sequence[Order]:
    """Somebody else, but not for ever."""
    hit = state.clearance.hit(cleared.hit) if state.clearance else None
    if hit is None or state.terms.screening is None:
        return []
    lapse = LapseClearance(hit=hit.id, reopened=hit.reopened)
    return [Later(command=lapse, after=cleared.cleared_for or state.terms.screening.cleared_for)]


def _forgotten(state: Application) -> Sequence[Order]:
    """The selfies go as soon as the decision is taken, unless the terms say otherwise."""
    return [] if state.terms.keep_selfies else [ForgetSelfie(file_id=file_id) for file_id in state.selfies]


def claims(events: Sequence[Event], state: Application) -> Sequence[UUID]:
    """The uploaded files that *events* lay a claim on, so that nobody clears them away meanwhile."""
    if not any(isinstance(event, VerificationStarted) for event in events):
        return []
    return [document.file_id for document in state.documents if document.uploaded]
