"""The repository itself, as something to be tested."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

LEFT_OUT = frozenset(
    {".git", ".venv", "__pycache__", "dist", "htmlcov", ".env", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
    | {".hypothesis", ".import_linter_cache"}
)


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def published(root: Path) -> Sequence[Path]:
    """Every file that somebody who clones the repository gets; without git, every file that is no by-product."""
    if (root / ".git").exists():
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        found = subprocess.run(listing, cwd=root, capture_output=True, check=False)
        if found.returncode == 0:
            names = found.stdout.decode().split("\0")
            return [root / name for name in names if name and (root / name).is_file()]
    return [
        path for path in sorted(root.rglob("*")) if path.is_file() and not LEFT_OUT & {*path.relative_to(root).parts}
    ]
