"""Continuous screening, as decisions: whom to screen against what, and when two campaigns are the same. Pure.

When a list changes, its changed entries are screened against everybody (`Delta`); when a person changes, or the engine
does, the person is screened against every entry (`Full`). Both must find the same.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import TypeAlias
from uuid import UUID, uuid5

from kyc_service.application.monitoring import Enrolment, Occasion
from kyc_service.domain.record import record

NAMESPACE = UUID("2f1d7c1e-7d0b-5c0e-9d3c-0a4f4b0f6c55")


class Band(IntEnum):
    """How much a hit weighs: the bands that the thresholds of the engine cut probabilities into."""

    CLEAR = 0
    REVIEW = 1
    HIT = 2


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


def campaign_id(tenant: str, occasion: Occasion, *, engine: str, lists: Mapping[str, int], round_: str = "") -> UUID:
    """The id of a campaign: whoever opens the same one, after a crash or in another process, opens the same id.

    `round_` tells apart what may be repeated, such as the day of a self-check.
    """
    named = ",".join(f"{source}@{version}" for source, version in sorted(lists.items()))
    return uuid5(NAMESPACE, f"{tenant}\n{occasion}\n{engine}\n{named}\n{round_}")
