"""`kyc doctor`: what the service needs, whether it is there, and the cure when it is not."""

import difflib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib.util import find_spec
from uuid import uuid4

from kyc_service.application.ports import StoreUnavailable
from kyc_service.bootstrap import App, build, refusals
from kyc_service.cli.faults import sentence_of
from kyc_service.domain.record import record
from kyc_service.settings import Settings

ENGINE = ("numpy", "onnxruntime", "cv2", "PIL", "rapidocr")


@record
class Finding:
    """One thing that was looked at: `ok`, `warn` or `fail`."""

    what: str
    state: str
    why: str
    cure: str = ""

    def shown(self) -> dict[str, str]:
        """As JSON shows it."""
        return {"what": self.what, "state": self.state, "why": self.why, "cure": self.cure}


async def examine(settings: Settings) -> Sequence[Finding]:
    """Everything, one after the other; what depends on a broken part is not looked at."""
    findings = [_python(), *_unknown_settings(), *_refused(settings), _engine()]
    if any(finding.state == "fail" for finding in findings):
        return findings
    try:
        async with build(settings) as app:
            findings += [await look(app) for look in LOOKS]
    except StoreUnavailable:
        findings.append(Finding(what="database", state="fail", why="does not answer", cure="check KYC_DB_DSN"))
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        findings.append(Finding(what="start", state="fail", why=sentence))
    return findings


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding(what="python", state="ok", why=version)
    return Finding(what="python", state="fail", why=f"{version} is not supported", cure="use 3.11, 3.12 or 3.13")


def _unknown_settings() -> Sequence[Finding]:
    known = {f"KYC_{name.upper()}" for name in Settings.model_fields}
    known |= {f"{name}_FILE" for name in known} | {"KYC_PG_BIN", "KYC_PG_USER", "KYC_TEST_DSN", "KYC_API_URL"}
    found = []
    for name in sorted(os.environ):
        if name.startswith("KYC_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            cure = f"did you mean {near[0]}?" if near else "remove it"
            found.append(Finding(what="settings", state="warn", why=f"{name} is not a setting", cure=cure))
    return found or [Finding(what="settings", state="ok", why="every KYC_ variable is known")]


def _refused(settings: Settings) -> Sequence[Finding]:
    return [Finding(what="production", state="fail", why=sentence) for sentence in refusals(settings)]


def _engine() -> Finding:
    missing = [name for name in ENGINE if find_spec(name) is None]
    if not missing:
        return Finding(what="engine", state="ok", why="can read documents")
    return Finding(
        what="engine",
        state="warn",
        why=f"cannot read documents: {', '.join(missing)} not installed",
        cure="install kyc-service[engine]; until then documents go to a person",
    )


async def _database(app: App) -> Finding:
    async with app.database.any() as connection:
        row = await (await connection.execute("select current_setting('server_version'), clock_timestamp()")).fetchone()
    return Finding(what="database", state="ok", why=f"PostgreSQL {row[0]}" if row else "answers")


async def _migrations(app: App) -> Finding:
    ready = (await app.ready())["migrations"]
    if ready.ok:
        return Finding(what="migrations", state="ok", why=ready.detail)
    return Finding(what="migrations", state="fail", why=ready.detail, cure="kyc migrate")


async def _orders(app: App) -> Finding:
    backlog = await app.orders.backlog()
    why = f"{backlog.open} due, {backlog.dead} given up"
    if backlog.dead:
        return Finding(what="orders", state="warn", why=why, cure="look at last_error in the table orders")
    return Finding(what="orders", state="ok", why=why)


async def _blobs(app: App) -> Finding:
    async def probe() -> AsyncIterator[bytes]:
        yield b"kyc doctor"

    path, _ = await app.documents.put("doctor", uuid4(), probe())
    await app.documents.discard(path)
    return Finding(what="documents", state="ok", why="stored and removed one")


async def _tokens(app: App) -> Finding:
    if app.settings.jwt_public_key_url:
        return Finding(what="tokens", state="ok", why=f"verified with {app.settings.jwt_public_key_url}")
    cure = "set KYC_JWT_PUBLIC_KEY_URL before anybody else can reach the service"
    return Finding(what="tokens", state="warn", why="development tokens are trusted", cure=cure)


LOOKS: Sequence[Callable[[App], Awaitable[Finding]]] = (_database, _migrations, _orders, _blobs, _tokens)
