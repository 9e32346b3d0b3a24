"""Who is on a list and who asks about it, for training and for benchmarks: listed people, made-up ones, innocents.

LISTS is a folder with OFAC's files (public domain) and the list of the United Nations (reuse with attribution), in the
layout of `SOURCES`; WHEEL is that of `scripts.compile_names`.
"""

import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random

import numpy as np
from anyascii import anyascii

from kyc_service.domain.record import record
from kyc_service.screening.entries import Birth, Entry, Group, Kind, ListedName, NameKind
from kyc_service.screening.index import similarity
from kyc_service.screening.lists import ofac_csv, un_xml
from kyc_service.screening.lists.reading import Problems
from kyc_service.screening.names import tokens_of
from kyc_service.screening.query import Query
from scripts.noise import Habits, any_birth, on

SOURCES = (
    ("ofac", ofac_csv.parse, {"main": "us_ofac/sdn_2024-05-03.csv", "aliases": "us_ofac/alt_2025-12.csv"}),
    (
        "ofac_cons",
        ofac_csv.parse,
        {"main": "us_ofac_cons/cons_prim.csv", "aliases": "us_ofac_cons/cons_alt.csv"},
    ),
    ("un", un_xml.parse, {"main": "un_sc/UN_consolidated.xml"}),
)
NAMESAKES = 0.15  # of the listed people, have somebody abroad with their name who asks
HELD_OUT = 5  # one cluster of so many is never learnt from


@record
class Asked:
    """A query, and the places of the entries that it is about: none for an innocent."""

    query: Query
    right: frozenset[int]
    real: bool = False  # somebody off the list, who may be on it under another number after all
    category: str = ""  # of innocents


# ── Who is listed ─────────────────────────────────────────────────────────────────────────────────────────────────
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


def held_out(entries: Sequence[Entry]) -> frozenset[str]:
    """The ids of a fifth of the listed, in whole clusters and always the same ones: nothing is learnt from them."""
    members: dict[int, list[str]] = defaultdict(list)
    for entry, number in zip(entries, clusters(entries), strict=True):
        members[number].append(entry.id)
    return frozenset(
        identity for ids in members.values() if zlib.crc32(min(ids).encode()) % HELD_OUT == 0 for identity in ids
    )


# ── Who is made up ────────────────────────────────────────────────────────────────────────────────────────────────
def name_forms(wheel: Path) -> tuple[Mapping[str, Sequence[str]], Sequence[Sequence[str]]]:
    """The other forms of each form of a name, and a form of every name as often as it has forms."""
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read("rigour/data/names/persons.txt").decode().splitlines()
    groups = [[form.strip() for form in line.partition("=>")[0].split(",")] for line in lines]
    latin = [[form for form in group if form.isascii() and form.isalpha()] for group in groups]
    by_form: dict[str, list[str]] = defaultdict(list)
    for group in latin:
        for form in group:
            by_form[form] += [other for other in group if other != form]
    common = [[forms[0]] * len(group) for group, forms in zip(groups, latin, strict=True) if forms]
    return by_form, common


def crowd(groups: Sequence[Sequence[str]], count: int, random: Random) -> Iterator[tuple[str, str, tuple[Birth, ...]]]:
    """Names of made-up people, common names being common: (name, country, births)."""
    weights = np.cumsum([len(group) ** 2.0 for group in groups])
    codes = _CROWD_COUNTRIES.split()
    for _ in range(count):
        if random.random() < 0.12:
            yield random.choice(_east_asian(random)), random.choice(("cn", "kp", "kr", "tw")), (any_birth(random),)
            continue
        parts = [
            groups[int(np.searchsorted(weights, random.random() * weights[-1]))][0].title()
            for _ in range(random.choice((2, 2, 2, 3, 3)))
        ]
        yield " ".join(parts), random.choice(codes), (any_birth(random),)


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


def made_up_peps(groups: Sequence[Sequence[str]], count: int, source: str, random: Random) -> list[Entry]:
    """Entries of a made-up list of PEPs, of whom lists mostly know no date of birth."""
    return [
        Entry(
            id=f"{source}:{number}",
            source=source,
            group=Group.PEP,
            kind=Kind.PERSON,
            names=(ListedName(value=name),),
            births=births if random.random() < 0.4 else (),
            countries=(code,),
        )
        for number, (name, code, births) in enumerate(crowd(groups, count, random))
    ]


def east_asian_entries(count: int, random: Random) -> Iterator[tuple[Entry, str]]:
    """People with the Latin or the own form of their name on the list, and the other form to look for."""
    for number in range(count):
        one, other = _east_asian(random)
        if random.random() < 0.5:
            one, other = other, one
        code = "cn" if any("\u4e00" <= character <= "\u9fff" for character in one + other) else "kp"
        births = (any_birth(random),) if random.random() < 0.6 else ()
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


# ── Who asks ──────────────────────────────────────────────────────────────────────────────────────────────────────
def related(alias: str, names: Sequence[str], kind: Kind) -> bool:
    """Whether an alias has enough in common with another name for anybody to see it."""
    tokens = tokens_of(alias, kind)
    for name in names:
        others = tokens_of(name, kind)
        alike = sum(max((similarity(token, other) for other in others), default=0) >= 0.6 for token in tokens)
        if alike >= 0.6 * len(tokens):
            return True
    return False


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


def about(entry: Entry, name: str, right: frozenset[int], habits: Habits, random: Random) -> Asked:
    """Somebody on the list under *name*, with what they tell of themselves."""
    births = habits.births(entry.births, random) if entry.kind is Kind.PERSON else ()
    gender = entry.gender if random.random() < 0.8 else None
    return Asked(
        query=Query(
            kind=entry.kind,
            names=(name,),
            births=births,
            countries=habits.countries(entry.countries, random),
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
            (entry.births[:1] or ((any_birth(random),) if random.random() < 0.8 else ()))
            if entry.kind is Kind.PERSON
            else ()
        )
        yield Asked(
            query=Query(
                kind=entry.kind, names=(name,), births=births, countries=entry.countries[:1], gender=entry.gender
            ),
            right=nobody,
            real=True,
            category="neg_real_people" if entry.kind is Kind.PERSON else "neg_org_real",
        )
    for name, code, births in people:
        yield Asked(
            query=Query(
                kind=Kind.PERSON, names=(name,), births=births if random.random() < 0.85 else (), countries=(code,)
            ),
            right=nobody,
            category="neg_common_names",
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
            births = (any_birth(random),) if random.random() < 0.85 else ()
            mixed = " ".join([one[0], *two[1:]])
            yield Asked(
                query=Query(kind=entry.kind, names=(mixed,), births=births, countries=entry.countries[:1]),
                right=nobody,
                category="neg_recombined",
            )
        elif (
            entry.kind in {Kind.ORGANISATION, Kind.VESSEL, Kind.AIRCRAFT}
            and entry is not other
            and random.random() < 0.5
        ):
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
                category="neg_org_synthetic",
            )
        if entry.kind is Kind.PERSON and random.random() < NAMESAKES:
            yield namesake(entry, random)


def namesake(entry: Entry, random: Random) -> Asked:
    """Somebody abroad with the name of a listed person, born in another decade where the list says when that was."""
    name = random.choice([listed.value for listed in entry.names])
    abroad = random.choice([code for code in _CROWD_COUNTRIES.split() if code not in entry.countries])
    born = _decades_away(entry.births[0], random) if entry.births else any_birth(random)
    return Asked(
        query=Query(kind=entry.kind, names=(name,), births=(born,), countries=(abroad,)),
        right=frozenset(),
        category="neg_namesake" if entry.births else "neg_namesake_undated",
    )


def _decades_away(birth: Birth, random: Random) -> Birth:
    year = date.fromisoformat(birth.first).year + random.choice((-1, 1)) * random.randrange(8, 30)
    return on(date(year, random.randrange(1, 13), random.randrange(1, 29)))
