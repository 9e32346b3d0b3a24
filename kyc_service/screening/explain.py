"""Why an entry was found: which words correspond, what date and country say, and what the figure would be without them.

An explanation is data for JSON and the same for the same index, query and model, so that it can be stored with the
result and read years later.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np

from kyc_service.screening.births import CODES, IN_WORDS, VERDICTS, BirthVerdict
from kyc_service.screening.entries import Entry, Kind
from kyc_service.screening.features import (
    INITIAL,
    JOINED,
    Alignment,
    Floats,
    Prepared,
    aligned,
    measured,
    prepared,
    token_matrix,
)
from kyc_service.screening.floors import Floor
from kyc_service.screening.index import Index
from kyc_service.screening.names import skeleton
from kyc_service.screening.query import Query
from kyc_service.screening.score import Context, Model, log_odds, probability, terms_of

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
Explanation: TypeAlias = Mapping[str, Json]

FLOOR_IN_WORDS: Final = {
    Floor.IDENTIFIER: "an identifying number is the same: always a hit",
    Floor.EXACT_NAME: "the whole name is the same and no date of birth contradicts it: always for a person to look at",
    Floor.UNSUPPORTED: "a weak alias or a single name, which neither date nor country supports: held below review",
}


def explained(
    index: Index,
    query: Query,
    query_name: int,
    name: int,
    entry: Entry,
    context: Context,
    floor: Floor | None,
    model: Model,
) -> Explanation:
    """The reasons for one candidate; *context* has one row, its own."""
    value = query.names[query_name] if query.names else ""
    ours = prepared(value, query.kind, index, index)
    listed = entry.names[int(index.name_number[name])]
    head: dict[str, Json] = {
        "name": {"ours": value, "listed": listed.value, "kind": listed.kind.value},
        "birth": IN_WORDS[VERDICTS[context.born[0]]],
        "country": _in_words(bool(context.country_same[0]), bool(context.country_other[0]), "country"),
        "gender": "different genders" if context.gender_other[0] else "genders do not contradict",
        "floor": FLOOR_IN_WORDS[floor] if floor else None,
        "list": {
            "source": entry.source,
            "version": index.versions.get(entry.source),
            "group": entry.group.value,
            "programmes": list(entry.programmes),
            "listed_on": entry.listed_on,
            "link": entry.link,
        },
        "model": model.version,
    }
    if ours is None:
        return head
    names = np.array([name], np.int32)
    matrix = token_matrix(index, names)
    alignment = aligned(ours, index, matrix, np.append(index.token_weight, np.float32(0))[matrix])
    measures = measured(ours, index, alignment, index.name_weak[names])
    return head | _alignment(ours, index, alignment) | _contributions(measures, context, query.kind, model)


def _in_words(same: bool, other: bool, what: str) -> str:
    if same:
        return f"a {what} in common"
    return f"no {what} in common" if other else f"no {what} to compare"


def _alignment(ours: Prepared, index: Index, alignment: Alignment) -> dict[str, Json]:
    theirs = [index.tokens[token] for token in alignment.their_tokens[0].tolist() if token >= 0]
    pairs: list[Json] = []
    matched: list[str] = []
    for place, token in enumerate(ours.tokens):
        partner = int(np.floor(alignment.partner[0, place]))
        if partner < 0:
            continue
        other = theirs[partner]
        alike = float(alignment.ours[0, place])
        matched.append(other)
        pairs.append(
            {
                "ours": token,
                "listed": other,
                "similarity": round(alike, 3),
                "reason": _reason(token, other, alike),
                "weight": round(float(alignment.their_weights[0, partner]), 2),
            }
        )
    rarest = min(matched, key=lambda token: (index.listed(token), token), default=None)
    return {
        "tokens": pairs,
        "unmatched": {
            "ours": [token for place, token in enumerate(ours.tokens) if alignment.partner[0, place] < 0],
            "listed": [token for place, token in enumerate(theirs) if alignment.theirs[0, place] == 0],
        },
        "rarity": f"“{rarest}” occurs in {index.listed(rarest)} of {index.names} names" if rarest else None,
    }


def _reason(ours: str, theirs: str, alike: float) -> str:
    if ours == theirs:
        return "same"
    if np.isclose(alike, INITIAL) and 1 in {len(ours), len(theirs)}:
        return "initial"
    if np.isclose(alike, JOINED):
        return "written as one word"
    if alike >= 0.93 and not ours.startswith(theirs[:-1]):
        return "forms of one name"
    return "same sound" if skeleton(ours) == skeleton(theirs) else "spelling"


def _contributions(measures: Floats, context: Context, kind: Kind, model: Model) -> dict[str, Json]:
    """The log-odds of the name alone, what each further fact adds, and the probability without each."""
    blank = np.zeros(1, bool)
    unknown = np.array([CODES[BirthVerdict.UNKNOWN]])
    steps = [
        ("name", Context(born=unknown, country_same=blank, country_other=blank, gender_other=blank)),
        ("birth", Context(born=context.born, country_same=blank, country_other=blank, gender_other=blank)),
        (
            "country",
            Context(
                born=context.born,
                country_same=context.country_same,
                country_other=context.country_other,
                gender_other=blank,
            ),
        ),
        ("gender", context),
    ]
    odds = [float(log_odds(terms_of(measures, step), step, kind, model)[0]) for _, step in steps]
    adds = [odds[0], *(after - before for before, after in pairwise(odds))]
    without = {
        "birth date": Context(
            born=unknown,
            country_same=context.country_same,
            country_other=context.country_other,
            gender_other=context.gender_other,
        ),
        "country": Context(
            born=context.born, country_same=blank, country_other=blank, gender_other=context.gender_other
        ),
    }
    return {
        "contributions": {step: round(value, 3) for (step, _), value in zip(steps, adds, strict=True)},
        "without": {
            fact: probability(float(log_odds(terms_of(measures, step), step, kind, model)[0]))
            for fact, step in without.items()
        },
    }
