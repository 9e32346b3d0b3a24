"""The tables of words under `data/`: what tells little in a name, and what companies are called in many languages."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final

from kyc_service.domain.record import record
from kyc_service.screening.arabic import folded


@record
class Words:
    """The words of names that are not what tells one bearer from another."""

    particles: frozenset[str]
    titles: frozenset[str]
    perhaps_titles: frozenset[str]  # surnames and given names as well: they stay in a name, and weigh a fraction
    vessel_prefixes: frozenset[str]
    fillers: frozenset[str]  # of organisations: articles and prepositions


@record
class OrganisationWords:
    """How organisations are named, whatever they are named."""

    legal_forms: Mapping[str, str]  # form → its class
    first_words: frozenset[str]  # of legal forms
    longest_form: int  # in words
    meanings: Mapping[str, str]  # word → its English
    stems: Mapping[str, str]  # beginning of a word → its English
    classes: frozenset[str]
    common: frozenset[str]  # the English words
    ideographs: Mapping[str, str]
    ideograph: re.Pattern[str]
    arabic: Mapping[str, str]  # folded word → its English
    abbreviations: Mapping[str, Sequence[str]]
    long_words: Sequence[str]  # that a slip of the pen is recognised in


_LONG: Final = 5


@lru_cache(maxsize=1)
def words() -> Words:
    """The table that comes with the engine."""
    return Words(
        **{section: frozenset(" ".join(lines).split()) for section, lines in _sections("name_words.txt").items()}
    )


@lru_cache(maxsize=1)
def organisation_words() -> OrganisationWords:
    """The tables that come with the engine."""
    by_class = _sections("legal_forms.txt")
    forms = {form: kind for kind, of_kind in by_class.items() for form in of_kind}
    meanings: dict[str, str] = {}
    stems: dict[str, str] = {}
    for line in _lines("common_words.txt"):
        english, _, foreign = line.partition(":")
        english = english.replace(" ", "")
        meanings[english] = english
        for word in foreign.split():
            (stems if word.endswith("*") else meanings).setdefault(word.removesuffix("*"), english)
    ideographs = dict(line.split(" ", 1) for line in _lines("ideographs.txt"))
    longest_first = sorted(map(re.escape, ideographs), key=len, reverse=True)
    return OrganisationWords(
        legal_forms=forms,
        first_words=frozenset(form.split(" ")[0] for form in forms),
        longest_form=max(form.count(" ") + 1 for form in forms),
        meanings=meanings,
        stems=stems,
        classes=frozenset(by_class),
        common=frozenset(meanings.values()) | frozenset(stems.values()),
        ideographs=ideographs,
        ideograph=re.compile("|".join(longest_first)),
        arabic={
            folded(word): english
            for line in _lines("arabic_words.txt")
            for alternatives, english in (line.split(" ", 1),)
            for word in alternatives.split("/")
        },
        abbreviations={
            short: long.split() for short, long in (line.split(" ", 1) for line in _lines("abbreviations.txt"))
        },
        long_words=sorted(
            {word for word in [*meanings, *(word for form in forms for word in form.split())] if len(word) >= _LONG}
        ),
    )


def _lines(name: str) -> list[str]:
    text = files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _sections(name: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    lines: Iterable[str] = _lines(name)
    current: list[str] = []
    for line in lines:
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        else:
            current.append(line)
    return sections
