"""`kyc`: everything that an operator or a newcomer does from a terminal.

Results go to standard output, everything else to standard error. A fault that can be foreseen is one line and a
non-zero exit: 1 failed, 2 wrong usage or refused settings.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from kyc_service.bootstrap import App
    from kyc_service.settings import Settings

T = TypeVar("T")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def main() -> None:
    """The console script."""
    from kyc_service.application.ports import StoreUnavailable
    from kyc_service.bootstrap import SettingsRefused
    from kyc_service.cli.faults import sentence_of

    try:
        cli.main(prog_name="kyc", standalone_mode=False)
    except click.exceptions.Abort:
        _exit("interrupted", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except SettingsRefused as error:
        _exit(str(error), 2)
    except StoreUnavailable:
        _exit("The database does not answer; `kyc doctor` tells more.", 1)
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        _exit(sentence, 1)


def _exit(message: str, code: int) -> None:
    click.echo("\n".join(f"kyc: {line}" for line in message.splitlines()), err=True)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="kyc-service")
def cli() -> None:
    """The CrowdPay Connect KYC service: verify people, from a terminal.

    A newcomer starts with `kyc demo`; `kyc serve` serves the API on port 8180, and `kyc token` gives a token for it.
    """


# ── running ───────────────────────────────────────────────────────────────────────


@cli.command()
@click.option("--ci", is_flag=True, help="Plain lines, no live display.")
@click.option("--keep", is_flag=True, help="Keep the demo's data, and say where it is.")
def demo(*, ci: bool, keep: bool) -> None:
    """Walk applications through a whole service on this machine, and watch every event.

    Everything is embedded and thrown away afterwards. Exits with 1 if any application ends otherwise than it should.
    """
    from kyc_service.cli.demo import run

    sys.exit(run(live=not ci and sys.stdout.isatty(), keep=keep))


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8180, show_default=True)
@click.option("--reload", is_flag=True, help="Start again when the code changes.")
@click.option("--worker/--no-worker", default=None, help="Also work off the orders (default: in development).")
def serve(*, host: str, port: int, reload: bool, worker: bool | None) -> None:
    """Serve the HTTP API.

    Example: kyc serve --port 8180 --no-worker
    """
    import socket

    import uvicorn

    if worker is not None:
        os.environ["KYC_INLINE_WORKER"] = str(worker).lower()
    _refuse(_settings())
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.ClickException(f"Port {port} of {host} cannot be served: {error.strerror}.") from error
    uvicorn.run(
        "kyc_service.api.main:app",
        host=host,
        port=port,
        reload=reload,
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=25,
    )


@cli.command()
def worker() -> None:
    """Work off the orders: checks, retries, compensations, timeouts.

    Any number of workers may run, on any number of machines. SIGTERM lets it finish what it holds.
    """
    _with_app(_work)


async def _work(app: "App") -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, app.worker.stop)
    click.echo("kyc worker: working", err=True)
    bells = [asyncio.create_task(app.bells.listen()), asyncio.create_task(app.bells.carry())]
    await app.worker.run()
    for bell in bells:
        bell.cancel()
    await asyncio.gather(*bells, return_exceptions=True)


@cli.command()
@click.option("--revision", default="head", show_default=True)
def migrate(revision: str) -> None:
    """Bring the database to a revision; safe to run several times and at once."""
    from kyc_service.store import database

    with database.dsn(_settings()) as target:
        database.migrate(target, revision)
    click.echo(f"kyc: the database is at {revision}", err=True)


# ── tokens and keys ───────────────────────────────────────────────────────────────


@cli.command()
@click.option("--tenant", default="sandbox", show_default=True)
@click.option("--role", "roles", multiple=True, default=("submitter",), show_default=True, help="May be repeated.")
@click.option("--subject", default="developer", show_default=True)
@click.option("--client", default="cli", show_default=True)
@click.option("--ttl", default="1h", show_default=True, help="For example 30m, 8h or 7d.")
def token(*, tenant: str, roles: tuple[str, ...], subject: str, client: str, ttl: str) -> None:
    """Print a development token, and nothing else.

    Example: export ACCESS_TOKEN=$(kyc token --role submitter --role reviewer)
    """
    from kyc_service.access.development import DevelopmentIssuer

    if not (ttl[:-1].isdigit() and ttl[-1:] in UNITS):
        raise click.BadParameter("a number and one of s, m, h, d, for example 8h", param_hint="--ttl")
    issuer = DevelopmentIssuer(_settings())
    lifetime = timedelta(seconds=int(ttl[:-1]) * UNITS[ttl[-1]])
    click.echo(issuer.issue(tenant, roles, subject, client, lifetime))


@cli.group()
def keys() -> None:
    """The key ring, without which no personal data can be read."""


@keys.command("init")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def keys_init(file: Path) -> None:
    """Make a new key ring at FILE, readable by its owner alone.

    Keep copies of it apart from those of the database: who has both can read everything, who has lost it nothing.
    """
    from kyc_service.privacy.keyfile import KeyRing

    KeyRing.create(file)
    click.echo(f"kyc: made {file}; name it in KYC_KEY_FILE and keep a copy in a safe place", err=True)


# ── proving ───────────────────────────────────────────────────────────────────────


@cli.command()
@click.option("--check-only", is_flag=True, help="Compare, and change nothing.")
def rebuild(*, check_only: bool) -> None:
    """Fold the log again, prove that every snapshot equals it, and put right what does not."""
    _with_app(lambda app: _rebuild(app, write=not check_only))


async def _rebuild(app: "App", *, write: bool) -> None:
    from uuid import UUID

    from kyc_service.domain.application import Sealed
    from kyc_service.store import rebuild as folding

    async def index(tenant: str, user: UUID, stream: UUID, sealed: Sealed) -> bytes | None:
        person = await app.people.open(tenant, user, stream, sealed)
        return app.people.index(tenant, str(person["email"])) if person else None

    rebuilt = await folding.rebuild(app.database, index, write=write)
    click.echo(f"{rebuilt.applications} applications folded from {rebuilt.events} events")
    for stream in rebuilt.differing:
        click.echo(f"{stream} {'was put right' if write else 'differs from its log'}")
    if rebuilt.differing:
        raise click.ClickException(f"{len(rebuilt.differing)} snapshot(s) were not what the log says")
    click.echo("every snapshot equals its log")


@cli.group()
def audit() -> None:
    """Evidence that nobody has changed the past."""


@audit.command("verify")
def audit_verify() -> None:
    """Compute every hash of every chain again, outside the database."""
    _with_app(_audit)


async def _audit(app: "App") -> None:
    from kyc_service.store.audit import verify

    found = await verify(app.database)
    for broken in found.breaks:
        click.echo(f"{broken.stream} version {broken.version}: {broken.what}")
    click.echo(f"{found.streams} chains, {found.events} events")
    if found.breaks:
        raise click.ClickException(f"{len(found.breaks)} break(s): the log is not what was written")
    click.echo("every chain is whole")


# ── looking ───────────────────────────────────────────────────────────────────────


@cli.command()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def config(output: str) -> None:
    """List every setting, with its present value; secrets are masked."""
    from pydantic import SecretStr

    from kyc_service.settings import Settings

    present = _settings()
    rows = []
    for name, field in Settings.model_fields.items():
        value: Any = getattr(present, name)
        shown = "***" if isinstance(value, SecretStr) else "" if value is None else str(value)
        if isinstance(value, tuple):
            shown = ",".join(str(part) for part in value)
        rows.append({"name": f"KYC_{name.upper()}", "value": shown, "description": field.description or ""})
    if output == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']:<28} {row['value'] or '-':<32} {row['description']}")


@cli.command()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def doctor(output: str) -> None:
    """Look at everything that the service needs, and say how to mend what is missing.

    Exits with 0 when all is well, 3 with warnings, 1 when something is broken.
    """
    from kyc_service.cli.doctor import examine

    findings = asyncio.run(examine(_settings()))
    if output == "json":
        click.echo(json.dumps([finding.shown() for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.state:<5} {finding.what:<14} {finding.why}")
            if finding.cure:
                click.echo(f"      {'':<14} → {finding.cure}")
    states = {finding.state for finding in findings}
    sys.exit(1 if "fail" in states else 3 if "warn" in states else 0)


# ── shared ────────────────────────────────────────────────────────────────────────


def _settings() -> "Settings":
    """The settings, or one line per mistake in them."""
    from pydantic import ValidationError

    from kyc_service.log import configure
    from kyc_service.settings import Settings

    try:
        settings = Settings()
    except ValidationError as error:
        wrong = [f"KYC_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors(include_input=False)]
        raise click.UsageError("\n".join(wrong)) from None
    configure(settings)
    return settings


def _refuse(settings: "Settings") -> None:
    from kyc_service.bootstrap import SettingsRefused, refusals

    if sentences := refusals(settings):
        raise SettingsRefused("\n".join(sentences))


def _with_app(work: "Work") -> None:
    """Run *work* with a whole app."""
    from kyc_service.bootstrap import build

    settings = _settings()

    async def whole() -> None:
        async with build(settings) as app:
            await work(app)

    asyncio.run(whole())


if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[App], Coroutine[Any, Any, None]]

if __name__ == "__main__":
    main()
