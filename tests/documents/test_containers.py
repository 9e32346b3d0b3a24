"""Files that are more than they say: taken apart before anything decodes them, each refused with its own code."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image

from kyc_service.documents.containers import MOST_SCANS
from kyc_service.documents.pages import opened
from kyc_service.documents.refusals import Animated, Bomb, Damaged, FileRefused, Polyglot, TrailingData
from kyc_service.domain import media
from kyc_service.domain.reasons import REASONS

HEIC = (Path(__file__).parent / "vectors/specimen.heic").read_bytes()


def picture(kind: str, **options: object) -> bytes:
    out = BytesIO()
    Image.new("RGB", (640, 480), (40, 90, 160)).save(out, kind, **options)
    return out.getvalue()


PICTURES = {
    media.JPEG: picture("JPEG"),
    media.PNG: picture("PNG"),
    media.WEBP: picture("WEBP"),
    media.HEIC: HEIC,
}


def archive(content: bytes = b"hello") -> bytes:
    out = BytesIO()
    with ZipFile(out, "w") as file:
        file.writestr("inside.txt", content)
    return out.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def in_jpeg(*segments: bytes) -> bytes:
    jpeg = PICTURES[media.JPEG]
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def in_png(*chunks: bytes) -> bytes:
    png = PICTURES[media.PNG]
    return png[:33] + b"".join(chunks) + png[33:]


def in_webp(*chunks: bytes) -> bytes:
    body = PICTURES[media.WEBP][12:] + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def riff(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def animation(kind: str) -> bytes:
    frames = [Image.new("RGB", (640, 480), (shade, 0, 0)) for shade in (10, 200)]
    out = BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    return out.getvalue()


def scan_of(jpeg: bytes) -> bytes:
    """The last scan of a progressive picture, header and data."""
    return jpeg[jpeg.rfind(b"\xff\xda") : -2]


@pytest.mark.parametrize("media_type", PICTURES)
def test_a_plain_picture_is_opened(media_type: str) -> None:
    (pixels,) = opened(PICTURES[media_type], media_type)
    assert pixels.shape[2] == 3
    assert max(pixels.shape) in {640, 900}


PROGRESSIVE = picture("JPEG", progressive=True)
MANY_SCANS = PROGRESSIVE[:-2] + scan_of(PROGRESSIVE) * MOST_SCANS + b"\xff\xd9"
ZIPPED = zlib.compress(bytes(64 << 20))


@pytest.mark.parametrize(
    ("content", "media_type", "refusal"),
    [
        *((content + b"more", kind, TrailingData) for kind, content in PICTURES.items() if kind != media.HEIC),
        (HEIC + box(b"more", b"x"), media.HEIC, TrailingData),
        *((content + archive(), kind, Polyglot) for kind, content in PICTURES.items()),
        (in_jpeg(segment(0xFE, archive())), media.JPEG, Polyglot),
        (in_jpeg(segment(0xFE, b"%PDF-1.7 then the rest")), media.JPEG, Polyglot),
        (in_jpeg(segment(0xE1, b"Exif\0\0<?PHP system($_GET[1]);")), media.JPEG, Polyglot),
        (in_jpeg(segment(0xE2, b"ICC_PROFILE\0<script>alert(1)</script>")), media.JPEG, Polyglot),
        (in_png(chunk(b"tEXt", b"Comment\0<html>")), media.PNG, Polyglot),
        (in_png(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"<script>"))), media.PNG, Polyglot),
        (in_png(chunk(b"iTXt", b"C\0\1\0en\0C\0" + zlib.compress(b"<script>"))), media.PNG, Polyglot),
        (in_webp(riff(b"XMP ", b"<script>")), media.WEBP, Polyglot),
        (HEIC + box(b"free", b"<!DOCTYPE html>"), media.HEIC, Polyglot),
        (animation("PNG"), media.PNG, Animated),
        (animation("WEBP"), media.WEBP, Animated),
        (b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc" + HEIC[28:], media.HEIC, Animated),
        (HEIC + box(b"moov", b"x"), media.HEIC, Animated),
        (HEIC + box(b"mpvd", b"x"), media.HEIC, Animated),
        (in_png(chunk(b"zTXt", b"Comment\0\0" + ZIPPED)), media.PNG, Bomb),
        (in_png(chunk(b"iCCP", b"profile\0\0" + ZIPPED)), media.PNG, Bomb),
        (in_png(*[chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(4 << 20)))] * 17), media.PNG, Bomb),
        (MANY_SCANS, media.JPEG, Bomb),
        (in_png(chunk(b"zTXt", b"Comment\0\0no zlib")), media.PNG, Damaged),
        (PICTURES[media.PNG][:-4] + b"abcd", media.PNG, Damaged),
        (PICTURES[media.WEBP][:-4], media.WEBP, Damaged),
        (HEIC[:-4], media.HEIC, Damaged),
        (HEIC[:28], media.HEIC, Damaged),
        (b"\xff\xd8\xff\xe0\x00\x01", media.JPEG, Damaged),
    ],
)
def test_a_file_that_is_more_than_a_still_picture_is_refused(
    content: bytes, media_type: str, refusal: type[FileRefused]
) -> None:
    with pytest.raises(FileRefused) as caught:
        opened(content, media_type)
    assert caught.type is refusal
    assert REASONS[refusal.reason].retryable


def samsung(entries: bytes) -> bytes:
    """What Samsung cameras write behind a picture."""
    table = b"SEFH" + struct.pack("<II", 101, 1) + struct.pack("<HHII", 0, 0x0A01, len(entries) + 12, len(entries))
    return entries + table + struct.pack("<I", len(table)) + b"SEFT"


def test_what_cameras_put_behind_their_pictures_is_no_reason_to_refuse_them() -> None:
    jpeg = PICTURES[media.JPEG]
    previews = in_jpeg(segment(0xE2, b"MPF\0" + bytes(8))) + jpeg + b"\0" * 7 + jpeg
    for content in (jpeg + bytes(512), jpeg + samsung(b"Image_UTC_Data1700000000000"), previews):
        assert opened(content, media.JPEG)[0].shape == (480, 640, 3)


@pytest.mark.parametrize(
    "tail",
    [
        lambda jpeg: jpeg,  # a second picture that the first one does not announce
        lambda _: samsung(bytes(1 << 17)),
        lambda _: b"SEFT",
    ],
)
def test_what_only_looks_like_a_camera_is_refused(tail: Callable[[bytes], bytes]) -> None:
    with pytest.raises(TrailingData):
        opened(PICTURES[media.JPEG] + tail(PICTURES[media.JPEG]), media.JPEG)
