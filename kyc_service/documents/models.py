"""The model files of the engine: which they are, and their verified bytes.

They come out of the installed `rapidocr` distribution (PP-OCRv6, Apache-2.0). Its code is never imported, so nothing of
it runs, and a file that is not the one this release was measured with is refused.
"""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from kyc_service.documents.faults import EngineNotInstalled

MODELS = {
    "det": ("PP-OCRv6_det_small.onnx", "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"),
    "rec": ("PP-OCRv6_rec_small.onnx", "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"),
}


class ModelAltered(EngineNotInstalled):
    """A model file is not the one that this release was measured with."""


def models() -> tuple[tuple[str, str], ...]:
    """The names and digests of the models, for the record."""
    return tuple(MODELS.values())


def model(role: str) -> bytes:
    """The bytes of the model that plays *role*."""
    name, digest = MODELS[role]
    try:
        content = Path(str(distribution("rapidocr").locate_file(f"rapidocr/models/{name}"))).read_bytes()
    except (PackageNotFoundError, FileNotFoundError) as error:
        raise EngineNotInstalled from error
    return verified(content, digest)


def verified(content: bytes, digest: str) -> bytes:
    """*content*, if its SHA-256 is *digest*."""
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelAltered
    return content
