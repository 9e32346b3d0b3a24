"""What people are screened against: the lists in force, the entries on them, and how they change.

    lists = Watchlists(shelf, folder, wanted=("us_ofac_sdn",), max_age=timedelta(hours=72))
    in_force = await lists.in_force()           # which versions, and the edition that they are together
    entries = await lists.entries(in_force)     # all of them; read from a file that the processes of a machine share
    changes = await lists.changes("us_ofac_sdn", since=3, until=4)

An edition is the name of everything that is in force together: the hash of the lists' content hashes. Whoever keeps
an index keeps it for an edition, and asks `in_force` (one small query) whether there is another one.
"""

import asyncio
import os
import tempfile
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

from kyc_service.application.watchlists import Shelf, Standing, Version
from kyc_service.domain.record import record
from kyc_service.screening.entries import Entry
from kyc_service.screening.lists import plain_jsonl
from kyc_service.screening.lists.canonical import decode, digest_of, edition_of, facts, stored
from kyc_service.screening.lists.reading import Problems

SAMPLE = "sample"
SAMPLE_WARNING = (
    "SCREENING RUNS ON THE SAMPLE LIST: a few public entries and invented names, fit for a demonstration and no more."
    " Set KYC_WATCHLISTS and run `kyc lists sync`."
)
KEPT = 3  # files of earlier editions, for processes that have not yet changed over
LEVEL = 1  # of compression: the files are read often


class NoListInForce(Exception):
    """No sanctions list is in force: run `kyc lists sync` or `kyc lists import`."""


class EditionGone(Exception):
    """The lists changed while they were read; read them again."""


@record
class ListInForce:
    """The version of one list that people are screened against, and how old its content is."""

    source: str
    version: int
    digest: str
    entries: int
    imported_at: datetime
    confirmed_at: datetime

    def age(self, now: datetime) -> timedelta:
        """Since when it is not known whether the publisher has something newer."""
        return now - self.confirmed_at


@record
class InForce:
    """Everything that people are screened against. `edition` changes when, and only when, an entry of any list does."""

    edition: str
    lists: tuple[ListInForce, ...]

    @property
    def sample(self) -> bool:
        """Whether it is only the sample list."""
        return [one.source for one in self.lists] == [SAMPLE]

    def named(self) -> tuple[str, ...]:
        """The lists with their versions, as a decision records them: `us_ofac_sdn@12`."""
        return tuple(f"{one.source}@{one.version}" for one in self.lists)


@record
class Changed:
    """An entry that two versions of a list write differently. `matters`: also in something that is matched."""

    before: Entry
    after: Entry
    matters: bool


@record
class Changes:
    """What became different from one version of a list to another."""

    added: tuple[Entry, ...]
    changed: tuple[Changed, ...]
    removed: tuple[Entry, ...]

    def to_screen(self) -> tuple[Entry, ...]:
        """The entries that everybody has to be screened against again."""
        return (*self.added, *(one.after for one in self.changed if one.matters))


class Watchlists:
    """The reading side of the lists. Safe to share within a process; several processes may share the *folder*.

    `wanted`: the lists that have to be in force. `sample`: whether the sample list may stand in when there is none;
    never in production.
    """

    def __init__(
        self, shelf: Shelf, folder: Path, *, wanted: Sequence[str], max_age: timedelta, sample: bool = False
    ) -> None:
        self._shelf = shelf
        self._folder = folder
        self.wanted = tuple(wanted)
        self._max_age = max_age
        self._sample = sample

    async def in_force(self) -> InForce:
        """The lists in force.

        Raises:
            NoListInForce: there is none, and the sample list may not stand in.
        """
        standing = await self._shelf.standing()
        if standing:
            return _together([_list_in_force(one) for one in standing])
        if self._sample and not self.wanted:
            return _together([_sample_in_force()])
        raise NoListInForce

    async def faults(self, now: datetime) -> tuple[str, ...]:
        """Why nobody may be cleared by the lists at the moment, one sentence each; nothing when they are in order.

        A wanted list is missing, or it is older than `max_age`, or no list is in force at all. Lists that were imported
        without being wanted have to be young enough too.
        """
        try:
            lists = (await self.in_force()).lists
        except NoListInForce as error:
            return (error.__doc__ or "",)
        there = {one.source for one in lists}
        missing = [
            f"The list {name} is not in force: run `kyc lists sync`." for name in self.wanted if name not in there
        ]
        stale = [
            f"The list {one.source} was last confirmed {int(one.age(now).total_seconds() // 3600)} hours ago."
            for one in lists
            if one.source != SAMPLE and one.age(now) > self._max_age
        ]
        return (*missing, *stale)

    async def entries(self, in_force: InForce) -> list[Entry]:
        """Every entry of the lists in force, in a stable order.

        Raises:
            EditionGone: another edition came in force, and this one is on no file.
        """
        if in_force.sample:
            return sample_entries()
        path = self.path(in_force.edition, "entries")
        if (known := await asyncio.to_thread(_read, path)) is not None:
            return known
        bodies: list[bytes] = []
        for one in in_force.lists:
            digests = await self._shelf.digests(one.source, one.version)
            if digest_of(digests) != one.digest:
                raise EditionGone
            found = await self._shelf.bodies(list(digests.values()))
            bodies += (found[digests[identity]] for identity in sorted(digests))
        await asyncio.to_thread(self._keep, path, bodies)
        return [decode(body) for body in bodies]

    def path(self, edition: str, what: str) -> Path:
        """Where the processes of this machine keep something of an edition, such as its index."""
        return self._folder / f"{edition[:32]}.{what}"

    async def changes(self, source: str, since: int | None, until: int | None = None) -> Changes:
        """How the list changed from version *since* (None: from nothing) to *until* (None: the one in force).

        A version in quarantine can be asked for too: that is what a person looks at before releasing it.
        """
        before = await self._shelf.digests(source, since) if since is not None else {}
        after = await self._shelf.digests(source, until)
        differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        wanted = {digest for name in differing for digest in (before.get(name), after.get(name)) if digest}
        bodies = await self._shelf.bodies(sorted(wanted))
        was = {name: decode(bodies[before[name]]) for name in differing if name in before}
        now = {name: decode(bodies[after[name]]) for name in differing if name in after}
        return Changes(
            added=tuple(now[name] for name in differing if name not in was),
            changed=tuple(
                Changed(before=was[name], after=now[name], matters=facts(was[name]) != facts(now[name]))
                for name in differing
                if name in was and name in now
            ),
            removed=tuple(was[name] for name in differing if name not in now),
        )

    async def versions(self, source: str | None = None, limit: int = 100) -> Sequence[Version]:
        """Every version, newest first."""
        return await self._shelf.versions(source, limit)

    def _keep(self, path: Path, bodies: Sequence[bytes]) -> None:
        """Write the file of an edition whole or not at all, and forget the oldest ones."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = zlib.compress(b"\n".join(bodies), LEVEL)
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".entries-")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(zlib.crc32(content).to_bytes(4, "big") + content)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        kept = sorted(self._folder.glob(f"*{path.suffix}"), key=lambda one: one.stat().st_mtime, reverse=True)
        for old in kept[KEPT:]:
            old.unlink(missing_ok=True)


def sample_entries() -> list[Entry]:
    """The sample list: a few public entries and invented names, each marked as such in its remarks."""
    text = (files("kyc_service.screening.lists") / "sample.jsonl").read_text(encoding="utf-8")
    problems = Problems()
    return [plain_jsonl.read(line, number, SAMPLE, problems) for number, line in enumerate(text.splitlines(), 1)]


def _sample_in_force() -> ListInForce:
    entries = [stored(entry) for entry in sample_entries()]
    shipped = datetime.fromisoformat("2024-05-03T00:00:00+00:00")  # the day of the public entries
    return ListInForce(
        source=SAMPLE,
        version=1,
        digest=digest_of({one.id: one.digest for one in entries}),
        entries=len(entries),
        imported_at=shipped,
        confirmed_at=shipped,
    )


def _list_in_force(standing: Standing) -> ListInForce:
    version = standing.version
    return ListInForce(
        source=version.source,
        version=version.number,
        digest=version.digest,
        entries=version.entries,
        imported_at=version.imported_at,
        confirmed_at=standing.confirmed_at,
    )


def _together(lists: Sequence[ListInForce]) -> InForce:
    return InForce(edition=edition_of((one.source, one.digest) for one in lists), lists=tuple(lists))


def _read(path: Path) -> list[Entry] | None:
    """The entries on a file, or None when it is not there or not whole."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if zlib.crc32(content[4:]).to_bytes(4, "big") != content[:4]:
        return None
    return [decode(body) for body in zlib.decompress(content[4:]).split(b"\n") if body]
