"""Pictures, decoded under limits: what a stranger sent is looked at before it is opened."""

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias

from kyc_service.documents.containers import walk
from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.documents.refusals import Animated, Damaged, TooFewPixels, TooManyPixels
from kyc_service.documents.sizes import LONGEST_SIDE, MOST_PIXELS, SMALLEST
from kyc_service.domain import media

try:
    import cv2
    import numpy as np
    from pi_heif import HeifImageFile
    from PIL import Image, ImageOps, UnidentifiedImageError
except ImportError as error:  # the `engine` extra is not installed
    raise EngineNotInstalled from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pixels: TypeAlias = "NDArray[np.uint8]"  # height × width × blue, green, red

EMPTY = 2.0  # grey levels of deviation
DECODERS = {media.JPEG: "JPEG", media.PNG: "PNG", media.WEBP: "WEBP"}


def decode(picture: bytes, kind: str) -> Pixels:
    """The upright pixels of *picture*, at most 2400 on the longer side. Refusals are `FileRefused`.

    Its parts are walked to the end before a decoder sees them; only the decoder of its *kind*, a media type, is tried,
    and only once the header has shown an acceptable size.
    """
    walk(picture, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # odd metadata is no reason to refuse a picture
        try:
            with _header(picture, kind) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise TooManyPixels
                if getattr(image, "is_animated", False) and kind != media.JPEG:
                    raise Animated
                image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
                return pixels_on_paper(ImageOps.exif_transpose(image))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise TooManyPixels from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
            raise Damaged from error


def _header(picture: bytes, kind: str) -> Image.Image:
    """The picture before it is decoded. libheif turns HEIC upright by itself."""
    if kind == media.HEIC:
        heif: Image.Image = HeifImageFile(BytesIO(picture))
        return heif
    return Image.open(BytesIO(picture), formats=[DECODERS[kind]])


def pixels_on_paper(image: Image.Image) -> Pixels:
    """Colours in OpenCV's order, at most 2400 on the longer side; transparency lies on white, as paper would."""
    if max(image.size) < SMALLEST[0] or min(image.size) < SMALLEST[1]:
        raise TooFewPixels
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layered = image.convert("RGBA")
        paper = Image.new("RGBA", layered.size, "white")
        image = Image.alpha_composite(paper, layered)
    pixels: Pixels = np.asarray(image.convert("RGB"))[:, :, ::-1]
    return shrunk(pixels, LONGEST_SIDE)


def shrunk(pixels: Pixels, longest: int) -> Pixels:
    """*pixels* with at most *longest* on the longer side."""
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(pixels)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return pixels_of(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA))


def pixels_of(image: "cv2.typing.MatLike") -> Pixels:
    """What OpenCV made of a picture, which is a picture again."""
    return np.asarray(image, np.uint8)


def sharpness(pixels: Pixels) -> float:
    """How steep the steepest edges are: the 98th percentile of the Sobel gradient at a longer side of 1000.

    Measured: scans near 590, poor photographs near 270, and text becomes unreadable below about 90.
    """
    grey = cv2.cvtColor(shrunk(pixels, 1000), cv2.COLOR_BGR2GRAY)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    return float(np.percentile(cv2.magnitude(across, down), 98))


def look(pixels: Pixels) -> str | None:
    """What the picture looks like from afar, in 1024 bits: its 32 × 32 lowest frequencies, above or below their median.

    Copies at another size or quality differ in a few bits. None: the page is empty, and empty pages look all alike.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (128, 128), interpolation=cv2.INTER_AREA).astype(np.float32)
    if float(small.std()) < EMPTY:
        return None
    waves = cv2.dct(small)[:32, :32].flatten()
    waves[0] = np.median(waves[1:])  # the brightness of the whole
    bits = np.packbits(waves > np.median(waves))
    return bits.tobytes().hex()
