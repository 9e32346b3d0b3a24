"""Spoilt files and lines through the real processes: no crash, no hang, no answer without a reason."""

import pytest

from kyc_service.documents.pool import EnginePool
from scripts.fuzz_documents import OPENER, files, lines, run


async def test_spoilt_files_are_answered_with_a_reason() -> None:
    async with EnginePool(workers=1, command=OPENER) as pool:
        tally = await files(pool, 150, seed=20)
    assert tally.failures == ()
    assert sum(tally.answers.values()) == 150
    assert len(tally.answers) > 4  # opened, and refused for many reasons


def test_spoilt_lines_are_read_or_refused() -> None:
    tally = lines(500, seed=20)
    assert tally.failures == ()
    assert set(tally.answers) == {"zone", "no zone", "licence", "no licence"}


@pytest.mark.long
async def test_thousands_of_spoilt_files_are_answered_with_a_reason() -> None:
    for name, tally in await run(1000, 15, seed=30):
        assert (name, tally.failures) == (name, ())
