"""What the angle between two faces means. Pure.

SFace puts pictures of one person close together. The bands were chosen with room on both sides: of 312 pairs of
different people the closest reached 0.34, of the pairs of one person the farthest, eleven years apart, 0.60
(docs/engine.md). What falls between the bands is for a person to judge.
"""

from collections.abc import Sequence
from enum import StrEnum

from kyc_service.domain.record import record

MATCH = 0.50
MISMATCH = 0.36


class Band(StrEnum):
    """How alike two faces are."""

    MATCH = "match"
    UNCLEAR = "unclear"
    MISMATCH = "mismatch"


@record
class FaceLikeness:
    """The cosine of the angle between two descriptions, and the band that it falls into."""

    cosine: float
    band: Band


def compare(one: Sequence[float], other: Sequence[float]) -> FaceLikeness:
    """How alike the faces are that two unit vectors describe."""
    cosine = sum(a * b for a, b in zip(one, other, strict=True))
    band = Band.MATCH if cosine >= MATCH else Band.UNCLEAR if cosine >= MISMATCH else Band.MISMATCH
    return FaceLikeness(cosine=round(cosine, 4), band=band)
