"""`kyc config`, `kyc doctor`: what is set, and whether it works."""

import asyncio
import json

import click

from kyc_service.cli.faults import present_settings

output = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print it.",
)


@click.command()
@output
def config(output: str) -> None:
    """List every setting: what it is for, its default and its present value. Secrets are masked.

    Settings come from the environment, from files that KYC_…_FILE names, and from `.env`, in this order.

    Example: kyc config -o json
    """
    from kyc_service.cli.settings_list import listed

    rows = listed(present_settings())
    if output == "json":
        click.echo(json.dumps([row.shown() for row in rows], indent=2))
        return
    for row in rows:
        changed = "" if row.value == row.default else f"  (default: {row.default or 'none'})"
        click.echo(f"{row.name:<28} {row.value or '-'}{changed}")
        click.echo(f"{'':<28} {row.description}")


@click.command()
@output
def doctor(output: str) -> None:
    """Look at everything that the service needs, and say how to mend what is missing.

    Exits with 0 when all is well, with 3 when there are warnings, and with 1 when something is broken.

    Example: kyc doctor -o json
    """
    from kyc_service.cli.doctor import examine

    findings = asyncio.run(examine())
    if output == "json":
        click.echo(json.dumps([finding.shown() for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.state:<5} {finding.what:<12} {finding.why}")
            if finding.cure:
                click.echo(f"{'':<18} → {finding.cure}")
    states = {finding.state for finding in findings}
    raise click.exceptions.Exit(1 if "fail" in states else 3 if "warn" in states else 0)
