"""Real processes of the service, as an operator starts them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.messaging.nodes import free_port


class Service:
    """A process of `kyc`, which can be killed and started again."""

    def __init__(self, arguments: list[str], environment: dict[str, str | None], log: Path, port: int | None) -> None:
        self._arguments = arguments
        self._environment = environment
        self._log = log
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Start it, without waiting."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kyc_service.cli.main", *self._arguments],
                env={name: value for name, value in {**os.environ, **self._environment}.items() if value is not None},
                stdout=log,
                stderr=log,
            )

    def wait_ready(self, seconds: float = 60) -> None:
        """Until it answers that it is ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self._process
            assert self._process.poll() is None, self._log.read_text()
            with contextlib.suppress(httpx2.HTTPError):
                if httpx2.get(f"{self.url}/readyz").status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready: {self._log.read_text()}")

    def kill(self) -> None:
        """As the kernel does when memory is short: no farewell."""
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self, seconds: float = 30) -> int:
        """As an operator does."""
        assert self._process
        self._process.terminate()
        return self._process.wait(seconds)

    def wait(self, seconds: float = 30) -> int:
        """Until it has ended by itself."""
        assert self._process
        return self._process.wait(seconds)

    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None


Start = Callable[..., Service]


@pytest.fixture
def start(dsn: str, tmp_path: Path) -> Iterator[Start]:
    """Starts `kyc …` on the test's database; everything is killed in the end. None unsets a variable."""
    services: list[Service] = []
    shared = {
        "KYC_DB_DSN": dsn,
        "KYC_STATE_DIR": str(tmp_path / "state"),
        "KYC_LEASE_SECONDS": "2",
        "KYC_RETRY_BASE_SECONDS": "0.05",
        "KYC_ENGINE_WORKERS": "1",
    }

    def start(*arguments: str, serving: bool = False, **environment: str | None) -> Service:
        port = free_port() if serving else None
        given = [*arguments, *(["--port", str(port)] if port else [])]
        service = Service(given, {**shared, **environment}, tmp_path / f"{arguments[0]}-{len(services)}.log", port)
        services.append(service)
        service.start()
        if serving:
            service.wait_ready()
        return service

    yield start
    for service in services:
        if service.running():
            service.kill()


@pytest.fixture
def token(tmp_path: Path) -> Callable[..., str]:
    """Development tokens, as `kyc token` issues them."""
    from datetime import timedelta

    from kyc_service.access.development import DevelopmentIssuer
    from kyc_service.settings import Settings

    def token(*roles: str, tenant: str = "sandbox", subject: str = "tester") -> str:
        issuer = DevelopmentIssuer(Settings(_env_file=None, state_dir=tmp_path / "state"))
        return issuer.issue(tenant, roles or ("submitter",), subject, "backend", timedelta(hours=1))

    return token
