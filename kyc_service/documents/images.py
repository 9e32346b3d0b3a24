"""Pictures, decoded under limits: what a stranger sent is looked at before it is opened."""

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias

from kyc_service.documents.faults import EngineNotInstalled

try:
    import cv2
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError
except ImportError as error:  # the `engine` extra is not installed
    raise EngineNotInstalled from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pixels: TypeAlias = "NDArray[np.uint8]"  # height × width × blue, green, red

MEDIA_TYPES = {"image/jpeg": (b"\xff\xd8\xff", "JPEG"), "image/png": (b"\x89PNG\r\n\x1a\n", "PNG")}
MOST_PIXELS = 25_000_000
LONGEST_SIDE = 2400
SMALLEST = (300, 60)  # longer and shorter side; below 300 the letters of a zone have fewer than six pixels


class PictureRefused(Exception):
    """The picture could not be used."""

    reason = "IMAGE_UNDECODABLE"


class NotAPicture(PictureRefused):
    """The file is neither a JPEG nor a PNG picture."""


class WrongMediaType(PictureRefused):
    """The file is not of the kind that it was said to be."""


class DamagedPicture(PictureRefused):
    """The file begins like a picture and cannot be decoded."""


class PictureTooLarge(PictureRefused):
    """The picture has more pixels than are looked at."""

    reason = "IMAGE_TOO_LARGE"


class PictureTooSmall(PictureRefused):
    """The picture has too few pixels to read letters in it."""

    reason = "IMAGE_TOO_SMALL"


def decode(picture: bytes, media_type: str) -> Pixels:
    """The upright pixels of *picture*, at most 2400 on the longer side. Refusals are `PictureRefused`.

    Only the decoder that the first bytes call for is tried, and only once the header has shown an acceptable size.
    """
    kind = _kind(picture, media_type)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # odd metadata is no reason to refuse a picture
        try:
            with Image.open(BytesIO(picture), formats=[kind]) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise PictureTooLarge
                if max(width, height) < SMALLEST[0] or min(width, height) < SMALLEST[1]:
                    raise PictureTooSmall
                image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
                upright = ImageOps.exif_transpose(image)
                return _bgr(upright)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise PictureTooLarge from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
            raise DamagedPicture from error


def _kind(picture: bytes, media_type: str) -> str:
    found = next((name for name, (magic, _) in MEDIA_TYPES.items() if picture.startswith(magic)), None)
    if found is None:
        raise NotAPicture
    if found != media_type.partition(";")[0].strip().lower():
        raise WrongMediaType
    return MEDIA_TYPES[found][1]


def _bgr(image: Image.Image) -> Pixels:
    """Colours in OpenCV's order; transparency lies on white, as paper would."""
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
