"""`kyc token`: what lets a developer in."""

import re
from datetime import timedelta

import click

from kyc_service.cli.faults import present_settings

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = timedelta(days=365)


def lifetime(ctx: click.Context, option: click.Parameter, value: str) -> timedelta:
    """What a number and a unit mean: 90s, 30m, 8h, 7d."""
    del ctx, option
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", value)
    meant = timedelta(seconds=int(found[1]) * UNITS[found[2]]) if found else None
    if meant is None or meant > LONGEST:
        raise click.BadParameter("a number and one of s, m, h, d, for example 8h, and at most a year")
    return meant


@click.command()
@click.option("--tenant", default="sandbox", show_default=True, help="The tenant that it is for.")
@click.option("--role", "roles", multiple=True, default=("submitter",), show_default=True, help="May be repeated.")
@click.option("--subject", default="developer", show_default=True, help="Whose actions the log will tell of.")
@click.option("--client", default="kyc-cli", show_default=True, help="The client that acts for the subject.")
@click.option("--ttl", default="1h", show_default=True, callback=lifetime, help="How long it is valid: 30m, 8h, 7d.")
def token(*, tenant: str, roles: tuple[str, ...], subject: str, client: str, ttl: timedelta) -> None:
    """Print a development token, and nothing else. Production does not accept it, and refuses to make one.

    The roles are those of kyc_service/access/policies/data.json: submitter, reader, reviewer, auditor,
    subscriber.

    Example: export ACCESS_TOKEN=$(kyc token --role submitter --role reviewer)
    """
    from kyc_service.access.development import DevelopmentIssuer

    click.echo(DevelopmentIssuer(present_settings()).issue(tenant, roles, subject, client, ttl))
