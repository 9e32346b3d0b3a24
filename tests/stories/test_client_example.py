"""The published client example runs to the letter, against a service that needs no setting."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from kyc_service.store.embedded import discard

EXAMPLE = Path(__file__).parents[2] / "examples" / "client.py"
PUBLISHED = "d63efc003b07275d8e8d8d059fc8c886c747cfe6757aaee757bb61625dfef5f7"
KYC = (sys.executable, "-m", "kyc_service.cli.main")


def test_the_example_is_the_published_one_to_the_letter() -> None:
    assert hashlib.sha256(EXAMPLE.read_bytes()).hexdigest() == PUBLISHED


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """A newcomer's environment: no setting, but for a folder that is thrown away."""
    home = Path(tempfile.mkdtemp(prefix="kyc-example-"))
    ours = {name: value for name, value in os.environ.items() if not name.startswith("KYC_")}
    yield {**ours, "KYC_STATE_DIR": str(home)}
    discard(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def url(environment: dict[str, str]) -> Iterator[str]:
    """Where `make run` serves: everything embedded, on a free port."""
    home = environment["KYC_STATE_DIR"]
    with Path(home, "log").open("wb") as log:
        process = subprocess.Popen([*KYC, "serve", "--port", "0"], env=environment, cwd=home, stdout=log, stderr=log)
    try:
        yield _served(process, Path(home, "log"))
    finally:
        process.terminate()
        assert process.wait(30) == 0


def _served(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that it prints, once it is ready."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        said = [word.rstrip(",") for word in log.read_text().split() if word.startswith("http://127.0.0.1:")]
        if said:
            try:
                if httpx2.get(f"{said[0]}/readyz").is_success:
                    return said[0]
            except httpx2.TransportError:
                pass
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_it_ends_in_a_verified_application(url: str, environment: dict[str, str]) -> None:
    home = environment["KYC_STATE_DIR"]
    made = subprocess.run([*KYC, "token"], env=environment, cwd=home, capture_output=True, text=True, check=True)
    told = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        env={**environment, "KYC_API_URL": f"{url}/v1", "ACCESS_TOKEN": made.stdout.strip()},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")
    *_, last, completed = told.stdout.splitlines()
    assert last == "[poll] status=VERIFIED"
    assert completed.startswith("KYC flow completed for application ")
