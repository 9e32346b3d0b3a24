"""What lasts runs on the faster loop, and the collector of cycles comes rarely meanwhile."""

import asyncio
import gc
from pathlib import Path

import pytest
import uvloop

from kyc_service.bootstrap import App
from kyc_service.cli.faults import with_app
from kyc_service.collector import YOUNG_OBJECTS


@pytest.mark.parametrize("lasting", [True, False])
def test_the_collector_comes_rarely_while_something_lasts(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lasting: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KYC_DB_DSN", dsn)
    monkeypatch.setenv("KYC_STATE_DIR", str(tmp_path / "state"))
    before = gc.get_threshold()
    seen: list[tuple[int, bool, bool]] = []

    async def work(_: App) -> None:
        on_uvloop = isinstance(asyncio.get_running_loop(), uvloop.Loop)
        seen.append((gc.get_threshold()[0], gc.get_freeze_count() > 0, on_uvloop))

    with_app(work, lasting=lasting)
    assert seen == [(YOUNG_OBJECTS, True, True) if lasting else (before[0], False, False)]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
