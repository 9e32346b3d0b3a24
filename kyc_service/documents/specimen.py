"""Specimens: documents of nobody, drawn for demonstrations and tests, and marked as such.

The template is our own, the portrait is a drawing, and SPECIMEN stands across it. By default the issuer is Utopia
(UTO), the state of every example in ICAO Doc 9303; any issuer may be given, so that a demonstration can
name a real country.
"""

from collections.abc import Sequence
from datetime import date
from importlib.resources import files
from io import BytesIO
from typing import TypeAlias

from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.documents.mrz import WRITERS, Format, Particulars
from kyc_service.documents.transliteration import to_mrz

try:
    from PIL import Image, ImageDraw, ImageFilter, ImageFont
except ImportError as error:  # the `engine` extra is not installed
    raise EngineNotInstalled from error

Font: TypeAlias = ImageFont.FreeTypeFont
Colour: TypeAlias = tuple[int, int, int]

# Millimetres of Doc 9303-3 at 12 pixels each: a passport's data page, and the two sizes of cards.
SIZES = {
    Format.TD1: (1030, 648),
    Format.TD2: (1260, 888),
    Format.TD3: (1500, 1056),
    Format.MRVA: (1440, 960),
    Format.MRVB: (1260, 888),
    Format.FRENCH_ID: (1260, 888),
    Format.LICENCE: (1030, 648),
    Format.FRENCH_LICENCE: (1030, 648),
}
TITLES = {
    Format.TD1: "IDENTITY CARD",
    Format.TD2: "IDENTITY CARD",
    Format.TD3: "PASSPORT",
    Format.MRVA: "VISA",
    Format.MRVB: "VISA",
    Format.FRENCH_ID: "IDENTITY CARD",
    Format.LICENCE: "DRIVING LICENCE",
    Format.FRENCH_LICENCE: "DRIVING LICENCE",
}
PAPER: Colour = (236, 240, 233)
GUILLOCHE: Colour = (214, 224, 214)
INK: Colour = (28, 32, 40)
LABEL: Colour = (96, 110, 120)
STAMP: Colour = (226, 190, 190)
QUALITY = 92
BACK = ("Authority: Utopian Registry", "Place of birth: Zenith", "Height: 1.80 m", "Remarks: none")


def traveller(
    *,
    surname: str = "Eriksson",
    given_names: str = "Anna Maria",
    issuer: str = "UTO",
    number: str = "L898902C3",
    birth: date = date(1974, 8, 12),
    sex: str = "F",
    expiry: date = date(2034, 4, 15),
    code: str = "P",
) -> Particulars:
    """A person of nowhere; the defaults are the example of Doc 9303-4, still valid."""
    return Particulars(
        code=code,
        issuer=issuer,
        number=number,
        surname=surname,
        given_names=given_names,
        nationality=issuer,
        birth=birth,
        sex=sex,
        expiry=expiry,
    )


def draw(person: Particulars, kind: Format = Format.TD3) -> bytes:
    """A specimen of *person*'s document as a JPEG picture."""
    return _jpeg(_drawn(person, kind))


def draw_front(person: Particulars) -> bytes:
    """The front of a card whose zone is on the back."""
    width, height = SIZES[Format.TD1]
    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    _background(pen, width, height)
    _heading(pen, person, Format.TD1, width)
    _portrait(pen, width // 20, height // 6, width // 4)
    _printed(pen, person, width, height // 6)
    _stamp(image, height)
    return _jpeg(image)


def draw_back(person: Particulars) -> bytes:
    """The back of a card: a few words and the zone."""
    width, height = SIZES[Format.TD1]
    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    _background(pen, width, height)
    lines = WRITERS[Format.TD1](person)
    top = height - _zone_height(lines, width)
    for index, text in enumerate(
        ("Authority: Utopian Registry", "Place of birth: Zenith", "Height: 1.80 m", "Remarks: none")
    ):
        pen.text((width // 20, 40 + index * width // 18), text, font=_font(width // 40), fill=INK)
    _stamp(image, top)
    pen.rectangle((0, top, width, height), fill=(248, 249, 246))
    _zone(pen, lines, width, top)
    return _jpeg(image)


def draw_selfie() -> bytes:
    """The portrait of nobody that every specimen bears, by itself."""
    image = Image.new("RGB", (900, 1200), PAPER)
    _portrait(ImageDraw.Draw(image), 150, 150, 600)
    return _jpeg(image)


def degraded(picture: bytes) -> bytes:
    """*picture*, out of focus so far that nobody can read it."""
    with Image.open(BytesIO(picture), formats=["JPEG"]) as image:
        return _jpeg(image.convert("RGB").filter(ImageFilter.GaussianBlur(image.width / 100)))


def _jpeg(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _drawn(person: Particulars, kind: Format) -> Image.Image:
    width, height = SIZES[kind]
    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    _background(pen, width, height)
    lines = WRITERS[kind](person)
    zone_top = height - _zone_height(lines, width)
    _heading(pen, person, kind, width)
    _portrait(pen, width // 20, height // 6, width // 4)
    _printed(pen, person, width, height // 6)
    _stamp(image, zone_top)
    pen.rectangle((0, zone_top, width, height), fill=(248, 249, 246))
    _zone(pen, lines, width, zone_top)
    return image


def _background(pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    for offset in range(-height, width, 26):
        pen.line((offset, 0, offset + height, height), fill=GUILLOCHE)
        pen.arc((offset, height // 4, offset + height // 2, height), 180, 360, fill=GUILLOCHE)


def _heading(pen: ImageDraw.ImageDraw, person: Particulars, kind: Format, width: int) -> None:
    pen.text((width // 20, 30), f"{TITLES[kind]}  ·  {person.issuer}", font=_font(width // 30), fill=INK)


def _portrait(pen: ImageDraw.ImageDraw, left: int, top: int, width: int) -> None:
    """Head and shoulders of nobody."""
    height = width * 9 // 7
    pen.rectangle((left, top, left + width, top + height), fill=(210, 218, 224), outline=LABEL)
    middle, eye = left + width // 2, top + height * 2 // 5
    pen.ellipse(
        (left + width // 10, top + height * 2 // 3, left + width * 9 // 10, top + height * 4 // 3), fill=(110, 126, 140)
    )
    pen.rectangle((left, top + height + 1, left + width, top + height * 4 // 3 + 2), fill=PAPER)
    pen.ellipse(
        (middle - width // 4, top + height // 8, middle + width // 4, top + height * 7 // 10), fill=(226, 198, 176)
    )
    for side in (-1, 1):
        pen.ellipse((middle + side * width // 9 - 6, eye - 4, middle + side * width // 9 + 6, eye + 4), fill=INK)
    pen.arc(
        (middle - width // 9, eye + height // 9, middle + width // 9, eye + height // 5), 20, 160, fill=INK, width=3
    )


def _printed(pen: ImageDraw.ImageDraw, person: Particulars, width: int, top: int) -> None:
    rows = (
        ("Surname", _in_print(person.surname)),
        ("Given names", _in_print(person.given_names)),
        ("Nationality", person.nationality),
        ("Date of birth", person.birth.strftime("%d %m %Y") if person.birth else "unknown"),
        ("Sex", person.sex or "X"),
        ("Document No.", person.number),
        ("Date of expiry", person.expiry.strftime("%d %m %Y")),
    )
    step = width // 22
    for index, (label, value) in enumerate(rows):
        y = top + index * step
        pen.text((width // 3, y), label, font=_font(width // 70), fill=LABEL)
        pen.text((width // 3, y + width // 65), value, font=_font(width // 50), fill=INK)


def _in_print(name: str) -> str:
    """*name* in the letters that the typeface has: a word with any other is written as in the zone."""
    words = (word if word.isascii() else to_mrz(word).replace("<", "-") for word in name.split())
    return " ".join(words)


def _stamp(image: Image.Image, bottom: int) -> None:
    """SPECIMEN, slanted over everything but the zone."""
    size = image.width // 9
    layer = Image.new("L", image.size, 0)
    box = ImageDraw.Draw(layer)
    box.text((image.width // 5, bottom // 2 - size // 2), "SPECIMEN", font=_font(size), fill=110)
    slanted = layer.rotate(16, center=(image.width / 2, bottom / 2))
    image.paste(STAMP, (0, 0), slanted)


def _zone_height(lines: Sequence[str], width: int) -> int:
    return round(len(lines) * _zone_font(lines, width).size * 1.7) + width // 20


def _zone_font(lines: Sequence[str], width: int) -> Font:
    """OCR-B in the size that makes the zone as wide as the document less its margins."""
    probe = 100
    advance = _ocrb(probe).getlength("<") / probe
    return _ocrb(int(width * 0.92 / (len(lines[0]) * advance)))


def _zone(pen: ImageDraw.ImageDraw, lines: Sequence[str], width: int, top: int) -> None:
    font = _zone_font(lines, width)
    for index, line in enumerate(lines):
        pen.text((width * 0.04, top + width // 50 + index * font.size * 1.7), line, font=font, fill=(0, 0, 0))


def _ocrb(size: int) -> Font:
    content = files(__package__).joinpath("fonts/OCRB.otf").read_bytes()
    return ImageFont.truetype(BytesIO(content), size)


def _font(size: int) -> Font:
    """Pillow's own typeface, for everything besides the zone; it knows the letters of ASCII."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):  # Pillow was built without FreeType
        raise EngineNotInstalled
    return font
