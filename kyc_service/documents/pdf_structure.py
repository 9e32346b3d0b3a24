"""PDF files searched for what a document has no need of, before a renderer opens them. Pure.

The search does not trust the file's own table of contents: it looks at every byte, at every old revision and inside
every compressed stream, where scripts hide from a plain search (ISO 32000-2, 7.3.5 names, 7.3.8 streams, 7.4 filters,
7.5.7 object streams, 7.6 encryption, 12.6 actions). A name may be written with `#` codes, so `/#4aavaScript` is one.
"""

import re
import zlib
from base64 import a85decode
from collections.abc import Iterator

from kyc_service.documents.containers import is_archive
from kyc_service.documents.refusals import (
    ActiveContent,
    Attachment,
    Bomb,
    Damaged,
    Encrypted,
    FileRefused,
    Polyglot,
    TooManyPixels,
    TrailingData,
    Uninspectable,
)
from kyc_service.documents.sizes import MOST_PIXELS
from kyc_service.domain.record import record

MOST_STREAMS = 5_000
MOST_WORK = 256 << 20  # bytes read and unpacked, all streams together; a page scanned at 300 dpi in colour has 26 MiB
LONGEST_STREAM = 80 << 20  # 25 million pixels in colour
LONGEST_DICTIONARY = 16 << 10
PIECE = 1 << 20  # unpacked and searched at a time
FED = 1 << 16
LONGEST_TEXT = 8 << 20  # that stands for bytes
SLOW = 16  # times slower than anything else is unpacked
OVERLAP = 64  # longer than any name that is searched for, written in codes
PLAIN = frozenset({b"ASCIIHexDecode", b"AHx", b"ASCII85Decode", b"A85"})
DEFLATED = frozenset({b"FlateDecode", b"Fl"})
OF_PICTURES = frozenset(
    {b"DCTDecode", b"DCT", b"JPXDecode", b"CCITTFaxDecode", b"CCF", b"JBIG2Decode", b"RunLengthDecode", b"RL"}
)
SCRIPTS = (
    *("JavaScript", "Launch", "XFA", "RichMedia", "Rendition", "SubmitForm", "ImportData", "GoToE"),
    *("Movie", "Sound", "3DD"),
)
ATTACHMENTS = ("EmbeddedFile", "EmbeddedFiles", "FileAttachment")


def _name(*names: str) -> re.Pattern[bytes]:
    """What finds one of *names* as a whole name, each character plain or as a `#` code."""

    def written(name: str) -> str:
        return "".join(f"(?:{re.escape(c)}|#(?i:{ord(c):02x}))" for c in name)

    return re.compile(("/(?:" + "|".join(map(written, names)) + r")(?=[\x00\t\n\x0c\r ()<>\[\]{}/%]|$)").encode())


FOUND: tuple[tuple[re.Pattern[bytes], type[FileRefused]], ...] = (
    (_name(*SCRIPTS), ActiveContent),
    (_name(*ATTACHMENTS), Attachment),
)
ENCRYPTED = _name("Encrypt")
FILTER = re.compile(rb"/(?:Filter|F)\s*(\[[^\]]*\]|/[^\s/\[\]<>()]+|\d+\s+\d+\s+R)")
IS_PICTURE = re.compile(rb"/Subtype\s*/Image\b")
IS_OBJECTS = re.compile(rb"/Type\s*/ObjStm\b")
SIZE = re.compile(rb"/(Width|W|Height|H)\s+(\d{1,9})\b")
PREDICTED = re.compile(rb"/Predictor\s+(?:[2-9]|1\d)")
STREAM = re.compile(rb"\bstream[ \t]*(?:\r\n|\n|\r)")
OBJECT = re.compile(rb"\bobj\b")
HEX = re.compile(rb"#([0-9A-Fa-f]{2})")
SCRIPT_AHEAD = re.compile(rb"<(?:script|html|!doctype|\?php)", re.IGNORECASE)


@record
class Stream:
    """A stream of the file: its dictionary, its filters, and where its packed bytes begin."""

    dictionary: bytes
    filters: tuple[bytes, ...]
    begin: int


def search(content: bytes) -> None:
    """Refuse a PDF that is encrypted, does something by itself, carries files, unpacks to too much or is two files."""
    if is_archive(content) or SCRIPT_AHEAD.search(content[:1024]):
        raise Polyglot
    _ends(content)
    if ENCRYPTED.search(content):
        raise Encrypted
    _look(content)
    left = MOST_WORK
    for number, stream in enumerate(_streams(content)):
        if number >= MOST_STREAMS:
            raise Bomb
        left -= _searched(content, stream, left)
        if left < 0:  # streams may lie within each other, so that a small file is a lot of work
            raise Bomb


def _ends(content: bytes) -> None:
    """The end-of-file marker is where readers look for it, and nothing but blanks follows."""
    end = content.rfind(b"%%EOF")
    if end < 0:
        raise Damaged
    if content[end + 5 :].strip(b"\0\t\n\x0c\r "):
        raise TrailingData


def _look(text: bytes) -> None:
    for pattern, refusal in FOUND:
        if pattern.search(text):
            raise refusal


def _streams(content: bytes) -> Iterator[Stream]:
    """Every stream with its dictionary, which stands between the object before it and the word `stream`."""
    for found in STREAM.finditer(content):
        start = max(
            content.rfind(b"endobj", max(0, found.start() - LONGEST_DICTIONARY), found.start()),
            found.start() - LONGEST_DICTIONARY,
            0,
        )
        ahead = HEX.sub(lambda code: bytes((int(code[1], 16),)), content[start : found.start()])
        begun = [place.end() for place in OBJECT.finditer(ahead)]
        if len(begun) != 1:  # made to look like something else
            raise Uninspectable
        dictionary = ahead[begun[0] :]
        yield Stream(dictionary=dictionary, filters=_filters(dictionary), begin=found.end())


def _filters(dictionary: bytes) -> tuple[bytes, ...]:
    found = FILTER.search(dictionary)
    if found is None:
        return ()
    if found[1].endswith(b"R"):  # written somewhere else, where nobody but an attacker writes it
        raise Uninspectable
    return tuple(re.findall(rb"/([^\s/\[\]<>()]+)", found[1]))


def _searched(content: bytes, stream: Stream, left: int) -> int:
    """How much work it was to search *stream*."""
    picture = bool(IS_PICTURE.search(stream.dictionary))
    if picture:
        _pixels(stream.dictionary)
    packed, begin, work = content, stream.begin, 0
    for place, name in enumerate(stream.filters):
        if name in OF_PICTURES:
            break
        if name in PLAIN:
            packed, begin = _plain(name, packed, begin), 0
            work += SLOW * len(packed)
        elif name in DEFLATED and not any(other in DEFLATED for other in stream.filters[place + 1 :]):
            if IS_OBJECTS.search(stream.dictionary) and PREDICTED.search(stream.dictionary):
                raise Uninspectable
            return work + _inflated(packed, begin, min(left, LONGEST_STREAM), looked_at=not picture)
        else:
            raise Uninspectable
    else:
        if packed is not content:
            _look(packed)
    return work


def _pixels(dictionary: bytes) -> None:
    sizes = {name[:1]: int(number) for name, number in SIZE.findall(dictionary)}
    if sizes.get(b"W", 0) * sizes.get(b"H", 0) > MOST_PIXELS:
        raise TooManyPixels


def _plain(name: bytes, packed: bytes, begin: int) -> bytes:
    """The bytes that are written as text from *begin* to the mark that ends them."""
    mark = b"~>" if name in {b"ASCII85Decode", b"A85"} else b">"
    end = packed.find(mark, begin)
    if end < 0:
        raise Damaged
    text = b"".join(packed[begin:end].split())
    if len(text) + 4 * text.count(b"z") > LONGEST_TEXT:  # a `z` stands for four bytes
        raise Bomb
    try:
        if mark == b"~>":
            return a85decode(text.removeprefix(b"<~"))
        return bytes.fromhex((text + b"0" * (len(text) % 2)).decode("ascii"))
    except ValueError as error:
        raise Damaged from error


def _inflated(packed: bytes, begin: int, limit: int, *, looked_at: bool) -> int:
    """How much is read and unpacked from *begin*, where the packed bytes themselves say where they end."""
    unpacker = zlib.decompressobj()
    size, work, tail = 0, 0, b""
    for place in range(begin, len(packed), FED):
        fed = packed[place : place + FED]
        work += len(fed)
        while fed and not unpacker.eof:
            try:
                piece = unpacker.decompress(fed, PIECE)
            except zlib.error:  # readers show what they have until here, and that was searched
                return work + size
            fed = unpacker.unconsumed_tail
            size += len(piece)
            if work + size > limit:
                raise Bomb
            if looked_at:
                _look(tail + piece)
                tail = (tail + piece)[-OVERLAP:]
        if unpacker.eof:
            break
    return work + size
