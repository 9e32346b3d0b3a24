"""Pictures taken apart without decoding them: every byte must belong to the picture, and to nothing else. Pure.

A decoder stops when it has its picture and ignores whatever else a file holds; that is where a second file hides. So
the segments of a JPEG (ISO/IEC 10918-1 annex B), the chunks of a PNG (ISO/IEC 15948 clause 5) and of a WebP (RFC 9649
section 2), and the boxes of a HEIC file (ISO/IEC 14496-12 clause 4.2) are walked to the last byte first.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping

from kyc_service.documents.refusals import Animated, Bomb, Damaged, Polyglot, TrailingData
from kyc_service.domain import media
from kyc_service.domain.record import record

MOST_SCANS = 64  # a progressive JPEG has about ten; each costs a pass over the whole picture
MOST_SEGMENTS = 4096
MOST_TEXTS = 16
MOST_UNPACKED = 4 << 20  # bytes that a compressed text or profile may unpack to
# How files of other kinds begin, and what makes a browser or an interpreter run what follows; capitals made small.
FOREIGN = (
    *(b"pk\x03\x04", b"%pdf-", b"\x7felf\x01", b"\x7felf\x02", b"rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"mscf\0\0\0\0"),
    *(b"<script", b"<html", b"<!doctype", b"<iframe", b"<?php", b"#!/bin/", b"#!/usr/bin/"),
)
ZIP_END = b"PK\x05\x06"
ZIP_TAIL = 22 + 0xFFFF  # the record at the end of a ZIP archive and the longest comment after it
RUN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # ends the coded data of a scan: a marker that is no restart
APP2, COMMENT, SCAN, END = 0xE2, 0xFE, 0xDA, 0xD9
STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
STILL_BOXES = frozenset({b"ftyp", b"meta", b"mdat", b"free", b"skip", b"uuid", b"sefd", b"idat"})
MOVING_BOXES = frozenset({b"moov", b"moof", b"mpvd"})


@record
class Part:
    """A stretch of a file: its kind in the file's own words, and what it holds."""

    name: bytes
    content: bytes


def walk(content: bytes, media_type: str) -> None:
    """Refuse *content* unless it is one still picture of *media_type* and nothing besides. See `refusals`."""
    if is_archive(content) or b"%PDF-" in content[1:1024]:  # where readers of PDF look for its beginning
        raise Polyglot
    WALKS[media_type](content)


def is_archive(content: bytes) -> bool:
    """Whether *content* can be opened as a ZIP archive: that is found from the end of the file (APPNOTE 4.3.16)."""
    end = content.rfind(ZIP_END, max(0, len(content) - ZIP_TAIL))
    if end < 0 or len(content) - end < 22:
        return False
    size = int.from_bytes(content[end + 12 : end + 16], "little")
    entries = int.from_bytes(content[end + 10 : end + 12], "little")
    directory = end - size
    return directory >= 0 and (not entries or content[directory : directory + 4] == b"PK\x01\x02")


def clean(content: bytes) -> None:
    """Refuse descriptive data in which a file of another kind, or a script, begins."""
    small = content.lower()
    if any(sign in small for sign in FOREIGN):
        raise Polyglot


# ── JPEG ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _jpeg(content: bytes) -> None:
    end, several = _picture_end(content, 0)
    rest = content[_further_pictures(content, end) if several else end :]
    if rest.strip(b"\0") and not _camera_trailer(rest):
        raise TrailingData


def _picture_end(content: bytes, place: int) -> tuple[int, bool]:
    """Where the JPEG that begins at *place* ends, and whether it says that more follow (CIPA DC-007, `MPF`)."""
    if content[place : place + 2] != b"\xff\xd8":
        raise Damaged
    place += 2
    scans, several = 0, False
    for _ in range(MOST_SEGMENTS):
        marker, place = _marker(content, place)
        if marker == END:
            return place, several
        if marker in STANDALONE:
            continue
        length = int.from_bytes(content[place : place + 2], "big")
        if length < 2 or place + length > len(content):
            raise Damaged
        segment = content[place + 2 : place + length]
        place += length
        if 0xE0 <= marker <= 0xEF or marker == COMMENT:
            clean(segment)
            several = several or (marker == APP2 and segment.startswith(b"MPF\0"))
        elif marker == SCAN:
            scans += 1
            if scans > MOST_SCANS:
                raise Bomb
            ended = RUN.search(content, place)
            if ended is None:
                raise Damaged
            place = ended.start()
    raise Bomb


def _marker(content: bytes, place: int) -> tuple[int, int]:
    """The marker at *place*, before which fill bytes may stand, and where it ends."""
    if content[place : place + 1] != b"\xff":
        raise Damaged
    while content[place : place + 1] == b"\xff":
        place += 1
    if place >= len(content):
        raise Damaged
    return content[place], place + 1


def _further_pictures(content: bytes, place: int) -> int:
    """Where the last of the announced pictures ends: cameras put previews and brightness maps behind the first."""
    for _ in range(16):
        begin = place
        while content[begin : begin + 1] == b"\0":
            begin += 1
        if content[begin : begin + 3] != b"\xff\xd8\xff":
            return place
        place, _ = _picture_end(content, begin)
    raise Bomb


def _camera_trailer(rest: bytes) -> bool:
    """Whether *rest* is the small directory that Samsung cameras append: entries, `SEFH`, a table, its size, `SEFT`."""
    if len(rest) > 1 << 16 or not rest.endswith(b"SEFT") or len(rest) < 20:
        return False
    clean(rest)
    table = len(rest) - 8 - int.from_bytes(rest[-8:-4], "little")
    return table >= 0 and rest[table : table + 4] == b"SEFH"


# ── PNG ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _png(content: bytes) -> None:
    place, packed = 8, 0
    for part, end in _chunks(content, place):
        place = end
        packed += part.name in {b"zTXt", b"iTXt", b"iCCP"}
        if packed > MOST_TEXTS:
            raise Bomb
        match part.name:
            case b"acTL" | b"fcTL" | b"fdAT":
                raise Animated
            case b"zTXt" | b"iCCP":
                clean(unpacked(part.content.partition(b"\0")[2][1:]))
            case b"iTXt":
                clean(_international(part.content))
            case b"IDAT" | b"PLTE":
                pass
            case b"IEND":
                break
            case _:
                clean(part.content)
    else:
        raise Damaged
    if content[place:]:
        raise TrailingData


def _chunks(content: bytes, place: int) -> Iterator[tuple[Part, int]]:
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        end = place + 12 + length
        if end > len(content):
            raise Damaged
        body = content[place + 4 : end - 4]
        if zlib.crc32(body) != int.from_bytes(content[end - 4 : end], "big"):
            raise Damaged
        yield Part(name=body[:4], content=body[4:]), end
        place = end


def _international(content: bytes) -> bytes:
    """The text of an `iTXt` chunk, unpacked if it is compressed."""
    _, _, rest = content.partition(b"\0")
    packed, described = rest[:1] == b"\1", rest[2:]
    text = described.partition(b"\0")[2].partition(b"\0")[2]
    return unpacked(text) if packed else text


def unpacked(content: bytes, limit: int = MOST_UNPACKED) -> bytes:
    """*content*, which is compressed with zlib, as long as it stays below *limit*."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(content, limit)
    except zlib.error as error:
        raise Damaged from error
    if stream.unconsumed_tail:
        raise Bomb
    return text


# ── WebP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _webp(content: bytes) -> None:
    size = int.from_bytes(content[4:8], "little") + 8
    if size > len(content):
        raise Damaged
    if content[size:]:
        raise TrailingData
    place = 12
    while place < size:
        name, length = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        body = content[place + 8 : place + 8 + length]
        if place + 8 > size or len(body) < length:
            raise Damaged
        place += 8 + length + length % 2
        if name in {b"ANIM", b"ANMF"} or (name == b"VP8X" and body[:1] and body[0] & 0b10):
            raise Animated
        if name not in {b"VP8 ", b"VP8L", b"VP8X", b"ALPH"}:
            clean(body)


# ── HEIC ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _heic(content: bytes) -> None:
    if content[8:12] in media.MOVING | {b"msf1"}:
        raise Animated
    seen: set[bytes] = set()
    place = 0
    while place < len(content):
        length, name = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        head = 8
        if length == 1:
            length, head = int.from_bytes(content[place + 8 : place + 16], "big"), 16
        end = len(content) if length == 0 else place + length
        if name in MOVING_BOXES:
            raise Animated
        if name not in STILL_BOXES:
            raise TrailingData if {b"meta", b"mdat"} <= seen else Damaged
        if end > len(content) or end < place + head:
            raise Damaged
        if name != b"mdat":
            clean(content[place + head : end])
        seen.add(name)
        place = end
    if not {b"ftyp", b"meta"} <= seen:
        raise Damaged


WALKS: Mapping[str, Callable[[bytes], None]] = {
    media.JPEG: _jpeg,
    media.PNG: _png,
    media.WEBP: _webp,
    media.HEIC: _heic,
}
