"""Readings held against what was announced and declared, and the verdict that follows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from kyc_service.documents.checks import Announced, Declared, examine, fields
from kyc_service.documents.countries import ALPHA_3_TO_2, alpha_2
from kyc_service.documents.decipher import Deciphered
from kyc_service.documents.mrz import Format, Particulars, format_td1, format_td3, parse
from kyc_service.documents.readings import Reading
from kyc_service.documents.transliteration import Name
from kyc_service.domain.findings import Finding, Outcome, Severity, Verdict, judge, reasons_of
from kyc_service.domain.reasons import REASONS

TODAY = date(2026, 11, 24)
HOLDER = Particulars(
    code="P",
    issuer="NLD",
    number="SPEC12345",
    surname="Müller",
    given_names="Anna Maria",
    nationality="D",
    birth=date(1990, 2, 28),
    sex="F",
    expiry=date(2030, 1, 1),
)
PASSPORT = Announced(doc_type="PASSPORT", issued_country="NL")
TRUTH = Declared(
    name=Name(surname="Müller", given_names="Anna Maria"),
    birth_date=date(1990, 2, 28),
    nationality="DE",
    sex="F",
    number="spec 12345",
)
NOBODY = Declared()


def reading(holder: Particulars = HOLDER, **zone: object) -> Reading:
    lines = format_td1(holder) if holder.code[0] != "P" else format_td3(holder)
    deciphered = replace(Deciphered(zone=parse(lines)), **zone)  # type: ignore[arg-type]  # a test's shorthand
    return Reading(width=1500, height=1000, sharpness=400, lines_of_text=20, zone=deciphered)


def examined(
    read: Reading, declared: Declared = NOBODY, announced: Announced = PASSPORT
) -> tuple[Verdict, tuple[str, ...]]:
    findings = examine(read, declared, announced, TODAY)
    return judge(findings), reasons_of(findings)


def finding(findings: Sequence[Finding], name: str) -> Finding:
    return next(one for one in findings if one.id == name)


def test_a_good_document_is_clear() -> None:
    assert examined(reading(), TRUTH) == (Verdict.CLEAR, ())


def test_a_good_document_of_somebody_who_declared_nothing_is_clear_but_compared_with_nothing() -> None:
    findings = examine(reading(), NOBODY, PASSPORT, TODAY)
    assert judge(findings) is Verdict.CLEAR
    compared = [one.outcome for one in findings if one.id.startswith("data.")]
    assert compared == [Outcome.NOT_PERFORMED] * 5


def test_what_the_engine_cannot_do_is_said_and_never_passed() -> None:
    findings = examine(reading(), TRUTH, PASSPORT, TODAY)
    absent = {one.id for one in findings if one.outcome is Outcome.NOT_PERFORMED and one.severity is Severity.INFO}
    assert absent == {"document.visual_zone", "document.authenticity", "face.match", "face.liveness"}


def test_an_expired_document_is_rejected() -> None:
    expired = reading(replace(HOLDER, expiry=date(2026, 11, 23)))
    assert examined(expired, TRUTH) == (Verdict.REJECT, ("DOC_EXPIRED",))


def test_a_document_is_valid_on_its_last_day() -> None:
    assert examined(reading(replace(HOLDER, expiry=TODAY)), TRUTH) == (Verdict.CLEAR, ())


def test_an_expiry_that_had_to_be_guessed_does_not_reject_by_itself() -> None:
    expired = reading(replace(HOLDER, expiry=date(2020, 1, 1)), repaired=((1, 22),))
    assert examined(expired) == (Verdict.REVIEW, ("MRZ_REPAIRED", "DOC_EXPIRED"))


@pytest.mark.parametrize("reason", ["IMAGE_UNDECODABLE", "IMAGE_TOO_SMALL", "IMAGE_TOO_LARGE"])
def test_a_picture_that_cannot_be_used_is_asked_for_again(reason: str) -> None:
    assert examined(Reading(refused=reason)) == (Verdict.RETRY, (reason,))


@pytest.mark.parametrize(
    ("unread", "reason"),
    [
        (Reading(sharpness=20, lines_of_text=2), "IMAGE_BLURRED"),
        (Reading(sharpness=300, lines_of_text=0), "IMAGE_NO_DOCUMENT"),
        (Reading(sharpness=300, lines_of_text=9), "MRZ_NOT_FOUND"),
    ],
)
def test_a_document_that_cannot_be_read_is_asked_for_again(unread: Reading, reason: str) -> None:
    assert examined(unread, TRUTH) == (Verdict.RETRY, (reason,))


def test_how_blurred_a_picture_was_is_said() -> None:
    found = finding(examine(Reading(sharpness=20), NOBODY, PASSPORT, TODAY), "document.readable")
    assert found.measured is not None
    assert (found.measured.value, found.measured.threshold) == (20, 90)


def test_wrong_check_digits_are_asked_for_again_and_nothing_is_believed() -> None:
    first, second = format_td3(replace(HOLDER, expiry=date(2020, 1, 1)))
    wrong = Deciphered(zone=parse((first, second[:9] + "0" + second[10:])))
    read = Reading(sharpness=300, lines_of_text=9, zone=wrong)
    assert examined(read, TRUTH) == (Verdict.RETRY, ("MRZ_CHECK_DIGIT",))
    assert fields(read, TODAY) == ()


def test_a_repaired_zone_goes_to_a_person() -> None:
    assert examined(reading(repaired=((1, 3),)), TRUTH) == (Verdict.REVIEW, ("MRZ_REPAIRED",))


def test_an_ambiguous_zone_goes_to_a_person_and_not_back_to_the_applicant() -> None:
    assert examined(reading(alternatives=1), TRUTH) == (Verdict.REVIEW, ("MRZ_AMBIGUOUS",))


@pytest.mark.parametrize("doc_type", ["DRIVING_LICENCE", "UTILITY_BILL", "SELFIE", "", "passport of another kind"])
def test_a_document_that_no_machine_here_reads_goes_to_a_person(doc_type: str) -> None:
    announced = Announced(doc_type=doc_type, issued_country="NL")
    assert examined(reading(), TRUTH, announced) == (Verdict.REVIEW, ("DOC_TYPE_UNSUPPORTED",))


def test_another_kind_of_document_than_announced_is_asked_for_again() -> None:
    announced = Announced(doc_type="NATIONAL_ID", issued_country="NL")
    assert examined(reading(), TRUTH, announced) == (Verdict.RETRY, ("DOC_TYPE_MISMATCH",))


def test_an_identity_card_is_a_national_id() -> None:
    card = reading(replace(HOLDER, code="ID"))
    assert examined(card, TRUTH, Announced(doc_type="NATIONAL_ID", issued_country="NL")) == (Verdict.CLEAR, ())


def test_a_document_of_another_country_goes_to_a_person() -> None:
    announced = Announced(doc_type="PASSPORT", issued_country="BE")
    assert examined(reading(), TRUTH, announced) == (Verdict.REVIEW, ("DOC_COUNTRY_MISMATCH",))


@pytest.mark.parametrize("issuer", ["UTO", "UNO", "QQQ"])
def test_a_document_of_no_country_is_never_clear(issuer: str) -> None:
    found = examined(reading(replace(HOLDER, issuer=issuer)), TRUTH)
    assert found == (Verdict.REVIEW, ("DOC_ISSUER_UNKNOWN",))


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (replace(TRUTH, name=Name(surname="Schmidt", given_names="Anna Maria")), "DATA_NAME_MISMATCH"),
        (replace(TRUTH, name=Name(surname="山田", given_names="太郎")), "DATA_NAME_MISMATCH"),
        (replace(TRUTH, birth_date=date(1990, 2, 27)), "DATA_DOB_MISMATCH"),
        (replace(TRUTH, birth_date=date(1890, 2, 28)), "DATA_DOB_MISMATCH"),
        (replace(TRUTH, nationality="NL"), "DATA_NATIONALITY_MISMATCH"),
        (replace(TRUTH, sex="M"), "DATA_SEX_MISMATCH"),
        (replace(TRUTH, number="SPEC12346"), "DATA_NUMBER_MISMATCH"),
    ],
)
def test_what_was_declared_must_stand_in_the_document(declared: Declared, reason: str) -> None:
    assert examined(reading(), declared) == (Verdict.REVIEW, (reason,))


def test_a_missing_middle_name_is_noted_and_clear() -> None:
    declared = replace(TRUTH, name=Name(surname="Müller", given_names="Anna"))
    findings = examine(reading(), declared, PASSPORT, TODAY)
    name = finding(findings, "data.name")
    assert (judge(findings), name.outcome, name.reasons) == (Verdict.CLEAR, Outcome.WARN, ("DOC_MINOR_MISMATCH",))


def test_the_applicant_says_the_century_that_the_zone_leaves_out() -> None:
    centenarian = reading(replace(HOLDER, birth=date(1921, 5, 6)))
    assert examined(centenarian, replace(TRUTH, birth_date=date(1921, 5, 6))) == (Verdict.CLEAR, ())


def test_a_document_that_leaves_the_sex_open_contradicts_nothing() -> None:
    assert examined(reading(replace(HOLDER, sex="X")), TRUTH) == (Verdict.CLEAR, ())


def test_an_unknown_date_of_birth_goes_to_a_person() -> None:
    unknown = reading(replace(HOLDER, birth=None))
    assert examined(unknown) == (Verdict.REVIEW, ("DATA_DOB_MISSING",))
    assert examined(unknown, TRUTH) == (Verdict.REVIEW, ("DATA_DOB_MISSING", "DATA_DOB_MISMATCH"))


def test_a_soft_picture_that_could_be_read_is_no_obstacle() -> None:
    findings = examine(replace(reading(), sharpness=120), TRUTH, PASSPORT, TODAY)
    assert (judge(findings), finding(findings, "image.sharpness").outcome) == (Verdict.CLEAR, Outcome.WARN)


def test_the_fields_say_what_was_read_and_how_surely() -> None:
    read = reading(repaired=((1, 3),), alternatives=2, sure=(("names", 0.7), ("number", 0.9)))
    found = {one.name: one for one in fields(read, TODAY)}
    values = {name: one.value for name, one in found.items()}
    assert values == {
        "document_code": "P",
        "issuer": "NLD",
        "number": "SPEC12345",
        "surname": "MUELLER",
        "given_names": "ANNA MARIA",
        "nationality": "D",
        "birth_date": "1990-02-28",
        "sex": "F",
        "expiry_date": "2030-01-01",
    }
    number = found["number"]
    assert (number.repaired, number.alternatives, number.confidence) == (True, 2, 0.9)
    assert (found["surname"].repaired, found["surname"].confidence) == (False, 0.7)


def test_every_reason_that_a_check_gives_is_in_the_catalogue() -> None:
    worst = reading(replace(HOLDER, code="V", issuer="UTO", birth=None, expiry=date(2020, 1, 1)))
    readings = (worst, reading(repaired=((1, 3),), alternatives=1), Reading(sharpness=20), Reading(sharpness=500))
    wrong = Declared(name=Name(surname="X"), birth_date=TODAY, nationality="FR", sex="M", number="1")
    given = {code for read in readings for one in examine(read, wrong, PASSPORT, TODAY) for code in one.reasons}
    assert len(given) > 10
    assert given <= REASONS.keys()


def test_states_are_known_by_both_their_codes() -> None:
    assert len(ALPHA_3_TO_2) == len(set(ALPHA_3_TO_2.values())) == 249
    codes = ("D", "DEU", "de", "GBD", "XKX", "RKS", "USA", "UTO", "XXA", "")
    assert [alpha_2(code) for code in codes] == ["DE", "DE", "DE", "GB", "XK", "XK", "US", None, None, None]


def test_a_visa_is_no_passport() -> None:
    assert parse(format_td1(replace(HOLDER, code="I"))).format is Format.TD1
