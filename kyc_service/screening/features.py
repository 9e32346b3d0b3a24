"""What can be measured between a name of ours and a name on a list, for many list names at a time.

Every measure is a column of an array with a row for each candidate name. `ours` is the person's side and `theirs` the
list's, also where a list entry looks for people (`flipped`), so that both directions give the same numbers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel
from rapidfuzz.process import cpdist

from kyc_service.domain.record import record
from kyc_service.screening.entries import Kind
from kyc_service.screening.index import Expansion, Index
from kyc_service.screening.names import is_distinctive, tokens_of
from kyc_service.screening.organisations import acronym, is_legal_form

Floats = NDArray[np.float32]

MEASURES: Final = (
    "covered_ours",  # share of our name's weight that the list's name accounts for, each token as far as it is alike
    "covered_theirs",
    "unmatched_ours",  # share of our name's weight that nothing in the list's name resembles
    "unmatched_theirs",
    "doubt",  # mean dissimilarity of what does match
    "weakest",  # similarity of the least similar pair
    "information",  # rarity of what matches, in units of ten
    "pairs",  # tokens that match well
    "joined",  # similarity of the names without blanks
    "single_ours",  # our name is one token
    "single_theirs",
    "initials",  # pairs in which one side is an initial
    "exact",  # the same tokens, two or more
    "weak",  # the publisher calls the name weak
    "missing_ours",  # weight of our heaviest token without a partner, in units of ten
    "missing_theirs",
    "numbers",  # 1 where both have numbers and the numbers differ
    "forms",  # 1 where both have a legal form and none is common
    "acronym",  # one side is the other's initials
    "core_ours",  # as covered_ours, without legal forms, particles and common words of organisations
    "core_theirs",
)
_COLUMN: Final = {name: place for place, name in enumerate(MEASURES)}
INITIAL: Final = 0.62  # similarity of an initial and a token that begins with it
JOINED: Final = 0.97  # similarity of a token and the two tokens that it was written as
_STRONG: Final = 0.8


@record
class Prepared:
    """A name that is looked for, with what each of its tokens may stand for in an index.

    The tokens are sorted, so that the order in which a name is written changes nothing.
    """

    tokens: tuple[str, ...]
    places: tuple[int, ...]  # where in the name each of them was written
    initials: str  # of the words in their order, for three words and more
    weights: Floats
    core: NDArray[np.bool_]  # whether each token is what tells one name from another
    expansions: tuple[Expansion, ...]
    merged: tuple[tuple[Sequence[int], int], ...]  # tokens of ours, in this order, are one token of the index
    parted: tuple[tuple[int, Sequence[int]], ...]  # our token is these tokens of the index
    pieces: tuple[tuple[int, int, float], ...]  # our token contains this token of the index, a share of its length


def prepared(value: str, kind: Kind, index: Index, rarity: Index) -> Prepared | None:
    """*value* ready to be looked for in *index*; None where it has no letter and no digit."""
    written = tokens_of(value, kind)
    if not written:
        return None
    order = sorted(range(len(written)), key=lambda place: written[place])
    tokens = [written[place] for place in order]
    known = index.token_number
    parted: list[tuple[int, Sequence[int]]] = []
    pieces: list[tuple[int, int, float]] = []
    for place, token in enumerate(tokens):
        if len(token) < 5 or not token.isalpha():
            continue
        for cut in range(2, len(token) - 1):
            first, second = known.get(token[:cut]), known.get(token[cut:])
            if first is not None and second is not None:
                parted.append((place, (first, second)))
        if len(token) > 8 and token not in known:
            segments = _segments(token, index)
            pieces.extend((place, known[piece], len(piece) / len(token)) for piece in segments)
            if len(segments) > 2 and sum(map(len, segments)) == len(token):
                parted.append((place, [known[piece] for piece in segments]))
    return Prepared(
        tokens=tuple(tokens),
        places=tuple(order),
        initials=acronym(written),
        weights=rarity.weights(tokens),
        core=np.array([is_distinctive(token) for token in tokens]),
        expansions=tuple(index.expansion(token) for token in tokens),
        merged=tuple(_merged(tokens, known)),
        parted=tuple(parted),
        pieces=tuple(pieces),
    )


def _merged(tokens: Sequence[str], known: Mapping[str, int]) -> Iterator[tuple[Sequence[int], int]]:
    """The tokens that the index has as one: two, and of a name of at most five words up to four."""
    words = [place for place, token in enumerate(tokens) if not is_legal_form(token)]
    for length in range(2, max(min(len(words), 4), 2) + 1) if len(words) < 6 else (2,):
        for places in permutations(words, length):
            joined = "".join([tokens[place] for place in places])
            if joined in known and joined.isalpha():
                yield places, known[joined]


def _segments(token: str, index: Index) -> list[str]:
    """The cover of *token* by tokens of the index that leaves the fewest letters over and has the longest pieces."""
    known = index.token_number
    best: list[tuple[int, list[str]]] = [(0, [])]
    for end in range(1, len(token) + 1):
        best.append(best[end - 1])
        for start in range(max(end - 16, 0), end - 2):
            piece = token[start:end]
            value = best[start][0] + (end - start) ** 2
            if value > best[end][0] and piece in known:
                best[end] = (value, [*best[start][1], piece])
    return best[-1][1]


@record
class Alignment:
    """Which tokens of a name correspond to which of each candidate, and how well: one row a candidate."""

    ours: Floats  # similarity of each of our tokens to its partner, 0 for none
    theirs: Floats
    partner: (
        Floats  # for each of our tokens the place of its partner, a fraction more for a later part of one; -1 for none
    )
    initials: NDArray[np.int8]
    their_tokens: NDArray[np.int32]  # places in the vocabulary, -1 beyond the end of a name
    their_weights: Floats

    def rows(self, rows: NDArray[np.int64]) -> "Alignment":
        """The alignment with some of the candidates."""
        return Alignment(
            ours=self.ours[rows],
            theirs=self.theirs[rows],
            partner=self.partner[rows],
            initials=self.initials[rows],
            their_tokens=self.their_tokens[rows],
            their_weights=self.their_weights[rows],
        )


def token_matrix(index: Index, names: NDArray[np.int32]) -> NDArray[np.int32]:
    """The tokens of each name, one row a name, -1 beyond its end."""
    starts = index.name_start[names]
    lengths = index.name_start[names + 1] - starts
    columns = np.arange(int(lengths.max(initial=1)))
    inside = columns < lengths[:, None]
    places = np.where(inside, starts[:, None] + columns, 0)
    return np.where(inside, index.name_tokens[places], -1).astype(np.int32)


def aligned(name: Prepared, index: Index, matrix: NDArray[np.int32], their_weights: Floats) -> Alignment:
    """Give every token at most one partner, the most similar pairs first."""
    rows, width = matrix.shape
    mine = len(name.tokens)
    scores = np.zeros((rows, mine, width), np.float32)
    scratch = np.zeros(len(index.token_weight) + 1, np.float32)
    for place, expansion in enumerate(name.expansions):
        scratch[expansion.tokens] = expansion.similarities
        scores[:, place] = scratch[matrix]
        scratch[expansion.tokens] = 0
    _add_initials(name, index, matrix, scores)
    ours = np.zeros((rows, mine), np.float32)
    theirs = np.zeros((rows, width), np.float32)
    partner = np.full((rows, mine), -1, np.float32)
    initials = np.zeros(rows, np.int8)
    # A heavier pair goes first where two are equally alike.
    ranking = scores + np.where(scores > 0, np.float32(0.001) * name.weights[:, None], 0)
    flat = ranking.reshape(rows, mine * width)
    every = np.arange(rows)
    for _ in range(min(mine, width)):
        best = flat.argmax(axis=1)
        found = flat[every, best] > 0
        if not found.any():
            break
        at, one, other = every[found], best[found] // width, best[found] % width
        value = scores[at, one, other]
        ours[at, one] = value
        theirs[at, other] = value
        partner[at, one] = other
        initials[at] += value == np.float32(INITIAL)
        ranking[at, one, :] = 0
        ranking[at, :, other] = 0
    _join(name, matrix, ours, theirs, partner)
    return Alignment(
        ours=ours, theirs=theirs, partner=partner, initials=initials, their_tokens=matrix, their_weights=their_weights
    )


def _add_initials(name: Prepared, index: Index, matrix: NDArray[np.int32], scores: Floats) -> None:
    """An initial stands for any token that begins with it, if nothing better does."""
    single = np.append(index.token_length == 1, False)[matrix]
    first = np.append(index.token_initial, 0)[matrix]
    for place, token in enumerate(name.tokens):
        begins = (first == ord(token[0])) & (matrix >= 0) & (token[0].isalpha())
        initial = begins & ~single if len(token) == 1 else begins & single
        if token[0] != "_" and initial.any():
            scores[:, place] = np.where(initial & (scores[:, place] == 0), INITIAL, scores[:, place])


def _join(name: Prepared, matrix: NDArray[np.int32], ours: Floats, theirs: Floats, partner: Floats) -> None:
    """Tokens that the other side writes as one match it together."""
    for places, token in name.merged:
        at, column = np.nonzero(matrix == token)
        better = ours[at][:, places].sum(axis=1) < len(places) * JOINED
        at, column = at[better], column[better]
        theirs[at, column] = JOINED
        for rank, place in enumerate(places):
            ours[at, place] = JOINED
            partner[at, place] = column + rank / len(places)
    for place, parts in name.parted:
        has = [matrix == part for part in parts]
        at = np.flatnonzero(np.all([one.any(axis=1) for one in has], axis=0) & (ours[:, place] < JOINED))
        columns = [one[at].argmax(axis=1) for one in has]
        ours[at, place] = JOINED
        for column in columns:
            theirs[at, column] = JOINED
        partner[at, place] = columns[0]


def measured(
    name: Prepared, index: Index, alignment: Alignment, weak: NDArray[np.uint8], *, flipped: bool = False
) -> Floats:
    """The measures, a column for each of `MEASURES`. *flipped*: the name looked for is the list's."""
    columns = measured_by_tokens(name, index, alignment, weak, flipped=flipped)
    columns[:, _COLUMN["joined"]] = joined(name, index, alignment, flipped=flipped)
    return columns


def measured_by_tokens(
    name: Prepared, index: Index, alignment: Alignment, weak: NDArray[np.uint8], *, flipped: bool = False
) -> Floats:
    """`measured`, as if the names without blanks were the same: what is cheap to measure, and an upper bound."""
    rows = len(alignment.theirs)
    present = alignment.their_tokens >= 0
    our_weights = np.broadcast_to(name.weights, (rows, len(name.tokens)))
    one = _side(alignment.ours, our_weights, np.ones_like(our_weights, bool))
    other = _side(alignment.theirs, alignment.their_weights, present)
    ours, theirs = (other, one) if flipped else (one, other)
    alike, weights = (alignment.ours, our_weights) if flipped else (alignment.theirs, alignment.their_weights)
    matched = np.where(alike > 0, weights, 0)
    total = np.maximum(matched.sum(axis=1), 1e-6)
    columns = np.zeros((rows, len(MEASURES)), np.float32)

    def put(measure: str, values: NDArray[np.generic] | float) -> None:
        columns[:, _COLUMN[measure]] = values

    for side, (covered, unmatched, missing, count) in (("ours", ours), ("theirs", theirs)):
        put(f"covered_{side}", covered)
        put(f"unmatched_{side}", unmatched)
        put(f"missing_{side}", missing / 10)
        put(f"single_{side}", count == 1)
    put("doubt", (matched * (1 - alike)).sum(axis=1) / total)
    heavy = weights >= 1.0
    put("weakest", np.where(heavy & (alike > 0), alike, 1).min(axis=1, initial=1))
    put("information", (weights * alike**3).sum(axis=1) / 10)
    put("pairs", ((alike >= _STRONG) & heavy).sum(axis=1))
    put("initials", alignment.initials)
    put("weak", weak)
    put("joined", 1.0)
    same = np.isclose(ours[0], 1) & np.isclose(theirs[0], 1)
    put("exact", same & (present.sum(axis=1) == len(name.tokens)) & (len(name.tokens) > 1))
    own_core = _core(alignment.ours, our_weights, np.broadcast_to(name.core, our_weights.shape))
    their_core = _core(
        alignment.theirs,
        alignment.their_weights,
        np.append(index.token_core, np.uint8(0))[alignment.their_tokens].astype(bool),
    )
    put("core_ours", their_core if flipped else own_core)
    put("core_theirs", own_core if flipped else their_core)
    for measure, values in _organisational(name, index, alignment.their_tokens).items():
        put(measure, values)
    return columns


def _side(similarities: Floats, weights: Floats, present: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats, Floats]:
    weights = np.where(present, weights, 0)
    total = np.maximum(weights.sum(axis=1), 1e-6)
    alone = np.where(similarities > 0, 0, weights)
    count = (present & (weights > 1.0)).sum(axis=1)
    return (
        (weights * similarities).sum(axis=1) / total,
        alone.sum(axis=1) / total,
        alone.max(axis=1, initial=0),
        count.astype(np.float32),
    )


def _core(similarities: Floats, weights: Floats, core: NDArray[np.bool_]) -> Floats:
    """The share of the weight of *core* that is accounted for; of all weight, where no token is core."""
    without = np.asarray(~core.any(axis=1), bool)
    weights = np.where(core | without[:, None], weights, 0)
    return np.asarray((weights * similarities).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-6), np.float32)


def joined(name: Prepared, index: Index, alignment: Alignment, *, flipped: bool) -> Floats:
    """Similarity of the names without blanks, the person's tokens in the order of their partners on the list."""
    ours, theirs = [], []
    written = "".join(_in_order(name.tokens, name.places))
    for partners, numbers in zip(alignment.partner.tolist(), alignment.their_tokens.tolist(), strict=True):
        other = [index.tokens[number] for number in numbers if number >= 0]
        if flipped:
            wanted = {int(partner): place for place, partner in zip(name.places, partners, strict=True) if partner >= 0}
            ours.append(written)
            theirs.append("".join(_in_order(other, [wanted.get(place, _AT_THE_END) for place in range(len(other))])))
        else:
            ours.append("".join(_in_order(name.tokens, [place if place >= 0 else _AT_THE_END for place in partners])))
            theirs.append("".join(_in_order(other, range(len(other)))))
    return np.asarray(cpdist(ours, theirs, scorer=Indel.normalized_similarity, dtype=np.float32), np.float32)


_AT_THE_END: Final = 99


def _in_order(tokens: Sequence[str], places: Sequence[float]) -> list[str]:
    return [token for _, token in sorted(zip(places, tokens, strict=True)) if token[0] != "_"]


def _organisational(name: Prepared, index: Index, matrix: NDArray[np.int32]) -> dict[str, NDArray[np.bool_]]:
    """What counts in names of organisations, and is seldom there in others."""
    firsts = np.append(index.token_initial, 0)[matrix]
    is_form = firsts == ord("_")
    own_forms = _known(filter(is_legal_form, name.tokens), index)
    own_numbers = [token for token in name.tokens if token.isdigit()]
    is_number = np.append(index.token_number_only, 0)[matrix] > 0
    common_numbers = np.isin(matrix, _known(own_numbers, index)).sum(axis=1)
    return {
        "forms": is_form.any(axis=1) & bool(own_forms) & ~np.isin(matrix, own_forms).any(axis=1),
        "numbers": (is_number.sum(axis=1) != common_numbers) | (common_numbers != len(own_numbers)),
        "acronym": np.isin(matrix, _known([name.initials], index)).any(axis=1)
        | _abbreviated(np.where(is_form, 0, firsts), name.tokens),
    }


def _known(tokens: Iterable[str], index: Index) -> list[int]:
    return [index.token_number[token] for token in tokens if token in index.token_number]


def _abbreviated(firsts: NDArray[np.uint8], tokens: Sequence[str]) -> NDArray[np.bool_]:
    """Of which names, given the first letters of their words, one of *tokens* is the acronym."""
    found = np.zeros(len(firsts), bool)
    short = [token for token in tokens if 2 < len(token) <= firsts.shape[1]]
    if short:
        firsts = np.take_along_axis(firsts, np.argsort(firsts == 0, axis=1, kind="stable"), axis=1)
        length = (firsts > 0).sum(axis=1)
    for token in short:
        letters = np.frombuffer(token.encode(), np.uint8)
        found |= (length == len(token)) & (firsts[:, : len(token)] == letters).all(axis=1)
    return found
