"""A real PostgreSQL for every test: the operator's (KYC_TEST_DSN) or an embedded server of the test run's own."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from kyc_service.settings import Settings
from kyc_service.store.database import Database, migrate
from kyc_service.store.embedded import discard, join

DATA = Path(__file__).parents[1].parent / "shared" / "data"

# No test pulls the plug, so the server of the tests may keep its files in memory, where nobody waits for a disk.
MEMORY, ROOM = Path("/dev/shm"), 4 * 1024**3  # noqa: S108

# A busy machine is no failure: no example has a deadline, and nothing that makes them is called slow.
hypothesis.settings.register_profile(
    "kyc", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("kyc")

LONG = pytest.mark.skip(reason="a long test: CI runs it, or set KYC_LONG_TESTS=1")


FOR_TESTS = frozenset({"KYC_TEST_DSN", "KYC_LONG_TESTS", "KYC_PG_BIN"})


def pytest_configure() -> None:
    """Forget the settings of whoever runs the tests: a KYC_DB_DSN is theirs, and each test gives its own."""
    for name in [name for name in os.environ if name.startswith("KYC_") and name not in FOR_TESTS]:
        del os.environ[name]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: every child would be deaf to it
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long tests to CI, so that `make test` stays something that one runs often.

    The stories come first: they take long, and no core shall wait for another one's last story.
    """
    items.sort(key=lambda item: "stories" not in item.path.parts)
    if os.environ.get("CI") or os.environ.get("KYC_LONG_TESTS"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(LONG)


@pytest.fixture
def dice() -> random.Random:
    """Chance for one test; a failure prints the TEST_SEED with which it falls alike again."""
    seed = int(os.environ.get("TEST_SEED") or random.randrange(1 << 32))  # noqa: S311
    print(f"TEST_SEED={seed}")
    return random.Random(seed)  # noqa: S311


@pytest.fixture(scope="session")
def data() -> Path:
    """Pictures and lists that are not part of the project; CI has them, a user has not."""
    if not DATA.is_dir():
        pytest.skip("the test data folder is not on this machine")
    return DATA


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server, as a user who may make databases and roles."""
    if given := os.environ.get("KYC_TEST_DSN"):
        yield given
        return
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    home = Path(tempfile.mkdtemp(prefix="kyc-test-", dir=MEMORY if roomy else None))
    home.chmod(0o711)  # root's server runs as somebody else, and has to get in
    try:
        with join(home) as embedded:
            yield embedded.dsn
    finally:
        discard(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """A migrated database, which every test gets a copy of."""
    name = f"kyc_template_{uuid4().hex[:12]}"
    _run(server, sql.SQL("create database {}").format(sql.Identifier(name)))
    migrate(make_conninfo(server, dbname=name))
    yield name
    _run(server, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def dsn(server: str, template: str) -> Iterator[str]:
    """A database of the test's own, migrated and empty; as the user who made it, whom its policies do not bind."""
    name = f"kyc_test_{uuid4().hex[:12]}"
    _run(server, sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
    yield make_conninfo(server, dbname=name)
    _run(server, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """An open pool on the test's database, in the role of the service."""
    database = Database(dsn, size=20)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    """Development settings for the test's database, with quick retries and an inline worker."""
    return Settings(
        _env_file=None,
        db_dsn=dsn,
        db_pool_size=10,
        state_dir=tmp_path,
        retry_base_seconds=0.01,
        lease_seconds=5,
    )


def _run(server: str, statement: sql.Composed) -> None:
    """As the owner of the databases, who may not end the clean-up that the server itself does in one: wait for it."""
    with psycopg.connect(server, autocommit=True) as connection:
        for _ in range(100):
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                time.sleep(0.1)
            else:
                return
        connection.execute(statement)
