"""`kyc rebuild`, `kyc audit`: evidence that what is stored is what happened."""

from typing import TYPE_CHECKING
from uuid import UUID

import click

from kyc_service.cli.faults import Failure, with_app

if TYPE_CHECKING:
    from kyc_service.bootstrap import App
    from kyc_service.domain.application import Sealed


@click.command()
@click.option("--check-only", is_flag=True, help="Compare, and change nothing.")
def rebuild(*, check_only: bool) -> None:
    """Fold the log again, and prove that every snapshot equals it; what does not is put right.

    It may run while the service does. Whatever differed is printed, and the exit code is then 1, also when it was put
    right: a snapshot that is not what the log says is worth knowing about.

    Example: kyc rebuild --check-only
    """
    with_app(lambda app: _rebuild(app, write=not check_only))


async def _rebuild(app: "App", *, write: bool) -> None:
    from kyc_service.privacy.sealing import PrivacyError
    from kyc_service.store import rebuild as folding

    async def index(tenant: str, user: UUID, stream: UUID, sealed: "Sealed") -> bytes | None:
        try:
            person = await app.people.open(tenant, user, stream, sealed)
        except PrivacyError as error:
            raise folding.NotReadable from error
        return app.people.index(tenant, str(person["email"])) if person else None

    rebuilt = await folding.rebuild(app.database, index, write=write)
    for difference in rebuilt.differing:
        mended = ", and was put right" if difference.mended else ""
        click.echo(f"{difference.stream}  {difference.what}{mended}")
    click.echo(f"{rebuilt.applications} applications, folded from {rebuilt.events} events")
    if rebuilt.differing:
        raise Failure(f"{len(rebuilt.differing)} of the snapshots were not what the log says.")
    click.echo("every snapshot equals its log")


@click.group()
def audit() -> None:
    """Prove that nobody has changed the past.

    Example: kyc audit verify
    """


@audit.command("verify")
def audit_verify() -> None:
    """Compute every hash of every chain again, outside the database, and look for gaps.

    Exits with 1 and names the place where a chain does not hold.

    Example: kyc audit verify
    """
    with_app(_audit)


async def _audit(app: "App") -> None:
    from kyc_service.store.audit import verify

    found = await verify(app.database)
    for broken in found.breaks:
        click.echo(f"{broken.stream}  version {broken.version}: {broken.what}")
    click.echo(f"{found.streams} chains, {found.events} events")
    if found.breaks:
        raise Failure(f"The log is not what was written: {len(found.breaks)} break(s).")
    click.echo("every chain is whole")
