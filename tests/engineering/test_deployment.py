"""The image, the containers and the workflows, read as text: there is no engine here that could run them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from kyc_service.cli.main import COMMANDS
from kyc_service.settings import Settings

Tree: TypeAlias = Mapping[str, Any]
ONE_SHOTS = {"bucket", "keys", "migrate"}
OURS = {"keys", "migrate", "api", "worker", "relay", "inbox"}
MAKE_TARGET = re.compile(r"(?m)^([a-z]+):.*## ")


@pytest.fixture(scope="module")
def compose(root: Path) -> Tree:
    tree: Tree = yaml.safe_load((root / "compose.yaml").read_text(encoding="utf-8"))
    return tree


@pytest.fixture(scope="module")
def dockerfile(root: Path) -> str:
    return (root / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def workflows(root: Path) -> Mapping[str, Tree]:
    return {
        path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (root / ".github/workflows").glob("*.yml")
    }


# ── compose.yaml ──────────────────────────────────────────────────────────────────


def test_without_a_profile_only_what_the_service_stands_on_is_started(compose: Tree) -> None:
    started = {name for name, service in compose["services"].items() if "profiles" not in service}
    assert started == {"db", "rabbitmq", "minio", "bucket"}
    assert {name for name in compose["services"] if name not in started} == OURS


def test_everything_that_lasts_is_checked_and_everything_that_ends_is_not(compose: Tree) -> None:
    for name, service in compose["services"].items():
        if name in ONE_SHOTS:
            assert service["healthcheck"] == {"disable": True}, name
        else:
            assert service["healthcheck"]["test"], name


def test_the_service_waits_for_a_healthy_database_and_for_the_migration(compose: Tree) -> None:
    assert compose["services"]["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    for name in ("api", "worker", "relay", "inbox"):
        waits = compose["services"][name]["depends_on"]
        assert waits["db"] == {"condition": "service_healthy"}
        for one_shot in ONE_SHOTS:
            assert waits[one_shot] == {"condition": "service_completed_successfully"}


def test_no_password_has_a_default(root: Path) -> None:
    text = (root / "compose.yaml").read_text(encoding="utf-8")
    secret = re.findall(r"(?m)^\s+(\w*(?:PASS|PASSWORD|SECRET_ACCESS_KEY)): (.+)$", text)
    assert secret
    for name, value in secret:
        assert re.fullmatch(r"\$\{[A-Z_]+_PASSWORD:\?set [A-Z_]+ in \.env\}", value), name
    for user_and_password in re.findall(r"://(\S+?)@", text):
        assert user_and_password.startswith("crowdpay:${") or ":?" in user_and_password


def test_every_password_of_the_containers_is_in_the_sample(root: Path) -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", (root / "compose.yaml").read_text(encoding="utf-8")))
    assert asked == set(re.findall(r"(?m)^(\w+)=$", (root / ".env.sample").read_text(encoding="utf-8")))


def test_no_port_is_open_to_other_machines(compose: Tree) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_service_runs_with_few_rights(compose: Tree) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_every_variable_of_ours_in_the_containers_is_a_setting(compose: Tree, dockerfile: str) -> None:
    known = {f"KYC_{name.upper()}" for name in Settings.model_fields}
    used = {name for service in compose["services"].values() for name in service.get("environment", {})}
    used |= set(re.findall(r"(KYC_\w+)=", dockerfile))
    assert {name for name in used if name.startswith("KYC_")} <= known


def test_production_is_given_everything_that_it_demands_of_a_container(compose: Tree) -> None:
    given = compose["services"]["api"]["environment"]
    assert given["KYC_ENV"] == "production"
    assert {"KYC_DB_DSN", "KYC_JWT_PUBLIC_KEY_URL", "KYC_KEY_FILE", "KYC_BLOB_URL", "KYC_WATCHLISTS"} <= set(given)


def test_every_command_of_a_container_exists(compose: Tree, dockerfile: str) -> None:
    roles = ("migrate", "worker", "relay", "inbox")
    called = [service["command"][0] for name, service in compose["services"].items() if name in roles]
    called += re.findall(r'(?m)^CMD \["(\w+)"', dockerfile)
    assert len(called) == 5
    assert set(called) <= set(COMMANDS)


def test_wal2json_is_installed_and_allowed_beside_the_built_in_plugins(root: Path) -> None:
    image = (root / "deploy/postgres/Dockerfile").read_text(encoding="utf-8")
    major = re.search(r"(?m)^FROM postgres:(\d+)", image)
    assert major
    assert f"postgresql-{major[1]}-wal2json" in image
    assert "wal_level=logical" in image
    script = (root / "deploy/postgres/output-plugins.sh").read_text(encoding="utf-8")
    assert "output_plugin_libraries = 'pgoutput', 'test_decoding', 'wal2json'" in script
    assert "pg_settings" in script  # older minor versions refuse to start with a parameter that they do not know


# ── Dockerfile ────────────────────────────────────────────────────────────────────


def test_the_image_runs_as_a_user_without_a_name_to_log_in_by(dockerfile: str) -> None:
    final = dockerfile.rsplit("\nFROM ", maxsplit=1)[-1]
    assert re.findall(r"(?m)^USER (.+)$", final) == ["10001:10001"]
    assert "nologin" in final


def test_the_image_installs_nothing_without_a_hash(dockerfile: str) -> None:
    installs = re.findall(r"pip install[^\n&]*", dockerfile)
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-deps --no-index wheels/" in line for line in installs)
    assert "requirements/dev.txt" not in dockerfile


def test_what_builds_does_not_end_up_in_the_image(dockerfile: str) -> None:
    final = dockerfile.rsplit("\nFROM ", maxsplit=1)[-1]
    assert "pip" not in final
    assert re.findall(r"(?m)^COPY (.+)$", final) == ["--from=build /opt/kyc /opt/kyc"]


def test_signals_reach_the_service_and_not_a_shell(dockerfile: str) -> None:
    assert re.findall(r"(?m)^ENTRYPOINT (.+)$", dockerfile) == ['["kyc"]']
    assert "STOPSIGNAL SIGTERM" in dockerfile
    assert "HEALTHCHECK" in dockerfile


def test_the_image_is_production_unless_told_otherwise(dockerfile: str) -> None:
    assert "KYC_ENV=production" in dockerfile


def test_everything_that_the_image_copies_exists_and_is_let_through(root: Path, dockerfile: str) -> None:
    copied = [name for line in re.findall(r"(?m)^COPY (?!--)(.+)$", dockerfile) for name in line.split()[:-1]]
    ignored = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    for name in copied:
        assert (root / name).exists(), name
        assert f"!{name.split('/')[0]}" in ignored, name


# ── workflows and make ────────────────────────────────────────────────────────────


def test_every_supported_python_is_tested(root: Path, workflows: Mapping[str, Tree]) -> None:
    tested = workflows["ci.yml"]["jobs"]["test"]["strategy"]["matrix"]["python"]
    supported = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (root / "pyproject.toml").read_text("utf-8"))
    assert supported
    assert tested == [f"3.{minor}" for minor in range(int(supported[1]), int(supported[2]))]


def test_workflows_may_read_and_nothing_more(workflows: Mapping[str, Tree]) -> None:
    assert workflows
    for workflow in workflows.values():
        assert workflow["permissions"] == {"contents": "read"}
        assert all("permissions" not in job for job in workflow["jobs"].values())
        assert workflow["concurrency"]
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"]
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"] == {"persist-credentials": False}


def test_ci_runs_what_the_readme_tells_a_newcomer_to_run(root: Path, workflows: Mapping[str, Tree]) -> None:
    runs = [step["run"] for step in workflows["ci.yml"]["jobs"]["test"]["steps"] if "run" in step]
    local = [line for line in (root / ".ci/run").read_text(encoding="utf-8").splitlines() if line.startswith("make ")]
    assert runs == local == ["make servers", "make oracle", "make check", "make test"]
    assert "make test" in (root / "README.md").read_text(encoding="utf-8")


def test_every_task_is_listed_and_short(root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    tasks = set(MAKE_TARGET.findall(makefile))
    phony = re.search(r"(?m)^\.PHONY: (.+)$", makefile)
    assert phony
    assert tasks == set(phony[1].split())
    assert {"setup", "demo", "run", "worker", "test", "cov", "check", "fmt", "lock", "bench", "clean"} <= tasks
    for recipe in re.findall(r"(?m)^[a-z]+:.*## .*\n((?:\t.*\n)+)", makefile):
        assert recipe.count("\n") <= 2


def test_scripts_can_be_started_and_parsed(root: Path) -> None:
    for name in ("bootstrap", ".ci/run", "scripts/lock", "deploy/postgres/output-plugins.sh"):
        path = root / name
        assert path.stat().st_mode & 0o111, f"{name} is not executable"
        assert path.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
