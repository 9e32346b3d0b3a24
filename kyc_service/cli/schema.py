"""Which revision a database is at, asked without the roles that only a migration makes."""

import psycopg

from kyc_service.domain.record import record

SERVER = "select current_setting('server_version'), current_setting('server_version_num')::integer"
REVISION = "select version_num from alembic_version"
PATIENCE = 10  # seconds


@record
class Met:
    """A database server, and the revision of our tables on it."""

    version: str
    number: int
    revision: str | None


def meet(target: str) -> Met:
    """Ask the server who it is.

    Raises:
        psycopg.OperationalError: it does not answer, or does not let us in.
    """
    with psycopg.connect(target, autocommit=True, connect_timeout=PATIENCE) as connection:
        version, number = connection.execute(SERVER).fetchone() or ("unknown", 0)
        try:
            row = connection.execute(REVISION).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
            row = None
    return Met(version=version, number=number, revision=row[0] if row else None)
