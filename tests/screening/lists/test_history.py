"""The real history of OFAC's list, replayed: every change is found, and the download of nothing does no harm."""

import csv
from datetime import datetime
from pathlib import Path

import pytest

from kyc_service.application.watchlists import VersionStatus
from kyc_service.screening.lists.library import Watchlists
from kyc_service.screening.lists.staging import bring, describe
from kyc_service.store.watchlists import WatchlistRows

SOURCE = "us_ofac_sdn"


@pytest.fixture(scope="session")
def history(lists: Path) -> list[dict[str, str]]:
    with (lists / "us_ofac/history/version_stats.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def file_of(version: dict[str, str], lists: Path) -> Path | None:
    found = list((lists / "us_ofac/history").glob(f"*_{version['commit'][:7]}.csv.gz"))
    return found[0] if found else None


@pytest.mark.long
async def test_every_version_changes_what_its_publisher_changed(
    history: list[dict[str, str]], lists: Path, shelf: WatchlistRows, now: datetime
) -> None:
    compared = 0
    before: Path | None = None
    for version in history[:-1]:
        path = file_of(version, lists)
        if path:
            outcome = await bring(shelf, SOURCE, [(path, describe(path))], now)
            if before:  # the versions follow each other, so that what the publisher did is what we have to find
                assert outcome.version.status is VersionStatus.ACTIVE, outcome.version.reasons
                found = (outcome.version.added, outcome.version.changed, outcome.version.removed)
                assert found == (int(version["added"]), int(version["changed"]), int(version["removed"]))
                compared += 1
            elif outcome.version.status is VersionStatus.QUARANTINED:  # months lie between it and the one before
                await shelf.release(SOURCE, outcome.version.number, "officer", "compared", now)
            assert outcome.version.entries == int(version["rows"])
        before = path
    assert compared == 13


async def test_the_download_of_nothing_is_refused_and_changes_nothing(
    history: list[dict[str, str]], lists: Path, shelf: WatchlistRows, library: Watchlists, now: datetime
) -> None:
    *_, before, nothing = history
    assert nothing["bytes"] == "0"
    path, empty = file_of(before, lists), file_of(nothing, lists)
    assert path and empty
    good = await bring(shelf, SOURCE, [(path, describe(path))], now)
    in_force = await library.in_force()
    outcome = await bring(shelf, SOURCE, [(empty, describe(empty))], now)
    assert (outcome.version.status, outcome.version.reasons) == (VersionStatus.REFUSED, (f"{empty.name} is empty.",))
    assert await library.in_force() == in_force
    assert len(await library.entries(in_force)) == good.version.entries == 14_965
    again = await bring(shelf, SOURCE, [(empty, describe(empty))], now)
    assert (again.new, again.version) == (False, outcome.version)


async def test_a_day_of_the_list_is_told_entry_by_entry(
    lists: Path, shelf: WatchlistRows, library: Watchlists, now: datetime
) -> None:
    for day in ("2024-05-02_a6ab072", "2024-05-03_a5ec3c5"):
        path = lists / f"us_ofac/history/sdn_{day}.csv.gz"
        outcome = await bring(shelf, SOURCE, [(path, describe(path))], now)
        assert outcome.version.status is VersionStatus.ACTIVE
    changes = await library.changes(SOURCE, 1, 2)
    assert (len(changes.added), len(changes.changed), len(changes.removed)) == (0, 0, 8)
    assert all(entry.id.startswith("us_ofac_sdn:") for entry in changes.removed)
    assert changes.to_screen() == ()
