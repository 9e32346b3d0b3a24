"""Personal data and documents behind the ports of the application: every person and every file has a key of its own."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from kyc_service.application.duplicates import KeptFace
from kyc_service.application.ids import new_id
from kyc_service.application.keys import DataClass, KeyBatch, KeyStore, Owner, StoredKey
from kyc_service.application.ports import PersonErased
from kyc_service.domain.application import Sealed
from kyc_service.privacy.blobs import BlobMissing, BlobStore, blob_context, blob_path
from kyc_service.privacy.sealing import DataKey, key_id_of
from kyc_service.privacy.vault import Erased, SubjectErased, Vault


class UnlockedKey:
    """A key at hand, and whether it is to be stored with what is sealed under it."""

    def __init__(self, vault: Vault, owner: Owner, key: DataKey, new: StoredKey | None) -> None:
        self._vault = vault
        self._owner = owner
        self._key = key
        self.new = new

    def seal(self, stream: UUID, payload: Mapping[str, object]) -> Sealed:
        """Seal *payload* for a new event of the stream."""
        entry = new_id()
        box = self._vault.seal(self._key, self._owner, stream=stream, entry=entry, payload=payload)
        return Sealed(entry=entry, box=box)

    def seal_answer(self, entry: UUID, body: bytes) -> bytes:
        """Seal an answer that may have to be given again."""
        return self._vault.seal_response(self._key, self._owner, body, entry)


class People:
    """Keeps the promises of `application.ports.DeskVault`."""

    def __init__(self, vault: Vault, batch: KeyBatch) -> None:
        self._vault = vault
        self._batch = batch

    async def unlock(self, tenant: str, subject: UUID, known: StoredKey | None) -> UnlockedKey:
        """The key in the row *known*, or a new one."""
        owner = _person(tenant, subject)
        if known is None:
            key, new = await self._vault.draft(owner)
            return UnlockedKey(self._vault, owner, key, new)
        adopted = await self._vault.adopt(known)
        if isinstance(adopted, Erased):
            raise PersonErased
        return UnlockedKey(self._vault, owner, adopted, None)

    async def seal(self, tenant: str, subject: UUID, stream: UUID, payload: Mapping[str, object]) -> Sealed:
        """Seal *payload* for a new event of the stream, under the person's present key."""
        owner = _person(tenant, subject)
        try:
            key = await self._vault.key_for(owner)
        except SubjectErased as error:
            raise PersonErased from error
        return UnlockedKey(self._vault, owner, key, None).seal(stream, payload)

    async def open(self, tenant: str, subject: UUID, stream: UUID, sealed: Sealed) -> Mapping[str, object] | None:
        """The personal data, or None when the person was erased."""
        opened = await self._vault.open(_person(tenant, subject), stream=stream, entry=sealed.entry, box=sealed.box)
        return None if isinstance(opened, Erased) else opened

    async def open_answer(self, tenant: str, subject: UUID, entry: UUID, box: bytes) -> bytes | None:
        """The answer again, or None when the person was erased."""
        opened = await self._vault.open_response(_person(tenant, subject), box, entry)
        return None if isinstance(opened, Erased) else opened

    async def prefetch(self, tenant: str, sealed: Sequence[Sealed]) -> None:
        """Have the keys of all of them at hand, with one look at the store."""
        wanted = {key_id_of(one.box) for one in sealed}
        if len(wanted) > 1:
            for stored in await self._batch.some(tenant, wanted):
                await self._vault.adopt(stored)

    async def seal_face(self, tenant: str, person: UUID, face: Sequence[float]) -> KeptFace:
        """The description of a face as ciphertext under the person's own biometric key.

        Raises:
            PersonErased: that key was destroyed, or the person is erased altogether.
        """
        owner, entry = _biometric(tenant, person), new_id()
        if isinstance(await self._vault.key_held(_person(tenant, person)), Erased):
            raise PersonErased  # who never had a biometric key would be given one now
        try:
            key = await self._vault.key_for(owner)
        except SubjectErased as error:
            raise PersonErased from error
        payload = {"face": [round(number, 4) for number in face]}
        return KeptFace(
            id=entry,
            person=person,
            sealed=self._vault.seal(key, owner, stream=person, entry=entry, payload=payload),
        )

    async def open_faces(self, tenant: str, kept: Sequence[KeptFace]) -> Sequence[Sequence[float]]:
        """The descriptions again, without those whose key was destroyed."""
        for stored in await self._batch.some(tenant, {key_id_of(one.sealed) for one in kept}):
            await self._vault.adopt(stored)
        faces: list[Sequence[float]] = []
        for one in kept:
            owner = _biometric(tenant, one.person)
            opened = await self._vault.open(owner, stream=one.person, entry=one.id, box=one.sealed)
            if not isinstance(opened, Erased) and isinstance(face := opened["face"], list):
                faces.append(face)
        return faces

    def index(self, tenant: str, email: str) -> bytes:
        """What finds an address without telling it."""
        return self._vault.email_index(tenant, email)

    def fingerprint(self, tenant: str, request: bytes) -> bytes:
        """What recognises a request without telling it."""
        return self._vault.fingerprint(tenant, request)

    def pseudonym(self, tenant: str, name: str) -> str:
        """What stands for a caller in the log without telling who it is."""
        return self._vault.pseudonym(tenant, name)


class DocumentVault:
    """Keeps the promises of `application.files.FileVault`: a key per file, so that each can be forgotten by itself."""

    def __init__(self, vault: Vault, keys: KeyStore, blobs: BlobStore) -> None:
        self._vault = vault
        self._keys = keys
        self._blobs = blobs

    async def put(self, owner: Owner, chunks: AsyncIterator[bytes]) -> tuple[str, "FileKey"]:
        """Store the chunks as they come; nothing stays behind when they break off.

        The key is stored before the bytes, so that no stored byte is ever without its key.

        Raises:
            PersonErased: the file's key of this class was destroyed.
        """
        _, drafted = await self._vault.draft(owner)
        key = await self._vault.adopt(await self._keys.add(drafted))
        if isinstance(key, Erased):
            raise PersonErased
        path = blob_path(owner.tenant, uuid4())
        await self._blobs.put(path, chunks, key, blob_context(owner, owner.subject))
        return path, FileKey(self._vault, owner, key)

    async def get(self, owner: Owner, path: str) -> AsyncIterator[bytes]:
        """The content, decrypted and verified chunk by chunk.

        Raises:
            PersonErased: the file's key was destroyed.
        """
        key = await self._vault.key_held(owner)
        if isinstance(key, Erased):
            raise PersonErased
        try:
            async for chunk in self._blobs.get(path, key, blob_context(owner, owner.subject)):
                yield chunk
        except BlobMissing:
            if isinstance(await self._vault.key_held(owner), Erased):  # between the look at the key and at the bytes
                raise PersonErased from None
            raise

    async def discard(self, path: str) -> None:
        """Remove the bytes; once more does no harm."""
        await self._blobs.delete(path)

    async def erase(self, tenant: str, file_id: UUID, path: str, *, at: datetime, reason: str) -> None:
        """Destroy the file's keys, of whatever class, then the bytes that nobody can read any more."""
        await self._keys.destroy(tenant, file_id, None, at, reason)
        self._vault.forget(tenant, file_id)
        await self._blobs.delete(path)

    async def open(self, owner: Owner, box: bytes) -> Mapping[str, object] | None:
        """What is known of the file, or None once it was erased."""
        opened = await self._vault.open(owner, stream=owner.subject, entry=owner.subject, box=box)
        return None if isinstance(opened, Erased) else opened

    async def open_answer(self, owner: Owner, entry: UUID, box: bytes) -> bytes | None:
        """The answer again, or None when its key was destroyed."""
        opened = await self._vault.open_response(owner, box, entry)
        return None if isinstance(opened, Erased) else opened

    def fingerprint(self, tenant: str, request: bytes) -> bytes:
        """What recognises a request without telling it."""
        return self._vault.fingerprint(tenant, request)


class FileKey:
    """The key of one file."""

    def __init__(self, vault: Vault, owner: Owner, key: DataKey) -> None:
        self._vault = vault
        self._owner = owner
        self._key = key

    def seal(self, payload: Mapping[str, object]) -> bytes:
        """Seal what is known of the file."""
        subject = self._owner.subject
        return self._vault.seal(self._key, self._owner, stream=subject, entry=subject, payload=payload)

    def seal_answer(self, entry: UUID, body: bytes) -> bytes:
        """Seal an answer that may have to be given again."""
        return self._vault.seal_response(self._key, self._owner, body, entry)


def _biometric(tenant: str, subject: UUID) -> Owner:
    return Owner(tenant=tenant, subject=subject, data_class=DataClass.BIOMETRIC)


def _person(tenant: str, subject: UUID) -> Owner:
    return Owner(tenant=tenant, subject=subject, data_class=DataClass.CDD)
