"""The migrations lead up, down, and up again to the same tables."""

from collections.abc import Iterator
from importlib.resources import files as resources
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from alembic.script import ScriptDirectory
from psycopg import sql
from psycopg.conninfo import make_conninfo

from kyc_service.store.database import downgrade, head, migrate

SHAPE = """
    select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns
    where table_schema = 'public'
    union all
    select tablename, policyname, roles::text, cmd, qual from pg_policies
    union all
    select tablename, indexname, indexdef, null, null from pg_indexes where schemaname = 'public'
    union all
    select proname, prosrc, proowner::regrole::text, proacl::text, null from pg_proc
    where pronamespace = 'public'::regnamespace
    order by 1, 2, 3
"""


@pytest.fixture
def empty(server: str) -> Iterator[str]:
    """A database with nothing in it."""
    name = sql.Identifier(f"kyc_empty_{uuid4().hex[:12]}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(name))
        yield make_conninfo(server, dbname=name.as_string().strip('"'))
        # The server itself ends its own clean-up in there; by force, its owner may not.
        connection.execute(sql.SQL("drop database {}").format(name))


def shape(target: str) -> list[tuple[object, ...]]:
    with psycopg.connect(target) as connection:
        return connection.execute(SHAPE).fetchall()


def scripts() -> ScriptDirectory:
    return ScriptDirectory(str(resources("kyc_service.store") / "migrations"))


def test_up_down_and_up_again_is_the_same(empty: str) -> None:
    migrate(empty)
    before = shape(empty)
    assert len(before) > 100
    downgrade(empty, "base")
    assert {row[0] for row in shape(empty)} == {"alembic_version"}
    migrate(empty)
    assert shape(empty) == before


def test_every_step_down_can_be_taken_back(empty: str) -> None:
    migrate(empty)
    before = shape(empty)
    for script in scripts().walk_revisions():
        if script.down_revision is None:
            break
        downgrade(empty, str(script.down_revision))
        migrate(empty)
        assert shape(empty) == before, script.revision


def test_the_newest_is_known_without_alembic() -> None:
    assert head() == scripts().get_current_head()


def test_a_migration_is_named_as_its_file_and_they_are_in_order() -> None:
    steps = list(scripts().walk_revisions())
    assert [step.revision for step in steps] == sorted((Path(step.path).stem for step in steps), reverse=True)


def test_what_is_up_to_date_is_left_alone(dsn: str) -> None:
    before = shape(dsn)
    migrate(dsn)
    assert shape(dsn) == before


def test_a_database_that_does_not_answer_is_said_as_everywhere_else() -> None:
    with pytest.raises(psycopg.OperationalError):
        migrate("postgresql://nobody@127.0.0.1:1/nowhere")


def test_a_file_that_was_claimed_before_files_had_persons_is_the_first_ones(empty: str) -> None:
    migrate(empty)
    downgrade(empty, "0015_parked")
    persons, applications, files = (sorted(uuid4() for _ in range(3)) for _ in range(3))
    with psycopg.connect(empty) as connection:
        for number, (person, application, file) in enumerate(zip(persons, applications, files, strict=True)):
            connection.execute(
                "insert into applications (tenant, id, version, status, user_id, created_at, updated_at, state, hash)"
                " values ('t', %s, 1, 'PENDING', %s, now() + %s * interval '1 day', now(), '{}', '')",
                (application, person, number),
            )
            connection.execute(
                "insert into files (tenant, id, client, media_type, size, path, sealed, created_at, class)"
                " values ('t', %s, 'c', 'image/jpeg', 1, '', '', now(), 'document')",
                (file,),
            )
        for file, application in [(0, 1), (0, 0), (1, 2)]:
            values = (files[file], applications[application])
            connection.execute("insert into file_claims (tenant, file, application) values ('t', %s, %s)", values)
    migrate(empty)
    with psycopg.connect(empty) as connection:
        found = connection.execute("select person from files order by id").fetchall()
    assert found == [(persons[0],), (persons[2],), (None,)]
