"""What is published is ours to publish: nothing of a developer's machine, no secret, no licence that would bind us."""

import importlib.metadata
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

# Folders that exist on somebody's machine, and never in a repository that works everywhere.
MACHINE = re.compile(
    r"(?<![\w.>])/(?:root|home/\w+|Users/\w+|work)/|file:///(?!folder)|(?:^|[\s\"'(=])/opt/(?!kyc|tools)\w"
)
SECRET = re.compile(
    r"-----BEGIN (?:RSA |EC )?PRIVATE KEY-----\n[A-Za-z0-9+/=\n]{40}|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}"
)
GPL = re.compile(r"(?i)\b(?:a?gpl|affero|general public)")
LGPL_ALLOWED = frozenset(
    {"pi-heif", "psycopg", "psycopg-binary", "psycopg-pool"}
)  # unmodified and replaceable, as LGPL-3 asks


def text_of(path: Path) -> str:
    """The text of a file, or nothing for pictures, fonts and other bytes."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def locked(root: Path, name: str) -> set[str]:
    text = (root / "requirements" / name).read_text(encoding="utf-8")
    return set(re.findall(r"(?m)^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==", text))


def test_nothing_of_a_developers_machine_is_published(root: Path, published: Sequence[Path]) -> None:
    texts = [path for path in published if path.suffix not in {".js", ".css"} and path != Path(__file__)]
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()[:80]}"
        for path in texts
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if MACHINE.search(line)
    ]
    assert found == []


def test_no_index_but_the_public_one_is_named(root: Path) -> None:
    for path in ("poetry.lock", "pyproject.toml", *(f"requirements/{name}.txt" for name in ("main", "dev", "tools"))):
        text = (root / path).read_text(encoding="utf-8")
        assert not re.search(r"(?m)^--?(?:extra-)?index|^-i |trusted-host|^\s*url = \"https?://", text), path


def test_no_secret_is_published(root: Path, published: Sequence[Path]) -> None:
    assert [path.relative_to(root) for path in published if SECRET.search(text_of(path))] == []
    assert not [path for path in published if path.name == ".env"]


@pytest.mark.parametrize("name", ["main.txt", "dev.txt", "tools.txt", "opa.txt"])
def test_every_requirement_is_pinned_by_hash(root: Path, name: str) -> None:
    text = (root / "requirements" / name).read_text(encoding="utf-8")
    blocks = re.split(r"(?m)^(?=[a-z0-9])", text)[1:]
    assert blocks
    for block in blocks:
        assert re.match(r"[a-z0-9._-]+(?:\[[^\]]*\])?==\S+", block), block.splitlines()[0]
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_what_is_shipped_is_what_poetry_locked(root: Path) -> None:
    lock = tomllib.loads((root / "poetry.lock").read_text(encoding="utf-8"))
    versions = {package["name"]: package["version"] for package in lock["package"]}
    for name in ("main.txt", "dev.txt", "tools.txt"):
        text = (root / "requirements" / name).read_text(encoding="utf-8")
        for package, version in re.findall(r"(?m)^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==(\S+)", text):
            assert versions[package] == version, package


def _first(metadata: importlib.metadata.PackageMetadata, name: str) -> str:
    """The first line of a field: some packages write their whole licence into it."""
    return "".join(metadata.get_all(name) or [])[:200].split("\n")[0]


def test_no_dependency_binds_us_by_its_licence(root: Path) -> None:
    bound = []
    for name in sorted(locked(root, "main.txt") - LGPL_ALLOWED):
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        said = [_first(metadata, "License-Expression"), _first(metadata, "License")]
        said += [line for line in metadata.get_all("Classifier") or [] if line.startswith("License")]
        if GPL.search(" ".join(said)):
            bound.append((name, said))
    assert bound == []


def test_every_direct_dependency_says_why_it_is_there(root: Path) -> None:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("dependencies = [", 1)[1].split("\n]", 1)[0]
    lines = [line for line in section.splitlines() if line.strip().startswith('"')]
    assert lines
    assert [line for line in lines if "#" not in line] == []
