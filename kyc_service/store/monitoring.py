"""Continuous screening in PostgreSQL: who is watched, and what each campaign found.

Whatever is done twice is done once: a campaign has an id that derives from what it is about, and a person has one
outcome in a campaign. So a worker that is killed is followed by another one that goes on where it was.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from kyc_service.application.monitoring import (
    EVERYBODY,
    Campaign,
    CampaignOvertaken,
    Enrolment,
    Occasion,
    Outcome,
    PersonNotEnrolled,
    Step,
    Stretch,
)
from kyc_service.domain.application import Sealed
from kyc_service.store.database import Connection, Database

PERSON = """
    e.tenant, e.application, e.subject, e.identity, e.facts, e.enrolled_at, e.ended_at, e.lists, e.engine,
    e.screened_facts, e.screened_at
"""
ENROL = """
    insert into enrolments as known (tenant, application, subject, identity, facts, enrolled_at)
    values (%s, %s, %s, %s, %s, %s)
    on conflict (tenant, application) do update
      set identity = excluded.identity, facts = excluded.facts, ended_at = null
      where (known.identity, known.facts) is distinct from (excluded.identity, excluded.facts)
        or known.ended_at is not null
"""
END = """
    update enrolments set ended_at = %s
    where tenant = %s and application = %s and ended_at is null
"""
ENROLMENT = f"select {PERSON} from enrolments e where e.tenant = %s and e.application = %s"
SAMPLE = f"""
    select {PERSON}
    from enrolments e
    where e.tenant = %s and e.ended_at is null
    order by sha256(convert_to(%s || e.application::text, 'UTF8'))
    limit %s
"""
IDENTITIES = """
    select stream, id, sealed from events
    where tenant = %s and stream = any(%s) and id = any(%s) and sealed is not null
"""
TENANTS = "select tenant, people from watched_tenants()"

OPEN = """
    insert into campaigns (tenant, id, occasion, engine, lists, opened_at)
    values (%s, %s, %s, %s, %s, %s)
    on conflict do nothing
"""
CAMPAIGN = """
    select tenant, id, occasion, engine, lists, opened_at
    from campaigns
    where tenant = %s and id = %s
"""
PENDING = f"""
    select {PERSON}
    from enrolments e
    where e.tenant = %(tenant)s and e.ended_at is null and (%(after)s::uuid is null or e.application > %(after)s)
      and not exists (
        select from outcomes o
        where o.tenant = e.tenant and o.campaign = %(campaign)s and o.application = e.application
      )
    order by e.application
    limit %(limit)s
"""
HOLD_PERSON = "select ended_at, lists from enrolments where tenant = %s and application = %s for update"
RECORD = """
    insert into outcomes (tenant, application, campaign, step, band, count, facts, at, sealed_entry, sealed)
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    on conflict do nothing
"""
MOVE_ON = """
    update enrolments set lists = %s, engine = %s, screened_facts = %s, screened_at = %s
    where tenant = %s and application = %s
"""
# Everybody whom a delta does not touch: what was known of them stays, said again for this campaign.
RECORD_REST = """
    with rest as (
      select e.application, e.facts, last.band, last.count, last.sealed_entry, last.sealed
      from enrolments e
      join lateral (
        select o.band, o.count, o.sealed_entry, o.sealed
        from outcomes o
        where o.tenant = e.tenant and o.application = e.application
        order by o.at desc
        limit 1
      ) last on true
      where e.tenant = %(tenant)s and e.ended_at is null and e.screened_facts = e.facts
        and (%(beyond)s::uuid is null or e.application > %(beyond)s)
        and (%(up_to)s::uuid is null or e.application <= %(up_to)s)
        and e.engine = %(engine)s and e.lists = %(since)s and not e.application = any(%(touched)s)
        and not exists (
          select from outcomes o
          where o.tenant = e.tenant and o.campaign = %(campaign)s and o.application = e.application
        )
      order by e.application
      limit %(limit)s
      for update of e
    ), kept as (
      insert into outcomes (tenant, application, campaign, step, band, count, facts, at, sealed_entry, sealed)
      select %(tenant)s, application, %(campaign)s, 'same', band, count, facts, %(at)s, sealed_entry, sealed from rest
      on conflict do nothing
      returning application
    ), moved as (
      update enrolments e set lists = %(lists)s, screened_at = %(at)s
      from kept
      where e.tenant = %(tenant)s and e.application = kept.application
    )
    select count(*) from kept
"""
TURN = "select pg_try_advisory_lock(hashtextextended('kyc watch', 0))"
HAD_HITS = """
    select e.application
    from unnest(%s::uuid[]) as e (application)
    join lateral (
      select o.count
      from outcomes o
      where o.tenant = %s and o.application = e.application
      order by o.at desc
      limit 1
    ) last on last.count > 0
"""
LAST = """
    select o.application, o.campaign, o.step, o.band, o.count, o.facts, o.at, o.sealed_entry, o.sealed
    from outcomes o
    where o.tenant = %s and o.application = %s
    order by o.at desc
    limit %s
"""


class Enrolments:
    """The people who are watched."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tenants(self) -> Mapping[str, int]:
        """Whose people are watched, and how many of each."""
        async with self._database.any() as connection:
            rows = await (await connection.execute(TENANTS)).fetchall()
        return dict(rows)

    async def enrol(self, enrolment: Enrolment) -> None:
        """Watch a person, or take note of their new facts. Doing it twice is doing it once."""
        values = (
            enrolment.tenant,
            enrolment.application,
            enrolment.subject,
            enrolment.identity,
            enrolment.facts,
            enrolment.enrolled_at,
        )
        async with self._database.of(enrolment.tenant) as connection:
            await connection.execute(ENROL, values)

    async def end(self, tenant: str, application: UUID, at: datetime) -> None:
        """Stop watching a person; what was found stays."""
        async with self._database.of(tenant) as connection:
            await connection.execute(END, (at, tenant, application))

    async def of(self, tenant: str, application: UUID) -> Enrolment | None:
        """One person, or None when they were never enrolled."""
        async with self._database.of(tenant) as connection:
            row = await (await connection.execute(ENROLMENT, (tenant, application))).fetchone()
        return _enrolment(row) if row else None

    async def identities(self, tenant: str, people: Sequence[Enrolment]) -> Mapping[UUID, Sealed]:
        """The sealed identity of each of *people*, by application."""
        wanted = (tenant, [one.application for one in people], [one.identity for one in people])
        async with self._database.of(tenant) as connection:
            rows = await (await connection.execute(IDENTITIES, wanted)).fetchall()
        return {stream: Sealed(entry=entry, box=bytes(box)) for stream, entry, box in rows}

    async def sample(self, tenant: str, seed: str, count: int) -> Sequence[Enrolment]:
        """People at random; the same seed gives the same people."""
        async with self._database.of(tenant) as connection:
            return [
                _enrolment(row) for row in await (await connection.execute(SAMPLE, (tenant, seed, count))).fetchall()
            ]


class Campaigns:
    """The campaigns and what they find."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Whether it is this process's turn to screen everybody: one at a time, and another one when it dies."""
        async with self._database.system() as connection:
            row = await (await connection.execute(TURN)).fetchone()
            yield bool(row and row[0])  # the server frees the lock with the connection

    async def open(self, campaign: Campaign) -> Campaign:
        """Begin a campaign, or find the one that was begun."""
        key = (campaign.tenant, campaign.id)
        about = (campaign.occasion.value, campaign.engine, Jsonb(dict(campaign.lists)))
        async with self._database.of(campaign.tenant) as connection:
            await connection.execute(OPEN, (*key, *about, campaign.opened_at))
            (row,) = await (await connection.execute(CAMPAIGN, key)).fetchall()
        return _campaign(row)

    async def pending(self, campaign: Campaign, after: UUID | None, limit: int) -> Sequence[Enrolment]:
        """People without an outcome in the campaign, by application, those beyond *after*."""
        asked = {"tenant": campaign.tenant, "campaign": campaign.id, "after": after, "limit": limit}
        async with self._database.of(campaign.tenant) as connection:
            return [_enrolment(row) for row in await (await connection.execute(PENDING, asked)).fetchall()]

    async def record(self, campaign: Campaign, outcome: Outcome) -> bool:
        """Keep an outcome, and what the person was screened with; False when the person has one already.

        Raises:
            CampaignOvertaken: the person was screened against newer lists meanwhile.
            PersonNotEnrolled: the person is not watched any more.
        """
        tenant = campaign.tenant
        async with self._database.of(tenant) as connection, connection.transaction():
            await _held(connection, campaign, outcome.application)
            if (await connection.execute(RECORD, _outcome_row(tenant, outcome))).rowcount == 0:
                return False
            screened = (Jsonb(dict(campaign.lists)), campaign.engine, outcome.facts, outcome.at)
            await connection.execute(MOVE_ON, (*screened, tenant, outcome.application))
            return True

    async def record_rest(
        self,
        campaign: Campaign,
        since: Mapping[str, int],
        touched: Sequence[UUID],
        at: datetime,
        stretch: Stretch = EVERYBODY,
        *,
        limit: int = 10_000,
    ) -> int:
        """Say of all in the *stretch* whom a delta does not touch that nothing changed; how many, at most *limit*.

        It concerns those who were screened against *since*, with the campaign's engine and their present facts. Call it
        until it answers 0.
        """
        asked = {
            "tenant": campaign.tenant,
            "campaign": campaign.id,
            "engine": campaign.engine,
            "since": Jsonb(dict(since)),
            "lists": Jsonb(dict(campaign.lists)),
            "touched": list(touched),
            "beyond": stretch.beyond,
            "up_to": stretch.up_to,
            "at": at,
            "limit": limit,
        }
        async with self._database.of(campaign.tenant) as connection:
            ((count,),) = await (await connection.execute(RECORD_REST, asked)).fetchall()
        return int(count)

    async def had_hits(self, tenant: str, people: Sequence[UUID]) -> frozenset[UUID]:
        """Those of *people* for whom the last screening found anything."""
        async with self._database.of(tenant) as connection:
            rows = await (await connection.execute(HAD_HITS, (list(people), tenant))).fetchall()
        return frozenset(application for (application,) in rows)

    async def outcomes(self, tenant: str, application: UUID, limit: int = 1) -> Sequence[Outcome]:
        """What was found for a person, latest first."""
        async with self._database.of(tenant) as connection:
            rows = await (await connection.execute(LAST, (tenant, application, limit))).fetchall()
        return [_outcome(row) for row in rows]


async def _held(connection: Connection, campaign: Campaign, application: UUID) -> None:
    row = await (await connection.execute(HOLD_PERSON, (campaign.tenant, application))).fetchone()
    if row is None or row[0] is not None:
        raise PersonNotEnrolled
    if any(campaign.lists.get(source, version) < version for source, version in (row[1] or {}).items()):
        raise CampaignOvertaken


def _outcome_row(tenant: str, outcome: Outcome) -> Sequence[object]:
    return (
        tenant,
        outcome.application,
        outcome.campaign,
        outcome.step.value,
        outcome.band,
        outcome.count,
        outcome.facts,
        outcome.at,
        outcome.hits.entry if outcome.hits else None,
        outcome.hits.box if outcome.hits else None,
    )


def _enrolment(row: Sequence[Any]) -> Enrolment:
    tenant, application, subject, identity, facts, enrolled_at, ended_at, lists, engine, screened_facts, at = row
    return Enrolment(
        tenant=tenant,
        application=application,
        subject=subject,
        identity=identity,
        facts=facts,
        enrolled_at=enrolled_at,
        ended_at=ended_at,
        lists=lists,
        engine=engine,
        screened_facts=screened_facts,
        screened_at=at,
    )


def _campaign(row: Sequence[Any]) -> Campaign:
    tenant, identity, occasion, engine, lists, opened_at = row
    return Campaign(
        id=identity,
        tenant=tenant,
        occasion=Occasion(occasion),
        engine=engine,
        lists=lists,
        opened_at=opened_at,
    )


def _outcome(row: Sequence[Any]) -> Outcome:
    application, campaign, step, band, count, facts, at, sealed_entry, sealed = row
    return Outcome(
        application=application,
        campaign=campaign,
        step=Step(step),
        band=band,
        count=count,
        facts=facts,
        at=at,
        hits=Sealed(entry=sealed_entry, box=sealed) if sealed is not None else None,
    )
