"""Screening: whom of a list somebody may be, best first, with a probability and the reasons.

`screen` looks for a person in an index of list entries. `rescreen` looks for people in an index of our own when a list
entry changes; both judge a pair of person and entry with the same numbers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kyc_service.domain.record import record
from kyc_service.screening.births import CODES, VERDICTS, BirthVerdict, verdicts_of
from kyc_service.screening.entries import Entry, Kind, NameKind
from kyc_service.screening.explain import Explanation, explained
from kyc_service.screening.features import (
    MEASURES,
    Alignment,
    Floats,
    Prepared,
    aligned,
    joined,
    measured,
    measured_by_tokens,
    prepared,
    token_matrix,
)
from kyc_service.screening.floors import IDENTIFIER_FLOOR, Floor, floored
from kyc_service.screening.index import GENDERS, KINDS, Index, country_mask, days_of
from kyc_service.screening.query import Query, query_of
from kyc_service.screening.score import Context, Model, log_odds, probability, shipped_model, terms_of

ENGINE_VERSION: Final = "1.3.1"
CANDIDATES: Final = 48  # names scored for each name of the query
PEOPLE: Final = 5_000  # of our own people, where a changed entry looks for them
LEAST: Final = 0.02  # probability below which nobody is told
_LEAST_ODDS: Final = float(np.log(LEAST / (1 - LEAST)))
_ADMITTED: Final = 0.38  # share of a name's weight that retrieval has to see

_COLUMN: Final = {name: place for place, name in enumerate(MEASURES)}
_COMPATIBLE: Final = {
    Kind.PERSON: frozenset({Kind.PERSON, Kind.UNKNOWN}),
    Kind.ORGANISATION: frozenset({Kind.ORGANISATION, Kind.UNKNOWN}),
    Kind.VESSEL: frozenset({Kind.VESSEL, Kind.AIRCRAFT, Kind.UNKNOWN}),
    Kind.AIRCRAFT: frozenset({Kind.VESSEL, Kind.AIRCRAFT, Kind.UNKNOWN}),
    Kind.UNKNOWN: frozenset(Kind),
}
_MASKS: Final = {kind: np.array([other in compatible for other in KINDS]) for kind, compatible in _COMPATIBLE.items()}


@record
class Scored:
    """An entry with its probability, not yet explained."""

    entry: int  # its place in the index
    name: int  # the place of the name that matched best
    query_name: int  # the place of our name that it matched
    probability: float
    floor: Floor | None


@record
class Match:
    """An entry that somebody may be."""

    entry: Entry
    probability: float
    floor: Floor | None
    explanation: Explanation

    @property
    def entry_id(self) -> str:
        """The entry's id at its publisher, behind the name of the source."""
        return self.entry.id

    @property
    def list_id(self) -> str:
        """The source that the entry is of."""
        return self.entry.source


def screen(index: Index, query: Query, *, threshold: float, model: Model | None = None) -> list[Match]:
    """The entries that *query* may be, from *threshold* on, and those that policy wants seen, best first."""
    model = model or shipped_model()
    return [
        Match(
            entry=(entry := index.entry(hit.entry)),
            probability=hit.probability,
            floor=hit.floor,
            explanation=explained(
                index,
                query,
                hit.query_name,
                hit.name,
                entry,
                _context_of_one(index, query, hit.entry),
                hit.floor,
                model,
            ),
        )
        for hit in scored(index, query, model=model)
        if hit.probability >= threshold or hit.floor in {Floor.EXACT_NAME, Floor.IDENTIFIER}
    ]


def _context_of_one(index: Index, query: Query, entry: int) -> Context:
    return context_of(index, query, np.array([entry], np.int32))


def scored(index: Index, query: Query, *, model: Model | None = None) -> list[Scored]:
    """The candidates of *query* with their probabilities, best first; cheap, and without reasons.

    Those that stay below `LEAST` are left out.
    """
    best: dict[int, Scored] = {}
    by_identifier = frozenset(index.with_identifier(query.identifiers))
    if query.lists is not None:
        by_identifier &= frozenset(np.flatnonzero(index.asked(query.lists)).tolist())
    for number, value in enumerate(query.names):
        name = prepared(value, query.kind, index, index)
        if name:
            found = _compared(index, name, query, candidates(index, name, query))
            _keep_best(best, _judged(found, query.kind, number, by_identifier, model or shipped_model()))
    return _ranked(best, by_identifier, index)


def compared(index: Index, query: Query, entry: int, *, model: Model | None = None) -> Scored | None:
    """One entry, whether retrieval would have found it or not; None where one side has no name."""
    best: dict[int, Scored] = {}
    by_identifier = frozenset(index.with_identifier(query.identifiers)) & {entry}
    names = np.arange(*np.searchsorted(index.name_entry, [entry, entry + 1]), dtype=np.int32)
    for number, value in enumerate(query.names):
        name = prepared(value, query.kind, index, index)
        if name:
            found = _compared(index, name, query, names)
            everybody = _judged(found, query.kind, number, by_identifier, model or shipped_model(), least=-np.inf)
            _keep_best(best, everybody)
    return next(iter(_ranked(best, by_identifier, index)), None)


def candidates(index: Index, name: Prepared, query: Query, *, at_most: int = CANDIDATES) -> NDArray[np.int32]:
    """The names that share enough weight with *name* to be worth a comparison, at most *at_most*."""
    total = np.zeros(index.names, np.float32)
    best = np.zeros(index.names, np.float32)
    for place, weight in enumerate(name.weights):
        tokens, similarities = _wanted(name, place)
        names, values = index.posted(tokens, similarities)
        best[names] = values  # the last of several wins, and the most similar token comes last
        total[names] += weight * best[names]
        best[names] = 0
    wanted = float(name.weights.sum())
    seen = np.flatnonzero(total > 0).astype(np.int32)
    theirs = index.name_weight[seen]
    less, more = np.minimum(theirs, wanted), np.maximum(theirs, wanted)
    kept = total[seen] >= _ADMITTED * (0.55 * less + 0.45 * np.minimum(more, 1.6 * less))
    kept &= _MASKS[query.kind][index.entry_kind[index.name_entry[seen]]]
    if query.lists is not None:
        kept &= index.asked(query.lists)[index.name_entry[seen]]
    seen, theirs = seen[kept], theirs[kept]
    if len(seen) > at_most:
        value = total[seen] / (0.55 * wanted + 0.45 * np.minimum(theirs, 1.6 * wanted))
        value += 0.08 * _born_alike(index, index.name_entry[seen], query)
        seen = np.sort(seen[np.argpartition(-value, at_most - 1)[:at_most]])
    return seen


def _wanted(name: Prepared, place: int) -> tuple[NDArray[np.int32], Floats]:
    """The tokens of the index that one of our tokens may have become, alone, with its neighbour or in part."""
    others = [(token, 0.95) for places, token in name.merged if place in places]
    others += [(token, 0.95 * share) for at, token, share in name.pieces if at == place]
    others += [(token, 0.5) for at, parts in name.parted if at == place for token in parts]
    expansion = name.expansions[place]
    if not others:
        return expansion.tokens, expansion.similarities
    tokens = np.concatenate([expansion.tokens, np.array([token for token, _ in others], np.int32)])
    similarities = np.concatenate([expansion.similarities, np.array([value for _, value in others], np.float32)])
    order = np.argsort(similarities, kind="stable")
    return tokens[order], similarities[order]


def _born_alike(index: Index, entries: NDArray[np.int32], query: Query) -> NDArray[np.bool_]:
    """Whether the first date of each entry is within a year of one of ours."""
    alike = np.zeros(len(entries), bool)
    start = index.birth_start[entries]
    known = index.birth_start[entries + 1] > start
    first = index.births[np.where(known, start, 0)] if len(index.births) else np.zeros((len(entries), 3), np.int32)
    for birth in query.births:
        if span := days_of(birth):
            alike |= known & (first[:, 0] <= span[1] + 366) & (first[:, 1] >= span[0] - 366)
    return alike


def context_of(index: Index, query: Query, entries: NDArray[np.int32]) -> Context:
    """What date, country and gender say of each entry."""
    mine = np.array(country_mask(query.countries), np.uint64)
    theirs = index.entry_countries[entries]
    same = np.asarray((theirs & mine).any(axis=1), bool)
    gender = GENDERS.index(query.gender) if query.gender in GENDERS else 0
    genders = index.entry_gender[entries]
    return Context(
        born=_born(index, query, entries),
        country_same=same,
        country_other=np.asarray(~same & theirs.any(axis=1) & bool(mine.any()), bool),
        gender_other=(genders != gender) & (genders > 0) & (gender > 0),
    )


def _born(index: Index, query: Query, entries: NDArray[np.int32]) -> NDArray[np.int8]:
    born = np.full(len(entries), CODES[BirthVerdict.UNKNOWN])
    spans = [span for birth in query.births if (span := days_of(birth))]
    starts = index.birth_start[entries]
    counts = index.birth_start[entries + 1] - starts
    dated = np.flatnonzero(counts)
    if spans and len(dated):
        counts, first = counts[dated], np.cumsum(counts[dated]) - counts[dated]
        rows = np.repeat(starts[dated] - first, counts) + np.arange(int(counts.sum()))
        born[dated] = np.minimum.reduceat(verdicts_of(spans, index.births[rows]), first)
    return born


def measures_of(index: Index, name: Prepared, names: NDArray[np.int32]) -> Floats:
    """The measures of *name*, a person's, against each of these names of a list."""
    matrix = token_matrix(index, names)
    alignment = aligned(name, index, matrix, np.append(index.token_weight, np.float32(0))[matrix])
    return measured(name, index, alignment, index.name_weak[names])


@record
class _Comparison:
    """A name beside names of an index, and what else is known of their bearers: one row a candidate."""

    index: Index
    name: Prepared
    names: NDArray[np.int32]
    alignment: Alignment
    weak: NDArray[np.uint8]
    context: Context
    flipped: bool  # the index is of people, and the name is a list's

    @property
    def entries(self) -> NDArray[np.int32]:
        return self.index.name_entry[self.names]

    def rows(self, rows: NDArray[np.int64]) -> "_Comparison":
        return replace(
            self,
            names=self.names[rows],
            alignment=self.alignment.rows(rows),
            weak=self.weak[rows],
            context=self.context.rows(rows),
        )


def _compared(index: Index, name: Prepared, query: Query, names: NDArray[np.int32]) -> _Comparison:
    matrix = token_matrix(index, names)
    return _Comparison(
        index=index,
        name=name,
        names=names,
        alignment=aligned(name, index, matrix, np.append(index.token_weight, np.float32(0))[matrix]),
        weak=index.name_weak[names],
        context=context_of(index, query, index.name_entry[names]),
        flipped=False,
    )


def rescreen(people: Index, entry: Entry, lists: Index, *, model: Model | None = None) -> list[Scored]:
    """The people of *people* whom *entry* may be, each judged as `screen` judges them against *lists*, best first.

    The rarity of tokens is that of *lists*, so that the two directions agree.
    """
    best: dict[int, Scored] = {}
    asked = query_of(entry)
    by_identifier = frozenset(people.with_identifier(entry.identifiers))
    for number, listed in enumerate(entry.names):
        name = prepared(listed.value, entry.kind, people, lists)
        if name is None:
            continue
        names = candidates(people, name, asked, at_most=PEOPLE)
        matrix = token_matrix(people, names)
        present = np.unique(matrix[matrix >= 0])
        weights = np.zeros(len(people.token_weight) + 1, np.float32)
        weights[present] = lists.weights([people.tokens[token] for token in present.tolist()])
        found = _Comparison(
            index=people,
            name=name,
            names=names,
            alignment=aligned(name, people, matrix, weights[matrix]),
            weak=np.full(len(names), listed.kind is NameKind.WEAK, np.uint8),
            context=context_of(people, asked, people.name_entry[names]),
            flipped=True,
        )
        kinds = people.entry_kind[found.entries]
        for kind in np.unique(kinds).tolist():
            of_kind = found.rows(np.flatnonzero(kinds == kind))
            _keep_best(best, _judged(of_kind, KINDS[kind], number, by_identifier, model or shipped_model()))
    return _ranked(best, by_identifier, people)


def _judged(
    found: _Comparison,
    kind: Kind,
    number: int,
    by_identifier: frozenset[int],
    model: Model,
    *,
    least: float = _LEAST_ODDS,
) -> Iterator[Scored]:
    """Those of *found* whose log-odds reach *least*, and whom policy wants seen.

    Only who can still reach it is compared letter by letter: of a common name's many bearers, few.
    """
    by_tokens = measured_by_tokens(found.name, found.index, found.alignment, found.weak, flipped=found.flipped)
    possible = log_odds(terms_of(by_tokens, found.context), found.context, kind, model) >= least
    possible |= (by_tokens[:, _COLUMN["exact"]] > 0) | np.isin(found.entries, list(by_identifier))
    kept = np.flatnonzero(possible)
    found, measures = found.rows(kept), by_tokens[kept]
    measures[:, _COLUMN["joined"]] = joined(found.name, found.index, found.alignment, flipped=found.flipped)
    odds = log_odds(terms_of(measures, found.context), found.context, kind, model).tolist()
    for row, entry in enumerate(found.entries.tolist()):
        value, floor = floored(
            probability(odds[row]),
            identifier=entry in by_identifier,
            exact=bool(measures[row, _COLUMN["exact"]]),
            slender=_slender(measures[row], kind),
            born=VERDICTS[found.context.born[row]],
            country_same=bool(found.context.country_same[row]),
        )
        if floor or odds[row] >= least:
            name = int(found.names[row])
            yield Scored(entry=entry, name=name, query_name=number, probability=value, floor=floor)


def _keep_best(best: dict[int, Scored], judged: Iterable[Scored]) -> None:
    for hit in judged:
        known = best.get(hit.entry)
        if known is None or hit.probability > known.probability:
            best[hit.entry] = hit


def _ranked(best: dict[int, Scored], by_identifier: frozenset[int], index: Index) -> list[Scored]:
    """The best of each entry in order, with those that only an identifier found."""
    for entry in by_identifier - best.keys():
        name = min(int(np.searchsorted(index.name_entry, entry)), max(index.names - 1, 0))
        best[entry] = Scored(entry=entry, name=name, query_name=0, probability=IDENTIFIER_FLOOR, floor=Floor.IDENTIFIER)
    return sorted(best.values(), key=lambda hit: (-hit.probability, hit.entry))


def _slender(measures: Floats, kind: Kind) -> bool:
    ours_alone = measures[_COLUMN["single_ours"]] and measures[_COLUMN["pairs"]] < 2
    single = ours_alone or measures[_COLUMN["single_theirs"]]
    return bool(measures[_COLUMN["weak"]] or (single and kind is Kind.PERSON))
