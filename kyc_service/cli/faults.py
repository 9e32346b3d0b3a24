"""Faults that can be foreseen, in one line each; anything else keeps its traceback."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

import click
import psycopg
from alembic.util import CommandError
from pydantic import ValidationError

from kyc_service.access.development import DevelopmentKeyRefused
from kyc_service.access.jwks import KeyAddressRefused
from kyc_service.access.policy import PolicyRefused
from kyc_service.access.principal import AuthError
from kyc_service.api.metrics import MetricsUnservable, measured
from kyc_service.application.ports import StoreUnavailable
from kyc_service.application.watchlists import VersionRefused
from kyc_service.bootstrap import App, SettingsRefused, build, refusals
from kyc_service.cli.schema import meet
from kyc_service.collector import collecting_rarely
from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.log import configure, redact
from kyc_service.privacy.sealing import PrivacyError
from kyc_service.screening.lists.sources import SourceUnknown, TokenMissing
from kyc_service.settings import Settings
from kyc_service.store.pg_cluster import EmbeddedServerUnavailable

# Their own words are meant for an operator; an empty one is told by its docstring.
OUTSPOKEN = (
    CommandError,
    DevelopmentKeyRefused,
    EmbeddedServerUnavailable,
    EngineNotInstalled,
    KeyAddressRefused,
    MetricsUnservable,
    PolicyRefused,
    PrivacyError,
    SourceUnknown,
    TokenMissing,
    VersionRefused,
)


class Failure(click.ClickException):
    """Why a command could not do its work: one line for each thing that is wrong."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Say it, without anything secret that a foreign error may have quoted."""
        for line in self.message.splitlines():
            said = redact(None, "error", {"event": line})["event"]
            click.echo(f"kyc: {said}", err=True, file=file)


class Refused(Failure):
    """The settings cannot be used."""

    exit_code = 2


def failure_of(error: Exception) -> Failure | None:
    """What to tell the operator, or None for a fault of our own."""
    sentence: str | None = None
    match error:
        case SettingsRefused():
            return Refused(str(error))
        case StoreUnavailable():
            sentence = "The database does not answer; `kyc doctor` tells more."
        case psycopg.OperationalError():
            sentence = f"The database cannot be used: {_first_line(str(error))}"
        case AuthError():
            sentence = f"The service would not accept such a token: {error.code}."
        case _ if isinstance(error, OUTSPOKEN):
            sentence = _first_line(str(error) or type(error).__doc__ or type(error).__name__)
        case _:
            pass
    return Failure(sentence) if sentence else None


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0]


def present_settings() -> Settings:
    """The settings as the environment gives them, with the log set up after them.

    Raises:
        Failure: some of them cannot be used; one line each, without the value.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = [f"KYC_{_place(one['loc'])}: {one['msg']}" for one in error.errors(include_input=False)]
        raise Refused("\n".join(wrong)) from None
    except OSError as error:
        raise Refused(f"A KYC_…_FILE cannot be read: {error.strerror}: {error.filename}") from error
    configure(settings)
    return settings


def _place(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper() if location else "…"


def refuse(settings: Settings) -> None:
    """Before anything is opened, so that an operator reads every sentence at once.

    Raises:
        SettingsRefused: production was asked for with development defaults.
        Failure: production was asked for on a database that was never migrated.
    """
    if sentences := refusals(settings):
        raise SettingsRefused("\n".join(sentences))
    if settings.production and settings.db_dsn and meet(settings.db_dsn.get_secret_value()).revision is None:
        # Production migrates nothing by itself, and the missing roles would look like an outage.
        raise Failure("The database has none of our tables yet: run `kyc migrate`.")


def with_app(work: Callable[[App], Coroutine[Any, Any, None]], *, lasting: bool = False) -> None:
    """Run *work* with a whole app, which is taken apart afterwards; *lasting* work also serves its metrics."""
    settings = present_settings()
    refuse(settings)

    async def whole() -> None:
        async with measured(settings) if lasting else build(settings) as app:
            with collecting_rarely() if lasting else nullcontext():
                await work(app)

    if lasting:
        import uvloop  # as uvicorn does: a tenth less processor time

        uvloop.run(whole())
    else:
        asyncio.run(whole())
