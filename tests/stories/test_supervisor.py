"""The supervisor of the embedded database is killed under a service that runs, and the service goes on by itself."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.settings import Settings
from kyc_service.store.embedded import discard
from kyc_service.vendors.simulated import Magic, magic_file_id

pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds the supervisor through /proc")
APPLICATIONS = "/v1/kyc/applications"


@pytest.fixture
def home() -> Iterator[Path]:
    """A state folder of the story's own."""
    home = Path(tempfile.mkdtemp(prefix="kyc-story-"))
    yield home
    discard(home)
    shutil.rmtree(home, ignore_errors=True)


def supervisor_of(home: Path) -> int:
    """The process that watches over the server of *home*."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any("pg_supervisor.py" in word for word in words) and f"--folder={home / 'pg'}" in words:
            return int(entry.name)
    raise AssertionError("there is no supervisor")


def verified(http: httpx2.Client, key: str) -> tuple[dict[str, Any], int]:
    """Submit until it is accepted, as the documents tell every client to; the application, and how many tries."""
    passport = {"doc_type": "PASSPORT", "file_id": str(magic_file_id(Magic.VERIFIED)), "issued_country": "NL"}
    body = {"user_id": str(uuid4()), "email": f"{key}@example.com", "documents": [passport]}
    deadline, tries = time.monotonic() + 60, 0
    while True:
        tries += 1
        answer = http.post(APPLICATIONS, json=body, headers={"Idempotency-Key": key})
        if answer.status_code == 201:
            break
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < deadline
        time.sleep(0.1)
    where = answer.headers["location"]
    while (shown := http.get(where, headers={"Prefer": "wait=20"})).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found: dict[str, Any] = shown.json()
    return found, tries


def test_a_service_gets_its_embedded_database_back_by_itself(start: Callable[..., Any], home: Path) -> None:
    service = start("serve", serving=True, KYC_DB_DSN=None, KYC_STATE_DIR=str(home))
    token = DevelopmentIssuer(Settings(_env_file=None, state_dir=home)).issue(
        "sandbox", ("submitter", "reader"), "tester", "backend", timedelta(hours=1)
    )
    with httpx2.Client(base_url=service.url, timeout=30, headers={"Authorization": f"Bearer {token}"}) as http:
        before, _ = verified(http, "before")
        for attempt in ("first", "second"):
            os.kill(supervisor_of(home), signal.SIGKILL)
            after, _ = verified(http, attempt)
            assert after["status"] == "VERIFIED"
        assert http.get(f"{APPLICATIONS}/{before['id']}").json() == before
        # no broken connection is left in the pool for later requests to stumble over
        assert {http.get(f"{APPLICATIONS}/{before['id']}").status_code for _ in range(40)} == {200}
        assert http.get("/readyz").status_code == 200
    assert service.stop() == 0
