"""Nothing that the privacy package makes, prints or raises shows a key or a person's data."""

import base64
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from kyc_service.application.keys import Owner, StoredKey, TenantKeyStore
from kyc_service.privacy.blobs import BlobStore, Opener, S3Options, Sealer, _open_header, open_blob_store
from kyc_service.privacy.keyfile import KeyFileManager, KeyRing, _TenantKeys
from kyc_service.privacy.keys import Wrapped, unwrap_secret, wrap_secret
from kyc_service.privacy.sealing import DataKey, associated_data, decipher, open_sealed, seal
from kyc_service.privacy.vault import Vault, _AtHand

SECRET = b"canary-key-never-to-be-seen-3141"
PERSON = "canary-person-never-to-be-seen"
PASSWORD = "canary-password-never-to-be-seen"
CONTEXT = b"place"
STREAM, ENTRY = uuid4(), uuid4()


def shows(text: str) -> set[str]:
    """Which of the secrets *text* shows, in any spelling that a log could have."""
    spellings = {
        "key": (SECRET.decode(), SECRET.hex(), base64.b64encode(SECRET).decode(), repr(list(SECRET))),
        "person": (PERSON,),
        "password": (PASSWORD,),
    }
    return {what for what, ways in spellings.items() if any(way in text for way in ways)}


@pytest.fixture
def key() -> DataKey:
    return DataKey(id=uuid4(), secret=SECRET)


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(roots={1: SECRET}, index=SECRET, signing=SECRET)


def test_the_canary_itself_is_seen_where_it_is_shown() -> None:
    assert shows(repr((SECRET, SECRET.hex(), PERSON, PASSWORD))) == {"key", "person", "password"}


async def test_no_object_shows_a_key_or_a_password(
    key: DataKey, ring: KeyRing, owner: Owner, vault: Vault, manager: KeyFileManager, tmp_path: Path
) -> None:
    await vault.draft(owner)
    header = Sealer(key, CONTEXT).header
    objects: list[object] = [
        key,
        ring,
        vault,
        manager,
        Sealer(key, CONTEXT),
        Opener(key, CONTEXT),
        _open_header(header, key, CONTEXT),
        _AtHand(key=key, owner=owner, until=0.0),
        _TenantKeys(secrets={1: SECRET}, newest=1, read_at=0.0),
        StoredKey(id=key.id, owner=owner, generation=1, kek_version=1, wrapped=SECRET),
        Wrapped(version=1, blob=SECRET),
        S3Options(endpoint="https://s3.example", access_key_id="id", secret_access_key=PASSWORD),
        open_blob_store(None, tmp_path / "blobs", S3Options()),
    ]
    assert {type(one).__name__: shows(f"{one!r} {one!s} {one} {[one]}") for one in objects} == {
        type(one).__name__: set() for one in objects
    }


Failure = Callable[["Scene"], Awaitable[object]]


class Scene:
    """Everything that can fail, with canaries in it."""

    def __init__(self, vault: Vault, key: DataKey, owner: Owner, ring: KeyRing, folder: Path) -> None:
        self.vault = vault
        self.key = key
        self.owner = owner
        self.ring = ring
        self.folder = folder
        self.blobs: BlobStore = open_blob_store(None, folder / "blobs", S3Options())

    async def tampered_box(self) -> object:
        return open_sealed(self.key, seal(self.key, PERSON.encode(), CONTEXT)[:-1] + b"\0", CONTEXT)

    async def short_box(self) -> object:
        return decipher(PERSON[:15].encode(), CONTEXT, bytes(12), SECRET)

    async def wrong_place(self) -> object:
        return unwrap_secret(SECRET, wrap_secret(SECRET, SECRET, b"here"), b"there")

    async def a_name_of_half_a_pair(self) -> object:
        associated_data("domain", PERSON + "\ud800")
        raise LookupError

    async def unwritable_value(self) -> object:
        return self.vault.seal(self.key, self.owner, stream=STREAM, entry=ENTRY, payload={PERSON: {PERSON}})

    async def circular_value(self) -> object:
        payload: dict[str, object] = {PERSON: PERSON}
        payload[PERSON] = payload
        return self.vault.seal(self.key, self.owner, stream=STREAM, entry=ENTRY, payload=payload)

    async def no_json_inside(self) -> object:
        key, _ = await self.vault.draft(self.owner)
        aad = associated_data(
            "kyc/event/v1", self.owner.tenant, self.owner.subject, self.owner.data_class.value, STREAM, ENTRY
        )
        box = seal(key, PERSON.encode(), aad)
        return await self.vault.open(self.owner, stream=STREAM, entry=ENTRY, box=box)

    async def unknown_key(self) -> object:
        box = self.vault.seal(self.key, self.owner, stream=STREAM, entry=ENTRY, payload={"name": PERSON})
        return await self.vault.open(self.owner, stream=STREAM, entry=ENTRY, box=box)

    async def key_of_another(self) -> object:
        _, drafted = await self.vault.draft(self.owner)
        return await self.vault.adopt(replace(drafted, owner=replace(self.owner, subject=uuid4())))

    async def broken_key_file(self) -> object:
        file = self.folder / "broken.json"
        file.write_text('{"format": "kyc-keyring/1", "roots": {"1": "' + SECRET.decode())
        file.chmod(0o600)
        return KeyRing.load(file)

    async def exposed_key_file(self) -> object:
        file = self.folder / "exposed.json"
        file.write_text(SECRET.decode())
        file.chmod(0o644)
        return KeyRing.load(file)

    async def upload_under_a_bad_path(self) -> object:
        return await self.blobs.put("t/../../" + "x" * 300, self._file(), self.key, CONTEXT)

    async def tampered_file(self) -> object:
        await self.blobs.put("t/file", self._file(), self.key, CONTEXT)
        file = self.folder / "blobs/t/file"
        file.write_bytes(file.read_bytes()[:-1])
        return [piece async for piece in self.blobs.get("t/file", self.key, CONTEXT)]

    async def _file(self) -> AsyncIterator[bytes]:
        yield PERSON.encode()


FAILURES: list[Failure] = [
    Scene.tampered_box,
    Scene.short_box,
    Scene.wrong_place,
    Scene.a_name_of_half_a_pair,
    Scene.unwritable_value,
    Scene.circular_value,
    Scene.no_json_inside,
    Scene.unknown_key,
    Scene.key_of_another,
    Scene.broken_key_file,
    Scene.exposed_key_file,
    Scene.upload_under_a_bad_path,
    Scene.tampered_file,
]


@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)
async def test_no_error_shows_a_key_or_a_person(
    vault: Vault, key: DataKey, owner: Owner, ring: KeyRing, tmp_path: Path, fail: Failure
) -> None:
    try:
        await fail(Scene(vault, key, owner, ring, tmp_path))
    except Exception as error:  # noqa: BLE001  # whatever it is, a log would hold all of this
        told = "".join(traceback.TracebackException.from_exception(error, lookup_lines=False).format())
        told += repr(error) + repr(error.args) + repr(error.__cause__) + repr(getattr(error.__cause__, "args", ()))
    else:
        pytest.fail("it did not fail")
    assert shows(told) == set()


async def test_a_key_file_of_another_installation_does_not_show_its_keys(
    ring: KeyRing, manager: KeyFileManager, tenant_keys: TenantKeyStore
) -> None:
    await manager.wrap("acme", SECRET, {})
    other = KeyFileManager(KeyRing(roots={1: bytes(32)}, index=bytes(32), signing=bytes(32)), tenant_keys)
    with pytest.raises(Exception, match="another key file") as refused:
        await other.wrap("acme", SECRET, {})
    assert shows("".join(traceback.format_exception(refused.value))) == set()
