"""`kyc screen` finds a name on a list, answers a file of queries, and tells what a threshold costs."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Kyc = Callable[..., Result]

LISTED = (
    {"id": "mine:1", "schema": "Person", "names": [{"v": "ZORANOV, Viktor", "k": "primary"}], "dobs": ["1961-04-17"],
     "countries": ["ru"], "programs": ["TEST"]},
    {"id": "mine:2", "schema": "Company", "names": [{"v": "Tarnak Steel Trading FZE", "k": "primary"}]},
)  # fmt: skip
ASKED = (
    {"qid": "q1", "kind": "positive", "category": "exact", "target": "mine:1", "schema": "Person",
     "name": "Viktor Zoranov", "birth_date": "1961-04-17", "countries": ["ru"], "gender": None},
    {"qid": "q2", "kind": "positive", "category": "org", "target": "mine:2", "schema": "LegalEntity",
     "name": "Tarnak Steel Trade LLC", "birth_date": None, "countries": [], "gender": None},
    {"qid": "q3", "kind": "negative", "category": "neg", "schema": "Person", "name": "Heinrich Wolpert",
     "birth_date": "6143-06-01"},
)  # fmt: skip


@pytest.fixture
def watchlist(tmp_path: Path) -> Path:
    path = tmp_path / "list.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, LISTED)).encode()))
    return path


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "queries.jsonl"
    path.write_text("\n".join(map(json.dumps, ASKED)))
    return path


def test_a_name_is_found_and_explained(kyc: Kyc, watchlist: Path) -> None:
    found = kyc(
        *("screen", "Wiktor Soranow", "--birth-date", "1961-04-17", "--country", "RU"),
        *("--watchlist", str(watchlist), "--json"),
    )
    (match,) = json.loads(found.stdout)
    assert (match["entry_id"], match["list"]) == ("mine:1", "mine")
    assert match["explanation"]["list"]["programmes"] == ["TEST"]
    told = kyc("screen", "Viktor Zoranov", "--birth-date", "1961", "--watchlist", str(watchlist)).stdout
    assert "mine:1" in told
    assert "dates of birth that agree" in told


def test_without_a_list_of_ones_own_those_in_force_are_searched(kyc: Kyc) -> None:
    found = kyc("screen", "Nobody Whatsoever")
    assert found.exit_code == 0
    assert found.stdout.startswith("nobody of ")
    assert "SAMPLE LIST" in found.stderr


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_file_of_queries_is_answered_and_reported_on(
    kyc: Kyc, watchlist: Path, queries: Path, tmp_path: Path, processes: str
) -> None:
    out = tmp_path / "answers.jsonl"
    done = kyc(
        "screen", "--watchlist", str(watchlist), "--queries", str(queries), "--out", str(out), "--processes", processes
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "1 dates of birth" in done.stderr
    answers = {told["qid"]: told["hits"] for told in map(json.loads, out.read_text().splitlines())}
    assert [answers[qid][0][0] for qid in ("q1", "q2")] == ["mine:1", "mine:2"]
    assert answers["q3"] == []
    rows = json.loads(kyc("screen", "report", "--queries", str(queries), "--results", str(out), "--json").stdout)
    half = next(row for row in rows if row["threshold"] == 0.5)
    assert half == {"threshold": 0.5, "recall": 1.0, "false_positives": 0.0, "alerts_per_thousand": 0.0}
    assert "alerts per 1 000" in kyc("screen", "report", "--queries", str(queries), "--results", str(out)).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["screen", "search"], 2, "whom to look for?"),
        (["screen", "Jane", "--birth-date", "soon", "--watchlist", "LIST"], 2, "--birth-date is no day"),
        (["screen", "Jane", "--country", "Narnia", "--watchlist", "LIST"], 2, "two letters"),
        (["screen", "--queries", "LIST"], 2, "needs --watchlist"),
        (["screen", "--queries", "BAD", "--watchlist", "LIST", "--out", "out"], 1, "line 1 is no query"),
        (["screen", "Jane", "--watchlist", "BAD"], 1, "Line 1 is no JSON object"),
        (["screen", "report", "--queries", "BAD", "--results", "LIST"], 1, "does not say"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    kyc: Kyc, watchlist: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    places = {"LIST": str(watchlist), "BAD": str(bad)}
    done = kyc(*(places.get(argument, argument) for argument in arguments))
    assert (done.exit_code, said in done.stderr) == (code, True), done.output
    assert not (tmp_path / "out").exists()
