"""What the tests of the document engine share."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kyc_service.documents.faces import FaceFinder
from kyc_service.documents.ocr import TextReader
from kyc_service.documents.reading import FaceSearch, read
from kyc_service.documents.readings import Reading

PICTURES = Path(__file__).parents[2] / "../shared/data/documents/mrz_synth"
Read = Callable[[bytes], Reading]
ReadFile = Callable[[bytes, str], Reading]


@pytest.fixture(scope="session")
def read_file() -> ReadFile:
    """The engine itself, its models loaded once."""
    reader, faces = TextReader(), FaceSearch(finder=FaceFinder())
    return lambda content, media_type: read(reader, content, media_type, faces)


@pytest.fixture(scope="session")
def read_jpeg(read_file: ReadFile) -> Read:
    """The engine for JPEG pictures."""
    return lambda picture: read_file(picture, "image/jpeg")


@pytest.fixture(scope="session")
def synthetic() -> list[tuple[Path, tuple[str, ...]]]:
    """The synthetic public set: pictures of documents and the lines of their zones."""
    truth = PICTURES / "truth.json"
    if not truth.exists():
        if os.environ.get("CI") == "true" and PICTURES.exists():
            pytest.fail("the synthetic set has no truth.json")
        pytest.skip("the synthetic pictures are not on this machine")
    return [(PICTURES / one["file"], tuple(one["mrz"])) for one in json.loads(truth.read_text(encoding="utf-8"))]
