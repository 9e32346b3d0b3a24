"""The same document in the hands of another person: recognised by keyed marks, which tell nothing without the key.

A mark is a keyed digest (HMAC under a key of the tenant) of what a document can be recognised by: the digest of its
file, its issuer and number, and the look of its picture. The look is cut into 32 bands, each marked by itself: a
copy that was scaled or compressed again keeps most of them, another document of the same kind few. What is found goes
to a person.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from kyc_service.domain.findings import Category, Finding, Measured, Outcome, Result, Severity
from kyc_service.domain.record import record

BANDS = 32
# Measured: copies at half the size or at a JPEG quality of 20 keep 17 bands and more; other persons' documents of the
# same template, drawn in exactly the same place, share 7 at the most.
ALIKE = 12


class Trait(StrEnum):
    """What a document is recognised by."""

    FILE = "file"
    PICTURE = "picture"
    NUMBER = "number"


@record
class Mark:
    """One keyed digest."""

    trait: Trait
    digest: bytes


@record
class Bearer:
    """Whose document it is: the person, the application and the file."""

    person: UUID
    application: UUID
    file: UUID


class Blinder(Protocol):
    """Makes marks."""

    def mark(self, tenant: str, trait: str, value: bytes) -> bytes:
        """What is the same for the same value of one tenant, and tells nobody which value it is."""
        ...


class MarkStore(Protocol):
    """Keeps the marks, as long as the person's key and the file's live."""

    async def compare(self, tenant: str, bearer: Bearer, marks: Sequence[Mark]) -> Mapping[Trait, int]:
        """Keep *marks*; for each trait, the most of them that one document of another person has too.

        Of two persons who come at the same moment, at least one is told of the other. Nothing is kept of an erased one.
        """
        ...


class Duplicates:
    """Compares a document with everybody else's of its tenant."""

    def __init__(self, blinder: Blinder, store: MarkStore) -> None:
        self._blinder = blinder
        self._store = store

    async def look(self, tenant: str, bearer: Bearer, result: Result) -> tuple[Finding, ...]:
        """What was found of the document that *result* is about."""
        marks = tuple(
            Mark(trait=trait, digest=self._blinder.mark(tenant, trait.value, value)) for trait, value in traits(result)
        )
        shared = await self._store.compare(tenant, bearer, marks) if marks else {}
        return findings(frozenset(mark.trait for mark in marks), shared)


def traits(result: Result) -> tuple[tuple[Trait, bytes], ...]:
    """What the document of *result* can be recognised by; a number that was guessed recognises nothing."""
    read = {field.name: field for field in result.fields}
    found: list[tuple[Trait, bytes]] = [(Trait.FILE, digest.encode()) for digest in result.files[:1]]
    if result.picture:
        width = len(result.picture) // BANDS
        bands = (result.picture[place : place + width] for place in range(0, width * BANDS, width))
        found += [(Trait.PICTURE, f"{index}:{band}".encode()) for index, band in enumerate(bands)]
    number, issuer = read.get("number"), read.get("issuer")
    if number and issuer and not number.repaired and not number.alternatives:
        written = "".join(character for character in number.value.upper() if character.isalnum())
        found.append((Trait.NUMBER, f"{issuer.value}:{written}".encode()))
    return tuple(found)


def findings(looked_for: frozenset[Trait], shared: Mapping[Trait, int]) -> tuple[Finding, ...]:
    """What *shared* means: a copy of the picture, or of the number, with another person is for a reviewer."""
    found = []
    if looked_for & {Trait.FILE, Trait.PICTURE}:
        bands = BANDS if shared.get(Trait.FILE) else shared.get(Trait.PICTURE, 0)
        measured = Measured(value=bands, threshold=ALIKE, unit=f"bands of {BANDS}")
        found.append(_finding("duplicate.picture", "DUPLICATE_IMAGE", measured, twice=bands >= ALIKE))
    if Trait.NUMBER in looked_for:
        found.append(_finding("duplicate.number", "DUPLICATE_DOCUMENT", None, twice=bool(shared.get(Trait.NUMBER))))
    found.append(
        Finding(id="duplicate.face", category=Category.DUPLICATE, outcome=Outcome.NOT_PERFORMED, severity=Severity.INFO)
    )
    return tuple(found)


def _finding(name: str, reason: str, measured: Measured | None, *, twice: bool) -> Finding:
    return Finding(
        id=name,
        category=Category.DUPLICATE,
        outcome=Outcome.WARN if twice else Outcome.PASS,
        severity=Severity.HIGH,
        reasons=(reason,) if twice else (),
        measured=measured,
    )
