"""Lines of text in a picture: found with PP-OCRv6's detector, read with its recogniser, on onnxruntime.

The two model files come out of the installed `rapidocr` distribution, whose code is never imported; their digests are
checked before they are loaded. The recogniser knows 18 000 characters. For a machine-readable zone all but its 37 are
masked out before the best one is chosen, which is what makes `<` legible at all: unmasked it is read as C, K or Λ.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from kyc_service.documents.decipher import Doubt, Glyph
from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.documents.images import Pixels, pixels_of
from kyc_service.documents.models import model
from kyc_service.documents.mrz import ALPHABET
from kyc_service.domain.record import record

try:
    import cv2
    import numpy as np
    import onnxruntime
except ImportError as error:  # the `engine` extra is not installed
    raise EngineNotInstalled from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

Numbers: TypeAlias = "NDArray[np.float32]"
Contour: TypeAlias = "cv2.typing.MatLike"

DETECTION_SIDE = 960
INK = 0.3  # a pixel this likely belongs to text
CERTAIN = 0.5  # a box whose pixels are this likely on average is text
UNCLIP = 1.6  # the detector marks the core of a line; the box grows by this share of area over perimeter
HEIGHT = 48  # of the recogniser's input
WIDEST = 1600  # of a line of running text; longer ones are narrowed
MARGIN = 0.4  # line heights added at both ends: the detector likes to cut the outermost filler
DOUBT = 0.001  # a runner-up this likely is remembered: where a digit stands for its lookalike letter, the letter has it


@record
class Box:
    """A slanted rectangle around a line: its middle, its two sides, and the unit vector along the longer one."""

    x: float
    y: float
    length: float
    height: float
    along: tuple[float, float]

    def facing(self, along: tuple[float, float]) -> "Box":
        """The same box, told as text that runs in the direction *along*, as far as its shape allows."""
        dot = self.along[0] * along[0] + self.along[1] * along[1]
        if abs(dot) < 0.5 and self.length < 2.5 * self.height:  # a letter or two that are higher than wide
            across = (self.along[1], -self.along[0])
            return replace(self, length=self.height, height=self.length, along=across).facing(along)
        return replace(self, along=(-self.along[0], -self.along[1])) if dot < 0 else self

    def corners(self) -> tuple[tuple[float, float], ...]:
        """Its corners: the beginning and end of the upper edge, then the end and beginning of the lower one."""
        along, half = self.along, (self.length / 2, self.height / 2)
        steps = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        return tuple(
            (
                self.x + right * half[0] * along[0] - down * half[1] * along[1],
                self.y + right * half[0] * along[1] + down * half[1] * along[0],
            )
            for right, down in steps
        )


@record
class Line:
    """What was read in one box, in one direction: in the letters of a zone, and as *words* in any script."""

    glyphs: tuple[Glyph, ...]
    confidence: float
    words: str
    likely: float

    @property
    def text(self) -> str:
        return "".join(glyph.character for glyph in self.glyphs)


class TextReader:
    """The two models, loaded. Not safe for two threads at once."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        self._detector = _session("det")
        self._recogniser = _session("rec")
        known = self._recogniser.get_modelmeta().custom_metadata_map["character"].splitlines()
        columns = {character: index for index, character in enumerate(["", *known, " "])}
        self._kept = [0, *(columns[character] for character in ALPHABET)]
        self._known = ("", *known, " ")

    def find(self, pixels: Pixels) -> tuple[Box, ...]:
        """The boxes of all lines of text."""
        height, width = pixels.shape[:2]
        scale = DETECTION_SIDE / max(height, width)
        size = tuple(max(32, round(side * scale / 32) * 32) for side in (width, height))
        shrunk = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        likely = self._detector.run(None, {"x": _planes(pixels_of(shrunk))})[0][0, 0]
        return _boxes(likely, width / size[0], height / size[1])

    def read(self, pixels: Pixels, box: Box, *, turned: bool = False) -> Line:
        """The characters in *box*, as those of a machine-readable zone; *turned*: upside down."""
        likely = self._likely(_cut(pixels, box, turned=turned, margin=MARGIN))
        glyphs, confidence = _greedy(likely[:, self._kept])
        words, sure = self._words(likely)
        return Line(glyphs=glyphs, confidence=confidence, words=words, likely=sure)

    def words(self, pixels: Pixels, box: Box) -> tuple[str, float]:
        """The text in *box* in any script, and how sure the reader is of it on average."""
        strip = _cut(pixels, box, turned=False, margin=0.1)
        if strip.shape[1] > WIDEST:
            strip = pixels_of(cv2.resize(strip, (WIDEST, HEIGHT), interpolation=cv2.INTER_AREA))
        return self._words(self._likely(strip))

    def _likely(self, strip: Pixels) -> Numbers:
        likely: Numbers = self._recogniser.run(None, {"x": _planes(strip)})[0][0]
        return likely

    def _words(self, likely: Numbers) -> tuple[str, float]:
        best, sure = likely.argmax(axis=1), likely.max(axis=1)
        fresh = np.concatenate(([True], best[1:] != best[:-1])) & (best > 0)
        text = "".join(self._known[index] for index in best[fresh])
        return text.strip(), round(float(sure[fresh].mean()), 4) if fresh.any() else 0.0


def _session(role: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # more threads spin: +35 % CPU for the same picture
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(model(role), options, providers=["CPUExecutionProvider"])


def _vector(values: Sequence[object]) -> Numbers:
    return np.array(values, dtype=np.float32)


def _planes(pixels: Pixels) -> Numbers:
    scaled = pixels.astype(np.float32) / 127.5 - 1
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def _boxes(likely: Numbers, across: float, down: float) -> tuple[Box, ...]:
    """Connected text pixels as slanted rectangles, grown to the whole line (differentiable binarization)."""
    mask = cv2.dilate((likely > INK).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        (x, y), (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < 3 or _mean_inside(likely, contour) < CERTAIN:
            continue
        grown = width * height * UNCLIP / (2 * (width + height))
        corners = cv2.boxPoints(((x, y), (width + 2 * grown, height + 2 * grown), angle))
        found.append(_box(np.asarray(corners, np.float32) * _vector([across, down])))
    return tuple(found)


def _mean_inside(likely: Numbers, contour: "Contour") -> float:
    x, y, width, height = cv2.boundingRect(contour)
    inside = np.zeros((height, width), np.uint8)
    cv2.drawContours(inside, [contour - [x, y]], -1, 1, cv2.FILLED)
    return float(cv2.mean(likely[y : y + height, x : x + width], inside)[0])


def _box(corners: Numbers) -> Box:
    """The box of four *corners*; scaling may have made a parallelogram of them, so sides are averaged."""
    one = (corners[1] - corners[0] + corners[2] - corners[3]) / 2
    other = (corners[3] - corners[0] + corners[2] - corners[1]) / 2
    long, short = sorted((one, other), key=np.linalg.norm, reverse=True)
    length = float(np.linalg.norm(long))
    x, y = corners.mean(axis=0)
    unit = long / length
    if (unit[0], unit[1]) < (0, 0):
        unit = -unit
    return Box(
        x=float(x),
        y=float(y),
        length=length,
        height=float(np.linalg.norm(short)),
        along=(float(unit[0]), float(unit[1])),
    )


def _cut(pixels: Pixels, box: Box, *, turned: bool, margin: float) -> Pixels:
    """The line in *box* as a level strip of the recogniser's height, with a margin at both ends."""
    along = _vector(box.along) * (-1 if turned else 1)
    down = _vector([-along[1], along[0]])
    half = box.length / 2 + margin * box.height
    centre = _vector([box.x, box.y])
    top = centre - down * (box.height / 2)
    source = _vector([top - along * half, top + along * half, top - along * half + down * box.height])
    width = max(HEIGHT, round(2 * half / box.height * HEIGHT))
    target = _vector([[0, 0], [width, 0], [0, HEIGHT]])
    warp = cv2.getAffineTransform(source, target)
    strip = cv2.warpAffine(pixels, warp, (width, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return pixels_of(strip)


def _greedy(likely: Numbers) -> tuple[tuple[Glyph, ...], float]:
    """Best character per column, repeats and blanks dropped; a close runner-up is kept as a doubt (CTC)."""
    likely = likely / np.maximum(likely.sum(axis=1, keepdims=True), 1e-9)
    best = likely.argmax(axis=1)
    glyphs: list[Glyph] = []
    sure: list[float] = []
    start = 0
    for end in range(1, len(best) + 1):
        if end < len(best) and best[end] == best[start]:
            continue
        if best[start]:
            peak = likely[start:end].max(axis=0)
            glyphs.append(_glyph(peak, int(best[start])))
            sure.append(float(peak[best[start]]))
        start = end
    return tuple(glyphs), sum(sure) / len(sure) if sure else 0.0


def _glyph(peak: Numbers, chosen: int) -> Glyph:
    others = [index for index in np.argsort(-peak) if index not in {0, chosen} and peak[index] >= DOUBT]
    doubts = tuple(Doubt(character=ALPHABET[index - 1], likely=float(peak[index])) for index in others[:2])
    return Glyph(character=ALPHABET[chosen - 1], likely=float(peak[chosen]), doubts=doubts)


def aligned(boxes: Sequence[Box], box: Box) -> tuple[Box, ...]:
    """The boxes that are parallel to *box*, all facing its way."""
    return tuple(other.facing(box.along) for other in boxes if _parallel(other, box))


def joined(boxes: Sequence[Box]) -> tuple[Box, ...]:
    """Boxes of one line that the detector split at its fillers, put together; the others as they are."""
    whole = sorted(boxes, key=lambda box: -box.length)
    index = 0
    while index < len(whole):
        box = whole[index]
        other = next((other for other in whole[index + 1 :] if _continues(box, other)), None)
        if other is None:
            index += 1
            continue
        whole.remove(other)
        whole[index] = _together(box, other)
    return tuple(whole)


def _parallel(one: Box, other: Box) -> bool:
    return abs(one.along[0] * other.along[0] + one.along[1] * other.along[1]) > 0.97


def _continues(box: Box, other: Box) -> bool:
    """Whether *other* lies on the line of *box*, a few characters away."""
    shift = _vector([other.x - box.x, other.y - box.y])
    along = abs(float(shift @ _vector(box.along)))
    beside = abs(float(shift @ _vector([-box.along[1], box.along[0]])))
    gap = along - (box.length + other.length) / 2
    return _parallel(box, other) and beside < 0.5 * box.height and -box.height < gap < 3 * box.height


def _together(box: Box, other: Box) -> Box:
    along = _vector(box.along)
    middle = float(_vector([other.x - box.x, other.y - box.y]) @ along)
    start = min(-box.length / 2, middle - other.length / 2)
    stop = max(box.length / 2, middle + other.length / 2)
    x, y = _vector([box.x, box.y]) + along * ((start + stop) / 2)
    return Box(x=float(x), y=float(y), length=stop - start, height=box.height, along=box.along)
