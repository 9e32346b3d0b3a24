"""What other people install: each distribution is whole, and puts nothing outside its own package."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

BUILD = (
    "import sys; from poetry.core.masonry import api;print(api.build_sdist(sys.argv[1]), api.build_wheel(sys.argv[1]))"
)
PROJECTS: Mapping[str, str] = {
    "kyc_service": ".",
    "crowdpay_contracts": "packages/crowdpay-contracts",
    "crowdpy_auth": "packages/crowdpy-auth",
}
# One of each kind that a build backend could overlook.
KINDS: Mapping[str, Sequence[str]] = {
    "kyc_service": (
        "py.typed",
        "access/policies/kyc.rego",
        "access/policies/data.json",
        "store/migrations/versions/0001_core.up.sql",
        "store/migrations/script.py.mako",
        "documents/transliteration.csv",
        "documents/fonts/OCRB.otf",
        "api/static/swagger-ui-bundle.js",
        "api/static/LICENSE",
    ),
    "crowdpay_contracts": ("py.typed", "schemas/KycEvent.json"),
    "crowdpy_auth": ("py.typed",),
}
# Started from an installation, with no checkout in sight: what is read at run time is found.
STARTS = """
import kyc_service, sys
from importlib.resources import files
from kyc_service.access.policy import RegoPolicy, read_bundle
from kyc_service.documents import transliteration
from kyc_service.store.database import head
assert kyc_service.__file__.startswith(sys.argv[1]), kyc_service.__file__
RegoPolicy(read_bundle())
assert head()
assert transliteration.__file__.startswith(sys.argv[1])
assert (files("kyc_service.api") / "static/page.css").is_file()
"""


class Built:
    """The two distributions of one project, as they were just built."""

    def __init__(self, project: Path, folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-c", BUILD, str(folder)], cwd=project, check=True, capture_output=True, text=True
        )
        sdist, wheel = done.stdout.split()
        self.sdist, self.wheel = folder / sdist, folder / wheel
        self.metadata = "-".join(wheel.split("-")[:2]) + ".dist-info"

    def installed(self) -> frozenset[str]:
        """What the wheel holds."""
        return frozenset(zipfile.ZipFile(self.wheel).namelist())

    def packed(self) -> frozenset[str]:
        """What the source distribution holds, below its one folder."""
        with tarfile.open(self.sdist) as archive:
            return frozenset(member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile())


@pytest.fixture(scope="session", params=PROJECTS)
def package(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def built(root: Path, package: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(root / PROJECTS[package], tmp_path_factory.mktemp(package))


def test_every_file_of_the_package_is_in_both(
    root: Path, published: Sequence[Path], package: str, built: Built
) -> None:
    project = root / PROJECTS[package]
    inside = {str(path.relative_to(project)) for path in published if path.is_relative_to(project / package)}
    assert {f"{package}/{name}" for name in KINDS[package]} <= inside
    assert inside <= built.installed()
    assert inside <= built.packed()


def test_nothing_is_installed_outside_the_package(package: str, built: Built) -> None:
    tops = {name.split("/", 1)[0] for name in built.installed()}
    assert tops == {package, built.metadata}


def test_the_licence_comes_along(root: Path, built: Built) -> None:
    licence = zipfile.ZipFile(built.wheel).read(f"{built.metadata}/licenses/LICENSE")
    assert licence == (root / "LICENSE").read_bytes()
    assert "LICENSE" in built.packed()


def test_no_requirement_names_a_folder_of_the_builder(built: Built) -> None:
    metadata = zipfile.ZipFile(built.wheel).read(f"{built.metadata}/METADATA").decode()
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    assert [line for line in required if "@" in line or "file:" in line] == []
    assert "License-Expression: Apache-2.0" in metadata


def test_a_wheel_from_the_source_distribution_is_the_same(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (unpacked,) = (tmp_path / "source").iterdir()
    (tmp_path / "dist").mkdir()
    again = Built(unpacked, tmp_path / "dist")
    assert again.installed() == built.installed()


def test_an_installation_runs_without_the_checkout(root: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    for name, folder in PROJECTS.items():
        dist = tmp_path / name
        dist.mkdir()
        with zipfile.ZipFile(Built(root / folder, dist).wheel) as wheel:
            wheel.extractall(site)  # noqa: S202 - we built it a moment ago
    subprocess.run(
        [sys.executable, "-c", STARTS, str(site)], cwd=tmp_path, env={"PYTHONPATH": str(site)}, check=True, timeout=60
    )
