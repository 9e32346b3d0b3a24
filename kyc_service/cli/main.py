"""`kyc`: everything that an operator or a newcomer does from a terminal.

Results go to standard output, everything else to standard error. A fault that can be foreseen is one line and a
non-zero exit: 1 failed, 2 wrong usage or refused settings, 3 `kyc doctor` has warnings, 130 interrupted.
"""

import errno
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TypeAlias

import click

# Name → where the command is, and what it does. A command is imported when it is called, so that `kyc --help` is fast.
Table: TypeAlias = Mapping[str, tuple[str, str]]
COMMANDS: Table = {
    "demo": ("demo:demo", "Watch applications walk through a whole service on this machine."),
    "serve": ("running:serve", "Serve the HTTP API."),
    "worker": ("running:worker", "Work off the orders: checks, retries, compensations, timeouts."),
    "relay": ("running:relay", "Tell the brokers what the log says."),
    "inbox": ("running:inbox", "Take commands from the brokers: submissions and amendments by message."),
    "migrate": ("running:migrate", "Bring the database to a revision."),
    "token": ("tokens:token", "Print a development token, and nothing else."),
    "keys": ("keyring:keys", "Make the key ring, without which no personal data can be read, and rotate it."),
    "screen": ("screening:screen", "Look for people, organisations and vessels on the lists."),
    "lists": ("lists:lists", "Bring sanctions and PEP lists up to date, and release what was held back."),
    "rebuild": ("proving:rebuild", "Fold the log again, and prove that every snapshot equals it."),
    "audit": ("proving:audit", "Prove that nobody has changed the past."),
    "orders": ("orders:orders", "Look at work that is stuck, and have it tried again."),
    "documents": ("documents:documents", "Read identity documents, compare faces, draw specimens."),
    "config": ("looking:config", "List every setting: its default and its present value."),
    "doctor": ("looking:doctor", "Look at everything that the service needs, and say how to mend it."),
}


class Commands(click.Group):
    """The commands of `COMMANDS`, and the sentences for whatever can be foreseen to go wrong in them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: that of a newcomer's first day."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported by now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"kyc_service.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Carry the command out; a fault of our own keeps its traceback."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            from kyc_service.cli.faults import failure_of

            failure = failure_of(error)
            if failure is None:
                raise
            raise failure from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="kyc-service")
def cli() -> None:
    """The CrowdPay Connect KYC service: verify people, from a terminal.

    A newcomer starts with `kyc demo`. `kyc serve` serves the API on port 8180, and `kyc token` gives a token for it.
    Every command explains itself.

    Example: kyc serve --help
    """


def main() -> None:
    """The console script."""
    try:
        code = cli.main(prog_name="kyc", standalone_mode=False)
    except click.Abort:
        click.echo("kyc: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise
        sys.stdout = None  # whoever read our output has left; there is nobody to flush to
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
