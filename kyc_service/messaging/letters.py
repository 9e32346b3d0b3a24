"""A command as a message, whatever brought it, and the answer to it: what every consumer and the mailbox agree upon."""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import TypeAlias

from kyc_service.domain.record import record


@record
class Letter:
    """One message as it came in. `authorization` is what an HTTP request would carry under that name."""

    body: bytes
    media_type: str
    authorization: str | None

    def __repr__(self) -> str:
        return "Letter(***)"


class Fate(StrEnum):
    """What becomes of a message after it was answered."""

    DONE = "done"  # carried out, or carried out before
    REFUSED = "refused"  # the sender's business: they are told, and if they gave no address it is parked
    UNREADABLE = "unreadable"  # no command at all, and never will be: parked
    FAILED = "failed"  # perhaps the next attempt succeeds; parked after so many
    UNAVAILABLE = "unavailable"  # nothing is wrong with the message: it waits for whatever is out of order


@record
class Answer:
    """What the sender is told, and what becomes of the message; `reason` is the code of the problem."""

    fate: Fate
    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str]
    reason: str | None = None

    def __repr__(self) -> str:
        return f"Answer({self.fate}, {self.status}, ***)"


Carrier: TypeAlias = Callable[[Letter], Awaitable[Answer]]
