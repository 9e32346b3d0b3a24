"""`kyc keys` makes a ring once, and rotates its root key under a running service, whatever interrupts it."""

import asyncio
import json
import os
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from click.testing import Result

from kyc_service.privacy.keyfile import ForeignKeyFile, KeyFileFixed, KeyFileManager, KeyRing
from kyc_service.privacy.keys import Wrapped
from kyc_service.store.database import Database
from kyc_service.store.keys import TenantKeys

Kyc = Callable[..., Result]
Typed = Callable[..., Awaitable[Result]]
SECRET = bytes(range(32))
TENANTS = ("acme", "globex", "umbrella")
UNDER = "select tenant, root from tenant_keys where tenant = any(%s) order by tenant, version"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the key ring is that development makes for itself, below the state folder of `kyc`."""
    ring = tmp_path / "state" / "keys" / "ring.json"
    KeyRing.create(ring)
    return ring


@pytest.fixture
def typed(kyc: Kyc) -> Typed:
    """The same while other things go on in the test."""
    return partial(asyncio.to_thread, kyc)


@asynccontextmanager
async def serving(dsn: str, path: Path) -> AsyncIterator[KeyFileManager]:
    """The key manager of a process that runs on the database and has read the ring."""
    database = Database(dsn, size=2)
    await database.open()
    try:
        yield KeyFileManager(
            KeyRing.load(path),
            TenantKeys(database),
            clock=lambda: time.monotonic() * 1e6,
            reload=lambda: KeyRing.load(path),
        )
    finally:
        await database.close()


async def wrapped(manager: KeyFileManager) -> dict[str, Wrapped]:
    """A secret of every tenant, as the log would hold it for years."""
    return {tenant: await manager.wrap(tenant, SECRET, {}) for tenant in TENANTS}


def roots(dsn: str) -> Sequence[tuple[str, int]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(UNDER, (list(TENANTS),)).fetchall()


def test_a_key_ring_is_made_for_its_owner_alone(kyc: Kyc, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ring.json"
    result = kyc("keys", "init", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyRing.load(path).newest_root == 1
    assert not any(secret in result.output for secret in json.loads(path.read_text())["roots"].values())


def test_a_key_ring_is_never_overwritten(kyc: Kyc, tmp_path: Path) -> None:
    path = tmp_path / "ring.json"
    kyc("keys", "init", str(path))
    before = path.read_bytes()
    result = kyc("keys", "init", str(path))
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert path.read_bytes() == before


async def test_a_rotation_changes_the_root_and_nothing_that_it_protects(typed: Typed, dsn: str, path: Path) -> None:
    before = KeyRing.load(path)
    async with serving(dsn, path) as service:
        held = await wrapped(service)
        result = await typed("keys", "rotate")
        assert result.stdout.splitlines() == ["added root key 2", "wrapped 3 tenant keys again", "retired root key 1"]
        after = KeyRing.load(path)
        assert (list(after.roots), after.index, after.signing) == ([2], before.index, before.signing)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert roots(dsn) == [(tenant, 2) for tenant in TENANTS]
        # the service read the old file when it started, and goes on; so does one that starts now
        for one in (service, KeyFileManager(after, service._store)):
            assert [await one.unwrap(tenant, held[tenant], {}) for tenant in TENANTS] == [SECRET] * 3
    assert list(path.parent.iterdir()) == [path]
    assert (await typed("keys", "status")).stdout.splitlines()[1:] == [
        "root key 1: retired, not in the key file, wraps 0 tenant keys",
        "root key 2: in use, in the key file, wraps 3 tenant keys",
    ]


async def test_a_service_with_the_old_file_in_memory_stores_nothing_new_under_the_old_root(
    typed: Typed, dsn: str, path: Path
) -> None:
    async with serving(dsn, path) as service:
        await typed("keys", "rotate")
        await service.wrap("acme", SECRET, {})
        assert roots(dsn) == [("acme", 2)]
        stale = KeyFileManager(KeyRing(roots={1: bytes(32)}, index=bytes(32), signing=bytes(32)), service._store)
        with pytest.raises(ForeignKeyFile, match="was retired"):  # it cannot read the new file, so the database refuses
            await stale.wrap("globex", SECRET, {})
    assert roots(dsn) == [("acme", 2)]


async def test_a_rotation_that_is_killed_in_the_middle_is_taken_up_and_nothing_was_lost(
    typed: Typed, dsn: str, path: Path, tmp_path: Path
) -> None:
    async with serving(dsn, path) as service:
        held = await wrapped(service)
        command = [sys.executable, "-m", "kyc_service.cli.main", "keys", "rotate"]
        environment = {**os.environ, "KYC_DB_DSN": dsn, "KYC_STATE_DIR": str(tmp_path / "state")}
        with psycopg.connect(dsn) as holding:
            holding.execute(
                "select from tenant_keys where tenant = 'globex' for update"
            )  # it gets no further than this
            rotating = await asyncio.create_subprocess_exec(*command, env=environment, cwd=tmp_path)
            deadline = time.monotonic() + 60
            while roots(dsn)[0] != ("acme", 2):
                assert rotating.returncode is None
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            assert "somebody else" in (await typed("keys", "rotate")).stderr.lower()
            rotating.send_signal(signal.SIGKILL)
            await rotating.wait()
        assert list(KeyRing.load(path).roots) == [1, 2]
        assert roots(dsn)[0] == ("acme", 2)
        assert ("umbrella", 1) in roots(dsn)
        assert [await service.unwrap(tenant, held[tenant], {}) for tenant in TENANTS] == [SECRET] * 3
        assert (await typed("keys", "status")).stdout.splitlines()[
            -1
        ] == "a rotation is unfinished: `kyc keys rotate` takes it up"

        deadline = time.monotonic() + 20
        while (
            result := await typed("keys", "rotate")
        ).exit_code:  # the server notices a moment later that nobody is there
            assert time.monotonic() < deadline, result.output
            await asyncio.sleep(0.1)
        assert result.stdout.splitlines()[0] == "a rotation was unfinished: going on with it"
        assert roots(dsn) == [(tenant, 2) for tenant in TENANTS]
        assert list(KeyRing.load(path).roots) == [2]
        assert [await service.unwrap(tenant, held[tenant], {}) for tenant in TENANTS] == [SECRET] * 3


async def test_no_root_is_retired_that_still_wraps_a_key(typed: Typed, dsn: str, path: Path) -> None:
    async with serving(dsn, path) as service:
        held = await wrapped(service)
        assert (await typed("keys", "rotate", "--only", "add")).stdout == "added root key 2\n"
        refused = await typed("keys", "rotate", "--only", "retire")
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (1, 1)
        assert list(KeyRing.load(path).roots) == [1, 2]
        assert (await typed("keys", "rotate", "--only", "rewrap")).stdout == "wrapped 3 tenant keys again\n"
        assert (await typed("keys", "rotate", "--only", "retire")).stdout == "retired root key 1\n"
        assert [await service.unwrap(tenant, held[tenant], {}) for tenant in TENANTS] == [SECRET] * 3


async def test_a_retirement_that_the_file_missed_is_finished_by_the_next_run(
    typed: Typed, dsn: str, path: Path
) -> None:
    async with serving(dsn, path) as service:
        await wrapped(service)
        await typed("keys", "rotate", "--only", "add")
        both = path.read_bytes()
        await typed("keys", "rotate")
        path.write_bytes(both)  # killed after the database knew, and before the file was replaced
        assert (await typed("keys", "rotate")).stdout.splitlines()[-1] == "retired root key 1"
        assert list(KeyRing.load(path).roots) == [2]
        assert (await typed("keys", "rotate")).stdout.splitlines()[0] == "added root key 3"


async def test_an_old_copy_of_the_key_file_rotates_nothing(typed: Typed, dsn: str, path: Path) -> None:
    old = path.read_bytes()
    async with serving(dsn, path) as service:
        await wrapped(service)
    await typed("keys", "rotate")
    path.write_bytes(old)
    told, refused = await typed("keys", "status"), await typed("keys", "rotate")
    assert (told.exit_code, refused.exit_code) == (1, 1)
    assert told.stderr == "kyc: The key file lacks root keys that wrap tenant keys: 2.\n"
    assert path.read_bytes() == old


def test_a_file_that_cannot_be_replaced_stays_as_it_is(path: Path) -> None:
    ring = KeyRing.load(path)
    with pytest.raises(KeyFileFixed, match="cannot be replaced"):
        ring.with_root(2).replace(path / "no folder")
    path.with_name("other.json").mkdir()
    with pytest.raises(KeyFileFixed, match="cannot be replaced"):
        ring.with_root(2).replace(path.with_name("other.json"))
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["other.json", "ring.json"]
    assert KeyRing.load(path) == ring
