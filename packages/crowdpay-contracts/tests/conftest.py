"""What the tests of the contracts share."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from crowdpay_contracts.schemas import Schema, generate

BASELINE = Path(__file__).parent / "baseline"


@pytest.fixture(scope="session")
def released() -> Mapping[str, Schema]:
    """The schemas of the last release, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(BASELINE.glob("*.json"))}


@pytest.fixture(scope="session")
def current() -> Mapping[str, Schema]:
    """The schemas of the models as they are now, by name."""
    return generate()
