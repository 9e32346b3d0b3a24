"""Which work each event calls for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from uuid import UUID

import pytest

from kyc_service.domain.application import (
    Application,
    ApplicationAmended,
    ApplicationRejected,
    ApplicationSubmitted,
    ApplicationVerified,
    Check,
    CheckStarted,
    Document,
    Event,
    Evidence,
    LapseAnswer,
    LapseCompletion,
    LapseResubmission,
    Mode,
    ResubmissionRequested,
    RollbackStarted,
    Sealed,
    State,
    Step,
    StepCompensated,
    Terms,
    VendorGivenUp,
    VerificationStarted,
    evolve,
)
from kyc_service.saga.verification import ForgetSelfie, Later, Order, RunCheck, Undo, claims, react

TERMS = Terms(
    mode=Mode.SANDBOX,
    uploaded_route=("builtin", "other"),
    missing_route=("simulated",),
    max_resubmissions=1,
    resubmission=timedelta(days=14),
    completion=timedelta(days=30),
    answer=timedelta(hours=24),
)
PASSPORT = Document(doc_type="PASSPORT", file_id=UUID(int=10), issued_country="NL", uploaded=True)
UNSEEN = Document(doc_type="PASSPORT", file_id=UUID(int=11), issued_country="NL", uploaded=False)
SUBMITTED = ApplicationSubmitted(
    user_id=UUID(int=1), documents=(PASSPORT, UNSEEN), terms=TERMS, person=Sealed(entry=UUID(int=2), box=b"x")
)
STARTED = VerificationStarted(
    round=1,
    checks=(
        Check(key="1.1", file_id=PASSPORT.file_id, route=("builtin", "other")),
        Check(key="1.2", file_id=UNSEEN.file_id, route=("simulated",)),
    ),
)
GIVEN_UP = VendorGivenUp(check="1.1", vendor="builtin", cause="c")
GIVEN_UP_TOO = VendorGivenUp(check="1.1", vendor="other", cause="c")
ROLLBACK = RollbackStarted(check="1.1", cause="c")


SELFIE = Document(doc_type="SELFIE", file_id=UUID(int=12), issued_country="NL", uploaded=True)


def orders_after(*history: Event) -> Sequence[Order]:
    state: State = reduce(evolve, history, None)
    assert state is not None
    return react(history[-1], state)


def test_every_check_is_put_to_the_first_vendor_of_its_route() -> None:
    assert orders_after(SUBMITTED, STARTED) == [
        RunCheck(check="1.1", vendor="builtin"),
        RunCheck(check="1.2", vendor="simulated"),
    ]


def test_an_incomplete_application_lapses_one_day() -> None:
    empty = ApplicationSubmitted(user_id=UUID(int=1), documents=(), terms=TERMS, person=SUBMITTED.person)
    assert orders_after(empty) == [Later(command=LapseCompletion(), after=TERMS.completion)]
    assert orders_after(SUBMITTED) == []


def test_the_next_vendor_is_asked_when_one_is_given_up() -> None:
    assert orders_after(SUBMITTED, STARTED, GIVEN_UP) == [RunCheck(check="1.1", vendor="other")]
    assert orders_after(SUBMITTED, STARTED, GIVEN_UP, GIVEN_UP_TOO) == []


def test_a_vendor_that_answers_later_has_a_deadline() -> None:
    started = CheckStarted(check="1.1", vendor="builtin", reference="r")
    assert orders_after(SUBMITTED, STARTED, started) == [
        Later(command=LapseAnswer(check="1.1", vendor="builtin"), after=TERMS.answer)
    ]


def test_a_new_picture_is_waited_for_as_long_as_the_terms_say() -> None:
    asked = ResubmissionRequested(round=1, reasons=("DOC_UNREADABLE",))
    assert orders_after(SUBMITTED, STARTED, asked) == [
        Later(command=LapseResubmission(round=1), after=TERMS.resubmission)
    ]


CLAIM = Step(name="claim-documents")
FIRST = Step(name="check 1.1", check="1.1", vendor="builtin")
SIMULATED = Step(name="check 1.2", check="1.2", vendor="simulated")
SECOND = Step(name="check 1.1", check="1.1", vendor="other")


def test_a_rollback_undoes_one_step_after_the_other_newest_first() -> None:
    history: list[Event] = [SUBMITTED, STARTED, GIVEN_UP, GIVEN_UP_TOO, ROLLBACK]
    for step in (SECOND, SIMULATED, FIRST, CLAIM):
        assert orders_after(*history) == [Undo(step=step)]
        history.append(StepCompensated(step=step, receipt="r"))
    assert orders_after(*history) == []


@pytest.mark.parametrize(("events", "claimed"), [((SUBMITTED, STARTED), [PASSPORT.file_id]), ((SUBMITTED,), [])])
def test_uploaded_files_are_claimed_when_their_verification_starts(
    events: Sequence[Event], claimed: Sequence[UUID]
) -> None:
    state: Application | None = reduce(evolve, events, None)
    assert state is not None
    assert list(claims(events, state)) == claimed


SELFIE_STARTED = VerificationStarted(round=1, checks=(Check(key="1.1", file_id=SELFIE.file_id, route=("builtin",)),))
VERIFIED = ApplicationVerified(evidence=Evidence.LIVE, reasons=("OK_VERIFIED",))
REJECTED = ApplicationRejected(evidence=Evidence.LIVE, reasons=("DOC_EXPIRED",))


@pytest.mark.parametrize("decision", [VERIFIED, REJECTED])
def test_a_selfie_is_erased_as_soon_as_the_decision_is_taken(decision: Event) -> None:
    with_selfie = replace(SUBMITTED, documents=(PASSPORT, SELFIE))
    assert orders_after(with_selfie, SELFIE_STARTED, decision) == [ForgetSelfie(file_id=SELFIE.file_id)]


def test_a_selfie_that_was_replaced_by_a_better_one_is_erased_too() -> None:
    better = replace(SELFIE, file_id=UUID(int=13))
    history = (
        replace(SUBMITTED, documents=(SELFIE,)),
        SELFIE_STARTED,
        ApplicationAmended(documents=(better,)),
        VerificationStarted(round=2, checks=(Check(key="2.1", file_id=better.file_id, route=("builtin",)),)),
    )
    erased = [ForgetSelfie(file_id=SELFIE.file_id), ForgetSelfie(file_id=better.file_id)]
    assert orders_after(*history, VERIFIED) == erased


def test_a_selfie_stays_where_the_terms_say_so_and_documents_always_do() -> None:
    kept = replace(SUBMITTED, documents=(SELFIE,), terms=replace(TERMS, keep_selfies=True))
    assert orders_after(kept, SELFIE_STARTED, VERIFIED) == []
    assert orders_after(SUBMITTED, STARTED, VERIFIED) == []
