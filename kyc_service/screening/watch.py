"""The watch: everybody who was verified is screened again when a list, the engine or they themselves change.

A round brings one tenant up to date with the edition in force. People whom only some entries could concern are found
the other way round: the changed entries look for them in an index of people, which lives in the memory of this process
and nowhere else. Whoever is found that way, or had a hit before, is screened in full, so both ways give one answer;
of all others the round records that nothing changed. It goes through the people crowd by crowd, by application, so
that its memory holds one crowd however many they are. Everything is idempotent: whoever goes on after a kill repeats at
most one person.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from datetime import date, datetime
from typing import Protocol, TypeVar
from uuid import UUID

import structlog

from kyc_service.application.effects import findings_of, hits_of, probability_of
from kyc_service.application.handle import Task, handle
from kyc_service.application.identities import recalled
from kyc_service.application.monitoring import (
    EVERYBODY,
    Campaign,
    CampaignOvertaken,
    Enrolment,
    Occasion,
    Outcome,
    PersonNotEnrolled,
    Rounds,
    Step,
    Stretch,
    Watched,
)
from kyc_service.application.ports import (
    Cause,
    Clock,
    Identity,
    PersonVault,
    Screened,
    ScreeningUnavailable,
    Snapshot,
    Store,
    StoreUnavailable,
)
from kyc_service.domain.application import RecordAlert, Sealed, Status
from kyc_service.domain.clearance import Hit, ScreeningTerms
from kyc_service.domain.record import record
from kyc_service.screening.engine import ENGINE_VERSION, rescreen
from kyc_service.screening.entries import Entry, Group, ListedName
from kyc_service.screening.index import Index
from kyc_service.screening.lists.library import Watchlists
from kyc_service.screening.monitoring import Changes, Delta, Nothing, band, by_plan, campaign_id, compare, manner, plan
from kyc_service.screening.rehearsal import Difference, Notes, Rehearsal
from kyc_service.screening.screener import Edition, ListScreener

log = structlog.get_logger("kyc.watch")

T = TypeVar("T")

PAGE = 1000  # people of one look at the database
CROWD = 50_000  # people in memory at a time, and in one index
FEW = 25  # people who are screened in full sooner than an index of them is made
WIDE = 0.04  # a changed entry finds people down to here, below every threshold; the full screening decides


class People(Watched, Protocol):
    """The people who are watched, and what their identities are sealed in."""

    async def tenants(self) -> Mapping[str, int]:
        """Whose people are watched, and how many of each."""
        ...

    async def identities(self, tenant: str, people: Sequence[Enrolment]) -> Mapping[UUID, Sealed]:
        """The sealed identity of each of *people*, by application."""
        ...


class Campaigns(Rounds, Protocol):
    """The campaigns, also for everybody whom a delta does not touch."""

    def turn(self) -> AbstractAsyncContextManager[bool]:
        """Whether it is this process's turn to screen everybody, for as long as the context is entered."""
        ...

    async def record_rest(
        self, campaign: Campaign, since: Mapping[str, int], touched: Sequence[UUID], at: datetime, stretch: Stretch
    ) -> int:
        """Say of those who were screened against *since*, without *touched*, that nothing changed; 0: it is done.

        It concerns nobody outside the *stretch*.
        """
        ...

    async def had_hits(self, tenant: str, people: Sequence[UUID]) -> frozenset[UUID]:
        """Those of *people* for whom the last screening found anything."""
        ...

    async def outcomes(self, tenant: str, application: UUID, limit: int = 1) -> Sequence[Outcome]:
        """What was found for a person, latest first."""
        ...


@record
class Pace:
    """How many seconds lie between two rounds, and how many people of each tenant are screened anew each day."""

    pause: float
    sample: int


@record
class Crowd:
    """As many people as are in memory at a time: all in the *stretch* who are to be looked at."""

    people: Sequence[Enrolment]
    stretch: Stretch


@record
class Seen:
    """A person as the lists see them now."""

    snapshot: Snapshot
    identities: Sequence[Identity]
    screened: Screened


@record
class Round:
    """What a round came to: how many people were screened, how many were told to be unchanged, how many alerts.

    `failed`: people who could not be screened by a fault that is theirs alone; they are tried again in the next round.
    """

    screened: int = 0
    unchanged: int = 0
    alerts: int = 0
    failed: int = 0

    def __add__(self, other: "Round") -> "Round":
        return Round(
            screened=self.screened + other.screened,
            unchanged=self.unchanged + other.unchanged,
            alerts=self.alerts + other.alerts,
            failed=self.failed + other.failed,
        )


def _ignored(people: int) -> None:
    """Nobody waits for news of the progress."""
    del people


class Watch:
    """Screens everybody who is watched; any number of processes may run, and one of them at a time has its turn.

    *counted* hears of each person, or of many who are unchanged.
    """

    def __init__(
        self,
        *,
        people: People,
        campaigns: Campaigns,
        store: Store,
        vault: PersonVault,
        screener: ListScreener,
        lists: Watchlists,
        terms: Callable[[str], ScreeningTerms],
        pace: Pace,
        clock: Clock,
        counted: Callable[[Round], None] = lambda _: None,
        crowd: int = CROWD,
    ) -> None:
        self._counted = counted
        self._crowd = crowd
        self._people = people
        self._campaigns = campaigns
        self._store = store
        self._vault = vault
        self._screener = screener
        self._lists = lists
        self._terms = terms
        self._pace = pace
        self._clock = clock

    async def run(self) -> None:
        """Rounds until cancelled, and once a day a check. Nothing that goes wrong ends it."""
        checked: date | None = None
        while True:
            try:
                async with self.turn() as ours:
                    if ours:
                        checked = await self._watch(checked)
            except (ScreeningUnavailable, StoreUnavailable) as error:
                log.warning("watch_waits", why=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the one place that must outlive anything
                # Only the kind of the error: its text and its traceback may hold personal data.
                log.error("watch_failed", error=type(error).__name__)  # noqa: TRY400
            await asyncio.sleep(self._pace.pause)

    def turn(self) -> AbstractAsyncContextManager[bool]:
        """Whether it is this process's turn: two at a time do no harm, and the same work twice."""
        return self._campaigns.turn()

    async def _watch(self, checked: date | None) -> date:
        """A round, and the check of the day unless that day was *checked*; the day that is checked by now."""
        done = await self.round()
        if (today := self._clock().date()) != checked:
            await self.check(today.isoformat(), self._pace.sample)
        if done != Round():
            log.info(
                "watched", screened=done.screened, unchanged=done.unchanged, alerts=done.alerts, failed=done.failed
            )
        return today

    async def round(self, progress: Callable[[int], None] = _ignored) -> Round:
        """Bring everybody up to date with what is in force; *progress* hears of so many people more.

        Raises:
            ScreeningUnavailable: a list is missing or stale.
            StoreUnavailable: the database does not answer.
        """
        await self._screener.demand()
        edition = await self._screener.edition()
        done = Round()
        for tenant in await self._people.tenants():
            done += await self._of_tenant(tenant, edition, progress)
        return done

    async def rehearse(self, progress: Callable[[int], None] = _ignored, notes: Notes | None = None) -> Rehearsal:
        """What a round would find, without changing anything: whoever it would concern is screened in full.

        Whom the *notes* know is not examined again.

        Raises:
            ScreeningUnavailable: a list is missing or stale.
            StoreUnavailable: the database does not answer.
        """
        await self._screener.demand()
        edition = await self._screener.edition()
        notes = notes or Notes()
        examined = failed = 0
        differences: list[Difference] = []
        for tenant in await self._people.tenants():
            campaign = self._campaign(tenant, edition, Occasion.DELTA)
            async for person in self._pending(campaign):
                progress(1)
                if plan(person, campaign.lists, campaign.engine) == Nothing():
                    continue
                found = await self._rehearsed(campaign, person, notes)
                examined += found is not None
                failed += found is None
                differences += _differences(person, found or {})
        return Rehearsal(
            engine=ENGINE_VERSION,
            lists={one.source: one.version for one in edition.in_force.lists},
            examined=examined,
            failed=failed,
            differences=tuple(differences),
        )

    async def _rehearsed(self, campaign: Campaign, person: Enrolment, notes: Notes) -> Mapping[str, Changes] | None:
        """What the campaign would change for one person, list by list; None after a fault of theirs alone."""
        known = notes.of(campaign.id, person.application)
        if known is not None:
            return known
        found = await _alone(person, self._changes(person))
        if found is not None:
            notes.note(campaign.id, person.application, found)
        return found

    async def _changes(self, person: Enrolment) -> Mapping[str, Changes]:
        seen = await self._seen(person)
        if seen is None:
            return {}
        ever = seen.snapshot.state.clearance.hits if seen.snapshot.state.clearance else ()
        return compare(ever, await self._last(person, ever), hits_of(person.application, seen.screened))

    async def _last(self, person: Enrolment, ever: Sequence[Hit]) -> Sequence[Hit]:
        """Those of the hits that the last screening found, as probable as it found them."""
        outcomes = await self._campaigns.outcomes(person.tenant, person.application)
        if not outcomes:
            return ever
        if outcomes[0].hits is None:
            return ()
        told = await self._vault.open(person.tenant, person.subject, person.application, outcomes[0].hits)
        return [replace(hit, probability=probable) for hit in ever if (probable := probability_of(told or {}, hit.id))]

    async def check(self, seed: str, count: int) -> Round:
        """Screen *count* people of each tenant in full, chosen by *seed*; an alert here is one that was missed."""
        await self._screener.demand()
        edition = await self._screener.edition()
        done = Round()
        for tenant in await self._people.tenants():
            campaign = await self._open(tenant, edition, Occasion.SELF_CHECK, seed)
            for person in await self._people.sample(tenant, seed, count):
                done += await self._screen(campaign, person)
        if done.alerts:
            log.error("watch_missed", alerts=done.alerts)
        return done

    async def _of_tenant(self, tenant: str, edition: Edition, progress: Callable[[int], None]) -> Round:
        campaign = await self._open(tenant, edition, Occasion.DELTA)
        done = Round()
        async for crowd in self._crowds(campaign):
            done += await self._of_crowd(campaign, edition, crowd, progress)
            del crowd  # before the next one is read
        # whom a check has screened meanwhile
        return done + await self._unchanged(campaign, campaign.lists, (), EVERYBODY)

    async def _of_crowd(
        self, campaign: Campaign, edition: Edition, crowd: Crowd, progress: Callable[[int], None]
    ) -> Round:
        done = Round()
        for wanted, people in by_plan(crowd.people, campaign.lists, campaign.engine):
            match wanted:
                case Delta(since=since) if len(people) > FEW and None not in since.values():
                    alike = replace(crowd, people=people)
                    done += await self._delta(campaign, edition, alike, since)
                    progress(len(people))
                case _:
                    for person in people:
                        done += await self._screen(campaign, person)
                        progress(1)
        return done

    async def _unchanged(
        self, campaign: Campaign, since: Mapping[str, int], touched: Sequence[Enrolment], stretch: Stretch
    ) -> Round:
        """Record that nothing changed for those of the stretch who were screened against *since*, but the *touched*."""
        left_out = [person.application for person in touched]
        count = 0
        while batch := await self._campaigns.record_rest(campaign, since, left_out, self._clock(), stretch):
            self._counted(Round(unchanged=batch))
            count += batch
        return Round(unchanged=count)

    async def _pending(self, campaign: Campaign) -> AsyncIterator[Enrolment]:
        after: UUID | None = None
        while page := await self._campaigns.pending(campaign, after, PAGE):
            for person in page:
                yield person
            after = page[-1].application

    async def _crowds(self, campaign: Campaign) -> AsyncIterator[Crowd]:
        """Who is pending, a bounded number at a time."""
        beyond: UUID | None = None
        after: UUID | None = None
        people: list[Enrolment] = []
        while page := await self._campaigns.pending(campaign, after, min(PAGE, self._crowd - len(people))):
            people += page
            after = page[-1].application
            del page  # it would stay beside the next one
            if len(people) == self._crowd:
                yield Crowd(people=people, stretch=Stretch(beyond=beyond, up_to=after))
                beyond, people = after, []
        if people:
            yield Crowd(people=people, stretch=Stretch(beyond=beyond, up_to=after))

    async def _open(self, tenant: str, edition: Edition, occasion: Occasion, round_: str = "") -> Campaign:
        return await self._campaigns.open(self._campaign(tenant, edition, occasion, round_))

    def _campaign(self, tenant: str, edition: Edition, occasion: Occasion, round_: str = "") -> Campaign:
        terms = self._terms(tenant)
        lists = {one.source: one.version for one in edition.in_force.lists if terms.asks(one.source)}
        engine = manner(ENGINE_VERSION, terms.review_from)
        return Campaign(
            id=campaign_id(tenant, occasion, engine=engine, lists=lists, round_=round_),
            tenant=tenant,
            occasion=occasion,
            engine=engine,
            lists=lists,
            opened_at=self._clock(),
        )

    async def _delta(
        self, campaign: Campaign, edition: Edition, crowd: Crowd, since: Mapping[str, int | None]
    ) -> Round:
        """People who were all screened against the same versions; only what changed since can concern them."""
        people = crowd.people
        changed: list[Entry] = []
        for source, version in since.items():
            if source in campaign.lists:
                changed += (await self._lists.changes(source, version, campaign.lists[source])).to_screen()
        again = await self._found_by(changed, campaign.tenant, people, edition)
        for start in range(0, len(people), PAGE):
            # Whoever had a hit is looked at again: its entry may have changed, or be gone.
            page = [person.application for person in people[start : start + PAGE]]
            again |= await self._campaigns.had_hits(campaign.tenant, page)
        touched = [person for person in people if person.application in again]
        done = Round()
        for person in touched:
            done += await self._screen(campaign, person)
        return done + await self._unchanged(campaign, people[0].lists or {}, touched, crowd.stretch)

    async def _found_by(
        self, changed: Sequence[Entry], tenant: str, people: Sequence[Enrolment], edition: Edition
    ) -> set[UUID]:
        """Whom the *changed* entries may mean."""
        if not changed:
            return set()
        unreadable: set[UUID] = set()  # they are screened in full, which tells that they cannot be
        entries: list[Entry] = []
        for start in range(0, len(people), PAGE):
            page = people[start : start + PAGE]
            sealed = await self._people.identities(tenant, page)
            await self._vault.prefetch(tenant, list(sealed.values()))
            for person in page:
                identities = await _alone(person, self._opened(person, sealed.get(person.application)))
                if identities is None:
                    unreadable.add(person.application)
                entries += [self._as_entry(person, identity) for identity in identities or ()]
        return unreadable | await asyncio.to_thread(_found, entries, changed, edition.index)

    def _as_entry(self, person: Enrolment, identity: Identity) -> Entry:
        query = self._screener.query(identity)
        return Entry(
            id=str(person.application),
            source="people",
            group=Group.SANCTION,
            kind=query.kind,
            names=tuple(ListedName(value=name) for name in query.names),
            births=tuple(query.births),
            countries=tuple(query.countries),
            gender=query.gender,
            identifiers=tuple(query.identifiers),
        )

    async def _opened(self, person: Enrolment, sealed: Sealed | None) -> tuple[Identity, ...]:
        """Who the person is; nobody, once they are erased."""
        if sealed is None:
            return ()
        told = await self._vault.open(person.tenant, person.subject, person.application, sealed)
        return recalled(told) if told else ()

    async def _seen(self, person: Enrolment) -> Seen | None:
        """Ask every list about one person; None when they are not to be watched any more."""
        snapshot = await self._store.load(person.tenant, person.application)
        sealed = await self._people.identities(person.tenant, (person,))
        identities = await self._opened(person, sealed.get(person.application))
        if snapshot is None or not identities or snapshot.state.status is not Status.VERIFIED:
            return None
        screened = await self._screener.screen(identities, self._terms(person.tenant))
        return Seen(snapshot=snapshot, identities=identities, screened=screened)

    async def _screen(self, campaign: Campaign, person: Enrolment) -> Round:
        """Ask every list about one person, raise what is new, and record what was found."""
        done = await _alone(person, self._screened(campaign, person)) or Round(failed=1)
        self._counted(done)
        return done

    async def _screened(self, campaign: Campaign, person: Enrolment) -> Round:
        seen = await self._seen(person)
        if seen is None:
            await self._people.end(person.tenant, person.application, self._clock())
            return Round()
        outcome = await self._outcome(campaign, person, seen)
        alerts = await self._alert(person, seen)
        with suppress(CampaignOvertaken, PersonNotEnrolled):
            await self._campaigns.record(campaign, outcome)
        return Round(screened=1, alerts=alerts)

    async def _alert(self, person: Enrolment, seen: Seen) -> int:
        """Tell the application what matches now; it raises an alert for what is new, and how many hits that were."""
        screened = seen.screened
        if not screened.possible:
            return 0
        told = findings_of(person.application, seen.identities, screened)
        command = RecordAlert(
            basis=screened.basis,
            hits=hits_of(person.application, screened),
            findings=await self._vault.seal(person.tenant, person.subject, person.application, told),
        )
        cause = Cause(actor="watch", causation=str(person.identity), correlation=str(person.application))
        task = Task(tenant=person.tenant, stream=person.application, command=command, cause=cause)
        handled = await handle(self._store, task, self._clock())
        return sum(len(getattr(event, "hits", ())) for event in handled.events)

    async def _outcome(self, campaign: Campaign, person: Enrolment, seen: Seen) -> Outcome:
        snapshot, screened = seen.snapshot, seen.screened
        known = {hit.id for hit in snapshot.state.clearance.hits} if snapshot.state.clearance else set()
        found = {hit.id for hit in hits_of(person.application, screened)}
        first = not await self._campaigns.outcomes(person.tenant, person.application)
        highest = max((one.probability for one in screened.possible), default=None)
        sealed = None
        if screened.possible:
            told = findings_of(person.application, seen.identities, screened)
            sealed = await self._vault.seal(person.tenant, person.subject, person.application, told)
        return Outcome(
            application=person.application,
            campaign=campaign.id,
            step=_step(known, found, first=first),
            band=band(highest).name.lower(),
            count=len(found),
            facts=person.facts,
            at=self._clock(),
            hits=sealed,
        )


async def _alone(person: Enrolment, work: Awaitable[T]) -> T | None:
    """What came of *work* for one person; None after a fault of theirs alone, which must not hold up all others."""
    try:
        return await work
    except (ScreeningUnavailable, StoreUnavailable):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be screened
        # Only the kind of the error: its text and its traceback may hold personal data.
        log.error("not_screened", application=str(person.application), error=type(error).__name__)  # noqa: TRY400
        return None


def _differences(person: Enrolment, changes: Mapping[str, Changes]) -> Sequence[Difference]:
    return [
        Difference(tenant=person.tenant, application=person.application, list=name, changes=change)
        for name, change in changes.items()
    ]


def _step(known: set[UUID], found: set[UUID], *, first: bool) -> Step:
    if found - known:
        return Step.WORSE
    if first:
        return Step.FIRST
    return Step.BETTER if known - found else Step.SAME


def _found(entries: Sequence[Entry], changed: Sequence[Entry], lists: Index) -> frozenset[UUID]:
    people = Index.build(entries)
    return frozenset(
        UUID(people.entry(hit.entry).id)
        for entry in changed
        for hit in rescreen(people, entry, lists)
        if hit.probability >= WIDE
    )
