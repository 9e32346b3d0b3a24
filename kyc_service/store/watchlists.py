"""The versions of the lists in PostgreSQL; docs/lists.md says how a version is kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from kyc_service.application.watchlists import (
    Candidate,
    SourceFile,
    Standing,
    Version,
    VersionRefused,
    VersionStatus,
)
from kyc_service.store.database import Database

T = TypeVar("T")
BATCH = 5_000  # entries that one statement carries

COLUMNS = """
    v.source, v.number, v.status, v.digest, v.entries, v.added, v.changed, v.removed, v.problems, v.reasons,
    v.statistics, v.files, v.imported_at, v.activated_at, v.released_by, v.note
"""
STANDING = f"""
    select {COLUMNS}, w.confirmed_at
    from watchlists w join watchlist_versions v on v.source = w.source and v.number = w.active
    order by w.source
"""
VERSIONS = f"""
    select {COLUMNS}
    from watchlist_versions v
    where %(source)s::text is null or v.source = %(source)s
    order by case when %(source)s::text is null then v.imported_at end desc nulls last, v.number desc, v.source
    limit %(limit)s
"""
VERSION = f"select {COLUMNS} from watchlist_versions v where v.source = %s and v.number = %s"
# A version that never came in force counts only when it is asked for itself, on top of its parent.
DIGESTS = """
    with wanted as (
      select v.source, v.number, case when v.activated_at is null then v.parent else v.number end as base
      from watchlists w join watchlist_versions v on v.source = w.source and v.number = coalesce(%(number)s, w.active)
      where w.source = %(source)s
    ), latest as (
      select distinct on (c.entry) c.entry, c.after
      from wanted
      join watchlist_versions v on v.source = wanted.source
        and (v.number = wanted.number or (v.number <= wanted.base and v.activated_at is not null))
      join watchlist_changes c on c.source = v.source and c.number = v.number
      order by c.entry, c.number desc
    )
    select entry, after from latest where after is not null
"""
BODIES = "select digest, body from watchlist_entries where digest = any(%s)"
KNOWN = "insert into watchlists (source) values (%s) on conflict do nothing"
LOCK = "select latest, active from watchlists where source = %s for update"
ADD_BODIES = """
    insert into watchlist_entries (digest, body)
    select * from unnest(%s::bytea[], %s::bytea[])
    on conflict do nothing
"""
ADD_CHANGES = """
    insert into watchlist_changes (source, number, entry, before, after)
    select %s, %s, * from unnest(%s::text[], %s::bytea[], %s::bytea[])
"""
ADD_VERSION = """
    insert into watchlist_versions (source, number, parent, status, digest, entries, added, changed, removed, problems,
                                    shown, reasons, statistics, files, imported_at, note)
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
COUNT = "update watchlists set latest = %s where source = %s"
# The version that was in force goes first: there is never more than one, not even for a moment.
SUPERSEDE = (
    "update watchlist_versions set status = 'superseded' where source = %s and status in ('active', 'quarantined')"
)
ACTIVATE = """
    update watchlist_versions set status = 'active', activated_at = %s, released_by = %s, note = coalesce(%s, note)
    where source = %s and number = %s
"""
POINT = "update watchlists set active = %s, confirmed_at = %s where source = %s"
CONFIRM = "update watchlists set confirmed_at = %s where source = %s and active is not null"
# What never came in force and cannot any more: its counts stay, its entries go.
FORGET = """
    with gone as (
      delete from watchlist_changes c using watchlist_versions v
      where v.source = c.source and v.number = c.number and v.source = %s and v.status = 'superseded'
        and v.activated_at is null
      returning c.source, c.number, c.after
    )
    delete from watchlist_entries e using gone
    where e.digest = gone.after and not exists (
      select from watchlist_changes c
      where c.after = e.digest and not exists (select from gone g where g.source = c.source and g.number = c.number)
    )
"""
PROBLEMS = "select shown from watchlist_versions where source = %s and number = %s"


class WatchlistRows:
    """The shelf and the binder of `application.watchlists`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self) -> Sequence[Standing]:
        """What is in force, one version for each list, by the list's name."""
        async with self._database.any() as connection:
            rows = await (await connection.execute(STANDING)).fetchall()
        return [Standing(version=_version(row[:-1]), confirmed_at=row[-1]) for row in rows]

    async def versions(self, source: str | None = None, limit: int = 100) -> Sequence[Version]:
        """Every version, of one list or of all, newest first."""
        async with self._database.any() as connection:
            rows = await (await connection.execute(VERSIONS, {"source": source, "limit": limit})).fetchall()
        return [_version(row) for row in rows]

    async def digests(self, source: str, number: int | None = None) -> Mapping[str, bytes]:
        """The digest of every entry, by id."""
        async with self._database.any() as connection:
            rows = await (await connection.execute(DIGESTS, {"source": source, "number": number})).fetchall()
        return dict(rows)

    async def bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The entries with these digests."""
        found: dict[bytes, bytes] = {}
        async with self._database.any() as connection:
            for part in _batches(digests):
                found |= dict(await (await connection.execute(BODIES, (part,))).fetchall())
        return found

    async def add(self, candidate: Candidate, now: datetime) -> Version:
        """Store a version, and put it in force if it is plausible.

        Raises:
            VersionRefused: another version came in force since it was judged.
        """
        source = candidate.source
        async with self._database.system() as connection, connection.transaction():
            latest, active = await _locked(connection, source)
            if active != candidate.parent:
                raise VersionRefused(f"Another version of {source} came in force meanwhile; import it again.")
            number = latest + 1
            held = VersionStatus.QUARANTINED if candidate.status is VersionStatus.ACTIVE else candidate.status
            await connection.execute(ADD_VERSION, _row(candidate, number, held, now))
            await connection.execute(COUNT, (number, source))
            for bodies in _batches(candidate.bodies):
                await connection.execute(ADD_BODIES, ([one.digest for one in bodies], [one.body for one in bodies]))
            for changes in _batches(candidate.changes):
                await connection.execute(
                    ADD_CHANGES,
                    (
                        source,
                        number,
                        [one.id for one in changes],
                        [one.before for one in changes],
                        [one.after for one in changes],
                    ),
                )
            if candidate.status is VersionStatus.ACTIVE:
                await _activate(connection, source, number, None, None, now)
            return await _one(connection, source, number)

    async def confirm(self, source: str, now: datetime) -> None:
        """The publisher has nothing newer than the version in force."""
        async with self._database.system() as connection:
            await connection.execute(CONFIRM, (now, source))

    async def release(self, source: str, number: int, by: str, note: str, now: datetime) -> Version:
        """Put a version in force that was in quarantine, because somebody looked at it.

        Raises:
            VersionRefused: there is no such version, or it is not in quarantine.
        """
        async with self._database.system() as connection, connection.transaction():
            await _locked(connection, source)
            version = await _one(connection, source, number)
            if version.status is not VersionStatus.QUARANTINED:
                raise VersionRefused(f"Version {number} of {source} is {version.status}: there is nothing to release.")
            await _activate(connection, source, number, by, note, now)
            return await _one(connection, source, number)

    async def problems(self, source: str, number: int) -> Sequence[Mapping[str, str]]:
        """The fields of a version that could not be understood, the first hundred of them."""
        async with self._database.any() as connection:
            row = await (await connection.execute(PROBLEMS, (source, number))).fetchone()
        return row[0] if row else ()


async def _locked(connection: AsyncConnection[TupleRow], source: str) -> tuple[int, int | None]:
    """The last number given, and that of the version in force; nobody else changes the list until we commit."""
    await connection.execute(KNOWN, (source,))
    (row,) = await (await connection.execute(LOCK, (source,))).fetchall()
    return row[0], row[1]


async def _activate(
    connection: AsyncConnection[TupleRow], source: str, number: int, by: str | None, note: str | None, now: datetime
) -> None:
    await connection.execute(SUPERSEDE, (source,))
    await connection.execute(ACTIVATE, (now, by, note, source, number))
    await connection.execute(POINT, (number, now, source))
    await connection.execute(FORGET, (source,))


async def _one(connection: AsyncConnection[TupleRow], source: str, number: int) -> Version:
    row = await (await connection.execute(VERSION, (source, number))).fetchone()
    if row is None:
        raise VersionRefused(f"There is no version {number} of {source}.")
    return _version(row)


def _row(candidate: Candidate, number: int, status: VersionStatus, now: datetime) -> Sequence[object]:
    return (
        candidate.source,
        number,
        candidate.parent,
        status.value,
        candidate.digest,
        candidate.entries,
        sum(change.before is None for change in candidate.changes),
        sum(change.before is not None and change.after is not None for change in candidate.changes),
        sum(change.after is None for change in candidate.changes),
        candidate.problems,
        Jsonb(list(candidate.shown)),
        Jsonb(list(candidate.reasons)),
        Jsonb(dict(candidate.statistics)),
        Jsonb([asdict(file) for file in candidate.files]),
        now,
        candidate.note,
    )


def _version(row: Sequence[Any]) -> Version:
    (source, number, status, digest, entries, added, changed, removed, problems, reasons, statistics, files) = row[:12]
    imported_at, activated_at, released_by, note = row[12:]
    return Version(
        source=source,
        number=number,
        status=VersionStatus(status),
        digest=digest,
        entries=entries,
        added=added,
        changed=changed,
        removed=removed,
        problems=problems,
        reasons=tuple(reasons),
        statistics=statistics,
        files=tuple(SourceFile(**file) for file in files),
        imported_at=imported_at,
        activated_at=activated_at,
        released_by=released_by,
        note=note,
    )


def _batches(values: Sequence[T]) -> Iterator[list[T]]:
    for start in range(0, len(values), BATCH):
        yield list(values[start : start + BATCH])
