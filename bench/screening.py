"""What screening costs, and what it finds: `python bench/screening.py [--people 1000000]`.

Everything is CPU time of this process, and compared within one run. The names are generated from the name groups'
alphabet of syllables, so that no list has to be at hand; with WATCHLIST and QUERIES (the formats of `kyc screen`) real
ones are used. rapidfuzz scans the same names always; with --logic-v2 PYTHON, nomenklatura's logic-v2 is asked the same
in an environment of its own where it is installed (it needs ICU).
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rapidfuzz import fuzz
from rapidfuzz.distance import JaroWinkler
from rapidfuzz.process import cdist

from kyc_service.screening.bulk import read_query, read_truth
from kyc_service.screening.engine import candidates, rescreen, scored
from kyc_service.screening.entries import Birth, Entry, Group, Kind, ListedName, NameKind
from kyc_service.screening.features import prepared
from kyc_service.screening.index import Index
from kyc_service.screening.lists import plain_jsonl
from kyc_service.screening.lists.reading import Problems
from kyc_service.screening.query import Query, query_of

SYLLABLES = "al ba be bo da de di do fa ga go ha hi ib ja ka ki ko la le li lo ma me mi mo mu na ni no os pa pe ra ri ro sa se shi so ta te ti to ul va vi vo ya yu za ze zo".split()  # noqa: E501, SIM905
DELTA = 59  # people whose entries changed on the busiest ordinary day of OFAC's history (2024-02-23)


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU."""
    before = time.process_time()
    work()
    return time.process_time() - before


def people(count: int, seed: int) -> Iterator[Entry]:
    """Made-up people; given names are few and common, family names many and rare, as they are."""
    dice = random.Random(seed)
    given = ["".join(dice.choices(SYLLABLES, k=dice.choice((2, 2, 3)))) for _ in range(3_000)]
    family = ["".join(dice.choices(SYLLABLES, k=dice.choice((2, 3, 3, 4)))) for _ in range(80_000)]
    for number in range(count):
        parts = [given[int(dice.paretovariate(0.6)) % 3_000], family[int(dice.paretovariate(0.35)) % 80_000]]
        if dice.random() < 0.4:
            parts.insert(1, given[int(dice.paretovariate(0.6)) % 3_000])
        names = [ListedName(value=" ".join(parts))]
        if seed == 1 and dice.random() < 0.6:
            names.append(ListedName(value=" ".join(reversed(parts)), kind=NameKind.ALIAS))
        day = f"{dice.randrange(1940, 2005)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}"
        yield Entry(
            id=f"made-up:{number}",
            source="made-up",
            group=Group.SANCTION,
            kind=Kind.PERSON,
            names=tuple(names),
            births=(Birth(first=day, last=day),),
            countries=(dice.choice(("ru", "ir", "sy", "us", "gb", "de")),),
        )


def resident() -> float:
    """MiB of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def per_query(index: Index, queries: Sequence[Query]) -> list[float]:
    """Milliseconds of CPU for each query, with whatever the index has learnt from those before it."""
    return [1000 * cpu(lambda query=query: scored(index, query)) for query in queries]


def told(name: str, milliseconds: Sequence[float], against: float | None = None) -> float:
    """Print the median and the slow end; return the mean."""
    mean = float(np.mean(milliseconds))
    ratio = f"   {mean / against:6.1f} × ours" if against else ""
    print(f"  {name:44} p50 {np.median(milliseconds):7.2f}   p95 {np.quantile(milliseconds, 0.95):7.2f} ms{ratio}")
    return mean


def single(entries: Sequence[Entry], queries: Sequence[Query]) -> tuple[Index, float]:
    """Build, ask one by one, and let the scans of rapidfuzz do the same; the index, and milliseconds a query."""
    before = resident()
    started = time.process_time()
    index = Index.build(entries)
    print(f"{len(index)} entries, {index.names} names: built in {time.process_time() - started:.2f} s of CPU, ", end="")
    per_query(index, queries[:20])
    print(f"{resident() - before:.0f} MiB more than without")
    ours = told("this engine: retrieval, features, probability", per_query(index, queries))
    texts = [name.value.lower() for entry in entries for name in entry.names]
    asked = [query.names[0].lower() for query in queries[:40]]
    for name, scorer in (
        ("rapidfuzz JaroWinkler scan", JaroWinkler.normalized_similarity),
        ("rapidfuzz token_sort_ratio scan", fuzz.token_sort_ratio),
        ("rapidfuzz token_set_ratio scan", fuzz.token_set_ratio),
        ("rapidfuzz WRatio scan", fuzz.WRatio),
    ):
        told(name, [1000 * cpu(lambda text=text, by=scorer: cdist([text], texts, scorer=by)) for text in asked], ours)
    return index, ours


# Runs in the other environment. It scores entities that share an id once for all, so every one has its own.
PEER = """
import json, sys, time
from followthemoney import model
from nomenklatura.matching import LogicV2, ScoringConfig
config, number = ScoringConfig.defaults(), 0
def entity(told):
    global number
    number += 1
    return model.get_proxy({"id": f"e{number}", **told})
for line in sys.stdin:
    asked, entries = json.loads(line)
    asked, entries = entity(asked), [entity(entry) for entry in entries]
    before = time.process_time()
    scores = [LogicV2.compare(asked, entry, config).score for entry in entries]
    print(json.dumps([time.process_time() - before, scores]), flush=True)
"""
SCHEMAS = {Kind.PERSON: "Person", Kind.ORGANISATION: "LegalEntity", Kind.VESSEL: "Vessel", Kind.AIRCRAFT: "Airplane"}


def entity(about: Query) -> dict[str, object]:
    """Somebody as FollowTheMoney says it."""
    person = about.kind is Kind.PERSON
    said = {
        "name": list(about.names),
        "birthDate" if person else "incorporationDate": [
            birth.first if birth.first == birth.last else birth.first[:4] for birth in about.births
        ],
        "nationality" if person else "country": list(about.countries),
        "gender": [about.gender] if person and about.gender else [],
    }
    schema = SCHEMAS.get(about.kind, "LegalEntity")
    named = {"name": said["name"]} if schema in {"Vessel", "Airplane"} else said
    return {"schema": schema, "properties": named}


def logic_v2(python: str, index: Index, asked: Sequence[tuple[Query, str | None]], ours: float) -> None:
    """The matcher of nomenklatura on the fifty candidates that our retrieval finds, and the right one always there.

    *asked*: queries with the id of the entry that they are about, or None; *ours*: milliseconds that we take for one of
    them. Fifty candidates are as many as yente scores.
    """
    place_of = {identity: place for place, identity in enumerate(index.ids())}
    jobs = []
    for query, target in asked:
        name = prepared(query.names[0], query.kind, index, index)
        found = index.name_entry[candidates(index, name, query, at_most=50)].tolist() if name else []
        places = list(dict.fromkeys(([place_of[target]] if target else []) + found))
        if places:
            jobs.append((query, target, places))
    lines = [
        json.dumps([entity(query), [entity(query_of(index.entry(place))) for place in places]])
        for query, _, places in jobs
    ]
    done = subprocess.run([python, "-c", PEER], input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  nomenklatura logic-v2 does not run in {python}: {done.stderr.strip().splitlines()[-1]}")
        return
    pairs = theirs_spent = 0.0
    scores: dict[str, list[tuple[bool, float]]] = {"this engine": [], "logic-v2": []}
    for (query, target, places), line in zip(jobs, done.stdout.splitlines(), strict=True):
        seconds, values = json.loads(line)
        pairs, theirs_spent = pairs + len(places), theirs_spent + seconds
        hits = {hit.entry: hit.probability for hit in scored(index, query)}
        right = place_of[target] if target else None
        scores["logic-v2"].append((bool(target), values[0] if target else max(values)))
        scores["this engine"].append(
            (bool(target), hits.get(right, 0.0) if right is not None else max(hits.values(), default=0.0))
        )
    fifty = 1000 * theirs_spent / pairs * 50
    print(f"  logic-v2: {pairs / theirs_spent:.0f} pairs a second, {fifty:.1f} ms for fifty: {fifty / ours:.1f} × ours")
    for who, judged in scores.items():
        clean = sorted((value for guilty, value in judged if not guilty), reverse=True)
        guilty = [value for is_guilty, value in judged if is_guilty]
        if not clean or not guilty:
            continue
        told = ", ".join(
            f"{np.mean([value > clean[int(rate * len(clean))] for value in guilty]):.3f} at {rate:.1%}"
            for rate in (0.02, 0.01, 0.005)
        )
        print(f"  {who}: of {len(guilty)} listed found {told} of {len(clean)} clean ones")


_shared: list[Index] = []


def _open(path: Path) -> None:
    _shared[:] = [Index.open(path)]


def _ask(queries: Sequence[Query]) -> int:
    return sum(len(scored(_shared[0], query)) for query in queries)


def on_all_cores(index: Index, queries: Sequence[Query]) -> None:
    """Queries a second, the processes sharing one file."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.index"
        index.save(path)
        with ProcessPoolExecutor(cores, get_context("spawn"), initializer=_open, initargs=(path,)) as pool:
            list(pool.map(_ask, [queries[:5]] * cores))
            started = time.perf_counter()
            list(pool.map(_ask, [queries[at::8] for at in range(8)]))
            elapsed = time.perf_counter() - started
    print(f"  {len(queries) / elapsed:.0f} queries a second on {cores} cores")


def watching(lists: Index, count: int) -> None:
    """Changed entries against everybody whom we know."""
    started = time.process_time()
    ours = Index.build(people(count, 2))
    spent_building = time.process_time() - started
    print(f"{len(ours)} people of our own: built in {spent_building:.1f} s of CPU, {resident():.0f} MiB in all")
    changed = [lists.entry(place) for place in random.Random(3).sample(range(len(lists)), DELTA)]
    rescreen(ours, changed[0], lists)
    spent = [1000 * cpu(lambda entry=entry: rescreen(ours, entry, lists)) for entry in changed]
    mean = told("one changed entry × everybody", spent)
    names = sum(len(entry.names) for entry in changed)
    print(f"  a day's delta ({DELTA} entries, {names} names) × everybody: {sum(spent) / 1000:.1f} s of CPU")
    asked = [query_of(ours.entry(place)) for place in range(50)]
    mine = float(np.mean(per_query(lists, asked)))
    print(
        f"  the other way round, everybody × the list: {mine * count / 60_000:.0f} min; {mine / mean:.2f} × one entry"
    )


def real(watchlist: Path, queries: Path) -> tuple[list[Entry], list[tuple[Query, str | None]]]:
    """A list, and queries with whom they are about, in the formats of `kyc screen`."""
    entries = list(plain_jsonl.parse({"main": watchlist}, "bench", Problems()))
    opened = subprocess.run(["gzip", "-cdf", queries], capture_output=True, check=True).stdout.decode().splitlines()
    asked = [
        (read_query(line, number).query, truth.target)
        for number, line in enumerate(opened, 1)
        if (truth := read_truth(line, number)).category != "neg_namesake"
    ]
    return entries, random.Random(4).sample(asked, min(1_500, len(asked)))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchlist", type=Path)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--logic-v2", metavar="PYTHON", help="of an environment with nomenklatura")
    parser.add_argument("--people", type=int, default=200_000)
    arguments = parser.parse_args()
    if arguments.watchlist and arguments.queries:
        entries, asked = real(arguments.watchlist, arguments.queries)
        queries = [query for query, _ in asked]
        sizes = [len(entries)]
    else:
        entries = list(people(40_000, 1))
        queries = [query_of(entry) for entry in people(600, 2)]
        asked = [(query, None) for query in queries]
        sizes = [16_000, 40_000]
    index, ours = Index.build([]), 0.0
    for size in sizes:
        index, ours = single(entries[:size], queries)
    if arguments.logic_v2:
        logic_v2(arguments.logic_v2, index, asked, ours)
    on_all_cores(index, queries)
    watching(index, arguments.people)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
