"""What is known of uploaded files; their bytes are elsewhere, encrypted."""

from datetime import datetime
from uuid import UUID

from kyc_service.application.files import FileRow
from kyc_service.application.keys import DataClass
from kyc_service.application.ports import Answered, AnsweredBefore, Remembered
from kyc_service.store.database import Database

ADD = """
    insert into files (tenant, id, client, media_type, size, path, sealed, created_at, class)
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
ANSWERED = """
    insert into idempotency as known (tenant, client, key, fingerprint, subject, entry, response, expires_at)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
    on conflict (tenant, client, key) do update
      set fingerprint = excluded.fingerprint, subject = excluded.subject, entry = excluded.entry,
          response = excluded.response, expires_at = excluded.expires_at
      where known.expires_at < %s
"""
GET = """
    select id, client, media_type, size, path, sealed, created_at, class from files where tenant = %s and id = %s
"""
# The row moves with the key that opened it, or stays with it; it is locked before the key, as by whoever gives it up.
MOVE = """
    with locked as (
      select from files where tenant = %(tenant)s and id = %(id)s and path = %(left)s for update
    ),
    destroyed as (
      update keys set wrapped = null, destroyed_at = %(at)s, destroy_reason = %(reason)s
      where tenant = %(tenant)s and subject = %(id)s and class = %(former)s and wrapped is not null
        and exists (select from locked)
      returning id
    )
    update files set path = %(path)s, sealed = %(sealed)s, class = %(class)s
    from destroyed
    where files.tenant = %(tenant)s and files.id = %(id)s and files.path = %(left)s
"""
REMEMBERED = """
    select fingerprint, subject, entry, response from idempotency
    where tenant = %s and client = %s and key = %s and expires_at > %s
"""
FORGET_FACES = "delete from face_descriptions where tenant = %s and application = %s"
RELEASE = "delete from file_claims where tenant = %s and application = %s"
# Whoever claims the file at this moment is seen, or waits until it is erased: a claim locks the row as well.
LOCK = "select from files where tenant = %s and id = %s for update"
GIVE_UP = "delete from file_claims where tenant = %s and file = %s and application = %s"
DESTROY = """
    update keys set wrapped = null, destroyed_at = %(at)s, destroy_reason = %(reason)s
    where tenant = %(tenant)s and subject = %(id)s and wrapped is not null
"""
CLAIMED = "select from file_claims where tenant = %s and file = %s limit 1"
FORGET = "delete from document_marks where tenant = %s and application = %s"


class FileRows:
    """Keeps the promises of `application.files.FileStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tenant: str, row: FileRow, answered: Answered | None) -> None:
        """Store the row, together with the answer to the request that brought it."""
        async with self._database.of(tenant) as connection, connection.transaction():
            if answered:
                values = (
                    *(tenant, answered.client, answered.key, answered.fingerprint),
                    *(row.id, answered.entry, answered.response, answered.expires_at, row.created_at),
                )
                if not (await connection.execute(ANSWERED, values)).rowcount:
                    raise AnsweredBefore
            stored = (tenant, row.id, row.client, row.media_type, row.size, row.path, row.sealed, row.created_at)
            await connection.execute(ADD, (*stored, row.data_class.value), prepare=True)

    async def get(self, tenant: str, file_id: UUID) -> FileRow | None:
        """The row, if this tenant has it."""
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(GET, (tenant, file_id), prepare=True)
            row = await cursor.fetchone()
        if row is None:
            return None
        identity, client, media_type, size, path, sealed, created_at, data_class = row
        return FileRow(
            id=identity,
            client=client,
            media_type=media_type,
            size=size,
            path=path,
            sealed=sealed,
            created_at=created_at,
            data_class=DataClass(data_class),
        )

    async def move(self, tenant: str, former: FileRow, now: FileRow, *, at: datetime, reason: str) -> bool:
        """Put *now* in the place of *former* and destroy the key of its former class, both or neither."""
        given = {
            "tenant": tenant,
            "id": former.id,
            "former": former.data_class.value,
            "left": former.path,
            "class": now.data_class.value,
            "path": now.path,
            "sealed": now.sealed,
            "at": at,
            "reason": reason,
        }
        async with self._database.of(tenant) as connection:
            return bool((await connection.execute(MOVE, given)).rowcount)

    async def remembered(self, tenant: str, client: str, key: str, now: datetime) -> Remembered | None:
        """The answer that an upload with this idempotency key got, while it is kept."""
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(REMEMBERED, (tenant, client, key, now))
            row = await cursor.fetchone()
        if row is None:
            return None
        return Remembered(fingerprint=row[0], subject=row[1], entry=row[2], response=row[3])

    async def release(self, tenant: str, application: UUID) -> int:
        """Give up the application's claims, the marks of its documents and the faces; how many claims there were."""
        async with self._database.of(tenant) as connection, connection.transaction():
            await connection.execute(FORGET, (tenant, application))
            await connection.execute(FORGET_FACES, (tenant, application))
            return (await connection.execute(RELEASE, (tenant, application))).rowcount

    async def give_up(self, tenant: str, file_id: UUID, application: UUID, *, at: datetime, reason: str) -> bool:
        """Give up one claim, and destroy the file's keys in the same commit when nobody else has one."""
        async with self._database.of(tenant) as connection, connection.transaction():
            await connection.execute(LOCK, (tenant, file_id))
            await connection.execute(GIVE_UP, (tenant, file_id, application))
            if (await connection.execute(CLAIMED, (tenant, file_id))).rowcount:
                return False
            await connection.execute(DESTROY, {"tenant": tenant, "id": file_id, "at": at, "reason": reason})
            return True
