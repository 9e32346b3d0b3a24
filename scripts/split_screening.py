"""Two more benchmarks of the screening engine: `python -m scripts.split_screening LISTS WHEEL OUT [--without LIST]`.

`learnt` is of people whom the model was trained with, on other dice, and does to their names what training does.
`unseen` is of those whom training puts aside (`people.held_out`) and of an OpenSanctions list, if there is a
`ua_war/targets.simple.csv` in LISTS, and does to their names what `scripts.other_noise` does. The aliases and the names
in other scripts that are looked for are real ones, taken off the list. Nobody of the list given as --without, and
nobody who shares a name or a number with them, is in either. LISTS and WHEEL are those of `scripts.people`.

Each goes into its folder of OUT as `watchlist.jsonl` and `queries.jsonl`, in the formats of `kyc screen search` and
`report`, and what the engine reaches on it is printed.
"""

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from kyc_service.domain.record import record
from kyc_service.screening.bulk import Hits, answers, read_query
from kyc_service.screening.entries import Entry, Group, Kind, NameKind
from kyc_service.screening.index import Index, similarity
from kyc_service.screening.lists import opensanctions_csv, plain_jsonl
from kyc_service.screening.lists.reading import Problems
from kyc_service.screening.names import is_distinctive, tokens_of
from kyc_service.screening.query import Query
from scripts import noise, other_noise, people
from scripts.noise import Habits

SCHEMAS = {Kind.PERSON: "Person", Kind.ORGANISATION: "LegalEntity", Kind.VESSEL: "Vessel", Kind.AIRCRAFT: "Airplane"}
PEOPLE = 6_000  # made-up PEPs of the list, and as many made-up innocents
MADE_UP = "pep_made_up"
Line = Mapping[str, object]


@record
class Part:
    """One of the benchmarks: who may be on its list, and what happens to names. `asked`: queries for each entry."""

    name: str
    entries: Sequence[tuple[int, Entry]]  # with the number of their cluster
    habits: Habits
    asked: int


def parts(folder: Path, wheel: Path, without: Path | None) -> tuple[Sequence[Part], Sequence[Sequence[str]]]:
    """The benchmarks, and the groups of names that people are made up of."""
    by_form, common = people.name_forms(wheel)
    listed = people.listed(folder)
    aside = people.held_out(listed)
    learnt = {entry.id for entry in listed} - aside
    war = folder / "ua_war" / "targets.simple.csv"
    if war.exists():
        listed += [entry for entry in opensanctions_csv.parse({"main": war}, "ua_war", Problems()) if entry.names]
    other = list(plain_jsonl.parse({"main": without}, "other", Problems())) if without else []
    numbers = people.clusters([*listed, *other])
    elsewhere = set(numbers[len(listed) :])
    seen = {number for entry, number in zip(listed, numbers, strict=False) if entry.id in learnt}
    free = [
        (number, entry)
        for entry, number in zip(listed, numbers, strict=False)
        if number not in elsewhere and entry.kind in SCHEMAS
    ]
    return (
        Part(
            name="learnt",
            entries=[one for one in free if one[0] in seen],
            habits=as_in_the_benchmark(noise.habits(by_form)),
            asked=1,
        ),
        Part(name="unseen", entries=[one for one in free if one[0] not in seen], habits=other_noise.habits(), asked=3),
    ), common


def as_in_the_benchmark(habits: Habits) -> Habits:
    """The noises about as often as in the benchmark that the project is measured on, which lacks some of them."""
    return replace(
        habits,
        noises={
            kind: [replace(one, share=SHARES[one.category]) for one in noises if one.category in SHARES]
            for kind, noises in habits.noises.items()
        },
    )


SHARES = {
    "exact": 10, "order": 6, "missing_part": 10, "extra_token": 5, "initial": 4, "typo1": 9, "typo2": 6, "ocr": 4,
    "mrz": 4, "spelling_variant": 10, "spelling_variants": 3, "spacing": 8, "nickname": 5, "romanisation": 11,
    "adversarial": 3,
    "org_exact": 25, "org_legal_form": 30, "org_typo": 15, "org_typo2": 10, "org_spelling": 5, "org_without_common": 5,
    "vessel": 60, "vessel_prefix": 25, "vessel_typo": 15,
}  # fmt: skip


def guilty(entries: Sequence[Entry], taken: Sequence[tuple[int, str]], part: Part, random: Random) -> Iterator[Line]:
    """Queries about somebody on the list."""
    for entry in entries:
        usable = [name.value for name in entry.names if name.kind not in {NameKind.WEAK, NameKind.ORIGINAL}]
        for _ in range(part.asked if usable else 0):
            noisy = part.habits.noise(entry.kind, random)
            changed = noisy.change(random.choice(usable), random)
            asked = people.about(entry, changed, frozenset(), part.habits, random)
            yield line(asked.query, noisy.category, entry)
    for place, alias in taken:
        entry = entries[place]
        kind = "alias_loo" if any(letter.isascii() and letter.isalpha() for letter in alias) else "cross_script"
        asked = people.about(entry, alias, frozenset(), part.habits, random)
        yield line(asked.query, kind if entry.kind is Kind.PERSON else f"org_{kind}", entry)


def innocent(
    entries: Sequence[Entry], off: Sequence[Entry], common: Sequence[Sequence[str]], random: Random
) -> Iterator[Line]:
    """Queries about nobody on the list; who might be somebody on it after all is left out."""
    by_token: dict[str, list[tuple[Entry, frozenset[str]]]] = defaultdict(list)
    for entry in entries:
        for name in entry.names:
            tokens = frozenset(tokens_of(name.value, entry.kind))
            for token in tokens:
                by_token[token].append((entry, tokens))
    for asked in people.innocent(entries, off, list(people.crowd(common, PEOPLE, random)), random):
        told_apart = asked.category in {"neg_namesake", "neg_common_names", "neg_recombined"}
        if told_apart or (asked.category != "neg_namesake_undated" and not perhaps_listed(asked.query, by_token)):
            yield line(asked.query, asked.category, None)


def perhaps_listed(query: Query, by_token: Mapping[str, Sequence[tuple[Entry, frozenset[str]]]]) -> bool:
    """Whether an entry has a name with most of the query's words that say something, and no other year of birth."""
    tokens = frozenset(tokens_of(query.names[0], query.kind))
    core = frozenset(filter(is_distinctive, tokens)) or tokens
    years = {birth.first[:4] for birth in query.births}
    near = {str(int(year) + away) for year in years for away in (-1, 0, 1)}
    share = 0.6 if query.kind is not Kind.PERSON else 0.7
    return any(
        sum(any(similarity(one, other) >= 0.7 for other in theirs) for one in core)
        >= share * min(len(core), len(theirs))
        and (not near or not entry.births or any(birth.first[:4] in near for birth in entry.births))
        for token in core
        for entry, theirs in by_token.get(token, ())
    )


def line(query: Query, category: str, target: Entry | None) -> Line:
    """A query, with what it is about."""
    (birth,) = query.births or (None,)
    return {
        "schema": SCHEMAS[query.kind],
        "name": query.names[0],
        "birth_date": birth and (birth.first if birth.first == birth.last else birth.first[:4]),
        "countries": list(query.countries),
        "gender": query.gender,
        "kind": "positive" if target else "negative",
        "category": category,
        "target": target and target.id,
        "also_ok": [],
        "list_group": target and target.group.value,
    }


def listed(entry: Entry) -> Line:
    """An entry in the plain format."""
    return {
        "id": entry.id,
        "list": entry.source,
        "schema": SCHEMAS[entry.kind],
        "group": entry.group.value,
        "names": [{"v": name.value, "k": KINDS_OF_NAMES[name.kind]} for name in entry.names],
        "dobs": [birth.first if birth.first == birth.last else birth.first[:4] for birth in entry.births],
        "countries": list(entry.countries),
        "gender": entry.gender,
    }


KINDS_OF_NAMES = {kind: short for short, kind in plain_jsonl.NAMES.items()}


def write(path: Path, lines: Iterable[Line]) -> None:
    """One line of JSON for each."""
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines), encoding="utf-8")


def make(part: Part, common: Sequence[Sequence[str]], seed: int) -> tuple[list[Entry], list[Line]]:
    """The list of a benchmark, six in ten of who may be on it and made-up PEPs, and its queries."""
    random = Random(seed)
    on = {number: Random(f"split {seed}:{number}").random() < 0.6 for number, _ in part.entries}
    listed_people = [entry for number, entry in part.entries if on[number]]
    peps = people.made_up_peps(common, PEOPLE, MADE_UP, random)
    everybody, aliases = people.without_some_aliases([*listed_people, *peps], random)
    off = [entry for number, entry in part.entries if not on[number]]
    queries = [*guilty(everybody, aliases, part, random), *innocent(everybody, off, common, random)]
    return everybody, [{"qid": f"q{at}", **query} for at, query in enumerate(queries)]


# ── What the engine reaches ───────────────────────────────────────────────────────────────────────────────────────
RATES = (0.01, 0.005, 0.001)


def measured(queries: Sequence[Line], found: Mapping[str, Hits], *, peps: bool) -> str:
    """Recall of the exact entry at shares of clean people alerted on, and by category at the first of them."""
    guilty_values: dict[str, list[float]] = defaultdict(list)
    clean: list[float] = []
    namesakes: list[float] = []
    for query in queries:
        hits = [hit for hit in found[str(query["qid"])] if peps or not hit[0].startswith(MADE_UP)]
        if query["kind"] == "negative":
            among = namesakes if query["category"] == "neg_namesake" else clean
            among.append(max((value for _, value in hits), default=0.0))
        elif peps or query["list_group"] != Group.PEP.value:
            target = [value for entry, value in hits if entry == query["target"]]
            guilty_values[str(query["category"])].append(max(target, default=0.0))
    clean.sort(reverse=True)
    every = [value for values in guilty_values.values() for value in values]
    thresholds = [clean[int(rate * len(clean))] for rate in RATES]
    recalls = ", ".join(f"{_above(every, at):.3f} at {rate:.1%}" for rate, at in zip(RATES, thresholds, strict=True))
    lines = [
        f"  {'with PEPs' if peps else 'sanctions'}: {recalls} ({len(every)} guilty, {len(clean)} clean)",
        f"    namesakes alerted on at {RATES[0]:.0%}: {_above(namesakes, thresholds[0]):.3f} of {len(namesakes)}",
        *(
            f"    {category:18} {_above(values, thresholds[0]):.3f} of {len(values)}"
            for category, values in sorted(guilty_values.items())
        ),
    ]
    return "\n".join(lines)


def _above(values: Sequence[float], threshold: float) -> float:
    return sum(value > threshold for value in values) / max(len(values), 1)


def main() -> None:
    """Make the lists and the queries, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lists", type=Path)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", type=Path)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    made, common = parts(arguments.lists, arguments.wheel, arguments.without)
    for part in made:
        entries, queries = make(part, common, arguments.seed)
        folder = arguments.out / part.name
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "watchlist.jsonl", map(listed, entries))
        write(folder / "queries.jsonl", queries)
        Index.build(entries).save(folder / "list.index")
        asked = [read_query(json.dumps(query), at) for at, query in enumerate(queries)]
        found = dict(answers(folder / "list.index", asked, processes=os.cpu_count() or 1))
        print(f"{part.name}: {len(entries)} entries, {len(queries)} queries")
        for peps in (False, True):
            print(measured(queries, found, peps=peps))


if __name__ == "__main__":
    main()
