"""The shared models are the published contract."""

import re
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import crowdpay_contracts
import pytest
from pydantic import TypeAdapter, ValidationError

SEED = Path(__file__).parents[4] / "shared" / "seed-readme.md"
COPY = Path(__file__).with_name("seed_contract.txt")


@pytest.fixture(scope="module")
def contract() -> Iterator[ModuleType]:
    """The published contract as a module."""
    loader = SourceFileLoader("seed_contract", str(COPY))
    module = ModuleType(loader.name)
    sys.modules[loader.name] = module  # pydantic looks the annotations up there
    loader.exec_module(module)
    yield module
    del sys.modules[loader.name]


def without_words(schema: object) -> object:
    """A schema without its descriptions."""
    if isinstance(schema, dict):
        return {key: without_words(value) for key, value in schema.items() if key != "description"}
    return schema


@pytest.mark.parametrize("name", ["ApplicantDocument", "KycApplication"])
def test_a_shared_model_is_field_for_field_the_published_one(contract: ModuleType, name: str) -> None:
    published, ours = getattr(contract, name), getattr(crowdpay_contracts, name)
    assert without_words(ours.model_json_schema()) == without_words(published.model_json_schema())
    assert list(ours.model_fields) == list(published.model_fields)
    assert ours.model_config == published.model_config


def test_the_statuses_are_the_five_published_ones(contract: ModuleType) -> None:
    published = contract.ApplicationStatus
    assert [(s.name, s.value, str(s)) for s in crowdpay_contracts.ApplicationStatus] == [
        (s.name, s.value, str(s)) for s in published
    ]
    assert crowdpay_contracts.ApplicationStatus.__mro__[1:] == published.__mro__[1:]


def test_the_copy_of_the_contract_is_word_for_word() -> None:
    if not SEED.exists():
        pytest.skip("the published contract is not beside the repository")
    published = re.search(r"## 4  Data Contracts\n\n```python\n(.*?)```", SEED.read_text(encoding="utf-8"), re.DOTALL)
    assert published is not None
    assert COPY.read_text(encoding="utf-8") == published[1]


def test_an_application_starts_pending_with_no_documents() -> None:
    application = crowdpay_contracts.KycApplication.model_validate(
        {"id": uuid4(), "user_id": uuid4(), "email": "alice@example.com", "created_at": "2026-03-02T09:30:00Z"}
    )
    assert (application.status, application.reason, application.documents) == ("PENDING", None, [])


@pytest.mark.parametrize("country", ["", "U", "USA"])
def test_a_country_has_two_letters(country: str) -> None:
    adapter = TypeAdapter(crowdpay_contracts.ApplicantDocument)
    with pytest.raises(ValidationError, match="issued_country"):
        adapter.validate_python({"doc_type": "PASSPORT", "file_id": uuid4(), "issued_country": country})
