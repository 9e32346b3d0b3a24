"""Continuous screening, as decisions: whom to screen against what, what became different, what stays suppressed. Pure.

    plan(...)      what a person has to be screened against now
    compare(...)   what two screenings of a person say against each other; alerts come from nothing else
    carry(...)     what is known of a person after only some entries were screened again
    standing(...)  whether "this is not the same person" still holds
    campaign_id(…) the same campaign has the same id wherever it is opened

Two deltas meet here. When a list changes, its changed entries are screened against everybody (`Delta`); when a person
changes, or the engine does, the person is screened against every entry (`Full`). Both must find the same; the nightly
self-check screens a random sample in full and compares (`drift`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import TypeAlias
from uuid import UUID, uuid5

from kyc_service.application.monitoring import Enrolment, Occasion, Step, Suppression
from kyc_service.domain.record import record

NAMESPACE = UUID("2f1d7c1e-7d0b-5c0e-9d3c-0a4f4b0f6c55")


class Band(IntEnum):
    """How much a hit weighs: the bands that the thresholds of the engine cut probabilities into."""

    CLEAR = 0
    REVIEW = 1
    HIT = 2


class Ground(StrEnum):
    """A fact that the person and the entry have in common."""

    NAME = "name"
    BIRTH_DATE = "birth_date"
    COUNTRY = "country"
    IDENTIFIER = "identifier"


@record
class Hit:
    """An entry that the person may be. `referents`: ids under which the publisher had it before.

    The probability is no part of it: it moves a little with every change of a list, and must raise no alert by that.
    """

    entry: str
    band: Band
    grounds: frozenset[Ground]
    referents: tuple[str, ...] = ()


Hits: TypeAlias = Mapping[str, Hit]  # by entry


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
class Difference:
    """What a screening says of one entry against the screening before."""

    step: Step
    entry: str
    band: Band


def compare(before: Hits | None, after: Hits) -> tuple[Difference, ...]:
    """What became different, entry by entry: nothing for a change that nobody has to act on.

    An entry is worse when it is new, when its band rose, or when it matches by a fact that it did not match by. It is
    better when it is gone or its band fell. An entry that the publisher merged into another one is that other one.
    """
    known = dict(before or {})
    found: list[Difference] = []
    for entry, hit in sorted(after.items()):
        earlier = [known.pop(name) for name in (entry, *hit.referents) if name in known]
        if not earlier:
            found.append(Difference(step=Step.WORSE, entry=entry, band=hit.band))
            continue
        band = max(one.band for one in earlier)
        grounds = frozenset[Ground]().union(*(one.grounds for one in earlier))
        if hit.band > band or not hit.grounds <= grounds:
            found.append(Difference(step=Step.WORSE, entry=entry, band=hit.band))
        elif hit.band < band:
            found.append(Difference(step=Step.BETTER, entry=entry, band=hit.band))
    found += [Difference(step=Step.BETTER, entry=entry, band=Band.CLEAR) for entry in sorted(known)]
    return tuple(found)


def step(before: Hits | None, differences: Collection[Difference]) -> Step:
    """The word for all differences together: the worst of them."""
    if any(one.step is Step.WORSE for one in differences):
        return Step.WORSE
    if before is None:
        return Step.FIRST
    return Step.BETTER if differences else Step.SAME


def carry(before: Hits, again: Collection[str], gone: Collection[str], found: Iterable[Hit]) -> dict[str, Hit]:
    """What is known after a delta: *again* are the entries that were screened, *gone* those that left the lists.

    Everything else stays as it was, which is right because neither the person nor those entries changed.
    """
    old = {entry: hit for entry, hit in before.items() if entry not in again and entry not in gone}
    return {**old, **{hit.entry: hit for hit in found}}


class Standing(StrEnum):
    """Whether a suppression holds, and what ended it if not."""

    HOLDS = "holds"
    REVOKED = "revoked"
    EXPIRED = "expired"
    PERSON_CHANGED = "person_changed"
    ENTRY_CHANGED = "entry_changed"
    BAND_ROSE = "band_rose"
    NEW_GROUND = "new_ground"


def standing(made: Suppression, hit: Hit, *, person: bytes, listed: bytes, now: datetime) -> Standing:
    """Whether *made* still holds: on the same facts of both sides, within its time, and for no stronger a match."""
    grounds = {ground.value for ground in hit.grounds}
    ended = {
        Standing.REVOKED: made.revoked_at is not None,
        Standing.EXPIRED: now >= made.expires_at,
        Standing.PERSON_CHANGED: made.person != person,
        Standing.ENTRY_CHANGED: made.listed != listed,
        Standing.BAND_ROSE: hit.band > Band[made.band.upper()],
        Standing.NEW_GROUND: not grounds <= set(made.grounds),
    }
    return next((why for why, so in ended.items() if so), Standing.HOLDS)


@record
class Sorted:
    """Hits after all suppressions: those that somebody has to look at, and suppressions that no longer hold."""

    open: tuple[Hit, ...]
    suppressed: tuple[Hit, ...]
    reopened: tuple[tuple[Suppression, Standing], ...]


@record
class Marked:
    """A hit with what recognises it: the marks of its id and its referents, and a fingerprint of the entry."""

    hit: Hit
    marks: tuple[bytes, ...]
    listed: bytes


def sort(hits: Sequence[Marked], made: Sequence[Suppression], *, person: bytes, now: datetime) -> Sorted:
    """Which hits are open. A suppressed hit takes no place from another one; one that is reopened says why."""
    by_mark: dict[bytes, list[Suppression]] = {}
    for suppression in made:
        by_mark.setdefault(suppression.mark, []).append(suppression)
    still: list[Hit] = []
    hidden: list[Hit] = []
    reopened: list[tuple[Suppression, Standing]] = []
    for marked in hits:
        about = [one for mark in marked.marks for one in by_mark.get(mark, ())]
        judged = [(one, standing(one, marked.hit, person=person, listed=marked.listed, now=now)) for one in about]
        if any(why is Standing.HOLDS for _, why in judged):
            hidden.append(marked.hit)
        else:
            still.append(marked.hit)
            reopened += [(one, why) for one, why in judged if why is not Standing.REVOKED]
    return Sorted(open=tuple(still), suppressed=tuple(hidden), reopened=tuple(reopened))


def campaign_id(
    tenant: str, occasion: Occasion, *, engine: str, lists: Mapping[str, int], dry_run: bool = False, round_: str = ""
) -> UUID:
    """The id of a campaign: whoever opens the same one, after a crash or in another process, opens the same id.

    `round_` tells apart what may be repeated, such as the day of a self-check.
    """
    named = ",".join(f"{source}@{version}" for source, version in sorted(lists.items()))
    return uuid5(NAMESPACE, "\n".join((tenant, occasion.value, engine, named, "dry" if dry_run else "", round_)))


def alert_id(campaign: UUID, application: UUID, mark: bytes) -> UUID:
    """The id of an alert: a campaign that is resumed raises none twice."""
    return uuid5(campaign, f"{application}:{mark.hex()}")


def drift(stored: Hits, full: Hits) -> tuple[Difference, ...]:
    """What a full screening finds that the deltas missed, or the other way round; nothing, if all is well."""
    return compare(stored, full)
