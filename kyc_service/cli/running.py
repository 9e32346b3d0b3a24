"""`kyc serve`, `kyc worker`, `kyc relay`, `kyc migrate`: the processes of the service."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from kyc_service.cli.faults import Failure, present_settings, refuse, with_app

if TYPE_CHECKING:
    from kyc_service.bootstrap import App
    from kyc_service.settings import Settings

GRACE = 25  # seconds in which requests may finish; a container is given 30
STOPPING = (signal.SIGTERM, signal.SIGINT)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8180, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--reload", is_flag=True, help="Start again when the code changes.")
@click.option("--worker/--no-worker", default=None, help="Also work off the orders (default: in development).")
def serve(*, host: str, port: int, reload: bool, worker: bool | None) -> None:
    """Serve the HTTP API, and in development work off the orders as well.

    Without any setting it brings its own PostgreSQL, keys and tokens. SIGTERM lets requests finish.

    Example: kyc serve --host 0.0.0.0 --no-worker
    """
    if worker is not None:
        os.environ["KYC_INLINE_WORKER"] = str(worker).lower()  # in the environment, where a reloaded process reads it
    settings = present_settings()
    refuse(settings)
    with _listening(host, port) as listener:
        if not reload:
            asyncio.run(_serve(settings, listener))
            return
    _serve_and_reload(settings, host, port)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """The port, taken before anything else is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise Failure(f"Port {port} of {host} cannot be served: {error.strerror}. Try --port.") from error
        yield listener


async def _serve(settings: "Settings", listener: socket.socket) -> None:
    """Serve until a signal. The app is built here, because the server would answer a fault of it with a traceback."""
    import uvicorn

    from kyc_service.api.main import create_app
    from kyc_service.api.metrics import measured

    async with measured(settings) as app:
        config = uvicorn.Config(
            create_app(settings, build=lambda _: nullcontext(app)),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        server = uvicorn.Server(config)
        # When it has stopped, uvicorn raises the signal once more for the handler that was there before its own.
        for name in STOPPING:
            signal.signal(name, lambda *_: None)
        click.echo(f"kyc: serving on {_address(listener)}, with the documentation at /docs", err=True)
        await server.serve(sockets=[listener])


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _serve_and_reload(settings: "Settings", host: str, port: int) -> None:
    """Serve in a child process that is replaced when the code changes; the embedded database stays meanwhile."""
    import uvicorn

    import kyc_service
    from kyc_service.cli.schema import meet
    from kyc_service.store.database import dsn

    with dsn(settings) as target:
        meet(target)
        click.echo(f"kyc: serving on http://{host}:{port}, again whenever the code changes", err=True)
        uvicorn.run(
            "kyc_service.api.main:app",
            host=host,
            port=port,
            reload=True,
            reload_dirs=list(kyc_service.__path__),
            access_log=False,
            server_header=False,
            log_level="warning",
            timeout_graceful_shutdown=GRACE,
        )


@click.command()
def worker() -> None:
    """Work off the orders: checks, retries, compensations, timeouts.

    Any number of workers may run, on any number of machines. The first SIGTERM lets it finish what it holds, a second
    one gives that to another worker.

    Example: kyc worker
    """
    with_app(_work, lasting=True)


async def _work(app: "App") -> None:
    working = asyncio.create_task(app.worker.run(), name="worker")
    asked = 0

    def stop() -> None:
        nonlocal asked
        asked += 1
        app.worker.stop()
        if asked > 1:
            working.cancel()

    loop = asyncio.get_running_loop()
    for name in STOPPING:
        loop.add_signal_handler(name, stop)
    beside = [asyncio.create_task(work) for work in (app.bells.listen(), app.bells.carry(), app.watch.run())]
    click.echo(f"kyc: working on up to {app.settings.worker_concurrency} orders at a time", err=True)
    await asyncio.wait([working])
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    if not working.cancelled():
        working.result()


@click.command()
def relay() -> None:
    """Tell the brokers of KYC_EVENT_BROKER_URL what the log says, in order, and never leave anything out.

    Any number of relays may run: one at a time tells a broker, and another takes over within seconds when it dies.

    Example: kyc relay
    """
    with_app(_relay, lasting=True)


async def _relay(app: "App") -> None:
    from kyc_service.store.bells import LOG

    if not app.relays:
        raise Failure("There is no broker to tell: set KYC_EVENT_BROKER_URL.")
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in STOPPING:
        loop.add_signal_handler(name, stopped.set)
    tasks = [asyncio.create_task(relay.run(), name=f"relay to {relay.name}") for relay in app.relays]
    tasks.append(asyncio.create_task(app.bells.listen(LOG), name="listen to the bell of the log"))
    click.echo(f"kyc: telling {', '.join(relay.name for relay in app.relays)}", err=True)
    await stopped.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@click.command()
def inbox() -> None:
    """Take commands from the brokers of KYC_EVENT_BROKER_URL: submissions and amendments by message.

    Any number of them may run. SIGTERM lets it finish what it holds; what it is killed with is delivered again and is
    not done twice. docs/commands.md has the messages.

    Example: kyc inbox
    """
    with_app(_inbox, lasting=True)


async def _inbox(app: "App") -> None:
    from kyc_service.api.mailbox import intakes_of

    intakes = intakes_of(app)
    if not intakes:
        raise Failure("There is no broker to take commands from: set KYC_EVENT_BROKER_URL.")

    def stop() -> None:
        for intake in intakes:
            intake.stop()

    loop = asyncio.get_running_loop()
    for name in STOPPING:
        loop.add_signal_handler(name, stop)
    carrying = asyncio.create_task(app.bells.carry(), name="carry the bells")
    click.echo(f"kyc: taking commands from {', '.join(broker.name for broker in app.brokers)}", err=True)
    await asyncio.gather(*(intake.run() for intake in intakes))
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)


@click.command()
@click.option("--revision", default="head", show_default=True, help="The revision to go up to.")
def migrate(revision: str) -> None:
    """Bring the database to a revision. It does no harm to run it several times, or several at once.

    `alembic upgrade head` does the same.

    Example: kyc migrate
    """
    from kyc_service.store import database

    with database.dsn(present_settings()) as target:
        database.migrate(target, revision)
    click.echo(f"kyc: the database is at {revision}", err=True)
