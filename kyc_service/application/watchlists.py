"""The versions of sanctions and PEP lists, as promises: what is stored of a list, and what is in force.

Lists are public and the same for everybody, so nothing here belongs to a tenant. Who reads lists (`screening.lists`)
and who stores them (`store.watchlists`) do not know each other; both know this.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from kyc_service.domain.record import record


class VersionStatus(StrEnum):
    """What became of a version."""

    ACTIVE = "active"  # in force: this is what people are screened against
    QUARANTINED = "quarantined"  # implausible: it changes nothing until a person releases it
    SUPERSEDED = "superseded"  # a later version is in force
    REFUSED = "refused"  # the file was not the list; there is nothing that could be released


@record
class SourceFile:
    """One file that a version was read from."""

    role: str
    name: str
    sha256: str
    size: int
    etag: str | None = None
    last_modified: str | None = None


@record
class Version:
    """One version of one list. `digest` is the hash of its entries, whatever file they came from."""

    source: str
    number: int
    status: VersionStatus
    digest: str
    entries: int
    added: int
    changed: int
    removed: int
    problems: int
    reasons: tuple[str, ...]  # why it is in quarantine, or was refused
    statistics: Mapping[str, int]
    files: tuple[SourceFile, ...]
    imported_at: datetime
    activated_at: datetime | None = None
    released_by: str | None = None
    note: str | None = None


@record
class Standing:
    """The version of a list that is in force; at `confirmed_at` the publisher had nothing newer."""

    version: Version
    confirmed_at: datetime

    def age_seconds(self, now: datetime) -> float:
        """How long ago the content was last known to be current."""
        return (now - self.confirmed_at).total_seconds()


@record
class Stored:
    """An entry as it is kept: `id` names it within its list, `digest` is the SHA-256 of `body`."""

    id: str
    digest: bytes
    body: bytes


@record
class Replaced:
    """One difference between two versions: an entry is new (no `before`), gone (no `after`) or changed."""

    id: str
    before: bytes | None
    after: bytes | None


@record
class Candidate:
    """A version that was read and judged, about to be stored."""

    source: str
    status: VersionStatus
    parent: int | None  # the version in force when it was judged
    digest: str
    entries: int
    changes: tuple[Replaced, ...]  # against the parent
    bodies: tuple[Stored, ...]  # at least those of the entries that are new or changed
    problems: int
    shown: tuple[Mapping[str, str], ...]
    reasons: tuple[str, ...]
    statistics: Mapping[str, int]
    files: tuple[SourceFile, ...]
    note: str | None = None


class VersionRefused(Exception):
    """The version cannot be put in force; the message says why."""


class Shelf(Protocol):
    """Where the versions of the lists are kept."""

    async def standing(self) -> Sequence[Standing]:
        """What is in force, one version for each list, by the list's name."""
        ...

    async def versions(self, source: str | None = None, limit: int = 100) -> Sequence[Version]:
        """Every version, of one list or of all, newest first."""
        ...

    async def digests(self, source: str, number: int | None = None) -> Mapping[str, bytes]:
        """The digest of every entry, by id: of the version in force, or of one that once was or is in quarantine."""
        ...

    async def bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The entries with these digests."""
        ...


class Binder(Shelf, Protocol):
    """Who may put versions on the shelf. All of it is all or nothing, and one at a time for each list."""

    async def add(self, candidate: Candidate, now: datetime) -> Version:
        """Store a version, and put it in force if it is plausible.

        Raises:
            VersionRefused: another version came in force since it was judged.
        """
        ...

    async def confirm(self, source: str, now: datetime) -> None:
        """The publisher has nothing newer than the version in force."""
        ...

    async def release(self, source: str, number: int, by: str, note: str, now: datetime) -> Version:
        """Put a version in force that was in quarantine, because somebody looked at it.

        Raises:
            VersionRefused: there is no such version, or it is not in quarantine.
        """
        ...

    async def problems(self, source: str, number: int) -> Sequence[Mapping[str, str]]:
        """The fields of a version that could not be understood, the first hundred of them."""
        ...
