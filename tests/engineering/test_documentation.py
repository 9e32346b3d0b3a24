"""The documentation says what the code does: what is generated is current, and what is named exists."""

import re
import runpy
from pathlib import Path

import pytest
from dotenv import dotenv_values

from kyc_service.domain.application import Awaiting, Status
from kyc_service.settings import Settings
from scripts import docs, state_diagram

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)#\s]+)(?:#[^)]*)?\)")


def test_what_is_generated_is_current(root: Path) -> None:
    stale = [path.name for path, text in docs.generated(root).items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


def test_every_part_that_can_be_generated_stands_on_a_page(root: Path) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (root / "docs").glob("*.md"))
    assert set(re.findall(r"<!-- generated: ([a-z-]+) -->", pages)) == set(docs.PARTS)


def test_a_place_for_something_that_nobody_generates_is_an_error() -> None:
    with pytest.raises(docs.PartUnknown, match="weather"):
        docs.filled("<!-- generated: weather -->\n<!-- end -->")


def test_a_changed_fact_makes_the_page_stale() -> None:
    page = "before\n<!-- generated: roles -->\n| nobody | may |\n<!-- end -->\nafter"
    filled = docs.filled(page)
    assert filled.startswith("before\n")
    assert filled.endswith("<!-- end -->\nafter")
    assert "nobody" not in filled
    assert docs.filled(filled) == filled


def test_the_diagram_is_drawn_from_every_command() -> None:
    assert state_diagram.unasked() == frozenset()


def test_the_diagram_reaches_every_status_and_everything_that_can_be_awaited() -> None:
    places = {place for way in state_diagram.transitions() for place in way} - {state_diagram.NOWHERE}
    assert {place.split("/")[0] for place in places} == {status.value for status in Status}
    assert {place.split("/")[1] for place in places if "/" in place} == {awaited.value for awaited in Awaiting}


def test_nothing_leaves_an_end_in_the_diagram_but_a_verified_person_whom_a_list_names_later() -> None:
    left = {
        (before, words)
        for (before, _), words in state_diagram.transitions().items()
        if before in {"VERIFIED", "REJECTED", "ROLLED_BACK"}
    }
    assert left == {("VERIFIED", ("hit confirmed",))}


def test_the_sample_names_exactly_the_settings_that_there_are(root: Path) -> None:
    sample = (root / ".env.sample").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^# (KYC_\w+)=", sample) == [f"KYC_{name.upper()}" for name in Settings.model_fields]


def test_the_sample_sets_nothing_but_passwords_to_fill_in(root: Path) -> None:
    values = dotenv_values(root / ".env.sample")
    assert values
    assert set(values.values()) == {""}
    assert all(name.endswith("_PASSWORD") for name in values)


def test_a_copy_of_the_sample_changes_no_default(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"KYC_{name.upper()}", raising=False)
    assert Settings(_env_file=root / ".env.sample") == Settings(_env_file=None)


def test_every_link_between_pages_leads_somewhere(root: Path) -> None:
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "packages").glob("*/*.md")]
    dead = [
        (page.name, found["target"])
        for page in pages
        for found in LINK.finditer(page.read_text(encoding="utf-8"))
        if "://" not in found["target"] and not (page.parent / found["target"]).exists()
    ]
    assert dead == []


def test_every_test_that_the_threat_model_names_exists(root: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", (root / "docs" / "security.md").read_text(encoding="utf-8")))
    sources = [path.read_text(encoding="utf-8") for path in (root / "tests").rglob("*.py")]
    there = {name for source in sources for name in re.findall(r"def (test_\w+)\(", source)}
    assert named
    assert named <= there


def test_the_example_of_a_vendor_runs(root: Path, tmp_path: Path) -> None:
    page = (root / "docs" / "vendors.md").read_text(encoding="utf-8")
    example = tmp_path / "acme.py"
    example.write_text(page.split("```python\n")[1].split("```")[0], encoding="utf-8")
    assert runpy.run_path(str(example))["Acme"].name == "acme"


def test_every_decision_says_what_it_does_not_solve(root: Path) -> None:
    silent = [
        page.name
        for page in (root / "docs" / "decisions").glob("*.md")
        if "does not solve" not in page.read_text(encoding="utf-8").lower()
    ]
    assert silent == []
