"""A picture with everything drawn on it that the engine found: the zone, the printed lines and the faces."""

from io import BytesIO

from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.documents.pages import opened
from kyc_service.documents.readings import Corners, Reading

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:  # the `engine` extra is not installed
    raise EngineNotInstalled from error

ZONE, TEXT, FACE = (200, 30, 30), (20, 110, 200), (30, 150, 60)


def draw_on(picture: bytes, media_type: str, reading: Reading) -> bytes:
    """*picture* as a PNG file with the boxes of *reading* and what was read in them."""
    image = Image.fromarray(opened(picture, media_type)[reading.page - 1][:, :, ::-1])
    pen = ImageDraw.Draw(image)
    size = max(12, image.height // 60)
    for text in reading.text:
        _box(pen, text.corners, text.text, TEXT, size)
    lines = reading.zone.zone.lines if reading.zone else ()
    for corners, line in zip(reading.zone_corners, lines, strict=False):
        _box(pen, corners, line, ZONE, size)
    for face in reading.faces:
        _box(pen, face.corners, f"face {face.likely:.2f}", FACE, size)
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _box(pen: ImageDraw.ImageDraw, corners: Corners, label: str, colour: tuple[int, int, int], size: int) -> None:
    pen.line([*corners, corners[0]], fill=colour, width=max(2, size // 8))
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    pen.text((left, top - size), label, font=ImageFont.load_default(size), fill=colour)
