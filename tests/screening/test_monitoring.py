"""Continuous screening decides: who is screened against what, and when two campaigns are the same."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from kyc_service.application.monitoring import Enrolment, Occasion
from kyc_service.domain.clearance import Hit
from kyc_service.screening.monitoring import (
    Changes,
    Delta,
    Full,
    Nothing,
    Plan,
    by_plan,
    campaign_id,
    compare,
    plan,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PERSON = Enrolment(
    tenant="t",
    application=UUID(int=1),
    subject=UUID(int=2),
    identity=UUID(int=3),
    facts=b"facts",
    enrolled_at=NOW,
    lists={"un": 3, "us": 7},
    engine="1.0",
    screened_facts=b"facts",
    screened_at=NOW,
)


def changed(person: Enrolment, **fields: object) -> Enrolment:
    told = {name: getattr(person, name) for name in Enrolment.__dataclass_fields__}
    return Enrolment(**{**told, **fields})


# ── plans ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("person", "in_force", "engine", "wanted"),
    [
        (PERSON, {"un": 3, "us": 7}, "1.0", Nothing()),
        (PERSON, {"un": 4, "us": 7}, "1.0", Delta(since={"un": 3})),
        (PERSON, {"un": 3, "us": 7, "eu": 1}, "1.0", Delta(since={"eu": None})),
        (PERSON, {"us": 7}, "1.0", Delta(since={"un": 3})),
        (PERSON, {"un": 3, "us": 7}, "1.1", Full(because=Occasion.ENGINE)),
        (PERSON, {"un": 4, "us": 7}, "1.1", Full(because=Occasion.ENGINE)),
        (changed(PERSON, facts=b"married"), {"un": 3, "us": 7}, "1.0", Full(because=Occasion.PERSON)),
        (changed(PERSON, lists=None), {"un": 3, "us": 7}, "1.0", Full(because=Occasion.PERSON)),
    ],
)
def test_a_person_is_screened_against_what_changed(
    person: Enrolment, in_force: dict[str, int], engine: str, wanted: Plan
) -> None:
    assert plan(person, in_force, engine) == wanted


def test_people_who_need_the_same_are_screened_together() -> None:
    behind = [changed(PERSON, application=UUID(int=n), lists={"un": 2, "us": 7}) for n in (4, 5)]
    new = changed(PERSON, application=UUID(int=6), lists=None)
    assert by_plan([PERSON, *behind, new], {"un": 3, "us": 7}, "1.0") == [
        (Delta(since={"un": 2}), behind),
        (Full(because=Occasion.PERSON), [new]),
    ]


# ── changes ───────────────────────────────────────────────────────────────────────


def hit(number: int, probability: float = 0.6, source: str = "un") -> Hit:
    return Hit(id=UUID(int=number), list=source, entry=f"{source}:{number}", probability=probability)


@pytest.mark.parametrize(
    ("ever", "last", "found", "wanted"),
    [
        ([], [], [], {}),
        ([hit(1)], [hit(1)], [hit(1, 0.7)], {}),
        ([], [], [hit(1)], {"un": Changes(new=1)}),
        ([hit(1)], [], [hit(1)], {}),
        ([hit(1)], [hit(1)], [], {"un": Changes(gone=1)}),
        ([hit(1)], [], [], {}),
        ([hit(1)], [hit(1)], [hit(1, 0.95)], {"un": Changes(risen=1)}),
        ([hit(1, 0.95)], [hit(1, 0.95)], [hit(1)], {"un": Changes(fallen=1)}),
        (
            [hit(1)],
            [hit(1)],
            [hit(2), hit(3, source="eu"), hit(4, source="eu")],
            {"un": Changes(new=1, gone=1), "eu": Changes(new=2)},
        ),
    ],
)
def test_changes_are_counted_list_by_list(
    ever: list[Hit], last: list[Hit], found: list[Hit], wanted: dict[str, Changes]
) -> None:
    assert compare(ever, last, found) == wanted


# ── ids ───────────────────────────────────────────────────────────────────────────


def test_the_same_campaign_has_the_same_id_everywhere() -> None:
    def named(pairs: Iterable[tuple[str, int]], **rest: object) -> UUID:
        asked = {"engine": "1.0", "lists": dict(pairs), **rest}
        return campaign_id("t", Occasion.DELTA, **asked)  # type: ignore[arg-type]

    one = named([("un", 1), ("us", 2)])
    assert named([("us", 2), ("un", 1)]) == one
    assert named([("un", 2), ("us", 2)]) != one
    assert named([("un", 1), ("us", 2)], round_="2026-11-24") != one
