"""Whom the engine finds, what it says why, and what must change nothing. The people and companies are made up."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyc_service.screening.engine import LEAST, Match, candidates, context_of, measures_of, rescreen, scored, screen
from kyc_service.screening.entries import Birth, Entry, Group, Identifier, Kind, ListedName, NameKind
from kyc_service.screening.features import MEASURES, prepared
from kyc_service.screening.floors import Floor
from kyc_service.screening.index import Index, IndexUnreadable
from kyc_service.screening.query import Query, query_of
from kyc_service.screening.score import HINGES, TERMS, log_odds, probability, shipped_model, terms_of


def day(value: str) -> Birth:
    return Birth(first=value, last=value)


def entry(number: int, *names: str, kind: Kind = Kind.PERSON, weak: Sequence[str] = (), **facts: object) -> Entry:
    listed = [ListedName(value=name) for name in names]
    listed += [ListedName(value=name, kind=NameKind.WEAK) for name in weak]
    return Entry(id=f"test:{number}", source="test", group=Group.SANCTION, kind=kind, names=tuple(listed), **facts)  # type: ignore[arg-type]


def year(value: int, *, circa: bool = False) -> Birth:
    return Birth(first=f"{value}-01-01", last=f"{value}-12-31", circa=circa)


def number(type_: str, value: str) -> tuple[Identifier, ...]:
    return (Identifier(type=type_, value=value),)


LEGAL_NAME = "Obshchestvo s ogranichennoi otvetstvennostyu Severnyi Almazmash"
LIST = (
    entry(
        1, "ZORANOV, Viktor Alekseevich", "Виктор Алексеевич Зоранов", births=(day("1961-04-17"),), countries=("ru",)
    ),
    entry(2, "Abd al-Rahman Qasim AL-MARHUBI", births=(day("1957-07-30"),), countries=("sa",), gender="male"),
    entry(3, "LIU Weiping", "刘伟平", births=(year(1968),), countries=("cn",)),
    entry(4, "Karlheinz Obermoser", weak=("Falke",), births=(day("1970-02-03"),), countries=("at",)),
    entry(5, LEGAL_NAME, kind=Kind.ORGANISATION, countries=("ru",)),
    entry(6, "Tarnak Steel Trading FZE", kind=Kind.ORGANISATION, identifiers=number("registration", "TS-778 812")),
    entry(7, "M/V OCEAN LARKSPUR 7", kind=Kind.VESSEL, identifiers=number("imo", "IMO 9991234")),
    entry(8, "William Thistlewood", births=(year(1949, circa=True),), countries=("gb",)),
    entry(9, "Maria Elena Quispe Huarcaya", countries=("pe",), gender="female"),
    entry(10, "Q&Z Vanderhoog Bros", kind=Kind.ORGANISATION),
    entry(11, "Volunteer Brigade 44", kind=Kind.ORGANISATION),
    entry(12, "Scientific and Technical Centre Almagest JSC", kind=Kind.ORGANISATION),
    *(entry(100 + n, f"Ivan Petrov{'aeiou'[n % 5]}sky{n}", countries=("bg",)) for n in range(30)),
)


@pytest.fixture(scope="module")
def index() -> Index:
    return Index.build(LIST, {"test": "2026-01-01"})


def person(name: str, **facts: object) -> Query:
    return Query(kind=Kind.PERSON, names=(name,), **facts)  # type: ignore[arg-type]


def best(index: Index, query: Query) -> Match:
    matches = screen(index, query, threshold=0.5)
    assert matches, query.names
    return matches[0]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Viktor Alekseevich ZORANOV", 1),
        ("ZORANOV<<VIKTOR<ALEKSEEVICH", 1),
        ("Зоранов Виктор", 1),
        ("Wiktor Soranow", 1),
        ("Victor A. Zoranov", 1),
        ("Vіktоr Zоrаnоv", 1),  # Cyrillic letters in disguise
        ("V\u200biktor Zora\u200bnov", 1),
        ("VIKT0R Z0RANOV", 1),
        ("Abdulrahman Kasim Almarhubi", 2),
        ("عبد الرحمن قاسم المرهوبي", 2),
        ("刘伟平", 3),
        ("Liu Wei Ping", 3),
        ("Karl Heinz Obermoser", 4),
        ("ViktorAlekseevichZoranov", 1),
        ("Karlheinz Obermosre", 4),
        ("Bill Thistlewood", 8),
        ("QUISPE Huarcaya Maria", 9),
    ],
)
def test_a_person_is_found_however_the_name_is_written(index: Index, name: str, number: int) -> None:
    facts = {entry.id: entry for entry in LIST}[f"test:{number}"]
    match = best(index, person(name, births=facts.births, countries=facts.countries))
    assert match.entry_id == f"test:{number}"


@pytest.mark.parametrize(
    ("kind", "name", "number"),
    [
        (Kind.ORGANISATION, "ООО «Северный Алмазмаш»", 5),
        (Kind.ORGANISATION, "Severny Almazmash LLC", 5),
        (Kind.ORGANISATION, "Tarnak Steel Trade Limited", 6),
        (Kind.ORGANISATION, "Q AND Z VANDERHOOG BROS", 10),
        (Kind.ORGANISATION, "Q&Z Van Der Hoog Bros", 10),
        (Kind.ORGANISATION, "Volunteer Brigade Forty-Four", 11),
        (Kind.ORGANISATION, "NTC Almagest", 12),
        (Kind.VESSEL, "Ocean Larkspur 7", 7),
    ],
)
def test_an_organisation_or_a_vessel_is_found(index: Index, kind: Kind, name: str, number: int) -> None:
    assert best(index, Query(kind=kind, names=(name,))).entry_id == f"test:{number}"


@pytest.mark.parametrize(
    "query",
    [
        person("Heinrich Wolpert", births=(day("1961-04-17"),), countries=("ru",)),
        person("Viktor Sidorkin", births=(day("1980-04-17"),), countries=("ru",)),
        person("Ocean Larkspur"),
        Query(kind=Kind.ORGANISATION, names=("Limited",)),
        Query(kind=Kind.VESSEL, names=("Ocean Larkspur 8",), countries=("us",)),
        person(""),
        person("---"),
    ],
)
def test_others_are_left_alone(index: Index, query: Query) -> None:
    assert screen(index, query, threshold=0.7) == []


def test_a_number_that_identifies_is_always_a_hit(index: Index) -> None:
    query = Query(kind=Kind.VESSEL, names=("Renamed Twice",), identifiers=(Identifier(type="imo", value="imo9991234"),))
    match = best(index, query)
    assert (match.entry_id, match.floor) == ("test:7", Floor.IDENTIFIER)


def test_a_weak_alias_needs_support(index: Index) -> None:
    assert screen(index, person("Falke"), threshold=0.5) == []
    supported = screen(index, person("Falke", births=(day("1970-02-03"),), countries=("at",)), threshold=0.3)
    alone = screen(index, person("Falke"), threshold=0.0)
    assert supported[0].probability > alone[0].probability


def test_a_namesake_born_in_another_decade_is_not_kept_by_policy(index: Index) -> None:
    namesake = person("Viktor Alekseevich Zoranov", births=(day("1989-11-02"),), countries=("us",))
    assert screen(index, namesake, threshold=0.5) == []
    assert best(index, person("Viktor Alekseevich Zoranov")).probability >= 0.5


def test_an_explanation_says_why_and_can_be_stored(index: Index) -> None:
    query = person("Bill Thistlewood", births=(day("1950-05-05"),), countries=("gb",))
    first, second = (best(index, query).explanation for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
    provenance = first["list"]
    assert isinstance(provenance, dict)
    assert (provenance["source"], provenance["version"], provenance["group"]) == ("test", "2026-01-01", "sanction")
    tokens = first["tokens"]
    assert isinstance(tokens, list)
    assert [token["reason"] for token in tokens] == ["forms of one name", "same"]
    assert first["birth"] == "dates of birth that agree as far as they are known"
    assert set(first["without"]) == {"birth date", "country"}  # type: ignore[arg-type]


def test_certainty_grows_and_never_saturates(index: Index) -> None:
    name = "Viktor Alekseevich Zoranov"
    queries = [
        person(name),
        person(name, countries=("ru",)),
        person(name, countries=("ru",), births=(day("1961-04-17"),)),
    ]
    found = [best(index, query).probability for query in queries]
    assert found == sorted(found)
    assert found[-1] < 1


# ── What must change nothing ──────────────────────────────────────────────────────────────────────────────────────
NAMES = st.sampled_from([name.value for listed in LIST for name in listed.names if listed.kind is Kind.PERSON])
BITS = ("Anna", "Zoranov", "Viktor", "Liu", "al", "Marhubi", "Qasim", "Thistlewood", "Bob", "Maria", "Huarcaya", "X.")
MADE_UP = st.lists(st.sampled_from(BITS), min_size=1, max_size=4).map(" ".join)


def figures(index: Index, query: Query) -> dict[int, float]:
    return {hit.entry: hit.probability for hit in scored(index, query)}


@settings(max_examples=60, deadline=None)
@given(name=NAMES | MADE_UP, order=st.randoms())
def test_order_case_marks_punctuation_and_invisible_letters_change_nothing(
    index: Index, name: str, order: Random
) -> None:
    shuffled = name.replace(",", "").split()
    order.shuffle(shuffled)
    plain = figures(index, person(name))
    assert figures(index, person(" ".join(shuffled))) == plain
    assert figures(index, person(name.upper())) == plain
    assert figures(index, person(f"«{name}»; ".replace(" ", "  "))) == plain
    assert figures(index, person("\u200b\u00ad".join(name))) == plain
    if name.isascii():
        assert figures(index, person(name.replace("a", "á").replace("o", "o\u0308"))) == plain


@settings(max_examples=60, deadline=None)
@given(name=NAMES | MADE_UP, place=st.integers(0, len(LIST) - 1))
def test_an_agreeing_birth_never_lowers_and_a_conflicting_one_never_raises(index: Index, name: str, place: int) -> None:
    births = LIST[place].births or (day("1961-04-17"),)
    unknown = figures(index, person(name))
    agreeing = figures(index, person(name, births=births))
    conflicting = figures(index, person(name, births=(day("2001-12-24"),)))
    assert all(conflicting.get(entry, 0) <= value for entry, value in unknown.items() if LIST[entry].births)
    assert all(agreeing[entry] >= value for entry, value in unknown.items() if set(LIST[entry].births) & set(births))


@settings(max_examples=60, deadline=None)
@given(name=NAMES | MADE_UP, born=st.sampled_from([(), (day("1961-04-17"),), (day("2001-12-24"),)]))
def test_nobody_is_left_out_unlooked_who_would_have_been_told(index: Index, name: str, born: tuple[Birth, ...]) -> None:
    query = person(name, births=born)
    ours = prepared(name, Kind.PERSON, index, index)
    assert ours
    names = candidates(index, ours, query)
    told = figures(index, query)
    for one in names:
        context = context_of(index, query, index.name_entry[[one]])
        terms = terms_of(measures_of(index, ours, names[names == one]), context)
        value = probability(float(log_odds(terms, context, Kind.PERSON, shipped_model())[0]))
        assert value < LEAST or index.name_entry[one] in told


@pytest.mark.parametrize(
    ("name", "listed", "core"),
    [("Tarnak LLC", 1.0, 1.0), ("Steel Trading FZE", 0.0, None), ("Tarnak Dorval", 1.0, 0.5)],
)
def test_what_tells_a_company_from_others_is_measured_apart_from_what_many_do(
    index: Index, name: str, listed: float, core: float | None
) -> None:
    ours = prepared(name, Kind.ORGANISATION, index, index)
    assert ours
    place = next(place for place, one in enumerate(LIST) if one.id == "test:6")
    measures = measures_of(index, ours, np.flatnonzero(index.name_entry == place).astype(np.int32))[0]
    assert measures[MEASURES.index("core_theirs")] == listed
    if core is not None:
        assert measures[MEASURES.index("core_ours")] == pytest.approx(core, abs=0.1)


def test_more_letters_in_common_never_lower_a_probability() -> None:
    model = shipped_model()
    places = [TERMS.index(term) for term in ("joined", *(term for term in HINGES if term.startswith("joined>")))]
    slopes = {regime: np.cumsum(weights[places]).min() for regime, weights in model.weights.items()}
    assert {regime for regime, least in slopes.items() if least < 0} == set()


@settings(max_examples=40, deadline=None)
@given(names=st.lists(NAMES | MADE_UP, min_size=1, max_size=12, unique=True), births=st.booleans())
def test_both_directions_agree(index: Index, names: list[str], births: bool) -> None:
    born = (day("1961-04-17"),) if births else ()
    people = [entry(number, name, births=born, countries=("ru",)) for number, name in enumerate(names)]
    ours = Index.build(people)
    forward = {
        (number, hit.entry): hit.probability
        for number, someone in enumerate(people)
        for hit in scored(index, query_of(someone))
    }
    backward = {
        (hit.entry, number): hit.probability
        for number, listed in enumerate(LIST)
        if listed.kind is Kind.PERSON
        for hit in rescreen(ours, listed, index)
    }
    certain = {pair for pair, value in (forward | backward).items() if value >= 0.2}
    expected = {pair: backward.get(pair) for pair in certain}
    assert {pair: forward.get(pair) for pair in certain} == pytest.approx(expected, abs=1e-4)


@settings(max_examples=100, deadline=None)
@given(name=st.text(max_size=80), kind=st.sampled_from(Kind))
def test_any_text_is_a_name_that_can_be_looked_for_and_listed(index: Index, name: str, kind: Kind) -> None:
    for match in screen(index, Query(kind=kind, names=(name,)), threshold=0.0):
        assert 0 <= match.probability < 1
    own = Index.build([entry(1, name, kind=kind)])
    assert len(own) == 1
    scored(own, Query(kind=kind, names=(name, "Viktor")))


@pytest.mark.parametrize(
    "name", ["a" * 10_000, "ab " * 3_300, "\u200b" * 10_000, "Ж" * 10_000, "刘" * 10_000, "." * 10_000]
)
def test_a_name_of_ten_thousand_letters_is_only_a_long_name(index: Index, name: str) -> None:
    assert [match for match in screen(index, person(name), threshold=0.7) if match.entry_id != "test:3"] == []


# ── The index as a file ───────────────────────────────────────────────────────────────────────────────────────────
def test_an_index_reads_back_as_it_was_written(index: Index, tmp_path: Path) -> None:
    index.save(tmp_path / "list.index")
    opened = Index.open(tmp_path / "list.index")
    assert [opened.entry(place) for place in range(len(opened))] == list(LIST)
    query = person("Wiktor Soranow", births=(day("1961-04-17"),))
    assert screen(opened, query, threshold=0.0) == screen(index, query, threshold=0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["list.index"]


@pytest.mark.parametrize("content", [b"", b"not an index", b"KYCIDX01" + bytes(8)])
def test_what_is_no_index_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(IndexUnreadable):
        Index.open(tmp_path / "bad")


def test_an_empty_list_finds_nobody() -> None:
    assert screen(Index.build([]), person("Viktor Zoranov"), threshold=0.0) == []
