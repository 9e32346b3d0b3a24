"""Everything about a list that can be computed before anybody asks: an immutable index, shared between processes.

An index is some twenty flat arrays. In a file they stand one after another behind a header, so that every process maps
the same pages (`Index.open`). A changed list is a new index: nothing is ever changed in place.
"""

import json
import mmap
import os
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from kyc_service.domain.record import record
from kyc_service.screening.entries import Birth, Entry, Group, Identifier, Kind, ListedName, NameKind
from kyc_service.screening.names import (
    LONGEST_TOKEN,
    bigram_signatures,
    is_distinctive,
    letter_signatures,
    share,
    skeleton,
    token_bytes,
    token_hashes,
    tokens_of,
)
from kyc_service.screening.synonyms import name_groups

FORMAT: Final = 4
_MAGIC: Final = b"KYCIDX01"
KINDS: Final = tuple(Kind)
GENDERS: Final = (None, "male", "female")
_PSEUDO_NAMES: Final = 20_000  # how many unseen names a short list is thought to be a sample of
_LEAST_WEIGHT: Final = 1.5
_MOST_WEIGHT: Final = 9.0
_SYNONYM: Final = 0.93
_CACHED_TOKENS: Final = 50_000

Arrays = Mapping[str, NDArray[np.generic]]


class IndexUnreadable(Exception):
    """The file is not an index that this version of the engine wrote."""


@record
class Expansion:
    """The tokens of an index that a token may stand for, the most similar last."""

    tokens: NDArray[np.int32]
    similarities: NDArray[np.float32]


class Index:
    """Entries of a list, or people of our own, ready to be searched."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._cache: dict[str, Expansion] = {}
        self._lock = Lock()
        get = arrays.__getitem__
        self.token_weight: NDArray[np.float32] = get("token_weight")  # type: ignore[assignment]
        self.token_initial: NDArray[np.uint8] = get("token_initial")  # type: ignore[assignment]
        self.token_length: NDArray[np.uint8] = get("token_length")  # type: ignore[assignment]
        self.token_comparable: NDArray[np.uint8] = get("token_comparable")  # type: ignore[assignment]
        self.token_letters: NDArray[np.uint64] = get("token_letters")  # type: ignore[assignment]
        self.token_signature: NDArray[np.uint64] = get("token_signature")  # type: ignore[assignment]
        self.token_core: NDArray[np.uint8] = get("token_core")  # type: ignore[assignment]
        self.token_number_only: NDArray[np.uint8] = get("token_number_only")  # type: ignore[assignment]
        self.token_count: NDArray[np.int32] = get("token_count")  # type: ignore[assignment]
        self.posting_start: NDArray[np.int64] = get("posting_start")  # type: ignore[assignment]
        self.postings: NDArray[np.int32] = get("postings")  # type: ignore[assignment]
        self.name_entry: NDArray[np.int32] = get("name_entry")  # type: ignore[assignment]
        self.name_start: NDArray[np.int64] = get("name_start")  # type: ignore[assignment]
        self.name_tokens: NDArray[np.int32] = get("name_tokens")  # type: ignore[assignment]
        self.name_weight: NDArray[np.float32] = get("name_weight")  # type: ignore[assignment]
        self.name_weak: NDArray[np.uint8] = get("name_weak")  # type: ignore[assignment]
        self.name_number: NDArray[np.uint16] = get("name_number")  # type: ignore[assignment]
        self.entry_kind: NDArray[np.uint8] = get("entry_kind")  # type: ignore[assignment]
        self.entry_source: NDArray[np.uint16] = get("entry_source")  # type: ignore[assignment]
        self.entry_gender: NDArray[np.uint8] = get("entry_gender")  # type: ignore[assignment]
        self.entry_countries: NDArray[np.uint64] = get("entry_countries")  # type: ignore[assignment]
        self.birth_start: NDArray[np.int64] = get("birth_start")  # type: ignore[assignment]
        self.births: NDArray[np.int32] = get("births")  # type: ignore[assignment]

    @staticmethod
    def build(entries: Iterable[Entry], versions: Mapping[str, str] | None = None) -> "Index":
        """Index *entries*, which may come from a generator: none is kept as an object.

        *versions*: source → the version of its list, for the explanations.
        """
        about = json.dumps(dict(versions or {})).encode()
        return Index(_built(entries) | {"versions": np.frombuffer(about, np.uint8)})

    def __len__(self) -> int:
        return len(self.entry_kind)

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """Source → the version of the list that the entries are of, as far as it was given."""
        versions: dict[str, str] = json.loads(self._arrays["versions"].tobytes())
        return versions

    @cached_property
    def sources(self) -> list[str]:
        """The lists that the entries are of; `entry_source` holds places in it."""
        sources: list[str] = json.loads(self._arrays["sources"].tobytes())
        return sources

    def asked(self, lists: Collection[str] | None) -> NDArray[np.bool_]:
        """Whether each entry is of one of *lists*; None: all of them are."""
        wanted = np.array([lists is None or source in lists for source in self.sources], bool)
        return wanted[self.entry_source]

    def ids(self) -> list[str]:
        """The id of every entry, in the order of their places."""
        ids: list[str] = json.loads(self._arrays["entry_ids"].tobytes())
        return ids

    @property
    def names(self) -> int:
        """How many names the entries have together."""
        return len(self.name_entry)

    def entry(self, number: int) -> Entry:
        """The entry at this place, as it was given."""
        start, end = self._arrays["entry_start"][number : number + 2]
        return _unpacked(self._arrays["entries"][start:end].tobytes())

    # ── On disk ───────────────────────────────────────────────────────────────────────────────────────────────────
    def save(self, path: Path) -> None:
        """Write the index to *path*, all of it or nothing."""
        layout: dict[str, tuple[str, tuple[int, ...], int]] = {}
        position = 0
        for name, values in self._arrays.items():
            layout[name] = (values.dtype.str, values.shape, position)
            position += -(-values.nbytes // 64) * 64
        header = json.dumps({"format": FORMAT, "arrays": layout}).encode()
        header += b" " * (-(len(header) + 16) % 64)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        with unfinished.open("wb") as file:
            file.write(_MAGIC + len(header).to_bytes(8, "little") + header)
            for values in self._arrays.values():
                file.write(np.ascontiguousarray(values).data)
                file.write(b"\0" * (-values.nbytes % 64))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

    @staticmethod
    def open(path: Path) -> "Index":
        """The index at *path*, mapped into memory: processes that open the same file share its pages.

        Raises:
            IndexUnreadable: another version wrote it, or nobody did.
        """
        with path.open("rb") as file:
            try:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise IndexUnreadable(f"{path} is empty") from error
        if mapped[:8] != _MAGIC:
            raise IndexUnreadable(f"{path} is no screening index of this version")
        start = 16 + int.from_bytes(mapped[8:16], "little")
        try:
            header = json.loads(mapped[16:start])
            if header["format"] != FORMAT:
                raise IndexUnreadable(f"{path} was written by another version")
            layout = header["arrays"]
            arrays = {
                name: np.frombuffer(mapped, kind, int(np.prod(shape)), start + offset).reshape(shape)
                for name, (kind, shape, offset) in layout.items()
            }
        except (ValueError, KeyError) as error:
            raise IndexUnreadable(f"{path} is damaged") from error
        return Index(arrays)

    # ── Tokens ────────────────────────────────────────────────────────────────────────────────────────────────────
    @cached_property
    def tokens(self) -> list[str]:
        """The vocabulary, shortest first."""
        return self._arrays["tokens"].tobytes().decode().split("\n")[: len(self.token_weight)]

    @cached_property
    def token_number(self) -> Mapping[str, int]:
        """Token → its place in the vocabulary."""
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def _skeletons(self) -> Mapping[str, int]:
        return {text: place for place, text in enumerate(self._arrays["skeletons"].tobytes().decode().split("\n"))}

    def weights(self, tokens: Sequence[str]) -> NDArray[np.float32]:
        """How much each token says, in natural units of information: 1.5 (everybody has it) to 9 (nobody else has)."""
        numbers = [self.token_number.get(token, -1) for token in tokens]
        weights = np.append(self.token_weight, np.float32(0))[numbers]
        unknown = [place for place, number in enumerate(numbers) if number < 0]
        if unknown:
            sounds = [self._skeletons.get(skeleton(tokens[place]), -1) for place in unknown]
            alike = np.append(self._arrays["skeleton_count"], 0)[sounds]
            shares = np.array([share(tokens[place]) for place in unknown])
            weights[unknown] = _weights(np.full(len(unknown), 0.5), alike, shares, self.names)
        return weights

    def listed(self, token: str) -> int:
        """In how many of the names *token* occurs."""
        number = self.token_number.get(token)
        return 0 if number is None else int(self.token_count[number])

    def expansion(self, token: str) -> Expansion:
        """What *token* may stand for in this index."""
        found = self._cache.get(token)
        if found is None:
            found = self._expanded(token)
            with self._lock:
                if len(self._cache) >= _CACHED_TOKENS:
                    self._cache.clear()
                self._cache[token] = found
        return found

    def _expanded(self, token: str) -> Expansion:
        row = token_bytes([token])
        exact = self.token_number.get(token)
        if not comparable(token):
            numbers = np.array([] if exact is None else [exact], np.int32)
            return Expansion(tokens=numbers, similarities=np.ones(len(numbers), np.float32))
        sounding = self._sounding(token)
        synonyms = self._synonyms(token_hashes(row))
        numbers = np.unique(np.concatenate([self._near(token, row), sounding, synonyms]))
        similarities = similarities_of(
            token,
            [self.tokens[number] for number in numbers],
            sounds_alike=np.isin(numbers, sounding, assume_unique=True),
            stands_for=np.isin(numbers, synonyms, assume_unique=True),
        )
        kept = (similarities >= LEAST_SIMILARITY) & (self.token_comparable[numbers] > 0)
        numbers, similarities = numbers[kept], similarities[kept]
        order = np.argsort(similarities, kind="stable")
        return Expansion(tokens=numbers[order].astype(np.int32), similarities=similarities[order])

    def _near(self, token: str, row: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The tokens that share enough letters, and pairs of them, to be a few edits away: all such, and a few more."""
        edits = most_edits(len(token) + 3)
        starts = self._arrays["length_start"]
        low = int(starts[max(len(token) - edits, 1)])
        high = int(starts[min(len(token) + edits, LONGEST_TOKEN) + 1])
        edits_of = _EDITS[np.maximum(self.token_length[low:high], len(token))]
        near = _shared(self.token_letters[low:high], letter_signatures(row)[0], edits_of)
        places = np.flatnonzero(near)
        signatures = self.token_signature[low:high][places]
        places = places[_shared(signatures, bigram_signatures(row)[0], 2 * edits_of[places] + 1)]
        return (places + low).astype(np.int32)

    def _sounding(self, token: str) -> NDArray[np.int32]:
        alike = self._skeletons.get(skeleton(token))
        if alike is None:
            return np.zeros(0, np.int32)
        start, end = self._arrays["skeleton_start"][alike : alike + 2]
        return np.asarray(self._arrays["skeleton_tokens"][start:end], np.int32)

    def _synonyms(self, hashed: NDArray[np.uint64]) -> NDArray[np.int32]:
        _, groups = name_groups().of(hashed)
        if not len(groups):
            return np.zeros(0, np.int32)
        known = self._arrays["group_numbers"]
        first, last = np.searchsorted(known, groups, "left"), np.searchsorted(known, groups, "right")
        members = [self._arrays["group_tokens"][a:b] for a, b in zip(first, last, strict=True)]
        return np.unique(np.concatenate(members)).astype(np.int32)

    def posted(
        self, tokens: NDArray[np.int32], values: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The names with any of *tokens*, one after the other, and beside each the value of its token."""
        starts = self.posting_start[tokens]
        lengths = self.posting_start[tokens + 1] - starts
        before = np.cumsum(lengths) - lengths
        places = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
        return self.postings[places], np.repeat(values, lengths)

    # ── Entries ───────────────────────────────────────────────────────────────────────────────────────────────────
    def with_identifier(self, identifiers: Sequence[Identifier]) -> list[int]:
        """The places of the entries that have one of these numbers."""
        keys = [key for key in map(identifier_key, identifiers) if key]
        if not keys:
            return []
        hashes = _text_hashes(keys)
        known = self._arrays["identifier_hash"]
        first, last = np.searchsorted(known, hashes, "left"), np.searchsorted(known, hashes, "right")
        return sorted({int(e) for a, b in zip(first, last, strict=True) for e in self._arrays["identifier_entry"][a:b]})


# ── Similarity of two tokens ──────────────────────────────────────────────────────────────────────────────────────
LEAST_SIMILARITY: Final = 0.6


def most_edits(length: int) -> int:
    """How many letters may differ, where the longer of two tokens has this length, before they are two names."""
    return 1 if length < 6 else 2 if length < 10 else 3


_EDITS: Final = np.array([most_edits(length) for length in range(LONGEST_TOKEN + 4)], np.int8)


def _shared(signatures: NDArray[np.uint64], signature: np.uint64, lost: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Whose bits are those of *signature*, but for *lost* of the greater number."""
    greater = np.maximum(np.bitwise_count(signatures), np.bitwise_count(signature)).astype(np.int8)
    return np.asarray(np.bitwise_count(signatures & signature).astype(np.int8) >= greater - lost)


def similarities_of(
    token: str, others: Sequence[str], *, sounds_alike: NDArray[np.bool_], stands_for: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """How alike *token* and each of *others* are, 0 to 1; the same both ways round.

    Letters count as the share that stays in the cheapest edit; an equal consonant skeleton lifts a pair to 0.72 and
    more, a common group of Wikidata to 0.93.
    """
    if not others:
        return np.zeros(0, np.float32)
    edits = cdist([token], others, scorer=OSA.distance, dtype=np.int32)[0]
    longer = np.maximum(np.array([len(other) for other in others]), len(token))
    letters = 1 - edits / longer
    # In a short token every letter counts for more: `yang` and `yong` are two of a few hundred syllables.
    letters = np.where(longer <= 4, letters - 0.1 * np.minimum(edits, 1), letters)
    sound = skeleton(token)
    if len(sound) > 2:
        heard = 0.72 + 0.22 * letters
    elif len(sound) == 2:
        heard = np.where(letters >= 0.4, np.where(longer <= 4, 0.5, 0.6) + 0.3 * letters, 0)
    else:
        heard = np.zeros(len(others))
    similarities = np.where(edits <= _EDITS[np.minimum(longer, LONGEST_TOKEN)], letters, 0)
    similarities = np.where(sounds_alike, np.maximum(similarities, heard), similarities)
    similarities = np.where(stands_for, np.maximum(similarities, _SYNONYM), similarities)
    return np.asarray(similarities, np.float32)


def similarity(one: str, other: str) -> float:
    """How alike two tokens are, 0 to 1."""
    if one == other:
        return 1.0
    if not comparable(one) or not comparable(other):
        return 0.0
    both = name_groups().of(token_hashes(token_bytes([one, other])))
    shared = np.intersect1d(both[1][both[0] == 0], both[1][both[0] == 1])
    sounds = np.array([bool(skeleton(one)) and skeleton(one) == skeleton(other)])
    found = float(similarities_of(one, [other], sounds_alike=sounds, stands_for=np.array([len(shared) > 0]))[0])
    return found if found >= LEAST_SIMILARITY else 0.0


def comparable(token: str) -> bool:
    """Whether *token* may stand for a different one; a number, a legal form and an initial may not."""
    return token[0] != "_" and len(token) > 1 and token.isalpha()


# ── Building ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _built(entries: Iterable[Entry]) -> dict[str, NDArray[np.generic]]:
    numbers: dict[str, int] = {}
    name_tokens, name_length, name_entry, name_number = array("i"), array("i"), array("i"), array("H")
    name_weak, kinds, genders = bytearray(), bytearray(), bytearray()
    countries, births, birth_count = array("Q"), array("i"), array("i")
    identifier_keys: list[str] = []
    identifier_entry = array("i")
    packed, packed_length = bytearray(), array("q", [0])
    ids: list[str] = []
    sources: dict[str, int] = {}
    entry_source = array("H")
    number_of = numbers.setdefault
    for place, entry in enumerate(entries):
        ids.append(entry.id)
        entry_source.append(sources.setdefault(entry.source, len(sources)))
        kinds.append(KINDS.index(entry.kind))
        genders.append(GENDERS.index(entry.gender) if entry.gender in GENDERS else 0)
        countries.extend(country_mask(entry.countries))
        spans = [span for birth in entry.births if (span := days_of(birth))]
        birth_count.append(len(spans))
        for span in spans:
            births.extend(span)
        for identifier in entry.identifiers:
            if key := identifier_key(identifier):
                identifier_keys.append(key)
                identifier_entry.append(place)
        seen: set[tuple[str, ...]] = set()
        for number, name in enumerate(entry.names):
            tokens = tokens_of(name.value, entry.kind)
            if not tokens or tokens in seen:
                continue
            seen.add(tokens)
            name_tokens.extend([number_of(token, len(numbers)) for token in tokens])
            name_length.append(len(tokens))
            name_entry.append(place)
            name_number.append(min(number, 65_535))
            name_weak.append(name.kind is NameKind.WEAK)
        packed += _packed(entry)
        packed_length.append(len(packed))
    arrays = _token_arrays(list(numbers), np.frombuffer(name_tokens, np.int32), np.frombuffer(name_length, np.int32))
    order = np.argsort(_text_hashes(identifier_keys), kind="stable") if identifier_keys else np.zeros(0, np.int64)
    return arrays | {
        "name_entry": np.frombuffer(name_entry, np.int32),
        "name_number": np.frombuffer(name_number, np.uint16),
        "name_weak": np.frombuffer(bytes(name_weak), np.uint8),
        "entry_kind": np.frombuffer(bytes(kinds), np.uint8),
        "entry_source": np.frombuffer(entry_source, np.uint16),
        "sources": np.frombuffer(json.dumps(list(sources)).encode(), np.uint8),
        "entry_gender": np.frombuffer(bytes(genders), np.uint8),
        "entry_countries": np.frombuffer(countries, np.uint64).reshape(-1, _COUNTRY_WORDS),
        "birth_start": _starts(np.frombuffer(birth_count, np.int32)),
        "births": np.frombuffer(births, np.int32).reshape(-1, 3),
        "identifier_hash": _text_hashes(identifier_keys)[order],
        "identifier_entry": np.frombuffer(identifier_entry, np.int32)[order],
        "entries": np.frombuffer(bytes(packed), np.uint8),
        "entry_ids": np.frombuffer(json.dumps(ids).encode(), np.uint8),
        "entry_start": np.frombuffer(packed_length, np.int64),
    }


def _token_arrays(
    tokens: list[str], name_tokens: NDArray[np.int32], name_length: NDArray[np.int32]
) -> dict[str, NDArray[np.generic]]:
    """Renumber the vocabulary by length, and everything that follows from the tokens alone."""
    lengths = np.array([len(token) for token in tokens], np.uint8)
    by_length = np.lexsort((np.array(tokens, f"S{LONGEST_TOKEN}"), lengths)) if tokens else np.zeros(0, np.int64)
    place = np.empty(len(tokens), np.int32)
    place[by_length] = np.arange(len(tokens), dtype=np.int32)
    tokens = [tokens[number] for number in by_length]
    lengths = lengths[by_length]
    name_tokens = place[name_tokens] if len(name_tokens) else np.zeros(0, np.int32)
    name_of = np.repeat(np.arange(len(name_length), dtype=np.int32), name_length)
    rows = token_bytes(tokens) if tokens else np.zeros((0, LONGEST_TOKEN), np.uint8)

    counts = np.bincount(name_tokens, minlength=len(tokens)).astype(np.int32)
    sounds = [skeleton(token) for token in tokens]
    skeletons = sorted(set(sounds))
    sound_number = {sound: number for number, sound in enumerate(skeletons)}
    token_sound = np.array([sound_number[sound] for sound in sounds], np.int32)
    sound_count = np.bincount(token_sound, weights=counts, minlength=len(skeletons))
    weights = _weights(counts, sound_count[token_sound], np.array([share(token) for token in tokens]), len(name_length))
    sound_order = np.argsort(token_sound, kind="stable").astype(np.int32)
    places, groups = name_groups().of(token_hashes(rows))
    group_order = np.argsort(groups, kind="stable")
    posting_order = np.argsort(name_tokens, kind="stable")
    return {
        "tokens": np.frombuffer("\n".join(tokens).encode(), np.uint8),
        "token_length": lengths,
        "token_initial": rows[:, 0].copy(),
        "token_comparable": np.array([comparable(token) for token in tokens], np.uint8),
        "token_core": np.array([is_distinctive(token) for token in tokens], np.uint8),
        "token_number_only": np.array([token.isdigit() for token in tokens], np.uint8),
        "token_letters": letter_signatures(rows),
        "token_signature": bigram_signatures(rows),
        "token_count": counts,
        "token_weight": weights,
        "length_start": np.searchsorted(lengths, np.arange(LONGEST_TOKEN + 2)).astype(np.int64),
        "skeletons": np.frombuffer("\n".join(skeletons).encode(), np.uint8),
        "skeleton_count": sound_count.astype(np.int32),
        "skeleton_start": _starts(np.bincount(token_sound, minlength=len(skeletons))),
        "skeleton_tokens": sound_order,
        "group_numbers": groups[group_order],
        "group_tokens": places[group_order].astype(np.int32),
        "name_start": _starts(name_length),
        "name_tokens": name_tokens,
        "name_weight": _sums(weights[name_tokens], name_length),
        "posting_start": _starts(counts),
        "postings": name_of[posting_order],
    }


def _weights(
    counts: NDArray[np.generic], alike: NDArray[np.generic], shares: NDArray[np.float64], names: int
) -> NDArray[np.float32]:
    """The information in tokens that occur in *counts* names, and their spellings in *alike*."""
    effective = 0.75 * np.asarray(counts, np.float64) + 0.25 * np.asarray(alike, np.float64)
    information = np.log((names + _PSEUDO_NAMES) / np.maximum(effective, 0.25))
    return np.asarray(shares * np.clip(information, _LEAST_WEIGHT, _MOST_WEIGHT), np.float32)


def _starts(counts: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _sums(values: NDArray[np.float32], lengths: NDArray[np.int32]) -> NDArray[np.float32]:
    if not len(lengths):
        return np.zeros(0, np.float32)
    return np.add.reduceat(values, _starts(lengths)[:-1]).astype(np.float32)


# ── Facts as numbers ──────────────────────────────────────────────────────────────────────────────────────────────
_COUNTRY_WORDS: Final = 11  # 26 × 26 codes, one bit each


def country_mask(countries: Sequence[str]) -> list[int]:
    """One bit for every two-letter code."""
    words = [0] * _COUNTRY_WORDS
    for code in countries:
        first, second = (ord(code[0]) - 97, ord(code[1]) - 97) if len(code) == 2 else (-1, -1)
        if 0 <= first < 26 and 0 <= second < 26:
            word, bit = divmod(first * 26 + second, 64)
            words[word] |= 1 << bit
    return words


def days_of(birth: Birth) -> tuple[int, int, int] | None:
    """First and last day as ordinals, and whether they are approximate; None where there is no such day."""
    try:
        return date.fromisoformat(birth.first).toordinal(), date.fromisoformat(birth.last).toordinal(), int(birth.circa)
    except ValueError:
        return None


def identifier_key(identifier: Identifier) -> str:
    """An identifier without its punctuation; empty where it is too short to identify anybody."""
    value = "".join(character for character in identifier.value.casefold() if character.isalnum())
    return value if len(value) >= 5 and any(character.isdigit() for character in value) else ""


def _text_hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    return token_hashes(token_bytes([text.encode("ascii", "ignore").decode()[-LONGEST_TOKEN:] for text in texts]))


def _packed(entry: Entry) -> bytes:
    return _ENCODER.encode([
        entry.id, entry.source, entry.group, entry.kind, [(name.value, name.kind) for name in entry.names],
        [(birth.first, birth.last, birth.circa) for birth in entry.births], entry.countries, entry.gender,
        [(number.type, number.value, number.country) for number in entry.identifiers], entry.programmes,
        entry.referents, entry.birth_places, entry.addresses, entry.remarks, entry.listed_on, entry.link,
    ]).encode()  # fmt: skip


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


def _unpacked(packed: bytes) -> Entry:
    (
        identity, source, group, kind, names, births, countries, gender, identifiers, programmes, referents, places,
        addresses, remarks, listed_on, link,
    ) = json.loads(packed)  # fmt: skip
    return Entry(
        id=identity,
        source=source,
        group=Group(group),
        kind=Kind(kind),
        names=tuple(ListedName(value=value, kind=NameKind(name_kind)) for value, name_kind in names),
        births=tuple(Birth(first=first, last=last, circa=circa) for first, last, circa in births),
        countries=tuple(countries),
        gender=gender,
        identifiers=tuple(
            Identifier(type=type_, value=value, country=country) for type_, value, country in identifiers
        ),
        programmes=tuple(programmes),
        referents=tuple(referents),
        birth_places=tuple(places),
        addresses=tuple(addresses),
        remarks=remarks,
        listed_on=listed_on,
        link=link,
    )
