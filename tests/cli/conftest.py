"""The command line as an operator types it, on the test's own database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from kyc_service.cli.main import cli

Kyc = Callable[..., Result]


@pytest.fixture
def kyc(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kyc]:
    """Runs `kyc …`; keywords are environment variables."""
    monkeypatch.chdir(tmp_path)  # where no .env of a developer's is
    shared = {"KYC_DB_DSN": dsn, "KYC_STATE_DIR": str(tmp_path / "state")}

    def kyc(*arguments: str, **environment: str | None) -> Result:
        return CliRunner().invoke(cli, arguments, prog_name="kyc", env={**shared, **environment})

    yield kyc
    structlog.reset_defaults()  # the log was set up for the runner's own standard error
