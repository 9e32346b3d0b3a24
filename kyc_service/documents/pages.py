"""A file of any kind as upright pictures: one of a photograph, the first few pages of a PDF."""

from kyc_service.documents.images import Pixels, decode, pixels_on_paper
from kyc_service.documents.pdf import pages as drawn
from kyc_service.documents.refusals import KindUnknown, WrongMediaType
from kyc_service.domain import media


def opened(content: bytes, declared: str) -> tuple[Pixels, ...]:
    """The pictures in *content*, which was declared to be of the media type *declared*. Refusals are `FileRefused`."""
    kind = media.recognised(content[: media.HEAD])
    if kind is None:
        raise KindUnknown
    if kind != media.media_type(declared):
        raise WrongMediaType
    if kind == media.PDF:
        return tuple(pixels_on_paper(page) for page in drawn(content))
    return (decode(content, kind),)
