"""The sample list: marked wherever it is seen, used only where nothing else is, and never in production."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kyc_service.screening.entries import Group, Kind
from kyc_service.screening.lists.library import NoListInForce, Watchlists, sample_entries
from kyc_service.store.watchlists import WatchlistRows


def watchlists(shelf: WatchlistRows, folder: Path, *, wanted: tuple[str, ...] = (), sample: bool = True) -> Watchlists:
    return Watchlists(shelf, folder, wanted=wanted, max_age=timedelta(hours=72), sample=sample)


def test_every_entry_says_that_it_is_a_sample() -> None:
    entries = sample_entries()
    assert len(entries) == 15
    assert all(entry.id.startswith("sample:") for entry in entries)
    assert all((entry.remarks or "").startswith("SAMPLE LIST, NOT FOR SCREENING PEOPLE.") for entry in entries)
    assert {entry.kind for entry in entries} == {Kind.PERSON, Kind.ORGANISATION, Kind.VESSEL}
    assert {entry.group for entry in entries} == {Group.SANCTION, Group.PEP}


async def test_it_stands_in_where_no_list_is_wanted(shelf: WatchlistRows, tmp_path: Path, now: datetime) -> None:
    library = watchlists(shelf, tmp_path)
    in_force = await library.in_force()
    assert in_force.sample
    assert in_force.named() == ("sample@1",)
    assert await library.entries(in_force) == sample_entries()
    assert await library.faults(now) == ()


async def test_it_never_stands_in_for_a_list_that_is_wanted(shelf: WatchlistRows, tmp_path: Path) -> None:
    with pytest.raises(NoListInForce):
        await watchlists(shelf, tmp_path, wanted=("un_sc",)).in_force()


async def test_production_has_no_sample(shelf: WatchlistRows, tmp_path: Path, now: datetime) -> None:
    library = watchlists(shelf, tmp_path, sample=False)
    with pytest.raises(NoListInForce):
        await library.in_force()
    assert await library.faults(now) == (NoListInForce.__doc__,)
