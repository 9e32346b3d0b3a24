"""The AsyncAPI document is valid, whole, and says what the contracts say."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no stubs here
import pytest
from crowdpay_contracts import COMMANDS, PARKED, TOPIC, CommandType, EventType, KycCommand, parse_event
from crowdpay_contracts.internal import INTERNAL_TOPIC, KYC_SCREENING_ALERT
from starlette.testclient import TestClient

from kyc_service.api import answers, asyncapi
from kyc_service.api.asyncapi import document

TOOLS = Path(__file__).parent / "asyncapi"


@pytest.fixture(scope="session")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official parser, installed from its lock file; CI has node and a registry, a user perhaps not."""
    folder = tmp_path_factory.mktemp("asyncapi")
    for tool in TOOLS.iterdir():
        shutil.copy(tool, folder)
    npm = shutil.which("npm")
    if npm is None:
        why = "node is not installed"
    else:
        install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=150)
        if done.returncode == 0:
            return folder
        why = "npm cannot install @asyncapi/parser here"
    if os.environ.get("CI") and npm:
        pytest.fail(f"{why}: {done.stderr[-400:]}")
    pytest.skip(why)


def checked(parser: Path, content: dict[str, Any]) -> tuple[int, str]:
    """What the official parser ends with and says."""
    (parser / "document.json").write_text(json.dumps(content), encoding="utf-8")
    done = subprocess.run(
        ["node", "check.cjs", "document.json"], cwd=parser, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_the_official_parser_finds_nothing_wrong(parser: Path) -> None:
    assert checked(parser, document()) == (0, "")


def test_the_official_parser_would_find_something(parser: Path) -> None:
    broken = document()
    broken["operations"]["publishEvents"]["action"] = "shout"
    broken["components"]["messages"]["KYC_CREATED"]["examples"][0]["payload"]["tenantid"] = 7
    code, said = checked(parser, broken)
    assert code == 1
    assert "action" in said


def test_the_committed_copy_is_what_the_service_offers(repository: Path, tmp_path: Path) -> None:
    assert asyncapi.main(["--check", str(repository / "docs" / "asyncapi.json")]) == 0
    other = tmp_path / "asyncapi.json"
    asyncapi.main(["--write", str(other)])
    other.write_text(other.read_text().replace(TOPIC, "other.events"))
    assert asyncapi.main(["--check", str(other)]) == 1


def test_the_service_shows_the_document_to_everybody(api: TestClient) -> None:
    del api.headers["authorization"]
    answer = api.get("/asyncapi.json")
    assert answer.json() == document()
    assert api.get("/asyncapi.json", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_every_type_of_the_contract_is_described() -> None:
    described = document()
    assert {*described["channels"]["events"]["messages"]} == {kind.value for kind in EventType}
    assert {*described["channels"]["internal"]["messages"]} == {KYC_SCREENING_ALERT}
    assert {*described["channels"]["commands"]["messages"]} == {kind.value for kind in CommandType}
    addresses = {name: channel["address"] for name, channel in described["channels"].items()}
    assert addresses == {
        "events": TOPIC,
        "internal": INTERNAL_TOPIC,
        "commands": COMMANDS,
        "parked": PARKED,
        "replies": None,
    }


def references(part: object) -> Iterator[str]:
    """Everything that *part* refers to."""
    match part:
        case dict():
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for value in part.values():
                yield from references(value)
        case list():
            for value in part:
                yield from references(value)


def test_nothing_refers_to_what_is_not_there() -> None:
    described = document()
    found = {*references(described)}
    for reference in found:
        target: Any = described
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
    assert len(found) > 20


@pytest.mark.parametrize("name", document()["components"]["messages"])
def test_every_message_has_an_example_that_its_own_schema_accepts(name: str) -> None:
    described = document()
    message = described["components"]["messages"][name]
    schemas = {"$ref": message["payload"]["$ref"], "components": described["components"]}
    assert message["examples"]
    for example in message["examples"]:
        jsonschema.Draft202012Validator(schemas).validate(example["payload"])
        if "headers" in message:
            jsonschema.Draft202012Validator(message["headers"]).validate(example["headers"])


def test_the_examples_are_what_the_contracts_read() -> None:
    messages = document()["components"]["messages"]
    for kind in EventType:
        assert parse_event(messages[kind.value]["examples"][0]["payload"]).type == kind
    for command in CommandType:
        shown = json.dumps(messages[command.value]["examples"][0]["payload"])
        assert KycCommand.model_validate_json(shown).type is command
    for shape in (answers.Application, answers.Problem):
        shape.model_validate_json(json.dumps(messages[shape.__name__]["examples"][0]["payload"]))
