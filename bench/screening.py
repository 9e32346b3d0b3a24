"""What screening costs, and what it finds: `python bench/screening.py [--people 1000000]`.

Everything is CPU time of this process, and compared within one run. The names are generated from the name groups'
alphabet of syllables, so that no list has to be at hand; with WATCHLIST and QUERIES (the formats of `kyc screen`) real
ones are used. rapidfuzz scans the same names always; nomenklatura's logic-v2 is asked when it is installed.
"""

import argparse
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

from kyc_service.screening.bulk import read_query
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


def single(entries: Sequence[Entry], queries: Sequence[Query]) -> Index:
    """Build, ask one by one, and let the scans of rapidfuzz do the same."""
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
    logic_v2(index, queries[:40], ours)
    return index


def logic_v2(index: Index, queries: Sequence[Query], ours: float) -> None:
    """The matcher of nomenklatura on fifty candidates, as many as yente scores, found for it by our own retrieval."""
    try:
        from followthemoney import model
        from nomenklatura.matching import LogicV2, ScoringConfig
    except ImportError:
        print("  nomenklatura logic-v2: not installed (pip install nomenklatura)")
        return

    def proxy(names: Sequence[str], identity: str) -> object:
        return model.get_proxy({"id": identity, "schema": "Person", "properties": {"name": list(names)}})

    config = ScoringConfig.defaults()
    spent = []
    for query in queries:
        name = prepared(query.names[0], query.kind, index, index)
        found = candidates(index, name, query, at_most=50) if name else []
        pairs = [
            proxy([one.value for one in index.entry(int(index.name_entry[place])).names], str(place)) for place in found
        ]
        if pairs:
            asked = proxy(query.names, "q")
            work = cpu(lambda asked=asked, pairs=pairs: [LogicV2.compare(asked, pair, config) for pair in pairs])
            spent.append(1000 * work * 50 / len(pairs))
    told("nomenklatura logic-v2, 50 given candidates", spent, ours)


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


def real(watchlist: Path, queries: Path) -> tuple[list[Entry], list[Query]]:
    """A list and queries in the formats of `kyc screen`."""
    entries = list(plain_jsonl.parse({"main": watchlist}, "bench", Problems()))
    opened = subprocess.run(["gzip", "-cdf", queries], capture_output=True, check=True).stdout.decode().splitlines()
    asked = [read_query(line, number).query for number, line in enumerate(opened, 1)]
    return entries, random.Random(4).sample(asked, min(1_500, len(asked)))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchlist", type=Path)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--people", type=int, default=200_000)
    arguments = parser.parse_args()
    if arguments.watchlist and arguments.queries:
        entries, queries = real(arguments.watchlist, arguments.queries)
        sizes = [len(entries)]
    else:
        entries = list(people(40_000, 1))
        queries = [query_of(entry) for entry in people(600, 2)]
        sizes = [16_000, 40_000]
    index = Index.build([])
    for size in sizes:
        index = single(entries[:size], queries)
    on_all_cores(index, queries)
    watching(index, arguments.people)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
