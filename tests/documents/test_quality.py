"""How good a picture is, and what its file tells of its origin."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from kyc_service.documents.images import decode
from kyc_service.documents.quality import measure, traces
from kyc_service.documents.readings import Traces
from kyc_service.documents.specimen import draw, traveller

WHOLE = ((0.0, 0.0), (1500.0, 0.0), (1500.0, 1056.0), (0.0, 1056.0))


def pixels_of(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=92)
    return out.getvalue()


def with_exif(**tags: str) -> bytes:
    out = BytesIO()
    exif = Image.Exif()
    for name, value in tags.items():
        exif[{"software": 0x0131, "make": 0x010F}[name]] = value
    Image.new("RGB", (640, 480), "grey").save(out, "JPEG", exif=exif)
    return out.getvalue()


def png(size: tuple[int, int], **texts: str) -> bytes:
    out = BytesIO()
    info = PngImagePlugin.PngInfo()
    for name, value in texts.items():
        info.add_text(name, value)
    Image.new("RGB", size, "grey").save(out, "PNG", pnginfo=info)
    return out.getvalue()


def test_a_reflection_is_measured_where_text_is() -> None:
    with Image.open(BytesIO(draw(traveller()))) as drawn:
        clean = drawn.convert("RGB").point(lambda value: int(value * 0.8))
    blotted = clean.copy()
    ImageDraw.Draw(blotted).ellipse((400, 200, 900, 700), fill=(255, 255, 255))
    without = measure(decode(pixels_of(clean), "image/jpeg"), WHOLE, [20.0, 30.0])
    with_one = measure(decode(pixels_of(blotted), "image/jpeg"), WHOLE, [20.0, 30.0])
    assert without.glare == 0
    assert with_one.glare == pytest.approx(np.pi * 250**2 / (1500 * 1056), abs=0.03)
    assert without.letters == 25


def test_white_paper_is_no_reflection_and_without_text_there_is_nothing_to_measure() -> None:
    paper = decode(pixels_of(Image.new("RGB", (1500, 1056), "white")), "image/jpeg")
    assert measure(paper, WHOLE, [20.0]).glare is None
    nothing = measure(paper, (), ())
    assert (nothing.glare, nothing.light, nothing.letters) == (None, None, 0.0)


def test_a_dark_picture_is_dark() -> None:
    dark = decode(pixels_of(Image.new("RGB", (1500, 1056), (20, 20, 20))), "image/jpeg")
    assert measure(dark, WHOLE, [20.0]).light == pytest.approx(20, abs=1)


@pytest.mark.parametrize(
    ("picture", "kind", "found"),
    [
        (with_exif(software="Adobe Photoshop 26.1"), "image/jpeg", Traces(editor="photoshop")),
        (with_exif(software="GIMP 3.0", make="Canon"), "image/jpeg", Traces(editor="gimp", camera=True)),
        (with_exif(software="17.5.1", make="Apple"), "image/jpeg", Traces(camera=True)),
        (png((640, 480), Software="Paint.NET 5"), "image/png", Traces(editor="paint.net")),
        (png((640, 480), Software="gnome-screenshot"), "image/png", Traces(screenshot=True)),
        (png((1170, 2532)), "image/png", Traces(screenshot=True)),
        (png((640, 480)), "image/png", Traces()),
        (draw(traveller()), "image/jpeg", Traces()),
        (b"%PDF-1.7", "application/pdf", Traces()),
    ],
)
def test_a_file_tells_who_changed_it_as_far_as_it_tells(picture: bytes, kind: str, found: Traces) -> None:
    assert traces(picture, kind) == found
