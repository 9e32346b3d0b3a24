"""From what was measured to a probability: a logistic model that one can read, in `data/model.json`.

Each regime (a person with dates on both sides, a person without, an organisation, a vessel) has weights of its own.
A weight multiplies a term; a term is a measure, the part of a measure above a hinge, a fact about the context, or the
product of a date verdict and the agreement of the names. The log-odds are the sum.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kyc_service.domain.record import record
from kyc_service.screening.births import AGREEING, CODES, CONFLICTING, BirthVerdict
from kyc_service.screening.entries import Kind
from kyc_service.screening.features import MEASURES, Floats

REGIMES: Final = ("person_dated", "person_undated", "organisation", "vessel")
_COLUMN: Final = {name: place for place, name in enumerate(MEASURES)}

# Hinges: term name → (measure, from where on it counts).
HINGES: Final = {
    f"{measure}>{at}": (measure, at)
    for measure, places in {
        "covered_ours": (0.6, 0.75, 0.85, 0.95),
        "covered_theirs": (0.6, 0.75, 0.85, 0.95),
        "joined": (0.7, 0.85, 0.95),
        "information": (0.8, 1.4, 2.0),
        "doubt": (0.08, 0.16),
        "missing_ours": (0.4,),
        "missing_theirs": (0.4,),
        "pairs": (1, 2, 3),
        "core_ours": (0.6, 0.85, 0.95),
        "core_theirs": (0.6, 0.85, 0.95),
    }.items()
    for at in places
}
CONTEXT: Final = ("country_same", "country_other", "gender_other")
_DATED: Final = tuple(verdict for verdict in BirthVerdict if verdict is not BirthVerdict.UNKNOWN)
TERMS: Final = (
    *MEASURES,
    *HINGES,
    "both_covered",
    "information_covered",
    "both_core",
    "information_core",
    *CONTEXT,
    "country_same*both_covered",
    *(f"{kind}:{verdict}" for verdict in _DATED for kind in ("born", "born_alike", "born_rare")),
)


@record
class Context:
    """What is known of each candidate besides its name, one element a candidate."""

    born: NDArray[np.int8]  # the verdict's place in `births.VERDICTS`
    country_same: NDArray[np.bool_]
    country_other: NDArray[np.bool_]
    gender_other: NDArray[np.bool_]

    def rows(self, rows: NDArray[np.int64]) -> "Context":
        """The context of some of the candidates."""
        return Context(
            born=self.born[rows],
            country_same=self.country_same[rows],
            country_other=self.country_other[rows],
            gender_other=self.gender_other[rows],
        )


@record
class Model:
    """The weights of every regime, and the name of the version that they are."""

    version: str
    bias: Mapping[str, float]
    weights: Mapping[str, Floats]  # in the order of `TERMS`


@lru_cache(maxsize=1)
def shipped_model() -> Model:
    """The model that comes with the engine."""
    return read_model(files(__package__).joinpath("data", "model.json").read_text())


def read_model(text: str) -> Model:
    """A model out of its JSON; a term that it does not mention weighs nothing."""
    raw = json.loads(text)
    return Model(
        version=raw["version"],
        bias={regime: float(raw["regimes"][regime]["bias"]) for regime in REGIMES},
        weights={
            regime: np.array([raw["regimes"][regime]["weights"].get(term, 0.0) for term in TERMS], np.float32)
            for regime in REGIMES
        },
    )


def regime_of(kind: Kind, verdict: BirthVerdict) -> str:
    """Which weights judge a pair."""
    match kind:
        case Kind.ORGANISATION:
            return "organisation"
        case Kind.VESSEL | Kind.AIRCRAFT:
            return "vessel"
        case _:
            return "person_undated" if verdict is BirthVerdict.UNKNOWN else "person_dated"


def terms_of(measures: Floats, context: Context) -> Floats:
    """The terms of the model, a column for each of `TERMS`."""
    rows = len(measures)
    get = {name: measures[:, place] for name, place in _COLUMN.items()}
    both = np.minimum(get["covered_ours"], get["covered_theirs"])
    columns = [*get.values(), *(np.maximum(get[measure] - at, 0) for measure, at in HINGES.values())]
    core = np.minimum(get["core_ours"], get["core_theirs"])
    columns += [both, both * get["information"], core, core * get["information"]]
    columns += [np.asarray(getattr(context, name), np.float32) for name in CONTEXT]
    columns += [context.country_same * both]
    for verdict in _DATED:
        is_it = (context.born == CODES[verdict]).astype(np.float32)
        columns += [is_it, is_it * both, is_it * get["information"]]
    return np.stack(columns, axis=1).astype(np.float32) if rows else np.zeros((0, len(TERMS)), np.float32)


def log_odds(terms: Floats, context: Context, kind: Kind, model: Model) -> Floats:
    """The log-odds that each candidate is the one.

    A date that agrees never lowers them and one that conflicts never raises them, whatever the weights of the two
    regimes are.
    """
    if kind not in {Kind.PERSON, Kind.UNKNOWN}:
        regime = regime_of(kind, BirthVerdict.UNKNOWN)
        return np.asarray(terms @ model.weights[regime] + model.bias[regime], np.float32)
    undated = terms @ model.weights["person_undated"] + model.bias["person_undated"]
    dated = terms @ model.weights["person_dated"] + model.bias["person_dated"]
    dated = np.where(np.isin(context.born, _AGREEING), np.maximum(dated, undated), dated)
    dated = np.where(np.isin(context.born, _CONFLICTING), np.minimum(dated, undated), dated)
    return np.asarray(np.where(context.born == CODES[BirthVerdict.UNKNOWN], undated, dated), np.float32)


_AGREEING: Final = [CODES[verdict] for verdict in AGREEING]
_CONFLICTING: Final = [CODES[verdict] for verdict in CONFLICTING]
_STEEP_UNTIL: Final = 5.0


def probability(odds: float) -> float:
    """Log-odds as a probability that never saturates: beyond 0.993 certainty grows ever more slowly."""
    if odds > _STEEP_UNTIL:
        odds = _STEEP_UNTIL + float(np.log1p((odds - _STEEP_UNTIL) / 2) * 2)
    return round(float(1 / (1 + np.exp(-max(odds, -30.0)))), 6)
