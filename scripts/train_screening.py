"""Fit the weights of the screening model: `python -m scripts.train_screening LISTS WHEEL [--seed N]`.

LISTS is a folder with OFAC's files (public domain) and the list of the United Nations (reuse with attribution), in the
layout of `SOURCES`; WHEEL is that of `scripts.compile_names`. Half of the listed people and companies make the list to
search, the others are innocents. What writing, typing, scanning and translating do to a name is generated here; real
aliases are taken off the list and looked for. Nothing else is learnt from. The weights, the counts behind them and
the figures on people of a third seed go into `kyc_service/screening/data/model.json`.
"""

import argparse
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import TypeAlias

import numpy as np
from anyascii import anyascii
from numpy.typing import NDArray

from kyc_service.domain.record import record
from kyc_service.screening.births import CODES, CONFLICTING, VERDICTS, BirthVerdict
from kyc_service.screening.engine import candidates, context_of, measures_of
from kyc_service.screening.entries import Birth, Entry, Group, Kind, ListedName, NameKind
from kyc_service.screening.features import MEASURES, prepared
from kyc_service.screening.index import Index, similarity
from kyc_service.screening.lists import ofac_csv, un_xml
from kyc_service.screening.lists.reading import Problems
from kyc_service.screening.names import is_distinctive, romanised, tokens_of
from kyc_service.screening.query import Query
from kyc_service.screening.score import REGIMES, TERMS, Context, terms_of
from kyc_service.screening.words import organisation_words

MODEL = Path(__file__).parents[1] / "kyc_service" / "screening" / "data" / "model.json"
SOURCES = (
    ("ofac", ofac_csv.parse, {"main": "us_ofac/sdn_2024-05-03.csv", "aliases": "us_ofac/alt_2025-12.csv"}),
    (
        "ofac_cons",
        ofac_csv.parse,
        {"main": "us_ofac_cons/cons_prim.csv", "aliases": "us_ofac_cons/cons_alt.csv"},
    ),
    ("un", un_xml.parse, {"main": "un_sc/UN_consolidated.xml"}),
)
HARDEST = 10  # candidates kept of each query
Noise: TypeAlias = Callable[[str, Random], str]


@record
class Asked:
    """A query, and the places of the entries that it is about: none for an innocent."""

    query: Query
    right: frozenset[int]
    real: bool = False  # somebody off the list, who may be on it under another number after all


# ── The list to search, and the innocents ─────────────────────────────────────────────────────────────────────────
def listed(folder: Path) -> list[Entry]:
    """Every entry of the sources."""
    problems = Problems()
    return [
        entry
        for source, parse, files in SOURCES
        for entry in parse({role: folder / name for role, name in files.items()}, source, problems)
        if entry.names
    ]


def clusters(entries: Sequence[Entry]) -> list[int]:
    """The number of everybody's cluster: the same name and no other birth, or the same identifier, is one person."""
    parent = list(range(len(entries)))

    def root(place: int) -> int:
        while parent[place] != place:
            place = parent[place] = parent[parent[place]]
        return place

    seen: dict[object, int] = {}
    for place, entry in enumerate(entries):
        keys: list[object] = [("id", number.value) for number in entry.identifiers if len(number.value) > 5]
        for name in entry.names:
            tokens = tuple(sorted(tokens_of(name.value, entry.kind)))
            if len(tokens) > 1:
                keys.append(tokens)
        births = [birth.first for birth in entry.births if birth.first == birth.last]
        keys += [
            (birth, token)
            for birth in births
            for name in entry.names
            for token in tokens_of(name.value, entry.kind)
            if len(token) > 3
        ]
        for key in keys:
            parent[root(place)] = root(seen.setdefault(key, place))
    return [root(place) for place in range(len(entries))]


def crowd(groups: Sequence[Sequence[str]], count: int, random: Random) -> Iterator[tuple[str, str, tuple[Birth, ...]]]:
    """Names of made-up people, common names being common: (name, country, births)."""
    weights = np.cumsum([len(group) ** 2.0 for group in groups])
    codes = _CROWD_COUNTRIES.split()
    for _ in range(count):
        if random.random() < 0.12:
            yield random.choice(_east_asian(random)), random.choice(("cn", "kp", "kr", "tw")), (_any_birth(random),)
            continue
        parts = [
            groups[int(np.searchsorted(weights, random.random() * weights[-1]))][0].title()
            for _ in range(random.choice((2, 2, 2, 3, 3)))
        ]
        yield " ".join(parts), random.choice(codes), (_any_birth(random),)


_CROWD_COUNTRIES = "us gb fr de es it in pk ru ua tr eg ng br mx cn jp id ph ke pl ro se ca au th vn ir iq sy"
# Characters of Chinese given names, and syllables of Korean ones with their usual romanisations.
_CHINESE = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹",
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀兰霞平刚桂英华建国文志海玉红梅春燕云飞龙鹏辉宇浩亮斌波峰林森永成康健美玲珍琴花月凤洁晶莹雪",
)
_KOREAN = (
    (
        ("김", "Kim"),
        ("이", "Ri"),
        ("박", "Pak"),
        ("최", "Choe"),
        ("정", "Jong"),
        ("조", "Jo"),
        ("강", "Kang"),
        ("윤", "Yun"),
        ("장", "Jang"),
        ("임", "Rim"),
        ("한", "Han"),
        ("오", "O"),
    ),
    (
        ("철", "chol"),
        ("영", "yong"),
        ("수", "su"),
        ("성", "song"),
        ("호", "ho"),
        ("남", "nam"),
        ("일", "il"),
        ("진", "jin"),
        ("혁", "hyok"),
        ("춘", "chun"),
        ("명", "myong"),
        ("학", "hak"),
        ("경", "kyong"),
        ("광", "kwang"),
        ("현", "hyon"),
        ("원", "won"),
        ("석", "sok"),
        ("용", "ryong"),
        ("순", "sun"),
        ("옥", "ok"),
    ),
)


def _east_asian(random: Random) -> tuple[str, str]:
    """A name in its own script and in Latin letters."""
    if random.random() < 0.6:
        given = random.sample(_CHINESE[1], random.choice((1, 2, 2)))
        family = random.choice(_CHINESE[0])
        return family + "".join(
            given
        ), f"{anyascii(family)} {''.join(anyascii(character).lower() for character in given)}"
    (own, latin), *rest = [random.choice(_KOREAN[0]), *(random.choice(_KOREAN[1]) for _ in range(2))]
    given_latin = random.choice((" ", "-", "")).join(syllable for _, syllable in rest)
    return own + "".join(syllable for syllable, _ in rest), f"{latin} {given_latin}"


def _any_birth(random: Random) -> Birth:
    return _on(date(1935, 1, 1) + timedelta(days=random.randrange(70 * 365)))


def _on(day: date) -> Birth:
    return Birth(first=day.isoformat(), last=day.isoformat())


# ── What happens to names ─────────────────────────────────────────────────────────────────────────────────────────
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _edit(word: str, random: Random) -> str:
    if len(word) < 3:
        return word
    at = random.randrange(len(word))
    letter = random.choice(_LETTERS)
    match random.randrange(4):
        case 0:
            return word[:at] + word[at + 1 :]
        case 1:
            return word[:at] + letter + word[at:]
        case 2:
            return word[:at] + letter + word[at + 1 :]
        case _:
            at = min(at, len(word) - 2)
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _in_a_word(change: Callable[[str, Random], str], *, least: int = 4) -> Noise:
    def changed(name: str, random: Random) -> str:
        words = name.split()
        places = [place for place, word in enumerate(words) if len(word) >= least] or [0]
        place = random.choice(places)
        words[place] = change(words[place], random)
        return " ".join(words)

    return changed


def _twice(name: str, random: Random) -> str:
    return _in_a_word(_edit)(_in_a_word(_edit)(name, random), random)


def _shuffled(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    cut = random.randrange(1, len(words)) if len(words) > 1 else 0
    return " ".join(words[cut:] + words[:cut])


def _with_one_less(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    if len(words) > 2:
        del words[random.randrange(len(words))]
    return " ".join(words)


def _with_one_more(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    words.insert(
        random.randrange(len(words) + 1),
        random.choice(("Mr", "Dr", "Jose", "Ahmed", "Ivanovich", "Maria", "Ali", "Bin", "Gen.", "Lee", "Ann")),
    )
    return " ".join(words)


def _initial(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    place = random.randrange(len(words))
    words[place] = words[place][0] + random.choice(("", "."))
    return " ".join(words)


_LOOKALIKES = (
    ("o", "0"),
    ("l", "1"),
    ("i", "l"),
    ("s", "5"),
    ("b", "8"),
    ("m", "rn"),
    ("rn", "m"),
    ("u", "v"),
    ("e", "c"),
    ("h", "b"),
    ("g", "q"),
    ("cl", "d"),
    ("n", "ri"),
)


def _replaced(pairs: Sequence[tuple[str, str]], times: int = 1) -> Noise:
    def changed(name: str, random: Random) -> str:
        low = name.lower()
        for _ in range(times):
            found = [pair for pair in pairs if pair[0] in low]
            if not found:
                break
            old, new = random.choice(found)
            places = [match.start() for match in re.finditer(re.escape(old), low)]
            at = random.choice(places)
            low = low[:at] + new + low[at + len(old) :]
        return low

    return changed


_SPELLINGS = (
    ("ou", "u"), ("u", "ou"), ("ee", "i"), ("i", "ee"), ("y", "i"), ("i", "y"), ("kh", "h"), ("h", "kh"), ("k", "q"),
    ("q", "k"), ("j", "dj"),
    ("dj", "j"), ("sh", "ch"), ("sh", "sch"), ("ch", "tch"), ("v", "w"), ("w", "v"), ("f", "ph"), ("ph", "f"),
    ("c", "k"), ("ck", "k"), ("aa", "a"),
    ("a", "aa"), ("ss", "s"), ("s", "ss"), ("mm", "m"), ("m", "mm"), ("dd", "d"), ("ei", "ey"), ("ey", "ei"),
    ("iy", "y"), ("ii", "iy"), ("ts", "tz"), ("zh", "j"),
    ("ks", "x"), ("x", "ks"), ("ah", "a"), ("a", "ah"), ("o", "u"), ("u", "o"), ("e", "i"), ("i", "e"), ("e", "a"),
    ("z", "s"), ("g", "gh"), ("gh", "g"), ("ya", "ia"), ("ia", "ya"), ("yu", "iu"), ("ev", "yev"),
)  # fmt: skip


def _spacing(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    match random.randrange(4):
        case 0:
            return re.sub(r"(?i)\b(al|el|abd|abu|bin|ul|de|la|van)[ -]", r"\1", name)
        case 1 if len(words) > 2:
            at = random.randrange(len(words) - 1)
            return " ".join([*words[:at], words[at] + words[at + 1], *words[at + 2 :]])
        case 2:
            return "".join(words)
        case _:
            return re.sub(r"(?i)\b(al|el|bin|ibn|de|la|van|von|der)\b[ -]?", "", name) or name


def _mrz(name: str, random: Random) -> str:
    del random
    return " ".join(re.sub(r"[^A-Z]+", " ", anyascii(name).upper()).split())[:36]


_TO_CYRILLIC = (
    ("shch", "щ"), ("sh", "ш"), ("ch", "ч"), ("zh", "ж"), ("kh", "х"), ("ts", "ц"), ("ya", "я"), ("yu", "ю"),
    ("yo", "ё"), ("ye", "е"), ("iy", "ий"), ("a", "а"), ("b", "б"),
    ("v", "в"), ("w", "в"), ("g", "г"), ("d", "д"), ("e", "е"), ("z", "з"), ("i", "и"), ("j", "дж"), ("k", "к"),
    ("l", "л"), ("m", "м"), ("n", "н"), ("o", "о"), ("p", "п"), ("r", "р"),
    ("s", "с"), ("t", "т"), ("u", "у"), ("f", "ф"), ("h", "х"), ("c", "к"), ("q", "к"), ("x", "кс"), ("y", "ы"),
)  # fmt: skip
_TO_ARABIC = (
    ("sh", "ش"), ("kh", "خ"), ("gh", "غ"), ("th", "ث"), ("dh", "ذ"), ("ch", "تش"), ("ou", "و"), ("oo", "و"),
    ("ee", "ي"), ("aa", "ا"), ("al-", "ال"), ("b", "ب"), ("t", "ت"), ("j", "ج"), ("h", "ه"), ("d", "د"),
    ("r", "ر"), ("z", "ز"), ("s", "س"), ("f", "ف"), ("q", "ق"), ("k", "ك"), ("l", "ل"), ("m", "م"), ("n", "ن"),
    ("w", "و"), ("y", "ي"), ("g", "غ"), ("p", "ب"), ("v", "ف"), ("c", "ك"), ("x", "كس"), ("u", "و"), ("i", "ي"),
    ("o", "و"), ("a", ""), ("e", ""),
)  # fmt: skip
_ROMANISATIONS: tuple[Mapping[str, str], ...] = (
    {
        "щ": "shch", "ш": "sh", "ч": "ch", "ж": "zh", "х": "kh", "ц": "ts", "я": "ia", "ю": "iu", "ё": "e",
        "й": "i", "ы": "y", "в": "v",
    },
    {
        "щ": "schtsch", "ш": "sch", "ч": "tsch", "ж": "sch", "х": "ch", "ц": "z", "я": "ja", "ю": "ju", "ё": "jo",
        "й": "j", "ы": "y", "в": "w", "з": "s",
    },
    {
        "щ": "chtch", "ш": "ch", "ч": "tch", "ж": "j", "х": "kh", "ц": "ts", "я": "ia", "ю": "iou", "ё": "io",
        "й": "i", "ы": "y", "у": "ou",
    },
    {"щ": "sc", "ш": "s", "ч": "c", "ж": "z", "х": "h", "ц": "c", "я": "ja", "ю": "ju", "ё": "e", "й": "j", "ы": "y"},
    {
        "щ": "shch", "ш": "sh", "ч": "ch", "ж": "zh", "х": "h", "ц": "c", "я": "ya", "ю": "yu", "ё": "yo",
        "й": "y", "ы": "i", "и": "y", "г": "h",
    },
)  # fmt: skip


def _written_in(pairs: Sequence[tuple[str, str]]) -> Noise:
    table = dict(pairs)
    pattern = re.compile("|".join(sorted(map(re.escape, table), key=len, reverse=True)))

    def changed(name: str, random: Random) -> str:
        del random
        return pattern.sub(lambda match: table[match[0]], romanised(name.replace(",", "")))

    return changed


def _romanised_again(name: str, random: Random) -> str:
    cyrillic = _written_in(_TO_CYRILLIC)(name, random)
    table = random.choice(_ROMANISATIONS)
    return romanised("".join(table.get(letter, letter) for letter in cyrillic))


def _disguised(name: str, random: Random) -> str:
    alike = dict(zip("aceopxy", "асеорху", strict=True))
    match random.randrange(3):
        case 0:
            return "".join(alike.get(letter, letter) if random.random() < 0.4 else letter for letter in name)
        case 1:
            return "\u200b".join(name)
        case _:
            words = name.split()
            place = random.randrange(len(words))
            words[place] = " ".join(words[place])
            return " ".join(words)


def _other_form(by_form: Mapping[str, Sequence[str]]) -> Noise:
    def changed(word: str, random: Random) -> str:
        forms = by_form.get(romanised(word).strip(","))
        return random.choice(forms) if forms else _edit(word, random)

    return _in_a_word(changed, least=3)


def _same(name: str, random: Random) -> str:
    del random
    return name


def person_noises(by_form: Mapping[str, Sequence[str]]) -> Sequence[tuple[int, Noise]]:
    """What happens to the names of people, with how often it does."""
    return (
        (6, _same), (4, _shuffled), (6, _with_one_less), (3, _with_one_more), (2, _initial), (5, _in_a_word(_edit)),
        (4, _twice),
        (3, _replaced(_LOOKALIKES)), (2, _mrz), (8, _replaced(_SPELLINGS, 2)), (3, _replaced(_SPELLINGS, 4)),
        (5, _spacing), (4, _other_form(by_form)), (5, _romanised_again),
        (5, _written_in(_TO_CYRILLIC)), (5, _written_in(_TO_ARABIC)), (2, _disguised),
    )  # fmt: skip


_FORMS = (
    "LLC",
    "Ltd",
    "Limited",
    "JSC",
    "OOO",
    "Inc",
    "Corp.",
    "Co., Ltd.",
    "Company",
    "GmbH",
    "FZE",
    "S.A.",
    "PJSC",
    "",
)


def _other_legal_form(name: str, random: Random) -> str:
    words = [
        word
        for word in name.split()
        if not re.fullmatch(
            r"(?i)[\"(]?(llc|ltd|limited|jsc|ooo|inc|corp|co|company|gmbh|fze|sa|pjsc|oao|zao|ao)[.,)\"]*", word
        )
    ]
    return " ".join([*words, random.choice(_FORMS)]).strip() or name


def _translated(name: str, random: Random) -> str:
    meanings = organisation_words().meanings
    parts = [
        random.choice(_abroad()[meanings[word]]) if word in meanings and random.random() < 0.7 else word
        for word in romanised(name).split()
    ]
    return " ".join(parts)


@lru_cache(maxsize=1)
def _abroad() -> Mapping[str, Sequence[str]]:
    """English word → the words that mean it."""
    back: dict[str, list[str]] = defaultdict(list)
    for foreign, english in organisation_words().meanings.items():
        back[english].append(foreign)
    return back


def _initials_of(name: str, random: Random) -> str:
    letters = "".join(word[0] for word in re.findall(r"\w+", name))
    return letters if len(letters) > 3 else _with_one_less(name, random)


def _without_common(name: str, random: Random) -> str:
    """What people call a company for short: without legal form, and without some of what it does."""
    words = name.replace(",", "").split()
    kept = [
        word
        for word in words
        if any(is_distinctive(token) for token in tokens_of(word, Kind.ORGANISATION)) or random.random() < 0.35
    ]
    return " ".join(kept or words)


ORGANISATION_NOISES: Sequence[tuple[int, Noise]] = (
    (6, _same), (6, _other_legal_form), (5, _in_a_word(_edit)), (2, _twice), (4, _translated), (4, _with_one_less),
    (2, _shuffled), (2, _spacing),
    (3, _written_in(_TO_CYRILLIC)), (2, _replaced(_SPELLINGS, 2)), (1, _initials_of),
    (4, _without_common), (2, lambda name, random: _other_legal_form(_translated(name, random), random)),
)  # fmt: skip
VESSEL_NOISES: Sequence[tuple[int, Noise]] = (
    (6, _same), (3, lambda name, random: f"{random.choice(('M/V', 'MV', 'MT'))} {name}"), (3, _in_a_word(_edit)),
    (1, _spacing), (1, _replaced(_LOOKALIKES)),
)  # fmt: skip


def _noisy(name: str, noises: Sequence[tuple[int, Noise]], random: Random) -> str:
    return random.choices([noise for _, noise in noises], [weight for weight, _ in noises])[0](name, random)


def noisy_births(births: Sequence[Birth], random: Random) -> tuple[Birth, ...]:
    """What an application says of a listed date of birth."""
    if not births:
        return (_any_birth(random),) if random.random() < 0.6 else ()
    birth = random.choice(births)
    day = date.fromisoformat(birth.first)
    if birth.first != birth.last:
        day += timedelta(days=random.randrange((date.fromisoformat(birth.last) - day).days + 1))
    whole_year = Birth(first=f"{day.year}-01-01", last=f"{day.year}-12-31")
    exchanged = _on(date(day.year, day.day, day.month)) if day.day <= 12 else _on(day)
    a_year_off = _on(day.replace(day=min(day.day, 28), year=day.year + random.choice((-1, 1))))
    a_day_off = _on(day + timedelta(days=random.choice((-1, 1))))
    told = random.choices((_on(day), None, whole_year, exchanged, a_day_off, a_year_off), (67, 12, 6, 5, 5, 5))[0]
    return (told,) if told else ()


def noisy_countries(countries: Sequence[str], random: Random) -> tuple[str, ...]:
    """What an application says of listed countries."""
    chance = random.random()
    if chance < 0.15 or not countries:
        return ()
    return (
        (random.choice(countries),)
        if chance < 0.9
        else (random.choice(("us", "gb", "de", "tr", "ae", "fr", "cn", "in")),)
    )


# ── Queries ───────────────────────────────────────────────────────────────────────────────────────────────────────
def related(alias: str, names: Sequence[str], kind: Kind) -> bool:
    """Whether an alias has enough in common with another name for anybody to see it."""
    tokens = tokens_of(alias, kind)
    for name in names:
        others = tokens_of(name, kind)
        alike = sum(max((similarity(token, other) for other in others), default=0) >= 0.6 for token in tokens)
        if alike >= 0.6 * len(tokens):
            return True
    return False


def _east_asian_entries(count: int, random: Random) -> Iterator[tuple[Entry, str]]:
    """People with the Latin or the own form of their name on the list, and the other form to look for."""
    for number in range(count):
        one, other = _east_asian(random)
        if random.random() < 0.5:
            one, other = other, one
        code = "cn" if any("\u4e00" <= character <= "\u9fff" for character in one + other) else "kp"
        births = (_any_birth(random),) if random.random() < 0.6 else ()
        entry = Entry(
            id=f"east:{number}",
            source="crowd",
            group=Group.PEP,
            kind=Kind.PERSON,
            names=(ListedName(value=one),),
            births=births,
            countries=(code,),
        )
        yield entry, other


def without_some_aliases(entries: Sequence[Entry], random: Random) -> tuple[list[Entry], list[tuple[int, str]]]:
    """The list to search, and the (place, alias) pairs that were taken off it to be looked for."""
    kept, taken = [], []
    for place, entry in enumerate(entries):
        names = list(entry.names)
        originals = [name for name in names if name.kind is NameKind.ORIGINAL]
        if originals and random.random() < 0.7:
            names = [name for name in names if name.kind is not NameKind.ORIGINAL]
            taken.append((place, random.choice(originals).value))
        elif len(names) > 1 and random.random() < (0.8 if entry.kind is Kind.ORGANISATION else 0.5):
            alias = random.choice(names[1:])
            others = [name.value for name in names if name is not alias]
            if alias.kind is not NameKind.WEAK and related(alias.value, others, entry.kind):
                names.remove(alias)
                taken.append((place, alias.value))
        kept.append(replace(entry, names=tuple(names)) if names else entry)
    return kept, taken


NOISES_OF = {Kind.ORGANISATION: ORGANISATION_NOISES, Kind.VESSEL: VESSEL_NOISES, Kind.AIRCRAFT: VESSEL_NOISES}


def guilty(
    entries: Sequence[Entry],
    taken: Sequence[tuple[int, str]],
    same: Mapping[int, frozenset[int]],
    by_form: Mapping[str, Sequence[str]],
    random: Random,
) -> Iterator[Asked]:
    """Queries about somebody on the list."""
    noises = person_noises(by_form)
    for place, entry in enumerate(entries):
        name = next((name.value for name in entry.names if name.kind is not NameKind.WEAK), None)
        if name is None:
            continue
        if random.random() < 0.3:
            name = random.choice([name.value for name in entry.names if name.kind is not NameKind.WEAK])
        yield _about(entry, _noisy(name, NOISES_OF.get(entry.kind, noises), random), same[place], random)
    for place, alias in taken:
        yield _about(entries[place], alias, same[place], random)


def _about(entry: Entry, name: str, right: frozenset[int], random: Random) -> Asked:
    births = noisy_births(entry.births, random) if entry.kind is Kind.PERSON else ()
    gender = entry.gender if random.random() < 0.8 else None
    return Asked(
        query=Query(
            kind=entry.kind,
            names=(name,),
            births=births,
            countries=noisy_countries(entry.countries, random),
            gender=gender,
        ),
        right=right,
    )


def innocent(
    entries: Sequence[Entry], off: Sequence[Entry], people: Sequence[tuple[str, str, tuple[Birth, ...]]], random: Random
) -> Iterator[Asked]:
    """Queries about nobody on the list: people off it, made-up people, mixtures of two names, and namesakes abroad."""
    nobody: frozenset[int] = frozenset()
    for entry in off:
        name = random.choice(entry.names).value
        births = (
            (entry.births[:1] or ((_any_birth(random),) if random.random() < 0.8 else ()))
            if entry.kind is Kind.PERSON
            else ()
        )
        yield Asked(
            query=Query(
                kind=entry.kind, names=(name,), births=births, countries=entry.countries[:1], gender=entry.gender
            ),
            right=nobody,
            real=True,
        )
    for name, code, births in people:
        yield Asked(
            query=Query(
                kind=Kind.PERSON, names=(name,), births=births if random.random() < 0.85 else (), countries=(code,)
            ),
            right=nobody,
        )
    by_country: dict[tuple[Kind, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        for code in entry.countries[:1]:
            by_country[entry.kind, code].append(entry)
    for entry in entries:
        if not entry.countries:
            continue
        other = random.choice(by_country[entry.kind, entry.countries[0]])
        one, two = (side.names[0].value.replace(",", "").split() for side in (entry, other))
        if entry.kind is Kind.PERSON and len(one) > 1 and len(two) > 1 and entry is not other:
            births = (_any_birth(random),) if random.random() < 0.85 else ()
            mixed = " ".join([one[0], *two[1:]])
            yield Asked(
                query=Query(kind=entry.kind, names=(mixed,), births=births, countries=entry.countries[:1]), right=nobody
            )
        elif entry.kind in NOISES_OF and entry is not other and random.random() < 0.5:
            half = " ".join([*one[: (len(one) + 1) // 2], *two[len(two) // 2 :]])
            yield Asked(
                query=Query(
                    kind=entry.kind,
                    names=(half,),
                    countries=random.choice(
                        (entry.countries[:1], (random.choice(("us", "cn", "de", "tr", "ae")),), ())
                    ),
                ),
                right=nobody,
            )
        if entry.kind is Kind.PERSON and random.random() < 0.15:
            name = random.choice([listed.value for listed in entry.names])
            abroad = random.choice([code for code in _CROWD_COUNTRIES.split() if code not in entry.countries])
            born = (_decades_away(entry.births[0], random),) if entry.births else (_any_birth(random),)
            yield Asked(query=Query(kind=entry.kind, names=(name,), births=born, countries=(abroad,)), right=nobody)


def _decades_away(birth: Birth, random: Random) -> Birth:
    year = date.fromisoformat(birth.first).year + random.choice((-1, 1)) * random.randrange(8, 30)
    return _on(date(year, random.randrange(1, 13), random.randrange(1, 29)))


# ── Fitting ───────────────────────────────────────────────────────────────────────────────────────────────────────
@record
class Sample:
    """The pairs of one regime: measures and context of each, whether it is the right one, and of which query."""

    measures: NDArray[np.float32]
    born: NDArray[np.int8]
    facts: NDArray[np.bool_]
    right: NDArray[np.bool_]
    query: NDArray[np.int32]


_AGREEMENT = np.zeros(len(VERDICTS))
_AGREEMENT[[CODES[verdict] for verdict in (BirthVerdict.SAME, BirthVerdict.NEAR, BirthVerdict.SWAPPED)]] = 0.5
_AGREEMENT[CODES[BirthVerdict.COMPATIBLE]] = 0.2


def sampled(index: Index, asked: Sequence[Asked], random: Random) -> dict[str, Sample]:
    """Measure every query against its candidates."""
    names = {name: place for place, name in enumerate(MEASURES)}
    rows: dict[str, list[tuple[object, ...]]] = defaultdict(list)
    for number, one in enumerate(asked):
        name = prepared(one.query.names[0], one.query.kind, index, index)
        if name is None:
            continue
        query = replace(one.query, births=()) if random.random() < 0.25 else one.query
        found = candidates(index, name, query)
        if not len(found):
            continue
        entries = index.name_entry[found]
        measures = measures_of(index, name, found)
        context = context_of(index, query, entries)
        right = np.isin(entries, list(one.right))
        if one.real and perhaps_listed(measures, context, query.kind):
            continue
        value = (
            np.minimum(measures[:, names["covered_ours"]], measures[:, names["covered_theirs"]])
            + measures[:, names["joined"]]
            + 0.3 * measures[:, names["information"]]
        )
        value += _AGREEMENT[context.born]
        best = [row for row in np.argsort(-value) if not right[row]][:HARDEST]
        if right.any():
            best.append(max(np.flatnonzero(right), key=lambda row: value[row]))
        for row in best:
            born = context.born[row]
            regime = {Kind.ORGANISATION: "organisation", Kind.VESSEL: "vessel", Kind.AIRCRAFT: "vessel"}.get(
                query.kind
            ) or ("person_undated" if VERDICTS[born] is BirthVerdict.UNKNOWN else "person_dated")
            facts = (context.country_same[row], context.country_other[row], context.gender_other[row])
            rows[regime].append((measures[row], born, facts, right[row], number))
    return {
        regime: Sample(
            measures=np.array([row[0] for row in found], np.float32),
            born=np.array([row[1] for row in found], np.int8), facts=np.array([row[2] for row in found], bool),
            right=np.array([row[3] for row in found], bool), query=np.array([row[4] for row in found], np.int32),
        )
        for regime, found in rows.items()
    }  # fmt: skip


def perhaps_listed(measures: NDArray[np.float32], context: Context, kind: Kind) -> bool:
    """Whether somebody who should be an innocent has a name so like a listed one that nobody could tell."""
    get = {name: measures[:, place] for place, name in enumerate(MEASURES)}
    if kind is not Kind.PERSON:
        return bool((get["unmatched_ours"] <= 0.4).any())
    told_apart = np.isin(context.born, [CODES[verdict] for verdict in CONFLICTING])
    inside = np.minimum(get["unmatched_ours"], get["unmatched_theirs"]) <= 0.05
    return bool((inside & (get["weakest"] >= 0.7) & ~told_apart).any())


def terms(sample: Sample) -> NDArray[np.float32]:
    """The terms of the model for every pair."""
    context = Context(
        born=sample.born,
        country_same=sample.facts[:, 0],
        country_other=sample.facts[:, 1],
        gender_other=sample.facts[:, 2],
    )
    return terms_of(sample.measures, context)


def fitted(
    values: NDArray[np.float32], right: NDArray[np.bool_], *, ridge: float = 3.0, steps: int = 25
) -> NDArray[np.float64]:
    """Weights and, last, the bias of a logistic regression, by Newton's method with a quadratic penalty."""
    wide = np.hstack([values, np.ones((len(values), 1), np.float32)]).astype(np.float64)
    weights = np.zeros(wide.shape[1])
    penalty = np.full(len(weights), ridge)
    penalty[-1] = 1e-3
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(wide @ weights, -30, 30)))
        slope = wide.T @ (right - chance) - penalty * weights
        curve = (wide * (chance * (1 - chance))[:, None]).T @ wide + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        weights += step
        if np.abs(step).max() < 1e-4:
            break
    return weights


def main() -> None:
    """Fit, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lists", type=Path)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    samples = make(arguments.lists, arguments.wheel, arguments.seed)
    write(samples)


def make(folder: Path, wheel: Path, seed: int) -> dict[str, Sample]:
    """The pairs to learn from."""
    random = Random(seed)
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read("rigour/data/names/persons.txt").decode().splitlines()
    groups = [[form.strip() for form in line.partition("=>")[0].split(",")] for line in lines]
    latin = [[form for form in group if form.isascii() and form.isalpha()] for group in groups]
    by_form: dict[str, list[str]] = defaultdict(list)
    for group in latin:
        for form in group:
            by_form[form] += [other for other in group if other != form]
    common = [[forms[0]] * len(group) for group, forms in zip(groups, latin, strict=True) if forms]
    entries = listed(folder)
    numbers = clusters(entries)
    on = [Random(f"{seed}:{number}").random() < 0.6 for number in numbers]
    chosen = [entry for entry, is_on in zip(entries, on, strict=True) if is_on]
    cluster_of = [number for number, is_on in zip(numbers, on, strict=True) if is_on]
    members: dict[int, set[int]] = defaultdict(set)
    for place, number in enumerate(cluster_of):
        members[number].add(place)
    peps = [
        Entry(
            id=f"crowd:{number}",
            source="crowd",
            group=Group.PEP,
            kind=Kind.PERSON,
            names=(ListedName(value=name),),
            births=births if random.random() < 0.4 else (),
            countries=(code,),
        )
        for number, (name, code, births) in enumerate(crowd(common, 14_000, random))
    ]
    everybody, taken = without_some_aliases([*chosen, *peps], random)
    east = list(_east_asian_entries(1_200, random))
    eastern = [(len(everybody) + number, form) for number, (_, form) in enumerate(east)]
    everybody += [entry for entry, _ in east]
    same = {
        place: frozenset(members[cluster_of[place]]) if place < len(chosen) else frozenset({place})
        for place in range(len(everybody))
    }
    index = Index.build(everybody)
    off = [entry for entry, is_on in zip(entries, on, strict=True) if not is_on]
    asked = [
        *guilty(everybody[: len(chosen)], taken, same, by_form, random),
        *(
            Asked(query=one.query, right=frozenset(place + len(chosen) for place in one.right))
            for one in guilty(
                everybody[len(chosen) : len(chosen) + 4_000],
                [],
                {place: frozenset({place}) for place in range(4_000)},
                by_form,
                random,
            )
        ),
        *(_about(everybody[place], form, frozenset({place}), random) for place, form in eastern),
        *innocent(everybody[: len(chosen)], off, list(crowd(common, 9_000, random)), random),
    ]
    print(f"{len(everybody)} entries, {len(asked)} queries")
    return sampled(index, asked, random)


def write(samples: Mapping[str, Sample]) -> None:
    """Fit every regime and write the model."""
    regimes = {}
    for regime in REGIMES:
        sample = samples[regime]
        weights = fitted(terms(sample), sample.right)
        _let_a_common_country_support(weights)
        regimes[regime] = {
            "pairs": len(sample.right),
            "right": int(sample.right.sum()),
            "bias": round(float(weights[-1]), 4),
            "weights": {
                term: round(float(weight), 4)
                for term, weight in zip(TERMS, weights, strict=False)
                if abs(weight) >= 5e-4
            },
        }
        print(regime, len(sample.right), int(sample.right.sum()))
    MODEL.write_text(json.dumps({"version": "2", "regimes": regimes}, indent=1) + "\n", encoding="utf-8")


def _let_a_common_country_support(weights: NDArray[np.float64]) -> None:
    """Of what a common country adds, a good name takes back nine tenths at most: it never speaks against anybody."""
    same, with_name = TERMS.index("country_same"), TERMS.index("country_same*both_covered")
    weights[same] = max(weights[same], 0.0)
    weights[with_name] = max(weights[with_name], -0.9 * weights[same])


if __name__ == "__main__":
    main()
