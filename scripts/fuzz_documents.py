"""Thousands of spoilt files through the engine's real processes: `python -m scripts.fuzz_documents --count 5000`.

Nothing may crash, hang, or come back without a reason. Every file goes through a process of the pool under its usual
limits: most of them through a reader that opens files and looks for barcodes but reads no text, because that is where
strangers' bytes meet C libraries, and a few through the whole engine. A file that fails is written to `--keep`.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from hashlib import sha256
from io import BytesIO
from itertools import islice
from pathlib import Path
from time import perf_counter

from PIL import Image

from kyc_service.documents.aamva import NotAamva, parse
from kyc_service.documents.checks import Announced, Declared, examine
from kyc_service.documents.child import Reader
from kyc_service.documents.decipher import Glyph, decipher
from kyc_service.documents.faults import EngineFault
from kyc_service.documents.mrz import ALPHABET
from kyc_service.documents.pool import EnginePool
from kyc_service.documents.readings import Reading
from kyc_service.documents.specimen import draw, traveller
from kyc_service.documents.wire import dump
from kyc_service.domain import media
from kyc_service.domain.findings import Outcome, Verdict, judge, reasons_of
from kyc_service.domain.reasons import REASONS
from kyc_service.domain.record import record

START = "import sys, scripts.fuzz_documents as fuzz; from kyc_service.documents import child; "
OPENER = (sys.executable, "-c", START + "sys.exit(child.main(fuzz.opener))")
HEIC = Path(__file__).parents[1] / "tests/documents/vectors/specimen.heic"
TODAY = date(2026, 11, 25)
ZONE = ("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10")
LICENCE = (
    "@\n\x1e\rANSI 636000080102DL00410050ZV00910010DLDAQS12345678\nDCSSAMPLE\nDACALEX\nDBB03071990\nDCGUSA\rZVZVA01\r"
)
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WORDS = (
    *(b"/JavaScript", b"/ObjStm", b"/FlateDecode", b"/DCTDecode", b"/Length 99999999", b"/Kids [1 0 R]", b"endstream"),
    *(b"stream\n", b"endobj", b"%PDF-1.7", b"%%EOF", b"\xff\xd9", b"\xff\xda", b"IEND", b"IDAT", b"acTL", b"ANIM"),
    *(b"moov", b"meta", b"iloc", b"PK\x05\x06", b"9999999999", b"-1", b"<<", b">>", b"[" * 500),
)


@record
class Tally:
    """What came of a run: how often each answer was given, and what failed."""

    answers: Mapping[str, int]
    failures: tuple[str, ...]
    seconds: float


def opener() -> Reader:
    """A reader that opens a file as the engine does, and reads no text."""
    from kyc_service.documents import barcodes  # noqa: PLC0415 - in the child only
    from kyc_service.documents.images import look, sharpness  # noqa: PLC0415
    from kyc_service.documents.pages import opened  # noqa: PLC0415
    from kyc_service.documents.refusals import FileRefused  # noqa: PLC0415

    def read(content: bytes, asked: str) -> bytes:
        try:
            pages = opened(content, asked)
        except FileRefused as error:
            return dump(Reading(refused=error.reason))
        height, width = pages[0].shape[:2]
        found = Reading(width=width, height=height, sharpness=sharpness(pages[0]), look=look(pages[0]))
        return dump(replace(found, barcodes=barcodes.find(pages[0])))

    return read


def seeds() -> Sequence[tuple[bytes, str]]:
    """A sound file of each kind, small enough to be opened in a moment."""
    passport = Image.open(BytesIO(draw(traveller(issuer="NLD")))).convert("RGB").resize((640, 450))

    def coded(kind: str, **options: object) -> bytes:
        out = BytesIO()
        passport.save(out, kind, **options)
        return out.getvalue()

    return (
        (coded("JPEG"), media.JPEG),
        (coded("JPEG", progressive=True, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"), media.JPEG),
        (coded("PNG"), media.PNG),
        (coded("WEBP"), media.WEBP),
        (coded("WEBP", lossless=True), media.WEBP),
        (coded("PDF"), media.PDF),
        (HEIC.read_bytes(), media.HEIC),
    )


def spoilt(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """*content* with one to four faults in it, or crossed with *other*."""
    spoil = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(max(1, min(len(spoil), chance.choice((64, 1024, 1 << 30)))))
        chance.choice(FAULTS)(spoil, place, other, chance)
    return bytes(spoil)


Fault = Callable[[bytearray, int, bytes, random.Random], None]


def _flip(spoil: bytearray, place: int, _: bytes, chance: random.Random) -> None:
    for at in range(place, min(len(spoil), place + chance.randint(1, 8))):
        spoil[at] ^= 1 << chance.randrange(8)


def _number(spoil: bytearray, place: int, _: bytes, chance: random.Random) -> None:
    size, order = chance.choice((1, 2, 4)), chance.choice(("big", "little"))
    value = chance.choice(EXTREMES) & ((1 << 8 * size) - 1)
    spoil[place : place + size] = value.to_bytes(size, "big" if order == "big" else "little")


def _cut(spoil: bytearray, place: int, _: bytes, chance: random.Random) -> None:
    del spoil[place : place + chance.choice((1, 7, 100, 1 << 30))]


def _repeat(spoil: bytearray, place: int, _: bytes, chance: random.Random) -> None:
    spoil[place:place] = spoil[place : place + chance.choice((1, 12, 300, 5000))] * chance.choice((1, 2, 50))


def _cross(spoil: bytearray, place: int, other: bytes, chance: random.Random) -> None:
    spoil[place:] = other[chance.randrange(len(other)) :]


def _word(spoil: bytearray, place: int, _: bytes, chance: random.Random) -> None:
    word = chance.choice(WORDS)
    spoil[place : place + chance.choice((0, len(word)))] = word


def _noise(spoil: bytearray, place: int, _: bytes, chance: random.Random) -> None:
    spoil[place:place] = chance.randbytes(chance.choice((1, 16, 4000)))


FAULTS: tuple[Fault, ...] = (_flip, _number, _cut, _repeat, _cross, _word, _noise)


def failure_of(reading: Reading) -> str | None:
    """What is wrong with an answer: a file is refused with a known code or has a size, and a verdict has reasons."""
    if reading.refused is None and not (reading.width and reading.height):
        return "neither a reason nor a picture"
    if reading.refused is not None and reading.refused not in REASONS:
        return f"unknown reason {reading.refused}"
    announced = Announced(doc_type="PASSPORT", issued_country="NL")
    found = examine(reading, Declared(), announced, TODAY)
    silent = [one.id for one in found if one.outcome in {Outcome.FAIL, Outcome.UNCLEAR} and not one.reasons]
    if silent:
        return f"no reason for {silent}"
    if judge(found) is not Verdict.CLEAR and not reasons_of(found):
        return "a verdict without a reason"
    return None


async def files(pool: EnginePool, count: int, seed: int, keep: Path | None = None) -> Tally:
    """*count* spoilt files through *pool*, several at a time."""
    began, sound = perf_counter(), seeds()
    answers: Counter[str] = Counter()
    failures: list[str] = []

    async def one(number: int) -> None:
        chance = random.Random(seed * 1_000_003 + number)  # noqa: S311 - the same files again from the same seed
        content, kind = chance.choice(sound)
        content = spoilt(content, chance.choice(sound)[0], chance)
        try:
            reading = await pool.read(content, kind)
            answers[reading.refused or "opened"] += 1
            failure = failure_of(reading)
        except EngineFault as error:
            failure = type(error).__name__
        if failure:
            failures.append(f"{kind} {seed}/{number}: {failure}")
            if keep:
                await asyncio.to_thread((keep / sha256(content).hexdigest()[:16]).write_bytes, content)

    numbers = iter(range(count))

    async def runner() -> None:
        while batch := list(islice(numbers, 1)):
            await one(batch[0])

    await asyncio.gather(*(runner() for _ in range(4)))
    return Tally(answers=answers, failures=tuple(failures), seconds=perf_counter() - began)


def lines(count: int, seed: int) -> Tally:
    """*count* spoilt zones and barcodes through the pure parsers: each gives a result or its own refusal."""
    began = perf_counter()
    answers: Counter[str] = Counter()
    failures: list[str] = []
    chance = random.Random(seed)  # noqa: S311 - as above
    for number in range(count):
        zone = [_misread(line, chance) for line in ZONE[: chance.randint(1, 2)] * chance.randint(1, 2)]
        text = spoilt(LICENCE.encode("latin-1"), LICENCE.encode("latin-1"), chance).decode("latin-1")
        try:
            read = decipher([tuple(Glyph(character=letter, likely=0.9, doubts=()) for letter in line) for line in zone])
            answers["zone" if read and read.holds else "no zone"] += 1
            answers["licence" if parse(text).number else "no licence"] += 1
        except NotAamva:
            answers["no licence"] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding of this run
            failures.append(f"lines {seed}/{number}: {type(error).__name__}")
    return Tally(answers=answers, failures=tuple(failures), seconds=perf_counter() - began)


def _misread(line: str, chance: random.Random) -> str:
    spoil = list(line)
    for _ in range(chance.randint(0, 6)):
        place = chance.randrange(len(spoil) + 1)
        spoil[place : place + chance.randint(0, 2)] = chance.choices(ALPHABET, k=chance.randint(0, 3))
    return "".join(spoil) or "<"


async def run(count: int, whole: int, seed: int, keep: Path | None = None) -> Sequence[tuple[str, Tally]]:
    """*count* files through the opening reader, *whole* through the whole engine, and *count* zones and barcodes."""
    async with EnginePool(command=OPENER) as pool:
        opening = await files(pool, count, seed, keep)
    async with EnginePool() as pool:
        engine = await files(pool, whole, seed + 1, keep)
    return (("opened", opening), ("whole engine", engine), ("lines", lines(count, seed)))


def main() -> int:
    """Run, tell, and answer 1 when anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--whole", type=int, default=60, help="files through the whole engine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    given = parser.parse_args()
    told = asyncio.run(run(given.count, given.whole, given.seed, given.keep))
    for name, tally in told:
        print(f"{name}: {sum(tally.answers.values())} answers in {tally.seconds:.0f} s, {len(tally.failures)} failures")
        for answer, times in sorted(tally.answers.items(), key=lambda pair: -pair[1]):
            print(f"  {times:6} {answer}")
        for failure in tally.failures:
            print(f"  FAILED {failure}")
    return 1 if any(tally.failures for _, tally in told) else 0


if __name__ == "__main__":
    sys.exit(main())
