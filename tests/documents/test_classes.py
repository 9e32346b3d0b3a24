"""What kind of document a page is, by its words, its zone and the faces on it."""

from collections.abc import Sequence

import pytest

from kyc_service.documents.classes import DocumentClass, classify, issuer_on, table
from kyc_service.documents.mrz import format_td1, format_td3, parse
from kyc_service.documents.specimen import traveller


@pytest.mark.parametrize(
    ("lines", "faces", "kind"),
    [
        (["RÉPUBLIQUE FRANÇAISE", "CARTE NATIONALE D'IDENTITÉ / IDENTITY CARD", "MARTIN"], [0.09], "national_id"),
        (["FÜHRERSCHEIN", "BUNDESREPUBLIK DEUTSCHLAND", "1. MUSTERMANN"], [0.05], "driving_licence"),
        (["DRIVER LICENSE", "DL 12345678", "EXP 02/01/2030"], [0.06, 0.01], "driving_licence"),
        (["RELEVÉ DE COMPTE", "Solde précédent", "Mme Karine Plume"], [], "bank_statement"),
        (["Electricity bill", "Meter reading 4711 kWh", "Amount due 45.00"], [], "utility_bill"),
        (["Kontoauszug Nr. 4", "IBAN DE00 0000"], [], "bank_statement"),
        (["4111 1111 1111 1111", "VALID THRU 12/27"], [], "bank_card"),
        (["P<GBRTAYLOR<<SARA<JANE<<<<<<<", "B987654323GBR9011229F33<<<<<2<"], [], "mrz_strip"),
        ([], [0.15], "selfie"),
        (["REISEPASS", "PASSPORT"], [0.04], "passport"),
        (["01.02.1990", "01.02.2030"], [0.06], "national_id"),
        (["Andrew Morin", "Founder & CEO"], [], "other"),
        ([], [0.15, 0.12], "other"),
        ([], [], "other"),
    ],
)
def test_a_page_without_a_zone_is_told_by_its_words_and_faces(
    lines: Sequence[str], faces: Sequence[float], kind: str
) -> None:
    assert classify(lines, None, faces).kind is DocumentClass(kind)


def test_the_zone_outweighs_the_words() -> None:
    passport, card = parse(format_td3(traveller())), parse(format_td1(traveller(code="I", issuer="NLD")))
    assert classify(["IDENTITY CARD"], passport, [0.02]).kind is DocumentClass.PASSPORT
    assert classify(["AUFENTHALTSTITEL"], card, []).kind is DocumentClass.RESIDENCE_PERMIT
    assert classify([], passport, []).kind is DocumentClass.ZONE_STRIP
    assert classify([], card, []).kind is DocumentClass.NATIONAL_ID


def test_the_issuer_is_told_by_the_zone_or_by_one_state_that_is_named() -> None:
    assert issuer_on([], parse(format_td3(traveller(issuer="D")))) == "DE"
    assert issuer_on(["RÉPUBLIQUE FRANÇAISE"], None) == "FR"
    assert issuer_on(["UNITED KINGDOM", "AUSTRALIA"], None) is None


def test_every_class_that_words_tell_has_some() -> None:
    told_otherwise = {DocumentClass.ZONE_STRIP, DocumentClass.SELFIE, DocumentClass.OTHER}
    assert {kind for kind, words in table().words.items() if not words} == told_otherwise
