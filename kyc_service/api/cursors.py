"""Where the next page begins: a mark that only this service can make, good for one tenant and one set of filters."""

import base64
import binascii
import hmac
import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kyc_service.api.problems import Refused
from kyc_service.domain.record import record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MARK = struct.Struct(">q16s")
POSITION = struct.Struct(">q")
TAG_BYTES = 16
LONGEST = 4 * -(-(MARK.size + TAG_BYTES) // 3)


@record
class Listing:
    """The list that a cursor belongs to: a mark of another one means nothing here."""

    tenant: str
    filters: Sequence[object]

    def as_bytes(self) -> bytes:
        """The same bytes for the same list, and for no other."""
        return json.dumps([self.tenant, self.filters], separators=(",", ":"), default=str).encode()


def seal(key: bytes, listing: Listing, after: tuple[datetime, UUID]) -> str:
    """The cursor for what comes after *after*."""
    created_at, identity = after
    return _sealed(key, listing, MARK.pack((created_at - EPOCH) // timedelta(microseconds=1), identity.bytes))


def open_(key: bytes, listing: Listing, cursor: str) -> tuple[datetime, UUID]:
    """What *cursor* was made after.

    Raises:
        Refused: it was changed, or made for another tenant or other filters.
    """
    microseconds, identity = MARK.unpack(_opened(key, listing, cursor, MARK.size))
    return EPOCH + timedelta(microseconds=microseconds), UUID(bytes=identity)


def seal_position(key: bytes, listing: Listing, position: int) -> str:
    """The cursor for what comes after a *position* of the log."""
    return _sealed(key, listing, POSITION.pack(position))


def open_position(key: bytes, listing: Listing, cursor: str) -> int:
    """The position that *cursor* was made after.

    Raises:
        Refused: it was changed, or made for another tenant or another list.
    """
    position: int = POSITION.unpack(_opened(key, listing, cursor, POSITION.size))[0]
    return position


def _sealed(key: bytes, listing: Listing, mark: bytes) -> str:
    return base64.urlsafe_b64encode(mark + _tag(key, listing, mark)).rstrip(b"=").decode()


def _opened(key: bytes, listing: Listing, cursor: str, size: int) -> bytes:
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("cursor_invalid") from error
    if base64.urlsafe_b64encode(content).rstrip(b"=").decode() != cursor:  # the last letter has bits to spare
        raise Refused("cursor_invalid")
    mark, tag = content[:size], content[size:]
    if len(mark) != size or not hmac.compare_digest(tag, _tag(key, listing, mark)):
        raise Refused("cursor_invalid")
    return mark


def _tag(key: bytes, listing: Listing, mark: bytes) -> bytes:
    return hmac.digest(key, b"kyc/cursor/v1" + mark + listing.as_bytes(), "sha256")[:TAG_BYTES]
