"""`kyc demo` shows the whole service in a minute, and fails when anything ends otherwise than it must."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cv2", reason="the engine extra is not installed")

TITLES = (
    "A passport, verified from its picture",
    "A passport that has expired",
    "A picture that nobody can read, and then a better one",
    "Every vendor of the route is down",
    "The first vendor is down, and the standby verifies",
    "A document that was never uploaded",
    "Somebody whom a sanctions list means",
)


def demo(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The demo as a newcomer starts it, with its temporary files in *folder*."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("KYC_")}
    return subprocess.run(
        [sys.executable, "-m", "kyc_service.cli.main", "demo", *arguments],
        env={**ours, "TMPDIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def acts(said: str) -> dict[str, list[str]]:
    """What was said of each application, by its title."""
    parts = re.split(r"(?m)^\d\. (.*)$", said.partition("What came of it")[0])
    return dict(zip(parts[1::2], (part.splitlines() for part in parts[2::2]), strict=True))


def types(lines: list[str]) -> list[str]:
    """The events of a timeline, each with what was published of it."""
    found = [re.search(r"\+ *[\d.]+ s  (\w+)(?:.*⇒ (\w+))?", line) for line in lines]
    return [match[1] + (f" {match[2]}" if match[2] else "") for match in found if match]


def endings(lines: list[str]) -> list[str]:
    """How it ended, when the seconds are said."""
    return [match[1] for line in lines if (match := re.fullmatch(r"  ([A-Z_]+) after \d+\.\d s", line))]


@pytest.mark.timeout(300)
def test_every_application_ends_as_it_must(tmp_path: Path) -> None:
    done = demo(tmp_path, "--ci", KYC_DB_DSN="postgresql://somebody:else@127.0.0.1:1/theirs", KYC_ENV="production")
    assert (done.returncode, done.stderr) == (0, "")
    told = acts(done.stdout)
    assert tuple(told) == TITLES
    assert [endings(lines) for lines in told.values()] == [
        ["VERIFIED"],
        ["REJECTED"],
        ["VERIFIED"],
        ["ROLLED_BACK"],
        ["VERIFIED"],
        ["VERIFIED"],
        ["REJECTED"],
    ]
    assert types(told[TITLES[0]]) == [
        "ApplicationSubmitted KYC_CREATED",
        "VerificationStarted",
        "CheckAnswered",
        "ScreeningStarted",
        "PersonScreened",
        "ApplicationVerified KYC_VERIFIED",
    ]
    assert types(told[TITLES[1]])[-1] == "ApplicationRejected KYC_REJECTED"
    assert any("Your document has expired." in line for line in told[TITLES[1]])
    assert types(told[TITLES[2]])[2:5] == ["CheckAnswered", "ResubmissionRequested", "ApplicationAmended"]
    assert types(told[TITLES[3]])[-5:] == [
        "RollbackStarted",
        *["StepCompensated"] * 3,
        "ApplicationRolledBack KYC_ROLLBACK",
    ]
    for title in TITLES[3:]:
        assert any("SIMULATED" in line for line in told[title])
    assert "✗" not in done.stdout
    assert "\x1b" not in done.stdout
    assert "make run" in done.stdout
    assert list(tmp_path.iterdir()) == []  # nothing stays


@pytest.mark.long
@pytest.mark.timeout(300)
def test_it_fails_when_a_picture_is_not_really_read(tmp_path: Path) -> None:
    done = demo(tmp_path, "--ci", KYC_DOCUMENT_ROUTE="simulated")
    assert done.returncode == 1
    assert done.stdout.count("✗") == 3
    assert "3 of 7 ended otherwise than they must." in done.stdout


def test_a_demo_that_cannot_start_says_why_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    done = demo(tmp_path, "--ci", KYC_PG_BIN=str(tmp_path / "nowhere"))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith("kyc: ")
    assert "nowhere" in done.stderr
    assert list(tmp_path.iterdir()) == []
