"""PDF files as pictures: the first pages, drawn by pdfium without its JavaScript and form machinery."""

from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.documents.pdf_structure import search
from kyc_service.documents.refusals import ActiveContent, Attachment, Damaged, Encrypted, TooManyPages
from kyc_service.documents.sizes import LONGEST_SIDE, MOST_PAGES, PAGES_READ

try:
    import pypdfium2
    from PIL import Image
    from pypdfium2 import raw
except ImportError as error:  # the `engine` extra is not installed
    raise EngineNotInstalled from error

LARGEST_SCALE = 400 / 72  # pixels for each point of a page as small as a card; larger pages end at 2400 pixels


def pages(content: bytes) -> tuple[Image.Image, ...]:
    """The first pages of *content*, at most 2400 pixels on the longer side. Refusals are `FileRefused`."""
    search(content)
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if raw.FPDF_GetLastError() == raw.FPDF_ERR_PASSWORD:
            raise Encrypted from error
        raise Damaged from error
    with document:
        _harmless(document)
        if not 1 <= len(document) <= MOST_PAGES:
            raise TooManyPages if len(document) else Damaged
        try:
            return tuple(_drawn(document, number) for number in range(min(PAGES_READ, len(document))))
        except pypdfium2.PdfiumError as error:
            raise Damaged from error


def _harmless(document: pypdfium2.PdfDocument) -> None:
    """What pdfium itself finds, whatever the search of the bytes missed."""
    if document.get_formtype() in {raw.FORMTYPE_XFA_FULL, raw.FORMTYPE_XFA_FOREGROUND}:
        raise ActiveContent
    if raw.FPDFDoc_GetJavaScriptActionCount(document) > 0:
        raise ActiveContent
    if document.count_attachments() > 0:
        raise Attachment


def _drawn(document: pypdfium2.PdfDocument, number: int) -> Image.Image:
    page = document[number]
    width, height = page.get_size()
    if width <= 0 or height <= 0:
        raise Damaged
    scale = min(LARGEST_SCALE, LONGEST_SIDE / max(width, height))
    drawn: Image.Image = page.render(scale=scale, may_draw_forms=False).to_pil()
    return drawn
