"""What kind of document a page is, told by its zone, its words and the faces on it. Pure.

Words of a class are weighed and added up; the zone outweighs them all. This is not a template check: it tells a
passport from an electricity bill, and not a real passport from a drawing of one.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib.resources import files

from kyc_service.documents.countries import alpha_2
from kyc_service.documents.mrz import Format, Zone
from kyc_service.documents.printed import dates, plain
from kyc_service.domain.record import record


class DocumentClass(StrEnum):
    """The kinds that are told apart."""

    PASSPORT = "passport"
    NATIONAL_ID = "national_id"
    RESIDENCE_PERMIT = "residence_permit"
    DRIVING_LICENCE = "driving_licence"
    VISA = "visa"
    HEALTH_CARD = "health_card"
    BANK_CARD = "bank_card"
    UTILITY_BILL = "utility_bill"
    BANK_STATEMENT = "bank_statement"
    PAYSLIP = "payslip"
    TAX_NOTICE = "tax_notice"
    MAIL_ENVELOPE = "mail_envelope"
    ZONE_STRIP = "mrz_strip"
    SELFIE = "selfie"
    OTHER = "other"


@record
class Classified:
    """The likeliest class, and how far ahead of the next it is (0 to 1)."""

    kind: DocumentClass
    likely: float


ISSUED_BY = "issued by"  # in the table: words that name a state instead of a class
ENOUGH, SURE = 2.0, 3.0  # weights of words: to name a class at all, and to be ahead of the next
CARD_NUMBER = re.compile(r"[2-6]\d{15}")  # of a payment card (ISO/IEC 7812-1)
FEW_CARD_LINES = 15
OF_CODE = {"P": DocumentClass.PASSPORT, "V": DocumentClass.VISA, "D": DocumentClass.DRIVING_LICENCE}
SELFIE_AREA = 0.02  # of the picture that a face covers; the portrait on a card photographed whole covers less than 0.1
FEW_LINES = 3


@record
class Table:
    """classes.csv: what is printed on documents, without accents and spaces. The weight says how much a word tells."""

    words: Mapping[DocumentClass, Mapping[str, float]]
    states: Mapping[str, str]


@cache
def table() -> Table:
    """The words of each class, and those that name an issuing state."""
    text = files(__package__).joinpath("classes.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines()[1:]]
    words: dict[DocumentClass, dict[str, float]] = {kind: {} for kind in DocumentClass}
    for kind, weight, listed in rows:
        if kind != ISSUED_BY:
            words[DocumentClass(kind)] |= {plain(word): float(weight) for word in listed.split()}
    states = {plain(word): code for kind, code, listed in rows if kind == ISSUED_BY for word in listed.split()}
    return Table(words=words, states=states)


def classify(lines: Sequence[str], zone: Zone | None, faces: Sequence[float]) -> Classified:
    """The class of a page with these printed *lines*; *faces*: the share of the picture that each face covers."""
    scores = _weighed(lines)
    if zone is not None and not zone.failed:
        return _by_zone(zone, lines, scores)
    if zone is not None:
        scores[OF_CODE.get(zone.code[:1], DocumentClass.NATIONAL_ID)] += 2
    best, next_best = sorted(scores, key=lambda kind: -scores[kind])[:2]
    ahead = round(min(1.0, (scores[best] - scores[next_best]) / SURE), 2)
    portrait = len(faces) == 1 and faces[0] >= SELFIE_AREA and len(lines) <= FEW_LINES
    told = (
        (_bare(lines), DocumentClass.ZONE_STRIP, 0.8),
        (_payment_card(lines), DocumentClass.BANK_CARD, 1.0),
        (scores[best] >= ENOUGH, best, ahead),
        (bool(faces) and len(dates(lines)) >= 2, DocumentClass.NATIONAL_ID, 0.3),
        (portrait, DocumentClass.SELFIE, 0.7 if lines else 1.0),
        (True, DocumentClass.OTHER, 0.3),
    )
    return next(Classified(kind=kind, likely=likely) for holds, kind, likely in told if holds)


def _weighed(lines: Sequence[str]) -> dict[DocumentClass, float]:
    """Each class with the weight of its words on the page, each word once."""
    page = [plain(line) for line in lines]
    whole = "".join(page)
    return {
        kind: sum(weight for word, weight in words.items() if word in whole) for kind, words in table().words.items()
    }


def _by_zone(zone: Zone, lines: Sequence[str], scores: Mapping[DocumentClass, float]) -> Classified:
    kind = OF_CODE.get(zone.code[:1], DocumentClass.NATIONAL_ID)
    permit = DocumentClass.RESIDENCE_PERMIT
    if kind is DocumentClass.NATIONAL_ID and scores[permit] > scores[kind]:
        kind = permit
    bare = not lines and zone.format is not Format.TD1  # the back of a card may hold nothing else
    return Classified(kind=DocumentClass.ZONE_STRIP if bare else kind, likely=1.0)


def _bare(lines: Sequence[str]) -> bool:
    """Whether nothing but lines of a zone is on the page, though no zone was made out of them."""
    return 0 < len(lines) <= FEW_LINES and sum(line.count("<") >= 5 for line in lines) == len(lines)


def _payment_card(lines: Sequence[str]) -> bool:
    return len(lines) < FEW_CARD_LINES and any(CARD_NUMBER.fullmatch("".join(line.split())) for line in lines)


def issuer_on(lines: Sequence[str], zone: Zone | None) -> str | None:
    """The alpha-2 code of the issuing state: out of the zone, or else out of the one state that is named in print."""
    if zone is not None and not zone.failed and alpha_2(zone.issuer):
        return alpha_2(zone.issuer)
    whole = "".join(plain(line) for line in lines)
    named = {code for name, code in table().states.items() if name in whole}
    return named.pop() if len(named) == 1 else None
