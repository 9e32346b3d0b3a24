"""Continuous screening decides: who is screened against what, what is worth an alert, and what stays suppressed."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_service.application.monitoring import Enrolment, Occasion, Step, Suppression
from kyc_service.screening.monitoring import (
    Band,
    Delta,
    Difference,
    Full,
    Ground,
    Hit,
    Marked,
    Nothing,
    Plan,
    Standing,
    alert_id,
    by_plan,
    campaign_id,
    carry,
    compare,
    drift,
    plan,
    sort,
    standing,
    step,
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


def hit(entry: str, band: Band = Band.REVIEW, *grounds: Ground, referents: tuple[str, ...] = ()) -> Hit:
    return Hit(entry=entry, band=band, grounds=frozenset(grounds or (Ground.NAME,)), referents=referents)


def hits(*found: Hit) -> dict[str, Hit]:
    return {one.entry: one for one in found}


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


# ── differences ───────────────────────────────────────────────────────────────────

WORSE, BETTER = Step.WORSE, Step.BETTER


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ([], [], []),
        ([hit("a")], [hit("a")], []),
        ([], [hit("a")], [("a", WORSE, Band.REVIEW)]),
        ([hit("a")], [], [("a", BETTER, Band.CLEAR)]),
        ([hit("a")], [hit("a", Band.HIT)], [("a", WORSE, Band.HIT)]),
        ([hit("a", Band.HIT)], [hit("a")], [("a", BETTER, Band.REVIEW)]),
        ([hit("a")], [hit("a", Band.REVIEW, Ground.NAME, Ground.BIRTH_DATE)], [("a", WORSE, Band.REVIEW)]),
        ([hit("a", Band.REVIEW, Ground.NAME, Ground.COUNTRY)], [hit("a")], []),
        ([hit("a")], [hit("b", referents=("a",))], []),
        ([hit("a")], [hit("b", Band.HIT, referents=("a",))], [("b", WORSE, Band.HIT)]),
        ([hit("a"), hit("c")], [hit("b", referents=("a", "c"))], []),
    ],
)
def test_an_alert_comes_from_a_difference_and_from_nothing_else(
    before: list[Hit], after: list[Hit], wanted: list[tuple[str, Step, Band]]
) -> None:
    found = compare(hits(*before), hits(*after))
    assert found == tuple(Difference(step=word, entry=entry, band=band) for entry, word, band in wanted)


def test_the_first_screening_alerts_to_every_hit() -> None:
    differences = compare(None, hits(hit("a"), hit("b")))
    assert [one.entry for one in differences] == ["a", "b"]
    assert step(None, differences) is Step.WORSE
    assert step(None, ()) is Step.FIRST
    assert step({}, ()) is Step.SAME


ENTRIES = st.sampled_from(["a", "b", "c", "d", "e"])
HITS = st.lists(
    st.builds(
        Hit,
        entry=ENTRIES,
        band=st.sampled_from([Band.REVIEW, Band.HIT]),
        grounds=st.frozensets(st.sampled_from(Ground), min_size=1),
    ),
    unique_by=lambda one: one.entry,
)


@given(HITS)
def test_the_same_again_is_never_an_alert(found: list[Hit]) -> None:
    assert compare(hits(*found), hits(*reversed(found))) == ()


@given(HITS, HITS)
def test_better_one_way_is_never_better_the_other_way(one: list[Hit], other: list[Hit]) -> None:
    there = {(d.entry, d.step) for d in compare(hits(*one), hits(*other))}
    back = {(d.entry, d.step) for d in compare(hits(*other), hits(*one))}
    assert not {(e, s) for e, s in there if s is Step.BETTER} & back


@given(HITS, HITS, st.sets(ENTRIES))
def test_a_delta_and_a_full_screening_find_the_same(before: list[Hit], after: list[Hit], again: set[str]) -> None:
    """As long as the delta covers every entry that changed, which is what a delta is."""
    was, now = hits(*before), hits(*after)
    moved = {entry for entry in was.keys() | now.keys() if was.get(entry) != now.get(entry)}
    screened = moved | again
    gone = {entry for entry in screened if entry not in now}
    carried = carry(was, screened - gone, gone, [now[entry] for entry in sorted(screened - gone) if entry in now])
    assert carried == now
    assert drift(carried, now) == ()


# ── suppressions ──────────────────────────────────────────────────────────────────

MADE = Suppression(
    id=uuid4(),
    application=PERSON.application,
    mark=b"mark a",
    person=b"person",
    listed=b"listed",
    band="review",
    grounds=("name", "country"),
    by="officer",
    made_at=NOW,
    expires_at=NOW + timedelta(days=365),
)


def suppression(**fields: object) -> Suppression:
    told = {name: getattr(MADE, name) for name in Suppression.__dataclass_fields__}
    return Suppression(**{**told, **fields})


@pytest.mark.parametrize(
    ("made", "found", "person", "listed", "now", "wanted"),
    [
        (MADE, hit("a"), b"person", b"listed", NOW, Standing.HOLDS),
        (MADE, hit("a", Band.REVIEW, Ground.COUNTRY), b"person", b"listed", NOW, Standing.HOLDS),
        (MADE, hit("a"), b"person", b"listed", NOW + timedelta(days=365), Standing.EXPIRED),
        (MADE, hit("a"), b"married", b"listed", NOW, Standing.PERSON_CHANGED),
        (MADE, hit("a"), b"person", b"new birth date", NOW, Standing.ENTRY_CHANGED),
        (MADE, hit("a", Band.HIT), b"person", b"listed", NOW, Standing.BAND_ROSE),
        (MADE, hit("a", Band.REVIEW, Ground.BIRTH_DATE), b"person", b"listed", NOW, Standing.NEW_GROUND),
        (suppression(revoked_at=NOW), hit("a"), b"person", b"listed", NOW, Standing.REVOKED),
    ],
)
def test_a_suppression_holds_on_the_facts_it_was_made_on(
    made: Suppression, found: Hit, person: bytes, listed: bytes, now: datetime, wanted: Standing
) -> None:
    assert standing(made, found, person=person, listed=listed, now=now) is wanted


def marked(found: Hit, *marks: bytes, listed: bytes = b"listed") -> Marked:
    return Marked(hit=found, marks=marks, listed=listed)


def test_a_suppressed_hit_hides_no_other() -> None:
    found = sort([marked(hit("a"), b"mark a"), marked(hit("b"), b"mark b")], [MADE], person=b"person", now=NOW)
    assert ([one.entry for one in found.open], [one.entry for one in found.suppressed]) == (["b"], ["a"])
    assert found.reopened == ()


def test_what_no_longer_holds_is_reopened_and_says_why() -> None:
    found = sort([marked(hit("a"), b"mark a", listed=b"other")], [MADE], person=b"person", now=NOW)
    assert [one.entry for one in found.open] == ["a"]
    assert found.reopened == ((MADE, Standing.ENTRY_CHANGED),)


def test_a_suppression_follows_an_entry_that_was_merged() -> None:
    merged = marked(hit("b", referents=("a",)), b"mark b", b"mark a")
    assert [one.entry for one in sort([merged], [MADE], person=b"person", now=NOW).suppressed] == ["b"]


def test_a_newer_decision_stands_beside_one_that_was_revoked() -> None:
    made = [suppression(revoked_at=NOW, id=uuid4()), MADE]
    assert sort([marked(hit("a"), b"mark a")], made, person=b"person", now=NOW).open == ()


# ── ids ───────────────────────────────────────────────────────────────────────────


def test_the_same_campaign_has_the_same_id_everywhere() -> None:
    def named(pairs: Iterable[tuple[str, int]], **rest: object) -> UUID:
        asked = {"engine": "1.0", "lists": dict(pairs), **rest}
        return campaign_id("t", Occasion.DELTA, **asked)  # type: ignore[arg-type]

    one = named([("un", 1), ("us", 2)])
    assert named([("us", 2), ("un", 1)]) == one
    assert len({one, named([("un", 2), ("us", 2)]), named([("un", 1), ("us", 2)], dry_run=True)}) == 3
    assert named([("un", 1), ("us", 2)], round_="2026-11-24") != one
    assert alert_id(one, PERSON.application, b"mark") == alert_id(one, PERSON.application, b"mark")
    assert alert_id(one, PERSON.application, b"mark") != alert_id(one, PERSON.application, b"other")
