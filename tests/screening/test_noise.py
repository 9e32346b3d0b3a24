"""What training and the benchmarks do to names, and who is put aside."""

import zipfile
from pathlib import Path
from random import Random

import pytest

from kyc_service.screening.entries import Birth, Entry, Group, Kind, ListedName
from scripts import noise, other_noise, people, split_screening
from scripts.noise import Habits

BY_FORM = {"robert": ["bob"], "bob": ["robert"]}
NAMES = ("Viktor Alekseevich Zoranov", "AL-MARHUBI, Abd al-Rahman", "Li", "Quispe Huarcaya, María Elena", "Иван Петров")
HABITS = (noise.habits(BY_FORM), other_noise.habits())


@pytest.mark.parametrize("habits", HABITS, ids=["training", "other"])
def test_a_noise_leaves_a_name_of_a_name_and_the_same_dice_the_same_one(habits: Habits) -> None:
    for one in {id(one): one for noises in habits.noises.values() for one in noises}.values():
        for name in NAMES:
            for seed in range(20):
                changed = one.change(name, Random(seed))
                assert changed == one.change(name, Random(seed))
                assert changed.strip() or one.category in {"mrz", "made_arabic"}, (one.category, name)


def test_every_category_of_the_learnt_benchmark_is_a_noise_of_training() -> None:
    noises = HABITS[0].noises
    assert set(split_screening.SHARES) <= {one.category for of_kind in noises.values() for one in of_kind}


@pytest.mark.parametrize("habits", HABITS, ids=["training", "other"])
def test_what_is_told_of_a_birth_is_a_date(habits: Habits) -> None:
    random = Random(1)
    births = (Birth(first="1964-02-29", last="1964-02-29"), Birth(first="1961-01-01", last="1961-12-31"))
    for _ in range(300):
        for told in habits.births(births, random):
            assert told.first[:2] in {"19", "20"}
            assert told.first <= told.last


def entry(number: int, name: str, born: str | None = None) -> Entry:
    births = (Birth(first=born, last=born),) if born else ()
    return Entry(
        id=f"test:{number:03}",
        source="test",
        group=Group.SANCTION,
        kind=Kind.PERSON,
        names=(ListedName(value=name),),
        births=births,
    )


def test_a_fifth_is_put_aside_whole_and_always_the_same() -> None:
    listed = [
        entry(number, f"Person{chr(97 + number % 26)} Number{number // 2}", "1961-04-17") for number in range(400)
    ]
    aside = people.held_out(listed)
    assert aside == people.held_out(list(reversed(listed)))
    alone = [entry(number, f"{chr(97 + number % 26) * 9}{number} Somebody") for number in range(400)]
    aside = people.held_out(alone)
    assert 40 < len(aside) < 120
    assert aside == people.held_out(list(reversed(alone)))
    twins = [entry(number, f"Viktor Zoranov{number // 2}") for number in range(400)]
    put_aside = people.held_out(twins)
    assert all((twins[at].id in put_aside) == (twins[at + 1].id in put_aside) for at in range(0, 400, 2))


def test_nobody_whom_the_model_learnt_from_is_unseen(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    for _, _, files in people.SOURCES:
        for name in files.values():
            (lists / name).parent.mkdir(parents=True, exist_ok=True)
            (lists / name).write_text("")
    rows = (f'{n},"PERSON{n}, Number","individual","X",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- \r\n' for n in range(200))
    (lists / "us_ofac" / "sdn_2024-05-03.csv").write_text("".join(rows))
    (lists / "us_ofac_cons" / "cons_prim.csv").write_text(
        '900,"ELSE, Somebody","individual","X"' + ",-0- " * 8 + "\r\n"
    )
    (lists / "un_sc" / "UN_consolidated.xml").write_text("<CONSOLIDATED_LIST><INDIVIDUALS/></CONSOLIDATED_LIST>")
    wheel = tmp_path / "names.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("rigour/data/names/persons.txt", "robert, bob => Q1\nmaria, mary => Q2\n")
    (learnt, unseen), _ = split_screening.parts(lists, wheel, None)
    aside = people.held_out(people.listed(lists))
    assert {one.id for _, one in unseen.entries} == aside
    assert {one.id for _, one in learnt.entries}.isdisjoint(aside)
    entries, queries = split_screening.make(unseen, [["bob"], ["mary"]], 1)
    asked_about = {str(query["target"]) for query in queries if query["target"]}
    assert asked_about <= {one.id for one in entries}
    assert not asked_about & {one.id for _, one in learnt.entries}


def test_what_is_measured_is_the_share_of_the_guilty_above_the_clean() -> None:
    guilty = [
        {"qid": f"g{n}", "kind": "positive", "category": "exact", "target": "a", "list_group": "sanction"}
        for n in (1, 2)
    ]
    clean = [{"qid": f"c{n}", "kind": "negative", "category": "neg", "target": None} for n in range(10)]
    namesake = {"qid": "n", "kind": "negative", "category": "neg_namesake", "target": None}
    found = {f"c{n}": [(f"{split_screening.MADE_UP}:1", 0.9)] if n else [("a", 0.4)] for n in range(10)}
    found |= {"g1": [("a", 0.8)], "g2": [("b", 0.9)], "n": [("a", 0.5)]}
    told = split_screening.measured([*guilty, *clean, namesake], found, peps=False)
    assert "sanctions: 0.500 at 1.0%" in told
    assert "exact              0.500 of 2" in told
    assert "namesakes alerted on at 1%: 1.000 of 1" in told
    assert "with PEPs: 0.000 at 1.0%" in split_screening.measured([*guilty, *clean, namesake], found, peps=True)
