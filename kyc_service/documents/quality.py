"""How good a picture is, and what its file tells of its origin: measured here, judged in `checks`."""

import re
from collections.abc import Sequence
from io import BytesIO

from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.documents.images import Pixels, pixels_of, shrunk
from kyc_service.documents.readings import Quality, Traces
from kyc_service.domain import media

try:
    import cv2
    import numpy as np
    from PIL import Image
except ImportError as error:  # the `engine` extra is not installed
    raise EngineNotInstalled from error

SIDE = 1000
BLOWN_OUT, COLOURLESS = 250, 40  # of the value and saturation of a reflection
SPOT = 9  # pixels; a reflection is wider, white between letters is not
EDITORS = re.compile(
    r"photoshop|gimp|paint\.net|affinity|pixelmator|snapseed|picsart|canva|facetune|lightroom|photopea|coreldraw|inkscape"
    r"|corel|faceapp|meitu|photoscape|pixlr|fotor|krita|sketch|figma|illustrator",
    re.IGNORECASE,
)
SCREENSHOTS = re.compile(
    r"screenshot|screen shot|bildschirmfoto|capture d|gnome-screenshot|snipping|flameshot", re.IGNORECASE
)
# Width and height in either order, of the screens of telephones and tablets that take screenshots at their own size.
SCREENS = frozenset(
    frozenset(size)
    for size in (
        (750, 1334), (828, 1792), (1080, 1920), (1080, 2280), (1080, 2340), (1080, 2400), (1125, 2436), (1170, 2532),
        (1179, 2556), (1206, 2622), (1242, 2208), (1242, 2688), (1284, 2778), (1290, 2796), (1320, 2868), (1440, 2560),
        (1440, 2960), (1440, 3040), (1440, 3088), (1440, 3200), (1536, 2048), (1620, 2160), (1668, 2388), (2048, 2732),
    )
)  # fmt: skip
SOFTWARE, MAKE, MODEL, COMMENT = 0x0131, 0x010F, 0x0110, 0x9286  # of Exif (CIPA DC-008)
EXIF = 0x8769


def measure(pixels: Pixels, corners: Sequence[tuple[float, float]], heights: Sequence[float]) -> Quality:
    """Reflections and light within the hull of *corners*, which is where text was found, and the size of letters.

    On white paper a reflection cannot be told from the page, so that there the share is None.
    """
    letters = round(float(np.median(np.asarray(heights))), 1) if heights else 0.0
    if len(corners) < 3:
        return Quality(glare=None, light=None, letters=letters)
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    small = shrunk(pixels, SIDE)
    hull = cv2.convexHull(np.asarray(corners, np.float32) * np.float32(scale)).astype(np.int32)
    inside = np.zeros(small.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, hull, 1)
    colours = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)
    value, area = colours[:, :, 2], max(int(inside.sum()), 1)
    light = float(np.median(value[inside > 0])) if inside.any() else 0.0
    blown = ((value >= BLOWN_OUT) & (colours[:, :, 1] < COLOURLESS)).astype(np.uint8)
    spots = pixels_of(cv2.morphologyEx(blown, cv2.MORPH_OPEN, np.ones((SPOT, SPOT), np.uint8)))
    share = float((spots & inside).sum()) / area
    return Quality(glare=None if light >= BLOWN_OUT - 10 else round(share, 4), light=round(light, 1), letters=letters)


def traces(content: bytes, media_type: str) -> Traces:
    """What the file says of its origin: the program that edited it, a camera, a screen whose copy it is."""
    if media_type not in {media.JPEG, media.PNG, media.WEBP}:
        return Traces()
    with Image.open(BytesIO(content)) as image:
        exif = image.getexif()
        details = exif.get_ifd(EXIF)
        said = [str(exif.get(SOFTWARE, "")), str(details.get(COMMENT, "")), *_written(image)]
        size = frozenset(image.size)
        camera = bool(exif.get(MAKE) or exif.get(MODEL))
    editor = next((found[0].lower() for found in map(EDITORS.search, said) if found), None)
    screen = any(SCREENSHOTS.search(one) for one in said) or (
        media_type == media.PNG and not camera and size in SCREENS and len(size) == 2
    )
    return Traces(editor=editor, screenshot=screen, camera=camera)


def _written(image: Image.Image) -> list[str]:
    """The texts beside the pixels: PNG comments, and the history that Adobe's programs keep in XMP."""
    texts = [value for value in image.info.values() if isinstance(value, str)]
    packet = image.info.get("xmp")
    return [*texts, packet.decode("utf-8", "replace") if isinstance(packet, bytes) else ""]
