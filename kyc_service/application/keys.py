"""The keys under which personal data is sealed, as the database keeps them; `privacy` makes and uses them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from kyc_service.domain.record import record


class DataClass(StrEnum):
    """What kind of personal data a key protects; each class is forgotten at its own time."""

    CDD = "cdd"
    DOCUMENT = "document"
    BIOMETRIC = "biometric"
    CONTACT = "contact"
    DEVICE = "device"
    CASE = "case"


@record
class Owner:
    """Whose data a key protects, and which class of it."""

    tenant: str
    subject: UUID
    data_class: DataClass


@record
class StoredKey:
    """A data key as the database keeps it; without `wrapped` it is the tombstone of a destroyed one."""

    id: UUID
    owner: Owner
    generation: int
    kek_version: int
    wrapped: bytes | None
    destroyed_at: datetime | None = None

    def __repr__(self) -> str:
        state = "destroyed" if self.wrapped is None else "***"
        return f"StoredKey(id={self.id}, owner={self.owner}, generation={self.generation}, wrapped={state})"


@record
class WrappedTenantKey:
    """One version of a tenant's key, under a version of the root key."""

    tenant: str
    version: int
    root: int
    wrapped: bytes

    def __repr__(self) -> str:
        return f"WrappedTenantKey(tenant={self.tenant!r}, version={self.version}, root={self.root}, wrapped=***)"


class KeyStore(Protocol):
    """Keeps data keys and their tombstones; one living or destroyed key per owner and generation."""

    async def newest(self, owner: Owner) -> StoredKey | None:
        """The key of the highest generation, also if it was destroyed."""
        ...

    async def get(self, tenant: str, key_id: UUID) -> StoredKey | None:
        """The key or its tombstone; none if the tenant never had it."""
        ...

    async def add(self, key: StoredKey) -> StoredKey:
        """Store *key*, unless its owner and generation have one: whichever is stored then is returned."""
        ...

    async def destroy(
        self, tenant: str, subject: UUID, data_class: DataClass | None, at: datetime, reason: str
    ) -> tuple[UUID, ...]:
        """Drop the wrapped keys of a class, or of all classes, and leave tombstones; the ids of those that lived."""
        ...


class KeyBatch(Protocol):
    """Reads many keys at once, for lists."""

    async def some(self, tenant: str, ids: Collection[UUID]) -> Sequence[StoredKey]:
        """The keys or their tombstones, of those *ids* that the tenant ever had."""
        ...


class RootRetired(Exception):
    """A tenant's key was to be stored under a root key that was retired meanwhile."""


class TenantKeyStore(Protocol):
    """Keeps the wrapped versions of each tenant's key."""

    async def versions(self, tenant: str) -> tuple[WrappedTenantKey, ...]:
        """All versions, oldest first."""
        ...

    async def add(self, key: WrappedTenantKey) -> WrappedTenantKey:
        """Store *key*, unless the tenant has its version: whichever is stored then is returned."""
        ...


class RootStore(Protocol):
    """The tenant keys of every tenant, as whoever rotates the root key sees them; one rotation at a time."""

    async def wrapped(self) -> Mapping[int, int]:
        """How many living tenant keys each root key wraps."""
        ...

    async def retired(self) -> frozenset[int]:
        """The root keys under which nothing is stored any more."""
        ...

    async def under(self, roots: Collection[int]) -> Sequence[WrappedTenantKey]:
        """The living tenant keys under any of these roots, in a fixed order."""
        ...

    async def replace(self, old: WrappedTenantKey, new: WrappedTenantKey) -> None:
        """Store *new* in the place of *old*, unless that has changed meanwhile."""
        ...

    async def retire(self, roots: Collection[int]) -> bool:
        """From now on nothing can be stored under these roots; False, and no change, if anything still is."""
        ...
