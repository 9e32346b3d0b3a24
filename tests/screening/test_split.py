"""The other benchmark: nobody is called innocent who may be on the list, and what is written reads back."""

import json

import pytest

from kyc_service.screening.bulk import read_query, read_truth
from kyc_service.screening.entries import Birth, Entry, Group, Kind, ListedName
from kyc_service.screening.lists import plain_jsonl
from kyc_service.screening.lists.reading import Problems
from kyc_service.screening.names import tokens_of
from kyc_service.screening.query import Query
from scripts.split_screening import line, listed, perhaps_listed

DAY = Birth(first="1961-04-17", last="1961-04-17")
ZORANOV = Entry(
    id="test:1",
    source="test",
    group=Group.SANCTION,
    kind=Kind.PERSON,
    names=(ListedName(value="Viktor Alekseevich Zoranov"),),
    births=(DAY,),
    countries=("ru",),
)
TOKENS = frozenset(tokens_of(ZORANOV.names[0].value, Kind.PERSON))
BY_TOKEN = {token: [(ZORANOV, TOKENS)] for token in TOKENS}


@pytest.mark.parametrize(
    ("name", "births", "expected"),
    [
        ("Viktor Zoranov", (), True),
        ("Viktor Soranov", (Birth(first="1962-01-01", last="1962-12-31"),), True),
        ("Viktor Zoranov", (Birth(first="1990-01-01", last="1990-12-31"),), False),
        ("Viktor Sidorkin", (DAY,), False),
    ],
)
def test_whoever_may_be_on_the_list_is_no_innocent(name: str, births: tuple[Birth, ...], expected: bool) -> None:
    assert perhaps_listed(Query(kind=Kind.PERSON, names=(name,), births=births), BY_TOKEN) is expected


def test_entries_and_queries_read_back_in_the_formats_of_the_tools() -> None:
    assert plain_jsonl.read(json.dumps(listed(ZORANOV)), 1, "test", Problems()) == ZORANOV
    query = Query(kind=Kind.PERSON, names=("V. Zoranov",), births=(DAY,), countries=("ru",))
    written = json.dumps({"qid": "q1", **line(query, "initial", ZORANOV)})
    assert read_query(written, 1).query == query
    assert read_truth(written, 1).target == "test:1"
