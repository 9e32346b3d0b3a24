"""A list on its way in: read, compared with what is in force, judged, and stored."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from kyc_service.application.watchlists import (
    Binder,
    Candidate,
    Replaced,
    SourceFile,
    Standing,
    Stored,
    Version,
    VersionRefused,
    VersionStatus,
)
from kyc_service.domain.record import record
from kyc_service.screening.lists import canonical, formats, plausibility
from kyc_service.screening.lists.reading import ListUnreadable, Problems

READER = 1  # raised whenever a parser understands more of the same file
ATTEMPTS = 10  # when others keep putting versions of the same list in force


@record
class Outcome:
    """What became of files that were brought: the version they made, or the one they already were."""

    version: Version
    new: bool


@record
class Read:
    """What stands in the files of a list."""

    entries: Mapping[str, Stored]
    statistics: Mapping[str, int]
    problems: int
    shown: tuple[Mapping[str, str], ...]


async def bring(
    binder: Binder, source: str, files: Sequence[tuple[Path, SourceFile]], now: datetime, *, at_least: int = 1
) -> Outcome:
    """Read the *files* of a list, and put them in force, in quarantine, or on record as refused.

    The files of the newest version are recognised, and not read again.

    Raises:
        VersionRefused: another version came in force meanwhile, each time that we tried.
    """
    described = tuple(file for _, file in files)
    newest = next(iter(await binder.versions(source, 1)), None)
    if newest and _same(newest, described):
        if newest.status is VersionStatus.ACTIVE:
            await binder.confirm(source, now)
        if newest.status is not VersionStatus.SUPERSEDED:
            return Outcome(version=newest, new=False)
    try:
        read, described = await asyncio.to_thread(_read, source, files)
    except ListUnreadable as error:
        standing = await _standing(binder, source)
        refused = _refused(source, standing, described, str(error))
        return Outcome(version=await binder.add(refused, now), new=True)
    for _ in range(ATTEMPTS):
        standing = await _standing(binder, source)
        digest = canonical.digest_of({name: one.digest for name, one in read.entries.items()})
        if standing and standing.version.digest == digest:
            await binder.confirm(source, now)
            return Outcome(version=standing.version, new=False)
        present = await binder.digests(source) if standing else {}
        candidate = _judged(source, read, digest, standing, present, described, at_least)
        try:
            return Outcome(version=await binder.add(candidate, now), new=True)
        except VersionRefused:
            continue
    raise VersionRefused(f"Other versions of {source} kept coming in force; import it again.")


async def _standing(binder: Binder, source: str) -> Standing | None:
    return next((one for one in await binder.standing() if one.version.source == source), None)


def describe(path: Path, **known: str | None) -> SourceFile:
    """A file as it stands in a version: its name, hash and size, and what the publisher said of it."""
    whole = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            whole.update(chunk)
            size += len(chunk)
    return SourceFile(role="main", name=path.name, sha256=whole.hexdigest(), size=size, **known)


def _same(version: Version, files: Sequence[SourceFile]) -> bool:
    """Whether the version was made of these files, by a reader that understood as much as ours."""
    read_by = version.statistics.get("reader", READER)
    return read_by == READER and sorted(one.sha256 for one in version.files) == sorted(one.sha256 for one in files)


def _read(source: str, files: Sequence[tuple[Path, SourceFile]]) -> tuple[Read, tuple[SourceFile, ...]]:
    known, placed = formats.arranged([path for path, _ in files])
    problems = Problems()
    counted: Counter[str] = Counter()
    found: dict[str, Stored] = {}
    repeated: Counter[str] = Counter()
    for entry in known.parse(placed, source, problems):
        counted += plausibility.count((entry,))
        if entry.id in found:  # never dropped: another one under the same id gets a number of its own
            problems.note(entry.id, "id", entry.id, "The list uses the id more than once.")
            repeated[entry.id] += 1
            entry = replace(entry, id=f"{entry.id}#{repeated[entry.id] + 1}")  # noqa: PLW2901
        one = canonical.stored(entry)
        found[one.id] = one
    roles = {path: role for role, path in placed.items()}
    described = tuple(_placed(file, roles[path]) for path, file in files)
    shown = tuple(asdict(problem) for problem in problems.shown)
    return Read(
        entries=found, statistics={**counted, "reader": READER}, problems=problems.count, shown=shown
    ), described


def _placed(file: SourceFile, role: str) -> SourceFile:
    return replace(file, role=role)


def _judged(
    source: str,
    read: Read,
    digest: str,
    standing: Standing | None,
    present: Mapping[str, bytes],
    files: tuple[SourceFile, ...],
    at_least: int,
) -> Candidate:
    changes = tuple(differences(present, {name: one.digest for name, one in read.entries.items()}))
    before = (
        plausibility.Before(statistics=standing.version.statistics, problems=standing.version.problems)
        if standing
        else None
    )
    removed = sum(change.after is None for change in changes)
    judged = plausibility.Judged(statistics=read.statistics, removed=removed, problems=read.problems)
    reasons = tuple(plausibility.doubts(judged, before, at_least=at_least))
    return Candidate(
        source=source,
        status=VersionStatus.QUARANTINED if reasons else VersionStatus.ACTIVE,
        parent=standing.version.number if standing else None,
        digest=digest,
        entries=len(read.entries),
        changes=changes,
        bodies=tuple(read.entries[change.id] for change in changes if change.after is not None),
        problems=read.problems,
        shown=read.shown,
        reasons=reasons,
        statistics=read.statistics,
        files=files,
    )


def _refused(source: str, standing: Standing | None, files: tuple[SourceFile, ...], why: str) -> Candidate:
    return Candidate(
        source=source,
        status=VersionStatus.REFUSED,
        parent=standing.version.number if standing else None,
        digest="",
        entries=0,
        changes=(),
        bodies=(),
        problems=0,
        shown=(),
        reasons=(why,),
        statistics={"reader": READER},
        files=files,
    )


def differences(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Replaced]:
    """What turns one version into another, by id. Pure."""
    return [
        Replaced(id=identity, before=before.get(identity), after=after.get(identity))
        for identity in sorted(before.keys() | after.keys())
        if before.get(identity) != after.get(identity)
    ]
