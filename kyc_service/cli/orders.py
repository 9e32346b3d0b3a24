"""`kyc orders`: work that is stuck, and another try."""

import json
from typing import TYPE_CHECKING
from uuid import UUID

import click

from kyc_service.cli.faults import Failure, with_app
from kyc_service.cli.looking import output

if TYPE_CHECKING:
    from kyc_service.bootstrap import App


@click.group()
def orders() -> None:
    """Look at work that is stuck, and have it tried again.

    Example: kyc orders list
    """


@orders.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="How many at the most.")
@output
def list_orders(limit: int, output: str) -> None:
    """List the orders that were given up, that fail, or that nobody takes although they are due.

    Example: kyc orders list -o json
    """
    with_app(lambda app: _list(app, limit, output))


async def _list(app: "App", limit: int, output: str) -> None:
    from kyc_service.store.stuck import stuck

    found = await stuck(app.database, limit)
    if output == "json":
        click.echo(json.dumps([one.shown() for one in found], indent=2))
        return
    for one in found:
        due = one.due_at.isoformat(timespec="seconds")
        click.echo(f"{one.state:<8} {one.id}  {one.kind:<18} {one.error or '-'}")
        click.echo(f"{'':<8} application {one.application} of {one.tenant}, {one.failures} failures, due {due}")
    if not found:
        click.echo("no order needs attention")


@orders.command("retry")
@click.argument("order", type=click.UUID)
def retry_order(order: UUID) -> None:
    """Have ORDER tried at once, with all its retries, as soon as a worker is there.

    Example: kyc orders retry 018f3c1e-6f1b-5c3a-9d2e-5b8a4f6c7d10
    """
    with_app(lambda app: _retry(app, order))


async def _retry(app: "App", order: UUID) -> None:
    from kyc_service.store.stuck import retry

    if not await retry(app.database, order):
        raise Failure(f"There is no open order {order}, or a worker holds it at the moment.")
    click.echo(f"kyc: order {order} is due now", err=True)
