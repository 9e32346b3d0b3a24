"""Names as the engine reads them: one alphabet, small tokens, and a few facts about each token.

Everything here is a pure function of its text. What a writing system, a keyboard, a scanner or an adversary does to a
name is undone here; what people do to names (nicknames, romanisations) is the business of the comparison.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from anyascii import anyascii
from numpy.typing import NDArray

from kyc_service.screening.arabic import vocalised
from kyc_service.screening.entries import Kind
from kyc_service.screening.organisations import is_legal_form, organisation_tokens, translated
from kyc_service.screening.words import organisation_words, words

LONGEST_NAME: Final = 1_000  # characters; no name on any list has 600
MOST_TOKENS: Final = 20
LONGEST_TOKEN: Final = 32

_INVISIBLE: Final = re.compile(
    "[\u00ad\u0640\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_APOSTROPHES: Final = re.compile("['`\u00b4\u02b9-\u02bf\u2018\u2019\u201b\u2032\u2035\u0640\uff07\"]")
_SPLIT: Final = re.compile(r"[^a-z0-9]+")
_SPACED: Final = re.compile(r"(?<![a-z0-9])[a-z](?: [a-z]){3,}(?![a-z0-9])")
_LETTERS: Final = re.compile(r"(?<![a-z0-9])[a-z](?: [a-z])+(?![a-z0-9])")  # A.B.C., S. A.
_PARTNERS: Final = re.compile(r"(?<=\b[a-z]) (?:and|y|e|und|et) (?=[a-z]\b)")  # G y G, I and S, as G&G, I&S
_MIXED: Final = re.compile(r"(?=\S*[a-z])(?=\S*\d)[a-z0-9]+")
_IDEOGRAPH: Final = re.compile("([\u3400-\u9fff\uf900-\ufaff\uac00-\ud7a3])")
_MARKS: Final = re.compile("[\u0300-\u036f\u0483-\u0487\u064b-\u065f\u0670\u05b0-\u05c7]")

_LIKE_LATIN: Final = str.maketrans(
    "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0405\u0422\u0425\u0423\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0445\u0443"
    "\u04bb\u0501\u051b\u0475\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u03b1\u03b9\u03c1",
    "ABCEHIJKMOPSTXYaceijopsxyhdwvABEZHIKMNOPTYXovaip",
)
_LIKE_CYRILLIC: Final = str.maketrans(
    "ABCEHIJKMOPSTXYaceijopsxy",
    "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0405\u0422\u0425\u0423\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0445\u0443",
)
_OCR: Final = str.maketrans("0158", "olsb")
_LATIN: Final = re.compile("[A-Za-z\u00c0-\u024f]")
_CYRILLIC_OR_GREEK: Final = re.compile("[\u0370-\u052f]")
_WORD: Final = re.compile(r"\S+")


def romanised(value: str) -> str:
    """*value* in lower-case ASCII, whatever it was written in: `Лавров` → `lavrov`, `习近平` → ` xi  jin  ping`.

    Invisible characters vanish, apostrophes too; letters that only look Latin are taken for what they look like, in a
    word that is otherwise Latin.
    """
    value = value[:LONGEST_NAME]
    if not value.isascii():
        value = _legible(value)
        if _CYRILLIC_OR_GREEK.search(value) and _LATIN.search(value):
            value = _WORD.sub(_without_disguise, value)
        value = vocalised(_APOSTROPHES.sub("", value))
        value = anyascii(_IDEOGRAPH.sub(r" \1 ", value))
    return _APOSTROPHES.sub("", value.lower())


def _legible(value: str) -> str:
    """*value* in one form of Unicode, without what cannot be seen and what stands above and below letters."""
    seen = _INVISIBLE.sub("", unicodedata.normalize("NFKC", value))
    return unicodedata.normalize("NFKC", _MARKS.sub("", seen))


def _without_disguise(match: re.Match[str]) -> str:
    """A word in the one alphabet that it can be read in; in Latin letters as far as it goes, where it is in none."""
    word = match[0]
    if not (_LATIN.search(word) and _CYRILLIC_OR_GREEK.search(word)):
        return word
    latin, cyrillic = word.translate(_LIKE_LATIN), word.translate(_LIKE_CYRILLIC)
    return cyrillic if _CYRILLIC_OR_GREEK.search(latin) and not _LATIN.search(cyrillic) else latin


def tokens_of(value: str, kind: Kind) -> tuple[str, ...]:
    """The tokens of a name, in its order and each once; never empty for a name that has a letter or a digit."""
    if kind is Kind.ORGANISATION and not value.isascii():
        value = translated(_legible(value[:LONGEST_NAME]))
    text = " ".join(_SPLIT.split(romanised(value))).strip()
    spaced = _SPACED
    if kind is Kind.ORGANISATION:
        spaced, text = _LETTERS, _PARTNERS.sub(" ", text)
    if spaced.search(text):
        text = spaced.sub(lambda match: match[0].replace(" ", ""), text)
    parts = [word[:LONGEST_TOKEN] for word in text.split(" ") if word]
    match kind:
        case Kind.ORGANISATION:
            parts = organisation_tokens(parts)
        case Kind.VESSEL | Kind.AIRCRAFT:
            parts = _without(parts, words().vessel_prefixes, at_most=2)
        case _:
            parts = [_letters(word) for word in parts]
            titles = words().titles
            parts = [word for word in parts if word not in titles] or parts
    return tuple(dict.fromkeys(parts[:MOST_TOKENS]))


def _without(parts: list[str], dropped: frozenset[str], *, at_most: int) -> list[str]:
    start = 0
    while start < at_most and start < len(parts) - 1 and parts[start] in dropped:
        start += 1
    return parts[start:]


def _letters(word: str) -> str:
    return word if word.isalpha() or not _MIXED.fullmatch(word) else word.translate(_OCR)


# ── What a token sounds like ──────────────────────────────────────────────────────────────────────────────────────
_SOUNDS: Final = (
    ("shch", "S"), ("stsch", "S"), ("tsch", "S"), ("sch", "S"), ("tch", "S"), ("dzh", "S"), ("dsch", "S"), ("tzs", "S"),
    ("sh", "S"), ("ch", "S"), ("zh", "S"), ("cz", "S"), ("sz", "S"), ("ts", "S"), ("tz", "S"), ("dj", "S"), ("dz", "S"),
    ("ks", "KS"), ("ck", "K"), ("kh", "K"), ("gh", "K"), ("ph", "P"), ("th", "T"), ("dh", "T"), ("qu", "K"),
    ("ce", "S"), ("ci", "S"), ("x", "KS"),
)  # fmt: skip
_DIGRAPH: Final = re.compile("|".join(written for written, _ in _SOUNDS))
_SOUND_OF: Final = dict(_SOUNDS)
_CLASSES: Final = str.maketrans(
    {"s": "S", "z": "S", "j": "S",
     "p": "P", "b": "P", "f": "P", "v": "P", "w": "P", "g": "K", "k": "K", "q": "K", "c": "K",
     "t": "T", "d": "T", "m": "M", "n": "N", "l": "L", "r": "R", "h": None, "y": None,
     "a": None, "e": None, "i": None, "o": None, "u": None}
)  # fmt: skip
_DOUBLED: Final = re.compile(r"(.)\1+")


@lru_cache(maxsize=65_536)
def skeleton(token: str) -> str:
    """The consonants of *token* by class, so that `Qaddafi` and `Gadhafi` are both `KTP`."""
    sounds = _DIGRAPH.sub(lambda match: _SOUND_OF[match[0]], token)
    sounds = _DOUBLED.sub(r"\1", sounds.translate(_CLASSES))
    return "a" + sounds if token[:1] in "aeiou" else sounds


def token_bytes(tokens: Sequence[str]) -> NDArray[np.uint8]:
    """The tokens as rows of bytes, padded with zeros to `LONGEST_TOKEN`."""
    packed = np.array([token.encode() for token in tokens], dtype=f"S{LONGEST_TOKEN}")
    return packed.view(np.uint8).reshape(len(tokens), LONGEST_TOKEN)


def bigram_signatures(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """One bit of 64 for every pair of neighbouring letters, the first and the last letter being pairs too."""
    wide = np.zeros((len(rows), LONGEST_TOKEN + 2), np.uint64)
    wide[:, 1:-1] = rows
    present = (wide[:, :-1] > 0) | (wide[:, 1:] > 0)
    pairs = wide[:, :-1] * np.uint64(256) + wide[:, 1:]
    with np.errstate(over="ignore"):
        code = (pairs * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(58)
    bits = np.where(present, np.uint64(1) << code, np.uint64(0))
    return np.asarray(np.bitwise_or.reduce(bits, axis=1), np.uint64)


def letter_signatures(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """One bit for every letter that a token has, and one for every letter that it has twice."""
    once = np.zeros(len(rows), np.uint64)
    twice = np.zeros(len(rows), np.uint64)
    for column in range(rows.shape[1]):
        letter = rows[:, column].astype(np.uint64)
        bit = np.where(letter > 0, np.uint64(1) << (letter & np.uint64(31)), np.uint64(0))
        twice |= once & bit
        once |= bit
    return once | (twice << np.uint64(32))


def token_hashes(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64 bits for every token, the same in every process and version."""
    value = np.full(len(rows), 0xCBF29CE484222325, np.uint64)
    with np.errstate(over="ignore"):
        for column in range(LONGEST_TOKEN):
            byte = rows[:, column].astype(np.uint64)
            value = np.where(byte > 0, (value ^ byte) * np.uint64(0x100000001B3), value)
        value ^= value >> np.uint64(29)
        value *= np.uint64(0xBF58476D1CE4E5B9)
        value ^= value >> np.uint64(32)
    return value


# A short token is one of few: syllables of Chinese and Korean names meet by chance, whatever the list's counts say.
_SHORT: Final = {2: 0.6, 3: 0.75, 4: 0.9}


def share(token: str) -> float:
    """How much of its rarity a token may claim: a particle or a legal form tells little, however rare it is."""
    if is_legal_form(token):
        return 0.2
    if token in words().particles:
        return 0.25
    if len(token) == 1 or token in words().perhaps_titles:
        return 0.4
    if token in organisation_words().common:
        return 0.6
    return _SHORT.get(len(token), 1.0)


def is_distinctive(token: str) -> bool:
    """Whether a token tells one name from another, as no legal form, particle or common word of organisations does."""
    common = organisation_words().common
    return not is_legal_form(token) and token not in words().particles and token not in common
