"""`kyc documents`: the document engine by itself, without a service around it."""

import asyncio
import json
from pathlib import Path

import click

PICTURE = click.Path(exists=True, dir_okay=False, path_type=Path)
as_json = click.option("--json", "machine", is_flag=True, help="One JSON object per line, for a machine.")


@click.group(context_settings={"max_content_width": 100})
def documents() -> None:
    """Read identity documents, compare faces, draw specimens. Nothing leaves this machine, and nothing is kept.

    Example: kyc documents read passport.jpg
    """


@documents.command()
@click.argument("pictures", metavar="FILE…", nargs=-1, required=True, type=PICTURE)
@as_json
@click.option("--overlay", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Draw what was found.")
def read(pictures: tuple[Path, ...], *, machine: bool, overlay: Path | None) -> None:
    """What stands on identity documents: their zone, their fields, and what is wrong with them.

    Fields and checks have the shape that the service itself decides on. Exits with 1 when a file is no picture.

    Example: kyc documents read front.jpg back.jpg --json
    """
    from kyc_service.cli.document_reports import overlaid, read_all, spoken

    if overlay and len(pictures) != 1:
        raise click.BadParameter("one picture at a time can be drawn on", param_hint="--overlay")
    reports = asyncio.run(read_all(pictures))
    for report in reports:
        click.echo(json.dumps(report.shown(), ensure_ascii=False) if machine else spoken(report))
    if overlay and not reports[0].reading.refused:
        overlay.write_bytes(overlaid(pictures[0], reports[0].reading))
    raise click.exceptions.Exit(1 if any(report.reading.refused for report in reports) else 0)


@documents.command()
@click.argument("one", metavar="A", type=PICTURE)
@click.argument("other", metavar="B", type=PICTURE)
@as_json
def match(one: Path, other: Path, *, machine: bool) -> None:
    """Whether the largest faces of two pictures are of one person, as far as a comparison can tell.

    Prints the cosine of the angle between the two descriptions and the band it falls into: match, unclear or mismatch.
    The descriptions are biometric data; they are forgotten as soon as they were compared. Exits with 1 when a picture
    shows no face.

    Example: kyc documents match passport.jpg selfie.jpg --json
    """
    from kyc_service.cli.document_reports import compared

    likeness = asyncio.run(compared(one, other))
    if machine:
        click.echo(json.dumps({"cosine": likeness.cosine, "band": likeness.band.value}))
    else:
        click.echo(f"{likeness.band.value} (cosine {likeness.cosine:.3f})")


@documents.command()
@click.argument("out", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--format", "kind", default="TD3", show_default=True, help="TD1, TD2, TD3, MRVA, MRVB, FRENCH_ID …")
@click.option("--country", default="UTO", show_default=True, help="The issuer, as a zone spells it: NLD, D, GBD.")
@click.option("--surname", default="Eriksson", show_default=True, help="family name of the holder")
@click.option("--given-names", default="Anna Maria", show_default=True, help="given names of the holder")
@click.option("--number", default="L898902C3", show_default=True, help="number of the document")
@click.option(
    "--birth", type=click.DateTime(["%Y-%m-%d"]), default="1974-08-12", show_default=True, help="date of birth"
)
@click.option(
    "--expiry",
    type=click.DateTime(["%Y-%m-%d"]),
    default="2034-04-15",
    show_default=True,
    help="last day on which it is valid",
)
@click.option(
    "--sex",
    type=click.Choice(["F", "M", "X"]),
    default="F",
    show_default=True,
    help="sex of the holder; X: unspecified",
)
def specimen(out: Path, kind: str, **particulars: object) -> None:
    """Draw the document of somebody who does not exist, marked SPECIMEN, as a JPEG picture.

    Example: kyc documents specimen passport.jpg --country NLD --surname "de Vries"
    """
    from kyc_service.cli.document_reports import drawn

    out.write_bytes(drawn(kind, particulars))
