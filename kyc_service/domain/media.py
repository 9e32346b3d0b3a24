"""The kinds of files that are taken in, and how each begins: the one table that upload and engine share.

A file is what its first bytes are, at offset 0 and nowhere else: readers that look further let one file be two.
"""

from collections.abc import Mapping

from kyc_service.domain.record import record

HEAD = 32  # bytes that tell every kind
JPEG, PNG, WEBP, HEIC, PDF = "image/jpeg", "image/png", "image/webp", "image/heic", "application/pdf"


@record
class Kind:
    """A kind of file: its media type, other names that clients give it, and the ending of its file name."""

    media_type: str
    extension: str
    aliases: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    kind.media_type: kind
    for kind in (
        Kind(media_type=JPEG, extension="jpg"),
        Kind(media_type=PNG, extension="png"),
        Kind(media_type=WEBP, extension="webp"),
        Kind(media_type=HEIC, extension="heic", aliases=("image/heif",)),
        Kind(media_type=PDF, extension="pdf"),
    )
}
MEDIA_TYPES: Mapping[str, str] = {  # every name that a client may give, and ours for it
    name: kind.media_type for kind in KINDS.values() for name in (kind.media_type, *kind.aliases)
}
# What a HEIC file calls itself (ISO/IEC 23008-12, annexes B and D): still pictures, and sequences, which are refused
# when the file is opened; `mif1` and `msf1` leave the coding open, so they need a HEVC brand beside them.
STILL = frozenset({b"heic", b"heix", b"heim", b"heis"})
MOVING = frozenset({b"hevc", b"hevx", b"hevm", b"hevs"})
EITHER = frozenset({b"mif1", b"mif2", b"msf1"})


def media_type(name: str) -> str | None:
    """Our name for the declared media type *name*, parameters aside; None: it is not taken in."""
    return MEDIA_TYPES.get(name.partition(";")[0].strip().lower())


def recognised(head: bytes) -> str | None:
    """The media type of a file that begins with *head*, which is 32 bytes or the whole file; None: another kind.

    ISO/IEC 10918-1 B.2.1 (JPEG), ISO/IEC 15948 5.2 (PNG), RFC 9649 2.4 (WebP), ISO/IEC 14496-12 4.3 (HEIC),
    ISO 32000-2 7.5.2 (PDF).
    """
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    if head.startswith(b"%PDF-"):
        return PDF
    return HEIC if head[4:8] == b"ftyp" and _hevc(head) else None


def _hevc(head: bytes) -> bool:
    major = head[8:12]
    compatible = {head[place : place + 4] for place in range(16, min(int.from_bytes(head[:4], "big"), HEAD), 4)}
    return major in STILL | MOVING or (major in EITHER and bool(compatible & (STILL | MOVING)))
