"""Whether a new version of a list can be believed. Pure.

The limits come from 309 real versions of OFAC's list (2021 to 2024): at most 1.6 % of the entries were removed at once
and at most 500 changed, and the one version that lost everything was a download of nothing. Additions are never held
back: a designation has to be screened against at once, however many there are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from kyc_service.domain.record import record
from kyc_service.screening.entries import Entry

REMOVED_SHARE, REMOVED_COUNT = 0.02, 25
KIND_SHARE, KIND_COUNT = 0.10, 10
FILLED = ("with_birth", "with_country", "with_identifier", "with_alias")
FILLED_SHARE, FILLED_COUNT = 0.5, 20
PROBLEM_SHARE, PROBLEM_COUNT = 0.05, 25


@record
class Judged:
    """What a new version is judged by."""

    statistics: Mapping[str, int]
    removed: int
    problems: int


@record
class Before:
    """What it is compared with: the version in force."""

    statistics: Mapping[str, int]
    problems: int


def count(entries: Iterable[Entry]) -> Counter[str]:
    """How many entries there are, of each kind, and how many have what matching lives on."""
    counted: Counter[str] = Counter()
    for entry in entries:
        counted["entries"] += 1
        counted[entry.kind.value] += 1
        counted["with_birth"] += bool(entry.births)
        counted["with_country"] += bool(entry.countries)
        counted["with_identifier"] += bool(entry.identifiers)
        counted["with_alias"] += len(entry.names) > 1
        counted["without_name"] += not entry.names
    return counted


def doubts(new: Judged, before: Before | None, *, at_least: int) -> list[str]:
    """Why a person has to look at the version before it comes in force; nothing for a plausible one."""
    entries = new.statistics.get("entries", 0)
    found = []
    if not entries:
        found.append("The list has no entries.")
    elif before is None and entries < at_least:
        found.append(f"The list has {entries} entries, and at least {at_least} are expected.")
    excused = before.problems if before else 0
    if new.problems > max(PROBLEM_COUNT, PROBLEM_SHARE * entries, 2 * excused):
        found.append(f"{new.problems} fields could not be understood: the format seems to have changed.")
    nameless = new.statistics.get("without_name", 0)
    if nameless > max(1, 0.01 * entries):
        found.append(f"{nameless} entries have no name: the format seems to have changed.")
    return found + (_shrinkage(new, before) if before else [])


def _shrinkage(new: Judged, before: Before) -> list[str]:
    had = before.statistics.get("entries", 0)
    entries = new.statistics.get("entries", 0)
    found = []
    if new.removed > max(REMOVED_COUNT, REMOVED_SHARE * had):
        found.append(f"{new.removed} of {had} entries are gone.")
    for kind in ("person", "organisation", "vessel", "aircraft", "unknown"):
        was, now = before.statistics.get(kind, 0), new.statistics.get(kind, 0)
        if was - now > max(KIND_COUNT, KIND_SHARE * was):
            found.append(f"There are {now} entries of the kind {kind}, after {was}.")
    for filled in FILLED:
        was, now = before.statistics.get(filled, 0), new.statistics.get(filled, 0)
        if was >= FILLED_COUNT and now * had < FILLED_SHARE * was * entries:
            said = (
                filled.replace("_", " an ", 1)
                if filled.endswith(("identifier", "alias"))
                else filled.replace("_", " a ")
            )
            found.append(f"{now} of {entries} entries come {said}, after {was} of {had}.")
    return found
