"""How much the service costs over the least that an HTTP endpoint on PostgreSQL can cost, and where the time goes.

The floor is a bare FastAPI + psycopg endpoint: POST inserts one row and commits, GET selects one row by its key. Both
servers are one uvicorn process, on the same database, driven in turn by the same client over 16 connections.

    python bench/api.py [--seconds 6] [--rounds 3]
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.access.policy import Question
from kyc_service.application import codec
from kyc_service.application.desk import Announced, Caller, Submission, View
from kyc_service.bootstrap import App, build, terms
from kyc_service.domain.application import Document, SubmitApplication, decide
from kyc_service.settings import Settings
from kyc_service.store.database import dsn, migrate
from kyc_service.store.embedded import discard

CONNECTIONS = 16
FLOOR_PORT, SERVICE_PORT = 18291, 18292
HERE = Path(__file__).parent
TENANT = "sandbox"


def main() -> None:
    """Run the benchmark and print the ratios."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=6)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="kyc-bench-") as home:
        settings = Settings(_env_file=None, state_dir=Path(home))
        with dsn(settings) as target:
            migrate(target)
            with psycopg.connect(target, autocommit=True) as connection:
                connection.execute("create table floor (id uuid primary key, body jsonb not null)")
            settings = settings.model_copy(update={"db_dsn": None})
            token = DevelopmentIssuer(settings).issue(
                TENANT, ["submitter", "reader"], "bench", "bench", timedelta(hours=1)
            )
            with floor(target), service(home):
                asyncio.run(compare(token, given.seconds, given.rounds))
            asyncio.run(breakdown(settings, token))
        discard(Path(home))


@contextlib.contextmanager
def floor(target: str) -> Iterator[None]:
    """The bare endpoint, in its own process."""
    with running("floor:app", FLOOR_PORT, {"FLOOR_DSN": target, "PYTHONPATH": str(HERE)}):
        yield


@contextlib.contextmanager
def service(home: str) -> Iterator[None]:
    """Our service, in its own process; the worker is left out so that only the request is measured."""
    with running("kyc_service.api.main:app", SERVICE_PORT, {"KYC_STATE_DIR": home, "KYC_INLINE_WORKER": "false"}):
        yield


@contextlib.contextmanager
def running(app: str, port: int, environment: dict[str, str]) -> Iterator[None]:
    """A server process that answers."""
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--no-access-log", "--log-level", "warning"]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the port answers."""
    import socket

    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"the server on port {port} did not start")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit(f"the server on port {port} did not answer")


# ── the client ────────────────────────────────────────────────────────────────────


async def compare(token: str, seconds: float, rounds: int) -> None:
    """POST and GET, floor and service in turn."""
    posts: dict[str, list[float]] = {"floor": [], "service": []}
    gets: dict[str, list[float]] = {"floor": [], "service": []}
    created = {"floor": await some(FLOOR_PORT, token), "service": await some(SERVICE_PORT, token)}
    for number in range(rounds + 1):
        for name, port in (("floor", FLOOR_PORT), ("service", SERVICE_PORT)):
            length = seconds if number else min(seconds, 2)  # the first round only warms up
            rate = await load(port, lambda: post(token), length, expected=b"201")
            read = await load(port, picking(created[name], token), length, expected=b"200")
            if number:
                posts[name].append(rate)
                gets[name].append(read)
    for what, rates, goal in (("POST /v1/kyc/applications", posts, 0.5), ("GET  /v1/kyc/applications/{id}", gets, 0.7)):
        floor_rate, service_rate = (statistics.median(rates[name]) for name in ("floor", "service"))
        ratios = [ours / least for ours, least in zip(rates["service"], rates["floor"], strict=True)]
        print(
            f"{what}: {service_rate:7.0f} req/s, floor {floor_rate:7.0f} req/s, ratio {statistics.median(ratios):.2f}"
            f" (rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}; goal {goal})"
        )


def post(token: str) -> bytes:
    """A submission as the seed's client makes it, with an idempotency key."""
    body = json.dumps(
        {
            "user_id": str(uuid4()),
            "email": "alice@example.com",
            "documents": [{"doc_type": "PASSPORT", "file_id": str(uuid4()), "issued_country": "US"}],
        }
    ).encode()
    head = (
        f"POST /v1/kyc/applications HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\nidempotency-key: {uuid4()}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(identity: str, token: str) -> bytes:
    """A poll."""
    return (
        f"GET /v1/kyc/applications/{identity} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
    ).encode()


def picking(created: list[str], token: str) -> Callable[[], bytes]:
    """Requests for one application after the other."""
    requests = [get(identity, token) for identity in created]
    position = 0

    def pick() -> bytes:
        nonlocal position
        position = (position + 1) % len(requests)
        return requests[position]

    return pick


async def some(port: int, token: str, number: int = 200) -> list[str]:
    """Applications to read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    created = []
    for _ in range(number):
        status, body = await exchange(reader, writer, post(token))
        if status != b"201":
            raise SystemExit(f"port {port} answered {status!r}: {body[:300]!r}")
        created.append(json.loads(body)["id"])
    writer.close()
    return created


async def load(port: int, request: Callable[[], bytes], seconds: float, *, expected: bytes) -> float:
    """Requests per second over all connections."""
    done = 0
    deadline = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < deadline:
            status, body = await exchange(reader, writer, request())
            if status != expected:
                raise SystemExit(f"port {port} answered {status!r}: {body[:300]!r}")
            done += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return done / (time.perf_counter() - began)


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[bytes, bytes]:
    """One request and its answer; both servers send a content-length."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    return head[9:12], await reader.readexactly(length)


# ── where the time goes ───────────────────────────────────────────────────────────


async def breakdown(settings: Settings, token: str) -> None:
    """What the parts of one submission cost, each alone and one after the other, in microseconds."""
    async with build(settings) as app:
        principal = await app.verifier.verify(token)
        question = Question(principal=principal, action="application.submit", resource_tenant=TENANT)
        caller = Caller(tenant=TENANT, client="bench", actor="bench", request="r")

        def submission() -> Submission:
            return Submission(
                user_id=uuid4(),
                email="alice@example.com",
                documents=(Announced(doc_type="PASSPORT", file_id=uuid4(), issued_country="US"),),
            )

        view = await app.desk.submit(caller, submission())
        assert isinstance(view, View)
        identity = view.snapshot.id

        async def draft_and_seal() -> None:
            unlocked = await app.people.unlock(TENANT, uuid4(), None)
            unlocked.seal(uuid4(), {"email": "alice@example.com"})

        async def prepare() -> None:
            await app.applications.prepare(TENANT, "bench", "key", uuid4(), [uuid4()], datetime.now(UTC))

        async def decide_and_encode() -> None:
            unlocked = await app.people.unlock(TENANT, uuid4(), None)
            sealed = unlocked.seal(uuid4(), {})
            document = Document(doc_type="PASSPORT", file_id=uuid4(), issued_country="US", uploaded=False)
            command = SubmitApplication(
                user_id=uuid4(), documents=(document,), terms=terms(app.settings, TENANT), person=sealed
            )
            for event in decide(command, None):
                codec.encode(event)

        async def verify_cached() -> None:
            app.verifier.cached(token)

        async def policy() -> None:
            app.policy.decide(question)

        parts: dict[str, Callable[[], Awaitable[object]]] = {
            "token, verified before": verify_cached,
            "policy, decided before": policy,
            "new person key, wrapped, and one seal": draft_and_seal,
            "the same, and decide and encode two events": decide_and_encode,
            "look at the database before a submission": prepare,
            "whole submission without HTTP": lambda: app.desk.submit(caller, submission()),
            "whole read without HTTP": lambda: app.desk.get(TENANT, identity),
        }
        print("\nWhere the time goes (microseconds, median of 400, one at a time):")
        for name, part in parts.items():
            print(f"  {await cost(part):8.1f}  {name}")
        await profile(app, caller, submission)


async def cost(part: Callable[[], Awaitable[object]], number: int = 400) -> float:
    """The median duration in microseconds."""
    durations = []
    for _ in range(number):
        began = time.perf_counter()
        await part()
        durations.append((time.perf_counter() - began) * 1e6)
    return statistics.median(durations)


async def profile(app: App, caller: Caller, submission: Callable[[], Submission]) -> None:
    """Processor time of this process per submission, 16 at a time: what one core can carry."""
    for _ in range(10):  # the pool grows to its size
        await asyncio.gather(*(app.desk.submit(caller, submission()) for _ in range(CONNECTIONS)))
    began = time.process_time()
    for _ in range(25):
        await asyncio.gather(*(app.desk.submit(caller, submission()) for _ in range(CONNECTIONS)))
    used = (time.process_time() - began) / (25 * CONNECTIONS) * 1e6
    print(f"  {used:8.1f}  processor time of the service per submission without HTTP, 16 at a time")


if __name__ == "__main__":
    main()
