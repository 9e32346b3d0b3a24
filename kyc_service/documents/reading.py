"""What a picture says: its bytes in, a `Reading` out. The heavy part of the engine, run in a process of the pool."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter, process_time
from typing import TypeAlias

from kyc_service.documents import barcodes
from kyc_service.documents.decipher import Deciphered, decipher
from kyc_service.documents.faces import FaceFinder
from kyc_service.documents.images import Pixels, look, sharpness
from kyc_service.documents.mrz import FILLER
from kyc_service.documents.ocr import Box, Line, TextReader, aligned, joined
from kyc_service.documents.pages import opened
from kyc_service.documents.quality import measure, traces
from kyc_service.documents.readings import Corners, Reading, Seconds, Text
from kyc_service.documents.refusals import Damaged, FileRefused
from kyc_service.domain import media
from kyc_service.domain.record import record

SLENDER = (10.0, 5.0)  # a line of a zone is this many times longer than high; the second is for pictures taken aslant
FIRST_LOOK = 4  # the longest lines, among which a zone nearly always is
MOST_LINES = 12
MOST_TEXTS = 80  # printed lines that are read; a page of an account has more, an identity document never
LOWEST = 7.0  # pixels; what is lower cannot be read
LEGIBLE = 0.9
PROBES = 3  # lines that tell which way up a page without a zone is


@record
class FaceSearch:
    """Who looks for faces, and whether each is to be described: that makes biometric data, so somebody must ask."""

    finder: FaceFinder
    describe: bool = False


def read(reader: TextReader, content: bytes, media_type: str, faces: FaceSearch | None = None) -> Reading:
    """Everything that *reader* makes of a file. One that cannot be used gives a reading that says why.

    Of several pages the first with a zone that holds is told, or else the first page.
    """
    clock = _Clock()
    try:
        pages = opened(content, media_type)
    except FileRefused as error:
        return Reading(refused=error.reason, seconds=clock.laps())
    origin = traces(content, media.media_type(media_type) or "")
    clock.lap("decode")
    first: Reading | None = None
    for number, pixels in enumerate(pages, start=1):
        found = _page(reader, pixels, number, faces, clock)
        if found.zone and found.zone.holds:
            return replace(found, traces=origin)
        first = first or found
    return (
        replace(first, seconds=clock.laps(), traces=origin)
        if first
        else Reading(refused=Damaged.reason, seconds=clock.laps())
    )


def _page(reader: TextReader, pixels: Pixels, number: int, faces: FaceSearch | None, clock: "_Clock") -> Reading:
    sharp, seen_as = sharpness(pixels), look(pixels)
    clock.lap("quality")
    boxes = reader.find(pixels)
    clock.lap("find")
    seen: Seen = {}
    found, lines = _zone(reader, pixels, boxes, seen)
    clock.lap("read")
    along, text = _text(reader, pixels, boxes, lines, seen)
    clock.lap("text")
    upright = _quarter(along) if along and (found or _legible(text)) else None
    shown = faces.finder.find(pixels, upright, describe=faces.describe) if faces else ()
    clock.lap("faces")
    places = [*(one.corners for one in text), *(_rounded(box) for box in lines)]
    good = measure(pixels, [corner for corners in places for corner in corners], [box.height for box in boxes])
    clock.lap("light")
    codes = barcodes.find(pixels)
    clock.lap("barcodes")
    height, width = pixels.shape[:2]
    return Reading(
        page=number,
        width=width,
        height=height,
        sharpness=round(sharp, 1),
        lines_of_text=len(boxes),
        zone=found,
        zone_corners=tuple(_rounded(box) for box in lines),
        text=text,
        faces=shown,
        barcodes=codes,
        look=seen_as,
        quality=good,
        seconds=clock.laps(),
    )


class _Clock:
    """How long each stage took, by the wall and on the processor."""

    def __init__(self) -> None:
        self._laps: list[Seconds] = []
        self._last = perf_counter(), process_time()

    def lap(self, stage: str) -> None:
        now = perf_counter(), process_time()
        self._laps.append(
            Seconds(stage=stage, wall=round(now[0] - self._last[0], 4), processor=round(now[1] - self._last[1], 4))
        )
        self._last = now

    def laps(self) -> tuple[Seconds, ...]:
        return tuple(self._laps)


Direction: TypeAlias = tuple[float, float]
Seen: TypeAlias = dict[tuple[Box, bool], Line]  # what was read already, and whether upside down
Zone: TypeAlias = tuple[Deciphered | None, tuple[Box, ...]]  # and the boxes of its lines, as the text runs


def _zone(reader: TextReader, pixels: Pixels, boxes: Sequence[Box], seen: Seen) -> Zone:
    """The zone among *boxes*: the longest lines first, then all that may be one, then lines found in pieces."""
    best: Zone = None, ()
    for longest, count in ((_slim(boxes), FIRST_LOOK), (_slim(boxes), MOST_LINES), (_slim(joined(boxes)), MOST_LINES)):
        chosen = aligned(longest[:count], longest[0]) if longest else ()
        for turned in _directions(reader, pixels, chosen, seen) if chosen else ():
            stacked = _stacked(chosen, turned=turned)
            found = decipher([_line(reader, pixels, box, turned, seen).glyphs for box in stacked])
            lines = tuple(_turned(stacked[row]) if turned else stacked[row] for row in found.rows) if found else ()
            best = _better(best, (found, lines))
            if best[0] and best[0].holds and not best[0].repaired:
                return best
            if not any(_promising(line.text) for line in seen.values()):
                break  # the other way up, and lines in pieces, are tried only where something looks like a zone
        if count == MOST_LINES and not any(_promising(line.text) for line in seen.values()):
            break
    return best


def _promising(text: str) -> bool:
    """Whether *text* looks like a line of a zone: two fillers in a row, or the beginning of a licence."""
    return FILLER * 2 in text or text.startswith("D1")


def _turned(box: Box) -> Box:
    return replace(box, along=(-box.along[0], -box.along[1]))


def _rounded(box: Box) -> Corners:
    one, two, three, four = ((round(x, 1), round(y, 1)) for x, y in box.corners())
    return one, two, three, four


# ── Everything else that is printed ──────────────────────────────────────────────────────────────────────────────────


def _text(
    reader: TextReader, pixels: Pixels, boxes: Sequence[Box], zone: Sequence[Box], seen: Seen
) -> tuple[Direction | None, tuple[Text, ...]]:
    """The direction in which the text runs, and the printed lines besides the zone from top to bottom."""
    printed = [box for box in boxes if box.height >= LOWEST and not any(_inside(box, line) for line in zone)]
    largest = sorted(printed, key=lambda box: -box.length * box.height)[:MOST_TEXTS]
    if not largest:
        return (zone[0].along if zone else None), ()
    along = zone[0].along if zone else _upright(reader, pixels, largest)
    facing = sorted((box.facing(along) for box in largest), key=lambda box: _place(box, along))
    read = [(box, *_words(reader, pixels, box, seen)) for box in facing]
    return along, tuple(Text(text=text, likely=likely, corners=_rounded(box)) for box, text, likely in read if text)


def _words(reader: TextReader, pixels: Pixels, box: Box, seen: Seen) -> tuple[str, float]:
    """The text in *box*, which may have been read while the zone was looked for."""
    known = seen.get((box, False)) or seen.get((_turned(box), True))
    return (known.words, known.likely) if known else reader.words(pixels, box)


def _inside(box: Box, line: Box) -> bool:
    """Whether the middle of *box* lies within *line*."""
    x, y = box.x - line.x, box.y - line.y
    across, down = line.along
    return abs(x * across + y * down) < line.length / 2 and abs(y * across - x * down) < line.height / 2


def _upright(reader: TextReader, pixels: Pixels, boxes: Sequence[Box]) -> Direction:
    """The direction in which the text runs: that of the longest line, the way up that is read with less doubt."""
    longest = sorted(boxes, key=lambda box: -box.length)[:PROBES]
    along = longest[0].along
    facing = [box.facing(along) for box in longest]
    there = sum(reader.words(pixels, box)[1] for box in facing)
    back = sum(reader.words(pixels, _turned(box))[1] for box in facing)
    return along if there >= back else (-along[0], -along[1])


def _legible(text: Sequence[Text]) -> bool:
    """Whether there is enough text to tell which way up the page is; what is read into a background is not."""
    return sum(line.likely > LEGIBLE and len(line.text) > 3 for line in text) >= PROBES


def _quarter(along: Direction) -> int:
    """The quarter turns to the left that make text in the direction *along* level."""
    across, down = along
    if abs(across) >= abs(down):
        return 0 if across > 0 else 2
    return 1 if down > 0 else 3


def _place(box: Box, along: Direction) -> tuple[int, float]:
    """Where *box* stands in reading order: its line, in steps of half its height, and its beginning."""
    down = box.y * along[0] - box.x * along[1]
    return round(down / max(box.height / 2, 1)), box.x * along[0] + box.y * along[1] - box.length / 2


# ── Which lines may be a zone ────────────────────────────────────────────────────────────────────────────────────────


def _slim(boxes: Sequence[Box]) -> list[Box]:
    """The boxes with the shape of a line of a zone, the longest first."""
    for slender in SLENDER:
        slim = [box for box in boxes if box.length > slender * box.height]
        if slim:
            return sorted(slim, key=lambda box: -box.length)
    return []


def _better(one: Zone, other: Zone) -> Zone:
    if one[0] is None or other[0] is None:
        return one if one[0] else other
    return min(one, other, key=_doubts)


def _doubts(zone: Zone) -> tuple[int, int]:
    found, _ = zone
    return (len(found.zone.failed), len(found.repaired) + found.alternatives) if found else (99, 0)


def _directions(reader: TextReader, pixels: Pixels, boxes: Sequence[Box], seen: Seen) -> tuple[bool, bool]:
    """Both ways up, the likelier first: the two longest lines are read both ways and the surer reading wins."""
    sure = {
        turned: sum(_line(reader, pixels, box, turned, seen).confidence for box in boxes[:2])
        for turned in (False, True)
    }
    upside_down = sure[True] > sure[False]
    return upside_down, not upside_down


def _line(reader: TextReader, pixels: Pixels, box: Box, turned: bool, seen: Seen) -> Line:
    if (box, turned) not in seen:
        seen[box, turned] = reader.read(pixels, box, turned=turned)
    return seen[box, turned]


def _stacked(boxes: Sequence[Box], *, turned: bool) -> list[Box]:
    """The boxes from top to bottom, as the text runs."""
    across, down = boxes[0].along
    sign = -1 if turned else 1
    return sorted(boxes, key=lambda box: sign * (box.y * across - box.x * down))
