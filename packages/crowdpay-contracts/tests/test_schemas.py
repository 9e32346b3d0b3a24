"""The committed JSON Schemas are current, valid, and say what the models say."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it has no stubs here
import pytest
from crowdpay_contracts import examples
from crowdpay_contracts.envelope import KycEvent, encode_event, parse_event
from crowdpay_contracts.schemas import MODELS, Schema, load, render

NAMES = list(MODELS)
PERSONAL = {"email", "name", "first_name", "last_name", "birth_date", "date_of_birth", "address", "phone", "file_id"}


def validator(schema: Schema) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_schema_is_what_the_models_give(current: Mapping[str, Schema], name: str) -> None:
    assert render(load(name)) == render(current[name]), "run: python -m crowdpay_contracts.schemas --write"


def command(*arguments: str) -> tuple[int, list[str]]:
    """What `python -m crowdpay_contracts.schemas` ends with and prints."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-m", "crowdpay_contracts.schemas", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stderr == ""
    return finished.returncode, finished.stdout.splitlines()


def test_the_command_finds_nothing_stale() -> None:
    assert command() == (0, [])


def test_the_command_writes_what_is_missing_and_finds_what_is_stale(tmp_path: Path) -> None:
    folder = ("--folder", str(tmp_path))
    assert command("--write", *folder) == (0, [f"written: {name}.json" for name in NAMES])
    assert {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()} == {
        name: load(name) for name in NAMES
    }
    assert command(*folder) == (0, [])
    (tmp_path / "KycEvent.json").write_text("{}", encoding="utf-8")
    assert command(*folder) == (1, ["stale: KycEvent.json"])


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_has_a_name_of_its_own(name: str) -> None:
    schema = load(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"https://schemas.crowdpay.example/kyc/v1/{name}.json"


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_obey_their_schema(name: str) -> None:
    schema = load(name)
    shown = schema["examples"]
    assert isinstance(shown, list)
    assert shown
    for example in shown:
        validator(schema).validate(example)


@pytest.mark.parametrize("event", [pytest.param(event, id=event.type) for event in examples.EVENTS])
def test_what_is_published_obeys_the_schema_of_the_envelope_and_the_one_that_it_names(
    event: KycEvent,
) -> None:
    body = json.loads(encode_event(event))
    validator(load("KycEvent")).validate(body)
    schema = load(type(event.data).__name__)
    assert body["dataschema"] == schema["$id"]
    validator(schema).validate(body["data"])


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3"},
        {"type": "KYC_ARCHIVED"},
        {"sequence": "57"},
        {"time": "yesterday"},
        {"subject": "nobody"},
        {"data": {}},
        {"type": "KYC_CREATED"},  # with the data of another type
    ],
)
def test_the_schema_of_the_envelope_refuses_what_the_reader_refuses(change: dict[str, object]) -> None:
    body = json.loads(encode_event(examples.EVENTS[1])) | change
    with pytest.raises(jsonschema.ValidationError):
        validator(load("KycEvent")).validate(body)
    with pytest.raises(ValueError, match="event"):
        parse_event(body)


def properties(schema: object) -> set[str]:
    """Every name of a property anywhere in *schema*."""
    if isinstance(schema, list):
        return {name for part in schema for name in properties(part)}
    if not isinstance(schema, dict):
        return set()
    named = schema.get("properties", {})
    own = set(named) if isinstance(named, dict) else set()
    return own | {name for part in schema.values() for name in properties(part)}


@pytest.mark.parametrize("name", sorted({*NAMES} - {"KycApplication", "ApplicantDocument", "KycCommand"}))
def test_no_event_has_room_for_personal_data(name: str) -> None:
    assert not properties(load(name)) & PERSONAL
