"""The same document in the hands of another person: recognised by keyed marks, which tell nothing without the key.

A mark is a keyed digest (HMAC under a key of the tenant) of what a document can be recognised by: the digest of its
file, its issuer and number, and the look of its picture. The look is cut into 32 bands, each marked by itself: a
copy that was scaled or compressed again keeps most of them, another document of the same kind few. What is found goes
to a person. A face cannot be marked so: where tenant and person agree it is kept sealed, and compared in memory.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from kyc_service.application.ports import PersonErased
from kyc_service.domain.findings import Category, Finding, Measured, Outcome, Result, Severity
from kyc_service.domain.record import record

BANDS = 32
# Measured: copies at half the size or at a JPEG quality of 20 keep 17 bands and more; other persons' documents of the
# same template, drawn in exactly the same place, share 7 at the most.
ALIKE = 12
AT_ONCE = 200  # faces opened between two looks at the database, which let others have their turn
SAME_FACE = 0.5  # cosine; measured: two persons reach 0.34, two pictures of one person at least 0.60


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


@record
class KeptFace:
    """A description of a face, sealed under its person's biometric key."""

    id: UUID
    person: UUID
    sealed: bytes


class FaceVault(Protocol):
    """Seals descriptions of faces."""

    async def seal_face(self, tenant: str, person: UUID, face: Sequence[float]) -> KeptFace:
        """The description as ciphertext under the person's own biometric key.

        Raises:
            PersonErased: that key was destroyed, or the person is erased altogether.
        """
        ...

    async def open_faces(self, tenant: str, kept: Sequence[KeptFace]) -> Sequence[Sequence[float]]:
        """The descriptions again, without those whose key was destroyed."""
        ...


class FaceStore(Protocol):
    """Keeps sealed descriptions, as long as their persons' keys live."""

    async def keep(self, tenant: str, bearer: Bearer, face: KeptFace) -> None:
        """Keep it, once for each file of an application; nothing is kept of an erased person."""
        ...

    async def others(self, tenant: str, person: UUID, after: UUID | None, limit: int) -> Sequence[KeptFace]:
        """The descriptions of everybody but *person*, by id, at most *limit* of those beyond *after*."""
        ...


class KnownFaces:
    """Compares a face with those of everybody else of its tenant, in memory; what it costs grows with their number."""

    def __init__(self, vault: FaceVault, store: FaceStore, at_once: int = AT_ONCE) -> None:
        self._vault = vault
        self._store = store
        self._at_once = at_once

    async def closest(self, tenant: str, bearer: Bearer, face: Sequence[float]) -> float | None:
        """Keep *face*; the largest cosine with another person's, -1 where there is none.

        None: the person or their biometric data was erased, so that nothing of the kind is kept or compared any more.

        It is kept before others are looked at: of two persons who come at the same moment, one is told of the other.
        """
        try:
            kept = await self._vault.seal_face(tenant, bearer.person, face)
        except PersonErased:
            return None
        await self._store.keep(tenant, bearer, kept)
        closest, after = -1.0, None
        while page := await self._store.others(tenant, bearer.person, after, self._at_once):
            known = await self._vault.open_faces(tenant, page)
            closest = max((closest, *(_cosine(face, other) for other in known)))
            after = page[-1].id
        return closest


def _cosine(face: Sequence[float], other: Sequence[float]) -> float:
    """How alike two faces are; not at all, when models of different lengths have described them."""
    return sum(a * b for a, b in zip(face, other, strict=True)) if len(face) == len(other) else -1.0


class Duplicates:
    """Compares a document with everybody else's of its tenant."""

    def __init__(self, blinder: Blinder, store: MarkStore, faces: KnownFaces) -> None:
        self._blinder = blinder
        self._store = store
        self._faces = faces

    async def look(self, tenant: str, bearer: Bearer, result: Result) -> tuple[Finding, ...]:
        """What was found of the document that *result* is about."""
        marks = tuple(
            Mark(trait=trait, digest=self._blinder.mark(tenant, trait.value, value)) for trait, value in traits(result)
        )
        shared = await self._store.compare(tenant, bearer, marks) if marks else {}
        closest = await self._faces.closest(tenant, bearer, result.face) if result.face else None
        return findings(frozenset(mark.trait for mark in marks), shared, closest)


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


def findings(
    looked_for: frozenset[Trait], shared: Mapping[Trait, int], closest: float | None = None
) -> tuple[Finding, ...]:
    """What *shared* means: a copy of the picture, of the number or of the face with another person is for a reviewer.

    *closest* is the cosine of the face that is most like this one; None: faces were not compared.
    """
    found = []
    if looked_for & {Trait.FILE, Trait.PICTURE}:
        bands = BANDS if shared.get(Trait.FILE) else shared.get(Trait.PICTURE, 0)
        measured = Measured(value=bands, threshold=ALIKE, unit=f"bands of {BANDS}")
        found.append(_finding("duplicate.picture", "DUPLICATE_IMAGE", measured, twice=bands >= ALIKE))
    if Trait.NUMBER in looked_for:
        found.append(_finding("duplicate.number", "DUPLICATE_DOCUMENT", None, twice=bool(shared.get(Trait.NUMBER))))
    if closest is None:
        found.append(not_compared("duplicate.face"))
    else:
        measured = Measured(value=round(closest, 4), threshold=SAME_FACE, unit="cosine")
        found.append(_finding("duplicate.face", "DUPLICATE_FACE", measured, twice=closest >= SAME_FACE))
    return tuple(found)


def not_compared(name: str) -> Finding:
    """Something that was not looked for."""
    return Finding(id=name, category=Category.DUPLICATE, outcome=Outcome.NOT_PERFORMED, severity=Severity.INFO)


def _finding(name: str, reason: str, measured: Measured | None, *, twice: bool) -> Finding:
    return Finding(
        id=name,
        category=Category.DUPLICATE,
        outcome=Outcome.WARN if twice else Outcome.PASS,
        severity=Severity.HIGH,
        reasons=(reason,) if twice else (),
        measured=measured,
    )
