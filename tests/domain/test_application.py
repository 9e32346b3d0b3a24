"""The life of an application, rule by rule."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from typing import get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from kyc_service.domain.application import (
    TERMINAL,
    AlertRaised,
    AmendApplication,
    Application,
    ApplicationAmended,
    ApplicationNotAmendable,
    ApplicationNotFound,
    ApplicationNotInReview,
    ApplicationRejected,
    ApplicationReviewed,
    ApplicationRolledBack,
    ApplicationSubmitted,
    ApplicationVerified,
    Awaiting,
    Check,
    CheckAnswered,
    CheckStarted,
    Command,
    Compensation,
    CompensationStalled,
    DecideHit,
    Document,
    DocumentMissing,
    DomainError,
    Event,
    Evidence,
    HistoryBroken,
    HitDecided,
    HitDelisted,
    HitReopened,
    LapseAnswer,
    LapseClearance,
    LapseCompletion,
    LapseResubmission,
    Mode,
    RecordAlert,
    RecordAnswer,
    RecordCompensation,
    RecordOutage,
    RecordScreening,
    RecordStalledCompensation,
    RecordStart,
    ReferScreening,
    ResubmissionRequested,
    ReviewApplication,
    ReviewDecision,
    ReviewRequested,
    RollbackStarted,
    Sealed,
    SimulatedVendorRefused,
    State,
    Status,
    Step,
    StepCompensated,
    SubmitApplication,
    Terms,
    VendorGivenUp,
    VerificationStarted,
    decide,
    evolve,
)
from kyc_service.domain.clearance import Basis, Hit, HitDecision, ListVersion, ScreeningTerms
from kyc_service.domain.findings import Verdict

USER = UUID(int=1)
FILE, SELFIE, BETTER = UUID(int=10), UUID(int=11), UUID(int=12)
PERSON = Sealed(entry=UUID(int=20), box=b"sealed")
CORRECTED = Sealed(entry=UUID(int=21), box=b"sealed anew")
TERMS = Terms(
    mode=Mode.SANDBOX,
    uploaded_route=("builtin", "other"),
    missing_route=("simulated",),
    max_resubmissions=1,
    resubmission=timedelta(days=14),
    completion=timedelta(days=30),
    answer=timedelta(hours=24),
)
LIVE = replace(TERMS, mode=Mode.LIVE, missing_route=())
PASSPORT = Document(doc_type="PASSPORT", file_id=FILE, issued_country="NL", uploaded=True)
OTHER_PASSPORT = replace(PASSPORT, file_id=BETTER)
NEVER_UPLOADED = replace(PASSPORT, uploaded=False)

CLAIMED = Step(name="claim-documents")
CHECKED = Step(name="check 1.1", check="1.1", vendor="builtin")
CHECKED_BY_OTHER = Step(name="check 1.1", check="1.1", vendor="other")


def submitted(*documents: Document, terms: Terms = TERMS) -> ApplicationSubmitted:
    return ApplicationSubmitted(user_id=USER, documents=documents, terms=terms, person=PERSON)


def started(
    number: int = 1, *, file: UUID = FILE, route: tuple[str, ...] = TERMS.uploaded_route
) -> VerificationStarted:
    return VerificationStarted(round=number, checks=(Check(key=f"{number}.1", file_id=file, route=route),))


def answered(verdict: Verdict, *reasons: str, check: str = "1.1", vendor: str = "builtin") -> CheckAnswered:
    return CheckAnswered(check=check, vendor=vendor, verdict=verdict, reasons=reasons)


def answer(verdict: Verdict, *reasons: str, check: str = "1.1", vendor: str = "builtin") -> RecordAnswer:
    return RecordAnswer(check=check, vendor=vendor, verdict=verdict, reasons=reasons)


def outage(vendor: str, check: str = "1.1") -> RecordOutage:
    return RecordOutage(check=check, vendor=vendor, cause="VENDOR_UNAVAILABLE")


def given_up(vendor: str, cause: str = "VENDOR_UNAVAILABLE") -> VendorGivenUp:
    return VendorGivenUp(check="1.1", vendor=vendor, cause=cause)


def review(decision: ReviewDecision) -> ReviewApplication:
    return ReviewApplication(decision=decision, reason="CASE_REVIEW_APPROVED", reviewer="anna")


def reviewed(decision: ReviewDecision) -> ApplicationReviewed:
    return ApplicationReviewed(decision=decision, reason="CASE_REVIEW_APPROVED", reviewer="anna")


CHECKING = (submitted(PASSPORT), started())
IN_REVIEW = (
    *CHECKING,
    answered(Verdict.REVIEW, "DATA_NAME_MISMATCH"),
    ReviewRequested(reasons=("DATA_NAME_MISMATCH",)),
)
AWAITING_PICTURE = (
    *CHECKING,
    answered(Verdict.RETRY, "DOC_UNREADABLE"),
    ResubmissionRequested(round=1, reasons=("DOC_UNREADABLE",)),
)
ROLLING_BACK = (
    *CHECKING,
    given_up("builtin"),
    given_up("other"),
    RollbackStarted(check="1.1", cause="VENDOR_UNAVAILABLE"),
)


def after(*history: Event) -> State:
    return reduce(evolve, history, None)


class given:  # noqa: N801 - reads as a sentence
    """given(history).when(command).then(events), or .refused(error)."""

    def __init__(self, *history: Event) -> None:
        self.state = after(*history)

    def when(self, command: Command) -> "given":
        self.command = command
        return self

    def then(self, *events: Event) -> None:
        assert tuple(decide(self.command, self.state)) == events

    def refused(self, error: type[DomainError]) -> None:
        with pytest.raises(error):
            decide(self.command, self.state)


# ── submitting ────────────────────────────────────────────────────────────────────


def submission(*documents: Document, terms: Terms = TERMS) -> SubmitApplication:
    return SubmitApplication(user_id=USER, documents=documents, terms=terms, person=PERSON)


def test_an_application_with_a_document_is_checked_at_once() -> None:
    given().when(submission(PASSPORT)).then(submitted(PASSPORT), started())


def test_an_application_without_a_document_stays_pending() -> None:
    given().when(submission()).then(submitted())
    assert after(submitted()) == Application(
        user_id=USER, person=PERSON, documents=(), terms=TERMS, status=Status.PENDING, awaiting=Awaiting.DOCUMENTS
    )


def test_a_document_that_was_never_uploaded_goes_to_the_simulation_in_the_sandbox() -> None:
    given().when(submission(NEVER_UPLOADED)).then(submitted(NEVER_UPLOADED), started(route=("simulated",)))


def test_a_live_tenant_cannot_name_a_file_that_was_never_uploaded() -> None:
    given().when(submission(NEVER_UPLOADED, terms=LIVE)).refused(DocumentMissing)


@pytest.mark.parametrize("vendor", ["simulated", "simulated_standby"])
def test_a_live_tenant_cannot_be_routed_to_a_simulation(vendor: str) -> None:
    terms = replace(LIVE, uploaded_route=("builtin", vendor))
    given().when(submission(PASSPORT, terms=terms)).refused(SimulatedVendorRefused)


def test_a_simulated_answer_about_a_live_tenant_is_refused() -> None:
    terms = replace(LIVE, uploaded_route=("simulated",))  # as if the log had been written by other rules
    state = (submitted(PASSPORT, terms=terms), started(route=("simulated",)))
    given(*state).when(answer(Verdict.CLEAR, vendor="simulated")).refused(SimulatedVendorRefused)


def test_an_application_is_submitted_once() -> None:
    given(*CHECKING).when(submission(PASSPORT)).then()


@pytest.mark.parametrize("command", [answer(Verdict.CLEAR), LapseCompletion(), review(ReviewDecision.APPROVE)])
def test_nothing_happens_to_an_application_that_does_not_exist(command: Command) -> None:
    given().when(command).refused(ApplicationNotFound)


def test_a_history_that_does_not_begin_with_the_submission_is_broken() -> None:
    with pytest.raises(HistoryBroken):
        after(started())


# ── checking ──────────────────────────────────────────────────────────────────────


def test_a_clear_check_verifies_the_person() -> None:
    given(*CHECKING).when(answer(Verdict.CLEAR)).then(
        answered(Verdict.CLEAR), ApplicationVerified(evidence=Evidence.SANDBOX, reasons=("OK_VERIFIED",))
    )


def test_a_live_decision_says_so() -> None:
    given(submitted(PASSPORT, terms=LIVE), started()).when(answer(Verdict.CLEAR)).then(
        answered(Verdict.CLEAR), ApplicationVerified(evidence=Evidence.LIVE, reasons=("OK_VERIFIED",))
    )


def test_a_simulated_decision_says_so() -> None:
    given(submitted(NEVER_UPLOADED), started(route=("simulated",))).when(
        answer(Verdict.CLEAR, vendor="simulated")
    ).then(
        answered(Verdict.CLEAR, vendor="simulated"),
        ApplicationVerified(evidence=Evidence.SIMULATED, reasons=("OK_VERIFIED",)),
    )


def test_an_expired_document_rejects() -> None:
    given(*CHECKING).when(answer(Verdict.REJECT, "DOC_EXPIRED")).then(
        answered(Verdict.REJECT, "DOC_EXPIRED"),
        ApplicationRejected(evidence=Evidence.SANDBOX, reasons=("DOC_EXPIRED",)),
    )


def test_doubt_goes_to_a_person() -> None:
    given(*CHECKING).when(answer(Verdict.REVIEW, "DATA_NAME_MISMATCH")).then(*IN_REVIEW[2:])


def test_a_bad_picture_goes_back_to_the_applicant() -> None:
    given(*CHECKING).when(answer(Verdict.RETRY, "DOC_UNREADABLE")).then(*AWAITING_PICTURE[2:])


TWO = (
    submitted(PASSPORT, OTHER_PASSPORT),
    VerificationStarted(
        round=1,
        checks=(
            Check(key="1.1", file_id=FILE, route=TERMS.uploaded_route),
            Check(key="1.2", file_id=BETTER, route=TERMS.uploaded_route),
        ),
    ),
)


def test_two_documents_are_two_checks() -> None:
    given().when(submission(PASSPORT, OTHER_PASSPORT)).then(*TWO)


def test_nothing_is_concluded_before_every_check_is_answered() -> None:
    given(*TWO).when(answer(Verdict.REJECT, "DOC_EXPIRED", check="1.2")).then(
        answered(Verdict.REJECT, "DOC_EXPIRED", check="1.2")
    )


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (Verdict.CLEAR, Verdict.REJECT, ApplicationRejected),
        (Verdict.REVIEW, Verdict.REJECT, ApplicationRejected),
        (Verdict.RETRY, Verdict.REVIEW, ReviewRequested),
        (Verdict.CLEAR, Verdict.RETRY, ResubmissionRequested),
        (Verdict.CLEAR, Verdict.CLEAR, ApplicationVerified),
    ],
)
def test_the_worst_check_decides(first: Verdict, second: Verdict, outcome: type[Event]) -> None:
    events = decide(answer(second, check="1.2"), after(*TWO, answered(first)))
    assert type(events[-1]) is outcome


def test_an_answer_that_was_recorded_is_not_recorded_again() -> None:
    given(*TWO, answered(Verdict.CLEAR)).when(answer(Verdict.REJECT)).then()


def test_an_answer_of_a_vendor_that_was_given_up_comes_too_late() -> None:
    given(*CHECKING, given_up("builtin")).when(answer(Verdict.CLEAR)).then()


def test_a_vendor_may_answer_later() -> None:
    start = RecordStart(check="1.1", vendor="builtin", reference="r1")
    event = CheckStarted(check="1.1", vendor="builtin", reference="r1")
    given(*CHECKING).when(start).then(event)
    given(*CHECKING, event).when(start).then()
    given(*CHECKING, event).when(answer(Verdict.CLEAR)).then(
        answered(Verdict.CLEAR), ApplicationVerified(evidence=Evidence.SANDBOX, reasons=("OK_VERIFIED",))
    )


# ── outages ───────────────────────────────────────────────────────────────────────


def test_an_outage_is_not_a_rejection_but_the_next_vendors_turn() -> None:
    given(*CHECKING).when(outage("builtin")).then(given_up("builtin"))


def test_without_a_vendor_left_everything_is_rolled_back() -> None:
    given(*CHECKING, given_up("builtin")).when(outage("other")).then(*ROLLING_BACK[3:])


def test_a_vendor_that_never_answers_is_given_up_like_one_that_is_down() -> None:
    given(*CHECKING).when(LapseAnswer(check="1.1", vendor="builtin")).then(given_up("builtin", "VENDOR_TIMEOUT"))
    given(*CHECKING, answered(Verdict.CLEAR)).when(LapseAnswer(check="1.1", vendor="builtin")).then()


def test_what_was_started_is_undone_newest_first() -> None:
    given(*ROLLING_BACK).when(RecordCompensation(step=CLAIMED, receipt="r")).then()
    given(*ROLLING_BACK).when(RecordCompensation(step=CHECKED_BY_OTHER, receipt="r1")).then(
        StepCompensated(step=CHECKED_BY_OTHER, receipt="r1")
    )


UNDONE = (
    *ROLLING_BACK,
    StepCompensated(step=CHECKED_BY_OTHER, receipt="r1"),
    StepCompensated(step=CHECKED, receipt="r2"),
)


def test_the_last_receipt_ends_the_rollback_with_all_receipts() -> None:
    given(*UNDONE).when(RecordCompensation(step=CLAIMED, receipt="r3")).then(
        StepCompensated(step=CLAIMED, receipt="r3"),
        ApplicationRolledBack(
            cause="VENDOR_UNAVAILABLE",
            compensations=(
                Compensation(step=CHECKED_BY_OTHER, receipt="r1"),
                Compensation(step=CHECKED, receipt="r2"),
                Compensation(step=CLAIMED, receipt="r3"),
            ),
        ),
    )


def test_a_step_that_resists_is_told_to_an_operator_and_can_still_be_undone() -> None:
    stalled = CompensationStalled(step=CHECKED_BY_OTHER, cause="VENDOR_UNAVAILABLE")
    command = RecordStalledCompensation(step=CHECKED_BY_OTHER, cause="VENDOR_UNAVAILABLE")
    given(*ROLLING_BACK).when(command).then(stalled)
    given(*ROLLING_BACK, stalled).when(command).then()
    state = after(*ROLLING_BACK, stalled)
    assert state
    assert state.awaiting is Awaiting.OPERATOR
    given(*ROLLING_BACK, stalled).when(RecordCompensation(step=CHECKED_BY_OTHER, receipt="r1")).then(
        StepCompensated(step=CHECKED_BY_OTHER, receipt="r1")
    )


# ── amending and resubmitting ─────────────────────────────────────────────────────


def test_the_missing_document_starts_the_checks() -> None:
    given(submitted()).when(AmendApplication(documents=(PASSPORT,))).then(
        ApplicationAmended(documents=(PASSPORT,)), started()
    )


def test_particulars_can_be_corrected_while_a_picture_is_awaited() -> None:
    given(*AWAITING_PICTURE).when(AmendApplication(person=CORRECTED)).then(ApplicationAmended(person=CORRECTED))


def test_a_better_picture_starts_another_round() -> None:
    given(*AWAITING_PICTURE).when(AmendApplication(documents=(OTHER_PASSPORT,))).then(
        ApplicationAmended(documents=(OTHER_PASSPORT,)), started(2, file=BETTER)
    )


def test_the_same_picture_again_starts_nothing() -> None:
    given(*AWAITING_PICTURE).when(AmendApplication(documents=(PASSPORT,))).then()


@pytest.mark.parametrize("history", [CHECKING, IN_REVIEW, ROLLING_BACK])
def test_an_application_under_way_cannot_be_amended(history: Sequence[Event]) -> None:
    given(*history).when(AmendApplication(documents=(OTHER_PASSPORT,))).refused(ApplicationNotAmendable)


def test_a_live_application_cannot_be_amended_with_a_file_that_was_never_uploaded() -> None:
    given(submitted(terms=LIVE)).when(AmendApplication(documents=(NEVER_UPLOADED,))).refused(DocumentMissing)


def test_a_picture_that_stays_unreadable_rejects_in_the_end() -> None:
    second = (*AWAITING_PICTURE, ApplicationAmended(documents=(OTHER_PASSPORT,)), started(2, file=BETTER))
    given(*second).when(answer(Verdict.RETRY, "DOC_UNREADABLE", check="2.1")).then(
        answered(Verdict.RETRY, "DOC_UNREADABLE", check="2.1"),
        ApplicationRejected(evidence=Evidence.SANDBOX, reasons=("DOC_UNREADABLE", "CASE_RESUBMISSION_LIMIT")),
    )


def test_a_picture_that_never_comes_rejects() -> None:
    given(*AWAITING_PICTURE).when(LapseResubmission(round=1)).then(
        ApplicationRejected(evidence=Evidence.SANDBOX, reasons=("DOC_UNREADABLE", "CASE_RESUBMISSION_EXPIRED"))
    )
    given(*AWAITING_PICTURE).when(LapseResubmission(round=2)).then()
    given(*CHECKING).when(LapseResubmission(round=1)).then()


def test_an_application_that_is_never_completed_is_closed() -> None:
    given(submitted()).when(LapseCompletion()).then(
        ApplicationRejected(evidence=Evidence.SANDBOX, reasons=("CASE_ABANDONED",))
    )
    given(*CHECKING).when(LapseCompletion()).then()


# ── reviewing ─────────────────────────────────────────────────────────────────────


def test_a_reviewer_approves() -> None:
    given(*IN_REVIEW).when(review(ReviewDecision.APPROVE)).then(
        reviewed(ReviewDecision.APPROVE),
        ApplicationVerified(evidence=Evidence.SANDBOX, reasons=("CASE_REVIEW_APPROVED",)),
    )


def test_a_reviewer_rejects() -> None:
    given(*IN_REVIEW).when(review(ReviewDecision.REJECT)).then(
        reviewed(ReviewDecision.REJECT),
        ApplicationRejected(evidence=Evidence.SANDBOX, reasons=("CASE_REVIEW_APPROVED",)),
    )


def test_a_reviewer_asks_for_another_picture() -> None:
    given(*IN_REVIEW).when(review(ReviewDecision.RESUBMIT)).then(
        reviewed(ReviewDecision.RESUBMIT), ResubmissionRequested(round=1, reasons=("CASE_REVIEW_APPROVED",))
    )


@pytest.mark.parametrize("history", [CHECKING, AWAITING_PICTURE, ROLLING_BACK])
def test_only_what_awaits_a_review_can_be_reviewed(history: Sequence[Event]) -> None:
    given(*history).when(review(ReviewDecision.APPROVE)).refused(ApplicationNotInReview)


# ── always and never ──────────────────────────────────────────────────────────────

CHECK_KEYS = st.sampled_from(["1.1", "1.2", "2.1"])
VENDORS = st.sampled_from(["builtin", "other", "simulated"])
STEPS = st.builds(
    Step,
    name=st.sampled_from(["claim-documents", "check 1.1"]),
    check=st.sampled_from([None, "1.1"]),
    vendor=st.sampled_from([None, "builtin", "other"]),
)
BASIS = Basis(engine="1", lists=(), review_from=0.5)
SCREENED_TERMS = replace(TERMS, screening=ScreeningTerms(review_from=0.5))
HITS = st.lists(
    st.integers(1, 2).map(lambda n: Hit(id=UUID(int=n), list="l", entry=f"l:{n}", probability=0.9)),
    max_size=2,
    unique=True,
).map(tuple)
DOCUMENTS = st.lists(st.sampled_from([PASSPORT, OTHER_PASSPORT, NEVER_UPLOADED]), max_size=2, unique=True).map(tuple)
BY_KIND = {
    SubmitApplication: st.just(submission(PASSPORT)),
    AmendApplication: st.builds(
        AmendApplication, documents=st.none() | DOCUMENTS, person=st.sampled_from([None, CORRECTED])
    ),
    RecordAnswer: st.builds(
        RecordAnswer,
        check=CHECK_KEYS,
        vendor=VENDORS,
        verdict=st.sampled_from(Verdict),
        reasons=st.sampled_from([(), ("DOC_EXPIRED",)]),
    ),
    RecordStart: st.builds(RecordStart, check=CHECK_KEYS, vendor=VENDORS, reference=st.just("r")),
    RecordOutage: st.builds(RecordOutage, check=CHECK_KEYS, vendor=VENDORS, cause=st.just("VENDOR_UNAVAILABLE")),
    RecordCompensation: st.builds(RecordCompensation, step=STEPS, receipt=st.just("r")),
    RecordStalledCompensation: st.builds(RecordStalledCompensation, step=STEPS, cause=st.just("c")),
    ReviewApplication: st.builds(review, st.sampled_from(ReviewDecision)),
    RecordScreening: st.builds(RecordScreening, round=st.integers(1, 2), basis=st.just(BASIS), hits=HITS),
    ReferScreening: st.builds(ReferScreening, round=st.integers(1, 2), reason=st.just("ID_MISSING_NAME")),
    RecordAlert: st.builds(RecordAlert, basis=st.just(BASIS), hits=HITS),
    DecideHit: st.builds(
        DecideHit,
        hit=st.integers(1, 2).map(lambda n: UUID(int=n)),
        decision=st.sampled_from(HitDecision),
        reason=st.just("SANCTIONS_OTHER_PERSON"),
        reviewer=st.just("carl"),
    ),
    LapseClearance: st.builds(
        LapseClearance,
        hit=st.integers(1, 2).map(lambda n: UUID(int=n)),
        reopened=st.integers(0, 1),
        absent_from=st.sampled_from(((), (ListVersion(list="sdn", version="8"),))),
    ),
    LapseAnswer: st.builds(LapseAnswer, check=CHECK_KEYS, vendor=VENDORS),
    LapseResubmission: st.builds(LapseResubmission, round=st.integers(1, 2)),
    LapseCompletion: st.builds(LapseCompletion),
}
COMMANDS = st.one_of(*(BY_KIND[kind] for kind in get_args(Command)))  # a new command must say how it is made
IDEMPOTENT = tuple(kind for kind in get_args(Command) if kind is not ReviewApplication)


def carried_out(command: Command, state: State) -> tuple[State, Sequence[Event]]:
    try:
        events = decide(command, state)
    except DomainError:
        return state, ()
    return reduce(evolve, events, state), events


WITH_OR_WITHOUT_LISTS = st.sampled_from([TERMS, SCREENED_TERMS])


@for_all(st.lists(COMMANDS, max_size=12), WITH_OR_WITHOUT_LISTS)
def test_a_repeated_command_changes_nothing(commands: Sequence[Command], terms: Terms) -> None:
    state: State = after(submitted(PASSPORT, terms=terms), started())
    for command in commands:
        state, _ = carried_out(command, state)
        if isinstance(command, IDEMPOTENT):
            again, events = carried_out(command, state)
            assert not events
            assert again == state


OF_THE_WATCH = AlertRaised | HitDecided | HitReopened | HitDelisted | ApplicationRejected


@for_all(st.lists(COMMANDS, max_size=12), WITH_OR_WITHOUT_LISTS)
def test_what_is_over_stays_over_but_for_what_the_lists_tell_later(commands: Sequence[Command], terms: Terms) -> None:
    state: State = after(submitted(PASSPORT, terms=terms), started())
    for command in commands:
        over = state.status if state and state.status in TERMINAL else None
        state, events = carried_out(command, state)
        if over is Status.VERIFIED:
            assert all(isinstance(e, OF_THE_WATCH) for e in events)
        else:
            assert not (over and events)


SCREENING_COMMANDS = st.one_of(
    *(
        BY_KIND[kind]
        for kind in (RecordAnswer, RecordScreening, DecideHit, LapseClearance, ReviewApplication, RecordAlert)
    )
)


@for_all(st.lists(SCREENING_COMMANDS | COMMANDS, max_size=14))
def test_nobody_is_verified_whom_the_lists_were_not_asked_about(commands: Sequence[Command]) -> None:
    state: State = after(submitted(PASSPORT, terms=SCREENED_TERMS), started())
    for command in (answer(Verdict.CLEAR), *commands):
        state, events = carried_out(command, state)
        for event in events:
            if isinstance(event, ApplicationVerified):
                assert event.screening == BASIS
                assert state
                assert state.screened == state.round
                assert state.clearance
                assert all(hit.decision is HitDecision.CLEARED for hit in state.clearance.hits)


@for_all(st.lists(COMMANDS, max_size=12), WITH_OR_WITHOUT_LISTS)
def test_nobody_is_verified_but_by_clear_checks_or_a_reviewer(commands: Sequence[Command], terms: Terms) -> None:
    state: State = after(submitted(PASSPORT, terms=terms), started())
    history: list[Event] = []
    for command in commands:
        state, events = carried_out(command, state)
        history += events
    if state and state.status is Status.VERIFIED:
        approved = any(isinstance(e, ApplicationReviewed) and e.decision is ReviewDecision.APPROVE for e in history)
        assert approved or all(check.verdict is Verdict.CLEAR for check in state.checks)


@for_all(st.lists(COMMANDS, max_size=14))
def test_a_live_tenant_is_never_verified_by_a_simulation(commands: Sequence[Command]) -> None:
    state: State = after(submitted(PASSPORT, terms=LIVE), started())
    for command in commands:
        state, events = carried_out(command, state)
        assert not any(getattr(event, "evidence", None) is Evidence.SIMULATED for event in events)
        assert not (state and state.simulated)


@for_all(st.lists(COMMANDS, max_size=14))
def test_a_rollback_undoes_everything_that_was_started_in_reverse_order(commands: Sequence[Command]) -> None:
    state: State = after(*CHECKING)
    for command in (*commands, outage("builtin"), outage("other")):
        state, _ = carried_out(command, state)
    if state is None or state.awaiting is not Awaiting.COMPENSATION:
        return
    for step in reversed(state.started):
        state, _ = carried_out(RecordCompensation(step=step, receipt=str(uuid4())), state)
    assert state
    assert state.status is Status.ROLLED_BACK
    assert [done.step for done in state.compensations] == list(reversed(state.started))


@for_all(st.lists(COMMANDS, max_size=14))
def test_whoever_gave_a_reference_is_asked_by_it_to_cancel_in_whatever_round(commands: Sequence[Command]) -> None:
    state: State = after(submitted(PASSPORT), started())
    given: dict[tuple[str, str], str] = {}
    for command in commands:
        state, events = carried_out(command, state)
        for event in events:
            if isinstance(event, CheckStarted | CheckAnswered) and event.reference is not None:
                given[event.check, event.vendor] = event.reference
    assert state
    assert {(check, vendor): state.reference(check, vendor) for check, vendor in given} == given
    assert all(
        state.reference(step.check, step.vendor) is None
        for step in state.started
        if (step.check, step.vendor) not in given
    )


def test_a_reference_outlives_its_round_and_its_vendors_turn() -> None:
    state = after(
        submitted(PASSPORT),
        started(),
        CheckStarted(check="1.1", vendor="builtin", reference="case-1"),
        VendorGivenUp(check="1.1", vendor="builtin", cause="VENDOR_TIMEOUT"),
        replace(answered(Verdict.RETRY, "IMAGE_BLURRED", vendor="other"), reference="case-2"),
        ResubmissionRequested(round=1, reasons=("IMAGE_BLURRED",)),
        started(2, file=BETTER),
    )
    assert state
    assert (state.reference("1.1", "builtin"), state.reference("1.1", "other")) == ("case-1", "case-2")
    assert state.reference("2.1", "builtin") is None


def test_what_a_rejection_leaves_open_is_told_apart_from_a_rollback() -> None:
    rolled_back = evolve(after(*UNDONE), ApplicationRolledBack(cause="VENDOR_UNAVAILABLE", compensations=()))
    rejected = evolve(after(*CHECKING), ApplicationRejected(evidence=Evidence.SANDBOX, reasons=("DOC_EXPIRED",)))
    assert (rolled_back.retryable, rejected.retryable) == (True, False)


def test_personal_data_never_shows_in_a_representation() -> None:
    assert "sealed" not in repr(after(*CHECKING)).replace("Sealed(***)", "")
