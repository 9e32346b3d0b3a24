"""Versions of a list: put in force whole, held back when they cannot be believed, and released by a person."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from kyc_service.application.watchlists import Candidate, Version, VersionRefused, VersionStatus
from kyc_service.screening.lists.library import EditionGone, InForce, NoListInForce, Watchlists
from kyc_service.screening.lists.staging import Outcome, bring, describe
from kyc_service.store.database import Database
from kyc_service.store.watchlists import WatchlistRows

Lines = Callable[..., Path]

HUNDRED = [f"Person Number {n}" for n in range(100)]


async def imported(shelf: WatchlistRows, path: Path, now: datetime, **rest: int) -> Outcome:
    return await bring(shelf, "mine", [(path, describe(path))], now, **rest)


def told(version: Version) -> tuple[int, VersionStatus, int, int, int]:
    return version.number, version.status, version.added, version.changed, version.removed


async def test_a_first_version_adds_everything(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime
) -> None:
    outcome = await imported(shelf, written(HUNDRED), now)
    assert told(outcome.version) == (1, VersionStatus.ACTIVE, 100, 0, 0)
    assert outcome.version.activated_at == now
    entries = await library.entries(await library.in_force())
    assert {entry.names[0].value for entry in entries} == set(HUNDRED)


async def test_the_same_entries_again_are_no_new_version_but_as_fresh_as_now(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime
) -> None:
    first = await imported(shelf, written(HUNDRED), now)
    again = await imported(shelf, written(HUNDRED, name="copy.jsonl"), now + timedelta(days=1))
    assert (again.new, again.version) == (False, first.version)
    (standing,) = (await library.in_force()).lists
    assert standing.age(now + timedelta(days=1)) == timedelta(0)
    assert standing.imported_at == now


async def test_changes_are_added_changed_and_removed_entries(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime
) -> None:
    await imported(shelf, written(HUNDRED), now)
    outcome = await imported(shelf, written(["Another Name", *HUNDRED[1:99], "Somebody New", "And Another"]), now)
    assert told(outcome.version) == (2, VersionStatus.ACTIVE, 1, 2, 0)
    changes = await library.changes("mine", 1)
    assert [entry.names[0].value for entry in changes.added] == ["And Another"]
    assert [(one.before.names[0].value, one.after.names[0].value, one.matters) for one in changes.changed] == [
        ("Person Number 0", "Another Name", True),
        ("Person Number 99", "Somebody New", True),
    ]
    assert len(changes.to_screen()) == 3
    back = await library.changes("mine", 2, 1)
    assert [entry.names[0].value for entry in back.removed] == ["And Another"]


async def test_a_change_that_is_not_matched_calls_for_no_screening(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime
) -> None:
    await imported(shelf, written(["Jane Doe"], remarks="one"), now)
    outcome = await imported(shelf, written(["Jane Doe"], remarks="another"), now)
    assert told(outcome.version) == (2, VersionStatus.ACTIVE, 0, 1, 0)
    changes = await library.changes("mine", 1, 2)
    assert [one.matters for one in changes.changed] == [False]
    assert changes.to_screen() == ()


async def test_a_list_that_shrinks_too_much_waits_for_a_person(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime
) -> None:
    await imported(shelf, written(HUNDRED), now)
    before = await library.in_force()
    outcome = await imported(shelf, written(HUNDRED[:60]), now + timedelta(hours=1))
    assert told(outcome.version) == (2, VersionStatus.QUARANTINED, 0, 0, 40)
    assert outcome.version.reasons == (
        "40 of 100 entries are gone.",
        "There are 60 entries of the kind person, after 100.",
    )
    assert await library.in_force() == before
    assert len(await library.entries(before)) == 100
    assert len((await library.changes("mine", 1, 2)).removed) == 40

    released = await shelf.release("mine", 2, "officer", "they were delisted", now + timedelta(hours=2))
    assert (released.status, released.released_by, released.note) == (
        VersionStatus.ACTIVE,
        "officer",
        "they were delisted",
    )
    after = await library.in_force()
    assert after.edition != before.edition
    assert len(await library.entries(after)) == 60


async def test_what_was_held_back_is_recognised_and_does_not_pile_up(
    shelf: WatchlistRows, written: Lines, now: datetime
) -> None:
    await imported(shelf, written(HUNDRED), now)
    first = await imported(shelf, written(HUNDRED[:60]), now)
    again = await imported(shelf, written(HUNDRED[:60]), now + timedelta(days=1))
    assert (again.new, again.version) == (False, first.version)
    assert len(await shelf.versions("mine")) == 2


async def test_a_good_version_overtakes_one_that_was_held_back(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime, dsn: str
) -> None:
    await imported(shelf, written(HUNDRED), now)
    await imported(shelf, written(["Only Here", *HUNDRED[:50]]), now)
    good = await imported(shelf, written([*HUNDRED, "One More"]), now)
    assert told(good.version) == (3, VersionStatus.ACTIVE, 1, 0, 0)
    statuses = {version.number: version.status for version in await shelf.versions("mine")}
    assert statuses == {
        1: VersionStatus.SUPERSEDED,
        2: VersionStatus.SUPERSEDED,
        3: VersionStatus.ACTIVE,
    }
    with pytest.raises(VersionRefused, match="superseded: there is nothing to release"):
        await shelf.release("mine", 2, "officer", "too late", now)
    assert len(await library.entries(await library.in_force())) == 101
    with psycopg.connect(dsn) as connection:
        # what only the overtaken version held is gone, and every other entry is kept once
        assert connection.execute("select count(*) from watchlist_entries").fetchone() == (101,)
        assert connection.execute("select count(*) from watchlist_changes").fetchone() == (101,)


async def test_a_version_that_does_not_exist_cannot_be_released(shelf: WatchlistRows, now: datetime) -> None:
    with pytest.raises(VersionRefused, match="no version 7 of mine"):
        await shelf.release("mine", 7, "officer", "?", now)


async def test_a_first_version_that_is_too_short_waits_for_a_person(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime
) -> None:
    outcome = await imported(shelf, written(HUNDRED), now, at_least=1000)
    assert outcome.version.reasons == ("The list has 100 entries, and at least 1000 are expected.",)
    with pytest.raises(NoListInForce):
        await library.in_force()
    await shelf.release("mine", 1, "officer", "it is a test list", now)
    assert len(await library.entries(await library.in_force())) == 100


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "mine.txt is empty."),
        (b"\x1a\r\n", "mine.txt is empty."),
        (b"<!DOCTYPE html><html><body>We moved</body></html>", "mine.txt is a web page, not a list."),
        (b"%PDF-1.7 whatever", "mine.txt is in none of the formats that we know"),
        (b'{"id": "mine:1", "names": []}\n{"id": "mine:2"', "Line 2 is no JSON object with an id and names."),
        (b'{"id": "mine:1", "names": []}\n[1]', "Line 2 is no JSON object with an id and names."),
        (b"\x1f\x8bnot packed", "The packed file is broken"),
    ],
)
async def test_a_file_that_is_not_the_list_changes_nothing(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime, tmp_path: Path, content: bytes, why: str
) -> None:
    await imported(shelf, written(HUNDRED), now)
    before = await library.in_force()
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    outcome = await imported(shelf, path, now + timedelta(days=1))
    assert outcome.version.status is VersionStatus.REFUSED
    assert outcome.version.reasons[0].startswith(why)
    assert await library.in_force() == before
    with pytest.raises(VersionRefused):
        await shelf.release("mine", outcome.version.number, "officer", "please", now)


async def test_a_list_without_dates_after_one_with_dates_waits_for_a_person(
    shelf: WatchlistRows, written: Lines, now: datetime
) -> None:
    await imported(shelf, written(HUNDRED, dobs=["1970-01-31"]), now)
    outcome = await imported(shelf, written(HUNDRED), now)
    assert outcome.version.reasons == ("0 of 100 entries come with a birth, after 100 of 100.",)


async def test_fields_that_cannot_be_understood_are_told_and_many_of_them_hold_a_version_back(
    shelf: WatchlistRows, written: Lines, now: datetime
) -> None:
    few = await imported(shelf, written(["Jane Doe"], dobs=["yesterday", "1970-01-31"]), now)
    assert (few.version.status, few.version.problems) == (VersionStatus.ACTIVE, 1)
    assert await shelf.problems("mine", 1) == [
        {
            "entry": "mine:1",
            "field": "birth date",
            "value": "yesterday",
            "why": "The list writes a date that we cannot read.",
        }
    ]
    many = await imported(shelf, written(HUNDRED, dobs=["yesterday"]), now)
    assert many.version.reasons == ("100 fields could not be understood: the format seems to have changed.",)


async def test_an_id_that_is_used_twice_loses_nobody(
    shelf: WatchlistRows, library: Watchlists, tmp_path: Path, now: datetime
) -> None:
    path = tmp_path / "twice.jsonl"
    path.write_text('{"id": "a", "names": [{"v": "One"}]}\n{"id": "a", "names": [{"v": "Two"}]}\n', encoding="utf-8")
    outcome = await imported(shelf, path, now)
    assert outcome.version.entries == 2
    entries = await library.entries(await library.in_force())
    assert [(entry.id, entry.names[0].value) for entry in entries] == [("mine:a", "One"), ("mine:a#2", "Two")]


async def test_two_who_import_at_once_make_two_versions_in_a_row(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime
) -> None:
    await imported(shelf, written(HUNDRED), now)
    paths = [written([*HUNDRED, f"Number {n}"], name=f"{n}.jsonl") for n in range(4)]
    outcomes = await asyncio.gather(*(imported(shelf, path, now) for path in paths))
    assert sorted(outcome.version.number for outcome in outcomes) == [2, 3, 4, 5]
    statuses = [version.status for version in await shelf.versions("mine")]
    assert statuses.count(VersionStatus.ACTIVE) == 1
    assert len(await library.entries(await library.in_force())) == 101


async def test_a_version_that_was_judged_against_an_older_one_is_not_put_in_force(
    shelf: WatchlistRows, written: Lines, now: datetime
) -> None:
    await imported(shelf, written(HUNDRED), now)
    late = Candidate(
        source="mine",
        status=VersionStatus.ACTIVE,
        parent=None,
        digest="x",
        entries=0,
        changes=(),
        bodies=(),
        problems=0,
        shown=(),
        reasons=(),
        statistics={},
        files=(),
    )
    with pytest.raises(VersionRefused, match="came in force meanwhile"):
        await shelf.add(late, now)
    assert len(await shelf.versions("mine")) == 1


async def test_the_processes_of_a_machine_share_one_file_and_a_broken_one_is_read_anew(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime
) -> None:
    await imported(shelf, written(HUNDRED), now)
    in_force = await library.in_force()
    path = library.path(in_force.edition, "entries")
    entries = await library.entries(in_force)
    content = path.read_bytes()
    assert await library.entries(in_force) == entries
    path.write_bytes(content[:-1])
    assert await library.entries(in_force) == entries
    assert path.read_bytes() == content


async def test_an_edition_that_is_gone_is_an_error_and_not_another_list(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime
) -> None:
    await imported(shelf, written(HUNDRED), now)
    in_force = await library.in_force()
    (mine,) = in_force.lists
    forged = InForce(
        edition="0" * 64, lists=(type(mine)(**{**{f: getattr(mine, f) for f in mine.__slots__}, "digest": "y"}),)
    )
    with pytest.raises(EditionGone):
        await library.entries(forged)


async def test_a_list_that_is_missing_or_old_is_a_fault(
    shelf: WatchlistRows, library: Watchlists, written: Lines, now: datetime
) -> None:
    assert await library.faults(now) == (NoListInForce.__doc__,)
    await imported(shelf, written(HUNDRED), now)
    assert await library.faults(now + timedelta(hours=72)) == ()
    assert await library.faults(now + timedelta(hours=73)) == ("The list mine was last confirmed 73 hours ago.",)
    other = written(HUNDRED, name="other.jsonl")
    await bring(shelf, "other", [(other, describe(other))], now + timedelta(hours=73))
    library.wanted = ("mine", "un_sc")
    assert await library.faults(now + timedelta(hours=1)) == ("The list un_sc is not in force: run `kyc lists sync`.",)


async def test_what_serves_requests_cannot_change_a_list(database: Database) -> None:
    async with database.any() as connection:
        for table in ("watchlists", "watchlist_versions", "watchlist_changes", "watchlist_entries"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(f"delete from {table}")
