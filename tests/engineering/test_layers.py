"""The arrows of docs/architecture.md hold, and the core imports nothing but the standard library."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PURE = ("kyc_service.domain", "kyc_service.saga")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.ImportFrom():
                yield "a relative import"
            case _:
                pass


@pytest.mark.parametrize("package", ["domain", "saga"])
def test_the_core_imports_nothing_but_the_standard_library(root: Path, package: str) -> None:
    modules = sorted((root / "kyc_service" / package).glob("*.py"))
    assert modules
    foreign = [
        (module.name, name)
        for module in modules
        for name in imports(module)
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith(PURE)
    ]
    assert foreign == []


def test_the_layers_hold(root: Path) -> None:
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
