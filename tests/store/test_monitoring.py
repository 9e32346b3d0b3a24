"""Continuous screening in PostgreSQL: nothing twice, nothing lost, nothing across tenants, nobody's name."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from kyc_service.application.keys import DataClass, Owner, StoredKey
from kyc_service.application.monitoring import (
    Campaign,
    CampaignOvertaken,
    Enrolment,
    Occasion,
    Outcome,
    PersonNotEnrolled,
    Step,
)
from kyc_service.domain.application import Sealed
from kyc_service.store.database import Database
from kyc_service.store.keys import Keys
from kyc_service.store.monitoring import Campaigns, Enrolments

Enrol = Callable[..., Enrolment]

LISTS = {"un": 3}


@pytest.fixture
def enrolments(database: Database) -> Enrolments:
    return Enrolments(database)


@pytest.fixture
def campaigns(database: Database) -> Campaigns:
    return Campaigns(database)


def person(number: int, now: datetime, tenant: str = "t", facts: bytes = b"facts") -> Enrolment:
    return Enrolment(
        tenant=tenant,
        application=UUID(int=number),
        subject=UUID(int=number + 1000),
        identity=UUID(int=number + 2000),
        facts=facts,
        enrolled_at=now,
    )


def campaign(now: datetime, lists: dict[str, int] | None = None) -> Campaign:
    return Campaign(id=uuid4(), tenant="t", occasion=Occasion.DELTA, engine="1.0", lists=lists or LISTS, opened_at=now)


def outcome(round_: Campaign, number: int, now: datetime, *, hits: int = 0) -> Outcome:
    return Outcome(
        application=UUID(int=number),
        campaign=round_.id,
        step=Step.WORSE if hits else Step.FIRST,
        band="review" if hits else "clear",
        count=hits,
        facts=b"facts",
        at=now,
        hits=Sealed(entry=uuid4(), box=b"sealed") if hits else None,
    )


async def enrolled(enrolments: Enrolments, now: datetime, *numbers: int) -> None:
    for number in numbers:
        await enrolments.enrol(person(number, now))


async def test_whoever_is_enrolled_twice_is_watched_once(enrolments: Enrolments, now: datetime) -> None:
    await enrolled(enrolments, now, 1, 1, 2)
    assert await enrolments.of("t", UUID(int=1)) == person(1, now)
    assert await enrolments.tenants() == {"t": 2}


async def test_new_facts_keep_what_was_screened_before(
    enrolments: Enrolments, campaigns: Campaigns, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    round_ = await campaigns.open(campaign(now))
    await campaigns.record(round_, outcome(round_, 1, now))
    await enrolments.enrol(person(1, now, facts=b"married"))
    known = await enrolments.of("t", UUID(int=1))
    assert known
    assert (known.facts, known.screened_facts, known.lists, known.engine) == (b"married", b"facts", LISTS, "1.0")


async def test_whoever_left_is_not_screened_and_may_come_back(
    enrolments: Enrolments, campaigns: Campaigns, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    await enrolments.end("t", UUID(int=1), now)
    round_ = await campaigns.open(campaign(now))
    assert await campaigns.pending(round_, None, 10) == []
    with pytest.raises(PersonNotEnrolled):
        await campaigns.record(round_, outcome(round_, 1, now))
    await enrolled(enrolments, now, 1)
    assert [one.application.int for one in await campaigns.pending(round_, None, 10)] == [1]


async def test_the_same_seed_gives_the_same_sample(enrolments: Enrolments, now: datetime) -> None:
    await enrolled(enrolments, now, *range(1, 21))
    first = [one.application for one in await enrolments.sample("t", "2026-11-24", 5)]
    assert first == [one.application for one in await enrolments.sample("t", "2026-11-24", 5)]
    assert len(set(first)) == 5
    assert first != [one.application for one in await enrolments.sample("t", "2026-11-25", 5)]


async def test_a_campaign_goes_on_where_a_killed_worker_left_it(
    enrolments: Enrolments, campaigns: Campaigns, now: datetime
) -> None:
    await enrolled(enrolments, now, 1, 2, 3)
    wanted = campaign(now)
    round_ = await campaigns.open(wanted)
    assert await campaigns.record(round_, outcome(round_, 2, now, hits=1))
    assert await campaigns.open(wanted) == round_
    assert [one.application.int for one in await campaigns.pending(round_, None, 10)] == [1, 3]
    assert not await campaigns.record(round_, outcome(round_, 2, now, hits=2))
    for number in (1, 3):
        assert await campaigns.record(round_, outcome(round_, number, now))
    assert await campaigns.pending(round_, None, 10) == []
    (kept,) = await campaigns.outcomes("t", UUID(int=2), 10)
    assert kept.count == 1


async def test_two_workers_at_once_leave_one_outcome(
    enrolments: Enrolments, campaigns: Campaigns, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    round_ = await campaigns.open(campaign(now))
    kept = await asyncio.gather(*(campaigns.record(round_, outcome(round_, 1, now, hits=1)) for _ in range(8)))
    assert sorted(kept) == [False] * 7 + [True]


async def test_an_outcome_moves_the_person_on(enrolments: Enrolments, campaigns: Campaigns, now: datetime) -> None:
    await enrolled(enrolments, now, 1)
    round_ = await campaigns.open(campaign(now))
    await campaigns.record(round_, outcome(round_, 1, now, hits=1))
    known = await enrolments.of("t", UUID(int=1))
    assert known
    assert (known.lists, known.engine, known.screened_facts, known.screened_at) == (LISTS, "1.0", b"facts", now)
    (last,) = await campaigns.outcomes("t", UUID(int=1))
    assert (last.band, last.count, last.hits and last.hits.box) == ("review", 1, b"sealed")


async def test_who_had_hits_is_told_by_the_last_screening(
    enrolments: Enrolments, campaigns: Campaigns, now: datetime
) -> None:
    await enrolled(enrolments, now, 1, 2, 3, 4)
    first, second = await campaigns.open(campaign(now)), await campaigns.open(campaign(now, {"un": 4}))
    later = now + timedelta(days=1)
    for number, before, after in ((1, 1, 0), (2, 0, 1), (3, 0, 0)):
        await campaigns.record(first, outcome(first, number, now, hits=before))
        await campaigns.record(second, outcome(second, number, later, hits=after))
    asked = [UUID(int=number) for number in (1, 2, 3, 4)]
    assert await campaigns.had_hits("t", asked) == {UUID(int=2)}
    assert await campaigns.had_hits("t", asked[2:]) == frozenset()
    assert await campaigns.had_hits("other", asked) == frozenset()


async def test_an_older_campaign_does_not_take_a_person_back(
    enrolments: Enrolments, campaigns: Campaigns, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    old = await campaigns.open(campaign(now, lists={"un": 3}))
    new = await campaigns.open(campaign(now, lists={"un": 4}))
    await campaigns.record(new, outcome(new, 1, now))
    with pytest.raises(CampaignOvertaken):
        await campaigns.record(old, outcome(old, 1, now))


async def test_whoever_a_delta_does_not_touch_has_an_outcome_all_the_same(
    enrolments: Enrolments, campaigns: Campaigns, now: datetime
) -> None:
    await enrolled(enrolments, now, 1, 2, 3, 4)
    first = await campaigns.open(campaign(now))
    for number in (1, 2, 3):
        await campaigns.record(first, outcome(first, number, now, hits=1 if number == 2 else 0))
    later = now + timedelta(days=1)
    delta = await campaigns.open(campaign(later, lists={"un": 4}))
    await campaigns.record(delta, outcome(delta, 3, later, hits=1))
    assert await campaigns.record_rest(delta, LISTS, [UUID(int=3)], later, limit=1) == 1
    assert await campaigns.record_rest(delta, LISTS, [UUID(int=3)], later) == 1
    assert await campaigns.record_rest(delta, LISTS, [UUID(int=3)], later) == 0
    # the fourth was never screened, so nothing can be said of them by a delta
    assert [one.application.int for one in await campaigns.pending(delta, None, 10)] == [4]
    (same,) = await campaigns.outcomes("t", UUID(int=2))
    assert (same.campaign, same.step, same.band, same.count) == (delta.id, Step.SAME, "review", 1)
    known = await enrolments.of("t", UUID(int=1))
    assert known
    assert known.lists == {"un": 4}


async def test_destroying_a_persons_key_takes_everything_along(
    enrolments: Enrolments, campaigns: Campaigns, database: Database, now: datetime, dsn: str
) -> None:
    await enrolled(enrolments, now, 1, 2)
    round_ = await campaigns.open(campaign(now))
    for number in (1, 2):
        await campaigns.record(round_, outcome(round_, number, now, hits=1))
    keys = Keys(database)
    for data_class in (DataClass.BIOMETRIC, DataClass.CDD):
        owner = Owner(tenant="t", subject=UUID(int=1001), data_class=data_class)
        await keys.add(StoredKey(id=uuid4(), owner=owner, generation=1, kek_version=1, wrapped=b"wrapped"))
        assert len(await campaigns.outcomes("t", UUID(int=1))) == 1
        await keys.destroy("t", owner.subject, data_class, now, "erasure")
    with psycopg.connect(dsn) as connection:
        for table in ("enrolments", "outcomes"):
            assert connection.execute(f"select array_agg(application) from {table}").fetchone() == ([UUID(int=2)],)


async def test_no_tenant_sees_or_touches_what_belongs_to_another(
    enrolments: Enrolments, campaigns: Campaigns, database: Database, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    round_ = await campaigns.open(campaign(now))
    await campaigns.record(round_, outcome(round_, 1, now, hits=1))
    assert await enrolments.of("other", UUID(int=1)) is None
    assert await enrolments.sample("other", "2026-11-24", 5) == []
    async with database.of("other") as connection:
        for table in ("enrolments", "campaigns", "outcomes"):
            row = await (await connection.execute(f"select count(*) from {table}")).fetchone()
            assert row == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("insert into campaigns values ('t', gen_random_uuid(), 'delta', '1', '{}', now())")


async def test_what_was_found_cannot_be_rewritten(
    enrolments: Enrolments, campaigns: Campaigns, database: Database, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    round_ = await campaigns.open(campaign(now))
    await campaigns.record(round_, outcome(round_, 1, now, hits=1))
    async with database.of("t") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("update outcomes set band = 'clear', count = 0, sealed = null")
