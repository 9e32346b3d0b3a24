"""From a passport picture to a verified person: how long it takes through the whole service, but for HTTP.

The floor is the engine alone, reading the same pictures one after the other in this process.

    python bench/verify.py [--number 24]
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from uuid import uuid4

from kyc_service.application.desk import Announced, Caller, Submission, View
from kyc_service.application.files import FileView
from kyc_service.bootstrap import App, build
from kyc_service.documents.ocr import TextReader
from kyc_service.documents.reading import read
from kyc_service.documents.specimen import draw, traveller
from kyc_service.domain.application import Status
from kyc_service.settings import Settings
from kyc_service.store.embedded import discard

USER = uuid4()  # one person: a passport that several people show goes to a reviewer
GOAL = 5.0  # seconds, p95, on two cores
CALLER = Caller(tenant="bench", client="bench", actor="bench", request="r")
FAMILY_NAMES = ("Eriksson", "Nguyen", "Okafor", "Silva", "Haddad", "Kowalska", "Tanaka", "Oduya")


def main() -> None:
    """Run the benchmark and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--number", type=int, default=24)
    number = arguments.parse_args().number
    # None is shown twice: the engine remembers a picture that it has just read.
    pictures = [picture(index) for index in range(2 * number + 1)]
    alone = engine_alone(pictures[:number])
    with tempfile.TemporaryDirectory(prefix="kyc-bench-") as home:
        asyncio.run(measure(Path(home), pictures, alone))
        discard(Path(home))


def picture(index: int) -> bytes:
    """A specimen passport of somebody else each time."""
    name = FAMILY_NAMES[index % len(FAMILY_NAMES)]
    return draw(traveller(surname=name, issuer="NLD", number=f"SPEC{index:05d}", expiry=date(2034, 4, 15)))


def engine_alone(pictures: list[bytes]) -> float:
    """The floor: the median seconds of reading alone."""
    reader = TextReader()
    read(reader, pictures[0], "image/jpeg")
    durations = []
    for one in pictures:
        began = time.perf_counter()
        read(reader, one, "image/jpeg")
        durations.append(time.perf_counter() - began)
    return statistics.median(durations)


async def measure(home: Path, pictures: list[bytes], alone: float) -> None:
    """One application after the other, then all of them at once."""
    async with build(Settings(_env_file=None, state_dir=home)) as app:
        work = asyncio.create_task(app.worker.run())
        began = time.perf_counter()
        first, *rest = pictures
        apart, together = rest[: len(rest) // 2], rest[len(rest) // 2 :]
        await verified(app, first)
        print(f"first application, with the models still to be loaded: {time.perf_counter() - began:.2f} s")
        durations = sorted([await verified(app, one) for one in apart])
        median, high = statistics.median(durations), durations[int(0.95 * (len(durations) - 1))]
        verdict = "met" if high < GOAL else "MISSED"
        print(
            f"one after the other ({len(durations)}): p50 {median:.2f} s, p95 {high:.2f} s (goal p95 < {GOAL:.0f} s:"
            f" {verdict}); engine alone {alone:.2f} s, ratio {median / alone:.2f}"
        )
        began = time.perf_counter()
        await asyncio.gather(*(verified(app, one) for one in together))
        whole = time.perf_counter() - began
        print(
            f"all at once: {len(together) / whole:.2f} applications/s on {os.cpu_count()} cores,"
            f" {len(together) * alone / whole:.2f} of one engine alone"
        )
        app.worker.stop()
        await work


async def verified(app: App, one: bytes) -> float:
    """Upload, submit and wait for the decision; the seconds it took."""

    async def chunks() -> AsyncIterator[bytes]:
        yield one

    began = time.perf_counter()
    stored = await app.cabinet.upload(CALLER, "image/jpeg", chunks())
    assert isinstance(stored, FileView)
    document = Announced(doc_type="PASSPORT", file_id=stored.id, issued_country="NL")
    view = await app.desk.submit(CALLER, Submission(user_id=USER, email="bench@example.com", documents=(document,)))
    assert isinstance(view, View)
    ended = await app.desk.wait(CALLER.tenant, view.snapshot.id, 120)
    assert ended.snapshot.state.status is Status.VERIFIED, ended.snapshot.state
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
