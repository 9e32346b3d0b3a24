"""The lists in the life of an application, on a real database; what the lists say is given by the tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from crowdpay_contracts.internal import parse_alert

from kyc_service.application.desk import Announced, Caller, HitVerdict, Submission, Verdict, View
from kyc_service.application.ports import Identity, Possible, Screened, ScreeningUnavailable
from kyc_service.bootstrap import App, build
from kyc_service.domain.application import (
    ApplicationVerified,
    Awaiting,
    HitDelisted,
    HitNotFound,
    HitReopened,
    HitsUndecided,
    PersonScreened,
    ReviewDecision,
    Status,
)
from kyc_service.domain.clearance import Basis, HitDecision, ListVersion, ScreeningTerms
from kyc_service.messaging.translation import confide
from kyc_service.settings import Settings
from kyc_service.store.keys import Keys
from kyc_service.store.tail import Horizon, publications

from .test_effects import worked_off

BASIS = Basis(engine="test", lists=(ListVersion(list="sdn", version="7"),), review_from=0.5)
PERSON = {"given_names": "Wanted", "family_name": "Person", "birth_date": "1960-01-02", "nationality": "NL"}


class Lists:
    """Lists of which the tests say what they hold."""

    def __init__(self) -> None:
        self.wanted: dict[str, Possible] = {}
        self.missing = False
        self.asked: list[Sequence[Identity]] = []
        self.terms: list[ScreeningTerms] = []
        self.asked_often = asyncio.Event()

    def name(self, name: str, entry: str = "sdn:1", facts: str = "f") -> None:
        self.wanted[name] = Possible(
            list="sdn", entry=entry, probability=0.8, facts=facts, explanation={"name": f"like {name}"}
        )

    async def without(self, entry: str) -> tuple[ListVersion, ...]:
        return () if any(entry == one.entry for one in self.wanted.values()) else BASIS.lists

    def fingerprint(self, identities: Sequence[Identity]) -> bytes:
        return b"facts"

    async def screen(self, identities: Sequence[Identity], terms: ScreeningTerms) -> Screened:
        self.asked.append(identities)
        self.terms.append(terms)
        if len(self.asked) > 5:
            self.asked_often.set()
        if self.missing:
            raise ScreeningUnavailable
        found = [self.wanted[one.name] for one in identities if one.name in self.wanted]
        return Screened(basis=BASIS, possible=tuple(found))


@pytest.fixture
def lists() -> Lists:
    return Lists()


@pytest.fixture
async def app(settings: Settings, clock: Callable[[], datetime], lists: Lists) -> AsyncIterator[App]:
    async with build(settings, clock=clock, screener=lists) as app:
        yield app


@pytest.fixture
def submit(app: App, caller: Caller) -> Callable[..., Awaitable[UUID]]:
    async def submit(applicant: dict[str, object] | None = None) -> UUID:
        document = Announced(doc_type="PASSPORT", file_id=uuid4(), issued_country="NL")
        submission = Submission(user_id=uuid4(), email="anna@example.com", documents=(document,), applicant=applicant)
        view = await app.desk.submit(caller, submission)
        assert isinstance(view, View)
        return view.snapshot.id

    return submit


Submit = Callable[..., Awaitable[UUID]]


async def test_a_person_is_asked_about_by_document_and_declaration_and_verified_when_nothing_is_found(
    app: App, submit: Submit, lists: Lists
) -> None:
    application = await submit(PERSON)
    assert await worked_off(app, application) == (Status.VERIFIED, None)
    assert [[(one.source, one.name) for one in asked] for asked in lists.asked] == [
        [("document", "SIMULATED SPECIMEN"), ("declared", "Wanted Person")]
    ]
    events = [one.event for one in await app.applications.history("sandbox", application)]
    assert [one.screening for one in events if isinstance(one, ApplicationVerified)] == [BASIS]


async def test_the_lists_are_asked_on_the_terms_of_the_submission(
    settings: Settings, lists: Lists, caller: Caller
) -> None:
    own = settings.model_copy(update={"screening_review_from_tenants": {"sandbox": 0.3}})
    async with build(own, screener=lists) as before:
        document = Announced(doc_type="PASSPORT", file_id=uuid4(), issued_country="NL")
        submission = Submission(user_id=uuid4(), email="anna@example.com", documents=(document,), applicant=PERSON)
        view = await before.desk.submit(caller, submission)
        assert isinstance(view, View)
    async with build(settings, screener=lists) as after:
        assert await worked_off(after, view.snapshot.id) == (Status.VERIFIED, None)
    assert [terms.review_from for terms in lists.terms] == [0.3]


async def test_a_possible_hit_awaits_a_decision_and_the_log_holds_no_name(
    app: App, submit: Submit, lists: Lists, caller: Caller
) -> None:
    lists.name("Wanted Person")
    application = await submit(PERSON)
    assert await worked_off(app, application) == (Status.IN_PROGRESS, Awaiting.REVIEW)
    events = [one.event for one in await app.applications.history("sandbox", application)]
    (screened,) = [one for one in events if isinstance(one, PersonScreened)]
    (hit,) = screened.hits
    assert (hit.list, hit.entry, hit.probability) == ("sdn", "sdn:1", 0.8)
    assert "Wanted" not in repr(events)
    opened = await app.desk.history("sandbox", application, lambda event: isinstance(event, PersonScreened))
    (details,) = [one.details for one in opened if one.details]
    assert details["hits"] == {str(hit.id): {"name": "like Wanted Person", "probability": 0.8}}
    with pytest.raises(HitsUndecided):
        await app.desk.review(
            caller,
            application,
            Verdict(decision=ReviewDecision.APPROVE, reason="CASE_REVIEW_APPROVED", note=None),
        )


@pytest.mark.parametrize(
    ("decision", "status"), [(HitDecision.CLEARED, Status.VERIFIED), (HitDecision.CONFIRMED, Status.REJECTED)]
)
async def test_a_decided_hit_ends_the_application(
    app: App, submit: Submit, lists: Lists, caller: Caller, decision: HitDecision, status: Status
) -> None:
    lists.name("Wanted Person")
    application = await submit(PERSON)
    await worked_off(app, application)
    found = await app.applications.load("sandbox", application)
    assert found
    assert found.state.clearance
    (hit,) = found.state.clearance.hits
    verdict = HitVerdict(hit=hit.id, decision=decision, reason="SANCTIONS_OTHER_PERSON", note="Born later.")
    view = await app.desk.decide_hit(caller, application, verdict)
    assert isinstance(view, View)
    assert view.snapshot.state.status is status
    again = await app.desk.decide_hit(caller, application, verdict)
    assert isinstance(again, View)
    assert again.snapshot.version == view.snapshot.version
    with pytest.raises(HitNotFound):
        await app.desk.decide_hit(
            caller,
            application,
            HitVerdict(hit=uuid4(), decision=decision, reason="SANCTIONS_OTHER_PERSON", note=None),
        )


async def cleared(app: App, caller: Caller, application: UUID) -> UUID:
    """The only hit of an application, once a compliance officer has cleared it."""
    found = await app.applications.load("sandbox", application)
    assert found
    assert found.state.clearance
    (hit,) = found.state.clearance.hits
    verdict = HitVerdict(hit=hit.id, decision=HitDecision.CLEARED, reason="SANCTIONS_OTHER_PERSON", note=None)
    await app.desk.decide_hit(caller, application, verdict)
    return hit.id


async def a_year_later(app: App, dsn: str) -> None:
    """The worker does what is due then, and does it once more, as after a kill between doing and saying so."""
    app.worker._stopping = False
    work = asyncio.create_task(app.worker.run())
    left = "select count(*) from orders where kind = 'LapseClearance' and done_at is null"
    with psycopg.connect(dsn, autocommit=True) as superuser:
        for _ in range(2):
            superuser.execute("update orders set due_at = now(), done_at = null where kind = 'LapseClearance'")
            async with asyncio.timeout(20):
                while superuser.execute(left).fetchone() != (0,):  # noqa: ASYNC110 - the worker makes it so
                    await asyncio.sleep(0.01)
    app.worker.stop()
    await work


async def test_a_cleared_hit_is_looked_at_again_after_a_year_and_told_once(
    app: App, submit: Submit, lists: Lists, caller: Caller, dsn: str
) -> None:
    lists.name("Wanted Person")
    application = await submit(PERSON)
    await worked_off(app, application)
    hit = await cleared(app, caller, application)
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select due_at - created_at from orders where kind = 'LapseClearance' and done_at is null"
        ).fetchone()
    assert row == (timedelta(days=365),)
    await a_year_later(app, dsn)
    history = await app.applications.history("sandbox", application)
    reopened = [one for one in history if isinstance(one.event, HitReopened)]
    assert [one.event for one in reopened] == [HitReopened(hit=hit, basis=BASIS)]
    assert history[-1] == reopened[0]
    found = await app.applications.load("sandbox", application)
    assert found
    assert found.state.clearance
    assert (found.state.status, [one.id for one in found.state.clearance.open]) == (Status.VERIFIED, [hit])
    async with app.database.system() as connection:
        told = await publications(connection, 0, await Horizon().settled(connection), 100)
    messages = [confide(one.recorded, one.facts, "/kyc") for one in told]
    alerts = [parse_alert(one.body).data for one in messages if one]
    assert [(alert.occasion, alert.hits) for alert in alerts] == [
        ("onboarding", (hit,)),
        ("monitoring", (hit,)),
    ]


async def test_a_cleared_hit_whose_entry_has_left_the_lists_needs_nobody_to_look_again(
    app: App, submit: Submit, lists: Lists, caller: Caller, dsn: str
) -> None:
    lists.name("Wanted Person")
    application = await submit(PERSON)
    await worked_off(app, application)
    hit = await cleared(app, caller, application)
    lists.wanted.clear()
    await a_year_later(app, dsn)
    history = await app.applications.history("sandbox", application)
    assert history[-1].event == HitDelisted(hit=hit, lists=BASIS.lists)
    assert not any(isinstance(one.event, HitReopened) for one in history)
    found = await app.applications.load("sandbox", application)
    assert found
    assert found.state.clearance
    assert (found.state.status, found.state.clearance.hits) == (Status.VERIFIED, ())


async def test_nobody_is_looked_at_again_who_was_erased(
    app: App, submit: Submit, lists: Lists, caller: Caller, dsn: str
) -> None:
    lists.name("Wanted Person")
    application = await submit(PERSON)
    await worked_off(app, application)
    await cleared(app, caller, application)
    found = await app.applications.load("sandbox", application)
    assert found
    await Keys(app.database).destroy("sandbox", found.state.user_id, None, app.clock(), "test")
    app.people._vault.forget("sandbox", found.state.user_id)
    await a_year_later(app, dsn)
    history = await app.applications.history("sandbox", application)
    assert not any(isinstance(one.event, HitReopened) for one in history)


async def test_whoever_the_lists_cannot_be_asked_about_waits_and_is_never_given_up(
    app: App, submit: Submit, lists: Lists
) -> None:
    lists.missing = True
    application = await submit(PERSON)
    work = asyncio.create_task(worked_off(app, application))
    await lists.asked_often.wait()
    assert len(lists.asked) > app.settings.max_retries + 1
    found = await app.applications.load("sandbox", application)
    assert found
    assert (found.state.status, found.state.awaiting) == (Status.IN_PROGRESS, Awaiting.CHECKS)
    lists.missing = False
    assert await work == (Status.VERIFIED, None)


async def test_a_service_on_the_sample_list_says_so(settings: Settings) -> None:
    async with build(settings) as app:
        assert [sentence.split(":")[0] for sentence in await app.cautions()] == ["SCREENING RUNS ON THE SAMPLE LIST"]


async def test_a_service_whose_lists_are_missing_says_so(settings: Settings) -> None:
    async with build(settings.model_copy(update={"watchlists": ("us_ofac_sdn",)})) as app:
        assert [sentence.split(":")[0] for sentence in await app.cautions()] == ["No sanctions list is in force"]
