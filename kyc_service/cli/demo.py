"""`kyc demo`: a whole service on this machine, and a client that walks applications through it.

The service is a process of its own, as in production; the demo is a client like any other and knows only its API.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from kyc_service.cli.faults import Failure

KYC = (sys.executable, "-m", "kyc_service.cli.main")
TENANT = "sandbox"
START = 90.0  # seconds in which everything must have started
# What of the user's settings also holds for the demo. Neither their database nor their keys nor their buckets do.
PASSED_ON = ("KYC_PG_BIN", "KYC_PG_USER", "KYC_MAX_RETRIES", "KYC_SANDBOX_ROUTE", "KYC_DOCUMENT_ROUTE")
QUICK = {"KYC_RETRY_BASE_SECONDS": "0.2", "KYC_ENGINE_WORKERS": "1"}


@click.command()
@click.option("--ci", is_flag=True, help="Plain lines and no live display, also on a terminal.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Where the API is; by default any free port.")
@click.option("--keep", is_flag=True, help="Keep the demo's data and pictures, and say where they are.")
def demo(*, ci: bool, port: int, keep: bool) -> None:
    """Watch applications walk through a whole service on this machine, event by event.

    Everything is embedded, nothing leaves the machine, and all of it is removed in the end. It exits with 1 if any
    application ends otherwise than it should.

    Example: kyc demo --keep
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is also ended
    raise click.exceptions.Exit(_run(live=not ci and sys.stdout.isatty(), port=port or _free_port(), keep=keep))


def _run(*, live: bool, port: int, keep: bool) -> int:
    """Every walk; the exit code."""
    import httpx2
    from crowdpy_auth import CrowdPayAuth

    from kyc_service.cli.stage import Stage
    from kyc_service.cli.walks import WALKS, DemoFailed, Visitor

    stage = Stage(live=live)
    stage.say("CrowdPay Connect KYC: a demonstration, with everything embedded. Nothing leaves this machine.", "bold")
    home = Path(tempfile.mkdtemp(prefix="kyc-demo-"))
    try:
        pictures = home / "specimens"
        pictures.mkdir()
        environment = _environment(home)
        began = time.monotonic()
        with _service(home, environment, port) as url:
            stage.say(f"PostgreSQL, API and worker started within {time.monotonic() - began:.1f} s: {url}/docs")
            stage.say(f"The pictures are SPECIMENS of persons who do not exist, drawn by this project: {pictures}")
            auth = CrowdPayAuth(token=_token(home, environment))
            with httpx2.Client(base_url=f"{url}/v1/kyc", auth=auth, timeout=30) as http:
                visitor = Visitor(http, stage, pictures)
                walked = [visitor.walk(number, walk) for number, walk in enumerate(WALKS, start=1)]
    except (DemoFailed, httpx2.HTTPError) as error:
        raise Failure(f"The demo stopped. {str(error) or type(error).__name__}") from error
    finally:
        if not keep:
            _remove(home)
    rows = [
        (one.as_expected, (one.walk.title, one.walk.expected.words, one.ended.words, f"{one.seconds:.1f}"))
        for one in walked
    ]
    stage.table(("application", "must end", "ended", "seconds"), rows)
    wrong = sum(not one.as_expected for one in walked)
    if wrong:
        stage.say(f"{wrong} of {len(walked)} ended otherwise than they must.", "bold red")
    for line in _next_steps(home if keep else None):
        stage.say(line)
    return 1 if wrong else 0


def _next_steps(kept: Path | None) -> Sequence[str]:
    found = [
        "",
        "Next:",
        "  make run                                     serves it on http://localhost:8180, with the API at /docs",
        "  export ACCESS_TOKEN=$(.venv/bin/kyc token)   a token for that",
        "  .venv/bin/python examples/client.py          a client in fifty lines",
    ]
    if kept:
        found += ["", f"Kept: {kept}", f"  KYC_STATE_DIR={kept} .venv/bin/kyc serve   goes on with it"]
    return found


def _environment(home: Path) -> Mapping[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("KYC_") or name in PASSED_ON}
    return {**ours, **QUICK, "KYC_STATE_DIR": str(home)}


def _token(home: Path, environment: Mapping[str, str]) -> str:
    """A development token, made by `kyc token` as anybody would."""
    command = [
        *KYC,
        "token",
        "--tenant",
        TENANT,
        "--role",
        "submitter",
        "--role",
        "auditor",
        "--role",
        "compliance",
        "--subject",
        "demo",
    ]
    made = subprocess.run(  # noqa: S603 - our own command, and nothing of anybody else's in it
        command, env=environment, cwd=home, capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise Failure(made.stderr or "There is no token.")
    return made.stdout.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _service(home: Path, environment: Mapping[str, str], port: int) -> Iterator[str]:
    """A whole service in a process of its own, until the end of the context; where it answers."""
    log = home / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - as above
            [*KYC, "serve", "--port", str(port)],
            env=environment,
            cwd=home,  # where no .env of the user's is
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import httpx2

    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("kyc: ")]
            raise Failure("\n".join(line.removeprefix("kyc: ") for line in said) or "The service did not start.")
        with suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/readyz").is_success:
                return
        time.sleep(0.05)
    raise Failure(f"The service did not become ready within {START:.0f} s.")


def _remove(home: Path) -> None:
    from kyc_service.store.embedded import discard
    from kyc_service.store.pg_cluster import EmbeddedServerUnavailable

    with suppress(EmbeddedServerUnavailable):  # then there is none, or somebody else uses it
        discard(home)
    shutil.rmtree(home, ignore_errors=True)
