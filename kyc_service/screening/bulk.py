"""Many queries at once, on every core: the processes share one index file, and each answers a part of the queries."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeAlias

from kyc_service.domain.record import record
from kyc_service.screening.engine import scored
from kyc_service.screening.entries import Birth, Identifier, Kind
from kyc_service.screening.index import Index
from kyc_service.screening.lists import dates
from kyc_service.screening.lists.dates import DateUnreadable
from kyc_service.screening.lists.plain_jsonl import KINDS
from kyc_service.screening.query import Query

LEAST: Final = 0.05  # probability from which on a candidate is told
_PART: Final = 200  # queries that a process is handed at a time

Hits: TypeAlias = Sequence[tuple[str, float]]


class QueryUnreadable(Exception):
    """A line is no JSON object with a `qid` and a `name`."""


@record
class Numbered:
    """A query with the id that its answer goes under. `dateless`: it has a date of birth that cannot be one."""

    id: str
    query: Query
    dateless: bool = False


def read_query(line: str, number: int) -> Numbered:
    """The query on one line: {"qid", "name"}, and perhaps "schema", "birth_date", "countries", "gender", "ids".

    A date of birth that cannot be one is left out, as a list's would be: the name is still looked for.

    Raises:
        QueryUnreadable: it is none.
    """
    births: tuple[Birth, ...] = ()
    try:
        told = json.loads(line)
        with suppress(DateUnreadable):
            births = born(told.get("birth_date"))
        names = (str(told["name"]), *map(str, told.get("names") or ()))
        return Numbered(
            id=str(told["qid"]),
            query=Query(
                kind=KINDS.get(str(told.get("schema")), Kind.UNKNOWN),
                names=names,
                births=births,
                countries=tuple(str(code).lower() for code in told.get("countries") or ()),
                gender=told.get("gender"),
                identifiers=tuple(Identifier(type="other", value=str(value)) for value in told.get("ids") or ()),
            ),
            dateless=bool(told.get("birth_date")) and not births,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise QueryUnreadable(f"line {number} is no query: {type(error).__name__}") from error


def born(text: str | None) -> tuple[Birth, ...]:
    """A date of birth as a query writes it: a day, a month or a year.

    Raises:
        DateUnreadable: it is none of them.
    """
    return (dates.birth(text),) if text else ()


def answers(index: Path, queries: Iterable[Numbered], *, processes: int) -> Iterator[tuple[str, Hits]]:
    """The hits of every query, in the order of the queries."""
    parts = _parts(queries)
    if processes == 1:
        _open(index)
        for part in parts:
            yield from _answered(part)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_open, initargs=(index,)) as pool:
        for answered in pool.map(_answered, parts):
            yield from answered


def _parts(queries: Iterable[Numbered]) -> Iterator[list[Numbered]]:
    source = iter(queries)
    while part := list(islice(source, _PART)):
        yield part


_opened: list[tuple[Index, Mapping[int, str]]] = []


def _open(index: Path) -> None:
    opened = Index.open(index)
    _opened[:] = [(opened, dict(enumerate(opened.ids())))]


def _answered(part: Sequence[Numbered]) -> list[tuple[str, Hits]]:
    index, ids = _opened[0]
    return [
        (
            one.id,
            [(ids[hit.entry], hit.probability) for hit in scored(index, one.query) if hit.probability >= LEAST],
        )
        for one in part
    ]


# ── What a threshold costs ────────────────────────────────────────────────────────────────────────────────────────
THRESHOLDS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@record
class Truth:
    """What a query of a benchmark is about: nobody (`targets` is empty), or any of these entries."""

    id: str
    target: str | None
    category: str


@record
class Figures:
    """How a threshold does: shares of 0 to 1, and alerts for a thousand clean people."""

    threshold: float
    recall: float
    false_positives: float
    alerts_per_thousand: float


def read_truth(line: str, number: int) -> Truth:
    """The ground truth on one line: {"qid", "kind": "positive" or "negative", "category", "target"}.

    Raises:
        QueryUnreadable: it is none.
    """
    try:
        told = json.loads(line)
        positive = told["kind"] == "positive"
        return Truth(
            id=str(told["qid"]), target=str(told["target"]) if positive else None, category=str(told.get("category"))
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise QueryUnreadable(f"line {number} does not say what its query is about") from error


def figures(truth: Iterable[Truth], results: Mapping[str, Hits]) -> list[Figures]:
    """What each of `THRESHOLDS` finds and costs. A query without a result found nobody.

    Namesakes (`neg_namesake`) are left out of the clean people: they have a listed name, and only the date tells.
    """
    known = list(truth)
    guilty = [
        max((value for entry, value in results.get(one.id, ()) if entry == one.target), default=0.0)
        for one in known
        if one.target
    ]
    clean = [
        sorted((value for _, value in results.get(one.id, ())), reverse=True)
        for one in known
        if not one.target and one.category != "neg_namesake"
    ]
    return [
        Figures(
            threshold=threshold,
            recall=_share(value >= threshold for value in guilty),
            false_positives=_share(bool(values) and values[0] >= threshold for values in clean),
            alerts_per_thousand=1000
            * (sum(value >= threshold for values in clean for value in values) / len(clean) if clean else 0.0),
        )
        for threshold in THRESHOLDS
    ]


def _share(those: Iterable[bool]) -> float:
    found = list(those)
    return sum(found) / len(found) if found else 0.0
