"""The application for KYC: what may be asked of it, what can happen to it, and what it is afterwards."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias, assert_never
from uuid import UUID

from kyc_service.domain.clearance import (
    Basis,
    Clearance,
    Hit,
    HitDecision,
    ListVersion,
    ScreeningTerms,
    alerted,
    screened_again,
)
from kyc_service.domain.findings import Verdict
from kyc_service.domain.record import record

# ── values ────────────────────────────────────────────────────────────────────────


class Status(StrEnum):
    """The five statuses of the contract; `Awaiting` tells the finer detail."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    VERIFIED = "VERIFIED"
    REJECTED = "REJECTED"
    ROLLED_BACK = "ROLLED_BACK"


TERMINAL = frozenset({Status.VERIFIED, Status.REJECTED, Status.ROLLED_BACK})


class Awaiting(StrEnum):
    """What an application that is not over yet is waiting for."""

    DOCUMENTS = "documents"
    CHECKS = "checks"
    REVIEW = "review"
    RESUBMISSION = "resubmission"
    COMPENSATION = "compensation"
    OPERATOR = "operator"


class Mode(StrEnum):
    """Whether real people are behind a tenant's applications."""

    LIVE = "live"
    SANDBOX = "sandbox"


class Evidence(StrEnum):
    """What a decision rests on."""

    LIVE = "live"
    SANDBOX = "sandbox"
    SIMULATED = "simulated"


class ReviewDecision(StrEnum):
    """What a reviewer may decide."""

    APPROVE = "approve"
    REJECT = "reject"
    RESUBMIT = "resubmit"


SIMULATED_VENDORS = frozenset({"simulated", "simulated_standby"})
SELFIE = "SELFIE"  # a document type whose file is biometric data
CLAIM = "claim-documents"  # the first step of every verification, and the last to be undone


@record
class Sealed:
    """Personal data as ciphertext under the person's own key; `entry` is the id of the event that it was sealed for."""

    entry: UUID
    box: bytes

    def __repr__(self) -> str:
        return "Sealed(***)"


@record
class Document:
    """One document as it was announced; `uploaded`: its file is in our store."""

    doc_type: str
    file_id: UUID
    issued_country: str
    uploaded: bool


@record
class Terms:
    """The terms under which an application is verified, fixed when it is submitted so that a replay decides alike."""

    mode: Mode
    uploaded_route: tuple[str, ...]
    missing_route: tuple[str, ...]
    max_resubmissions: int
    resubmission: timedelta
    completion: timedelta
    answer: timedelta
    screening: ScreeningTerms | None = None  # None: submitted before there was any
    face_matching: bool = False  # selfies may be compared with portraits, if the person agrees
    keep_selfies: bool = False  # beyond the decision
    face_duplicates: bool = False  # descriptions of agreed selfies are kept, and compared with those of other persons

    def route(self, document: Document) -> tuple[str, ...]:
        """The vendors for *document*, in turn."""
        return self.uploaded_route if document.uploaded else self.missing_route


@record
class Check:
    """One document in the hands of the vendors of its route."""

    key: str
    file_id: UUID
    route: tuple[str, ...]
    failed: int = 0  # how many vendors of the route were given up
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()

    @property
    def vendor(self) -> str | None:
        """The vendor whose turn it is, or None when the route is exhausted."""
        return self.route[self.failed] if self.failed < len(self.route) else None


@record
class Reference:
    """The name under which a vendor knows a check: it answers later under it, and cancels by it in any later round."""

    check: str
    vendor: str
    name: str


@record
class Step:
    """Something the verification started at somebody, and would have to undo: the claim on the files, or one check."""

    name: str
    check: str | None = None
    vendor: str | None = None


@record
class Compensation:
    """A step that was undone, with the receipt for it."""

    step: Step
    receipt: str


# ── commands ask ──────────────────────────────────────────────────────────────────


@record
class SubmitApplication:
    """A person applies."""

    user_id: UUID
    documents: tuple[Document, ...]
    terms: Terms
    person: Sealed


@record
class AmendApplication:
    """Documents or particulars are replaced; None leaves them as they are."""

    documents: tuple[Document, ...] | None = None
    person: Sealed | None = None


@record
class RecordAnswer:
    """A vendor answered a check."""

    check: str
    vendor: str
    verdict: Verdict
    reasons: tuple[str, ...]
    reference: str | None = None
    findings: Sealed | None = None


@record
class RecordStart:
    """A vendor took a check on and will answer later."""

    check: str
    vendor: str
    reference: str


@record
class RecordOutage:
    """A vendor was given up for a check, after every retry."""

    check: str
    vendor: str
    cause: str


@record
class RecordCompensation:
    """A step was undone."""

    step: Step
    receipt: str


@record
class RecordStalledCompensation:
    """A step resists being undone; an operator must know."""

    step: Step
    cause: str


@record
class ReviewApplication:
    """A person decides what the checks left open."""

    decision: ReviewDecision
    reason: str
    reviewer: str
    note: Sealed | None = None


@record
class RecordScreening:
    """The lists were asked about the person of this round."""

    round: int
    basis: Basis
    hits: tuple[Hit, ...]
    findings: Sealed | None = None


@record
class ReferScreening:
    """The lists cannot be asked about this person, whatever the attempt."""

    round: int
    reason: str


@record
class RecordAlert:
    """The lists were asked again about somebody who is verified; `hits` are all that match now."""

    basis: Basis
    hits: tuple[Hit, ...]
    findings: Sealed | None = None


@record
class DecideHit:
    """A compliance officer says whether a hit is the person, or is somebody else for a time shorter than the terms'."""

    hit: UUID
    decision: HitDecision
    reason: str
    reviewer: str
    note: Sealed | None = None
    cleared_for: timedelta | None = None


@record
class LapseClearance:
    """The time is over for which a hit was cleared that had been reopened so many times before.

    `absent_from`: the lists in force, if its entry is on none of them any more.
    """

    hit: UUID
    reopened: int
    absent_from: tuple[ListVersion, ...] = ()


@record
class LapseAnswer:
    """The time for a vendor's answer is over."""

    check: str
    vendor: str


@record
class LapseResubmission:
    """The time for a new picture is over."""

    round: int


@record
class LapseCompletion:
    """The time to complete the application is over."""


Command: TypeAlias = (
    SubmitApplication
    | AmendApplication
    | RecordAnswer
    | RecordStart
    | RecordOutage
    | RecordCompensation
    | RecordStalledCompensation
    | ReviewApplication
    | RecordScreening
    | ReferScreening
    | RecordAlert
    | DecideHit
    | LapseClearance
    | LapseAnswer
    | LapseResubmission
    | LapseCompletion
)

# ── events tell ───────────────────────────────────────────────────────────────────


@record
class ApplicationSubmitted:
    """A person applied; broadcast as KYC_CREATED."""

    user_id: UUID
    documents: tuple[Document, ...]
    terms: Terms
    person: Sealed


@record
class ApplicationAmended:
    """Documents or particulars were replaced."""

    documents: tuple[Document, ...] | None = None
    person: Sealed | None = None


@record
class VerificationStarted:
    """A round of checks began."""

    round: int
    checks: tuple[Check, ...]


@record
class CheckAnswered:
    """A vendor answered; the verdict is ours."""

    check: str
    vendor: str
    verdict: Verdict
    reasons: tuple[str, ...]
    reference: str | None = None
    findings: Sealed | None = None


@record
class CheckStarted:
    """A vendor took a check on and will answer later."""

    check: str
    vendor: str
    reference: str


@record
class VendorGivenUp:
    """A vendor did not answer; the next one of the route takes over, if there is one."""

    check: str
    vendor: str
    cause: str


@record
class ResubmissionRequested:
    """The applicant is asked for new pictures."""

    round: int
    reasons: tuple[str, ...]


@record
class ReviewRequested:
    """A person must decide."""

    reasons: tuple[str, ...]


@record
class ApplicationReviewed:
    """A person decided."""

    decision: ReviewDecision
    reason: str
    reviewer: str
    note: Sealed | None = None


@record
class ScreeningStarted:
    """The identity is established; now the lists are asked."""

    round: int


@record
class PersonScreened:
    """The lists were asked; no hits is an answer too, and a hit that was decided before still is."""

    basis: Basis
    hits: tuple[Hit, ...]
    findings: Sealed | None = None


@record
class AlertRaised:
    """Somebody who was verified may be on a list by now; `hits` are the new ones."""

    basis: Basis
    hits: tuple[Hit, ...]
    findings: Sealed | None = None


@record
class HitDecided:
    """A compliance officer decided a hit. `cleared_for`: for how long, when it is less than the terms say."""

    hit: UUID
    decision: HitDecision
    reason: str
    reviewer: str
    note: Sealed | None = None
    cleared_for: timedelta | None = None


@record
class HitReopened:
    """A hit had been cleared long enough ago: somebody must look at it again. `basis`: on what it rests."""

    hit: UUID
    basis: Basis


@record
class HitDelisted:
    """A hit had been cleared long enough ago, but its entry is on none of these `lists` any more: it is forgotten."""

    hit: UUID
    lists: tuple[ListVersion, ...]


@record
class ApplicationVerified:
    """The person is who they say; broadcast as KYC_VERIFIED. `screening`: the lists that were asked."""

    evidence: Evidence
    reasons: tuple[str, ...]
    screening: Basis | None = None


@record
class ApplicationRejected:
    """The application ended with a no; broadcast as KYC_REJECTED."""

    evidence: Evidence
    reasons: tuple[str, ...]


@record
class RollbackStarted:
    """No vendor is left for a check: everything that was started is undone, newest first."""

    check: str
    cause: str


@record
class StepCompensated:
    """A step was undone."""

    step: Step
    receipt: str


@record
class CompensationStalled:
    """A step resists being undone; it is tried on, and an operator is told."""

    step: Step
    cause: str


@record
class ApplicationRolledBack:
    """Everything was undone; broadcast as KYC_ROLLBACK."""

    cause: str
    compensations: tuple[Compensation, ...]


Event: TypeAlias = (
    ApplicationSubmitted
    | ApplicationAmended
    | VerificationStarted
    | CheckAnswered
    | CheckStarted
    | VendorGivenUp
    | ResubmissionRequested
    | ReviewRequested
    | ApplicationReviewed
    | ScreeningStarted
    | PersonScreened
    | AlertRaised
    | HitDecided
    | HitReopened
    | HitDelisted
    | ApplicationVerified
    | ApplicationRejected
    | RollbackStarted
    | StepCompensated
    | CompensationStalled
    | ApplicationRolledBack
)

# ── the state remembers ───────────────────────────────────────────────────────────


@record
class Application:
    """What is known of an application."""

    user_id: UUID
    person: Sealed
    documents: tuple[Document, ...]
    terms: Terms
    status: Status = Status.PENDING
    awaiting: Awaiting | None = Awaiting.DOCUMENTS
    round: int = 0
    resubmissions: int = 0
    checks: tuple[Check, ...] = ()
    simulated: bool = False
    selfies: tuple[UUID, ...] = ()  # every uploaded one that was ever checked
    started: tuple[Step, ...] = ()  # what a rollback would have to undo, oldest first
    references: tuple[Reference, ...] = ()  # of every round, because a rollback also undoes the earlier ones
    compensations: tuple[Compensation, ...] = ()
    cause: str | None = None
    reasons: tuple[str, ...] = ()
    approval: str | None = None  # why a reviewer approved what the checks of this round left open
    screening: bool = False  # the lists are being asked
    clearance: Clearance | None = None
    screened: int = 0  # the round that the clearance is of

    @property
    def undecided(self) -> bool:
        """Whether this round waits for somebody to decide its hits."""
        return self.screened == self.round and self.clearance is not None and bool(self.clearance.open)

    @property
    def evidence(self) -> Evidence:
        """What a decision taken now would rest on."""
        if self.simulated:
            return Evidence.SIMULATED
        return Evidence.LIVE if self.terms.mode is Mode.LIVE else Evidence.SANDBOX

    @property
    def retryable(self) -> bool:
        """Whether the applicant can mend the outcome with another picture, or by applying again."""
        return self.awaiting is Awaiting.RESUBMISSION or self.status is Status.ROLLED_BACK

    def check(self, key: str) -> Check | None:
        """The check of the present round called *key*."""
        return next((check for check in self.checks if check.key == key), None)

    def reference(self, check: str | None, vendor: str | None) -> str | None:
        """The name under which *vendor* knows the check *check*, of whatever round; None if it gave none."""
        return next((held.name for held in self.references if (held.check, held.vendor) == (check, vendor)), None)

    def document(self, file_id: UUID) -> Document | None:
        """The announced document whose file is *file_id*."""
        return next((document for document in self.documents if document.file_id == file_id), None)


State: TypeAlias = Application | None  # None: not submitted yet


class DomainError(Exception):
    """A rule forbids it. The docstring of each kind is the sentence that a client may read."""


class ApplicationNotFound(DomainError):
    """No application exists under this id."""


class ApplicationNotAmendable(DomainError):
    """Only a pending application, or one that awaits a resubmission, can be amended."""


class ApplicationNotInReview(DomainError):
    """Only an application that awaits a review can be reviewed."""


class HitNotFound(DomainError):
    """The application has no hit of that id."""


class HitDecidedAlready(DomainError):
    """The hit was decided before, and otherwise."""


class HitsUndecided(DomainError):
    """The application cannot be approved while possible hits are undecided."""


class SimulatedVendorRefused(DomainError):
    """A live tenant can never be verified by a simulated vendor."""


class DocumentMissing(DomainError):
    """A document names a file that was never uploaded."""


# ── decide: what happens ──────────────────────────────────────────────────────────


def decide(command: Command, state: State) -> Sequence[Event]:
    """What happens when *command* is carried out: nothing, if it already was."""
    if isinstance(command, SubmitApplication):
        return [] if state else _submit(command)
    if state is None:
        raise ApplicationNotFound
    match command:
        case AmendApplication():
            return _amend(command, state)
        case RecordAnswer():
            return _answer(command, state)
        case RecordStart(check=check, vendor=vendor, reference=reference):
            if state.reference(check, vendor) == reference or not _expected(state, check, vendor):
                return []
            return [CheckStarted(check=check, vendor=vendor, reference=reference)]
        case RecordOutage(check=check, vendor=vendor, cause=cause):
            return _give_up(VendorGivenUp(check=check, vendor=vendor, cause=cause), state)
        case LapseAnswer(check=check, vendor=vendor):
            return _give_up(VendorGivenUp(check=check, vendor=vendor, cause="VENDOR_TIMEOUT"), state)
        case RecordCompensation():
            return _compensate(command, state)
        case RecordStalledCompensation(step=step, cause=cause):
            stalled = state.awaiting is Awaiting.COMPENSATION and step in _to_undo(state)
            return [CompensationStalled(step=step, cause=cause)] if stalled else []
        case ReviewApplication():
            return _review(command, state)
        case RecordScreening():
            return _screen(command, state)
        case ReferScreening(round=number, reason=reason):
            return [ReviewRequested(reasons=(reason,))] if _screening(state, number) else []
        case RecordAlert():
            return _alert(command, state)
        case DecideHit():
            return _decide_hit(command, state)
        case LapseClearance():
            return _reopen(command, state)
        case LapseResubmission(round=number):
            late = state.awaiting is Awaiting.RESUBMISSION and state.round == number
            return [_rejected(state, (*state.reasons, "CASE_RESUBMISSION_EXPIRED"))] if late else []
        case LapseCompletion():
            return [_rejected(state, ("CASE_ABANDONED",))] if state.status is Status.PENDING else []
        case _:
            assert_never(command)


def _submit(command: SubmitApplication) -> Sequence[Event]:
    _refuse_simulation(command.terms, command.documents)
    submitted = ApplicationSubmitted(
        user_id=command.user_id, documents=command.documents, terms=command.terms, person=command.person
    )
    return [submitted, *_start(evolve(None, submitted))]


def _amend(command: AmendApplication, state: Application) -> Sequence[Event]:
    if state.status is not Status.PENDING and state.awaiting is not Awaiting.RESUBMISSION:
        raise ApplicationNotAmendable
    if command.documents is not None:
        _refuse_simulation(state.terms, command.documents)
    if command.documents in (None, state.documents) and command.person in (None, state.person):
        return []
    amended = ApplicationAmended(documents=command.documents, person=command.person)
    after = evolve(state, amended)
    fresh = command.documents is not None and after.documents != state.documents
    return [amended, *(_start(after) if fresh else ())]


def _refuse_simulation(terms: Terms, documents: Sequence[Document]) -> None:
    """The wall between the sandbox and real life: no route of a live tenant may name a simulated vendor."""
    if terms.mode is Mode.SANDBOX:
        return
    if SIMULATED_VENDORS & {*terms.uploaded_route, *terms.missing_route}:
        raise SimulatedVendorRefused
    if not all(document.uploaded for document in documents):
        raise DocumentMissing


def _start(state: Application) -> Sequence[Event]:
    """A round of checks, one per document, as soon as there is a document."""
    number = state.round + 1
    checks = tuple(
        Check(key=f"{number}.{index}", file_id=document.file_id, route=state.terms.route(document))
        for index, document in enumerate(state.documents, start=1)
    )
    return [VerificationStarted(round=number, checks=checks)] if checks else []


def _answer(command: RecordAnswer, state: Application) -> Sequence[Event]:
    if command.vendor in SIMULATED_VENDORS and state.terms.mode is Mode.LIVE:
        raise SimulatedVendorRefused
    if not _expected(state, command.check, command.vendor):
        return []
    answered = CheckAnswered(
        check=command.check,
        vendor=command.vendor,
        verdict=command.verdict,
        reasons=command.reasons,
        reference=command.reference,
        findings=command.findings,
    )
    after = evolve(state, answered)
    return [answered, *(_conclude(after) if all(check.verdict for check in after.checks) else ())]


def _expected(state: Application, key: str, vendor: str) -> bool:
    """Whether *vendor* is the one whose answer to check *key* is waited for; anything else is late or a repetition."""
    check = state.check(key)
    return state.awaiting is Awaiting.CHECKS and check is not None and check.verdict is None and check.vendor == vendor


def _conclude(state: Application) -> Sequence[Event]:
    """The verdicts of a whole round: one no is a no, doubt goes to a person, a bad picture back to the applicant."""
    verdicts = {check.verdict for check in state.checks}
    reasons = tuple(dict.fromkeys(code for check in state.checks for code in check.reasons))
    if Verdict.REJECT in verdicts:
        return [_rejected(state, reasons)]
    if Verdict.REVIEW in verdicts:
        return [ReviewRequested(reasons=reasons)]
    if Verdict.RETRY in verdicts:
        return [_resubmission(state, reasons)]
    return [_established(state)]


def _established(state: Application) -> Event:
    """What follows once it is certain who the person is: nobody is verified whom the lists were not asked about."""
    return ScreeningStarted(round=state.round) if state.terms.screening else _verified(state)


def _verified(state: Application) -> ApplicationVerified:
    return ApplicationVerified(
        evidence=state.evidence,
        reasons=(state.approval or "OK_VERIFIED",),
        screening=state.clearance.basis if state.clearance else None,
    )


def _screening(state: Application, number: int) -> bool:
    """Whether the answer of the lists is waited for in this round; anything else is late or a repetition."""
    return state.screening and state.round == number


def _screen(command: RecordScreening, state: Application) -> Sequence[Event]:
    if not _screening(state, command.round):
        return []
    known = screened_again(state.clearance, command.basis, command.hits)
    screened = PersonScreened(basis=command.basis, hits=known.hits, findings=command.findings)
    after = evolve(state, screened)
    return [screened, *_weighed(after)]


def _weighed(state: Application) -> Sequence[Event]:
    """What follows from the hits: one that is confirmed is a no, an open one goes to a compliance officer."""
    hits = state.clearance.hits if state.clearance else ()
    if any(hit.decision is HitDecision.CONFIRMED for hit in hits):
        return [_rejected(state, ("SANCTIONS_CONFIRMED",))]
    if not state.undecided:
        return [_verified(state)]
    return [] if state.awaiting is Awaiting.REVIEW else [ReviewRequested(reasons=("SANCTIONS_POSSIBLE_MATCH",))]


def _alert(command: RecordAlert, state: Application) -> Sequence[Event]:
    """Only what is new raises an alarm: the same person on the same entry, by the same facts, was told before."""
    new = tuple(hit for hit in command.hits if not (state.clearance and state.clearance.hit(hit.id)))
    if state.status is not Status.VERIFIED or not new:
        return []
    return [AlertRaised(basis=command.basis, hits=new, findings=command.findings)]


def _decide_hit(command: DecideHit, state: Application) -> Sequence[Event]:
    hit = state.clearance.hit(command.hit) if state.clearance else None
    if hit is None:
        raise HitNotFound
    if hit.decision is command.decision:
        return []
    if hit.decision is not None:
        raise HitDecidedAlready
    if state.awaiting is not Awaiting.REVIEW and state.status is not Status.VERIFIED:
        raise ApplicationNotInReview
    decided = HitDecided(
        hit=command.hit,
        decision=command.decision,
        reason=command.reason,
        reviewer=command.reviewer,
        note=command.note,
        cleared_for=_shorter(command, state),
    )
    after = evolve(state, decided)
    if command.decision is HitDecision.CONFIRMED:
        return [decided, _rejected(after, ("SANCTIONS_CONFIRMED",))]
    return [decided, *(_weighed(after) if state.undecided and state.status is not Status.VERIFIED else ())]


def _shorter(command: DecideHit, state: Application) -> timedelta | None:
    """The time that the officer gave, if the terms would give more."""
    given, terms = command.cleared_for, state.terms.screening
    shorter = command.decision is HitDecision.CLEARED and given and terms and given < terms.cleared_for
    return given if shorter else None


def _reopen(command: LapseClearance, state: Application) -> Sequence[Event]:
    """The person stays what they are until somebody decides again, as with an alert.

    An entry that left the lists needs no decision. Its hit is forgotten, so that it is a new one should it come back.
    """
    known = state.clearance
    hit = known.hit(command.hit) if known else None
    if known is None or hit is None or (hit.decision, hit.reopened) != (HitDecision.CLEARED, command.reopened):
        return []
    if state.status in TERMINAL and state.status is not Status.VERIFIED:
        return []
    if command.absent_from:
        return [HitDelisted(hit=hit.id, lists=command.absent_from)]
    return [HitReopened(hit=hit.id, basis=known.basis)]


def _resubmission(state: Application, reasons: tuple[str, ...]) -> Event:
    if state.resubmissions >= state.terms.max_resubmissions:
        return _rejected(state, (*reasons, "CASE_RESUBMISSION_LIMIT"))
    return ResubmissionRequested(round=state.round, reasons=reasons)


def _rejected(state: Application, reasons: tuple[str, ...]) -> ApplicationRejected:
    return ApplicationRejected(evidence=state.evidence, reasons=tuple(dict.fromkeys(reasons)))


def _give_up(given_up: VendorGivenUp, state: Application) -> Sequence[Event]:
    if not _expected(state, given_up.check, given_up.vendor):
        return []
    check = evolve(state, given_up).check(given_up.check)
    if check and check.vendor:
        return [given_up]
    return [given_up, RollbackStarted(check=given_up.check, cause=given_up.cause)]


def _compensate(command: RecordCompensation, state: Application) -> Sequence[Event]:
    if state.cause is None or state.status in TERMINAL or command.step != next(iter(_to_undo(state)), None):
        return []
    compensated = StepCompensated(step=command.step, receipt=command.receipt)
    after = evolve(state, compensated)
    if _to_undo(after):
        return [compensated]
    return [compensated, ApplicationRolledBack(cause=state.cause, compensations=after.compensations)]


def _to_undo(state: Application) -> Sequence[Step]:
    """The steps that a rollback still has to undo, newest first."""
    undone = {compensation.step for compensation in state.compensations}
    return [step for step in reversed(state.started) if step not in undone]


def next_to_undo(state: Application) -> Step | None:
    """The step that a rollback undoes next."""
    return next(iter(_to_undo(state)), None)


def _review(command: ReviewApplication, state: Application) -> Sequence[Event]:
    if state.awaiting is not Awaiting.REVIEW:
        raise ApplicationNotInReview
    reviewed = ApplicationReviewed(
        decision=command.decision, reason=command.reason, reviewer=command.reviewer, note=command.note
    )
    after = evolve(state, reviewed)
    match command.decision:
        case ReviewDecision.APPROVE if state.undecided:
            raise HitsUndecided
        case ReviewDecision.APPROVE:
            return [reviewed, _established(after)]
        case ReviewDecision.REJECT:
            return [reviewed, _rejected(state, (command.reason,))]
        case ReviewDecision.RESUBMIT:
            return [reviewed, _resubmission(after, (command.reason,))]
        case _:
            assert_never(command.decision)


# ── evolve: what the application is afterwards ────────────────────────────────────


def evolve(state: State, event: Event) -> Application:
    """What the application is after *event*. It asks nobody, and judges nothing."""
    if isinstance(event, ApplicationSubmitted):
        return Application(user_id=event.user_id, person=event.person, documents=event.documents, terms=event.terms)
    if state is None:
        raise HistoryBroken
    match event:
        case ApplicationAmended(documents=documents, person=person):
            return replace(
                state,
                documents=state.documents if documents is None else documents,
                person=person or state.person,
            )
        case VerificationStarted(round=number, checks=checks):
            claimed = () if state.started else (Step(name=CLAIM),)
            return replace(
                state,
                status=Status.IN_PROGRESS,
                awaiting=Awaiting.CHECKS,
                round=number,
                checks=checks,
                selfies=_with_selfies(state, checks),
                approval=None,
                started=(*state.started, *claimed, *map(_step, checks)),
            )
        case CheckAnswered():
            answered = [
                replace(check, verdict=event.verdict, reasons=event.reasons) if check.key == event.check else check
                for check in state.checks
            ]
            return replace(
                _with_reference(state, event),
                checks=tuple(answered),
                simulated=state.simulated or event.vendor in SIMULATED_VENDORS,
            )
        case CheckStarted():
            return _with_reference(state, event)
        case VendorGivenUp(check=key):
            checks = tuple(
                replace(check, failed=check.failed + 1) if check.key == key else check for check in state.checks
            )
            turned = [check for check in checks if check.key == key and check.vendor]
            return replace(state, checks=checks, started=(*state.started, *map(_step, turned)))
        case ResubmissionRequested(reasons=reasons):
            return replace(
                state,
                awaiting=Awaiting.RESUBMISSION,
                resubmissions=state.resubmissions + 1,
                reasons=reasons,
            )
        case ReviewRequested(reasons=reasons):
            return replace(state, awaiting=Awaiting.REVIEW, reasons=reasons, screening=False)
        case ApplicationReviewed(decision=decision, reason=reason):
            approval = reason if decision is ReviewDecision.APPROVE else state.approval
            return replace(state, awaiting=None, approval=approval)
        case ScreeningStarted():
            return replace(state, awaiting=Awaiting.CHECKS, screening=True)
        case PersonScreened(basis=basis, hits=hits):
            return replace(state, screening=False, screened=state.round, clearance=Clearance(basis=basis, hits=hits))
        case AlertRaised(basis=basis, hits=hits):
            return replace(state, clearance=alerted(state.clearance, basis, hits))
        case HitDecided(hit=hit, decision=decision):
            known = state.clearance
            return replace(state, clearance=known.decided(hit, decision) if known else None)
        case HitReopened(hit=hit):
            return replace(state, clearance=state.clearance.opened(hit) if state.clearance else None)
        case HitDelisted(hit=hit):
            return replace(state, clearance=state.clearance.without(hit) if state.clearance else None)
        case ApplicationVerified(reasons=reasons):
            return replace(state, status=Status.VERIFIED, awaiting=None, reasons=reasons)
        case ApplicationRejected(reasons=reasons):
            return replace(state, status=Status.REJECTED, awaiting=None, reasons=reasons)
        case RollbackStarted(cause=cause):
            return replace(state, awaiting=Awaiting.COMPENSATION, cause=cause)
        case StepCompensated(step=step, receipt=receipt):
            done = Compensation(step=step, receipt=receipt)
            return replace(state, awaiting=Awaiting.COMPENSATION, compensations=(*state.compensations, done))
        case CompensationStalled():
            return replace(state, awaiting=Awaiting.OPERATOR)
        case ApplicationRolledBack(cause=cause):
            return replace(state, status=Status.ROLLED_BACK, awaiting=None, reasons=(cause,))
        case _:
            assert_never(event)


class HistoryBroken(Exception):
    """A history does not begin with the submission: the log is not whole."""


def _with_selfies(state: Application, checks: Sequence[Check]) -> tuple[UUID, ...]:
    """The selfies that were ever checked, those of *checks* included."""
    checked = {check.file_id for check in checks}
    shown = [one.file_id for one in state.documents if one.doc_type == SELFIE and one.uploaded]
    return tuple(dict.fromkeys((*state.selfies, *(file_id for file_id in shown if file_id in checked))))


def _step(check: Check) -> Step:
    return Step(name=f"check {check.key}", check=check.key, vendor=check.vendor)


def _with_reference(state: Application, event: CheckStarted | CheckAnswered) -> Application:
    if event.reference is None:
        return state
    held = Reference(check=event.check, vendor=event.vendor, name=event.reference)
    others = (other for other in state.references if (other.check, other.vendor) != (held.check, held.vendor))
    return replace(state, references=(*others, held))
