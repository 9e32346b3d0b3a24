"""What a picture says: its bytes in, a `Reading` out. The heavy part of the engine, run in a process of the pool."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter, process_time

from kyc_service.documents.decipher import Deciphered, decipher
from kyc_service.documents.images import Pixels, sharpness
from kyc_service.documents.ocr import Box, Line, TextReader, aligned, joined
from kyc_service.documents.pages import opened
from kyc_service.documents.readings import Reading, Seconds
from kyc_service.documents.refusals import Damaged, FileRefused

SLENDER = (10.0, 5.0)  # a line of a zone is this many times longer than high; the second is for pictures taken aslant
FIRST_LOOK = 4  # the longest lines, among which a zone nearly always is
MOST_LINES = 12


def read(reader: TextReader, content: bytes, media_type: str) -> Reading:
    """Everything that *reader* makes of a file. One that cannot be used gives a reading that says why.

    Of several pages the first with a zone that holds is told, or else the first page.
    """
    clock = _Clock()
    try:
        pages = opened(content, media_type)
    except FileRefused as error:
        return Reading(refused=error.reason, seconds=clock.laps())
    clock.lap("decode")
    first: Reading | None = None
    for number, pixels in enumerate(pages, start=1):
        found = _page(reader, pixels, number, clock)
        if found.zone and found.zone.holds:
            return found
        first = first or found
    return replace(first, seconds=clock.laps()) if first else Reading(refused=Damaged.reason, seconds=clock.laps())


def _page(reader: TextReader, pixels: Pixels, number: int, clock: "_Clock") -> Reading:
    sharp = sharpness(pixels)
    clock.lap("quality")
    boxes = reader.find(pixels)
    clock.lap("find")
    found = _zone(reader, pixels, boxes)
    clock.lap("read")
    height, width = pixels.shape[:2]
    return Reading(
        page=number,
        width=width,
        height=height,
        sharpness=round(sharp, 1),
        lines_of_text=len(boxes),
        zone=found,
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


def _zone(reader: TextReader, pixels: Pixels, boxes: Sequence[Box]) -> Deciphered | None:
    """The zone among *boxes*: the longest lines first, then all that may be one, then lines found in pieces."""
    best: Deciphered | None = None
    seen: dict[tuple[Box, bool], Line] = {}
    for longest, count in ((_slim(boxes), FIRST_LOOK), (_slim(boxes), MOST_LINES), (_slim(joined(boxes)), MOST_LINES)):
        chosen = aligned(longest[:count], longest[0]) if longest else ()
        for turned in _directions(reader, pixels, chosen, seen) if chosen else ():
            stacked = _stacked(chosen, turned=turned)
            found = decipher([_line(reader, pixels, box, turned, seen).glyphs for box in stacked])
            best = _better(best, found)
            if best and best.holds and not best.repaired:
                return best
    return best


def _slim(boxes: Sequence[Box]) -> list[Box]:
    """The boxes with the shape of a line of a zone, the longest first."""
    for slender in SLENDER:
        slim = [box for box in boxes if box.length > slender * box.height]
        if slim:
            return sorted(slim, key=lambda box: -box.length)
    return []


def _better(one: Deciphered | None, other: Deciphered | None) -> Deciphered | None:
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda found: (len(found.zone.failed), len(found.repaired) + found.alternatives))


def _directions(
    reader: TextReader, pixels: Pixels, boxes: Sequence[Box], seen: dict[tuple[Box, bool], Line]
) -> tuple[bool, bool]:
    """Both ways up, the likelier first: the two longest lines are read both ways and the surer reading wins."""
    sure = {
        turned: sum(_line(reader, pixels, box, turned, seen).confidence for box in boxes[:2])
        for turned in (False, True)
    }
    upside_down = sure[True] > sure[False]
    return upside_down, not upside_down


def _line(reader: TextReader, pixels: Pixels, box: Box, turned: bool, seen: dict[tuple[Box, bool], Line]) -> Line:
    if (box, turned) not in seen:
        seen[box, turned] = reader.read(pixels, box, turned=turned)
    return seen[box, turned]


def _stacked(boxes: Sequence[Box], *, turned: bool) -> list[Box]:
    """The boxes from top to bottom, as the text runs."""
    across, down = boxes[0].along
    sign = -1 if turned else 1
    return sorted(boxes, key=lambda box: sign * (box.y * across - box.x * down))
