"""What an applicant may learn of a reason."""

from itertools import combinations

from kyc_service.api.representation import UNSPECIFIED, reasons
from kyc_service.domain.reasons import GENERIC_TEXT, REASONS, Disclosure


def test_an_open_reason_is_told_with_its_code() -> None:
    assert reasons(("DOC_EXPIRED",)) == [{"code": "DOC_EXPIRED", "text": REASONS["DOC_EXPIRED"].text}]


def test_a_reason_that_would_tip_off_silences_every_other() -> None:
    generic = [{"code": UNSPECIFIED, "text": GENERIC_TEXT}]
    for code in (code for code, reason in REASONS.items() if reason.tips_off):
        assert reasons(("DOC_EXPIRED", code)) == generic
        assert reasons((code,)) == generic


def test_no_code_leaves_that_is_not_open() -> None:
    for codes in combinations(REASONS, 2):
        for told in reasons(codes):
            assert told["code"] == UNSPECIFIED or REASONS[told["code"]].disclosure is Disclosure.OPEN
            assert told["code"] in {*codes, UNSPECIFIED}


def test_a_code_that_nobody_knows_is_not_told() -> None:
    assert reasons(("FROM_THE_FUTURE",)) == [{"code": UNSPECIFIED, "text": GENERIC_TEXT}]


def test_nothing_is_told_when_there_is_nothing_to_tell() -> None:
    assert reasons(()) == []
    assert reasons(("OK_VERIFIED",)) == []
