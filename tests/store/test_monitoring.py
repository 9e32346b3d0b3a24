"""Continuous screening in PostgreSQL: nothing twice, nothing lost, nothing across tenants, nobody's name."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from kyc_service.application.monitoring import (
    Alert,
    Campaign,
    CampaignClosed,
    CampaignOvertaken,
    Enrolment,
    Occasion,
    Outcome,
    PersonNotEnrolled,
    Step,
    Suppression,
)
from kyc_service.domain.application import Sealed
from kyc_service.store.database import Database
from kyc_service.store.monitoring import Alerts, Campaigns, Enrolments, Suppressions

Enrol = Callable[..., Enrolment]

LISTS = {"un": 3}


@pytest.fixture
def enrolments(database: Database) -> Enrolments:
    return Enrolments(database)


@pytest.fixture
def campaigns(database: Database) -> Campaigns:
    return Campaigns(database)


@pytest.fixture
def alerts(database: Database) -> Alerts:
    return Alerts(database)


def person(number: int, now: datetime, tenant: str = "t", facts: bytes = b"facts") -> Enrolment:
    return Enrolment(
        tenant=tenant,
        application=UUID(int=number),
        subject=UUID(int=number + 1000),
        identity=UUID(int=number + 2000),
        facts=facts,
        enrolled_at=now,
    )


def campaign(
    now: datetime, *, lists: dict[str, int] | None = None, dry_run: bool = False, tenant: str = "t"
) -> Campaign:
    return Campaign(
        id=uuid4(),
        tenant=tenant,
        occasion=Occasion.DELTA,
        engine="1.0",
        lists=lists or LISTS,
        dry_run=dry_run,
        opened_at=now,
    )


def outcome(round_: Campaign, number: int, now: datetime, *marks: bytes, facts: bytes = b"facts") -> Outcome:
    application = UUID(int=number)
    raised = tuple(
        Alert(
            id=uuid4(),
            application=application,
            campaign=round_.id,
            mark=mark,
            step=Step.WORSE,
            band="review",
            raised_at=now,
        )
        for mark in marks
    )
    return Outcome(
        application=application,
        campaign=round_.id,
        step=Step.WORSE if marks else Step.FIRST,
        band="review" if marks else "clear",
        count=len(marks),
        facts=facts,
        at=now,
        hits=Sealed(entry=uuid4(), box=b"sealed") if marks else None,
        alerts=raised,
    )


async def enrolled(enrolments: Enrolments, now: datetime, *numbers: int) -> None:
    for number in numbers:
        await enrolments.enrol(person(number, now))


async def test_whoever_is_enrolled_twice_is_watched_once(enrolments: Enrolments, now: datetime) -> None:
    await enrolled(enrolments, now, 1, 1, 2)
    assert [one.application.int for one in await enrolments.people("t", None, 10)] == [1, 2]
    assert [one.application.int for one in await enrolments.people("t", UUID(int=1), 10)] == [2]
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
    enrolments: Enrolments, campaigns: Campaigns, alerts: Alerts, now: datetime
) -> None:
    await enrolled(enrolments, now, 1, 2, 3)
    wanted = campaign(now)
    round_ = await campaigns.open(wanted)
    assert await campaigns.record(round_, outcome(round_, 2, now, b"a"))
    assert await campaigns.open(wanted) == round_
    assert [one.application.int for one in await campaigns.pending(round_, None, 10)] == [1, 3]
    assert not await campaigns.record(round_, outcome(round_, 2, now, b"a", b"b"))
    assert len(await alerts.open("t")) == 1
    assert not await campaigns.close(round_, now)
    for number in (1, 3):
        assert await campaigns.record(round_, outcome(round_, number, now))
    assert await campaigns.close(round_, now)
    with pytest.raises(CampaignClosed):
        await campaigns.record(round_, outcome(round_, 1, now))
    assert await campaigns.tally(round_) == {(Step.WORSE, "review"): 1, (Step.FIRST, "clear"): 2}


async def test_two_workers_at_once_raise_an_alert_once(
    enrolments: Enrolments, campaigns: Campaigns, alerts: Alerts, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    round_ = await campaigns.open(campaign(now))
    kept = await asyncio.gather(*(campaigns.record(round_, outcome(round_, 1, now, b"a")) for _ in range(8)))
    assert sorted(kept) == [False] * 7 + [True]
    assert len(await alerts.open("t")) == 1


async def test_an_outcome_moves_the_person_on(enrolments: Enrolments, campaigns: Campaigns, now: datetime) -> None:
    await enrolled(enrolments, now, 1)
    round_ = await campaigns.open(campaign(now))
    await campaigns.record(round_, outcome(round_, 1, now, b"a"))
    known = await enrolments.of("t", UUID(int=1))
    assert known
    assert (known.lists, known.engine, known.screened_facts, known.screened_at) == (LISTS, "1.0", b"facts", now)
    (last,) = await campaigns.outcomes("t", UUID(int=1))
    assert (last.band, last.count, last.hits and last.hits.box) == ("review", 1, b"sealed")


async def test_a_dry_run_raises_no_alert_and_moves_nobody_on(
    enrolments: Enrolments, campaigns: Campaigns, alerts: Alerts, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    rehearsal = await campaigns.open(campaign(now, dry_run=True))
    assert await campaigns.record(rehearsal, outcome(rehearsal, 1, now, b"a"))
    assert await campaigns.tally(rehearsal) == {(Step.WORSE, "review"): 1}
    assert await alerts.open("t") == []
    assert await campaigns.outcomes("t", UUID(int=1)) == []
    assert await enrolments.of("t", UUID(int=1)) == person(1, now)


async def test_an_older_campaign_does_not_take_a_person_back(
    enrolments: Enrolments, campaigns: Campaigns, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    old = await campaigns.open(campaign(now, lists={"un": 3}))
    new = await campaigns.open(campaign(now, lists={"un": 4}))
    await campaigns.record(new, outcome(new, 1, now))
    with pytest.raises(CampaignOvertaken):
        await campaigns.record(old, outcome(old, 1, now))
    await campaigns.abandon(old, now)
    with pytest.raises(CampaignClosed):
        await campaigns.record(old, outcome(old, 1, now))


async def test_whoever_a_delta_does_not_touch_has_an_outcome_all_the_same(
    enrolments: Enrolments, campaigns: Campaigns, alerts: Alerts, now: datetime
) -> None:
    await enrolled(enrolments, now, 1, 2, 3, 4)
    first = await campaigns.open(campaign(now))
    for number in (1, 2, 3):
        await campaigns.record(first, outcome(first, number, now, *([b"a"] if number == 2 else [])))
    later = now + timedelta(days=1)
    delta = await campaigns.open(campaign(later, lists={"un": 4}))
    await campaigns.record(delta, outcome(delta, 3, later, b"b"))
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
    assert sorted(alert.mark for alert in await alerts.open("t")) == [b"a", b"b"]


async def test_the_rest_of_a_dry_run_moves_nobody_on(
    enrolments: Enrolments, campaigns: Campaigns, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    first = await campaigns.open(campaign(now))
    await campaigns.record(first, outcome(first, 1, now))
    rehearsal = await campaigns.open(campaign(now, lists={"un": 4}, dry_run=True))
    assert await campaigns.record_rest(rehearsal, LISTS, [], now) == 1
    assert await campaigns.record_rest(rehearsal, LISTS, [], now) == 0
    known = await enrolments.of("t", UUID(int=1))
    assert known
    assert known.lists == LISTS


async def test_a_worse_alert_takes_the_place_of_the_one_before_and_a_better_outcome_closes_it(
    enrolments: Enrolments, campaigns: Campaigns, alerts: Alerts, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    for version in (1, 2):
        round_ = await campaigns.open(campaign(now, lists={"un": version}))
        await campaigns.record(round_, outcome(round_, 1, now, b"a"))
    (alert,) = await alerts.open("t", UUID(int=1))
    assert alert.campaign == round_.id
    last = await campaigns.open(campaign(now, lists={"un": 3}))
    better = outcome(last, 1, now)
    await campaigns.record(
        last,
        Outcome(
            application=better.application,
            campaign=last.id,
            step=Step.BETTER,
            band="clear",
            count=0,
            facts=b"facts",
            at=now,
            closed=(b"a",),
        ),
    )
    assert await alerts.open("t") == []


async def test_an_alert_is_closed_by_whoever_looked_at_it_once(
    enrolments: Enrolments, campaigns: Campaigns, alerts: Alerts, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    round_ = await campaigns.open(campaign(now))
    await campaigns.record(round_, outcome(round_, 1, now, b"a"))
    (alert,) = await alerts.open("t")
    assert await alerts.close("t", alert.id, now)
    assert not await alerts.close("t", alert.id, now)


def suppression(now: datetime) -> Suppression:
    return Suppression(
        id=uuid4(),
        application=UUID(int=1),
        mark=b"a",
        person=b"facts",
        listed=b"entry",
        band="review",
        grounds=("country", "name"),
        by="officer",
        made_at=now,
        expires_at=now + timedelta(days=365),
    )


async def test_a_suppression_is_kept_with_its_facts_and_revoked_once(
    enrolments: Enrolments, database: Database, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    suppressions = Suppressions(database)
    made = suppression(now)
    for _ in range(2):
        await suppressions.add("t", made)
    assert await suppressions.of("t", UUID(int=1)) == [made]
    assert await suppressions.revoke("t", made.id, "entry_changed", now)
    assert not await suppressions.revoke("t", made.id, "entry_changed", now)
    (revoked,) = await suppressions.of("t", UUID(int=1))
    assert (revoked.revoked_at, revoked.revoked_because) == (now, "entry_changed")


async def test_whoever_is_forgotten_leaves_nothing(
    enrolments: Enrolments, campaigns: Campaigns, database: Database, now: datetime, dsn: str
) -> None:
    await enrolled(enrolments, now, 1, 2)
    round_ = await campaigns.open(campaign(now))
    for number in (1, 2):
        await campaigns.record(round_, outcome(round_, number, now, b"a"))
    await Suppressions(database).add("t", suppression(now))
    await enrolments.forget("t", UUID(int=1))
    with psycopg.connect(dsn) as connection:
        for table in ("enrolments", "outcomes", "alerts"):
            assert connection.execute(f"select array_agg(application) from {table}").fetchone() == ([UUID(int=2)],)
        assert connection.execute("select count(*) from suppressions").fetchone() == (0,)


async def test_no_tenant_sees_or_touches_what_belongs_to_another(
    enrolments: Enrolments, campaigns: Campaigns, alerts: Alerts, database: Database, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    round_ = await campaigns.open(campaign(now))
    await campaigns.record(round_, outcome(round_, 1, now, b"a"))
    (alert,) = await alerts.open("t")
    assert await enrolments.people("other", None, 10) == []
    assert await enrolments.of("other", UUID(int=1)) is None
    assert await alerts.open("other") == []
    assert not await alerts.close("other", alert.id, now)
    async with database.of("other") as connection:
        for table in ("enrolments", "campaigns", "outcomes", "alerts", "suppressions"):
            row = await (await connection.execute(f"select count(*) from {table}")).fetchone()
            assert row == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(
                "insert into campaigns values ('t', gen_random_uuid(), 'delta', '1', '{}', false, now())"
            )


async def test_what_was_found_cannot_be_rewritten(
    enrolments: Enrolments, campaigns: Campaigns, database: Database, now: datetime
) -> None:
    await enrolled(enrolments, now, 1)
    round_ = await campaigns.open(campaign(now))
    await campaigns.record(round_, outcome(round_, 1, now, b"a"))
    async with database.of("t") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("update outcomes set band = 'clear', count = 0, sealed = null")
