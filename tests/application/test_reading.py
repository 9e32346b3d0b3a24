"""A store of files that hangs is waited for like one that is away: no vendor is given up for it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from kyc_service.application.desk import Announced, Caller, Submission, View
from kyc_service.application.files import FileView
from kyc_service.application.ports import Request, Started
from kyc_service.application.reading import FilesTooSlow, Reading
from kyc_service.bootstrap import VENDORS, App, build
from kyc_service.domain.application import Status
from kyc_service.domain.findings import Category, Finding, Outcome, Result, Severity
from kyc_service.settings import AvailableVendors, Settings

FAILURES = "select failures, last_error from orders where kind = 'RunCheck' and stream = %s"


class Slow:
    """A vendor that takes its time before it reads, and then approves."""

    name = "builtin"
    pause = 0.0

    async def check(self, request: Request) -> Result | Started:
        await asyncio.sleep(self.pause)
        assert request.read
        content = b"".join([chunk async for chunk in request.read()])
        for companion in request.companions:
            content += b"".join([chunk async for chunk in companion.read()])
        passed = Finding(id="x", category=Category.DOCUMENT, outcome=Outcome.PASS, severity=Severity.HIGH)
        return Result(vendor=self.name, version="test", findings=(passed,))

    async def cancel(self, key: UUID, reference: str | None) -> str:
        return "nothing to undo"


async def failed(app: App, application: UUID, *, often: int) -> None:
    """As soon as the check has failed so *often*, and last for want of its file."""
    async with asyncio.timeout(30):
        while True:
            async with app.database.of("sandbox") as connection:
                found = await (await connection.execute(FAILURES, (application,))).fetchone()
            if found and found[0] >= often and found[1] == "FILES_UNAVAILABLE":
                return
            await asyncio.sleep(0.01)


@contextmanager
def hanging(folder: Path) -> Iterator[Callable[[], None]]:
    """Let the only file in *folder* give nothing to whoever opens it, until the function is called."""
    (file,) = (path for path in folder.rglob("*") if path.is_file())
    aside = file.with_suffix(".aside")
    file.rename(aside)
    os.mkfifo(file)

    def mend() -> None:
        if not aside.exists():
            return
        other_end = os.open(file, os.O_RDWR)  # whoever waits for it goes on, and finds nothing
        aside.rename(file)
        os.close(other_end)

    try:
        yield mend
    finally:
        mend()


@pytest.mark.parametrize(
    "times",
    [
        pytest.param({"files_timeout_seconds": 0.05, "vendor_timeout_seconds": 60}, id="by the time for files"),
        pytest.param({"files_timeout_seconds": 60, "vendor_timeout_seconds": 0.1}, id="by half of the vendor's time"),
    ],
)
async def test_a_hanging_store_is_waited_for_and_no_vendor_is_given_up(
    settings: Settings, caller: Caller, times: dict[str, float]
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"\xff\xd8\xff a passport"

    vendors = {**VENDORS, AvailableVendors.BUILTIN: lambda _: Slow()}
    async with build(settings.model_copy(update={**times, "max_retries": 1}), vendors=vendors) as app:
        stored = await app.cabinet.upload(caller, "image/jpeg", chunks())
        assert isinstance(stored, FileView)
        with hanging(settings.home / "blobs") as mend:
            passport = Announced(doc_type="PASSPORT", file_id=stored.id, issued_country="NL")
            person = {"given_names": "Anna", "family_name": "Smit"}
            view = await app.desk.submit(
                caller, Submission(user_id=uuid4(), email="a@example.com", documents=(passport,), applicant=person)
            )
            assert isinstance(view, View)
            work = asyncio.create_task(app.worker.run())
            await failed(app, view.snapshot.id, often=4)  # a vendor may fail twice
            mend()
            ended = await app.desk.wait("sandbox", view.snapshot.id, 30)
            app.worker.stop()
            await work
    assert ended.snapshot.state.status is Status.VERIFIED


async def endless() -> AsyncIterator[bytes]:
    """A store that gives a byte now and then."""
    while True:
        yield b"x"
        await asyncio.sleep(0.001)


async def test_a_store_that_always_gives_a_little_more_is_too_slow_all_the_same() -> None:
    with pytest.raises(FilesTooSlow):
        [chunk async for chunk in Reading(0.05).within(endless)()]


async def test_what_the_reader_does_meanwhile_is_not_the_time_of_the_store() -> None:
    async def brief() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    reading, seen = Reading(0.05), []
    async for chunk in reading.within(brief)():
        await asyncio.sleep(0.1)
        seen.append(chunk)
    assert seen == [b"a", b"b"]


async def test_all_files_of_a_check_share_the_time() -> None:
    async def slow() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.2)
        yield b"a"

    reading = Reading(0.3)
    assert [chunk async for chunk in reading.within(slow)()] == [b"a"]
    with pytest.raises(FilesTooSlow):
        [chunk async for chunk in reading.within(slow)()]


async def test_a_call_that_ends_while_it_waits_for_a_file_is_not_the_vendors_fault(
    settings: Settings, caller: Caller
) -> None:
    """The vendor spends most of its time before it reads, so that its time is over before that for files."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"\xff\xd8\xff a passport"

    slow = Slow()
    slow.pause = 0.2
    times = {"files_timeout_seconds": 60, "vendor_timeout_seconds": 0.3, "max_retries": 50}
    vendors = {**VENDORS, AvailableVendors.BUILTIN: lambda _: slow}
    async with build(settings.model_copy(update=times), vendors=vendors) as app:
        stored = await app.cabinet.upload(caller, "image/jpeg", chunks())
        assert isinstance(stored, FileView)
        with hanging(settings.home / "blobs"):
            passport = Announced(doc_type="PASSPORT", file_id=stored.id, issued_country="NL")
            view = await app.desk.submit(
                caller, Submission(user_id=uuid4(), email="a@example.com", documents=(passport,))
            )
            assert isinstance(view, View)
            work = asyncio.create_task(app.worker.run())
            await failed(app, view.snapshot.id, often=1)
            app.worker.stop()
            await work
