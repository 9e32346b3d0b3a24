"""What every command has in common: help that helps, and one line for what can be foreseen to go wrong."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import pytest
from click.testing import Result

from kyc_service.cli.main import COMMANDS, cli

Kyc = Callable[..., Result]


def family(name: str) -> Iterator[tuple[str, click.Command]]:
    """The command, and those within it if it is a group, each with how it is called."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    yield name, command
    if isinstance(command, click.Group):
        for inner, within in command.commands.items():
            yield f"{name} {inner}", within


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example_and_every_option(name: str) -> None:
    for called, command in family(name):
        text = command.help or ""
        assert f"kyc {called.split()[0]}" in text.rpartition("Example: ")[2]
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_says_of_a_command_what_its_own_help_begins_with(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert (command.help or "").split()[:3] == COMMANDS[name][1].split()[:3]


def test_the_overview_imports_no_command() -> None:
    """What makes it fast; the time itself depends on the machine."""
    script = """
import sys
from kyc_service.cli.main import main
sys.argv = ["kyc", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"pydantic", "sqlalchemy", "fastapi", "psycopg", "rich", "structlog", "httpx2", "asyncio"}
sys.exit(", ".join(heavy & set(sys.modules)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in COMMANDS)


def test_a_command_that_does_not_exist_is_wrong_usage(kyc: Kyc) -> None:
    result = kyc("frobnicate")
    assert result.exit_code == 2
    assert "No such command 'frobnicate'" in result.stderr


@pytest.mark.parametrize("command", ["serve", "worker", "rebuild"])
def test_production_names_everything_that_is_missing_one_a_line(kyc: Kyc, command: str) -> None:
    result = kyc(command, KYC_ENV="production", KYC_DB_DSN=None)
    assert result.exit_code == 2
    assert [line.split()[1] for line in result.stderr.splitlines()] == [
        "KYC_DB_DSN",
        "KYC_JWT_PUBLIC_KEY_URL",
        "KYC_KEY_FILE",
        "KYC_BLOB_URL",
        "KYC_WATCHLISTS",
    ]


@pytest.mark.parametrize("command", [("worker",), ("migrate",), ("audit", "verify"), ("orders", "list")])
def test_an_unreachable_database_is_one_line_without_its_password(kyc: Kyc, command: tuple[str, ...]) -> None:
    result = kyc(*command, KYC_DB_DSN="postgresql://kyc:hunter2@127.0.0.1:1/kyc")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("kyc: The database cannot be used: ")
    assert "hunter2" not in result.output


def test_settings_that_cannot_be_used_are_named_without_their_values(kyc: Kyc) -> None:
    result = kyc("config", KYC_DB_POOL_SIZE="hunter2", KYC_ENV="hunter3")
    assert result.exit_code == 2
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == ["KYC_ENV", "KYC_DB_POOL_SIZE"]
    assert "hunter" not in result.output


def test_a_secret_file_that_is_not_there_is_one_line(kyc: Kyc, tmp_path: Path) -> None:
    result = kyc("config", KYC_DB_DSN_FILE=str(tmp_path / "none"), KYC_DB_DSN=None)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert str(tmp_path / "none") in result.stderr


def test_a_key_file_that_others_can_read_is_refused_in_one_line(kyc: Kyc, tmp_path: Path) -> None:
    assert kyc("keys", "init", str(tmp_path / "ring.json")).exit_code == 0
    (tmp_path / "ring.json").chmod(0o644)
    result = kyc("worker", KYC_KEY_FILE=str(tmp_path / "ring.json"))
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "chmod 600" in result.stderr


def test_a_fault_of_our_own_keeps_its_traceback(kyc: Kyc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "broken", ("main:nowhere", "Is not there."))
    result = kyc("broken")
    assert isinstance(result.exception, AttributeError)


@pytest.mark.parametrize("command", [("worker",), ("relay",), ("inbox",), ("serve", "--port", "0")], ids=" ".join)
def test_a_port_for_metrics_that_somebody_has_is_one_line(kyc: Kyc, command: Sequence[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = kyc(*command, KYC_METRICS_PORT=str(port))
    assert (result.exit_code, result.stdout) == (1, "")
    said = [line for line in result.stderr.splitlines() if line.startswith("kyc: ")]
    assert said == [f"kyc: Port {port} of 127.0.0.1 cannot be served for metrics: Address already in use."]
    assert "Traceback" not in result.stderr
