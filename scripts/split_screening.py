"""Another benchmark of the screening engine: `python -m scripts.split_screening LISTS WHEEL OUT`.

Writes `watchlist.jsonl` and `queries.jsonl`, in the formats of `kyc screen search` and `report`, into the folder OUT.
LISTS and WHEEL are those of `scripts.train_screening`; an OpenSanctions `ua_war/targets.simple.csv` in LISTS is read
too, for it was never learnt from. Nobody of the list given as --without, and nobody who shares a name or a number with
them, is on this one. What happens to names is what training does to them, on other dice; the aliases and the names in
other scripts that are looked for are real ones, taken off the list.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from kyc_service.screening.entries import Entry, Group, Kind, ListedName, NameKind
from kyc_service.screening.index import similarity
from kyc_service.screening.lists import opensanctions_csv, plain_jsonl
from kyc_service.screening.lists.reading import Problems
from kyc_service.screening.names import is_distinctive, tokens_of
from kyc_service.screening.query import Query
from scripts import train_screening as train

SCHEMAS = {Kind.PERSON: "Person", Kind.ORGANISATION: "LegalEntity", Kind.VESSEL: "Vessel", Kind.AIRCRAFT: "Airplane"}
PEOPLE = 6_000  # made-up PEPs of the list, and as many made-up innocents
Line = Mapping[str, object]


def sources(folder: Path, without: Path | None) -> tuple[list[Entry], list[Entry]]:
    """Everybody who may be on the list, and everybody who is on the other one."""
    problems = Problems()
    entries = train.listed(folder)
    war = folder / "ua_war" / "targets.simple.csv"
    if war.exists():
        entries += [entry for entry in opensanctions_csv.parse({"main": war}, "ua_war", problems) if entry.names]
    other = list(plain_jsonl.parse({"main": without}, "other", problems)) if without else []
    return [entry for entry in entries if entry.kind in SCHEMAS], other


def noises(by_form: Mapping[str, Sequence[str]]) -> Mapping[Kind, Sequence[tuple[str, int, train.Noise]]]:
    """The categories of queries: name, how often in a hundred, and what is done to a name."""
    of_vessels = _mixed(_OF_VESSELS, train.VESSEL_NOISES)
    return {
        Kind.PERSON: _mixed(_OF_PEOPLE, train.person_noises(by_form)),
        Kind.ORGANISATION: _mixed(_OF_COMPANIES, train.ORGANISATION_NOISES),
        Kind.VESSEL: of_vessels,
        Kind.AIRCRAFT: of_vessels,
    }


def _mixed(
    mix: Mapping[str, int], of_training: Sequence[tuple[int, train.Noise]]
) -> Sequence[tuple[str, int, train.Noise]]:
    return [(name, share, noise) for (name, share), (_, noise) in zip(mix.items(), of_training, strict=False)]


# What is done to a name, in the order of the training's noises, and to how many in a hundred: about as often as in the
# benchmark that the project is measured on, which has no made-up Cyrillic, Arabic or acronyms (0).
_OF_PEOPLE = {
    "exact": 10, "order": 6, "missing_part": 10, "extra_token": 5, "initial": 4, "typo1": 9, "typo2": 6, "ocr": 4,
    "mrz": 4, "spelling_variant": 10, "spelling_variants": 3, "spacing": 8, "nickname": 5, "romanisation": 11,
    "made_cyrillic": 0, "made_arabic": 0, "adversarial": 3,
}  # fmt: skip
_OF_COMPANIES = {
    "org_exact": 25, "org_legal_form": 30, "org_typo": 15, "org_typo2": 10, "org_translated": 0, "org_missing_part": 0,
    "org_order": 0, "org_spacing": 0, "org_made_cyrillic": 0, "org_spelling": 5, "org_acronym": 0,
    "org_without_common": 5, "org_translated_form": 0,
}  # fmt: skip
_OF_VESSELS = {"vessel": 60, "vessel_prefix": 25, "vessel_typo": 15}


def guilty(
    entries: Sequence[Entry], taken: Sequence[tuple[int, str]], by_form: Mapping[str, Sequence[str]], random: Random
) -> Iterator[Line]:
    """Queries about somebody on the list."""
    of_kind = noises(by_form)
    for entry in entries:
        usable = [name.value for name in entry.names if name.kind not in {NameKind.WEAK, NameKind.ORIGINAL}]
        if usable:
            kinds = of_kind[entry.kind]
            ((category, _, noise),) = random.choices(kinds, [share for _, share, _ in kinds])
            asked = train.about(entry, noise(random.choice(usable), random), frozenset(), random)
            yield line(asked.query, category, entry)
    for place, alias in taken:
        entry = entries[place]
        kind = "alias_loo" if any(letter.isascii() and letter.isalpha() for letter in alias) else "cross_script"
        asked = train.about(entry, alias, frozenset(), random)
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
    for asked in train.innocent(entries, off, list(train.crowd(common, PEOPLE, random)), random):
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


def main() -> None:
    """Make the list and the queries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lists", type=Path)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", type=Path)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    random = Random(arguments.seed)
    entries, other = sources(arguments.lists, arguments.without)
    numbers = train.clusters([*entries, *other])
    taken_already = set(numbers[len(entries) :])
    split = {number: Random(f"split {arguments.seed}:{number}").random() < 0.6 for number in numbers}
    free = [
        (entry, split[number]) for entry, number in zip(entries, numbers, strict=False) if number not in taken_already
    ]
    by_form, common = train.name_forms(arguments.wheel)
    peps = [
        Entry(
            id=f"pep_made_up:{number}",
            source="pep_made_up",
            group=Group.PEP,
            kind=Kind.PERSON,
            names=(ListedName(value=name),),
            births=births if random.random() < 0.4 else (),
            countries=(code,),
        )
        for number, (name, code, births) in enumerate(train.crowd(common, PEOPLE, random))
    ]
    everybody, aliases = train.without_some_aliases([*(entry for entry, is_on in free if is_on), *peps], random)
    queries = [
        *guilty(everybody, aliases, by_form, random),
        *innocent(everybody, [entry for entry, is_on in free if not is_on], common, random),
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    write(arguments.out / "watchlist.jsonl", map(listed, everybody))
    write(arguments.out / "queries.jsonl", ({"qid": f"q{at}", **query} for at, query in enumerate(queries)))
    print(f"{len(everybody)} entries, {len(queries)} queries")


if __name__ == "__main__":
    main()
