"""Pictures from strangers: what is opened, what is refused, and why."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from kyc_service.documents.images import Pixels, sharpness
from kyc_service.documents.pages import opened
from kyc_service.documents.refusals import (
    Damaged,
    FileRefused,
    KindUnknown,
    TooFewPixels,
    TooManyPixels,
    WrongMediaType,
)
from kyc_service.domain.reasons import REASONS


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decode(content: bytes, media_type: str) -> Pixels:
    """The one picture of a file."""
    (pixels,) = opened(content, media_type)
    return pixels


def picture(width: int = 640, height: int = 480, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_opened_with_its_colours_in_order(kind: str) -> None:
    red = Image.new("RGB", (640, 480), (250, 10, 10))
    pixels = decode(encoded(red, kind), f"image/{kind.lower()}")
    assert pixels.shape == (480, 640, 3)
    assert pixels[100, 100, 2] > 240
    assert pixels[100, 100, 0] < 20


@pytest.mark.parametrize(
    ("content", "media_type", "refusal"),
    [
        (b"", "image/png", KindUnknown),
        (b"%PDF-1.7", "application/pdf", Damaged),
        (b"GIF89a" + bytes(100), "image/gif", KindUnknown),
        (b" " + encoded(picture()), "image/png", KindUnknown),
        (encoded(picture()), "image/jpeg", WrongMediaType),
        (encoded(picture(), "JPEG"), "image/png", WrongMediaType),
        (encoded(picture())[:80], "image/png", Damaged),
        (encoded(picture(), "JPEG")[:300], "image/jpeg", Damaged),
        (b"\xff\xd8\xff" + bytes(500), "image/jpeg", Damaged),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "image/png", Damaged),
        (encoded(picture(5001, 5000, "1")), "image/png", TooManyPixels),
        (encoded(picture(20000, 20000, "1")), "image/png", TooManyPixels),
        (encoded(picture(200, 200)), "image/png", TooFewPixels),
        (encoded(picture(600, 20)), "image/png", TooFewPixels),
    ],
)
def test_what_is_no_usable_picture_is_refused(content: bytes, media_type: str, refusal: type[FileRefused]) -> None:
    with pytest.raises(refusal) as caught:
        decode(content, media_type)
    assert caught.type is refusal
    assert REASONS[refusal.reason].retryable


def test_a_media_type_may_carry_parameters() -> None:
    assert decode(encoded(picture()), "Image/PNG; q=1").shape == (480, 640, 3)


def test_a_picture_is_turned_as_the_camera_says() -> None:
    image = picture()
    image.paste((255, 255, 255), (0, 0, 640, 100))
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right-hand side
    pixels = decode(encoded(image, "JPEG", exif=exif, quality=95), "image/jpeg")
    assert pixels.shape == (640, 480, 3)
    assert pixels[300, 470].min() > 240
    assert pixels[300, 10].max() < 15


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_large_picture_is_made_smaller(kind: str) -> None:
    assert max(decode(encoded(picture(5000, 4000), kind), f"image/{kind.lower()}").shape) == 2400


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_of_picture_becomes_colour(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert decode(encoded(picture(mode=mode), kind), f"image/{kind.lower()}").shape == (480, 640, 3)


def test_transparency_lies_on_white_paper() -> None:
    assert decode(encoded(Image.new("RGBA", (640, 480), (0, 0, 0, 0))), "image/png").min() == 255


def test_sharpness_falls_with_blur() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    blurred = np.asarray(Image.fromarray(noise).resize((64, 48)).resize((640, 480)))
    assert sharpness(noise) > 3 * sharpness(blurred)
    assert sharpness(np.full((480, 640, 3), 200, np.uint8)) == 0
