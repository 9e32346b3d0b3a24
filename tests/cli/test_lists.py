"""`kyc lists`: what an operator does with sanctions and PEP lists."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import Result

Kyc = Callable[..., Result]
Write = Callable[[Sequence[str]], str]

HUNDRED = [f"Person Number {n}" for n in range(100)]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a plain list; the answer is where."""

    def write(names: Sequence[str]) -> str:
        path = tmp_path / f"list-{len(names)}.jsonl"
        told = [{"id": f"mine:{n}", "names": [{"v": name}]} for n, name in enumerate(names)]
        path.write_text("".join(f"{json.dumps(one)}\n" for one in told), encoding="utf-8")
        return str(path)

    return write


def test_a_list_is_imported_shown_compared_and_released(kyc: Kyc, write: Write) -> None:
    first = kyc("lists", "import", "mine", write(HUNDRED))
    assert (first.exit_code, first.stdout) == (
        0,
        "mine: version 1 is in force: 100 entries, 100 added, 0 changed, 0 removed\n",
    )
    again = kyc("lists", "import", "mine", write(HUNDRED), "--json")
    assert [(one["version"], one["new"]) for one in [json.loads(again.stdout)]] == [(1, False)]

    held = kyc("lists", "import", "mine", write(HUNDRED[:50]))
    assert held.exit_code == 3
    assert held.stdout.startswith("mine: version 2 waits for a person: 50 of 100 entries are gone.")

    status = kyc("lists", "status", "--json")
    told = json.loads(status.stdout)
    assert status.exit_code == 3
    assert [(one["list"], one["version"], one["entries"]) for one in told["in_force"]] == [("mine", 1, 100)]
    assert [(one["list"], one["version"], one["status"]) for one in told["waiting"]] == [("mine", 2, "quarantined")]

    diff = json.loads(kyc("lists", "diff", "mine", "-o", "json").stdout)
    assert (diff["since"], diff["until"], len(diff["changes"])) == (1, 2, 50)
    assert diff["changes"][0] == {"change": "removed", "id": "mine:50", "name": "Person Number 50", "kind": "unknown"}

    assert kyc("lists", "release", "mine", "2").exit_code == 2
    released = kyc("lists", "release", "mine", "2", "--note", "they were delisted", "--by", "officer", "--json")
    told = json.loads(released.stdout)
    assert (told["status"], told["released_by"], told["note"]) == ("active", "officer", "they were delisted")
    assert kyc("lists", "status").exit_code == 0
    assert kyc("lists", "diff", "mine").stdout.endswith("mine: from version 1 to 2: 50 entries differ\n")


def test_a_file_that_is_no_list_is_one_line_and_a_non_zero_exit(kyc: Kyc, tmp_path: Path, write: Write) -> None:
    kyc("lists", "import", "mine", write(HUNDRED))
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    refused = kyc("lists", "import", "mine", str(path))
    assert (refused.exit_code, refused.stderr) == (1, "kyc: mine: empty.csv is empty.\n")
    status = kyc("lists", "status", "--json")
    assert [one["version"] for one in json.loads(status.stdout)["in_force"]] == [1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("lists", "release", "mine", "7", "--note", "x"),
        ("lists", "diff", "mine"),
        ("lists", "sync", "atlantis"),
        ("lists", "sync", "eu_fsf"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(kyc: Kyc, arguments: Sequence[str]) -> None:
    result = kyc(*arguments)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("lists", "sync"),
        ("lists", "import", "mine", "/nowhere.csv"),
        ("lists", "import", "mine"),
        ("lists", "release", "mine", "1", "--note", " "),
    ],
)
def test_wrong_usage_is_told(kyc: Kyc, arguments: Sequence[str]) -> None:
    assert kyc(*arguments).exit_code == 2


def test_the_sample_list_says_what_it_is(kyc: Kyc, write: Write) -> None:
    status = kyc("lists", "status")
    assert status.exit_code == 0
    assert "SCREENING RUNS ON THE SAMPLE LIST" in status.stderr
    assert kyc("lists", "import", "sample", write(HUNDRED)).exit_code == 2


def test_a_list_that_is_wanted_and_missing_is_a_warning(kyc: Kyc, write: Write) -> None:
    kyc("lists", "import", "mine", write(HUNDRED))
    status = kyc("lists", "status", KYC_WATCHLISTS="mine,un_sc")
    assert status.exit_code == 3
    assert status.stderr == "kyc: The list un_sc is not in force: run `kyc lists sync`.\n"


def test_a_list_of_ones_own_is_fetched_from_where_the_setting_says(kyc: Kyc) -> None:
    result = kyc("lists", "sync", KYC_WATCHLISTS="mine=http://lists.example/mine.jsonl?token=s3cret")
    assert (result.exit_code, result.stderr) == (1, "kyc: mine: http://lists.example/mine.jsonl is not HTTPS.\n")
    assert "s3cret" not in kyc("config", KYC_WATCHLISTS="mine=https://lists.example/mine.jsonl?token=s3cret").stdout
