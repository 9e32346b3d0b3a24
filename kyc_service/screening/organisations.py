"""What names of organisations are made of besides the part that tells one from another: legal forms and common words.

A legal form becomes the token of its class (`OOO`, `LLC`, `GmbH` → `_llc`), a common word in one of the languages of
the lists becomes its English one (`завод`, `factory` → `plant`). Both weigh less than what is left.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from rapidfuzz.distance import OSA
from rapidfuzz.process import extractOne

from kyc_service.screening.arabic import replaced
from kyc_service.screening.words import organisation_words, words


def translated(value: str) -> str:
    """*value* with the words of other scripts without vowels or blanks that companies are named with in English."""
    table = organisation_words()
    return replaced(table.ideograph.sub(lambda match: f" {table.ideographs[match[0]]} ", value), table.arabic)


def organisation_tokens(name: Sequence[str]) -> list[str]:
    """The words of *name* with legal forms as their class, common words in English, and fillers dropped."""
    table, fillers = organisation_words(), words().fillers
    name = _with_numbers([repaired(word) for word in name])
    tokens: list[str] = []
    at = 0
    while at < len(name):
        length = _form_length(name, at)
        if length:
            form = table.legal_forms[" ".join(name[at : at + length])]
            if form not in tokens:
                tokens.append(form)
            at += length
            continue
        if name[at] not in fillers:
            tokens.extend(table.abbreviations.get(name[at]) or (meaning(name[at]),))
        at += 1
    return tokens or list(name)


_TENS: Final = frozenset(str(tens) for tens in range(20, 100, 10))


def _with_numbers(name: Sequence[str]) -> list[str]:
    """*name* with `forty four` as one number."""
    read: list[str] = []
    for word in name:
        tens, unit = meaning(read[-1]) if read and read[-1].isalpha() else "", meaning(word)
        if tens in _TENS and len(unit) == 1 and unit in "123456789":
            read[-1] = tens[0] + unit
        else:
            read.append(word)
    return read


def _form_length(name: Sequence[str], at: int) -> int:
    table = organisation_words()
    if name[at] not in table.first_words:
        return 0
    for length in range(min(table.longest_form, len(name) - at), 0, -1):
        if " ".join(name[at : at + length]) in table.legal_forms:
            return length
    return 0


@lru_cache(maxsize=65_536)
def repaired(word: str) -> str:
    """A long common word that one slip has spoilt, as it should be; an ordinal as its number."""
    if word[0].isdigit():
        return word[:-2] if word.endswith(_ORDINAL) and word[:-2].isdigit() else word
    table = organisation_words()
    if len(word) < 5 or word in table.meanings or meaning(word) != word:
        return word
    found = extractOne(word, table.long_words, scorer=OSA.distance, score_cutoff=1)
    return found[0] if found else word


# "Of Samara" and "of Kazan" are adjectives in Slavic names: what is left of Самарский and Казанская is the place.
_ADJECTIVE: Final = re.compile(
    r"(?<=[a-z]{4})sk(?:iye?|ije?|ie|ii|yye?|yi|yj|oy|oi|a[yij]a|o[yj]?e|ogo|oho|[iy]kh|[iy]mi?|om|a|e)$"
)
_ORDINAL: Final = ("st", "nd", "rd", "th")


@lru_cache(maxsize=65_536)
def meaning(word: str) -> str:
    """The English of a common word, or the word itself; of a place's adjective the place."""
    table = organisation_words()
    found = table.meanings.get(word)
    if found is not None:
        return found
    for length in range(len(word), 2, -1):
        found = table.stems.get(word[:length])
        if found is not None and (length > 3 or len(word) <= length + 3):
            return found
    return _ADJECTIVE.sub("", word)


def is_legal_form(token: str) -> bool:
    """Whether a token is the class of a legal form."""
    return token[0] == "_"


def acronym(tokens: Sequence[str]) -> str:
    """The first letters of what is not legal form; empty for fewer than three words."""
    letters = [token[0] for token in tokens if not is_legal_form(token)]
    return "".join(letters) if len(letters) > 2 else ""
