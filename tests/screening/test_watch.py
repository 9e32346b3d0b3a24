"""Whoever was verified is watched: lists change, and what is new is told once, whatever is repeated or killed."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
import structlog
from click.testing import CliRunner, Result

from kyc_service.application.desk import Announced, Caller, HitVerdict, Submission, View
from kyc_service.application.monitoring import Campaign, Enrolment
from kyc_service.application.watchlists import VersionStatus
from kyc_service.bootstrap import App, build
from kyc_service.cli.main import cli
from kyc_service.domain.application import AlertRaised, ApplicationRejected, Status
from kyc_service.domain.clearance import HitDecision
from kyc_service.screening.engine import ENGINE_VERSION
from kyc_service.screening.lists.staging import bring, describe
from kyc_service.screening.monitoring import Changes
from kyc_service.screening.rehearsal import Difference, Notes
from kyc_service.screening.watch import FEW, Round
from kyc_service.settings import Settings
from kyc_service.store.monitoring import Campaigns

CALLER = Caller(tenant="sandbox", client="shop", actor="u-1", request="r-1")
OTHERS = [f"Somebody Else Number{number}" for number in range(60)]

WAITING = "select last_error, failures > 2 from orders where kind = 'Screen' and done_at is null"

Enter = Callable[[str], Awaitable[UUID]]
Import = Callable[..., Awaitable[None]]
Kyc = Callable[..., Awaitable[Result]]


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    async with build(settings.model_copy(update={"watchlists": ("x",)})) as app:
        yield app


@pytest.fixture
def imported(app: App, tmp_path: Path) -> Import:
    """Puts a version of a list in force: OTHERS, and these names with the date of birth of the tests."""

    async def imported(*names: str, born: str = "1961-04-12", source: str = "x") -> None:
        entries = [{"id": f"{source}:{name}", "names": [{"v": name}], "schema": "Person"} for name in OTHERS]
        entries += [
            {"id": f"{source}:{name}", "names": [{"v": name}], "schema": "Person", "dobs": [born]} for name in names
        ]
        path = tmp_path / f"{uuid4()}.jsonl"
        path.write_text("\n".join(json.dumps(entry) for entry in entries) + "\n", encoding="utf-8")
        outcome = await bring(app.shelf, source, [(path, describe(path))], app.clock())
        assert outcome.version.status is VersionStatus.ACTIVE, outcome.version.reasons

    return imported


async def submitted(app: App, name: str) -> UUID:
    given, family = name.split(" ", 1)
    person = {"given_names": given, "family_name": family, "birth_date": "1961-04-12"}
    document = Announced(doc_type="PASSPORT", file_id=uuid4(), issued_country="NL")
    view = await app.desk.submit(
        CALLER, Submission(user_id=uuid4(), email="a@example.com", documents=(document,), applicant=person)
    )
    assert isinstance(view, View)
    return view.snapshot.id


def age(dsn: str, hours: int) -> None:
    """Let the publishers have been asked so many hours ago."""
    with psycopg.connect(dsn) as connection:
        connection.execute("update watchlists set confirmed_at = now() - %s * interval '1 hour'", (hours,))


@pytest.fixture
async def enter(app: App, imported: Import) -> AsyncIterator[Enter]:
    """Submits somebody whom no list names yet, and returns once they are verified and watched."""
    await imported()
    work = asyncio.create_task(app.worker.run())

    async def enter(name: str) -> UUID:
        application = await submitted(app, name)
        async with asyncio.timeout(30):
            while not await app.enrolments.of("sandbox", application):  # noqa: ASYNC110 - the worker makes it so
                await asyncio.sleep(0.02)
        return application

    yield enter
    app.worker.stop()
    await work


async def alerts(app: App, application: UUID) -> list[AlertRaised]:
    history = await app.applications.history("sandbox", application)
    return [one.event for one in history if isinstance(one.event, AlertRaised)]


async def status(app: App, application: UUID) -> Status:
    found = await app.applications.load("sandbox", application)
    assert found
    return found.state.status


async def test_whoever_is_verified_is_watched_and_screened_once(app: App, enter: Enter) -> None:
    await enter("Ivan Sidorov")
    assert await app.watch.round() == Round(screened=1)
    assert await app.watch.round() == Round()


async def test_somebody_who_is_listed_later_raises_one_alert_however_often_they_are_screened(
    app: App, enter: Enter, imported: Import
) -> None:
    application = await enter("Ivan Petrovich Sidorov")
    await app.watch.round()
    await imported("Ivan Petrovich Sidorov")
    assert await app.watch.round() == Round(screened=1, alerts=1)
    assert await app.watch.round() == Round()
    await imported("Ivan Petrovich Sidorov", "Quite Another Person")
    assert await app.watch.round() == Round(screened=1)
    (alert,) = await alerts(app, application)
    assert [hit.entry for hit in alert.hits] == ["x:Ivan Petrovich Sidorov"]
    assert [(one.list, one.version) for one in alert.basis.lists] == [("x", "2")]
    assert await status(app, application) is Status.VERIFIED


async def test_a_cleared_alert_is_raised_again_when_the_entry_says_something_else(
    app: App, enter: Enter, imported: Import
) -> None:
    application = await enter("Ivan Petrovich Sidorov")
    await imported("Ivan Petrovich Sidorov", born="1961")
    await app.watch.round()
    (first,) = await alerts(app, application)
    cleared = HitVerdict(hit=first.hits[0].id, decision=HitDecision.CLEARED, reason="SANCTIONS_OTHER_PERSON", note=None)
    await app.desk.decide_hit(CALLER, application, cleared)
    await imported("Ivan Petrovich Sidorov", "Quite Another Person", born="1961")
    assert (await app.watch.round()).alerts == 0
    await imported("Ivan Petrovich Sidorov", born="1961-04-12")
    assert (await app.watch.round()).alerts == 1
    assert len(await alerts(app, application)) == 2


async def test_a_confirmed_alert_rejects_and_ends_the_watch(app: App, enter: Enter, imported: Import) -> None:
    application = await enter("Ivan Petrovich Sidorov")
    await imported("Ivan Petrovich Sidorov")
    await app.watch.round()
    (alert,) = await alerts(app, application)
    confirmed = HitVerdict(
        hit=alert.hits[0].id, decision=HitDecision.CONFIRMED, reason="SANCTIONS_CONFIRMED", note=None
    )
    await app.desk.decide_hit(CALLER, application, confirmed)
    history = await app.applications.history("sandbox", application)
    assert isinstance(history[-1].event, ApplicationRejected)
    await imported("Ivan Petrovich Sidorov", "Quite Another Person")
    async with asyncio.timeout(20):
        while (found := await app.enrolments.of("sandbox", application)) and not found.ended_at:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await app.watch.round() == Round()


async def test_a_changed_entry_finds_its_people_among_many_and_the_rest_is_on_record(
    app: App, enter: Enter, imported: Import, dsn: str
) -> None:
    people = [await enter(f"Applicant Person{chr(97 + number)}nov") for number in range(FEW + 2)]
    wanted = await enter("Ivan Petrovich Sidorov")
    await app.watch.round()
    await imported("Sidorov, Ivan Petrovitch")
    done = await app.watch.round()
    assert (done.screened, done.unchanged, done.alerts) == (1, len(people), 1)
    assert len(await alerts(app, wanted)) == 1
    assert not any([await alerts(app, one) for one in people])
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select campaign, count(*) from outcomes group by campaign").fetchall()
    assert [count for _, count in rows] == [len(people) + 1] * 2


class Counting(Campaigns):
    """Notes how many people are in memory whenever more of them were read."""

    most = 0

    async def pending(self, campaign: Campaign, after: UUID | None, limit: int) -> Sequence[Enrolment]:
        page = await super().pending(campaign, after, limit)
        self.most = max(self.most, in_memory())
        return page


def in_memory() -> int:
    """How many people there are in the memory of the process."""
    gc.collect()
    return sum(isinstance(one, Enrolment) for one in gc.get_objects())


async def test_a_round_holds_one_crowd_in_memory_and_finds_whoever_it_would_find_at_once(
    app: App, enter: Enter, imported: Import, dsn: str
) -> None:
    crowd = FEW + 3
    names = [f"Applicant Person{chr(97 + number // 26)}{chr(97 + number % 26)}nov" for number in range(2 * crowd + 4)]
    wanted = {
        3: "Ivan Petrovich Sidorov",
        crowd + 3: "Pyotr Ilyich Chaikovsky",
        2 * crowd + 3: "Anton Pavlovich Chekhov",
    }
    people = [await enter(wanted.get(number, name)) for number, name in enumerate(names)]
    await app.watch.round()
    await imported(*wanted.values())
    counting = Counting(app.database)
    app.watch._campaigns, app.watch._crowd = counting, crowd
    kept = in_memory()  # by other tests
    done = await app.watch.round()
    assert 0 < counting.most - kept <= crowd
    assert [number for number, one in enumerate(sorted(people)) if await alerts(app, one)] == list(wanted)
    assert done == Round(screened=2 + 4, unchanged=2 * (crowd - 1), alerts=3)  # the few of the last crowd in full
    assert await app.watch.round() == Round()
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select count(*), count(distinct application) from outcomes group by campaign")
        assert rows.fetchall() == [(len(people), len(people))] * 2


async def test_a_round_that_was_killed_goes_on_where_it_was(app: App, enter: Enter, imported: Import) -> None:
    first, second = await enter("Ivan Petrovich Sidorov"), await enter("Pyotr Ilyich Chaikovsky")
    await app.watch.round()
    await imported("Ivan Petrovich Sidorov", "Pyotr Ilyich Chaikovsky")
    task = asyncio.create_task(app.watch.round())
    async with asyncio.timeout(20):
        while not await alerts(app, min(first, second)):  # noqa: ASYNC110 - the round makes it so
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await app.watch.round()
    assert [len(await alerts(app, one)) for one in (first, second)] == [1, 1]
    assert await app.watch.round() == Round()


async def test_the_daily_check_finds_what_was_missed(app: App, enter: Enter, imported: Import, dsn: str) -> None:
    application = await enter("Ivan Petrovich Sidorov")
    await app.watch.round()
    await imported("Ivan Petrovich Sidorov")
    with psycopg.connect(dsn) as connection:  # as if a round had believed the person to be up to date
        connection.execute("update enrolments set lists = '{\"x\": 2}'")
    assert (await app.watch.check("2026-11-25", 10)).alerts == 1
    assert (await app.watch.check("2026-11-25", 10)).alerts == 0
    assert await app.watch.round() == Round(unchanged=1)
    assert await app.watch.round() == Round()
    assert len(await alerts(app, application)) == 1


def written(dsn: str) -> list[str]:
    """Everything that a round writes."""
    with psycopg.connect(dsn) as connection:
        return [
            text
            for table in ("events", "orders", "enrolments", "campaigns", "outcomes")
            for (text,) in connection.execute(f"select to_jsonb(t)::text from {table} t order by 1").fetchall()
        ]


async def test_a_rehearsal_tells_what_a_round_would_change_and_writes_nothing(
    app: App, enter: Enter, imported: Import, dsn: str
) -> None:
    listed, other = await enter("Ivan Petrovich Sidorov"), await enter("Pyotr Ilyich Chaikovsky")
    await app.watch.round()
    await imported("Ivan Petrovich Sidorov")
    before = written(dsn)
    told: list[int] = []
    rehearsal = await app.watch.rehearse(told.append)
    assert written(dsn) == before
    assert (rehearsal.examined, rehearsal.lists, sum(told)) == (2, {"x": 2}, 2)
    assert rehearsal.differences == (
        Difference(tenant="sandbox", application=listed, list="x", changes=Changes(new=1)),
    )
    assert await app.watch.round() == Round(screened=2, alerts=1)
    assert (await app.watch.rehearse()).examined == 0
    await imported("Pyotr Ilyich Chaikovsky")
    assert {one.application: one.changes for one in (await app.watch.rehearse()).differences} == {
        listed: Changes(gone=1),
        other: Changes(new=1),
    }


async def test_another_threshold_screens_everybody_again_once(
    app: App, enter: Enter, imported: Import, settings: Settings
) -> None:
    await enter("Ivan Petrovich Sidorov")
    await imported("Petrovitch Sidorow", born="1961")
    strict = settings.model_copy(update={"watchlists": ("x",), "screening_review_from": 0.99})
    async with build(strict) as stricter:
        assert await stricter.watch.round() == Round(screened=1)
        assert [one.changes for one in (await app.watch.rehearse()).differences] == [Changes(new=1)]
        assert await app.watch.round() == Round(screened=1, alerts=1)
        # While some processes have the one setting and some the other, nobody is screened to and fro.
        assert await stricter.watch.round() == Round()
    assert await app.watch.round() == Round()


@pytest.mark.parametrize("others", [1, FEW + 1], ids=["each for themselves", "by the changed entries"])
async def test_one_person_who_cannot_be_read_holds_up_nobody_and_is_tried_again(
    app: App, enter: Enter, imported: Import, kyc: Kyc, dsn: str, others: int
) -> None:
    for number in range(others - 1):
        await enter(f"Applicant Person{chr(97 + number)}nov")
    broken, listed = await enter("Pyotr Ilyich Chaikovsky"), await enter("Ivan Petrovich Sidorov")
    await app.watch.round()
    with psycopg.connect(dsn) as connection:
        (subject,) = connection.execute("select subject from enrolments where application = %s", (broken,)).fetchone()
        connection.execute("update enrolments set subject = %s where application = %s", (uuid4(), broken))
    await imported("Ivan Petrovich Sidorov", "Pyotr Ilyich Chaikovsky")
    assert (await app.watch.rehearse()).failed == 1
    done = await app.watch.round()
    assert (done.failed, done.alerts, len(await alerts(app, listed))) == (1, 1, 1)
    told = await kyc("screen", "campaign")
    assert (told.exit_code, str(broken) in told.stderr) == (1, True)
    assert "kyc: 1 people could not be screened" in told.stderr
    with psycopg.connect(dsn) as connection:
        connection.execute("update enrolments set subject = %s where application = %s", (subject, broken))
    assert await app.watch.round() == Round(screened=1, alerts=1)
    assert len(await alerts(app, broken)) == 1
    counted = app.metrics.registry.get_sample_value
    assert counted("kyc_watch_people_total", {"outcome": "failed"}) == 1  # the command counts for itself
    assert counted("kyc_watch_hits_total") == 2


async def test_a_tenant_is_watched_by_its_own_lists_and_by_one_more_when_it_gets_one(
    app: App, enter: Enter, imported: Import, settings: Settings
) -> None:
    application = await enter("Ivan Petrovich Sidorov")
    await imported("Ivan Petrovich Sidorov", source="y")
    both = settings.model_copy(update={"watchlists": ("x", "y")})
    async with build(both.model_copy(update={"watchlists_tenants": {"sandbox": ("x",)}})) as narrow:
        assert await narrow.watch.round() == Round(screened=1)
        assert await narrow.watch.round() == Round()
    async with build(both) as wide:
        assert await wide.watch.round() == Round(screened=1, alerts=1)
    (alert,) = await alerts(app, application)
    assert [hit.entry for hit in alert.hits] == ["y:Ivan Petrovich Sidorov"]


async def test_another_engine_screens_everybody_again(app: App, enter: Enter, dsn: str) -> None:
    await enter("Ivan Petrovich Sidorov")
    await app.watch.round()
    with psycopg.connect(dsn) as connection:  # as an earlier release would have left them
        connection.execute("update enrolments set engine = '0'")
        connection.execute("truncate outcomes")
    assert (await app.watch.rehearse()).examined == 1
    assert await app.watch.round() == Round(screened=1)


@pytest.fixture
def kyc(dsn: str, tmp_path: Path) -> Iterator[Kyc]:
    """Runs `kyc …` beside the service, on the same database; keywords are environment variables."""
    shared = {"KYC_DB_DSN": dsn, "KYC_STATE_DIR": str(tmp_path), "KYC_WATCHLISTS": "x"}

    async def kyc(*arguments: str, **environment: str) -> Result:
        # In a thread, where it has an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, cli, arguments, prog_name="kyc", env=shared | environment)

    yield kyc
    structlog.reset_defaults()  # the log was set up for the runner's own standard error


async def test_a_campaign_is_rehearsed_and_run_from_a_terminal_that_names_nobody(
    app: App, enter: Enter, imported: Import, kyc: Kyc, dsn: str
) -> None:
    application = await enter("Ivan Petrovich Sidorov")
    await app.watch.round()
    await imported("Ivan Petrovich Sidorov")
    before = written(dsn)
    told = await kyc("screen", "campaign", "--dry-run")
    assert told.exit_code == 0, told.output
    head, columns, row, end = told.stdout.splitlines()
    assert head == f"engine {ENGINE_VERSION}; x version 2"
    assert columns.split() == ["tenant", "list", "new", "gone", "risen", "fallen"]
    assert row.split() == ["sandbox", "x", "1", "0", "0", "0"]
    assert end == "1 people examined, 1 of them with a difference; nothing was changed"
    rehearsed = await kyc("screen", "campaign", "--dry-run", "--json")
    assert json.loads(rehearsed.stdout)["differences"] == [
        {"tenant": "sandbox", "application": str(application), "list": "x", "new": 1, "gone": 0, "risen": 0}
        | {"fallen": 0}
    ]
    assert written(dsn) == before
    done = await kyc("screen", "campaign")
    assert done.stdout == "1 people screened, 0 whom no change concerns, 1 new hits\n"
    assert len(await alerts(app, application)) == 1
    assert "idorov" not in told.output + rehearsed.output + done.output


async def test_a_rehearsal_goes_on_where_it_was_stopped(
    app: App, enter: Enter, imported: Import, tmp_path: Path, kyc: Kyc
) -> None:
    first, second = await enter("Ivan Petrovich Sidorov"), await enter("Maria Fernanda Ibarra")
    await imported("Ivan Petrovich Sidorov", "Maria Fernanda Ibarra")
    file = tmp_path / "notes.jsonl"
    whole = await app.watch.rehearse(notes=Notes(file))
    assert [one.application for one in whole.differences] == sorted([first, second])
    line, cut = file.read_text().splitlines(keepends=True)
    file.write_text(line.replace('"new": 1', '"new": 7') + cut[:-20])  # a kill in the middle of a line
    told = await kyc("screen", "campaign", "--dry-run", "--notes", str(file), "--json")
    assert [one["new"] for one in json.loads(told.stdout)["differences"]] == [7, 1]  # the first one was not asked again
    assert file.read_text().splitlines()[1:] == [cut.rstrip()]
    await imported("Ivan Petrovich Sidorov", "Maria Fernanda Ibarra", "Quite Another Person")
    other = await app.watch.rehearse(notes=Notes(file))  # of another campaign nothing is known
    assert [one.changes for one in other.differences] == [Changes(new=1)] * 2


async def test_no_file_but_notes_is_gone_on_with(enter: Enter, tmp_path: Path, kyc: Kyc) -> None:
    await enter("Ivan Petrovich Sidorov")
    file = tmp_path / "other.txt"
    for content in ("my diary", "my diary\n", '{"campaign": "x"}\n', '{"campaign": 1, "application": 2}\n'):
        file.write_text(content)
        told = await kyc("screen", "campaign", "--dry-run", "--notes", str(file))
        assert (told.exit_code, file.read_text()) == (1, content)
        assert "something else than the notes of a dry run" in told.stderr
    told = await kyc("screen", "campaign", "--notes", str(file))
    assert told.exit_code == 2
    told = await kyc("screen", "campaign", "--dry-run", "--notes", str(tmp_path / "none" / "file"))
    assert (told.exit_code, "is no folder" in told.stderr) == (1, True)


@pytest.mark.parametrize(
    ("watchlists", "hours"), [(("x", "un_sc"), 0), (("x",), 73)], ids=["a list is missing", "a list is stale"]
)
async def test_nobody_is_verified_by_lists_that_are_missing_or_stale(
    imported: Import, settings: Settings, dsn: str, watchlists: tuple[str, ...], hours: int
) -> None:
    await imported()
    age(dsn, hours)
    async with build(settings.model_copy(update={"watchlists": watchlists})) as app:
        application = await submitted(app, "Ivan Sidorov")
        work = asyncio.create_task(app.worker.run())
        with psycopg.connect(dsn, autocommit=True) as connection:
            async with asyncio.timeout(20):
                while connection.execute(WAITING).fetchone() != ("SCREENING_UNAVAILABLE", True):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        assert await status(app, application) is Status.IN_PROGRESS
        app.worker.stop()
        await work
    age(dsn, 0)
    async with build(settings.model_copy(update={"watchlists": ("x",)})) as app:
        work = asyncio.create_task(app.worker.run())
        async with asyncio.timeout(20):
            while await status(app, application) is not Status.VERIFIED:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        app.worker.stop()
        await work


async def test_one_process_at_a_time_screens_everybody_and_another_one_when_it_dies(
    app: App, enter: Enter, imported: Import, settings: Settings, kyc: Kyc
) -> None:
    application = await enter("Ivan Petrovich Sidorov")
    await imported("Ivan Petrovich Sidorov")
    async with build(settings.model_copy(update={"watchlists": ("x",), "watch_seconds": 0.02})) as other:
        async with app.watch.turn() as ours:
            assert ours
            waiting = asyncio.create_task(other.watch.run())
            told = await kyc("screen", "campaign")
            assert (told.exit_code, told.stdout) == (1, "")
            assert "kyc: Another process screens everybody at the moment" in told.stderr
            assert await alerts(app, application) == []
        async with asyncio.timeout(20):
            while not await alerts(app, application):  # noqa: ASYNC110 - the other one makes it so
                await asyncio.sleep(0.02)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_no_campaign_begins_on_lists_that_are_missing(enter: Enter, kyc: Kyc) -> None:
    await enter("Ivan Petrovich Sidorov")
    for arguments in ((), ("--dry-run",)):
        told = await kyc("screen", "campaign", *arguments, KYC_WATCHLISTS="x,un_sc")
        assert (told.exit_code, told.stdout) == (1, "")
        assert "kyc: The list un_sc is not in force: run `kyc lists sync`." in told.stderr


async def test_an_erased_person_is_watched_no_more(app: App, enter: Enter, imported: Import, dsn: str) -> None:
    application = await enter("Ivan Petrovich Sidorov")
    found = await app.enrolments.of("sandbox", application)
    assert found
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "update keys set wrapped = null, destroyed_at = now(), destroy_reason = 'test' where subject = %s",
            (found.subject,),
        )
    app.people._vault.forget("sandbox", found.subject)
    await imported("Ivan Petrovich Sidorov")
    assert await app.watch.round() == Round()
    assert await alerts(app, application) == []


async def test_nothing_of_the_watch_names_anybody(app: App, enter: Enter, imported: Import, dsn: str) -> None:
    await enter("Ivan Petrovich Sidorov")
    await imported("Ivan Petrovich Sidorov")
    await app.watch.round()
    with psycopg.connect(dsn) as connection:
        for table in ("enrolments", "campaigns", "outcomes"):
            rows = connection.execute(f"select to_jsonb(t)::text from {table} t").fetchall()
            assert rows
            assert not any("idorov" in text for (text,) in rows)
