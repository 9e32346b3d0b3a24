"""`kyc documents`: what it prints is what the engine found, and it needs no service."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from kyc_service.cli.main import cli
from kyc_service.documents.mrz import Format, format_td1, format_td3
from kyc_service.documents.specimen import draw, traveller


def kyc(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="kyc")


@pytest.fixture
def passport(tmp_path: Path) -> Path:
    path = tmp_path / "passport.jpg"
    path.write_bytes(draw(traveller()))
    return path


def test_every_file_gives_one_line_of_json_in_its_place(passport: Path, tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("Dear service")
    ended = kyc("documents", "read", text, passport, "--json")
    refused, read = (json.loads(line) for line in ended.stdout.splitlines())
    assert ended.exit_code == 1
    assert (refused["file"], refused["mrz"], refused["mrz_valid"]) == (str(text), [], False)
    assert [check["reasons"] for check in refused["checks"] if check["id"] == "image.usable"] != [[]]
    assert (read["file"], read["mrz"]) == (str(passport), list(format_td3(traveller())))
    assert (read["mrz_valid"], read["repaired"], read["alternatives"]) == (True, False, 0)
    assert read["fields"]["surname"]["value"] == "ERIKSSON"
    assert read["seconds"] > 0
    assert {check["outcome"] for check in read["checks"] if check["id"] == "face.liveness"} == {"not_performed"}


def test_what_was_found_is_drawn_on_the_picture(passport: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "out.png"
    ended = kyc("documents", "read", passport, "--overlay", overlay)
    assert ended.exit_code == 0
    assert "surname" in ended.stdout
    with Image.open(BytesIO(passport.read_bytes())) as before, Image.open(overlay) as after:
        assert after.size == before.size
        assert list(after.convert("L").histogram()) != list(before.convert("L").histogram())


def test_only_one_picture_at_a_time_is_drawn_on(passport: Path, tmp_path: Path) -> None:
    assert kyc("documents", "read", passport, passport, "--overlay", tmp_path / "out.png").exit_code == 2


def test_a_picture_matches_itself_and_one_without_a_face_is_said_to_be(passport: Path, tmp_path: Path) -> None:
    likeness = json.loads(kyc("documents", "match", passport, passport, "--json").stdout)
    assert likeness == {"cosine": pytest.approx(1, abs=0.01), "band": "match"}
    blank = tmp_path / "blank.jpg"
    Image.new("RGB", (600, 400), "white").save(blank)
    ended = kyc("documents", "match", passport, blank)
    assert (ended.exit_code, ended.stderr) == (1, f"kyc: {blank}: no face was found\n")


def test_a_specimen_is_drawn_for_whoever_asks(tmp_path: Path) -> None:
    card = tmp_path / "card.jpg"
    assert (
        kyc("documents", "specimen", card, "--format", "td1", "--country", "NLD", "--number", "SPECI2014").exit_code
        == 0
    )
    read = json.loads(kyc("documents", "read", card, "--json").stdout)
    person = traveller(code="I", issuer="NLD", number="SPECI2014")
    assert read["mrz"] == list(format_td1(person))


def test_a_format_that_does_not_exist_is_named(tmp_path: Path) -> None:
    ended = kyc("documents", "specimen", tmp_path / "x.jpg", "--format", "TD9")
    assert ended.exit_code == 1
    assert all(kind in ended.stderr for kind in Format)
