"""`kyc keys`: the root keys, under which everything that can be read is wrapped."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kyc_service.cli.faults import Failure, with_app

if TYPE_CHECKING:
    from kyc_service.bootstrap import App
    from kyc_service.privacy.rotation import Rotation

STEPS = ("add", "rewrap", "retire")
ROUNDS = 5  # a process that has not read the new file yet may store one more key under the old root


@click.group()
def keys() -> None:
    """Make the key ring, without which no personal data can be read, and rotate it.

    Example: kyc keys init /etc/kyc/ring.json
    """


@keys.command("init")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def keys_init(file: Path) -> None:
    """Make a new key ring at FILE, readable by its owner alone; a file that is there already stays.

    Keep copies of it apart from those of the database: who has both can read everything, and who has lost it can
    read nothing any more.

    Example: kyc keys init /etc/kyc/ring.json
    """
    from kyc_service.privacy.keyfile import KeyRing

    KeyRing.create(file)
    click.echo(f"kyc: made {file}; name it in KYC_KEY_FILE and keep a copy in a safe place", err=True)


@keys.command("status")
def keys_status() -> None:
    """Tell which root keys there are, and how many tenant keys each of them wraps.

    Exits with 1 if the key file lacks one that is needed: then data cannot be read with it.

    Example: kyc keys status
    """
    with_app(_status)


async def _status(app: "App") -> None:
    from kyc_service.bootstrap import key_file
    from kyc_service.privacy.rotation import Rotation
    from kyc_service.store.keys import roots

    path = key_file(app.settings)
    async with roots(app.database, alone=False) as store:
        found = await Rotation(path, store).look()
    click.echo(f"{path}: new tenant keys go under root key {found.newest}")
    for version in sorted({*found.in_file, *found.wrapped, *found.retired}):
        place = "retired" if version in found.retired else "in use"
        file = "in the key file" if version in found.in_file else "not in the key file"
        click.echo(f"root key {version}: {place}, {file}, wraps {found.wrapped.get(version, 0)} tenant keys")
    if found.missing:
        raise Failure(f"The key file lacks root keys that wrap tenant keys: {', '.join(map(str, found.missing))}.")
    if found.unfinished:
        click.echo("a rotation is unfinished: `kyc keys rotate` takes it up")


@keys.command("rotate")
@click.option("--only", type=click.Choice(STEPS), help="One step, for a key file that several machines have copies of.")
def keys_rotate(*, only: str | None) -> None:
    """Put a new root key in the place of the old one, while the service runs.

    Three steps: add a root key to the key file, wrap every tenant key again under it, retire the old root key. Run it
    again after an interruption: it goes on where it was. Afterwards the old root key opens backups of the database from
    before, and nothing else: keep a copy of the old key file for as long as you keep them.

    Where machines have copies of the key file, run `--only add`, copy the file to all of them, run `--only rewrap` and
    `--only retire`, and copy it again.

    Example: kyc keys rotate
    """
    with_app(lambda app: _rotate(app, STEPS if only is None else (only,)))


async def _rotate(app: "App", steps: tuple[str, ...]) -> None:
    from kyc_service.bootstrap import key_file
    from kyc_service.privacy.rotation import Rotation
    from kyc_service.store.keys import RotationRunning, roots

    try:
        async with roots(app.database, alone=True) as store:
            rotation = Rotation(key_file(app.settings), store)
            if "add" in steps:
                added = await rotation.add()
                click.echo(f"added root key {added}" if added else "a rotation was unfinished: going on with it")
            if "rewrap" in steps:
                click.echo(f"wrapped {await rotation.rewrap()} tenant keys again")
            if "retire" in steps:
                await _retire(rotation, again="rewrap" in steps)
    except RotationRunning as error:
        raise Failure(str(error)) from error


async def _retire(rotation: "Rotation", *, again: bool) -> None:
    from kyc_service.privacy.rotation import RootInUse

    for left in reversed(range(ROUNDS if again else 1)):
        try:
            retired = await rotation.retire()
        except RootInUse:
            if not left:
                raise
            click.echo(f"wrapped {await rotation.rewrap()} more")
        else:
            click.echo(f"retired root key {', '.join(map(str, retired))}" if retired else "no root key to retire")
            return
