"""The printed text held against the zone, and the front of a card against its back. Pure.

Check digits prove that a zone was read right, not that it belongs to the text above it; and names have none. So what
the zone says must stand in print as well: number, date of birth and surname weigh, the rest is noted.
"""

from collections.abc import Iterator, Sequence

from kyc_service.documents.classes import DocumentClass, classify
from kyc_service.documents.decipher import Deciphered
from kyc_service.documents.found import finding, not_performed, note
from kyc_service.documents.mrz import Format, Zone
from kyc_service.documents.printed import Presence, code_on, date_on, dates, name_on, number_on
from kyc_service.documents.readings import Reading
from kyc_service.domain.findings import Category, Finding, Outcome

CONSISTENCY = Category.DATA_CONSISTENCY
TWO_SIDED = frozenset({Format.TD1})  # the zone is on the back, names and portrait are on the front
# What a national layout leaves out cannot be compared, and a licence that prints its zone on the back neither.
LICENCES = frozenset({Format.LICENCE, Format.FRENCH_LICENCE})
FEW_LINES = 4


def printed_lines(readings: Sequence[Reading]) -> list[str]:
    """Everything that is printed on some pages, besides their zones."""
    return [one.text for reading in readings for one in reading.text]


def consistent(found: Deciphered, reading: Reading, others: Sequence[Reading]) -> Iterator[Finding]:
    """Whether the zone of *reading* agrees with the print on it, and on the *others* of the same document."""
    zone, lines = found.zone, printed_lines([reading, *others])
    if zone.format in LICENCES:
        yield not_performed("visual.zone", CONSISTENCY)
        return
    if not others and _back_alone(zone, reading):
        yield finding("visual.zone", CONSISTENCY, Outcome.UNCLEAR, "IMAGE_WRONG_SIDE")
        return
    if classify(lines, zone, ()).kind is DocumentClass.ZONE_STRIP or len(lines) < FEW_LINES:
        yield finding("visual.zone", CONSISTENCY, Outcome.UNCLEAR, "IMAGE_CUT_OFF")
        return
    yield finding("visual.zone", CONSISTENCY, Outcome.PASS)
    yield _number(zone, lines)
    yield _surname(zone, lines)
    yield _birth(zone, lines)
    yield _noted("visual.given_names", name_on(lines, zone.given_names, truncated=zone.truncated), "DATA_NAME")
    yield _noted("visual.expiry", date_on(lines, zone.expiry), "DATA_EXPIRY")
    yield _noted("visual.nationality", code_on(lines, zone.nationality), "DATA_NATIONALITY")


def _back_alone(zone: Zone, reading: Reading) -> bool:
    """Whether this is the back of a card whose front is not there: neither a face nor the surname in print."""
    surname = name_on(printed_lines([reading]), zone.surname, truncated=zone.truncated)
    return zone.format in TWO_SIDED and not reading.faces and surname is Presence.ABSENT


def _number(zone: Zone, lines: Sequence[str]) -> Finding:
    match number_on(lines, zone.number):
        case Presence.FOUND:
            return finding("visual.number", CONSISTENCY, Outcome.PASS)
        case Presence.NEARLY:  # one digit apart is how a forged zone betrays itself, or a reader that slipped
            return finding("visual.number", CONSISTENCY, Outcome.FAIL, "DATA_NUMBER_INCONSISTENT")
        case Presence.ABSENT:
            return finding("visual.number", CONSISTENCY, Outcome.WARN, "DATA_NUMBER_INCONSISTENT")


def _surname(zone: Zone, lines: Sequence[str]) -> Finding:
    match name_on(lines, zone.surname, truncated=zone.truncated):
        case Presence.FOUND:
            return finding("visual.surname", CONSISTENCY, Outcome.PASS)
        case Presence.NEARLY:
            return note("visual.surname", CONSISTENCY, Outcome.WARN, "DOC_MINOR_MISMATCH")
        case Presence.ABSENT:
            return finding("visual.surname", CONSISTENCY, Outcome.WARN, "DATA_NAME_INCONSISTENT")


def _birth(zone: Zone, lines: Sequence[str]) -> Finding:
    """Where other dates were read and this one was not, the print says something else than the zone."""
    if not zone.birth.isdecimal():
        return not_performed("visual.birth_date", CONSISTENCY)
    if date_on(lines, zone.birth) is Presence.FOUND:
        return finding("visual.birth_date", CONSISTENCY, Outcome.PASS)
    if dates(lines):
        return finding("visual.birth_date", CONSISTENCY, Outcome.WARN, "DATA_DOB_INCONSISTENT")
    return note("visual.birth_date", CONSISTENCY, Outcome.UNCLEAR, "DATA_DOB_INCONSISTENT")


def _noted(name: str, presence: Presence, family: str) -> Finding:
    if presence is Presence.ABSENT:
        return note(name, CONSISTENCY, Outcome.UNCLEAR, f"{family}_INCONSISTENT")
    return note(name, CONSISTENCY, Outcome.PASS)


def paired(front: Reading, backs: Sequence[Reading]) -> Finding | None:
    """Whether a page without a zone is the front of a card whose back is among *backs*. None: there is no back."""
    zones = [back.zone.zone for back in backs if back.zone and back.zone.holds]
    if not zones:
        return None
    lines = printed_lines([front])
    if any(_belongs(zone, lines) for zone in zones):
        return finding("document.sides", CONSISTENCY, Outcome.PASS)
    return finding("document.sides", CONSISTENCY, Outcome.WARN, "DOC_SIDES_DIFFER")


def _belongs(zone: Zone, lines: Sequence[str]) -> bool:
    """Whether the print names the holder of *zone*, and says the same number or date of birth."""
    named = name_on(lines, zone.surname, truncated=zone.truncated) is not Presence.ABSENT
    same = number_on(lines, zone.number) is Presence.FOUND or date_on(lines, zone.birth) is Presence.FOUND
    return named and same
