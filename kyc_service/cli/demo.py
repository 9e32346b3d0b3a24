"""`kyc demo`: a whole service on this machine, and a client that walks applications through it.

The service is a process of its own, as in production; the demo is a client like any other and knows only its API.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
from crowdpy_auth import CrowdPayAuth
from rich.console import Console
from rich.table import Table

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.documents.specimen import degraded, draw, traveller
from kyc_service.domain.record import record
from kyc_service.settings import Settings
from kyc_service.store.embedded import discard
from kyc_service.vendors.simulated import Magic, magic_file_id

PATIENCE = 60.0  # seconds for one walk
TENANT = "sandbox"
COLOURS = {"VERIFIED": "green", "REJECTED": "red", "ROLLED_BACK": "yellow"}


class DemoFailed(Exception):
    """The demo could not go on; the message says why."""


@record
class Walk:
    """One application from submission to its end, and how that end must look."""

    title: str
    expected: str
    published: str
    documents: Callable[["Visitor"], Sequence[Mapping[str, object]]]
    better: Callable[["Visitor"], Sequence[Mapping[str, object]]] | None = None
    compensated: int = 0  # how many steps must have been undone


@record
class Outcome:
    """How a walk ended."""

    walk: Walk
    status: str
    published: tuple[str, ...]
    compensated: int
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Whether it ended as it should, and told the world so."""
        return (
            self.status == self.walk.expected
            and self.published[:1] == ("KYC_CREATED",)
            and self.published[-1:] == (self.walk.published,)
            and self.compensated == self.walk.compensated
        )


PERSON = {"given_names": "Anna Maria", "family_name": "Eriksson", "birth_date": "1974-08-12"}
GOOD = traveller(issuer="NLD")
EXPIRED = traveller(issuer="NLD", expiry=date(2020, 4, 15))


def announced(file_id: str) -> Mapping[str, object]:
    """A passport whose picture is *file_id*."""
    return {"doc_type": "PASSPORT", "file_id": file_id, "issued_country": "NL"}


def simulated(magic: Magic) -> Callable[["Visitor"], Sequence[Mapping[str, object]]]:
    """A document that nobody uploaded, which makes the simulated vendors do what *magic* says."""
    return lambda _: [announced(str(magic_file_id(magic)))]


WALKS = (
    Walk(
        title="A passport is read from its picture",
        expected="VERIFIED",
        published="KYC_VERIFIED",
        documents=lambda visitor: [visitor.upload("passport.jpg", draw(GOOD))],
    ),
    Walk(
        title="A passport that has expired",
        expected="REJECTED",
        published="KYC_REJECTED",
        documents=lambda visitor: [visitor.upload("expired.jpg", draw(EXPIRED))],
    ),
    Walk(
        title="A picture nobody can read, and then a better one",
        expected="VERIFIED",
        published="KYC_VERIFIED",
        documents=lambda visitor: [visitor.upload("blurred.jpg", degraded(draw(GOOD)))],
        better=lambda visitor: [visitor.upload("better.jpg", draw(GOOD))],
    ),
    Walk(
        title="Every vendor of the route is down (SIMULATED)",
        expected="ROLLED_BACK",
        published="KYC_ROLLBACK",
        documents=simulated(Magic.EVERY_VENDOR_DOWN),
        compensated=3,
    ),
    Walk(
        title="The first vendor is down, the standby helps out (SIMULATED)",
        expected="VERIFIED",
        published="KYC_VERIFIED",
        documents=simulated(Magic.FIRST_VENDOR_DOWN),
    ),
    Walk(
        title="A document that was never uploaded (SIMULATED: nobody looks at anything)",
        expected="VERIFIED",
        published="KYC_VERIFIED",
        documents=simulated(Magic.VERIFIED),
    ),
)


def run(*, live: bool, keep: bool) -> int:
    """Walk every walk; the exit code."""
    console = Console(force_terminal=None if live else False, highlight=False, width=None if live else 110)
    home = Path(tempfile.mkdtemp(prefix="kyc-demo-"))
    pictures = home / "specimens"
    pictures.mkdir()
    try:
        console.print(
            "[bold]CrowdPay Connect KYC: the demo[/]  (embedded PostgreSQL, sandbox tenant, nothing leaves here)"
        )
        with service(home, console) as url:
            token = DevelopmentIssuer(Settings(_env_file=None, state_dir=home)).issue(
                TENANT, ["submitter", "reviewer"], "demo", "demo", timedelta(hours=1)
            )
            with httpx2.Client(base_url=f"{url}/v1/kyc", auth=CrowdPayAuth(token=token), timeout=30) as http:
                visitor = Visitor(http, console, pictures)
                outcomes = [visitor.walk(number, walk) for number, walk in enumerate(WALKS, start=1)]
    except (DemoFailed, httpx2.HTTPError) as error:
        console.print(f"[red]The demo stopped:[/] {str(error) or type(error).__name__}")
        return 1
    finally:
        if keep:
            console.print(f"Kept: {home} (KYC_STATE_DIR={home} kyc serve)")
        else:
            discard(home)
            shutil.rmtree(home, ignore_errors=True)
    return summary(console, outcomes)


def summary(console: Console, outcomes: Sequence[Outcome]) -> int:
    """What came of it; 1 if anything ended otherwise than it should."""
    table = Table(title="What came of it", title_justify="left", pad_edge=False)
    for column in ("application", "expected", "ended", "told the world", "seconds"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    for outcome in outcomes:
        mark = "[green]✓[/]" if outcome.as_expected else "[red]✗[/]"
        told = " → ".join(outcome.published)
        table.add_row(
            f"{mark} {outcome.walk.title}", outcome.walk.expected, outcome.status, told, f"{outcome.seconds:.1f}"
        )
    console.print(table)
    wrong = [outcome for outcome in outcomes if not outcome.as_expected]
    if wrong:
        console.print(f"[red]{len(wrong)} of {len(outcomes)} ended otherwise than they should.[/]")
        return 1
    console.print("Next: `make run`, then http://localhost:8180/docs with a token from `.venv/bin/kyc token`.")
    return 0


class Visitor:
    """A client of the API, who tells what they see."""

    def __init__(self, http: httpx2.Client, console: Console, pictures: Path) -> None:
        self._http = http
        self._console = console
        self._pictures = pictures

    def walk(self, number: int, walk: Walk) -> Outcome:
        """One application from submission to its end."""
        self._console.print(f"\n[bold]{number}. {walk.title}[/]")
        began = time.monotonic()
        body = {
            "user_id": str(uuid4()),
            "email": "anna.eriksson@example.com",
            "documents": walk.documents(self),
            "applicant": PERSON,
        }
        submitted = self._answer(
            self._http.post("/applications", json=body, headers={"Idempotency-Key": f"demo-{uuid4()}"})
        )
        path = f"/applications/{submitted['id']}"
        seen: list[Mapping[str, Any]] = []
        better = walk.better
        while True:
            state = self._answer(self._http.get(path))
            seen += self._news(path, seen, began)
            if better and state.get("awaiting") == "resubmission":
                for reason in state["reasons"]:
                    self._console.print(f"   the applicant is told: [italic]{reason['text']}[/]")
                self._answer(self._http.patch(path, json={"documents": better(self)}))
                better = None
            if state["status"] in COLOURS or time.monotonic() - began > PATIENCE:
                break
            time.sleep(0.1)
        seen += self._news(path, seen, began)
        seconds = time.monotonic() - began
        colour = COLOURS.get(state["status"], "red")
        self._console.print(
            f"   [bold {colour}]{state['status']}[/] after {seconds:.1f} s, evidence: {state.get('evidence')}"
        )
        return Outcome(
            walk=walk,
            status=state["status"],
            published=tuple(event["published"] for event in seen if event["published"]),
            compensated=sum(event["type"] == "StepCompensated" for event in seen),
            seconds=seconds,
        )

    def upload(self, name: str, picture: bytes) -> Mapping[str, object]:
        """Upload a specimen that the project has drawn itself; the document as it is announced."""
        path = self._pictures / name
        path.write_bytes(picture)
        stored = self._answer(self._http.post("/files", content=picture, headers={"Content-Type": "image/jpeg"}))
        self._console.print(
            f"   uploaded {path} (a SPECIMEN of nobody, {len(picture) // 1024} KiB, stored encrypted)", soft_wrap=True
        )
        return announced(str(stored["id"]))

    def _news(self, path: str, seen: Sequence[Mapping[str, Any]], began: float) -> Sequence[Mapping[str, Any]]:
        """What happened since, told event by event."""
        history = self._answer(self._http.get(f"{path}/history"))["data"][len(seen) :]
        for event in history:
            published = f"  [cyan]⇒ {event['published']}[/]" if event["published"] else ""
            elapsed = time.monotonic() - began
            self._console.print(
                f"   {elapsed:5.1f} s  {event['type']:<22} {told(event['data'])}{published}", soft_wrap=True
            )
        return list(history)

    @staticmethod
    def _answer(response: httpx2.Response) -> Any:
        if response.is_success:
            return response.json()
        problem = response.json() if "json" in response.headers.get("content-type", "") else {}
        raise DemoFailed(f"{response.status_code} {problem.get('code', '')}: {problem.get('detail', '')}")


def told(data: Mapping[str, Any]) -> str:
    """What an event says, in a few words."""
    step = data.get("step") or {}
    words = [
        data.get("vendor") or step.get("vendor"),
        data.get("verdict"),
        step.get("name"),
        data.get("cause"),
        data.get("receipt"),
        ", ".join(data.get("reasons") or ()),
    ]
    return " · ".join(str(word) for word in words if word)


@contextmanager
def service(home: Path, console: Console) -> Iterator[str]:
    """A whole service in a process of its own, until the end of the context; where it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KYC_")}
    environment |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"KYC_STATE_DIR": str(home), "KYC_RETRY_BASE_SECONDS": "0.2"}
    log = home / "service.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command, and nothing of anybody else's in it
            [sys.executable, "-m", "kyc_service.cli.main", "serve", "--port", str(port)],
            env=environment,
            cwd=home,  # no .env of the user's is read
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        while time.monotonic() - began < PATIENCE:
            if process.poll() is not None:
                raise DemoFailed(f"the service did not start:\n{log.read_text(errors='replace')[-2000:]}")
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{url}/readyz").is_success:
                    break
            time.sleep(0.05)
        else:
            raise DemoFailed("the service did not become ready")
        console.print(f"Started everything in {time.monotonic() - began:.1f} s at {url}")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# What of the user's settings also holds for the demo: where PostgreSQL is, and whatever a test wants to break.
PASSED_ON = ("KYC_PG_BIN", "KYC_PG_USER", "KYC_MAX_RETRIES", "KYC_SANDBOX_ROUTE", "KYC_DOCUMENT_ROUTE")
