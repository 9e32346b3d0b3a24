"""PDF files: drawn when they are plain, refused when they would do anything but be looked at."""

import zlib
from base64 import a85encode
from io import BytesIO

import pytest
from PIL import Image

from kyc_service.documents.pages import opened
from kyc_service.documents.refusals import (
    ActiveContent,
    Attachment,
    Bomb,
    Damaged,
    Encrypted,
    FileRefused,
    Polyglot,
    TooManyPages,
    TooManyPixels,
    TrailingData,
    Uninspectable,
)
from kyc_service.documents.sizes import MOST_PAGES, PAGES_READ
from kyc_service.documents.specimen import draw, traveller
from kyc_service.domain import media
from kyc_service.domain.reasons import REASONS
from tests.documents.conftest import ReadFile

PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] %s >>"


def pdf(*objects: bytes, page: bytes = b"", catalog: bytes = b"", trailer: bytes = b"", pages: int = 1) -> bytes:
    """A file of one kind of page, written by hand with a right table of places."""
    first = 3 + len(objects)
    kids = b" ".join(b"%d 0 R" % (first + n) for n in range(pages))
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, kids),
        *objects,
        *([PAGE % page] * pages),
    ]
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(bodies, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(bodies) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n"
        % (*(size, table, size, trailer, len(out)),)
    )


def stream(content: bytes, dictionary: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), dictionary, content)


def objects(content: bytes, dictionary: bytes = b"/Filter /FlateDecode") -> bytes:
    """A stream of objects that holds one dictionary, number 9."""
    body = b"9 0 " + content
    packed = zlib.compress(body) if b"Flate" in dictionary else body
    return stream(packed, b"/Type /ObjStm /N 1 /First 4 " + dictionary)


SCRIPT = b"<< /S /JavaScript /JS (app.alert(1)) >>"
LINE = b"0 0 m 300 200 l S"


@pytest.mark.parametrize(
    "content",
    [
        pdf(),
        pdf(stream(LINE), page=b"/Contents 3 0 R"),
        pdf(stream(zlib.compress(LINE), b"/Filter /FlateDecode"), page=b"/Contents 3 0 R"),
        pdf(
            stream(a85encode(zlib.compress(LINE)) + b"~>", b"/Filter [ /ASCII85Decode /FlateDecode ]"),
            page=b"/Contents 3 0 R",
        ),
        pdf(catalog=b"/OpenAction [3 0 R /Fit]"),  # where to look first, which many writers say
        pdf(page=b"/Annots [<< /Type /Annot /Subtype /Link /A << /S /URI /URI (https://example.com) >> >>]"),
        pdf(objects(b"<< /Title (JavaScript for beginners) >>")),
        pdf() + b"\n\n",
    ],
)
def test_a_plain_file_is_drawn(content: bytes) -> None:
    (page,) = opened(content, media.PDF)
    assert page.shape == (1112, 1667, 3)
    assert page[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (pdf(catalog=b"/OpenAction " + SCRIPT), ActiveContent),
        (pdf(catalog=b"/OpenAction << /S /J#61va#53cript /JS (x) >>"), ActiveContent),
        (pdf(catalog=b"/OpenAction << /S /Launch /F (cmd.exe) >>"), ActiveContent),
        (pdf(page=b"/AA << /O << /S /SubmitForm /F (https://example.com) >> >>"), ActiveContent),
        (pdf(catalog=b"/AcroForm << /XFA [] >>"), ActiveContent),
        (pdf(page=b"/Annots [<< /Subtype /RichMedia >>]"), ActiveContent),
        (pdf(objects(SCRIPT)), ActiveContent),
        (pdf(objects(b" " * 3_000_000 + SCRIPT)), ActiveContent),
        (pdf(objects(SCRIPT, b"/Filter /Fl#61teDecode")), ActiveContent),
        (pdf(objects(SCRIPT, b"")), ActiveContent),
        (
            pdf(stream(a85encode(zlib.compress(SCRIPT)) + b"~>", b"/Filter [/A85 /Fl]"), page=b"/Contents 3 0 R"),
            ActiveContent,
        ),
        (pdf(stream(SCRIPT.hex().encode() + b">", b"/Filter /AHx")), ActiveContent),
        (pdf(catalog=b"/Names << /EmbeddedFiles << /Names [] >> >>"), Attachment),
        (pdf(objects(b"<< /Type /Filespec /EF << >> /Subtype /FileAttachment >>")), Attachment),
        (pdf(trailer=b"/Encrypt << /Filter /Standard /V 1 /R 2 /O () /U () /P -4 >>"), Encrypted),
        (pdf(stream(zlib.compress(bytes(90 << 20)), b"/Filter /FlateDecode")), Bomb),
        (pdf(*[stream(zlib.compress(bytes(70 << 20)), b"/Filter /FlateDecode")] * 4), Bomb),
        (pdf(stream(zlib.compress(zlib.compress(LINE)), b"/Filter [/FlateDecode /FlateDecode]")), Uninspectable),
        (pdf(stream(LINE, b"/Filter /LZWDecode")), Uninspectable),
        (pdf(stream(LINE, b"/Filter 4 0 R")), Uninspectable),
        (pdf(objects(SCRIPT, b"/Filter /FlateDecode /DecodeParms << /Predictor 12 >>")), Uninspectable),
        (pdf(stream(zlib.compress(LINE), b"/Filter /FlateDecode /X (5 0 obj)")), Uninspectable),
        (pdf(stream(zlib.compress(LINE), b"/Filter /FlateDecode /X (endobj)")), Uninspectable),
        (pdf(stream(LINE, b"/Subtype /Image /Width 30000 /Height 30000 /Filter /DCTDecode")), TooManyPixels),
        (pdf(pages=MOST_PAGES + 1), TooManyPages),
        (pdf() + b"PK and more", TrailingData),
        (pdf().replace(b"%PDF-1.7\n", b"%PDF-1.7\n%<script>"), Polyglot),
        (pdf()[:40], Damaged),
        (b"%PDF-1.7\n%%EOF", Damaged),
        (pdf(pages=0), Damaged),
        (pdf().replace(b"[0 0 300 200]", b"[0 0 0 0]"), None),
    ],
)
def test_a_file_that_is_more_than_pages_is_refused(content: bytes, refusal: type[FileRefused] | None) -> None:
    if refusal is None:  # readers take a page without a size for one of a letter's size
        assert opened(content, media.PDF)
        return
    with pytest.raises(FileRefused) as caught:
        opened(content, media.PDF)
    assert caught.type is refusal
    assert REASONS[refusal.reason].retryable


def test_a_script_behind_a_stream_that_feigns_its_end_is_found() -> None:
    feigned = zlib.compressobj(0)  # stored, not compressed: the bytes stand in the file as they are
    packed = feigned.compress(b"endstream endobj (" + b" " * 70_000 + SCRIPT) + feigned.flush()
    with pytest.raises(ActiveContent):
        opened(pdf(stream(packed, b"/Filter /FlateDecode")), media.PDF)


def overlapping(count: int) -> bytes:
    """Streams that all end where the last one ends: each is told to unpack everything that follows it."""
    empty = b"\0\0\0\xff\xff" * 400_000  # blocks without content: a lot to read, nothing to see
    heads = [b"endobj %d 0 obj << /Filter /FlateDecode >> stream\n\x78\x01" % number for number in range(count, 0, -1)]
    content = empty
    for head in heads:
        stored = b"\0" + len(head).to_bytes(2, "little") + (0xFFFF - len(head)).to_bytes(2, "little")
        content = stored + head + content
    return b"%PDF-1.7\n1 0 obj << /Filter /FlateDecode >> stream\n\x78\x01" + content + b"\n%%EOF"


@pytest.mark.parametrize(
    "content",
    [
        b"%PDF-1.7\n" + b"endobj 1 0 obj << /Filter /A85 >> stream\n" + b"z" * 3_000_000 + b"~>\n%%EOF",
        b"%PDF-1.7\n" + b"endobj 1 0 obj << >> stream\n" * 5001 + b"endstream %%EOF",
        overlapping(1000),
    ],
    ids=["text within text", "streams without end", "streams within streams"],
)
def test_a_file_that_is_too_much_work_is_a_bomb(content: bytes) -> None:
    with pytest.raises(FileRefused) as caught:
        opened(content, media.PDF)
    assert caught.type is Bomb


def test_only_the_first_pages_are_drawn() -> None:
    assert len(opened(pdf(pages=MOST_PAGES), media.PDF)) == PAGES_READ


def test_the_zone_is_found_on_whichever_page_it_stands(read_file: ReadFile) -> None:
    passport = Image.open(BytesIO(draw(traveller(issuer="NLD"))))
    letter = Image.new("RGB", (1240, 1754), "white")
    out = BytesIO()
    letter.save(out, "PDF", save_all=True, append_images=[passport])
    reading = read_file(out.getvalue(), media.PDF)
    assert reading.page == 2
    assert reading.zone
    assert reading.zone.holds
    assert reading.zone.zone.surname == "ERIKSSON"


def test_a_file_without_a_zone_tells_its_first_page(read_file: ReadFile) -> None:
    reading = read_file(pdf(pages=2), media.PDF)
    assert (reading.page, reading.zone, reading.refused) == (1, None, None)


def test_what_is_refused_says_why_in_the_reading(read_file: ReadFile) -> None:
    assert read_file(pdf(catalog=b"/OpenAction " + SCRIPT), media.PDF).refused == "FILE_ACTIVE_CONTENT"
