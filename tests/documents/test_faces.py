"""Faces: found, described on request only, compared in three bands; real pictures where the shared set is at hand."""

from collections.abc import Callable
from io import BytesIO
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kyc_service.documents.faces import FaceFinder
from kyc_service.documents.images import decode
from kyc_service.documents.likeness import MATCH, MISMATCH, Band, compare
from kyc_service.documents.readings import Face
from kyc_service.documents.specimen import draw, traveller

PORTRAITS = Path(__file__).parents[2] / "../shared/data/documents/faces"
Find = Callable[[bytes, int | None], tuple[Face, ...]]


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


def turned(picture: bytes, quarters: int) -> bytes:
    out = BytesIO()
    with Image.open(BytesIO(picture)) as image:
        image.rotate(90 * quarters, expand=True).save(out, "JPEG", quality=92)
    return out.getvalue()


def test_the_portrait_of_a_specimen_is_a_face_and_is_described_only_on_request(finder: FaceFinder) -> None:
    pixels = decode(draw(traveller()), "image/jpeg")
    (face,) = finder.find(pixels, 0, describe=False)
    assert not face.description
    (described,) = finder.find(pixels, 0, describe=True)
    assert len(described.description) == 128
    assert sum(number**2 for number in described.description) == pytest.approx(1, abs=1e-3)
    assert "0." not in repr(described)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_is_found_whichever_way_the_picture_lies_and_its_place_is_told_in_that_picture(
    quarters: int, finder: FaceFinder
) -> None:
    picture = draw(traveller())
    (upright,) = finder.find(decode(picture, "image/jpeg"), 0, describe=False)
    pixels = decode(turned(picture, quarters), "image/jpeg")
    (face,) = finder.find(pixels, None, describe=False)
    height, width = pixels.shape[:2]
    x, y = (sum(corner[axis] for corner in face.corners) / 4 for axis in (0, 1))
    back = {1: (height - y, x), 2: (width - x, height - y), 3: (y, width - x)}[quarters]
    before = [sum(corner[axis] for corner in upright.corners) / 4 for axis in (0, 1)]
    assert back == pytest.approx(before, abs=25)


def test_a_page_without_a_face_has_none(finder: FaceFinder) -> None:
    out = BytesIO()
    Image.new("RGB", (800, 600), "white").save(out, "JPEG")
    assert finder.find(decode(out.getvalue(), "image/jpeg"), None, describe=True) == ()


def test_genuine_pairs_never_mismatch_and_impostors_never_match(finder: FaceFinder) -> None:
    if not PORTRAITS.exists():
        pytest.skip("the portraits are not on this machine")
    people: dict[str, list[tuple[float, ...]]] = {}
    for path in sorted(PORTRAITS.iterdir()):
        kind = {".jpg": "image/jpeg", ".png": "image/png"}.get(path.suffix)
        if kind:
            faces = finder.find(decode(path.read_bytes(), kind), None, describe=True)
            people.setdefault(path.name.partition("_")[0], []).append(faces[0].description)
    assert len(people) >= 5
    genuine = [compare(*pair).band for faces in people.values() for pair in combinations(faces, 2)]
    impostors = [compare(a, b).band for one, other in combinations(people.values(), 2) for a in one for b in other]
    assert len(genuine) >= 10
    assert Band.MISMATCH not in genuine
    assert Band.MATCH not in impostors


@given(st.floats(-1, 1))
def test_the_bands_leave_no_gap(cosine: float) -> None:
    likeness = compare((1.0, 0.0), (cosine, 0.0))
    expected = Band.MATCH if cosine >= MATCH else Band.MISMATCH if cosine < MISMATCH else Band.UNCLEAR
    assert likeness.band is expected
