"""The lists in force, asked about people, on a real database."""

import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kyc_service.application.ports import Identity, Number, Possible, ScreeningUnavailable
from kyc_service.application.watchlists import VersionStatus
from kyc_service.documents.countries import alpha_2
from kyc_service.domain.clearance import ListVersion, ScreeningTerms
from kyc_service.screening.engine import CANDIDATES, ENGINE_VERSION
from kyc_service.screening.entries import Birth
from kyc_service.screening.lists.library import Watchlists
from kyc_service.screening.lists.staging import bring, describe
from kyc_service.screening.screener import ListScreener, birth_of
from kyc_service.store.database import Database
from kyc_service.store.watchlists import WatchlistRows

NOW = datetime(2026, 3, 2, tzinfo=UTC)
IVAN = Identity(source="document", name="IVAN PETROVICH SIDOROV", birth_date="1961-04-12", nationalities=("RUS",))
KEY = b"k" * 32
TERMS = ScreeningTerms(review_from=0.5)


def listed(number: int, name: str, **rest: object) -> str:
    entry = {"id": f"x:{number}", "list": "x", "schema": "Person", "names": [{"v": name, "k": "primary"}], **rest}
    return json.dumps(entry)


SIDOROV = listed(1, "SIDOROV, Ivan Petrovich", dobs=["1961-04-12"], countries=["ru"], ids=["P1234567"])
OTHERS = [listed(number, f"Maria Gonzalez {name}") for number, name in enumerate(("Fernandez", "Ibarra", "Soto"), 2)]


def screener(database: Database, folder: Path, *wanted: str, sample: bool = False, days: float = 0) -> ListScreener:
    lists = Watchlists(WatchlistRows(database), folder, wanted=wanted, max_age=timedelta(hours=72), sample=sample)
    return ListScreener(
        lists,
        digest=lambda content: hmac.digest(KEY, content, "sha256"),
        alpha_2=alpha_2,
        clock=lambda: NOW + timedelta(days=days),
    )


async def imported(database: Database, folder: Path, *lines: str, source: str = "x") -> None:
    path = folder / f"{hash(lines)}.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    outcome = await bring(WatchlistRows(database), source, [(path, describe(path))], NOW)
    assert outcome.version.status is VersionStatus.ACTIVE, outcome.version.reasons


async def found(asked: ListScreener, *identities: Identity) -> tuple[Possible, ...]:
    return (await asked.screen(identities, TERMS)).possible


async def test_a_listed_person_is_found_and_the_answer_names_engine_and_versions(
    database: Database, tmp_path: Path
) -> None:
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    screened = await screener(database, tmp_path, "x").screen((IVAN,), TERMS)
    assert screened.basis.engine == ENGINE_VERSION
    assert [(one.list, one.version) for one in screened.basis.lists] == [("x", "1")]
    (hit,) = screened.possible
    assert (hit.list, hit.entry) == ("x", "x:1")
    assert 0.9 < hit.probability < 1
    assert hit.explanation["asked_as"] == "document"
    json.dumps(hit.explanation)


async def test_which_lists_an_entry_has_left_is_told_when_it_is_on_none(database: Database, tmp_path: Path) -> None:
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    asked = screener(database, tmp_path, "x")
    assert await asked.without("x:1") == ()
    assert await asked.without("x:99") == (ListVersion(list="x", version="1"),)
    await imported(database, tmp_path, *OTHERS)
    assert await asked.without("x:1") == (ListVersion(list="x", version="2"),)
    with pytest.raises(ScreeningUnavailable):
        await screener(database, tmp_path, "x", days=9).without("x:1")


async def test_nobody_is_found_who_is_not_there(database: Database, tmp_path: Path) -> None:
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    assert await found(screener(database, tmp_path, "x"), replace(IVAN, name="Joao da Silva", nationalities=())) == ()


async def test_an_entry_that_several_identities_match_is_one_hit_by_the_best_of_them(
    database: Database, tmp_path: Path
) -> None:
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    said = Identity(source="declared", name="Ivan Petrovich Sidorow")
    (hit,) = await found(screener(database, tmp_path, "x"), said, IVAN)
    assert hit.explanation["asked_as"] == "document"


async def test_a_number_of_a_document_alone_is_a_hit(database: Database, tmp_path: Path) -> None:
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    other = Identity(source="document", name="JOHN SMITH", numbers=(Number(value="P1234567", country="RUS"),))
    (hit,) = await found(screener(database, tmp_path, "x"), other)
    assert hit.entry == "x:1"


async def test_the_facts_of_a_hit_stay_while_both_sides_do_and_change_with_either(
    database: Database, tmp_path: Path
) -> None:
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    asked = screener(database, tmp_path, "x")
    (first,) = await found(asked, IVAN)
    await imported(database, tmp_path, SIDOROV, *OTHERS, listed(9, "Somebody New"))
    (again,) = await found(asked, IVAN)
    assert again.facts == first.facts
    (renamed,) = await found(asked, replace(IVAN, birth_date="1961-04-21"))
    assert renamed.facts != first.facts
    await imported(database, tmp_path, SIDOROV.replace("1961-04-12", "1961-04"), *OTHERS, listed(9, "Somebody New"))
    (relisted,) = await found(asked, IVAN)
    assert relisted.facts != first.facts
    assert "SIDOROV" not in relisted.facts


async def test_a_new_version_is_asked_as_soon_as_it_is_in_force(database: Database, tmp_path: Path) -> None:
    await imported(database, tmp_path, *OTHERS)
    asked = screener(database, tmp_path, "x")
    assert await found(asked, IVAN) == ()
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    assert [hit.entry for hit in await found(asked, IVAN)] == ["x:1"]


async def test_processes_of_a_machine_share_the_index_and_a_broken_one_is_made_again(
    database: Database, tmp_path: Path
) -> None:
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    await screener(database, tmp_path, "x").screen((IVAN,), TERMS)
    (index,) = tmp_path.glob("*.index-*")
    index.write_bytes(b"broken")
    assert [hit.entry for hit in await found(screener(database, tmp_path, "x"), IVAN)] == ["x:1"]


async def test_nobody_is_cleared_by_lists_that_are_missing_or_stale(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ScreeningUnavailable):
        await screener(database, tmp_path).screen((IVAN,), TERMS)
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    with pytest.raises(ScreeningUnavailable):
        await screener(database, tmp_path, "x", "y").screen((IVAN,), TERMS)
    with pytest.raises(ScreeningUnavailable):
        await screener(database, tmp_path, "x", days=3.1).screen((IVAN,), TERMS)
    assert await found(screener(database, tmp_path, "x", days=2.9), IVAN)


async def test_only_the_lists_of_the_terms_are_asked(database: Database, tmp_path: Path) -> None:
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    await imported(database, tmp_path, SIDOROV.replace("x:1", "y:1"), *OTHERS, source="y")
    asked = screener(database, tmp_path, "x", "y")
    assert {hit.entry for hit in await found(asked, IVAN)} == {"x:1", "y:1"}
    screened = await asked.screen((IVAN,), replace(TERMS, lists=("y",)))
    assert [hit.entry for hit in screened.possible] == ["y:1"]
    assert [one.list for one in screened.basis.lists] == ["y"]


async def test_the_bearers_of_a_common_name_on_other_lists_take_no_place_from_those_that_are_asked(
    database: Database, tmp_path: Path
) -> None:
    crowd = [listed(number, "Ivan Petrovich Sidorov", dobs=["1961-04-12"]) for number in range(1, CANDIDATES + 20)]
    await imported(database, tmp_path, *crowd)
    alone = {"id": "y:1", "list": "y", "schema": "Person", "names": [{"v": "Ivan Petrovitch Sidorov", "k": "primary"}]}
    await imported(database, tmp_path, json.dumps({**alone, "dobs": ["1961-04-12"]}), source="y")
    asked = screener(database, tmp_path, "x", "y")
    narrow = await asked.screen((IVAN,), replace(TERMS, lists=("y",)))
    assert [(one.list, one.entry) for one in narrow.possible] == [("y", "y:1")]


async def test_nobody_is_cleared_without_every_list_of_the_terms(database: Database, tmp_path: Path) -> None:
    await imported(database, tmp_path, SIDOROV, *OTHERS)
    with pytest.raises(ScreeningUnavailable):
        await screener(database, tmp_path, "x").screen((IVAN,), replace(TERMS, lists=("x", "gone")))


async def test_the_sample_list_serves_development_alone(database: Database, tmp_path: Path) -> None:
    screened = await screener(database, tmp_path, sample=True).screen((IVAN,), TERMS)
    assert [one.list for one in screened.basis.lists] == ["sample"]
    with pytest.raises(ScreeningUnavailable):
        await screener(database, tmp_path, "us_ofac_sdn", sample=True).screen((IVAN,), TERMS)


@pytest.mark.parametrize(
    ("written", "days"),
    [
        ("1980-02-29", ("1980-02-29", "1980-02-29")),
        ("1980-02", ("1980-02-01", "1980-02-29")),
        ("1980-02-??", ("1980-02-01", "1980-02-29")),
        ("1980-??-??", ("1980-01-01", "1980-12-31")),
        ("1980", ("1980-01-01", "1980-12-31")),
    ],
)
def test_a_birth_date_is_as_precise_as_it_is_written(written: str, days: tuple[str, str]) -> None:
    assert birth_of(written) == (Birth(first=days[0], last=days[1]),)


@pytest.mark.parametrize("written", [None, "", "????-??-??", "unknown"])
def test_an_unknown_birth_date_is_none(written: str | None) -> None:
    assert birth_of(written) == ()
