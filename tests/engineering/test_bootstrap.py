"""`./bootstrap` says in one line what it lacks, and does nothing where there is nothing to do."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

TOOLS = ("cat", "cksum", "dirname", "mkdir", "rm", "sed", "tr")


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """What bootstrap looks at, in a folder of its own whose name has a space."""
    folder = tmp_path / "a copy"
    for name in ("bootstrap", "pyproject.toml"):
        folder.mkdir(exist_ok=True)
        shutil.copy2(root / name, folder / name)
    shutil.copytree(root / "requirements", folder / "requirements")
    for package in ("crowdpay-contracts", "crowdpy-auth"):
        (folder / "packages" / package).mkdir(parents=True)
        shutil.copy2(root / "packages" / package / "pyproject.toml", folder / "packages" / package)
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with the plainest tools and no Python."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return folder


def bootstrap(copy: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    shell = shutil.which("sh")
    assert shell
    return subprocess.run(
        [shell, str(copy / "bootstrap")], env=dict(environment), capture_output=True, text=True, timeout=60, check=False
    )


def python_that_says(tools: Path, name: str, version: str) -> Path:
    """An interpreter that is too old for us, as bootstrap gets to know it: by asking."""
    shell = shutil.which("sh")
    path = tools / name
    path.write_text(f'#!{shell}\ncase "$2" in *platform*) echo {version} ;; *) echo ;; esac\n')
    path.chmod(0o755)
    return path


def test_without_any_python_it_says_so_in_one_line(copy: Path, tools: Path) -> None:
    said = bootstrap(copy, {"PATH": str(tools)})
    assert said.returncode == 1
    assert said.stderr.splitlines() == [
        "bootstrap: Python 3.11, 3.12 or 3.13 is needed; on PATH there is none, set PYTHON=/path/to/python3.12."
    ]
    assert not (copy / ".venv").exists()


def test_a_python_that_is_too_old_is_named(copy: Path, tools: Path) -> None:
    python_that_says(tools, "python3", "3.9.2")
    said = bootstrap(copy, {"PATH": str(tools)})
    assert said.returncode == 1
    assert "python3 is 3.9.2" in said.stderr


def test_the_interpreter_that_was_asked_for_is_the_only_one_tried(copy: Path, tools: Path) -> None:
    (tools / "python3").symlink_to(sys.executable)
    old = python_that_says(tools, "old", "3.10.4")
    said = bootstrap(copy, {"PATH": str(tools), "PYTHON": str(old)})
    assert said.returncode == 1
    assert said.stderr.splitlines() == [f"bootstrap: PYTHON={old} is 3.10.4; Python 3.11, 3.12 or 3.13 is needed."]


def test_a_finished_environment_is_left_alone_and_any_change_makes_it_anew(copy: Path, tools: Path) -> None:
    binaries = copy / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    files = [copy / "bootstrap", copy / "pyproject.toml", *sorted(copy.glob("packages/*/pyproject.toml"))]
    content = b"".join(path.read_bytes() for path in [*files, *sorted((copy / "requirements").glob("*.txt"))])
    stamp = subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout.decode().strip()
    (copy / ".venv" / ".bootstrap").write_text(f"{stamp} {copy}\n")
    done = bootstrap(copy, {"PATH": str(tools)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with (copy / "requirements" / "main.txt").open("a") as locked:
        locked.write("# a new dependency\n")
    changed = bootstrap(copy, {"PATH": str(tools)})
    assert changed.returncode == 1
    assert "is needed" in changed.stderr
