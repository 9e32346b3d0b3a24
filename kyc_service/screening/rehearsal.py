"""What a round would change, person by person; kept in a file, so that a long rehearsal goes on after a stop."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from kyc_service.domain.record import record
from kyc_service.screening.monitoring import Changes

BEGINNING = b'{"campaign": "'  # of a line


class NotesUnreadable(Exception):
    """The file holds something else than the notes of a rehearsal."""


@record
class Difference:
    """What a round would change for one person on one list."""

    tenant: str
    application: UUID
    list: str
    changes: Changes


@record
class Rehearsal:
    """What a round would come to: with which engine and versions, for how many people, and every difference.

    `failed`: people who could not be examined by a fault that is theirs alone.
    """

    engine: str
    lists: Mapping[str, int]
    examined: int
    failed: int
    differences: tuple[Difference, ...]


class Notes:
    """What was found of whom so far, for each campaign; with a *path*, also in a file: a line a person, no names.

    Whoever could not be examined is not noted. Another engine, threshold or version of a list is another campaign, of
    which nothing is known.

    Raises:
        NotesUnreadable: there is a file, and it is another one.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known = dict(_read(path)) if path and path.exists() else {}

    def of(self, campaign: UUID, application: UUID) -> Mapping[str, Changes] | None:
        """What the campaign would change for a person, list by list; None: they were not examined."""
        return self._known.get((campaign, application))

    def note(self, campaign: UUID, application: UUID, changes: Mapping[str, Changes]) -> None:
        """Keep what the campaign would change for a person."""
        self._known[campaign, application] = changes
        if self._path:
            told = {name: asdict(change) for name, change in changes.items()}
            line = {"campaign": str(campaign), "application": str(application), "changes": told}
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")


def _read(path: Path) -> Iterator[tuple[tuple[UUID, UUID], Mapping[str, Changes]]]:
    """The lines of a file; what a kill left of a last line is cut off."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    cut = content.removeprefix(whole)
    unreadable = NotesUnreadable(f"{path} holds something else than the notes of a dry run.")
    if not BEGINNING.startswith(cut[: len(BEGINNING)]):
        raise unreadable
    try:
        for line in whole.splitlines():
            told = json.loads(line)
            changes = {name: Changes(**change) for name, change in told["changes"].items()}
            yield (UUID(told["campaign"]), UUID(told["application"])), changes
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable from error
    if cut:
        path.write_bytes(whole)
