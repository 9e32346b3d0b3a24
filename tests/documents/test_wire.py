"""Readings on the pipe: what is sent arrives, and nothing else is believed."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_service.documents.decipher import decipher, row
from kyc_service.documents.readings import Reading, Seconds
from kyc_service.documents.wire import Garbled, dump, load

LINES = ("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO74O8122F1204159ZE184226B<<<<<10")
READING = Reading(
    width=1500,
    height=1000,
    sharpness=390.5,
    lines_of_text=12,
    zone=decipher([row(line) for line in LINES]),
    seconds=(Seconds(stage="find", wall=0.1, processor=0.09),),
)


def test_a_reading_arrives_as_it_was_sent() -> None:
    assert READING.zone
    assert load(dump(READING)) == READING


@given(st.none() | st.text(), st.integers(0, 10**6), st.floats(0, 1e6))
def test_every_reading_arrives_as_it_was_sent(refused: str | None, width: int, sharpness: float) -> None:
    reading = replace(READING, refused=refused, width=width, sharpness=sharpness)
    assert load(dump(reading)) == reading


@given(st.binary(max_size=60))
def test_noise_is_garbled(content: bytes) -> None:
    with pytest.raises(Garbled):
        load(content)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", "1500"),
        ("width", True),
        ("width", 1.5),
        ("refused", 7),
        ("seconds", {}),
        ("seconds", [7]),
        ("seconds", [{"stage": "find"}]),
        ("zone", []),
        ("unheard_of", 1),
    ],
)
def test_a_reading_with_a_wrong_part_is_garbled(name: str, value: object) -> None:
    altered = json.loads(dump(READING)) | {name: value}
    with pytest.raises(Garbled):
        load(json.dumps(altered).encode())


@pytest.mark.parametrize(("name", "value"), [("format", "TD9"), ("lines", "P<UTO"), ("truncated", 0), ("failed", [1])])
def test_a_zone_with_a_wrong_part_is_garbled(name: str, value: object) -> None:
    altered = json.loads(dump(READING))
    altered["zone"]["zone"][name] = value
    with pytest.raises(Garbled):
        load(json.dumps(altered).encode())


def test_a_place_has_two_coordinates() -> None:
    altered = json.loads(dump(READING))
    altered["zone"]["repaired"] = [[1, 2, 3]]
    with pytest.raises(Garbled):
        load(json.dumps(altered).encode())
