"""The document engine, measured: how much it reads right, what a picture costs, and how a whole case fares under load.

    python bench/documents.py accuracy [--data FOLDER]    zones, classes, print and faces on the shared pictures
    python bench/documents.py cost [--data FOLDER]        CPU seconds and memory of a picture on one thread; peers
    python bench/documents.py cases [--number 8]          front, back and selfie through the service, then at 4x load

Every figure is measured in the run that prints it. The pictures are not part of the project; without them only the
specimens of our own are measured. Peers are measured when they are installed, on the same pictures.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from importlib import resources
from io import BytesIO
from itertools import combinations
from pathlib import Path
from uuid import uuid4

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kyc_service.application.desk import Announced as Document
from kyc_service.application.desk import Caller, Submission, View
from kyc_service.application.files import FileView
from kyc_service.bootstrap import App, build
from kyc_service.documents.checks import Announced, Declared, examine, fields
from kyc_service.documents.decipher import Deciphered
from kyc_service.documents.faces import FaceFinder
from kyc_service.documents.likeness import MATCH, MISMATCH, compare
from kyc_service.documents.mrz import WRITERS, Format, Particulars, expiry_date
from kyc_service.documents.ocr import TextReader
from kyc_service.documents.reading import FaceSearch, read
from kyc_service.documents.readings import Reading
from kyc_service.documents.specimen import draw, draw_back, draw_front, draw_selfie, traveller
from kyc_service.documents.transliteration import Name, to_mrz
from kyc_service.domain import media
from kyc_service.domain.findings import Verdict, judge
from kyc_service.domain.record import record
from kyc_service.settings import Settings
from kyc_service.store.embedded import discard

DATA = Path(__file__).parents[2] / "shared/data/documents"
GOAL_SECONDS, GOAL_MEMORY, GOAL_CASE = 1.8, 700, 8.0
CALLER = Caller(tenant="bench", client="bench", actor="bench", request="r")
SURNAMES = ("Müller", "O'Connor", "Łukasiewicz", "Nuñez-García", "Ångström", "Иванова", "Nguyen", "Smith")
GIVEN_NAMES = ("Jürgen", "Anne-Sophie", "Юрий", "José María", "Zoë", "Thị Mai", "John Paul")
LONGEST_CASE = 300  # seconds
KINDS = {"P": "PASSPORT", "V": "VISA", "D": "DRIVING_LICENCE"}


@record
class Pictured:
    """A picture and what is known to stand on it."""

    path: Path
    lines: tuple[str, ...]
    level: str
    document_class: str


def main() -> None:
    """Run what was asked for."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=["accuracy", "cost", "cases"], nargs="?", default="accuracy")
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--number", type=int, default=8, help="cases")
    arguments.add_argument("--every", type=int, default=1, help="measure every n-th picture only")
    given = arguments.parse_args()
    match given.what:
        case "accuracy":
            accuracy(given.data, given.every)
        case "cost":
            cost(given.data, given.every)
        case _:
            asyncio.run(cases(given.number))


# ── Accuracy ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def accuracy(data: Path, every: int) -> None:
    """How much is read right, and whether anything that was read wrong would be approved."""
    for folder in ("mrz_synth", "specimens"):
        pictures = list(pictured(data / folder))[::every]
        if not pictures:
            print(f"{folder}: not on this machine")
            continue
        readings = readings_of([one.path for one in pictures])
        zones(folder, pictures, readings)
        if folder == "specimens":
            classes(pictures, readings)
        printed(folder, pictures, readings)
    photographs(48 // every)
    other_cameras(60 // every, data)
    if (data / "faces").exists():
        faces(data)


def photographs(number: int) -> None:
    """Specimens of our own template in every format, of random persons, as a bad photographer would take them."""
    dice = random.Random(20261125)
    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for index in range(number):
            kind = list(Format)[index % len(Format)]
            person = somebody(kind, dice)
            path = Path(folder) / f"{index}-{kind}.jpg"
            path.write_bytes(photographed(draw(person, kind), dice))
            pictures.append(Pictured(path=path, lines=WRITERS[kind](person), level=kind, document_class=""))
        readings = readings_of([one.path for one in pictures])
        zones("own photographs", pictures, readings)
        printed("own photographs", pictures, readings)


def somebody(kind: Format, dice: random.Random) -> Particulars:
    """A person of many countries, with names that a zone has to transliterate."""
    issuer = "FRA" if kind.startswith("FRENCH") else dice.choice(["NLD", "D", "USA", "GBR", "POL", "RKS", "UNO", "XOM"])
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
    number = "".join(dice.choice(letters) for _ in range(9))
    if kind is Format.FRENCH_ID:
        number = f"{dice.randrange(10**12):012d}"
    return Particulars(
        code={"P": "P", "M": "V", "L": "D1"}.get("P" if kind is Format.TD3 else kind[0], "I"),
        issuer=issuer,
        number=number,
        surname=dice.choice(
            ["Müller", "O'Connor", "Łukasiewicz", "Nuñez-García", "Ångström", "Иванова", "Nguyen", "Smith"]
        ),
        given_names=dice.choice(["Jürgen", "Anne-Sophie", "Юрий", "José María", "Zoë", "Thị Mai", "John Paul"]),
        nationality=issuer,
        birth=date(1940 + dice.randrange(65), 1 + dice.randrange(12), 1 + dice.randrange(28)),
        sex=dice.choice("FMX"),
        expiry=date(2027 + dice.randrange(9), 1 + dice.randrange(12), 1 + dice.randrange(28)),
        optional="".join(dice.choice(letters) for _ in range(24)) if kind is Format.LICENCE else "",
    )


def photographed(picture: bytes, dice: random.Random) -> bytes:
    """*picture* on a table: aslant, out of focus, noisy, in poor light, and compressed."""
    flat = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert flat is not None
    height, width = flat.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    frame = np.array([width * 1.3, height * 1.3])
    shaken = corners + np.array(
        [[dice.uniform(-0.06, 0.06) * width, dice.uniform(-0.06, 0.06) * height] for _ in range(4)]
    )
    target = (shaken + frame * 0.12).astype(np.float32)
    warp = cv2.getPerspectiveTransform(corners, target)
    photo = cv2.warpPerspective(flat, warp, tuple(int(side) for side in frame), borderValue=(70, 90, 100))
    photo = np.rot90(photo, dice.choice([0, 0, 0, 1, 2, 3]))
    photo = cv2.GaussianBlur(np.ascontiguousarray(photo), (0, 0), dice.uniform(0.5, 1.8))
    grain = np.random.default_rng(dice.randrange(2**32)).normal(0, dice.uniform(2, 10), photo.shape)
    lit = np.clip(photo * dice.uniform(0.55, 1.05) + grain, 0, 255).astype(np.uint8)
    done, out = cv2.imencode(".jpg", lit, [cv2.IMWRITE_JPEG_QUALITY, dice.randrange(45, 90)])
    assert done
    return out.tobytes()


def other_cameras(number: int, data: Path) -> None:
    """Documents that look like none of our templates, through worse cameras: nothing of `specimen` but its typeface."""
    dice = random.Random(4711)
    faces = sorted(path for path in (data / "faces").glob("*") if path.suffix in {".jpg", ".png"})
    formats = [Format.TD1, Format.TD2, Format.TD3, Format.MRVA, Format.MRVB]
    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for index in range(number):
            kind = formats[index % len(formats)]
            person = somebody(kind, dice)
            path = Path(folder) / f"{index}-{kind}.jpg"
            page = foreign(person, WRITERS[kind](person), dice.choice(faces) if faces else None, dice)
            path.write_bytes(snapped(page, dice))
            pictures.append(Pictured(path=path, lines=WRITERS[kind](person), level=kind, document_class=""))
        readings = readings_of([one.path for one in pictures])
        zones("other templates and cameras", pictures, readings)
        printed("other templates and cameras", pictures, readings)


LABELS = (
    ("Nom", "Prénoms", "Né(e) le", "No", "Expire le"),
    ("Nachname", "Vornamen", "Geburtstag", "Nummer", "Gültig bis"),
    ("1.", "2.", "3.", "5.", "4b."),
)
DATES = ("%d %b %Y", "%d.%m.%Y", "%Y-%m-%d", "%d/%m/%Y", "%d %m %y")


def foreign(person: Particulars, lines: Sequence[str], face: Path | None, dice: random.Random) -> Image.Image:
    """A page of one colour scheme, ground, order of fields, size of letters and margin out of many."""
    width = dice.randrange(1100, 1900)
    height = round(width * dice.uniform(0.62, 0.78))
    dark = dice.random() < 0.2
    paper = tuple(dice.randrange(20, 90) if dark else dice.randrange(190, 256) for _ in range(3))
    ink = tuple(dice.randrange(215, 256) if dark else dice.randrange(0, 70) for _ in range(3))
    page = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(page)
    _ground(pen, (width, height), paper, dice)
    if face:
        with Image.open(face) as portrait:
            page.paste(
                portrait.convert("RGB").resize((width // 4, width // 3)),
                (dice.choice([30, width * 7 // 10]), height // 9),
            )
    day, labels = dice.choice(DATES), dice.choice(LABELS)
    values = (
        to_mrz(person.surname).replace("<", " "),
        to_mrz(person.given_names).replace("<", " "),
        person.birth.strftime(day) if person.birth else "",
        person.number,
        person.expiry.strftime(day),
    )
    rows = list(zip(labels, values, strict=True))
    dice.shuffle(rows)
    left = width * dice.uniform(0.3, 0.36)
    for index, (label, value) in enumerate(rows):
        top = height * (0.1 + 0.11 * index)
        pen.text((left, top), label, font=ImageFont.load_default(width // 75), fill=ink)
        pen.text(
            (left, top + width // 70), value, font=ImageFont.load_default(width // dice.randrange(38, 52)), fill=ink
        )
    _foreign_zone(pen, lines, (width, height), ink, dice)
    return page


def _foreign_zone(
    pen: ImageDraw.ImageDraw, lines: Sequence[str], size: tuple[int, int], ink: tuple[int, ...], dice: random.Random
) -> None:
    """The zone, right upon the pattern, and set wider or closer than usual."""
    width, height = size
    content = resources.files("kyc_service.documents").joinpath("fonts/OCRB.otf").read_bytes()
    share = dice.uniform(0.84, 0.95)
    probe = ImageFont.truetype(BytesIO(content), 100)
    font = ImageFont.truetype(BytesIO(content), int(width * share * 100 / probe.getlength(lines[0])))
    pitch = font.size * dice.uniform(1.35, 1.9)
    top = height - pitch * len(lines) - height * dice.uniform(0.02, 0.05)
    for index, line in enumerate(lines):
        pen.text((width * (1 - share) / 2, top + index * pitch), line, font=font, fill=ink)


def _ground(pen: ImageDraw.ImageDraw, size: tuple[int, int], paper: tuple[int, ...], dice: random.Random) -> None:
    """Rings, waves, lattices or specks, fainter than the print."""
    width, height = size
    tint = tuple(max(0, min(255, part + dice.choice([-1, 1]) * dice.randrange(12, 34))) for part in paper)
    pattern, step = dice.choice(["rings", "lattice", "waves", "specks"]), dice.randrange(9, 30)
    if pattern == "rings":
        for radius in range(step, width, step):
            pen.ellipse(
                (width // 3 - radius, height // 2 - radius, width // 3 + radius, height // 2 + radius), outline=tint
            )
    elif pattern == "lattice":
        for place in range(-height, width, step):
            pen.line((place, 0, place + height, height), fill=tint)
            pen.line((place + height, 0, place, height), fill=tint)
    elif pattern == "waves":
        for top in range(0, height, step):
            pen.line([(x, top + 6 * math.sin(x / 17 + top)) for x in range(0, width, 6)], fill=tint, width=2)
    else:
        for _ in range(width * 3):
            x, y = dice.randrange(width), dice.randrange(height)
            pen.ellipse((x, y, x + 3, y + 3), fill=tint)


def snapped(page: Image.Image, dice: random.Random) -> bytes:
    """*page* through a cheap camera: bent by its lens, shaken, in a shadow or a cast of colour, noisy, compressed."""
    flat = np.asarray(page)[:, :, ::-1]
    height, width = flat.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    shaken = corners + np.array([[dice.uniform(-0.07, 0.07) * side for side in (width, height)] for _ in range(4)])
    target = (shaken + np.array([width, height]) * 0.15).astype(np.float32)
    table = tuple(dice.randrange(30, 200) for _ in range(3))
    photo = cv2.warpPerspective(
        flat, cv2.getPerspectiveTransform(corners, target), (int(width * 1.3), int(height * 1.3)), borderValue=table
    )
    high, wide = photo.shape[:2]
    lens = np.array([[wide, 0, wide / 2], [0, wide, high / 2], [0, 0, 1]], np.float64)
    photo = cv2.undistort(photo, lens, np.array([dice.uniform(-0.12, 0.12), 0, 0, 0]))
    shaking = np.zeros((7, 7))
    cv2.line(shaking, (3, 3), (3 + dice.randrange(-2, 3), 3 + dice.randrange(-2, 3)), 1.0, 1)
    photo = cv2.filter2D(photo, -1, shaking / shaking.sum()).astype(np.float64)
    across = np.linspace(dice.uniform(0.55, 1), dice.uniform(0.55, 1), wide)[None, :, None]
    cast = np.array([dice.uniform(0.8, 1.05) for _ in range(3)])
    grain = np.random.default_rng(dice.randrange(2**32)).normal(0, dice.uniform(3, 12), photo.shape)
    lit = np.clip(photo * across * cast + grain, 0, 255).astype(np.uint8)
    turned = np.ascontiguousarray(np.rot90(lit, dice.choice([0, 0, 0, 1, 2, 3])))
    done, out = cv2.imencode(".jpg", turned, [cv2.IMWRITE_JPEG_QUALITY, dice.randrange(40, 85)])
    assert done
    return out.tobytes()


def pictured(folder: Path) -> Iterator[Pictured]:
    """The pictures of *folder* with their truth."""
    truth = folder / "truth.json"
    if truth.exists():
        for one in json.loads(truth.read_text(encoding="utf-8")):
            yield Pictured(
                path=folder / one["file"],
                lines=tuple(one["mrz"] or ()),
                level=one.get("level", "-"),
                document_class=one.get("doc_type", ""),
            )


def zones(folder: str, pictures: Sequence[Pictured], readings: Sequence[Reading]) -> None:
    """Zones read exactly; and the worst that can happen: a wrong one that approves whoever declares what it says."""
    exact: Counter[str] = Counter()
    sure: Counter[str] = Counter()
    whole = Counter(one.level for one in pictures if one.lines)
    approved = wrong = 0
    for one, reading in zip(pictures, readings, strict=True):
        found = reading.zone
        right = found is not None and found.zone.lines == one.lines
        if one.lines and right:
            exact[one.level] += 1
            sure[one.level] += unmended(found)
        wrong += bool(one.lines) and found is not None and found.holds and not right
        if found is not None and not right and one.lines and approves(reading, found):
            approved += 1
            print(f"  WRONG AND APPROVED: {one.path.name}")
    print(
        f"{folder}: {sum(exact.values())} of {sum(whole.values())} zones exact;"
        f" of the wrong ones {wrong} hold their check digits and {approved} would approve"
    )
    for level, count in whole.items():
        print(
            f"  {level:<6} {exact[level]} of {count} exact, {sure[level]} of them without a repair or another solution"
        )


def unmended(found: Deciphered | None) -> bool:
    """Whether nothing had to be guessed."""
    return found is not None and found.holds and not found.repaired and not found.alternatives


def approves(reading: Reading, found: Deciphered) -> bool:
    """Whether the document, on its last valid day, would be clear for somebody who declares exactly what was read."""
    zone = found.zone
    day = expiry_date(zone.expiry, today()) or today()
    declared = Declared(name=Name(surname=zone.surname, given_names=zone.given_names), number=zone.number)
    announced = Announced(doc_type=KINDS.get(zone.code[:1], "NATIONAL_ID"), issued_country=zone.issuer)
    return judge(examine(reading, declared, announced, day)) is Verdict.CLEAR


def classes(pictures: Sequence[Pictured], readings: Sequence[Reading]) -> None:
    """Document classes told right."""
    told = [next((f.value for f in fields(one, today()) if f.name == "document_class"), "") for one in readings]
    right = sum(one.document_class == kind for one, kind in zip(pictures, told, strict=True))
    print(f"classes: {right} of {len(pictures)} ({100 * right / len(pictures):.0f} %)")


def printed(folder: str, pictures: Sequence[Pictured], readings: Sequence[Reading]) -> None:
    """How often the print is found to say what the zone says, on pages that bear a portrait."""
    found: Counter[str] = Counter()
    pages = 0
    for one, reading in zip(pictures, readings, strict=True):
        if not one.lines or not reading.faces or reading.zone is None or reading.zone.zone.format is Format.TD1:
            continue
        pages += 1
        findings = examine(reading, Declared(), None, today())
        found.update(
            finding.id for finding in findings if finding.id.startswith("visual.") and finding.outcome == "pass"
        )
    told = ", ".join(f"{name.removeprefix('visual.')} {count}" for name, count in sorted(found.items()))
    print(f"{folder}: print agrees with the zone on {pages} pages: {told}")


def faces(data: Path) -> None:
    """Genuine pairs and impostors: a person is the part of the file's name before its number."""
    finder = FaceFinder()
    people: dict[str, list[tuple[float, ...]]] = {}
    missed = 0
    for path in sorted((data / "faces").iterdir()):
        if path.suffix not in {".jpg", ".png"}:
            continue
        reading = read(TEXT.get(), path.read_bytes(), kind_of(path), FaceSearch(finder=finder, describe=True))
        missed += not reading.faces
        people.setdefault(path.name.partition("_")[0], []).extend(face.description for face in reading.faces[:1])
    genuine = [compare(*pair).cosine for shown in people.values() for pair in combinations(shown, 2)]
    impostors = [compare(a, b).cosine for one, other in combinations(people.values(), 2) for a in one for b in other]
    print(
        f"faces: {missed} missed; {len(genuine)} genuine pairs from {min(genuine):.3f} (mismatch below {MISMATCH}),"
        f" {len(impostors)} impostors up to {max(impostors):.3f} (match from {MATCH})"
    )


# ── Reading many pictures ────────────────────────────────────────────────────────────────────────────────────────────


class _Once:
    """A reader of text that is loaded when it is first needed, once in each process."""

    def __init__(self) -> None:
        self._reader: TextReader | None = None

    def get(self) -> TextReader:
        self._reader = self._reader or TextReader()
        return self._reader


TEXT = _Once()
FACES: list[FaceFinder] = []


def one_reading(path: Path) -> Reading:
    """A picture read in this process, faces found but not described."""
    if not FACES:
        FACES.append(FaceFinder())
    return read(TEXT.get(), path.read_bytes(), kind_of(path), FaceSearch(finder=FACES[0]))


def readings_of(paths: Sequence[Path]) -> list[Reading]:
    """All pictures read, on all cores."""
    began = time.perf_counter()
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        readings = list(pool.map(one_reading, paths))
    seconds = time.perf_counter() - began
    print(f"{len(paths)} pictures on {os.cpu_count()} cores: {len(paths) / seconds:.2f}/s, models loaded in that time")
    return readings


def kind_of(path: Path) -> str:
    """The media type of a file."""
    with path.open("rb") as file:
        return media.recognised(file.read(media.HEAD)) or "application/octet-stream"


def today() -> date:
    """By the clock: what has expired by now is expired."""
    return datetime.now(UTC).date()


# ── Cost ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def cost(data: Path, every: int) -> None:
    """CPU seconds and memory of a picture in one thread; the peers that are installed, on the same pictures."""
    paths = [one.path for one in pictured(data / "mrz_synth")][::every]
    with tempfile.TemporaryDirectory() as folder:
        paths = paths or specimens(Path(folder))
        ours = timed("this engine", one_reading, paths)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"goal p95 <= {GOAL_SECONDS} s: {met(ours <= GOAL_SECONDS)}; memory {memory} MB (goal {GOAL_MEMORY}: "
            f"{met(memory <= GOAL_MEMORY)})"
        )
        for name, peer in peers():
            timed(name, peer, paths)


def specimens(folder: Path) -> list[Path]:
    """Twelve specimens of our own."""
    paths = []
    for index in range(12):
        paths.append(folder / f"{index}.jpg")
        paths[-1].write_bytes(draw(traveller(number=f"SPEC{index:05d}")))
    return paths


def timed(name: str, reader: Callable[[Path], object], paths: Sequence[Path]) -> float:
    """The p95 of the CPU seconds that *reader* needs for a picture, printed with the median."""
    reader(paths[0])
    seconds = []
    for path in paths:
        began = time.process_time()
        reader(path)
        seconds.append(time.process_time() - began)
    high = sorted(seconds)[int(0.95 * (len(seconds) - 1))]
    print(f"{name}: {len(paths)} pictures, CPU p50 {statistics.median(seconds):.2f} s, p95 {high:.2f} s")
    return high


def peers() -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Other readers, if they are installed: the default call of each."""
    try:
        from rapidocr import RapidOCR

        engine = RapidOCR()
        yield "rapidocr, default call", lambda path: engine(str(path))
    except ImportError as error:
        print(f"rapidocr: not measured ({error})")
    try:
        from passporteye import read_mrz

        yield "PassportEye", lambda path: read_mrz(str(path))
    except ImportError as error:
        print(f"PassportEye: not measured ({error})")


# ── Cases ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def cases(number: int) -> None:
    """Front, back and selfie through the whole service but for HTTP: one after the other, then four times the load."""
    with tempfile.TemporaryDirectory(prefix="kyc-bench-") as home:
        async with build(Settings(_env_file=None, state_dir=Path(home))) as app:
            work = asyncio.create_task(app.worker.run())
            await case(app, drawn())  # loads the models
            alone = sorted([await case(app, drawn()) for _ in range(number)])
            high = alone[int(0.95 * (len(alone) - 1))]
            print(
                f"one case at a time ({number}): p50 {statistics.median(alone):.2f} s, p95 {high:.2f} s "
                f"(goal {GOAL_CASE:.0f} s: {met(high <= GOAL_CASE)})"
            )
            many = [drawn() for _ in range(4 * number)]
            began = time.perf_counter()
            loaded = sorted(await asyncio.gather(*(case(app, pictures) for pictures in many)))
            whole = time.perf_counter() - began
            print(
                f"{4 * number} cases at once: all decided, {3 * 4 * number / whole:.2f} pictures/s,"
                f" slowest {loaded[-1]:.1f} s"
            )
            app.worker.stop()
            await work
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        print(f"memory of the largest engine process: {largest} MB (goal {GOAL_MEMORY}: {met(largest <= GOAL_MEMORY)})")
        discard(Path(home))


def drawn() -> tuple[tuple[str, bytes], ...]:
    """The three pictures of a new case: none was shown before, because readings are remembered for a while."""
    person = traveller(issuer="NLD", code="I", number=f"S{uuid4().int % 10**8:08d}")
    return (
        ("NATIONAL_ID", draw_front(person)),
        ("NATIONAL_ID", draw_back(person)),
        ("SELFIE", told_apart(draw_selfie())),
    )


def told_apart(picture: bytes) -> bytes:
    """The JPEG *picture* with a comment of its own: another file that looks the same."""
    return picture[:2] + b"\xff\xfe\x00\x22" + uuid4().hex.encode() + picture[2:]


async def case(app: App, pictures: Sequence[tuple[str, bytes]]) -> float:
    """One case, from the first upload until every check has its verdict; the seconds it took."""
    began = time.perf_counter()
    documents = []
    for kind, picture in pictures:
        stored = await app.cabinet.upload(CALLER, "image/jpeg", chunks(picture))
        assert isinstance(stored, FileView)
        documents.append(Document(doc_type=kind, file_id=stored.id, issued_country="NL"))
    applicant = {"given_names": "Anna Maria", "family_name": "Eriksson", "biometric_consent": True}
    submission = Submission(user_id=uuid4(), email="bench@example.com", documents=tuple(documents), applicant=applicant)
    view = await app.desk.submit(CALLER, submission)
    assert isinstance(view, View)
    for _ in range(20 * LONGEST_CASE):
        snapshot = await app.applications.load(CALLER.tenant, view.snapshot.id)
        if snapshot and snapshot.state.checks and all(check.verdict for check in snapshot.state.checks):
            return time.perf_counter() - began
        await asyncio.sleep(0.05)
    raise TimeoutError


def met(goal: bool) -> str:
    """The verdict on a goal."""
    return "met" if goal else "MISSED"


async def chunks(picture: bytes) -> AsyncIterator[bytes]:
    """*picture* as an upload."""
    yield picture


if __name__ == "__main__":
    sys.exit(main())
