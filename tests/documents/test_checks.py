"""Readings held against what was announced and declared, and the verdict that follows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from kyc_service.documents.addresses import Address
from kyc_service.documents.checks import Announced, Beside, Declared, examine, fields
from kyc_service.documents.countries import ALPHA_3_TO_2, alpha_2
from kyc_service.documents.decipher import Deciphered
from kyc_service.documents.mrz import Format, Particulars, format_td1, format_td3, parse
from kyc_service.documents.portraits import FaceUse
from kyc_service.documents.readings import Face, Quality, Reading, Text, Traces
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
    return Reading(
        width=1500,
        height=1000,
        sharpness=400,
        lines_of_text=20,
        zone=deciphered,
        zone_corners=(CORNERS,) * len(lines),
        text=printed(holder),
        faces=(FACE,),
    )


CORNERS = ((100.0, 900.0), (1400.0, 900.0), (1400.0, 950.0), (100.0, 950.0))
FACE = Face(corners=((100, 200), (300, 200), (300, 450), (100, 450)), likely=0.9, share=0.03, height=250)


def printed(holder: Particulars) -> tuple[Text, ...]:
    """What stands on the holder's document besides the zone."""
    born = holder.birth.strftime("%d.%m.%Y") if holder.birth else "unknown"
    page = (
        "PASSPORT" if holder.code[0] == "P" else "IDENTITY CARD",
        holder.surname,
        holder.given_names,
        born,
        f"No. {holder.number}",
        holder.expiry.strftime("%d.%m.%Y"),
    )
    return words(*page)


def words(*lines: str) -> tuple[Text, ...]:
    return tuple(Text(text=line, likely=0.99, corners=CORNERS) for line in lines)


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
    assert absent == {"document.authenticity", "face.ghost", "face.match", "face.liveness"}


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
    assert [one.name for one in fields(read, TODAY)] == ["document_class"]


def test_a_repaired_zone_goes_to_a_person() -> None:
    assert examined(reading(repaired=((1, 3),)), TRUTH) == (Verdict.REVIEW, ("MRZ_REPAIRED",))


def test_an_ambiguous_zone_goes_to_a_person_and_not_back_to_the_applicant() -> None:
    assert examined(reading(alternatives=1), TRUTH) == (Verdict.REVIEW, ("MRZ_AMBIGUOUS",))


@pytest.mark.parametrize("doc_type", ["HEALTH_CARD", "", "passport of another kind"])
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
        "document_class": "passport",
        "issuing_country": "NL",
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
    findings = [one for read in readings for one in examine(read, wrong, PASSPORT, TODAY)]
    given = {code for one in findings for code in one.reasons}
    assert all(one.reasons for one in findings if one.outcome in {Outcome.WARN, Outcome.FAIL, Outcome.UNCLEAR})
    assert len(given) > 10
    assert given <= REASONS.keys()


def test_states_are_known_by_both_their_codes() -> None:
    assert len(ALPHA_3_TO_2) == len(set(ALPHA_3_TO_2.values())) == 249
    codes = ("D", "DEU", "de", "GBD", "XKX", "RKS", "USA", "UTO", "XXA", "")
    assert [alpha_2(code) for code in codes] == ["DE", "DE", "DE", "GB", "XK", "XK", "US", None, None, None]


def test_a_visa_is_no_passport() -> None:
    assert parse(format_td1(replace(HOLDER, code="I"))).format is Format.TD1


# ── The print against the zone ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("printed_holder", "reason"),
    [
        (replace(HOLDER, surname="Schmidt"), "DATA_NAME_INCONSISTENT"),
        (replace(HOLDER, number="SPEC12346"), "DATA_NUMBER_INCONSISTENT"),
        (replace(HOLDER, number="OTHER9876"), "DATA_NUMBER_INCONSISTENT"),
        (replace(HOLDER, birth=date(1991, 2, 28)), "DATA_DOB_INCONSISTENT"),
    ],
)
def test_a_zone_that_says_something_else_than_the_print_goes_to_a_person(
    printed_holder: Particulars, reason: str
) -> None:
    forged = replace(reading(), text=printed(printed_holder))
    assert examined(forged, TRUTH) == (Verdict.REVIEW, (reason,))


def test_a_zone_without_the_document_around_it_is_asked_for_again() -> None:
    assert examined(replace(reading(), text=()), TRUTH) == (Verdict.RETRY, ("IMAGE_CUT_OFF",))


CARD = Announced(doc_type="NATIONAL_ID", issued_country="NL")
HOLDER_OF_A_CARD = replace(HOLDER, code="ID")
BACK = replace(reading(HOLDER_OF_A_CARD), text=words("Issued at The Hague", "Height 180"), faces=())
FRONT = replace(reading(HOLDER_OF_A_CARD), zone=None, zone_corners=())


def test_each_side_of_a_card_is_clear_beside_the_other() -> None:
    for side, other in ((BACK, FRONT), (FRONT, BACK)):
        findings = examine(side, TRUTH, CARD, TODAY, Beside(pages=(other,)))
        assert (judge(findings), reasons_of(findings)) == (Verdict.CLEAR, ())


@pytest.mark.parametrize("side", [BACK, FRONT], ids=["back", "front"])
def test_one_side_of_a_card_alone_makes_us_ask_for_the_other(side: Reading) -> None:
    verdict, reasons = examined(side, TRUTH, CARD)
    assert (verdict, reasons[0]) == (Verdict.RETRY, "IMAGE_WRONG_SIDE")


def test_the_front_of_another_card_does_not_belong_to_the_back() -> None:
    stranger = replace(HOLDER_OF_A_CARD, surname="Schmidt", number="X1", birth=date(1970, 1, 1))
    front = replace(FRONT, text=printed(stranger))
    findings = examine(front, TRUTH, CARD, TODAY, Beside(pages=(BACK,)))
    assert (judge(findings), reasons_of(findings)) == (Verdict.REVIEW, ("DOC_SIDES_DIFFER",))
    findings = examine(BACK, TRUTH, CARD, TODAY, Beside(pages=(front,)))
    assert judge(findings) is Verdict.REVIEW


def test_a_document_without_a_portrait_goes_to_a_person() -> None:
    assert examined(replace(reading(), faces=()), TRUTH) == (Verdict.REVIEW, ("DOC_PORTRAIT_NOT_FOUND",))


def test_where_the_zone_was_seen_is_said() -> None:
    found = finding(examine(reading(), TRUTH, PASSPORT, TODAY), "document.readable")
    assert found.evidence is not None
    assert (found.evidence.page, found.evidence.box) == (1, (100, 900, 1400, 950))


# ── The picture itself ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("traces", "reason"),
    [(Traces(editor="photoshop"), "AUTH_EDIT_SOFTWARE"), (Traces(screenshot=True), "IMAGE_SCREENSHOT")],
)
def test_a_picture_that_says_it_was_edited_or_copied_off_a_screen_goes_to_a_person(traces: Traces, reason: str) -> None:
    assert examined(replace(reading(), traces=traces), TRUTH) == (Verdict.REVIEW, (reason,))


def test_poor_light_and_glare_are_measured_and_stop_nothing_that_could_be_read() -> None:
    poor = replace(reading(), quality=Quality(glare=0.2, light=50.0, letters=8.0), traces=Traces(camera=True))
    findings = examine(poor, TRUTH, PASSPORT, TODAY)
    assert judge(findings) is Verdict.CLEAR
    measured = {one.id: (one.outcome, one.measured.value) for one in findings if one.measured}
    assert measured["image.glare"] == (Outcome.WARN, 0.2)
    assert measured["image.light"] == (Outcome.WARN, 50.0)
    assert measured["image.size"] == (Outcome.WARN, 8.0)


@pytest.mark.parametrize(
    ("quality", "reason"),
    [
        (Quality(glare=0.2, light=100.0, letters=20.0), "IMAGE_GLARE"),
        (Quality(glare=0.0, light=20.0, letters=20.0), "IMAGE_DARK"),
        (Quality(glare=None, light=100.0, letters=20.0), "MRZ_NOT_FOUND"),
    ],
)
def test_what_is_wrong_with_an_unreadable_picture_is_named(quality: Quality, reason: str) -> None:
    unread = Reading(sharpness=300, lines_of_text=9, quality=quality)
    assert examined(unread, TRUTH) == (Verdict.RETRY, (reason,))


def test_a_bill_is_no_passport_and_a_licence_without_a_zone_is_for_a_person() -> None:
    bill = Reading(sharpness=300, lines_of_text=9, text=words("Electricity bill", "Amount due", "kWh"))
    assert examined(bill, TRUTH) == (Verdict.RETRY, ("DOC_TYPE_MISMATCH",))
    licence = Reading(sharpness=300, lines_of_text=9, text=words("DRIVING LICENCE", "1. DOE"), faces=(FACE,))
    announced = Announced(doc_type="DRIVING_LICENCE", issued_country="GB")
    assert examined(licence, TRUTH, announced) == (Verdict.REVIEW, ("DOC_TYPE_UNSUPPORTED",))


# ── Selfies ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SELFIE = Announced(doc_type="SELFIE", issued_country="NL")


def described(cosine: float, **face: object) -> Face:
    """A face at an angle from `described(1)`."""
    rest = max(0.0, 1 - cosine**2) ** 0.5
    return replace(FACE, share=0.2, description=(cosine, rest), **face)  # type: ignore[arg-type]  # a test's shorthand


def selfie_beside(
    cosine: float, use: FaceUse = FaceUse.ALLOWED, faces: Sequence[Face] | None = None
) -> tuple[Verdict, tuple[str, ...]]:
    document = replace(reading(), faces=(described(1.0),))
    picture = Reading(sharpness=300, faces=tuple((described(cosine),) if faces is None else faces))
    findings = examine(picture, TRUTH, SELFIE, TODAY, Beside(pages=(document,), faces=use))
    assert finding(findings, "face.liveness").outcome is Outcome.NOT_PERFORMED
    return judge(findings), reasons_of(findings)


@pytest.mark.parametrize(
    ("cosine", "verdict", "reasons"),
    [
        (0.70, Verdict.CLEAR, ()),
        (0.50, Verdict.CLEAR, ()),
        (0.49, Verdict.REVIEW, ("FACE_UNCLEAR",)),
        (0.36, Verdict.REVIEW, ("FACE_UNCLEAR",)),
        (0.35, Verdict.REVIEW, ("FACE_MISMATCH",)),
        (-0.2, Verdict.REVIEW, ("FACE_MISMATCH",)),
        (0.99, Verdict.REVIEW, ("FACE_SAME_PICTURE",)),
    ],
)
def test_a_selfie_matches_in_three_bands_and_never_rejects_by_itself(
    cosine: float, verdict: Verdict, reasons: tuple[str, ...]
) -> None:
    assert selfie_beside(cosine) == (verdict, reasons)


def test_without_consent_or_against_the_tenants_wish_no_faces_are_compared() -> None:
    assert selfie_beside(0.9, FaceUse.NO_CONSENT) == (Verdict.REVIEW, ("FACE_CONSENT_MISSING",))
    assert selfie_beside(0.9, FaceUse.OFF) == (Verdict.REVIEW, ("FACE_MATCHING_OFF",))


def test_a_selfie_shows_exactly_one_face_that_is_large_enough() -> None:
    bystander = replace(FACE, share=0.001)
    assert selfie_beside(0.7, faces=[]) == (Verdict.RETRY, ("FACE_NOT_FOUND",))
    assert selfie_beside(0.7, faces=[described(0.7), described(0.7)]) == (Verdict.RETRY, ("FACE_MULTIPLE",))
    assert selfie_beside(0.7, faces=[described(0.7), bystander]) == (Verdict.CLEAR, ())
    assert selfie_beside(0.7, faces=[described(0.7, height=40.0)]) == (Verdict.RETRY, ("IMAGE_TOO_SMALL",))


def test_a_document_is_no_selfie_and_a_selfie_without_a_document_is_compared_with_nothing() -> None:
    assert examined(reading(), TRUTH, SELFIE) == (Verdict.RETRY, ("DOC_TYPE_MISMATCH",))
    alone = Reading(sharpness=300, faces=(described(1.0),))
    findings = examine(alone, TRUTH, SELFIE, TODAY, Beside(faces=FaceUse.ALLOWED))
    assert (judge(findings), reasons_of(findings)) == (Verdict.REVIEW, ("DOC_PORTRAIT_NOT_FOUND",))
    assert examined(Reading(refused="IMAGE_UNDECODABLE"), TRUTH, SELFIE) == (Verdict.RETRY, ("IMAGE_UNDECODABLE",))


def test_a_ghost_image_of_somebody_else_goes_to_a_person() -> None:
    for cosine, verdict in ((0.6, Verdict.CLEAR), (0.1, Verdict.REVIEW)):
        document = replace(reading(), faces=(described(1.0), described(cosine, height=60.0)))
        assert examined(document, TRUTH)[0] is verdict


# ── Proof of address ─────────────────────────────────────────────────────────────────────────────────────────────────

LETTER = Announced(doc_type="PROOF_OF_ADDRESS", issued_country="DE")
HOME = Address(lines=("Lange Straße 12",), city="Münster", postal_code="48143")
RESIDENT = replace(TRUTH, address=HOME)
BILL = ("Stromrechnung 4711 kWh", "Frau Anna Müller", "Lange Str. 12", "48143 MÜNSTER", "Datum: 02.10.2026")


def proved(*lines: str, declared: Declared = RESIDENT) -> tuple[Verdict, tuple[str, ...]]:
    return examined(Reading(sharpness=300, lines_of_text=len(lines), text=words(*lines)), declared, LETTER)


def test_a_letter_is_never_clear_because_nobody_can_tell_that_it_is_genuine() -> None:
    assert proved(*BILL) == (Verdict.REVIEW, ())


@pytest.mark.parametrize(
    ("lines", "verdict", "reason"),
    [
        ((*BILL[:4], "Datum: 02.01.2026"), Verdict.RETRY, "DOC_TOO_OLD"),
        (BILL[:4], Verdict.REVIEW, "DOC_DATE_NOT_FOUND"),
        ((BILL[0], "Herr Otto Schmidt", *BILL[2:]), Verdict.REVIEW, "DATA_NAME_MISMATCH"),
        ((BILL[0], BILL[1], "Kurze Gasse 1", "10115 Berlin", BILL[4]), Verdict.REVIEW, "DATA_ADDRESS_MISMATCH"),
        (("Liebe Anna,", *BILL[1:]), Verdict.REVIEW, "DOC_TYPE_MISMATCH"),
        ((), Verdict.RETRY, "IMAGE_NO_DOCUMENT"),
    ],
)
def test_what_is_wrong_with_a_letter_is_named(lines: Sequence[str], verdict: Verdict, reason: str) -> None:
    found, reasons = proved(*lines)
    assert (found, reason in reasons) == (verdict, True)


def test_without_a_name_or_an_address_a_letter_is_compared_with_nothing() -> None:
    assert proved(*BILL, declared=NOBODY) == (Verdict.REVIEW, ("ID_MISSING_NAME", "DATA_ADDRESS_MISSING"))
    assert "Münster" not in repr(HOME)
