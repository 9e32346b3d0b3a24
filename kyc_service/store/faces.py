"""Sealed descriptions of faces."""

from collections.abc import Sequence
from uuid import UUID

from kyc_service.application.duplicates import Bearer, KeptFace
from kyc_service.store.database import Database

# The person's keys are held while the description comes in, so that an erasure, of the person or of their biometric
# data, comes before it or takes it along.
KEEP = """
    with living as (
      select class from keys
      where tenant = %(tenant)s and subject = %(person)s and class in ('cdd', 'biometric') and wrapped is not null
      for share
    )
    insert into face_descriptions (tenant, id, person, application, file, sealed)
    select %(tenant)s, %(id)s, %(person)s, %(application)s, %(file)s, %(sealed)s
    where (select count(distinct class) from living) = 2
    on conflict do nothing
"""
OTHERS = """
    select id, person, sealed from face_descriptions
    where tenant = %(tenant)s and person <> %(person)s and (%(after)s::uuid is null or id > %(after)s)
    order by id
    limit %(limit)s
"""


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

    async def others(self, tenant: str, person: UUID, after: UUID | None, limit: int) -> Sequence[KeptFace]:
        """The descriptions of everybody else, by id, at most *limit* of those beyond *after*."""
        asked = {"tenant": tenant, "person": person, "after": after, "limit": limit}
        async with self._database.of(tenant) as connection:
            cursor = await connection.execute(OTHERS, asked)
            return [KeptFace(id=row[0], person=row[1], sealed=row[2]) for row in await cursor.fetchall()]
