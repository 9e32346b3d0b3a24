"""Keyed marks of documents, and who else bears them."""

from collections.abc import Mapping, Sequence

from kyc_service.application.duplicates import Bearer, Mark, Trait
from kyc_service.store.database import Database

# The person's key is held while the marks come in, so that an erasure comes before them or takes them along.
KEEP = """
    with living as (
      select from keys
      where tenant = %(tenant)s and subject = %(person)s and class = 'cdd' and wrapped is not null
      limit 1
      for share
    )
    insert into document_marks (tenant, digest, trait, person, application, file)
    select %(tenant)s, mark.digest, mark.trait, %(person)s, %(application)s, %(file)s
    from living, unnest(%(digests)s::bytea[], %(traits)s::text[]) as mark (digest, trait)
    on conflict do nothing
"""
SHARED = """
    select trait, max(marks)
    from (
      select trait, count(*) as marks
      from document_marks
      where tenant = %(tenant)s and digest = any(%(digests)s) and person <> %(person)s
      group by trait, person, file
    ) as documents
    group by trait
"""


class DocumentMarks:
    """Keeps the promises of `application.duplicates.MarkStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def compare(self, tenant: str, bearer: Bearer, marks: Sequence[Mark]) -> Mapping[Trait, int]:
        """Keep the marks, and count what others share of them; the marks are committed before anybody is counted."""
        given = {
            "tenant": tenant,
            "person": bearer.person,
            "application": bearer.application,
            "file": bearer.file,
            "digests": [mark.digest for mark in marks],
            "traits": [mark.trait.value for mark in marks],
        }
        async with self._database.of(tenant) as connection:
            await connection.execute(KEEP, given)
            cursor = await connection.execute(SHARED, given)
            return {Trait(trait): int(marks) for trait, marks in await cursor.fetchall()}
