"""What a picture looks like from afar: copies stay alike, other documents of the same kind do not."""

from dataclasses import replace
from datetime import date
from io import BytesIO
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from kyc_service.application.duplicates import ALIKE, BANDS
from kyc_service.documents.images import Pixels, look
from kyc_service.documents.pages import opened
from kyc_service.documents.specimen import draw, traveller

NAMES = (("Eriksson", "Anna"), ("Jansen", "Piet"), ("de Vries", "Maria"), ("Smit", "Johannes"), ("Bakker", "Lotte"))


def alike(one: Pixels, other: Pixels) -> int:
    """How many bands two pictures have in common."""
    first, second = look(one), look(other)
    assert first
    assert second
    width = len(first) // BANDS
    return sum(first[at : at + width] == second[at : at + width] for at in range(0, len(first), width))


@pytest.fixture(scope="module")
def passports() -> list[Pixels]:
    """Passports of different persons, drawn in exactly the same place: as alike as other documents can be."""
    people = [
        replace(
            traveller(issuer="NLD"),
            surname=surname,
            given_names=given,
            number=f"SPECI201{index}",
            birth=date(1970 + index, 1 + index, 3 + index),
        )
        for index, (surname, given) in enumerate(NAMES)
    ]
    return [opened(draw(person), "image/jpeg")[0] for person in people]


def copy(pixels: Pixels, *, quality: int, scale: float) -> Pixels:
    image = Image.fromarray(pixels[:, :, ::-1])
    out = BytesIO()
    image.resize((round(image.width * scale), round(image.height * scale))).save(out, "JPEG", quality=quality)
    return opened(out.getvalue(), "image/jpeg")[0]


@pytest.mark.parametrize(("quality", "scale"), [(20, 1.0), (40, 0.5), (70, 0.8), (90, 1.3)])
def test_a_copy_is_recognised(passports: list[Pixels], quality: int, scale: float) -> None:
    assert all(alike(one, copy(one, quality=quality, scale=scale)) >= ALIKE for one in passports)


def test_the_documents_of_other_persons_are_not_copies(passports: list[Pixels]) -> None:
    assert max(alike(one, other) for one, other in combinations(passports, 2)) < ALIKE


def test_empty_pages_are_no_copies_of_each_other() -> None:
    assert look(np.full((900, 600, 3), 255, np.uint8)) is None
