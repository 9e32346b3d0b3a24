"""`kyc screen`: look for one name, or for a file of them, see what a threshold costs, and screen who is watched."""

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from kyc_service.cli.faults import Failure, with_app

if TYPE_CHECKING:
    from kyc_service.bootstrap import App
    from kyc_service.screening.bulk import Figures, Hits
    from kyc_service.screening.engine import Match
    from kyc_service.screening.entries import Entry
    from kyc_service.screening.index import Index
    from kyc_service.screening.rehearsal import Rehearsal

KINDS = ("person", "organisation", "vessel", "aircraft", "unknown")
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _OneOrMany(click.Group):
    """A group whose first word may also be a name: `kyc screen "Jane Doe"`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take whatever is no command for a search."""
        if args and args[0] not in self.commands and args[0] not in {"-h", "--help"}:
            args = ["search", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_OneOrMany)
def screen() -> None:
    """Look for people, organisations and vessels on the lists in force, or on a list in a file.

    `kyc screen NAME` is short for `kyc screen search NAME`; `kyc screen search --help` lists the options.

    Example: kyc screen "Jane Doe" --birth-date 1970-01-31 --country gb
    """


@screen.command("search")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--birth-date", metavar="DATE", help="A day, a month or a year: 1970-01-31, 1970-01, 1970.")
@click.option("--country", "countries", multiple=True, metavar="CODE", help="ISO 3166-1 alpha-2; may be repeated.")
@click.option("--gender", type=click.Choice(["male", "female"]), help="gender, if it is known")
@click.option("--kind", type=click.Choice(KINDS), default="person", show_default=True, help="what NAME is the name of")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Least probability.")
@click.option("--watchlist", type=FILE, help="A list to search instead: JSON Lines, may be gzipped.")
@click.option(
    "--queries", type=FILE, help="Queries to answer: JSON Lines, may be gzipped. Needs --watchlist and --out."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where the answers go, a line a query.")
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default="every core",
    help="processes for a file of queries",
)
@click.option("--json", "as_json", is_flag=True, help="The matches as JSON, with every reason.")
def search(
    names: tuple[str, ...],
    birth_date: str | None,
    countries: tuple[str, ...],
    gender: str | None,
    kind: str,
    threshold: float,
    watchlist: Path | None,
    queries: Path | None,
    out: Path | None,
    processes: int,
    as_json: bool,
) -> None:
    """Look for NAME, or for every query of a file. Several NAMEs are names of one and the same.

    Answers to a file are lines {"qid", "hits": [[entry id, probability], …]} with every candidate down to 0.05.

    Example: kyc screen search --watchlist list.jsonl.gz --queries people.jsonl.gz --out answers.jsonl
    """
    if queries or out:
        if names or not (queries and out and watchlist):
            raise click.UsageError("a file of queries needs --watchlist, --queries and --out, and no NAME")
        _answer(watchlist, queries, out, processes)
        return
    if not any(name.strip() for name in names):
        raise click.UsageError("whom to look for? Give a NAME, or --watchlist, --queries and --out")
    index = _index_of(watchlist)
    matches = _matches(index, names, birth_date, countries, gender, kind, threshold)
    if as_json:
        click.echo(json.dumps([_as_json(match) for match in matches], ensure_ascii=False, indent=2))
        return
    for match in matches:
        _tell(match)
    if not matches:
        click.echo(f"nobody of {len(index)} entries from a probability of {threshold} on")


def _matches(
    index: "Index",
    names: Sequence[str],
    birth_date: str | None,
    countries: Sequence[str],
    gender: str | None,
    kind: str,
    threshold: float,
) -> "list[Match]":
    from kyc_service.screening import engine
    from kyc_service.screening.bulk import born
    from kyc_service.screening.entries import Kind
    from kyc_service.screening.lists.dates import DateUnreadable
    from kyc_service.screening.query import Query

    try:
        births = born(birth_date)
    except DateUnreadable as error:
        raise click.UsageError("--birth-date is no day, month or year: write 1970-01-31, 1970-01 or 1970") from error
    wrong = [code for code in countries if len(code) != 2 or not code.isalpha() or not code.isascii()]
    if wrong:
        raise click.UsageError("--country takes codes of two letters, as in ISO 3166-1: gb")
    query = Query(
        kind=Kind(kind),
        names=names,
        births=births,
        countries=tuple(code.lower() for code in countries),
        gender=gender,
    )
    return engine.screen(index, query, threshold=threshold)


def _as_json(match: "Match") -> dict[str, object]:
    return {
        "entry_id": match.entry_id,
        "list": match.list_id,
        "probability": match.probability,
        "floor": match.floor,
        "explanation": match.explanation,
    }


def _tell(match: "Match") -> None:
    why = match.explanation
    name, listed = why["name"], why["list"]
    assert isinstance(name, dict)  # noqa: S101 - the explanation's own shape
    assert isinstance(listed, dict)  # noqa: S101
    click.echo(f"{match.probability:.3f}  {match.entry_id}  {name['listed']} ({name['kind']})")
    pairs = why.get("tokens") or []
    if isinstance(pairs, list):
        told = [f"{pair['ours']} ~ {pair['listed']} ({pair['reason']})" for pair in pairs if isinstance(pair, dict)]
        click.echo(f"       {', '.join(told)}")
    click.echo(f"       {why['birth']}; {why['country']}; {why['gender']}")
    if why["floor"]:
        click.echo(f"       {why['floor']}")
    programmes = ", ".join(map(str, listed["programmes"])) or "no programme stated"
    click.echo(f"       {listed['group']}, {programmes}{'  ' + str(listed['link']) if listed['link'] else ''}")


def _index_of(watchlist: Path | None) -> "Index":
    from kyc_service.screening.index import Index

    if watchlist:
        return Index.build(_entries(watchlist))
    found: list[Index] = []
    with_app(lambda app: _in_force(app, found))
    return found[0]


async def _in_force(app: "App", found: "list[Index]") -> None:
    from kyc_service.screening.index import Index
    from kyc_service.screening.lists.library import SAMPLE_WARNING, NoListInForce

    try:
        in_force = await app.watchlists.in_force()
    except NoListInForce as error:
        raise Failure(error.__doc__ or "") from error
    if in_force.sample:
        click.echo(f"kyc: {SAMPLE_WARNING}", err=True)
    entries = await app.watchlists.entries(in_force)
    found.append(Index.build(entries, {one.source: str(one.version) for one in in_force.lists}))


def _entries(path: Path) -> "Iterator[Entry]":
    from kyc_service.screening.lists import plain_jsonl
    from kyc_service.screening.lists.reading import ListUnreadable, Problems

    problems = Problems()
    try:
        yield from plain_jsonl.parse({"main": path}, path.stem, problems)
    except ListUnreadable as error:
        raise Failure(f"{path}: {error}") from error
    if problems.count:
        click.echo(f"kyc: {problems.count} fields of {path} could not be understood and were left out", err=True)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    from kyc_service.screening.lists.reading import ListUnreadable, Problems, lines

    try:
        for number, line in enumerate(lines(path, Problems()), 1):
            if line.strip():
                yield number, line
    except ListUnreadable as error:
        raise Failure(f"{path}: {error}") from error


def _answer(watchlist: Path, queries: Path, out: Path, processes: int) -> None:
    """Answer every query; the file of answers appears when it is whole."""
    from kyc_service.screening.bulk import QueryUnreadable, answers, read_query
    from kyc_service.screening.index import Index

    if not out.parent.is_dir():
        raise Failure(f"{out.parent} is no folder")
    with tempfile.TemporaryDirectory(prefix="kyc-screen-") as folder:
        file = Path(folder) / "list.index"
        Index.build(_entries(watchlist)).save(file)
        try:
            asked = [read_query(line, number) for number, line in _lines(queries)]
        except QueryUnreadable as error:
            raise Failure(f"{queries}: {error}") from error
        if dateless := sum(one.dateless for one in asked):
            click.echo(f"kyc: {dateless} dates of birth in {queries} cannot be any and were left out", err=True)
        unfinished = out.with_name(f".{out.name}.{os.getpid()}")
        try:
            with (
                unfinished.open("w", encoding="utf-8") as stream,
                click.progressbar(
                    answers(file, asked, processes=processes), length=len(asked), label="screening", file=sys.stderr
                ) as told,
            ):
                _write(told, stream)
            unfinished.replace(out)
        finally:
            unfinished.unlink(missing_ok=True)
    click.echo(f"{len(asked)} queries answered in {out}")


def _write(answered: "Iterable[tuple[str, Hits]]", stream: TextIO) -> None:
    stream.writelines(json.dumps({"qid": identity, "hits": hits}) + "\n" for identity, hits in answered)


@screen.command("report")
@click.option("--queries", type=FILE, required=True, help="The queries, with what each is about (kind, target).")
@click.option("--results", type=FILE, required=True, help="What `kyc screen search --out` wrote.")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def report(queries: Path, results: Path, as_json: bool) -> None:
    """Tell, for each threshold, the recall, the share of clean people alerted on, and alerts per 1 000 of them.

    Example: kyc screen report --queries people.jsonl.gz --results answers.jsonl
    """
    from kyc_service.screening.bulk import QueryUnreadable, figures, read_truth

    try:
        truth = [read_truth(line, number) for number, line in _lines(queries)]
    except QueryUnreadable as error:
        raise Failure(f"{queries}: {error}") from error
    found: dict[str, Hits] = {}
    for number, line in _lines(results):
        try:
            told = json.loads(line)
            found[str(told["qid"])] = [(str(entry), float(value)) for entry, value in told["hits"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(f"{results}: line {number} is no answer") from error
    _print(figures(truth, found), as_json=as_json)


def _print(rows: "Sequence[Figures]", *, as_json: bool) -> None:
    if as_json:
        told = [
            {
                "threshold": row.threshold,
                "recall": row.recall,
                "false_positives": row.false_positives,
                "alerts_per_thousand": row.alerts_per_thousand,
            }
            for row in rows
        ]
        click.echo(json.dumps(told, indent=2))
        return
    click.echo("threshold  recall  false positives  alerts per 1 000 clean")
    for row in rows:
        click.echo(
            f"{row.threshold:9.2f}  {row.recall:6.1%}  {row.false_positives:15.2%}  {row.alerts_per_thousand:22.1f}"
        )


@screen.command("campaign")
@click.option("--dry-run", is_flag=True, help="Tell what would change, and change nothing.")
@click.option(
    "--notes",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where a dry run keeps whom it examined, and goes on when it is started again.",
)
@click.option("--json", "as_json", is_flag=True, help="print JSON; with --dry-run it names the applications")
def campaign(*, dry_run: bool, notes: Path | None, as_json: bool) -> None:
    """Screen everybody who is watched against what is in force now: lists, engine, KYC_SCREENING_REVIEW_FROM.

    The workers do the same by themselves, little by little. Before a new release or another setting reaches them, a
    dry run in its surroundings tells what it would change: new hits raise an alert each, hits that are gone or have
    moved to another band raise none. Nobody is named but by their application.

    Example: KYC_SCREENING_REVIEW_FROM=0.4 kyc screen campaign --dry-run
    """
    if notes and not dry_run:
        raise click.UsageError("--notes is for --dry-run: a campaign goes on by itself")
    with_app(lambda app: _rehearse(app, notes, as_json=as_json) if dry_run else _campaign(app, as_json=as_json))


async def _rehearse(app: "App", path: Path | None, *, as_json: bool) -> None:
    from kyc_service.application.ports import ScreeningUnavailable
    from kyc_service.screening.rehearsal import Notes, NotesUnreadable

    if path and not path.parent.is_dir():
        raise Failure(f"{path.parent} is no folder")
    try:
        notes = Notes(path)
    except NotesUnreadable as error:
        raise Failure(str(error)) from error
    people = sum((await app.enrolments.tenants()).values())
    try:
        with click.progressbar(length=people, label="rehearsing", file=sys.stderr) as progress:
            rehearsal = await app.watch.rehearse(progress.update, notes)
    except ScreeningUnavailable as error:
        raise await _unavailable(app) from error
    if as_json:
        click.echo(json.dumps(_rehearsal_as_json(rehearsal), indent=2))
    else:
        _tell_rehearsal(rehearsal)
    _refuse_silence(rehearsal.failed)


async def _campaign(app: "App", *, as_json: bool) -> None:
    from kyc_service.application.ports import ScreeningUnavailable

    people = sum((await app.enrolments.tenants()).values())
    try:
        async with app.watch.turn() as ours:
            if not ours:
                raise Failure("Another process screens everybody at the moment; --dry-run tells what is left to do.")
            with click.progressbar(length=people, label="screening", file=sys.stderr) as progress:
                done = await app.watch.round(progress.update)
    except ScreeningUnavailable as error:
        raise await _unavailable(app) from error
    if as_json:
        told = {"screened": done.screened, "unchanged": done.unchanged, "new_hits": done.alerts, "failed": done.failed}
        click.echo(json.dumps(told))
    else:
        click.echo(f"{done.screened} people screened, {done.unchanged} whom no change concerns, {done.alerts} new hits")
    _refuse_silence(done.failed)


def _refuse_silence(failed: int) -> None:
    """Whoever could not be screened is nothing to be passed over."""
    if failed:
        raise Failure(f"{failed} people could not be screened; the log above names their applications.")


async def _unavailable(app: "App") -> Failure:
    """Why nobody can be screened, in the words of the lists."""
    return Failure("\n".join(await app.watchlists.faults(app.clock())))


def _rehearsal_as_json(rehearsal: "Rehearsal") -> dict[str, object]:
    return {
        "engine": rehearsal.engine,
        "lists": dict(rehearsal.lists),
        "examined": rehearsal.examined,
        "failed": rehearsal.failed,
        "differences": [
            {
                "tenant": one.tenant,
                "application": str(one.application),
                "list": one.list,
                "new": one.changes.new,
                "gone": one.changes.gone,
                "risen": one.changes.risen,
                "fallen": one.changes.fallen,
            }
            for one in rehearsal.differences
        ],
    }


def _tell_rehearsal(rehearsal: "Rehearsal") -> None:
    from kyc_service.screening.monitoring import Changes

    versions = ", ".join(f"{name} version {version}" for name, version in rehearsal.lists.items())
    click.echo(f"engine {rehearsal.engine}; {versions}")
    totals: dict[tuple[str, str], Changes] = {}
    for one in rehearsal.differences:
        totals[one.tenant, one.list] = totals.get((one.tenant, one.list), Changes()) + one.changes
    width = max((len(name) for key in totals for name in key), default=6)
    if totals:
        click.echo(f"{'tenant':{width}}  {'list':{width}}    new   gone  risen  fallen")
    for (tenant, name), sum_ in sorted(totals.items()):
        figures = f"{sum_.new:5}  {sum_.gone:5}  {sum_.risen:5}  {sum_.fallen:6}"
        click.echo(f"{tenant:{width}}  {name:{width}}  {figures}")
    concerned = len({(one.tenant, one.application) for one in rehearsal.differences})
    click.echo(f"{rehearsal.examined} people examined, {concerned} of them with a difference; nothing was changed")
