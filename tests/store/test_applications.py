"""The event log keeps its promises on a real PostgreSQL, under concurrency and against the database's own users."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection

from kyc_service.application.handle import Handled, StaleVersion, Task, handle
from kyc_service.application.ids import new_id
from kyc_service.application.keys import DataClass, Owner, StoredKey
from kyc_service.application.ports import (
    Answered,
    AnsweredBefore,
    KeyExists,
    LeaseLost,
    VersionConflict,
)
from kyc_service.domain.application import (
    AmendApplication,
    ApplicationSubmitted,
    ApplicationVerified,
    CheckAnswered,
    Document,
    RecordAnswer,
    Sealed,
    SubmitApplication,
    VerificationStarted,
)
from kyc_service.domain.findings import Verdict
from kyc_service.store.applications import Applications, Page
from kyc_service.store.audit import Audit, verify
from kyc_service.store.database import Database
from kyc_service.store.orders import Orders

CLEAR = RecordAnswer(check="1.1", vendor="simulated", verdict=Verdict.CLEAR, reasons=())


async def test_what_was_appended_is_read_back_whole(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> None:
    stream = new_id()
    handled = await handle(applications, task(submission, stream), now, fresh=True)
    assert await applications.load("t", stream) == handled.snapshot
    history = await applications.history("t", stream)
    assert [(event.version, event.event) for event in history] == list(enumerate(handled.events, start=1))
    assert {(event.at, event.cause.actor) for event in history} == {(now, "test")}
    assert history[0].id == submission.person.entry


async def test_a_command_is_decided_afresh_when_another_writer_was_first(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> None:
    stream = new_id()
    await handle(applications, task(submission, stream), now, fresh=True)
    handled = await asyncio.gather(*(handle(applications, task(CLEAR, stream), now) for _ in range(16)))
    assert sorted(len(one.events) for one in handled) == [0] * 15 + [2]
    assert [type(e.event) for e in await applications.history("t", stream)] == [
        ApplicationSubmitted,
        VerificationStarted,
        CheckAnswered,
        ApplicationVerified,
    ]


async def test_a_client_that_saw_an_older_version_is_told(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> None:
    stream = new_id()
    await handle(applications, task(submission, stream), now, fresh=True)
    with pytest.raises(StaleVersion):
        await handle(applications, task(CLEAR, stream, expected=1), now)


async def test_every_command_is_carried_out_exactly_once(
    dsn: str,
    applications: Applications,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
    dice: Random,
) -> None:
    """400 distinct commands, each twice, over 16 connections and 4 streams."""
    streams = [new_id() for _ in range(4)]
    for stream in streams:
        user = uuid4()
        empty = replace(submission, user_id=user, documents=(), person=Sealed(entry=new_id(), box=b"x"))
        await handle(applications, task(empty, stream), now, fresh=True)
    commands = [(dice.choice(streams), f"key-{number}") for number in range(400)] * 2
    dice.shuffle(commands)
    pending = iter(commands)
    outcomes: list[str] = []

    async def client() -> None:
        for stream, key in pending:
            # Each command corrects the particulars, so each one appends an event unless it was answered before.
            amend = AmendApplication(person=Sealed(entry=new_id(), box=key.encode()))
            answer = Answered(
                client="c",
                key=key,
                fingerprint=b"f",
                entry=new_id(),
                response=b"r",
                expires_at=now + timedelta(hours=1),
            )
            while True:
                try:
                    await handle(applications, task(amend, stream, answer=lambda _, answer=answer: answer), now)
                    outcomes.append("applied")
                except AnsweredBefore:
                    outcomes.append("replayed")
                except VersionConflict:
                    continue
                break

    async with asyncio.TaskGroup() as clients:
        for _ in range(16):
            clients.create_task(client())

    assert sorted(outcomes) == ["applied"] * 400 + ["replayed"] * 400
    async with await AsyncConnection.connect(dsn) as superuser:
        cursor = await superuser.execute(
            "select count(*), count(distinct sealed) from events where type = 'ApplicationAmended'"
        )
        assert await cursor.fetchone() == (400, 400)
        cursor = await superuser.execute(
            "select count(*) from (select max(version) - count(*) as gaps from events group by stream) s where gaps > 0"
        )
        assert await cursor.fetchone() == (0,)
        assert await broken_links(superuser) == 0


async def broken_links(superuser: AsyncConnection) -> int:
    cursor = await superuser.execute(
        """
        select count(*) from (
          select hash, event_hash(lag(hash) over (partition by stream order by version), tenant, stream, version, id,
                                  type, schema, at, data, sealed, meta) as wanted
          from events) chained
        where hash <> wanted
        """
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_a_change_is_committed_whole_or_not_at_all(
    dsn: str,
    applications: Applications,
    orders: Orders,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
) -> None:
    """The last thing that the append does is refused by the database, and nothing of the rest is there."""
    stream, missing = new_id(), uuid4()
    uploaded = Document(doc_type="PASSPORT", file_id=missing, issued_country="NL", uploaded=True)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await handle(applications, task(replace(submission, documents=(uploaded,)), stream), now, fresh=True)
    async with await AsyncConnection.connect(dsn) as superuser:
        cursor = await superuser.execute(
            "select (select count(*) from events), (select count(*) from applications), (select count(*) from orders)"
        )
        assert await cursor.fetchone() == (0, 0, 0)
    assert await orders.lease(10) == []


async def test_the_order_ends_in_the_same_commit_as_its_outcome(
    applications: Applications,
    orders: Orders,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
) -> None:
    stream = new_id()
    await handle(applications, task(submission, stream), now, fresh=True)
    (leased,) = await orders.lease(10)
    await handle(applications, task(CLEAR, stream, finished=leased), now)
    assert (await orders.backlog()).open == 0
    assert await orders.lease(10) == []


async def test_a_worker_that_lost_its_lease_records_nothing(
    applications: Applications,
    orders: Orders,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
) -> None:
    stream = new_id()
    await handle(applications, task(submission, stream), now, fresh=True)
    (leased,) = await orders.lease(10)
    stale = replace(leased, lease=leased.lease - 1)
    with pytest.raises(LeaseLost):
        await handle(applications, task(CLEAR, stream, finished=stale), now)
    assert len(await applications.history("t", stream)) == 2
    assert not await orders.extend(stale)
    assert await orders.extend(leased)


async def test_a_persons_key_is_made_once(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> None:
    owner = Owner(tenant="t", subject=submission.user_id, data_class=DataClass.CDD)

    def key() -> StoredKey:
        return StoredKey(id=uuid4(), owner=owner, generation=1, kek_version=1, wrapped=b"wrapped")

    first = key()
    await handle(applications, task(submission, new_id(), key=first), now, fresh=True)
    with pytest.raises(KeyExists):
        await handle(applications, task(submission, new_id(), key=key()), now, fresh=True)
    prepared = await applications.prepare("t", "c", None, submission.user_id, [], now)
    assert prepared.key == first


async def test_an_answer_is_forgotten_after_its_time(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> None:
    def keyed(at: datetime) -> Task:
        answer = Answered(
            client="c", key="k", fingerprint=b"f", entry=new_id(), response=b"r", expires_at=at + timedelta(hours=1)
        )
        person = Sealed(entry=new_id(), box=b"x")
        return task(replace(submission, person=person), new_id(), answer=lambda _: answer)

    await handle(applications, keyed(now), now, fresh=True)
    with pytest.raises(AnsweredBefore):
        await handle(applications, keyed(now), now, fresh=True)
    later = now + timedelta(hours=2)
    assert (await applications.prepare("t", "c", "k", uuid4(), [], later)).remembered is None
    await handle(applications, keyed(later), later, fresh=True)


async def test_a_flock_of_new_and_old_applications_of_two_tenants_is_committed_whole(
    database: Database,
    applications: Applications,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
) -> None:
    def submitted(stream: UUID, tenant: str) -> Task:
        return task(replace(submission, person=Sealed(entry=new_id(), box=b"x")), stream, tenant=tenant)

    old = [(new_id(), tenant) for tenant in ("t", "u") for _ in range(5)]
    for stream, tenant in old:
        await handle(applications, submitted(stream, tenant), now, fresh=True)
    new = [(new_id(), tenant) for tenant in ("t", "u") for _ in range(5)]
    refused = (old[0][0], "u")  # of another tenant, so it brings the flock down, and then only itself
    outcomes = await asyncio.gather(
        *(handle(applications, task(CLEAR, stream, tenant=tenant), now) for stream, tenant in old),
        *(handle(applications, submitted(stream, tenant), now, fresh=True) for stream, tenant in new),
        handle(applications, submitted(*refused), now, fresh=True),
        return_exceptions=True,
    )
    assert isinstance(outcomes.pop(), VersionConflict)
    loaded = [await applications.load(tenant, stream) for stream, tenant in (*old, *new)]
    assert loaded == [outcome.snapshot for outcome in outcomes if isinstance(outcome, Handled)]
    assert await verify(database) == Audit(streams=20, events=10 * 4 + 10 * 2, breaks=())


async def test_who_asks_together_gets_the_answer_of_nobody_else(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> None:
    async def stored(number: int) -> tuple[UUID, StoredKey, Answered]:
        """One application with a key, and an answer that is kept under a key of the request."""
        person = Sealed(entry=new_id(), box=b"x")
        command = replace(submission, user_id=uuid4(), person=person)
        owner = Owner(tenant="t", subject=command.user_id, data_class=DataClass.CDD)
        key = StoredKey(id=uuid4(), owner=owner, generation=1, kek_version=1, wrapped=bytes([number]))
        answer = Answered(
            client="c",
            key=f"k{number}",
            fingerprint=bytes([number]),
            entry=new_id(),
            response=bytes([number]),
            expires_at=now + timedelta(hours=1),
        )
        stream = new_id()
        await handle(applications, task(command, stream, key=key, answer=lambda _: answer), now, fresh=True)
        return stream, key, answer

    known = [await stored(number) for number in range(8)]
    prepared = await asyncio.gather(
        *(applications.prepare("t", "c", answer.key, key.owner.subject, [], now) for _, key, answer in known),
        *(applications.prepare("t", "other", answer.key, key.owner.subject, [], now) for _, key, answer in known),
        *(applications.prepare("u", "c", answer.key, key.owner.subject, [], now) for _, key, answer in known),
        applications.prepare("t", "c", None, uuid4(), [], now),
    )
    assert [(one.key, one.remembered and one.remembered.entry) for one in prepared] == [
        *((key, answer.entry) for _, key, answer in known),
        *((key, None) for _, key, _ in known),
        *((None, None) for _ in known),
        (None, None),
    ]
    loaded = await asyncio.gather(
        *(applications.load("t", stream) for stream, _, _ in known),
        *(applications.load("u", stream) for stream, _, _ in known),
        applications.load("t", uuid4()),
    )
    assert [one and one.id for one in loaded] == [*(stream for stream, _, _ in known), *(None for _ in known), None]


# ── walls ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "statement",
    ["update events set type = 'x'", "delete from events", "truncate events", "truncate events cascade"],
)
async def test_the_database_itself_refuses_to_change_history(
    dsn: str,
    applications: Applications,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
    statement: str,
) -> None:
    await handle(applications, task(submission, new_id()), now, fresh=True)
    async with await AsyncConnection.connect(dsn, autocommit=True) as superuser:
        with pytest.raises(psycopg.Error) as refused:
            await superuser.execute(statement)
    assert refused.value.sqlstate == "KY003"


@pytest.mark.parametrize(
    "statement",
    [
        "insert into events (tenant) values ('t')",
        "update applications set status = 'VERIFIED'",
        "delete from applications",
        "delete from keys",
        "alter table events disable trigger all",
    ],
)
async def test_the_service_cannot_write_past_the_append_function(database: Database, statement: str) -> None:
    async with database.of("t") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement)


async def test_another_tenant_sees_nothing_even_when_a_where_clause_is_forgotten(
    database: Database,
    applications: Applications,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
) -> None:
    stream = new_id()
    await handle(applications, task(submission, stream, tenant="ours"), now, fresh=True)
    tables = ("events", "applications", "orders")
    for tenant, seen in (("ours", True), ("theirs", False)):
        async with database.of(tenant) as connection:
            for table in tables:
                cursor = await connection.execute(f"select count(*) > 0 from {table}")
                assert await cursor.fetchone() == (seen,), table
    async with database.any() as connection:
        await connection.execute("reset kyc.tenant")
        connection.tenant = None
        cursor = await connection.execute("select count(*) from applications")
        assert await cursor.fetchone() == (0,)


async def test_another_tenant_cannot_append_to_our_application(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> None:
    stream = new_id()
    await handle(applications, task(submission, stream, tenant="ours"), now, fresh=True)
    assert await applications.load("theirs", stream) is None
    with pytest.raises(VersionConflict):
        await handle(
            applications,
            task(replace(submission, person=Sealed(entry=new_id(), box=b"x")), stream, tenant="theirs"),
            now,
            fresh=True,
        )


# ── lists ─────────────────────────────────────────────────────────────────────────


async def test_pages_are_walked_without_gap_or_repetition(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> None:
    made: list[UUID] = []
    for number in range(7):
        person = Sealed(entry=new_id(), box=b"x")
        at = now + timedelta(seconds=number // 2)  # two at the same moment
        handled = await handle(applications, task(replace(submission, person=person), new_id()), at, fresh=True)
        made.append(handled.snapshot.id)
    seen: list[UUID] = []
    after: tuple[datetime, UUID] | None = None
    while page := await applications.page("t", Page(limit=3, after=after)):
        seen += [snapshot.id for snapshot in page]
        after = (page[-1].created_at, page[-1].id)
    assert sorted(seen) == sorted(made)
    assert len(seen) == len(set(seen))


async def test_lists_are_filtered_by_status_user_time_and_address(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> None:
    ours = await handle(applications, task(submission, new_id(), email_index=b"blind"), now, fresh=True)
    other = replace(submission, user_id=uuid4(), documents=(), person=Sealed(entry=new_id(), box=b"x"))
    await handle(applications, task(other, new_id()), now + timedelta(hours=1), fresh=True)
    for page in (
        Page(statuses=("IN_PROGRESS", "VERIFIED")),
        Page(user_id=submission.user_id),
        Page(email_index=b"blind"),
        Page(created_to=now + timedelta(minutes=1)),
        Page(created_from=now, created_to=now + timedelta(minutes=1), statuses=("IN_PROGRESS",)),
    ):
        assert [snapshot.id for snapshot in await applications.page("t", page)] == [ours.snapshot.id]


async def test_an_append_right_after_another_does_not_wait_for_a_flight_that_has_ended(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> None:
    async with asyncio.timeout(10):
        for _ in range(50):
            person = Sealed(entry=new_id(), box=b"x")
            await handle(applications, task(replace(submission, person=person), new_id()), now, fresh=True)
