"""A new root key in the place of the old one, while the service runs and whatever interrupts it.

There are three steps, and each finds out by itself what is left to do, so that the next run takes up one that was
killed: the new root key is *added* to the key file; every tenant key is *rewrapped* under it; and the old root keys are
*retired*, in the database first, which from then on refuses what is wrapped under them, and in the file last.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from kyc_service.application.keys import RootStore
from kyc_service.domain.record import record
from kyc_service.privacy.keyfile import ForeignKeyFile, KeyRing
from kyc_service.privacy.sealing import PrivacyError


class RootInUse(PrivacyError):
    """A root key still wraps tenant keys, so it cannot be retired."""


@record
class Roots:
    """Which root keys there are, in the key file and in the database."""

    in_file: tuple[int, ...]
    wrapped: Mapping[int, int]  # root key → how many living tenant keys it wraps
    retired: frozenset[int]

    @property
    def newest(self) -> int:
        """The root key that new tenant keys go under."""
        return max(self.in_file)

    @property
    def missing(self) -> tuple[int, ...]:
        """Root keys that wrap something and are not in the file: that data cannot be read."""
        return tuple(sorted(set(self.wrapped) - set(self.in_file)))

    @property
    def unfinished(self) -> bool:
        """Whether a rotation has begun and not ended."""
        return len(self.in_file) > 1


class Rotation:
    """Rotates the root key of the key file at *path*."""

    def __init__(self, path: Path, store: RootStore) -> None:
        self._path = path
        self._store = store

    async def look(self) -> Roots:
        """How things stand."""
        ring = await self._ring()
        return Roots(
            in_file=tuple(sorted(ring.roots)),
            wrapped=await self._store.wrapped(),
            retired=await self._store.retired(),
        )

    async def add(self) -> int | None:
        """Add a root key to the file; None, and no change, while a rotation is unfinished.

        Raises:
            ForeignKeyFile: the file lacks a root key that the database needs, so it is the wrong file, or an old one.
            KeyFileFixed: the file cannot be replaced.
        """
        found = await self.look()
        if found.missing:
            raise ForeignKeyFile(f"The key file lacks the root keys {_listed(found.missing)}, which wrap tenant keys.")
        if found.unfinished:
            return None
        version = max(*found.in_file, *found.wrapped, *found.retired, 0) + 1
        grown = (await self._ring()).with_root(version)
        await asyncio.to_thread(grown.replace, self._path)
        return version

    async def rewrap(self) -> int:
        """Wrap every tenant key of an older root key again under the newest; how many there were."""
        ring = await self._ring()
        left = await self._store.under(set(ring.roots) - {ring.newest_root})
        for key in left:
            await self._store.replace(key, ring.rewrapped(key))
        return len(left)

    async def retire(self) -> tuple[int, ...]:
        """Remove every root key but the newest; which ones.

        Raises:
            RootInUse: one of them still wraps a tenant key; nothing was removed.
        """
        ring = await self._ring()
        old = tuple(sorted(set(ring.roots) - {ring.newest_root}))
        if not old:
            return ()
        if not await self._store.retire(old):
            raise RootInUse(f"One of the root keys {_listed(old)} still wraps tenant keys; rewrap them first.")
        await asyncio.to_thread(ring.without_roots(old).replace, self._path)
        return old

    async def _ring(self) -> KeyRing:
        return await asyncio.to_thread(KeyRing.load, self._path)


def _listed(versions: tuple[int, ...]) -> str:
    return ", ".join(str(version) for version in versions)
