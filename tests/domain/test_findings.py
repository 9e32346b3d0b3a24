"""How findings become a verdict, and what an applicant may read of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_service.domain.findings import Category, Finding, Outcome, Severity, Verdict, judge, reasons_of
from kyc_service.domain.reasons import GENERIC_TEXT, REASONS, Disclosure, applicant_texts


def finding(outcome: Outcome, severity: Severity, *reasons: str) -> Finding:
    return Finding(id="document.test", category=Category.DOCUMENT, outcome=outcome, severity=severity, reasons=reasons)


PASSED = finding(Outcome.PASS, Severity.BLOCKING)


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([PASSED], Verdict.CLEAR),
        ([PASSED, finding(Outcome.NOT_PERFORMED, Severity.INFO)], Verdict.CLEAR),
        ([PASSED, finding(Outcome.WARN, Severity.LOW, "DOC_MINOR_MISMATCH")], Verdict.CLEAR),
        ([PASSED, finding(Outcome.FAIL, Severity.BLOCKING, "DOC_EXPIRED")], Verdict.REJECT),
        ([PASSED, finding(Outcome.FAIL, Severity.HIGH, "DATA_NAME_MISMATCH")], Verdict.REVIEW),
        ([PASSED, finding(Outcome.WARN, Severity.HIGH, "MRZ_REPAIRED")], Verdict.REVIEW),
        ([PASSED, finding(Outcome.ERROR, Severity.HIGH, "VENDOR_FAULT")], Verdict.REVIEW),
        ([PASSED, finding(Outcome.UNCLEAR, Severity.HIGH, "DOC_UNREADABLE")], Verdict.RETRY),
        ([PASSED, finding(Outcome.UNCLEAR, Severity.HIGH, "FACE_UNCLEAR")], Verdict.REVIEW),
    ],
)
def test_each_kind_of_finding_has_its_verdict(findings: list[Finding], verdict: Verdict) -> None:
    assert judge(findings) is verdict


def test_finding_nothing_is_no_approval() -> None:
    assert judge([]) is Verdict.REVIEW


def test_light_findings_alone_are_no_approval() -> None:
    assert judge([finding(Outcome.PASS, Severity.LOW)]) is Verdict.REVIEW


def test_a_missing_capability_is_never_a_pass() -> None:
    assert judge([PASSED, finding(Outcome.NOT_PERFORMED, Severity.HIGH, "ENGINE_NOT_INSTALLED")]) is Verdict.REVIEW


@pytest.mark.parametrize("severity", Severity)
def test_a_code_that_nobody_knows_goes_to_a_person_even_when_it_passed(severity: Severity) -> None:
    assert judge([PASSED, finding(Outcome.PASS, severity, "NEW_CODE_OF_A_VENDOR")]) is Verdict.REVIEW


def test_a_blocking_failure_for_an_unknown_reason_does_not_reject_by_itself() -> None:
    assert judge([finding(Outcome.FAIL, Severity.BLOCKING, "NEW_CODE_OF_A_VENDOR")]) is Verdict.REVIEW


def test_a_failure_is_looked_at_by_a_person_before_the_applicant_is_asked_for_another_picture() -> None:
    findings = [
        finding(Outcome.FAIL, Severity.HIGH, "DATA_DOB_MISMATCH"),
        finding(Outcome.UNCLEAR, Severity.HIGH, "IMAGE_BLURRED"),
    ]
    assert judge(findings) is Verdict.REVIEW


FINDINGS = st.lists(
    st.builds(
        finding,
        st.sampled_from(Outcome),
        st.sampled_from(Severity),
        st.sampled_from([*REASONS, "NEW_CODE_OF_A_VENDOR"]),
    ),
    max_size=6,
)


@given(FINDINGS)
def test_only_what_was_looked_at_and_passed_is_clear(findings: list[Finding]) -> None:
    weighty = [f for f in findings if f.severity in (Severity.HIGH, Severity.BLOCKING)]
    if judge(findings) is Verdict.CLEAR:
        assert weighty
        assert all(f.outcome is Outcome.PASS for f in weighty)
        assert all(code in REASONS for f in findings for code in f.reasons)


@given(FINDINGS, FINDINGS)
def test_more_findings_never_turn_a_doubt_into_an_approval(some: list[Finding], more: list[Finding]) -> None:
    if (
        some
        and judge(some) is not Verdict.CLEAR
        and any(f.severity in (Severity.HIGH, Severity.BLOCKING) for f in some)
    ):
        assert judge([*some, *more]) is not Verdict.CLEAR


def test_reasons_are_named_once_and_only_those_that_weigh() -> None:
    findings = [
        finding(Outcome.FAIL, Severity.HIGH, "DATA_NAME_MISMATCH", "DATA_DOB_MISMATCH"),
        finding(Outcome.FAIL, Severity.HIGH, "DATA_NAME_MISMATCH"),
        finding(Outcome.WARN, Severity.LOW, "DOC_MINOR_MISMATCH"),
        finding(Outcome.PASS, Severity.HIGH, "OK_VERIFIED"),
    ]
    assert reasons_of(findings) == ("DATA_NAME_MISMATCH", "DATA_DOB_MISMATCH")


# ── what an applicant may read ────────────────────────────────────────────────────


def test_an_open_reason_is_told_in_its_own_words() -> None:
    assert applicant_texts(["DOC_EXPIRED"]) == (REASONS["DOC_EXPIRED"].text,)


@pytest.mark.parametrize("code", [code for code, reason in REASONS.items() if reason.tips_off])
def test_a_code_that_would_tip_off_silences_every_other(code: str) -> None:
    assert applicant_texts(["DOC_EXPIRED", code, "IMAGE_BLURRED"]) == (GENERIC_TEXT,)


def test_a_generic_reason_sounds_like_one_that_would_tip_off() -> None:
    assert applicant_texts(["VENDOR_UNAVAILABLE"]) == applicant_texts(["SUSPICION_RAISED"])


def test_a_silent_reason_is_not_told_at_all() -> None:
    assert applicant_texts(["OK_VERIFIED", "CASE_REVIEW_APPROVED"]) == ()


def test_a_code_that_nobody_knows_is_told_in_general_words() -> None:
    assert applicant_texts(["NEW_CODE_OF_A_VENDOR"]) == (GENERIC_TEXT,)


def test_every_open_reason_has_words() -> None:
    assert all(reason.text for reason in REASONS.values() if reason.disclosure is Disclosure.OPEN)
