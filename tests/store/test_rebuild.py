"""A rebuild folds the log again: every snapshot must equal it, and one that does not is found and put right."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import psycopg
import pytest

from kyc_service.application.handle import Task, handle
from kyc_service.application.ids import new_id
from kyc_service.domain.application import AmendApplication, RecordAnswer, Sealed, SubmitApplication
from kyc_service.domain.findings import Verdict
from kyc_service.store.applications import Applications
from kyc_service.store.database import Database
from kyc_service.store.rebuild import Difference, Index, NotReadable, Rebuilt, rebuild

INDEX = b"blind index of it"
EVENTS = 5


@pytest.fixture
async def stream(
    applications: Applications, submission: SubmitApplication, task: Callable[..., Task], now: datetime
) -> UUID:
    """An application that waits for a new picture, with amended particulars."""
    stream = new_id()
    await handle(applications, task(submission, stream, email_index=b"an older one"), now)
    answer = RecordAnswer(check="1.1", vendor="simulated", verdict=Verdict.RETRY, reasons=("IMAGE_BLURRED",))
    await handle(applications, task(answer, stream), now)
    amended = AmendApplication(person=Sealed(entry=new_id(), box=b"\x01\x02 amended"))
    await handle(applications, task(amended, stream, email_index=INDEX), now)
    return stream


@pytest.fixture
def index() -> Index:
    """Finds every person's address at the same place."""

    async def index(tenant: str, user: UUID, stream: UUID, sealed: Sealed) -> bytes | None:
        assert (tenant, sealed.box) == ("t", b"\x01\x02 amended")
        assert user != stream
        return INDEX

    return index


@pytest.fixture
def superuser(dsn: str) -> Iterator[psycopg.Connection]:
    """Who can change anything."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@contextmanager
def without_triggers(connection: psycopg.Connection) -> Iterator[None]:
    """As only a superuser can change the log."""
    connection.execute("alter table events disable trigger user")
    yield
    connection.execute("alter table events enable trigger user")


async def test_untouched_snapshots_equal_their_log(stream: UUID, database: Database, index: Index) -> None:
    assert await rebuild(database, index, write=False) == Rebuilt(applications=1, events=EVENTS, differing=())


CHANGES = {
    "version": "version = 3",
    "status": "status = 'VERIFIED'",
    "user_id": "user_id = '00000000-0000-0000-0000-000000000000'",
    "email_index": "email_index = 'another'",
    "created_at": "created_at = created_at - interval '1 day'",
    "updated_at": "updated_at = updated_at + interval '1 microsecond'",
    "state": "state = jsonb_set(state, '{status}', '\"VERIFIED\"')",
    "sealed": "sealed = '\\x00'",
    "hash": "hash = sha256('x')",
}


@pytest.mark.parametrize("column", CHANGES)
async def test_a_changed_snapshot_is_found_and_put_right(
    column: str, stream: UUID, database: Database, index: Index, superuser: psycopg.Connection
) -> None:
    before = superuser.execute("select * from applications").fetchall()
    superuser.execute(f"update applications set {CHANGES[column]}")
    looked = await rebuild(database, index, write=False)
    assert looked.differing == (Difference(stream=stream, what=f"differs in {column}"),)
    assert superuser.execute("select * from applications").fetchall() != before
    mended = await rebuild(database, index, write=True)
    assert mended.differing == (Difference(stream=stream, what=f"differs in {column}", mended=True),)
    assert superuser.execute("select * from applications").fetchall() == before
    assert (await rebuild(database, index, write=False)).differing == ()


async def test_lost_snapshots_are_made_again(
    stream: UUID, database: Database, index: Index, superuser: psycopg.Connection
) -> None:
    before = superuser.execute("select * from applications").fetchall()
    superuser.execute("truncate applications")
    rebuilt = await rebuild(database, index, write=True)
    assert rebuilt.differing == (Difference(stream=stream, what="has no snapshot", mended=True),)
    assert superuser.execute("select * from applications").fetchall() == before


async def test_a_rebuilt_application_goes_on(
    stream: UUID,
    database: Database,
    index: Index,
    superuser: psycopg.Connection,
    applications: Applications,
    task: Callable[..., Task],
    now: datetime,
) -> None:
    superuser.execute("truncate applications")
    await rebuild(database, index, write=True)
    amended = AmendApplication(person=Sealed(entry=new_id(), box=b"\x01\x02 amended"))
    handled = await handle(applications, task(amended, stream), now)
    assert handled.snapshot.version == EVENTS + 1
    assert (await rebuild(database, index, write=False)).differing == ()


async def test_an_erased_person_is_not_found_by_their_address_any_more(
    stream: UUID, database: Database, superuser: psycopg.Connection
) -> None:
    async def erased(tenant: str, user: UUID, stream: UUID, sealed: Sealed) -> bytes | None:
        return None

    rebuilt = await rebuild(database, erased, write=True)
    assert rebuilt.differing == (Difference(stream=stream, what="differs in email_index", mended=True),)
    assert superuser.execute("select email_index from applications").fetchall() == [(None,)]


async def test_a_snapshot_without_a_log_is_told_and_left(
    stream: UUID, database: Database, index: Index, superuser: psycopg.Connection
) -> None:
    with without_triggers(superuser):
        superuser.execute("delete from events")
    rebuilt = await rebuild(database, index, write=True)
    expected = (Difference(stream=stream, what="has no events"),)
    assert rebuilt == Rebuilt(applications=0, events=0, differing=expected)
    assert superuser.execute("select id from applications").fetchall() == [(stream,)]


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("update events set type = 'ApplicationTeleported' where version = 3", "UnknownEvent"),
        ("update events set schema = 9 where version = 3", "UnknownEvent"),
        ("update events set data = '{}' where version = 3", "ValidationError"),
        ("delete from events where version = 1", "HistoryBroken"),
    ],
)
async def test_a_log_that_cannot_be_folded_is_told_and_its_snapshot_left(
    statement: str, what: str, stream: UUID, database: Database, index: Index, superuser: psycopg.Connection
) -> None:
    before = superuser.execute("select * from applications").fetchall()
    with without_triggers(superuser):
        superuser.execute(statement)
    rebuilt = await rebuild(database, index, write=True)
    assert rebuilt.differing == (Difference(stream=stream, what=f"cannot be folded ({what})"),)
    assert superuser.execute("select * from applications").fetchall() == before


async def test_particulars_that_do_not_open_are_told_and_their_index_left(stream: UUID, database: Database) -> None:
    async def closed(tenant: str, user: UUID, stream: UUID, sealed: Sealed) -> bytes | None:
        raise NotReadable

    rebuilt = await rebuild(database, closed, write=True)
    assert rebuilt.differing == (Difference(stream=stream, what="cannot be folded (NotReadable)"),)


async def test_a_rebuild_under_load_finds_nothing_and_breaks_nothing(
    applications: Applications,
    submission: SubmitApplication,
    task: Callable[..., Task],
    now: datetime,
    database: Database,
) -> None:
    async def nowhere(tenant: str, user: UUID, stream: UUID, sealed: Sealed) -> bytes | None:
        return None

    over = asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            stream = new_id()
            await handle(applications, task(submission, stream), now)
            answer = RecordAnswer(check="1.1", vendor="simulated", verdict=Verdict.CLEAR, reasons=())
            await handle(applications, task(answer, stream), now)

    writers = [asyncio.create_task(write()) for _ in range(4)]
    rebuilt = [await rebuild(database, nowhere, write=True) for _ in range(10)]
    over.set()
    await asyncio.gather(*writers)
    assert [one.differing for one in rebuilt] == [()] * 10
    assert rebuilt[-1].events > rebuilt[0].events


async def test_a_snapshot_is_put_right_while_its_application_is_being_changed(
    stream: UUID,
    database: Database,
    index: Index,
    superuser: psycopg.Connection,
    applications: Applications,
    task: Callable[..., Task],
    now: datetime,
) -> None:
    async def amend() -> None:
        for _ in range(20):
            amended = AmendApplication(person=Sealed(entry=new_id(), box=b"\x01\x02 amended"))
            await handle(applications, task(amended, stream), now)

    async def spoil_and_mend() -> None:
        for _ in range(10):
            await asyncio.to_thread(superuser.execute, "update applications set status = 'REJECTED'")
            await rebuild(database, index, write=True)

    await asyncio.gather(amend(), spoil_and_mend())
    assert await rebuild(database, index, write=False) == Rebuilt(applications=1, events=EVENTS + 20, differing=())
