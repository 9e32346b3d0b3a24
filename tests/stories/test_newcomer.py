"""What a newcomer does first works word for word: the demo, and the client of the README."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def kyc(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of the project, in an environment without any other setting."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KYC_")}
    return subprocess.run(
        [sys.executable, "-m", "kyc_service.cli.main", *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.timeout(180)
def test_the_demo_walks_every_application_to_its_end() -> None:
    pytest.importorskip("cv2", reason="the engine extra is not installed")
    shown = kyc("demo", "--ci")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for told in ("KYC_CREATED", "KYC_VERIFIED", "KYC_REJECTED", "KYC_ROLLBACK", "StepCompensated"):
        assert told in shown.stdout


@pytest.mark.timeout(180)
def test_the_demo_fails_when_an_application_ends_otherwise() -> None:
    """Without the standby in the route, the walk in which it helps out is rolled back."""
    pytest.importorskip("cv2", reason="the engine extra is not installed")
    shown = kyc("demo", "--ci", KYC_SANDBOX_ROUTE="simulated")
    assert shown.returncode == 1, shown.stdout + shown.stderr
    assert "ROLLED_BACK" in shown.stdout


@pytest.mark.timeout(120)
def test_the_client_of_the_seed_ends_in_verified(start: Callable[..., object], token: Callable[..., str]) -> None:
    service = start("serve", serving=True)
    client = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "client.py")],
        env={**os.environ, "KYC_API_URL": f"{service.url}/v1", "ACCESS_TOKEN": token("submitter")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert client.returncode == 0, client.stderr
    assert "status=VERIFIED" in client.stdout
    assert "KYC flow completed for application" in client.stdout


def test_two_processes_are_enough_for_production_roles(start: Callable[..., object], token: Callable[..., str]) -> None:
    """The API leaves the work to a worker elsewhere, and rings for it."""
    import time
    from uuid import uuid4

    import httpx2

    api = start("serve", "--no-worker", serving=True)
    worker = start("worker")
    bearer = {"Authorization": f"Bearer {token('submitter')}"}
    body = {
        "user_id": str(uuid4()),
        "email": "anna@example.com",
        "documents": [{"doc_type": "PASSPORT", "file_id": str(uuid4()), "issued_country": "NL"}],
    }
    made = httpx2.post(f"{api.url}/v1/kyc/applications", json=body, headers=bearer).json()
    deadline = time.monotonic() + 30
    status = None
    while status != "VERIFIED" and time.monotonic() < deadline:
        status = httpx2.get(f"{api.url}/v1/kyc/applications/{made['id']}", headers=bearer).json()["status"]
        time.sleep(0.05)
    assert status == "VERIFIED"
    assert worker.stop() == 0
