"""Barcodes in a picture: PDF417, as on the back of driving licences, and QR codes."""

from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.documents.images import Pixels, pixels_of
from kyc_service.documents.readings import Barcode

try:
    import cv2
    import zxingcpp
except ImportError as error:  # the `engine` extra is not installed
    raise EngineNotInstalled from error

KINDS = {zxingcpp.BarcodeFormat.PDF417: "PDF417", zxingcpp.BarcodeFormat.QRCode: "QR"}
FORMATS = zxingcpp.barcode_formats_from_str("PDF417,QRCode")
MOST = 8
LONGEST = 4096
ASLANT = (0.0, 4.0, -4.0)  # degrees: the rows of a PDF417 must lie level


def find(pixels: Pixels) -> tuple[Barcode, ...]:
    """The barcodes of the picture, each byte of theirs as one character."""
    grey = pixels_of(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
    for degrees in ASLANT:
        turned = _turned(grey, degrees) if degrees else grey
        found = zxingcpp.read_barcodes(turned, formats=FORMATS)
        if found:
            return tuple(
                Barcode(kind=KINDS[one.format], text=bytes(one.bytes)[:LONGEST].decode("latin-1"), box=_box(one))
                for one in found[:MOST]
                if one.format in KINDS
            )
    return ()


def _turned(grey: Pixels, degrees: float) -> Pixels:
    height, width = grey.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return pixels_of(cv2.warpAffine(grey, turn, (width, height), borderMode=cv2.BORDER_REPLICATE))


def _box(found: zxingcpp.Barcode) -> tuple[float, float, float, float]:
    place = found.position
    corners = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
    across, down = [float(corner.x) for corner in corners], [float(corner.y) for corner in corners]
    return min(across), min(down), max(across), max(down)
