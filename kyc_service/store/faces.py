"""Sealed descriptions of faces."""

from collections.abc import Sequence
from uuid import UUID

from kyc_service.application.duplicates import Bearer, KeptFace
from kyc_service.store.database import Database

# The person's key is held while the description comes in, so that an erasure comes before it or takes it along.
KEEP = """
    with living as (
      select from keys
      where tenant = %(tenant)s and subject = %(person)s and class = 'biometric' and wrapped is not null
      limit 1
      for share
    )
    insert into face_descriptions (tenant, id, person, application, file, sealed)
    select %(tenant)s, %(id)s, %(person)s, %(application)s, %(file)s, %(sealed)s from living
    on conflict do nothing
"""
OTHERS = "select id, person, sealed from face_descriptions where tenant = %s and person <> %s"


class FaceRows:
    """Keeps the promises of `application.duplicates.FaceStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, tenant: str, bearer: Bearer, face: KeptFace) -> None:
        """Keep the description, once for each file of an application; nothing is kept of an erased person."""
        given = {
            "tenant": tenant,
            "id": face.id,
            "person": bearer.person,
            "application": bearer.application,
            "file": bearer.file,
            "sealed": face.sealed,
        }
        async with self._database.of(tenant) as connection:
            await connection.execute(KEEP, given)

    async def others(self, tenant: str, person: UUID) -> Sequence[KeptFace]:
        """The descriptions of everybody else."""
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(OTHERS, (tenant, person))
            return [KeptFace(id=row[0], person=row[1], sealed=row[2]) for row in await cursor.fetchall()]
