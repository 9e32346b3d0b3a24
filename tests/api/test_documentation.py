"""The service's own documentation: whole, offline, and true."""

import json
import re
import tomllib
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from kyc_service.api import answers, forms, openapi
from kyc_service.api.documentation import ASSETS, POLICY
from kyc_service.api.main import PUBLIC, ROUTES
from kyc_service.api.openapi import document
from kyc_service.api.problems import KINDS

STATIC = files("kyc_service.api") / "static"


def test_the_document_is_valid_openapi() -> None:
    validate(document(ROUTES, PUBLIC))


def test_the_committed_copy_is_what_the_service_offers(repository: Path, tmp_path: Path) -> None:
    assert openapi.main(["--check", str(repository / "docs" / "openapi.json")]) == 0
    other = tmp_path / "openapi.json"
    openapi.main(["--write", str(other)])
    assert openapi.main(["--check", str(other)]) == 0
    other.write_text(other.read_text().replace("submitApplication", "apply"))
    assert openapi.main(["--check", str(other)]) == 1


def test_the_service_shows_the_document(api: TestClient) -> None:
    answer = api.get("/openapi.json")
    assert answer.json() == document(ROUTES, PUBLIC)
    assert api.get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_every_operation_has_examples_that_its_schemas_accept() -> None:
    described = document(ROUTES, PUBLIC)
    checked = 0
    for item in described["paths"].values():
        for operation in item.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                shape = content["schema"].get("$ref", "").rpartition("/")[2]
                for example in content.get("examples", {}).values():
                    TypeAdapter(getattr(forms, shape)).validate_json(json.dumps(example["value"]))
                    checked += 1
            for answer in operation["responses"].values():
                for content in answer.get("content", {}).values():
                    if "example" not in content:
                        continue
                    shape = content["schema"]["$ref"].rpartition("/")[2]
                    getattr(answers, shape).model_validate_json(json.dumps(content["example"]))
                    checked += 1
    assert checked >= 20
    for example in described["components"]["examples"].values():
        answers.Problem.model_validate(example["value"])


def test_every_operation_has_a_name_a_tag_and_its_problems() -> None:
    described = document(ROUTES, PUBLIC)
    tags = {tag["name"] for tag in described["tags"]}
    operations = [operation for item in described["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) == len(ROUTES) + 2
    assert all(set(operation["tags"]) <= tags for operation in operations)
    for operation in operations:
        if operation["security"]:
            assert {"401", "403", "500", "503"} <= set(operation["responses"])
    assert "HTTPValidationError" not in json.dumps(described)


def test_the_page_needs_nothing_from_anywhere_else(api: TestClient) -> None:
    page = api.get("/docs")
    assert page.headers["content-security-policy"] == POLICY
    assert "http:" not in page.text
    assert "https:" not in page.text
    linked = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
    assert {link.rpartition("/")[2] for link in linked} == ASSETS
    for link in linked:
        asset = api.get(f"/{link}")
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith(("text/javascript", "application/javascript", "text/css"))
        assert api.get(f"/{link}", headers={"If-None-Match": asset.headers["etag"]}).status_code == 304
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.text)


def test_every_problem_points_to_its_explanation(api: TestClient) -> None:
    page = api.get("/docs/problems").text
    assert [kind for kind in KINDS if f'<h2 id="{kind}">' not in page] == []
    assert api.get(f"/docs/problems/../{'assets/page.css'}").status_code == 200


@pytest.mark.parametrize("name", tomllib.loads((STATIC / "VENDOR.toml").read_text())["swagger-ui-dist"]["sha256"])
def test_vendored_files_are_what_their_makers_published(name: str) -> None:
    known = tomllib.loads((STATIC / "VENDOR.toml").read_text())["swagger-ui-dist"]["sha256"]
    assert sha256((STATIC / name).read_bytes()).hexdigest() == known[name]
