"""What the tests of the lists share: real files of publishers, small files of our own, and a shelf in PostgreSQL."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kyc_service.screening.lists.library import Watchlists
from kyc_service.store.database import Database
from kyc_service.store.watchlists import WatchlistRows

Lines = Callable[..., Path]


@pytest.fixture(scope="session")
def lists(data: Path) -> Path:
    """Real lists, as their publishers wrote them."""
    return data / "screening"


@pytest.fixture
def shelf(database: Database) -> WatchlistRows:
    """The versions in PostgreSQL."""
    return WatchlistRows(database)


@pytest.fixture
def library(shelf: WatchlistRows, tmp_path: Path) -> Watchlists:
    """The reading side, with a folder of its own."""
    return Watchlists(shelf, tmp_path / "shared", wanted=("mine",), max_age=timedelta(hours=72))


@pytest.fixture
def now() -> datetime:
    """A given moment."""
    return datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def written(tmp_path: Path) -> Lines:
    """Writes a plain list with people of these names, each also the number of its line."""

    def written(names: Sequence[str], *, name: str = "mine.jsonl", **fields: object) -> Path:
        path = tmp_path / name
        told = [
            {"id": f"mine:{n}", "list": "mine", "schema": "Person", "names": [{"v": one, "k": "primary"}], **fields}
            for n, one in enumerate(names, 1)
        ]
        path.write_text("".join(f"{json.dumps(one)}\n" for one in told), encoding="utf-8")
        return path

    return written
