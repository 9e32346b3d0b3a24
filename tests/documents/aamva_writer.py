"""Writes the barcodes of licences as the versions of AAMVA's standard want them, and draws them. For tests."""

from collections.abc import Mapping
from datetime import date
from io import BytesIO

import numpy as np
import zxingcpp
from PIL import Image, ImageDraw, ImageFont

from kyc_service.documents.images import Pixels
from kyc_service.documents.specimen import draw_selfie

PERSON = {"family": "SAMPLE", "first": "ALEXANDRA", "middle": "QUINN"}


def written(
    version: int,
    *,
    country: str = "USA",
    kind: str = "DL",
    birth: date = date(1990, 3, 7),
    expiry: date = date(2031, 3, 7),
    changed: Mapping[str, str | None] | None = None,
) -> str:
    """The text of the barcode of a licence in one version of the standard; elements may be replaced, or left out."""
    year_first = version == 1 or country == "CAN"

    def day(when: date) -> str:
        return when.strftime("%Y%m%d" if year_first else "%m%d%Y")

    elements: dict[str, str | None] = {"DAQ": "S12345678", **_names(version)}
    elements |= {
        "DBD": day(date(2023, 3, 7)),
        "DBB": day(birth),
        "DBA": day(expiry),
        "DBC": "2" if version > 1 else "F",
    }
    elements |= {
        "DAG": "1 MAIN ST",
        "DAI": "SPRINGFIELD",
        "DAJ": "ON" if country == "CAN" else "VA",
        "DAK": "221010000",
    }
    if version > 1:
        elements |= {"DCG": country, "DCF": "DOC0001"}
    if country == "CAN":
        elements["DAK"] = "K1A 0B1"
    elements |= changed or {}
    body = kind + "\n".join(name + value for name, value in elements.items() if value is not None) + "\r"
    head = f"@\n\x1e\r{'AAMVA' if version == 1 else 'ANSI '}636000{version:02}{'' if version == 1 else '01'}01"
    return f"{head}{kind}{len(head) + 10:04}{len(body):04}{body}"


def _names(version: int) -> dict[str, str | None]:
    if version == 1:
        return {"DAA": f"{PERSON['family']},{PERSON['first']},{PERSON['middle']}"}
    if version <= 3:
        return {"DCS": PERSON["family"], "DCT": f"{PERSON['first']},{PERSON['middle']}"}
    return {
        "DCS": PERSON["family"],
        "DAC": PERSON["first"],
        "DAD": PERSON["middle"],
        "DDE": "N",
        "DDF": "N",
        "DDG": "T",
    }


def front_drawn(*lines: str) -> bytes:
    """The front of a card with the portrait of nobody and lines of print, as a JPEG picture."""
    card = Image.new("RGB", (1400, 880), (238, 238, 232))
    with Image.open(BytesIO(draw_selfie())) as portrait:
        card.paste(portrait.resize((540, 720)), (0, 100))
    pen, font = ImageDraw.Draw(card), ImageFont.load_default(44)
    for index, line in enumerate(lines):
        pen.text((540, 120 + 100 * index), line, font=font, fill=(20, 20, 20))
    return encoded(np.ascontiguousarray(np.asarray(card)[:, :, ::-1]))


def encoded(pixels: Pixels) -> bytes:
    """*pixels* as a JPEG picture."""
    out = BytesIO()
    Image.fromarray(pixels[:, :, ::-1]).save(out, "JPEG", quality=90)
    return out.getvalue()


def drawn(text: str, *lines: str, kind: str = "PDF417", aslant: float = 0) -> Pixels:
    """The back of a card with a barcode and some lines of print."""
    formats = {"PDF417": zxingcpp.BarcodeFormat.PDF417, "QR": zxingcpp.BarcodeFormat.QRCode}
    code = zxingcpp.create_barcode(text.encode("latin-1"), formats[kind])
    picture = Image.fromarray(np.asarray(code.to_image(scale=3))).convert("RGB")
    card = Image.new("RGB", (max(1400, picture.width + 200), picture.height + 160 + 80 * len(lines)), (238, 238, 232))
    card.paste(picture, (100, 80))
    pen, font = ImageDraw.Draw(card), ImageFont.load_default(44)
    for index, line in enumerate(lines):
        pen.text((100, picture.height + 110 + 80 * index), line, font=font, fill=(20, 20, 20))
    turned = card.rotate(aslant, expand=True, fillcolor=(238, 238, 232)) if aslant else card
    return np.ascontiguousarray(np.asarray(turned)[:, :, ::-1])
