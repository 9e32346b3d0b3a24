"""What the engine found in one picture. Pure: this is what crosses from the engine's processes to the service."""

from kyc_service.documents.decipher import Deciphered
from kyc_service.domain.record import record


@record
class Seconds:
    """What one stage of a reading cost."""

    stage: str
    wall: float
    processor: float


Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


@record
class Text:
    """A line of text on the page. `corners` in pixels, from the beginning of its upper edge, in reading direction."""

    text: str
    likely: float
    corners: Corners

    def __repr__(self) -> str:
        return "Text(***)"


@record
class Face:
    """A face: its corners as it is upright, the share of the picture that it covers, and its height in pixels.

    `description` is a unit vector, and empty unless it was asked for: it is biometric data.
    """

    corners: Corners
    likely: float
    share: float
    height: float
    description: tuple[float, ...] = ()

    def __repr__(self) -> str:
        return "Face(***)"


@record
class Quality:
    """How good the picture is where text is: the share that a reflection blots out, the median brightness (0 to 255),
    and the median height of the printed lines in pixels. None: it could not be told.
    """

    glare: float | None
    light: float | None
    letters: float


@record
class Traces:
    """What the file tells of its origin. `editor`: the program that changed the picture, as far as it says so."""

    editor: str | None = None
    screenshot: bool = False
    camera: bool = False


@record
class Barcode:
    """A barcode: its kind, what it says with one character for each byte, and the box around it in pixels."""

    kind: str
    text: str
    box: tuple[float, float, float, float]

    def __repr__(self) -> str:
        return f"Barcode(kind={self.kind!r}, ***)"


@record
class Reading:
    """What a picture says. `refused`: the reason code of a picture that could not be used at all."""

    refused: str | None = None
    page: int = 1  # of a file with several, the one that is told
    width: int = 0
    height: int = 0
    sharpness: float = 0.0
    lines_of_text: int = 0
    zone: Deciphered | None = None
    zone_corners: tuple[Corners, ...] = ()
    text: tuple[Text, ...] = ()
    faces: tuple[Face, ...] = ()
    quality: Quality | None = None
    traces: Traces | None = None
    barcodes: tuple[Barcode, ...] = ()
    look: str | None = None  # 1024 bits in hexadecimal digits that a copy of the picture shares; None: an empty page
    seconds: tuple[Seconds, ...] = ()
