"""`kyc lists`: bring sanctions and PEP lists up to date, look at what changed, and release what was held back."""

import getpass
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kyc_service.cli.faults import Failure, with_app
from kyc_service.cli.looking import output

if TYPE_CHECKING:
    from kyc_service.application.watchlists import Version
    from kyc_service.bootstrap import App
    from kyc_service.screening.entries import Entry
    from kyc_service.screening.lists.download import Progress
    from kyc_service.screening.lists.staging import Outcome

F = TypeVar("F", bound=Callable[..., Any])
WARNED = 3  # the exit code when something waits for a person


def printed(command: F) -> F:
    """`-o json`, or `--json` for short."""
    return output(click.option("--json", "as_json", is_flag=True, help="The same as -o json.")(command))


@click.group()
def lists() -> None:
    """Bring sanctions and PEP lists up to date, look at what changed, and release what was held back.

    Example: kyc lists sync us_ofac_sdn un_sc
    """


@lists.command("sync")
@click.argument("names", nargs=-1, metavar="[LIST]...")
@printed
def sync_lists(names: tuple[str, ...], output: str, as_json: bool) -> None:
    """Download each LIST if it changed (default: those of KYC_WATCHLISTS) and put it in force if it can be believed.

    A list that cannot be downloaded or believed changes nothing; the others are brought all the same. Exits with 1 when
    a list could not be had or was refused, and with 3 when one waits in quarantine for `kyc lists release`.

    Example: kyc lists sync us_ofac_sdn un_sc
    """
    with_app(lambda app: _sync(app, names, as_json=as_json or output == "json"))


async def _sync(app: "App", names: tuple[str, ...], *, as_json: bool) -> None:
    import httpx2

    from kyc_service.application.effects import utc_now
    from kyc_service.application.watchlists import VersionRefused
    from kyc_service.screening.lists.download import DownloadFailed, Downloads, SyncInProgress
    from kyc_service.screening.lists.sources import name_of, source_of
    from kyc_service.screening.lists.sync import sync

    configured = {name_of(one): one for one in app.settings.watchlists}
    wanted = [configured.get(name, name) for name in names] or list(configured.values())
    if not wanted:
        raise click.UsageError("name a list, or set KYC_WATCHLISTS")
    token = app.settings.eu_list_token
    sources = [source_of(one, token.get_secret_value() if token else None) for one in wanted]
    told: list[dict[str, Any]] = []
    failed: list[str] = []
    async with httpx2.AsyncClient() as client:
        for source in sources:
            with _progress(source.name) as progress:
                folder = app.settings.home / "lists" / source.name
                downloads = Downloads(folder, client, progress=progress)
                try:
                    outcome = await sync(app.shelf, source, downloads, utc_now())
                except (DownloadFailed, SyncInProgress, VersionRefused) as error:
                    failed.append(f"{source.name}: {error}")
                    continue
            told.append(_told(outcome))
            if not as_json:
                click.echo(_line(outcome))
    if as_json:
        click.echo(json.dumps(told, indent=2))
    _judge(told, failed)


@lists.command("import")
@click.argument("name", metavar="LIST")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@printed
def import_files(name: str, files: tuple[Path, ...], output: str, as_json: bool) -> None:
    """Bring in the FILES of a LIST from this machine, as `sync` would bring them from the publisher.

    The format is recognised by the content; files may be packed with gzip. OFAC's CSV is several files: name them all.
    The exit codes are those of `sync`.

    Example: kyc lists import us_ofac_sdn sdn.csv alt.csv add.csv sdn_comments.csv
    """
    with_app(lambda app: _import(app, name, files, as_json=as_json or output == "json"))


async def _import(app: "App", name: str, files: tuple[Path, ...], *, as_json: bool) -> None:
    from kyc_service.application.effects import utc_now
    from kyc_service.screening.lists.library import SAMPLE
    from kyc_service.screening.lists.sources import SOURCES
    from kyc_service.screening.lists.staging import bring, describe

    if name == SAMPLE or not name.replace("_", "").replace("-", "").isalnum():
        raise click.UsageError("a list is called by letters, digits, - and _, and not `sample`")
    at_least = SOURCES[name].at_least if name in SOURCES else 1
    brought = [(path, describe(path)) for path in files]
    outcome = await bring(app.shelf, name, brought, utc_now(), at_least=at_least)
    click.echo(json.dumps(_told(outcome), indent=2) if as_json else _line(outcome))
    _judge([_told(outcome)], [])


@lists.command("status")
@printed
def status(output: str, as_json: bool) -> None:
    """Say which lists are in force, how old they are, and what waits for a person.

    Exits with 3 when a list that is wanted is missing or too old, or when something waits in quarantine.

    Example: kyc lists status --json
    """
    with_app(lambda app: _status(app, as_json=as_json or output == "json"))


async def _status(app: "App", *, as_json: bool) -> None:
    from kyc_service.application.effects import utc_now
    from kyc_service.application.watchlists import VersionStatus
    from kyc_service.screening.lists.library import SAMPLE_WARNING, NoListInForce

    now = utc_now()
    try:
        found = await app.watchlists.in_force()
    except NoListInForce:
        found = None
    faults = await app.watchlists.faults(now)
    standing = {one.source: one.version for one in found.lists} if found else {}
    waiting = [
        version
        for version in await app.watchlists.versions()
        if version.status is VersionStatus.QUARANTINED
        or (version.status is VersionStatus.REFUSED and version.number > standing.get(version.source, 0))
    ]
    if as_json:
        rows = [
            {
                "list": one.source,
                "version": one.version,
                "entries": one.entries,
                "digest": one.digest,
                "imported_at": one.imported_at.isoformat(),
                "confirmed_at": one.confirmed_at.isoformat(),
                "age_hours": round(one.age(now).total_seconds() / 3600, 1),
            }
            for one in (found.lists if found else ())
        ]
        told = {
            "edition": found.edition if found else None,
            "sample": bool(found and found.sample),
            "in_force": rows,
            "waiting": [_shown(version) for version in waiting],
            "faults": list(faults),
        }
        click.echo(json.dumps(told, indent=2))
    else:
        for one in found.lists if found else ():
            hours = int(one.age(now).total_seconds() // 3600)
            click.echo(f"{one.source:<24} version {one.version:<5} {one.entries:>7} entries, confirmed {hours} h ago")
        for version in waiting:
            click.echo(
                f"{version.source:<24} version {version.number:<5} {version.status}: {' '.join(version.reasons)}"
            )
        if found and found.sample:
            click.echo(f"kyc: {SAMPLE_WARNING}", err=True)
        for fault in faults:
            click.echo(f"kyc: {fault}", err=True)
    if faults or any(version.status is VersionStatus.QUARANTINED for version in waiting):
        raise click.exceptions.Exit(WARNED)


@lists.command("diff")
@click.argument("name", metavar="LIST")
@click.argument("since", type=click.IntRange(1), required=False)
@click.argument("until", type=click.IntRange(1), required=False)
@printed
def diff(name: str, since: int | None, until: int | None, output: str, as_json: bool) -> None:
    """Tell which entries of a LIST became different from version SINCE to version UNTIL.

    Without versions: what waits in quarantine against what is in force, or else what the version in force changed.

    Example: kyc lists diff us_ofac_sdn 11 12
    """
    with_app(lambda app: _diff(app, name, since, until, as_json=as_json or output == "json"))


async def _diff(app: "App", name: str, since: int | None, until: int | None, *, as_json: bool) -> None:
    from kyc_service.application.watchlists import VersionStatus

    known = {version.number: version for version in await app.watchlists.versions(name, limit=10_000)}
    if not known:
        raise Failure(f"There is no list {name}.")
    active = next((n for n, version in known.items() if version.status is VersionStatus.ACTIVE), None)
    held = next((n for n, version in known.items() if version.status is VersionStatus.QUARANTINED), None)
    if since is None:
        until = held or active
        since = (
            active if held else max((n for n, v in known.items() if v.activated_at and n < (active or 0)), default=None)
        )
    if until is None:
        until = active
    for number in (since, until):
        version = known.get(number or 0)
        if number and (version is None or not (version.activated_at or version.status is VersionStatus.QUARANTINED)):
            raise Failure(f"There are no entries of a version {number} of {name}.")
    if until is None:
        raise Failure(f"No version of {name} is in force or in quarantine.")
    changes = await app.watchlists.changes(name, since, until)
    rows = [
        *(("added", entry) for entry in changes.added),
        *(("changed", one.after) for one in changes.changed if one.matters),
        *(("reworded", one.after) for one in changes.changed if not one.matters),
        *(("removed", entry) for entry in changes.removed),
    ]
    if as_json:
        shown = [
            {"change": what, "id": entry.id, "name": _first(entry), "kind": entry.kind.value} for what, entry in rows
        ]
        click.echo(
            json.dumps({"list": name, "since": since, "until": until, "changes": shown}, indent=2, ensure_ascii=False)
        )
        return
    for what, entry in rows:
        click.echo(f"{what:<9} {entry.id:<28} {_first(entry)}")
    click.echo(f"{name}: from version {since or 'nothing'} to {until}: {len(rows)} entries differ")


@lists.command("release")
@click.argument("name", metavar="LIST")
@click.argument("version", type=click.IntRange(1))
@click.option("--note", required=True, help="Why it may be believed; it is kept with the version.")
@click.option("--by", default=None, help="Who looked at it.  [default: the user of this session]")
@printed
def release(name: str, version: int, note: str, by: str | None, output: str, as_json: bool) -> None:
    """Put a VERSION of a LIST in force that was in quarantine, after somebody looked at `kyc lists diff`.

    Example: kyc lists release un_sc 7 --note "42 delistings of 3 May, press release SC/15992"
    """
    with_app(lambda app: _release(app, name, version, note, by, as_json=as_json or output == "json"))


async def _release(app: "App", name: str, version: int, note: str, by: str | None, *, as_json: bool) -> None:
    from kyc_service.application.effects import utc_now

    if not note.strip():
        raise click.UsageError("say in --note why the version may be believed")
    released = await app.shelf.release(name, version, by or getpass.getuser(), note.strip(), utc_now())
    shown = _shown(released)
    click.echo(json.dumps(shown, indent=2) if as_json else f"{name}: version {version} is in force")


def _judge(told: list[dict[str, Any]], failed: list[str]) -> None:
    """The exit code, and one line for each list that could not be brought."""
    failed += [f"{one['list']}: {' '.join(one['reasons'])}" for one in told if one["status"] == "refused"]
    if failed:
        raise Failure("\n".join(failed))
    if any(one["status"] == "quarantined" for one in told):
        raise click.exceptions.Exit(WARNED)


def _told(outcome: "Outcome") -> dict[str, Any]:
    return {**_shown(outcome.version), "new": outcome.new}


def _shown(version: "Version") -> dict[str, Any]:
    return {
        "list": version.source,
        "version": version.number,
        "status": version.status.value,
        "entries": version.entries,
        "added": version.added,
        "changed": version.changed,
        "removed": version.removed,
        "problems": version.problems,
        "reasons": list(version.reasons),
        "digest": version.digest,
        "imported_at": version.imported_at.isoformat(),
        "released_by": version.released_by,
        "note": version.note,
    }


def _line(outcome: "Outcome") -> str:
    version = outcome.version
    head = f"{version.source}: version {version.number}"
    if version.status.value == "refused":
        return f"{head} was refused: {' '.join(version.reasons)}"
    if version.status.value == "quarantined":
        return (
            f"{head} waits for a person: {' '.join(version.reasons)} Look at it with `kyc lists diff {version.source}`,"
            f" then `kyc lists release {version.source} {version.number} --note …`."
        )
    if not outcome.new:
        return f"{head} is in force, and nothing changed"
    problems = f", {version.problems} fields not understood" if version.problems else ""
    return (
        f"{head} is in force: {version.entries} entries, {version.added} added, {version.changed} changed,"
        f" {version.removed} removed{problems}"
    )


def _first(entry: "Entry") -> str:
    return entry.names[0].value if entry.names else "-"


@contextmanager
def _progress(name: str) -> Iterator["Progress | None"]:
    """A bar for each file while it comes, on a terminal; nothing anywhere else."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(file: str, here: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(f"{name} {file}", total=total)
            bars.update(tasks[file], completed=here, total=total)

        yield show
