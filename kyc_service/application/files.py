"""Uploaded documents: streamed in, recognised by their first bytes, encrypted on the way, never whole in memory."""

import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from kyc_service.application.desk import Again, AnswerErased, Caller, KeyReused
from kyc_service.application.ids import new_id
from kyc_service.application.keys import DataClass, Owner
from kyc_service.application.ports import (
    Answered,
    AnsweredBefore,
    Clock,
    FilesUnavailable,
    PersonErased,
    Remembered,
)
from kyc_service.domain import media
from kyc_service.domain.record import record

ANSWERS_ARE_KEPT = timedelta(hours=72)


class FileNotFound(Exception):
    """No file exists under this id."""


class FileTooLarge(Exception):
    """The file is larger than this service accepts."""


class FileEmpty(Exception):
    """The file has no content."""


class FileTypeUnsupported(Exception):
    """Only JPEG, PNG, WebP and HEIC pictures and PDF files are accepted."""


class FileTypeMismatch(Exception):
    """The content is not of the declared type."""


class FileInfected(Exception):
    """The scanner found malware in the file; nothing of it was kept."""


class FileNotScannable(Exception):
    """The scanner refuses to look at a file of this size, so it is not taken in."""


class FileMoved(FilesUnavailable):
    """The file got another key while it was read; whoever reads it again gets all of it."""


class ScannerUnavailable(Exception):
    """The scanner does not answer, and no file is taken in without it."""


@record
class FileRow:
    """What the database knows of a file. `sealed` holds its digest under the file's own key."""

    id: UUID
    client: str
    media_type: str
    size: int
    path: str
    sealed: bytes
    created_at: datetime
    data_class: DataClass = DataClass.DOCUMENT

    def owner(self, tenant: str) -> Owner:
        """Whose key the file is sealed under: its own, of its class."""
        return Owner(tenant=tenant, subject=self.id, data_class=self.data_class)


@record
class FileView:
    """A file as its owner sees it."""

    id: UUID
    media_type: str
    size: int
    sha256: str | None  # None: erased
    created_at: datetime


class FileStore(Protocol):
    """Keeps the rows."""

    async def add(self, tenant: str, row: FileRow, answered: Answered | None) -> None:
        """Store the row and the answer, both or neither.

        Raises:
            AnsweredBefore: the idempotency key is taken.
        """
        ...

    async def get(self, tenant: str, file_id: UUID) -> FileRow | None:
        """The row, if this tenant has it."""
        ...

    async def move(self, tenant: str, former: FileRow, now: FileRow, *, at: datetime, reason: str) -> bool:
        """Put *now* in the place of *former* and destroy the key of its former class, both or neither.

        False: the file was moved or erased meanwhile, and nothing was changed.
        """
        ...

    async def remembered(self, tenant: str, client: str, key: str, now: datetime) -> Remembered | None:
        """The answer that an upload with this idempotency key got."""
        ...

    async def release(self, tenant: str, application: UUID) -> int:
        """Give up the application's claims; how many there were."""
        ...

    async def give_up(self, tenant: str, file_id: UUID, application: UUID, *, at: datetime, reason: str) -> bool:
        """Give up one claim, and destroy the file's keys in the same commit when nobody else has one.

        False: another application still claims the file.
        """
        ...


class FileSeal(Protocol):
    """The key of one file, which lives and dies with it."""

    def seal(self, payload: Mapping[str, object]) -> bytes:
        """Seal what is known of the file."""
        ...

    def seal_answer(self, entry: UUID, body: bytes) -> bytes:
        """Seal an answer that may have to be given again."""
        ...


class FileVault(Protocol):
    """Keeps the bytes, encrypted under a key per file."""

    async def put(self, owner: Owner, chunks: AsyncIterator[bytes]) -> tuple[str, FileSeal]:
        """Store the chunks as they come; nothing stays behind when they break off. The path, and the file's key.

        Raises:
            PersonErased: the file's key of this class was destroyed.
        """
        ...

    def get(self, owner: Owner, path: str) -> AsyncIterator[bytes]:
        """The content, decrypted and verified chunk by chunk.

        Raises:
            PersonErased: the file's key was destroyed.
        """
        ...

    async def discard(self, path: str) -> None:
        """Remove the bytes; once more does no harm."""
        ...

    async def erase(self, tenant: str, file_id: UUID, path: str, *, at: datetime, reason: str) -> None:
        """Destroy the file's keys, of whatever class, then the bytes that nobody can read any more."""
        ...

    async def open(self, owner: Owner, box: bytes) -> Mapping[str, object] | None:
        """What is known of the file, or None once it was erased."""
        ...

    async def open_answer(self, owner: Owner, entry: UUID, box: bytes) -> bytes | None:
        """The answer again, or None when its key was destroyed."""
        ...

    def fingerprint(self, tenant: str, request: bytes) -> bytes:
        """What recognises a request without telling it."""
        ...


class Scanner(Protocol):
    """Looks for malware in what passes by."""

    def watch(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The same chunks, whose end is only reached when all of them together were called clean.

        Raises:
            FileInfected, FileNotScannable, ScannerUnavailable
        """
        ...


@record
class KeyedUpload:
    """An upload that may be repeated, and how its answer is written."""

    key: str
    render: Callable[[FileView], bytes]


class _Intake:
    """Watches the chunks pass: their first bytes, their number, their digest."""

    def __init__(self, media_type: str, data_class: DataClass, limit: int) -> None:
        self.media_type = media_type
        self.data_class = data_class
        self._limit = limit
        self._digest = hashlib.sha256()
        self.size = 0

    async def watch(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The same chunks, as long as they are what was announced."""
        head = b""
        async for chunk in chunks:
            self.size += len(chunk)
            if self.size > self._limit:
                raise FileTooLarge
            if len(head) < media.HEAD:
                head = (head + chunk)[: media.HEAD]
                if len(head) == media.HEAD and media.recognised(head) != self.media_type:
                    raise FileTypeMismatch
            self._digest.update(chunk)
            yield chunk
        if not self.size:
            raise FileEmpty
        if media.recognised(head) != self.media_type:
            raise FileTypeMismatch

    @property
    def sha256(self) -> str:
        """The digest of what passed."""
        return self._digest.hexdigest()


class Cabinet:
    """Takes documents in and hands them out, for the tenant they belong to."""

    def __init__(
        self, *, rows: FileStore, vault: FileVault, limit: int, clock: Clock, scanner: Scanner | None = None
    ) -> None:
        self._scanner = scanner
        self._rows = rows
        self._vault = vault
        self._limit = limit
        self._clock = clock

    @property
    def limit(self) -> int:
        """The largest accepted file, in bytes."""
        return self._limit

    async def upload(
        self,
        caller: Caller,
        declared: str,
        chunks: AsyncIterator[bytes],
        keyed: KeyedUpload | None = None,
        data_class: DataClass = DataClass.DOCUMENT,
    ) -> FileView | Again:
        """Take a file in that was *declared* to be of a media type; its key is of *data_class*.

        Raises:
            FileTypeUnsupported, FileTypeMismatch, FileTooLarge, FileEmpty, KeyReused, AnswerErased,
            FileInfected, FileNotScannable, ScannerUnavailable
        """
        if (media_type := media.media_type(declared)) is None:
            raise FileTypeUnsupported
        intake = _Intake(media_type, data_class, self._limit)
        if keyed and (before := await self._rows.remembered(caller.tenant, caller.client, keyed.key, self._clock())):
            async for _ in intake.watch(chunks):
                pass
            return await self._again(caller, intake, before)
        file_id, now = new_id(), self._clock()
        owner = Owner(tenant=caller.tenant, subject=file_id, data_class=data_class)
        async with self._watched(intake.watch(chunks)) as watched:
            path, seal = await self._vault.put(owner, watched)
        view = FileView(id=file_id, media_type=media_type, size=intake.size, sha256=intake.sha256, created_at=now)
        row = FileRow(
            id=file_id,
            client=caller.client,
            media_type=media_type,
            size=intake.size,
            path=path,
            sealed=seal.seal({"sha256": intake.sha256}),
            created_at=now,
            data_class=data_class,
        )
        try:
            await self._rows.add(caller.tenant, row, self._answered(caller, intake, view, seal, keyed))
        except AnsweredBefore:
            await self._vault.discard(path)
            return await self._raced(caller, intake, keyed)
        except BaseException:
            await self._vault.discard(path)
            raise
        return view

    @asynccontextmanager
    async def _watched(self, chunks: AsyncGenerator[bytes, None]) -> AsyncIterator[AsyncIterator[bytes]]:
        """The chunks by way of the scanner, if there is one; its connection ends with the upload, however that ends."""
        async with aclosing(chunks):
            if self._scanner is None:
                yield chunks
                return
            async with aclosing(self._scanner.watch(chunks)) as scanned:
                yield scanned

    async def view(self, tenant: str, file_id: UUID) -> FileView:
        """What is known of a file.

        Raises:
            FileNotFound: this tenant has none of that id.
        """
        row = await self._row(tenant, file_id)
        known = await self._vault.open(row.owner(tenant), row.sealed)
        if known is None and (moved := await self._row(tenant, file_id)) != row:
            known = await self._vault.open(moved.owner(tenant), moved.sealed)
        return FileView(
            id=row.id,
            media_type=row.media_type,
            size=row.size,
            sha256=str(known["sha256"]) if known else None,
            created_at=row.created_at,
        )

    async def media_type(self, tenant: str, file_id: UUID) -> str | None:
        """What kind of file it is, or None when this tenant never uploaded it."""
        row = await self._rows.get(tenant, file_id)
        return row.media_type if row else None

    async def read(self, tenant: str, file_id: UUID) -> AsyncIterator[bytes]:
        """The content, decrypted and verified chunk by chunk.

        Raises:
            FileNotFound: this tenant has none of that id.
            PersonErased: the file was erased together with whom it showed.
            FileMoved: not before some of it was read; from the beginning it can be read again.
        """
        row, begun = await self._row(tenant, file_id), False
        try:
            async for chunk in self._vault.get(row.owner(tenant), row.path):
                begun = True
                yield chunk
        except PersonErased:
            moved = await self._row(tenant, file_id)
            if moved == row:
                raise
            if begun:
                raise FileMoved from None
            async for chunk in self._vault.get(moved.owner(tenant), moved.path):
                yield chunk

    async def set_apart(self, tenant: str, file_id: UUID) -> None:
        """Make the file biometric data: sealed anew under a key of that class, its former key destroyed.

        What a file is for need not have been told when it was uploaded. Once more does no harm, nor does an erased
        file, nor one that this tenant never had.
        """
        row = await self._rows.get(tenant, file_id)
        if row is None or row.data_class is DataClass.BIOMETRIC:
            return
        apart = Owner(tenant=tenant, subject=file_id, data_class=DataClass.BIOMETRIC)
        known = await self._vault.open(row.owner(tenant), row.sealed)
        if known is None:
            return
        try:
            path, seal = await self._vault.put(apart, self._vault.get(row.owner(tenant), row.path))
        except PersonErased:
            await self._too_late(tenant, file_id, row.path)
            return
        moved = replace(row, path=path, sealed=seal.seal(known), data_class=DataClass.BIOMETRIC)
        if await self._rows.move(tenant, row, moved, at=self._clock(), reason="sealed anew as biometric data"):
            await self._vault.discard(row.path)
        else:
            await self._too_late(tenant, file_id, path)

    async def _too_late(self, tenant: str, file_id: UUID, path: str) -> None:
        """Leave no second copy of a file that somebody else moved meanwhile, and nothing of one that was erased."""
        if (await self._row(tenant, file_id)).data_class is DataClass.BIOMETRIC:
            await self._vault.discard(path)
        else:
            await self._vault.erase(tenant, file_id, path, at=self._clock(), reason="erased meanwhile")

    async def release(self, tenant: str, application: UUID) -> int:
        """Give up the claim that the application has on its files; how many there were."""
        return await self._rows.release(tenant, application)

    async def give_up(self, tenant: str, file_id: UUID, application: UUID, reason: str) -> None:
        """Give up the claim that the application has on the file; with the last claim, keys and bytes are destroyed.

        Twice does no harm, nor does a file that this tenant never had.
        """
        if await self._rows.give_up(tenant, file_id, application, at=self._clock(), reason=reason):
            await self.erase(tenant, file_id, reason)

    async def erase(self, tenant: str, file_id: UUID, reason: str) -> None:
        """Destroy the file's keys and its bytes; twice does no harm, nor does a file that this tenant never had."""
        row = await self._rows.get(tenant, file_id)
        if row is None:
            return
        await self._vault.erase(tenant, file_id, row.path, at=self._clock(), reason=reason)
        moved = await self._row(tenant, file_id)  # without keys nothing moves any more
        if moved.path != row.path:
            await self._vault.discard(moved.path)

    async def _row(self, tenant: str, file_id: UUID) -> FileRow:
        row = await self._rows.get(tenant, file_id)
        if row is None:
            raise FileNotFound
        return row

    def _request(self, caller: Caller, intake: _Intake) -> bytes:
        told = ["file", intake.media_type, intake.sha256]
        if intake.data_class is not DataClass.DOCUMENT:
            told.append(intake.data_class)
        return self._vault.fingerprint(caller.tenant, json.dumps(told).encode())

    def _answered(
        self, caller: Caller, intake: _Intake, view: FileView, seal: FileSeal, keyed: KeyedUpload | None
    ) -> Answered | None:
        if keyed is None:
            return None
        entry = new_id()
        return Answered(
            client=caller.client,
            key=keyed.key,
            fingerprint=self._request(caller, intake),
            entry=entry,
            response=seal.seal_answer(entry, keyed.render(view)),
            expires_at=view.created_at + ANSWERS_ARE_KEPT,
        )

    async def _raced(self, caller: Caller, intake: _Intake, keyed: KeyedUpload | None) -> Again:
        """The same upload came in twice at once, and the other one was faster."""
        key = keyed.key if keyed else ""
        before = await self._rows.remembered(caller.tenant, caller.client, key, self._clock())
        if before is None:
            raise AnsweredBefore
        return await self._again(caller, intake, before)

    async def _again(self, caller: Caller, intake: _Intake, before: Remembered) -> Again:
        if before.fingerprint != self._request(caller, intake):
            raise KeyReused
        owner = Owner(tenant=caller.tenant, subject=before.subject, data_class=intake.data_class)
        answer = await self._vault.open_answer(owner, before.entry, before.response)
        if answer is None:
            raise AnswerErased
        return Again(answer=answer)
