"""Continuous screening, as decisions: whom to screen against what, what changed, and what is the same campaign. Pure.

When a list changes, its changed entries are screened against everybody (`Delta`); when a person changes, or the engine
does, the person is screened against every entry (`Full`). Both must find the same.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import TypeAlias
from uuid import UUID, uuid5

from kyc_service.application.monitoring import Enrolment, Occasion
from kyc_service.domain.clearance import Hit
from kyc_service.domain.record import record

NAMESPACE = UUID("2f1d7c1e-7d0b-5c0e-9d3c-0a4f4b0f6c55")


class Band(IntEnum):
    """How much a hit weighs: the bands that probabilities are cut into."""

    CLEAR = 0
    REVIEW = 1
    HIT = 2


SURE = 0.9  # from this probability on a hit is more than possible


def band(probability: float | None) -> Band:
    """The band of a hit's probability, or of none."""
    if probability is None:
        return Band.CLEAR
    return Band.HIT if probability >= SURE else Band.REVIEW


def manner(engine: str, review_from: float) -> str:
    """How people are screened, in a word: with which engine, and from which probability on a match is a hit."""
    return f"{engine} from {review_from}"


@record
class Nothing:
    """The person is up to date."""


@record
class Delta:
    """Only what these lists changed since these versions has to be screened. A version of None: the list is new."""

    since: Mapping[str, int | None]


@record
class Full:
    """The person has to be screened against everything, because of this."""

    because: Occasion


Plan: TypeAlias = Nothing | Delta | Full


def plan(person: Enrolment, in_force: Mapping[str, int], engine: str) -> Plan:
    """What *person* has to be screened against, with the versions *in_force* and this *engine*.

    A list that is no longer in force calls for a delta too: its hits are over.
    """
    if person.lists is None or person.screened_facts != person.facts:
        return Full(because=Occasion.PERSON)
    if person.engine != engine:
        return Full(because=Occasion.ENGINE)
    since = {
        source: person.lists.get(source)
        for source in sorted(person.lists.keys() | in_force.keys())
        if person.lists.get(source) != in_force.get(source)
    }
    return Delta(since=since) if since else Nothing()


def by_plan(
    people: Iterable[Enrolment], in_force: Mapping[str, int], engine: str
) -> list[tuple[Plan, list[Enrolment]]]:
    """The people who need the same, together; who is up to date is left out."""
    groups: dict[tuple[object, ...], tuple[Plan, list[Enrolment]]] = {}
    for person in people:
        match plan(person, in_force, engine):
            case Nothing():
                continue
            case Delta(since=since) as wanted:
                groups.setdefault(("delta", *since.items()), (wanted, []))[1].append(person)
            case Full(because=because) as wanted:
                groups.setdefault(("full", because), (wanted, []))[1].append(person)
    return list(groups.values())


@record
class Changes:
    """How many hits of a list are new, are gone, and have risen or fallen to another band."""

    new: int = 0
    gone: int = 0
    risen: int = 0
    fallen: int = 0

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(
            new=self.new + other.new,
            gone=self.gone + other.gone,
            risen=self.risen + other.risen,
            fallen=self.fallen + other.fallen,
        )


def compare(ever: Iterable[Hit], last: Iterable[Hit], found: Iterable[Hit]) -> Mapping[str, Changes]:
    """What is different for one person, list by list; a list without a difference is left out.

    New is what was not found *ever* before, because that is what an alert is raised for; everything else is held
    against the *last* screening.
    """
    known = {hit.id for hit in ever}
    before, now = {hit.id: hit for hit in last}, {hit.id: hit for hit in found}
    changes: dict[str, Changes] = {}
    for key in sorted(before.keys() | now.keys()):
        was, is_ = before.get(key), now.get(key)
        step = band(is_.probability if is_ else None) - band(was.probability if was else None)
        hit = is_ or was
        if hit is None or not step:
            continue
        change = Changes(
            new=int(key not in known),
            gone=int(is_ is None),
            risen=int(was is not None and step > 0),
            fallen=int(is_ is not None and step < 0),
        )
        changes[hit.list] = changes.get(hit.list, Changes()) + change
    return {name: change for name, change in changes.items() if change != Changes()}


def campaign_id(tenant: str, occasion: Occasion, *, engine: str, lists: Mapping[str, int], round_: str = "") -> UUID:
    """The id of a campaign: whoever opens the same one, after a crash or in another process, opens the same id.

    `round_` tells apart what may be repeated, such as the day of a self-check.
    """
    named = ",".join(f"{source}@{version}" for source, version in sorted(lists.items()))
    return uuid5(NAMESPACE, f"{tenant}\n{occasion}\n{engine}\n{named}\n{round_}")
