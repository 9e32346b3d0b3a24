"""What is known of uploaded files; their bytes are elsewhere, encrypted."""

from datetime import datetime
from uuid import UUID

from kyc_service.application.files import FileRow
from kyc_service.application.ports import Answered, AnsweredBefore, Remembered
from kyc_service.store.database import Database

ADD = """
    insert into files (tenant, id, client, media_type, size, path, sealed, created_at)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
ANSWERED = """
    insert into idempotency as known (tenant, client, key, fingerprint, subject, entry, response, expires_at)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
    on conflict (tenant, client, key) do update
      set fingerprint = excluded.fingerprint, subject = excluded.subject, entry = excluded.entry,
          response = excluded.response, expires_at = excluded.expires_at
      where known.expires_at < %s
"""
GET = "select id, client, media_type, size, path, sealed, created_at from files where tenant = %s and id = %s"
REMEMBERED = """
    select fingerprint, subject, entry, response from idempotency
    where tenant = %s and client = %s and key = %s and expires_at > %s
"""
RELEASE = "delete from file_claims where tenant = %s and application = %s"
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
            await connection.execute(
                ADD,
                (tenant, row.id, row.client, row.media_type, row.size, row.path, row.sealed, row.created_at),
                prepare=True,
            )

    async def get(self, tenant: str, file_id: UUID) -> FileRow | None:
        """The row, if this tenant has it."""
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(GET, (tenant, file_id), prepare=True)
            row = await cursor.fetchone()
        if row is None:
            return None
        identity, client, media_type, size, path, sealed, created_at = row
        return FileRow(
            id=identity,
            client=client,
            media_type=media_type,
            size=size,
            path=path,
            sealed=sealed,
            created_at=created_at,
        )

    async def remembered(self, tenant: str, client: str, key: str, now: datetime) -> Remembered | None:
        """The answer that an upload with this idempotency key got, while it is kept."""
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(REMEMBERED, (tenant, client, key, now))
            row = await cursor.fetchone()
        if row is None:
            return None
        return Remembered(fingerprint=row[0], subject=row[1], entry=row[2], response=row[3])

    async def release(self, tenant: str, application: UUID) -> int:
        """Give up the application's claims, and the marks of its documents; how many claims there were."""
        async with self._database.of(tenant) as connection, connection.transaction():
            await connection.execute(FORGET, (tenant, application))
            return (await connection.execute(RELEASE, (tenant, application))).rowcount
