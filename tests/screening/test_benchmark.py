"""What the engine finds on real lists, measured on a part of the benchmark."""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kyc_service.screening.bulk import read_query
from kyc_service.screening.engine import scored
from kyc_service.screening.index import Index
from kyc_service.screening.lists import plain_jsonl
from kyc_service.screening.lists.reading import Problems

PART = 12  # one query of so many


def _asked(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            told = json.loads(line)
            pep = told["kind"] == "positive" and told["list_group"] == "pep"
            if number % PART == 0 and not pep:
                yield line, told


@pytest.mark.long
def test_the_sanctioned_are_found_and_the_innocent_left_alone(data: Path) -> None:
    folder = data / "screening" / "bench"
    index = Index.build(plain_jsonl.parse({"main": folder / "watchlist.jsonl.gz"}, "bench", Problems()))
    ids = index.ids()
    guilty: list[float] = []
    certain: list[float] = []
    clean: list[float] = []
    namesakes: list[float] = []
    for number, (line, told) in enumerate(_asked(folder / "queries.jsonl.gz")):
        hits = [(ids[hit.entry], hit.probability) for hit in scored(index, read_query(line, number).query)]
        sanctioned = [(entry, value) for entry, value in hits if not entry.startswith("pep_")]
        if told["kind"] == "positive":
            guilty.append(max((value for entry, value in sanctioned if entry == told["target"]), default=0.0))
            if told["category"] in {"exact", "order", "mrz"}:
                certain.append(guilty[-1])
        else:
            among = namesakes if told["category"] == "neg_namesake" else clean
            among.append(max((value for _, value in sanctioned), default=0.0))
    threshold = sorted(clean, reverse=True)[len(clean) // 100]
    assert len(guilty) > 400
    assert sum(value > threshold for value in guilty) / len(guilty) >= 0.93  # 0.95 on the whole; this is a part
    assert sum(value > threshold for value in certain) / len(certain) >= 0.98
    assert sum(value > threshold for value in namesakes) / len(namesakes) <= 0.05
