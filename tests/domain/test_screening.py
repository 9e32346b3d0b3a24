"""Sanctions and PEP lists in the life of an application, rule by rule."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from uuid import UUID

import pytest

from kyc_service.domain.application import (
    AlertRaised,
    ApplicationNotInReview,
    ApplicationRejected,
    ApplicationReviewed,
    ApplicationSubmitted,
    ApplicationVerified,
    Check,
    CheckAnswered,
    Command,
    DecideHit,
    Document,
    DomainError,
    Event,
    Evidence,
    HitDecided,
    HitDecidedAlready,
    HitDelisted,
    HitNotFound,
    HitReopened,
    HitsUndecided,
    LapseClearance,
    Mode,
    PersonScreened,
    RecordAlert,
    RecordAnswer,
    RecordScreening,
    ReferScreening,
    ResubmissionRequested,
    ReviewApplication,
    ReviewDecision,
    ReviewRequested,
    ScreeningStarted,
    Sealed,
    State,
    Status,
    Terms,
    VerificationStarted,
    decide,
    evolve,
)
from kyc_service.domain.clearance import Basis, Hit, HitDecision, ListVersion, ScreeningTerms
from kyc_service.domain.findings import Verdict
from kyc_service.saga.verification import Discharge, Enrol, Later, Screen, react

TERMS = Terms(
    mode=Mode.LIVE,
    uploaded_route=("builtin",),
    missing_route=(),
    max_resubmissions=1,
    resubmission=timedelta(days=14),
    completion=timedelta(days=30),
    answer=timedelta(hours=24),
    screening=ScreeningTerms(review_from=0.5),
)
PASSPORT = Document(doc_type="PASSPORT", file_id=UUID(int=10), issued_country="NL", uploaded=True)
BASIS = Basis(engine="1", lists=(ListVersion(list="sdn", version="v7"),), review_from=0.5)
LATER = replace(BASIS, lists=(ListVersion(list="sdn", version="v8"),))
HIT = Hit(id=UUID(int=31), list="sdn", entry="sdn:1", probability=0.8)
OTHER = Hit(id=UUID(int=32), list="sdn", entry="sdn:2", probability=0.6)

SUBMITTED = ApplicationSubmitted(
    user_id=UUID(int=1), documents=(PASSPORT,), terms=TERMS, person=Sealed(entry=UUID(int=20), box=b"sealed")
)


def round_of_checks(number: int = 1) -> VerificationStarted:
    check = Check(key=f"{number}.1", file_id=PASSPORT.file_id, route=TERMS.uploaded_route)
    return VerificationStarted(round=number, checks=(check,))


def answered(verdict: Verdict, check: str = "1.1") -> CheckAnswered:
    return CheckAnswered(check=check, vendor="builtin", verdict=verdict, reasons=())


def answer(verdict: Verdict, check: str = "1.1") -> RecordAnswer:
    return RecordAnswer(check=check, vendor="builtin", verdict=verdict, reasons=())


def screening(*hits: Hit, number: int = 1) -> RecordScreening:
    return RecordScreening(round=number, basis=BASIS, hits=hits)


def screened(*hits: Hit) -> PersonScreened:
    return PersonScreened(basis=BASIS, hits=hits)


def judge(hit: Hit, decision: HitDecision) -> DecideHit:
    return DecideHit(hit=hit.id, decision=decision, reason="SANCTIONS_OTHER_PERSON", reviewer="carl")


def judged(hit: Hit, decision: HitDecision) -> HitDecided:
    return HitDecided(hit=hit.id, decision=decision, reason="SANCTIONS_OTHER_PERSON", reviewer="carl")


def verified(basis: Basis = BASIS, *reasons: str) -> ApplicationVerified:
    return ApplicationVerified(evidence=Evidence.LIVE, reasons=reasons or ("OK_VERIFIED",), screening=basis)


REJECTED = ApplicationRejected(evidence=Evidence.LIVE, reasons=("SANCTIONS_CONFIRMED",))
POSSIBLE = ReviewRequested(reasons=("SANCTIONS_POSSIBLE_MATCH",))

CHECKING = (SUBMITTED, round_of_checks())
SCREENING = (*CHECKING, answered(Verdict.CLEAR), ScreeningStarted(round=1))
HELD = (*SCREENING, screened(HIT, OTHER), POSSIBLE)
VERIFIED = (*SCREENING, screened(), verified())
ALERTED = (*VERIFIED, AlertRaised(basis=LATER, hits=(HIT,)))


def after(*history: Event) -> State:
    return reduce(evolve, history, None)


def decided(command: Command, *history: Event) -> Sequence[Event]:
    return tuple(decide(command, after(*history)))


def refused(command: Command, error: type[DomainError], *history: Event) -> None:
    with pytest.raises(error):
        decide(command, after(*history))


def test_the_lists_are_asked_once_the_identity_is_established() -> None:
    assert decided(answer(Verdict.CLEAR), *CHECKING) == (answered(Verdict.CLEAR), ScreeningStarted(round=1))
    state = after(*SCREENING)
    assert state
    assert react(ScreeningStarted(round=1), state) == [Screen(round=1)]


def test_an_applicant_cannot_tell_that_the_lists_are_being_asked() -> None:
    checking, asking = after(*CHECKING), after(*SCREENING)
    assert checking
    assert asking
    assert (asking.status, asking.awaiting) == (checking.status, checking.awaiting)


def test_a_person_whom_no_list_knows_is_verified_and_the_decision_names_the_lists() -> None:
    assert decided(screening(), *SCREENING) == (screened(), verified())


def test_a_possible_hit_goes_to_a_person() -> None:
    assert decided(screening(HIT, OTHER), *SCREENING) == (screened(HIT, OTHER), POSSIBLE)


def test_a_person_is_screened_after_a_reviewer_approved_too() -> None:
    reviewing = (*CHECKING, answered(Verdict.REVIEW), ReviewRequested(reasons=("DATA_NAME_MISMATCH",)))
    approve = ReviewApplication(
        decision=ReviewDecision.APPROVE, reason="CASE_REVIEW_APPROVED", reviewer="anna", note=None
    )
    approved = ApplicationReviewed(
        decision=ReviewDecision.APPROVE, reason="CASE_REVIEW_APPROVED", reviewer="anna", note=None
    )
    assert decided(approve, *reviewing) == (approved, ScreeningStarted(round=1))
    assert decided(screening(), *reviewing, approved, ScreeningStarted(round=1)) == (
        screened(),
        verified(BASIS, "CASE_REVIEW_APPROVED"),
    )


def test_the_application_goes_on_when_the_last_hit_is_cleared() -> None:
    first = judged(HIT, HitDecision.CLEARED)
    assert decided(judge(HIT, HitDecision.CLEARED), *HELD) == (first,)
    assert decided(judge(OTHER, HitDecision.CLEARED), *HELD, first) == (judged(OTHER, HitDecision.CLEARED), verified())


def test_a_confirmed_hit_rejects() -> None:
    assert decided(judge(OTHER, HitDecision.CONFIRMED), *HELD) == (judged(OTHER, HitDecision.CONFIRMED), REJECTED)


def test_a_reviewer_cannot_approve_past_an_open_hit() -> None:
    approve = ReviewApplication(decision=ReviewDecision.APPROVE, reason="CASE_REVIEW_APPROVED", reviewer="anna")
    refused(approve, HitsUndecided, *HELD)


def test_a_hit_is_decided_once() -> None:
    history = (*HELD, judged(HIT, HitDecision.CLEARED))
    assert decided(judge(HIT, HitDecision.CLEARED), *history) == ()
    refused(judge(HIT, HitDecision.CONFIRMED), HitDecidedAlready, *history)


def test_a_hit_that_nobody_found_cannot_be_decided() -> None:
    refused(judge(HIT, HitDecision.CLEARED), HitNotFound, *SCREENING)
    refused(judge(HIT, HitDecision.CLEARED), HitNotFound, *VERIFIED)


def test_a_hit_of_an_application_that_is_over_cannot_be_decided() -> None:
    history = (*HELD, judged(OTHER, HitDecision.CONFIRMED), REJECTED)
    refused(judge(HIT, HitDecision.CLEARED), ApplicationNotInReview, *history)


@pytest.mark.parametrize("late", [CHECKING, HELD, VERIFIED])
def test_an_answer_of_the_lists_that_nobody_waits_for_changes_nothing(late: Sequence[Event]) -> None:
    assert decided(screening(HIT), *late) == ()
    assert decided(screening(HIT, number=2), *SCREENING) == ()


def test_a_person_without_a_name_goes_to_a_reviewer_and_is_never_verified_unasked() -> None:
    refer = ReferScreening(round=1, reason="ID_MISSING_NAME")
    assert decided(refer, *SCREENING) == (ReviewRequested(reasons=("ID_MISSING_NAME",)),)
    referred = (*SCREENING, ReviewRequested(reasons=("ID_MISSING_NAME",)))
    approve = ReviewApplication(decision=ReviewDecision.APPROVE, reason="CASE_REVIEW_APPROVED", reviewer="anna")
    assert decided(approve, *referred)[-1] == ScreeningStarted(round=1)
    assert decided(refer, *CHECKING) == ()


def test_what_was_decided_of_a_hit_holds_in_the_next_round_while_the_facts_are_the_same() -> None:
    again = (
        *HELD,
        judged(HIT, HitDecision.CLEARED),
        ResubmissionRequested(round=1, reasons=("DOC_UNREADABLE",)),
        round_of_checks(2),
        answered(Verdict.CLEAR, "2.1"),
        ScreeningStarted(round=2),
    )
    cleared = replace(HIT, decision=HitDecision.CLEARED)
    assert decided(screening(HIT, number=2), *again) == (screened(cleared), verified())
    assert decided(screening(HIT, OTHER, number=2), *again) == (screened(cleared, OTHER), POSSIBLE)


def test_clearing_a_hit_of_an_earlier_round_does_not_answer_for_the_documents_of_this_one() -> None:
    in_document_review = (
        *HELD,
        judged(HIT, HitDecision.CLEARED),
        ResubmissionRequested(round=1, reasons=("DOC_UNREADABLE",)),
        round_of_checks(2),
        answered(Verdict.REVIEW, "2.1"),
        ReviewRequested(reasons=("DATA_NAME_MISMATCH",)),
    )
    assert decided(judge(OTHER, HitDecision.CLEARED), *in_document_review) == (judged(OTHER, HitDecision.CLEARED),)


def test_an_alarm_is_raised_for_what_is_new_and_only_once() -> None:
    alert = RecordAlert(basis=LATER, hits=(HIT,))
    assert decided(alert, *VERIFIED) == (AlertRaised(basis=LATER, hits=(HIT,)),)
    assert decided(alert, *ALERTED) == ()
    assert decided(RecordAlert(basis=LATER, hits=(HIT, OTHER)), *ALERTED) == (AlertRaised(basis=LATER, hits=(OTHER,)),)


@pytest.mark.parametrize("history", [CHECKING, SCREENING, HELD])
def test_only_who_is_verified_is_watched(history: Sequence[Event]) -> None:
    assert decided(RecordAlert(basis=LATER, hits=(OTHER,)), *history) == ()


def test_an_alarm_leaves_the_person_verified_until_somebody_confirms_it() -> None:
    state = after(*ALERTED)
    assert state
    assert (state.status, state.awaiting) == (Status.VERIFIED, None)
    assert decided(judge(HIT, HitDecision.CLEARED), *ALERTED) == (judged(HIT, HitDecision.CLEARED),)
    assert decided(judge(HIT, HitDecision.CONFIRMED), *ALERTED) == (judged(HIT, HitDecision.CONFIRMED), REJECTED)


CLEARED = (*ALERTED, judged(HIT, HitDecision.CLEARED))
REOPENED = HitReopened(hit=HIT.id, basis=LATER)


def lapse(reopened: int = 0) -> LapseClearance:
    return LapseClearance(hit=HIT.id, reopened=reopened)


@pytest.mark.parametrize(
    ("history", "reopened"), [(CLEARED, 0), ((*CLEARED, REOPENED, judged(HIT, HitDecision.CLEARED)), 1)]
)
def test_a_hit_is_cleared_for_a_time(history: Sequence[Event], reopened: int) -> None:
    state = after(*history)
    assert state
    assert react(history[-1], state) == [Later(command=lapse(reopened), after=timedelta(days=365))]


@pytest.mark.parametrize(("days", "kept"), [(30, timedelta(days=30)), (365, None), (3650, None)])
def test_an_officer_can_shorten_the_time_and_not_prolong_it(days: int, kept: timedelta | None) -> None:
    command = replace(judge(HIT, HitDecision.CLEARED), cleared_for=timedelta(days=days))
    cleared = replace(judged(HIT, HitDecision.CLEARED), cleared_for=kept)
    assert decided(command, *ALERTED) == (cleared,)
    state = after(*ALERTED, cleared)
    assert state
    assert react(cleared, state) == [Later(command=lapse(), after=timedelta(days=min(days, 365)))]


def test_nothing_is_awaited_of_a_hit_that_was_confirmed() -> None:
    history = (*ALERTED, judged(HIT, HitDecision.CONFIRMED))
    state = after(*history)
    assert state
    assert react(history[-1], state) == []


def test_when_its_time_is_over_a_cleared_hit_is_open_again_and_the_person_still_verified() -> None:
    assert decided(lapse(), *CLEARED) == (REOPENED,)
    state = after(*CLEARED, REOPENED)
    assert state
    assert state.clearance
    assert (state.status, state.awaiting) == (Status.VERIFIED, None)
    assert state.clearance.open == (replace(HIT, reopened=1),)
    assert react(REOPENED, state) == []


def test_a_cleared_hit_whose_entry_left_the_lists_is_forgotten_and_a_new_one_should_it_come_back() -> None:
    gone = replace(lapse(), absent_from=LATER.lists)
    delisted = HitDelisted(hit=HIT.id, lists=LATER.lists)
    assert decided(gone, *CLEARED) == (delisted,)
    history = (*CLEARED, delisted)
    state = after(*history)
    assert state
    assert (state.status, state.clearance and state.clearance.hits, react(delisted, state)) == (Status.VERIFIED, (), [])
    assert decided(gone, *history) == ()
    assert decided(RecordAlert(basis=LATER, hits=(HIT,)), *history) == (AlertRaised(basis=LATER, hits=(HIT,)),)


def test_a_hit_that_waits_for_a_decision_stays_when_its_entry_left_the_lists() -> None:
    assert decided(replace(lapse(), absent_from=LATER.lists), *ALERTED) == ()


def test_a_clearance_lapses_once_and_the_next_one_for_itself() -> None:
    again = (*CLEARED, REOPENED, judged(HIT, HitDecision.CLEARED))
    assert decided(lapse(), *CLEARED, REOPENED) == ()
    assert decided(lapse(), *again) == ()
    assert decided(lapse(1), *again) == (REOPENED,)


def test_a_hit_that_was_reopened_can_be_cleared_and_confirmed() -> None:
    reopened = (*CLEARED, REOPENED)
    assert decided(judge(HIT, HitDecision.CLEARED), *reopened) == (judged(HIT, HitDecision.CLEARED),)
    assert decided(judge(HIT, HitDecision.CONFIRMED), *reopened) == (judged(HIT, HitDecision.CONFIRMED), REJECTED)


@pytest.mark.parametrize(
    "history",
    [CHECKING, VERIFIED, ALERTED, (*ALERTED, judged(HIT, HitDecision.CONFIRMED), REJECTED)],
    ids=["no screening", "no hit", "open", "rejected"],
)
def test_nothing_lapses_where_nothing_is_cleared(history: Sequence[Event]) -> None:
    assert decided(lapse(), *history) == ()


def test_no_application_that_is_over_is_opened_again() -> None:
    cleared = (*HELD, judged(HIT, HitDecision.CLEARED), judged(OTHER, HitDecision.CONFIRMED), REJECTED)
    assert decided(lapse(), *cleared) == ()


def test_nobody_is_verified_by_what_was_cleared_too_long_ago() -> None:
    lapsed = (
        *HELD,
        judged(HIT, HitDecision.CLEARED),
        ResubmissionRequested(round=1, reasons=("DOC_UNREADABLE",)),
        HitReopened(hit=HIT.id, basis=BASIS),
        round_of_checks(2),
        answered(Verdict.CLEAR, "2.1"),
        ScreeningStarted(round=2),
    )
    assert decided(lapse(), *lapsed[:-4]) == (HitReopened(hit=HIT.id, basis=BASIS),)
    assert decided(screening(HIT, number=2), *lapsed) == (screened(replace(HIT, reopened=1)), POSSIBLE)


def test_who_was_screened_and_verified_is_watched_until_they_are_rejected() -> None:
    state, rejected = after(*VERIFIED), after(*ALERTED, judged(HIT, HitDecision.CONFIRMED), REJECTED)
    assert state
    assert rejected
    assert react(verified(), state) == [Enrol()]
    assert react(REJECTED, rejected) == [Discharge()]
    unscreened = after(replace(SUBMITTED, terms=replace(TERMS, screening=None)), round_of_checks())
    assert unscreened
    assert react(verified(), unscreened) == []


def test_an_application_from_before_there_were_lists_is_decided_as_it_was() -> None:
    unscreened = replace(SUBMITTED, terms=replace(TERMS, screening=None))
    assert decided(answer(Verdict.CLEAR), unscreened, round_of_checks())[-1] == ApplicationVerified(
        evidence=Evidence.LIVE, reasons=("OK_VERIFIED",), screening=None
    )
