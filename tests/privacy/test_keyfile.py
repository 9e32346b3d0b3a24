"""The key file on the disk, and the tenant keys under it."""

import asyncio
import base64
import json
import os
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from kyc_service.application.keys import TenantKeyStore, WrappedTenantKey
from kyc_service.privacy.keyfile import (
    ForeignKeyFile,
    KeyFileExists,
    KeyFileExposed,
    KeyFileInvalid,
    KeyFileManager,
    KeyFileMissing,
    KeyRing,
    TenantKeysDestroyed,
)
from kyc_service.privacy.keys import Wrapped
from kyc_service.privacy.sealing import DecryptionError

SECRET = bytes(range(32))
CONTEXT = {"subject": "s", "class": "cdd"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keyring.json"


@pytest.fixture
def generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("generous_umask")
def test_a_new_key_file_is_readable_by_its_owner_alone(file: Path) -> None:
    KeyRing.create(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_loaded_ring_is_the_one_that_was_created(file: Path) -> None:
    assert KeyRing.create(file) == KeyRing.load(file)


def test_two_rings_have_nothing_in_common(tmp_path: Path) -> None:
    one, other = KeyRing.create(tmp_path / "one"), KeyRing.create(tmp_path / "other")
    secrets = [*one.roots.values(), one.index, one.signing, *other.roots.values(), other.index, other.signing]
    assert len(set(secrets)) == 6


def test_nothing_but_the_key_file_is_left_in_its_folder(file: Path) -> None:
    KeyRing.create(file)
    with pytest.raises(KeyFileExists):
        KeyRing.create(file)
    assert list(file.parent.iterdir()) == [file]


def test_a_key_file_is_never_overwritten(file: Path) -> None:
    before = KeyRing.create(file)
    with pytest.raises(KeyFileExists, match="never overwritten"):
        KeyRing.create(file)
    assert KeyRing.load(file) == before


def test_a_missing_key_file_is_a_fact_with_a_name(file: Path) -> None:
    with pytest.raises(KeyFileMissing, match="There is no key file at"):
        KeyRing.load(file)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
def test_a_key_file_that_others_can_reach_is_refused_in_one_sentence(file: Path, mode: int) -> None:
    KeyRing.create(file)
    file.chmod(mode)
    with pytest.raises(KeyFileExposed) as refused:
        KeyRing.load(file)
    assert str(refused.value) == (
        f"The key file {file} has mode {mode:04o}, so others than its owner can reach it: "
        f"run `chmod 600 {file}`, and replace its keys if others have read it."
    )


def test_an_exposed_key_file_is_not_replaced_by_a_new_one(file: Path) -> None:
    KeyRing.create(file)
    file.chmod(0o644)
    before = file.read_bytes()
    with pytest.raises(KeyFileExposed):
        KeyRing.load_or_create(file)
    assert file.read_bytes() == before


def test_a_key_file_that_only_its_owner_may_read_loads(file: Path) -> None:
    ring = KeyRing.create(file)
    file.chmod(0o400)
    assert KeyRing.load(file) == ring


def test_a_key_file_behind_a_link_loads(file: Path) -> None:
    ring = KeyRing.create(file)
    link = file.with_name("mounted")
    link.symlink_to(file)
    assert KeyRing.load(link) == ring


GOOD = base64.b64encode(SECRET).decode()
BROKEN = {
    "empty": "",
    "no JSON": "{" + GOOD,
    "no object": json.dumps([GOOD]),
    "another format": json.dumps({"format": "other/1", "roots": {"1": GOOD}, "index": GOOD, "signing": GOOD}),
    "no roots": json.dumps({"format": "kyc-keyring/1", "roots": {}, "index": GOOD, "signing": GOOD}),
    "a list of roots": json.dumps({"format": "kyc-keyring/1", "roots": [GOOD], "index": GOOD, "signing": GOOD}),
    "an unnumbered root": json.dumps(
        {"format": "kyc-keyring/1", "roots": {GOOD: GOOD}, "index": GOOD, "signing": GOOD}
    ),
    "a short key": json.dumps({"format": "kyc-keyring/1", "roots": {"1": GOOD}, "index": GOOD[:20], "signing": GOOD}),
    "no base64": json.dumps({"format": "kyc-keyring/1", "roots": {"1": GOOD}, "index": GOOD, "signing": "!" + GOOD}),
    "a number for a key": json.dumps({"format": "kyc-keyring/1", "roots": {"1": 7}, "index": GOOD, "signing": GOOD}),
    "no signing key": json.dumps({"format": "kyc-keyring/1", "roots": {"1": GOOD}, "index": GOOD}),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_key_file_is_refused_without_quoting_it(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(KeyFileInvalid, match="is not a key ring of the format") as refused:
        KeyRing.load(file)
    assert GOOD[:10] not in "".join(traceback.format_exception(refused.value))


def test_processes_that_start_at_once_agree_on_one_key_file(file: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from kyc_service.privacy.keyfile import KeyRing;"
        "sys.stdin.readline();"
        "print(KeyRing.load_or_create(Path(sys.argv[1])).signing_key('compare').hex())"
    )
    command = [sys.executable, "-c", script, str(file)]
    starters = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(8)
    ]
    for starter in starters:  # all are told to go when all are there
        assert starter.stdin
        starter.stdin.write("\n")
        starter.stdin.flush()
    answers = [starter.communicate(timeout=60)[0].strip() for starter in starters]
    assert answers == [KeyRing.load(file).signing_key("compare").hex()] * 8
    assert list(file.parent.iterdir()) == [file]


def test_each_purpose_has_a_signing_key_of_its_own(file: Path) -> None:
    ring = KeyRing.create(file)
    assert ring.signing_key("token") != ring.signing_key("cursor")
    assert ring.signing_key("token") == KeyRing.load(file).signing_key("token")


def test_each_tenant_and_purpose_has_an_index_key_of_its_own(ring: KeyRing) -> None:
    keys = {ring.index_key(tenant, purpose) for tenant in ("acme", "globex") for purpose in ("email", "phone")}
    assert len(keys) == 4


# ── tenant keys ───────────────────────────────────────────────────────────────────────


async def test_what_a_tenant_wrapped_unwraps_for_it(manager: KeyFileManager) -> None:
    wrapped = await manager.wrap("acme", SECRET, CONTEXT)
    assert await manager.unwrap("acme", wrapped, CONTEXT) == SECRET


async def test_the_order_of_a_context_does_not_matter(manager: KeyFileManager) -> None:
    wrapped = await manager.wrap("acme", SECRET, {"a": "1", "b": "2"})
    assert await manager.unwrap("acme", wrapped, {"b": "2", "a": "1"}) == SECRET


async def test_a_wrapped_key_unwraps_for_no_other_tenant(manager: KeyFileManager) -> None:
    wrapped = await manager.wrap("acme", SECRET, CONTEXT)
    with pytest.raises(DecryptionError):
        await manager.unwrap("globex", wrapped, CONTEXT)


@pytest.mark.parametrize("other", [{}, {"subject": "t", "class": "cdd"}, {"subject": "s", "class": "cdd", "x": ""}])
async def test_a_wrapped_key_unwraps_in_no_other_context(manager: KeyFileManager, other: dict[str, str]) -> None:
    wrapped = await manager.wrap("acme", SECRET, CONTEXT)
    with pytest.raises(DecryptionError):
        await manager.unwrap("acme", wrapped, other)


async def test_after_a_rotation_old_keys_unwrap_and_new_ones_are_wrapped_anew(manager: KeyFileManager) -> None:
    old = await manager.wrap("acme", SECRET, CONTEXT)
    assert await manager.rotate("acme") == 2
    new = await manager.wrap("acme", SECRET, CONTEXT)
    assert (old.version, new.version) == (1, 2)
    assert await manager.unwrap("acme", old, CONTEXT) == await manager.unwrap("acme", new, CONTEXT) == SECRET


async def test_the_first_rotation_of_an_unknown_tenant_makes_its_first_key(manager: KeyFileManager) -> None:
    assert await manager.rotate("newcomer") == 1


async def test_rewrapping_moves_a_key_to_the_newest_version(manager: KeyFileManager) -> None:
    old = await manager.wrap("acme", SECRET, CONTEXT)
    await manager.rotate("acme")
    moved = await manager.rewrap("acme", old, CONTEXT)
    assert moved.version == 2
    assert await manager.unwrap("acme", moved, CONTEXT) == SECRET


async def test_a_wrapped_key_does_not_unwrap_as_one_of_another_version(manager: KeyFileManager) -> None:
    old = await manager.wrap("acme", SECRET, CONTEXT)
    await manager.rotate("acme")
    with pytest.raises(DecryptionError):
        await manager.unwrap("acme", Wrapped(version=2, blob=old.blob), CONTEXT)


async def test_a_version_that_does_not_exist_unwraps_nothing(manager: KeyFileManager) -> None:
    wrapped = await manager.wrap("acme", SECRET, CONTEXT)
    with pytest.raises(DecryptionError, match="does not exist"):
        await manager.unwrap("acme", Wrapped(version=9, blob=wrapped.blob), CONTEXT)


async def test_a_rotation_elsewhere_is_understood_at_once_and_followed_within_a_minute(
    ring: KeyRing, manager: KeyFileManager, tenant_keys: TenantKeyStore, now: list[float]
) -> None:
    await manager.wrap("acme", SECRET, CONTEXT)
    elsewhere = KeyFileManager(ring, tenant_keys, clock=lambda: now[0])
    await elsewhere.rotate("acme")
    assert (await manager.wrap("acme", SECRET, CONTEXT)).version == 1
    now[0] += 60
    assert (await manager.wrap("acme", SECRET, CONTEXT)).version == 2

    await elsewhere.rotate("acme")
    assert await manager.unwrap("acme", await elsewhere.wrap("acme", SECRET, CONTEXT), CONTEXT) == SECRET


async def test_rewrapping_follows_a_rotation_elsewhere_at_once(
    ring: KeyRing, manager: KeyFileManager, tenant_keys: TenantKeyStore
) -> None:
    old = await manager.wrap("acme", SECRET, CONTEXT)
    await KeyFileManager(ring, tenant_keys).rotate("acme")
    assert (await manager.rewrap("acme", old, CONTEXT)).version == 2


async def test_processes_that_meet_a_new_tenant_at_once_agree_on_its_key(
    ring: KeyRing, tenant_keys: TenantKeyStore
) -> None:
    managers = [KeyFileManager(ring, tenant_keys) for _ in range(5)]
    wrapped = await asyncio.gather(*(manager.wrap("acme", SECRET, CONTEXT) for manager in managers))
    opened = [await managers[0].unwrap("acme", one, CONTEXT) for one in wrapped]
    assert opened == [SECRET] * 5


async def test_rotations_at_once_end_in_one_new_version(ring: KeyRing, tenant_keys: TenantKeyStore) -> None:
    managers = [KeyFileManager(ring, tenant_keys) for _ in range(5)]
    await managers[0].wrap("acme", SECRET, CONTEXT)
    assert await asyncio.gather(*(manager.rotate("acme") for manager in managers)) == [2] * 5


async def test_another_key_file_than_the_databases_is_told_so(
    tmp_path: Path, manager: KeyFileManager, tenant_keys: TenantKeyStore
) -> None:
    wrapped = await manager.wrap("acme", SECRET, CONTEXT)
    stranger = KeyFileManager(KeyRing.create(tmp_path / "other.json"), tenant_keys)
    with pytest.raises(ForeignKeyFile, match="wrapped under another key file"):
        await stranger.unwrap("acme", wrapped, CONTEXT)


async def test_a_second_root_takes_over_and_the_first_still_opens(
    ring: KeyRing, manager: KeyFileManager, tenant_keys: TenantKeyStore
) -> None:
    old = await manager.wrap("acme", SECRET, CONTEXT)
    grown = KeyRing(roots={**ring.roots, 2: os.urandom(32)}, index=ring.index, signing=ring.signing)
    renewed = KeyFileManager(grown, tenant_keys)
    assert await renewed.unwrap("acme", old, CONTEXT) == SECRET
    await renewed.rotate("acme")
    assert [key.root for key in await tenant_keys.versions("acme")] == [1, 2]
    assert await renewed.unwrap("acme", await renewed.rewrap("acme", old, CONTEXT), CONTEXT) == SECRET


async def test_a_tenant_key_moved_to_another_tenant_does_not_open(
    ring: KeyRing, manager: KeyFileManager, tenant_keys: TenantKeyStore
) -> None:
    await manager.wrap("acme", SECRET, CONTEXT)
    (stolen,) = await tenant_keys.versions("acme")
    await tenant_keys.add(type(stolen)(tenant="globex", version=1, root=stolen.root, wrapped=stolen.wrapped))
    with pytest.raises(ForeignKeyFile):
        await KeyFileManager(ring, tenant_keys).wrap("globex", SECRET, CONTEXT)


async def test_a_tenant_whose_keys_were_destroyed_gets_no_new_one(ring: KeyRing) -> None:
    class Emptied:
        """A store in which every version that this tenant ever had was destroyed."""

        async def versions(self, tenant: str) -> tuple[WrappedTenantKey, ...]:
            assert tenant
            return ()

        async def add(self, key: WrappedTenantKey) -> WrappedTenantKey:
            return key

    with pytest.raises(TenantKeysDestroyed):
        await KeyFileManager(ring, Emptied()).wrap("acme", SECRET, CONTEXT)


async def test_a_mac_is_stable_and_belongs_to_one_tenant_and_purpose(
    ring: KeyRing, manager: KeyFileManager, tenant_keys: TenantKeyStore
) -> None:
    first = await manager.mac("acme", "email", b"data")
    assert first == await KeyFileManager(ring, tenant_keys).mac("acme", "email", b"data")
    others = {
        await manager.mac("globex", "email", b"data"),
        await manager.mac("acme", "phone", b"data"),
        await manager.mac("acme", "email", b"other"),
    }
    assert len(others - {first}) == 3
    assert len(first) == 32
