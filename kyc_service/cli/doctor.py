"""`kyc doctor`: what the service needs, whether it is there, and the cure when it is not."""

import difflib
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from importlib.util import find_spec
from uuid import uuid4

from kyc_service.application.effects import utc_now
from kyc_service.application.files import ScannerUnavailable
from kyc_service.application.keys import DataClass, Owner
from kyc_service.bootstrap import App, build, refusals, scanner
from kyc_service.cli.faults import Failure, failure_of, present_settings
from kyc_service.cli.schema import meet
from kyc_service.domain.record import record
from kyc_service.privacy.blobs import S3Options, blob_context, blob_path, open_blob_store
from kyc_service.privacy.sealing import KEY_BYTES, DataKey
from kyc_service.settings import Settings
from kyc_service.store.database import head

ENGINE = ("numpy", "onnxruntime", "cv2", "PIL", "rapidocr", "pypdfium2", "pi_heif", "zxingcpp")
# Read by parts of the service that have no settings of their own, by the tests and by the example client.
ALSO_KNOWN = frozenset({"KYC_PG_BIN", "KYC_PG_USER", "KYC_TEST_DSN", "KYC_API_URL"})
PORT = 8180
OLDEST_POSTGRES = 150000
LATE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


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


def fine(what: str, why: str) -> Finding:
    """All is well."""
    return Finding(what=what, state="ok", why=why)


async def examine() -> Sequence[Finding]:
    """Everything, one after the other; what depends on a broken part is not looked at."""
    findings = [_python(), *_unknown_settings(), _engine()]
    try:
        settings = present_settings()
    except Failure as refused:
        return [*findings, *_failed("settings", refused, "see `kyc config --help`")]
    findings += [*_refused(settings), *_key_file(settings), _port()]
    if any(finding.state == "fail" for finding in findings):
        return findings
    try:
        if settings.db_dsn is not None:
            findings += _schema(settings.db_dsn.get_secret_value(), settings)
            if any(finding.state == "fail" for finding in findings):
                return findings
        async with build(settings) as app:
            if settings.db_dsn is None:
                findings.append(fine("database", f"embedded, at {await app.database.revision()}"))
            findings += [await look(app) for look in LOOKS]
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        cure = "check KYC_DB_DSN" if settings.db_dsn else ""
        findings += _failed("start", failure, cure)
    return findings


def _failed(what: str, failure: Failure, cure: str) -> Sequence[Finding]:
    return [Finding(what=what, state="fail", why=line, cure=cure) for line in failure.message.splitlines()]


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return fine("python", version)
    return Finding(what="python", state="fail", why=f"{version} is not supported", cure="use 3.11, 3.12 or 3.13")


def _unknown_settings() -> Sequence[Finding]:
    known = {f"KYC_{name.upper()}" for name in Settings.model_fields}
    known |= {f"{name}_FILE" for name in known} | ALSO_KNOWN
    found = []
    for name in sorted(os.environ):
        if name.startswith("KYC_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            cure = f"did you mean {near[0]}?" if near else "remove it; `kyc config` lists every setting"
            found.append(Finding(what="settings", state="warn", why=f"{name} is not a setting", cure=cure))
    return found or [fine("settings", "every KYC_ variable is known")]


def _refused(settings: Settings) -> Sequence[Finding]:
    return [Finding(what="production", state="fail", why=sentence) for sentence in refusals(settings)]


def _engine() -> Finding:
    missing = [name for name in ENGINE if find_spec(name) is None]
    if not missing:
        return fine("engine", "can read documents")
    return Finding(
        what="engine",
        state="warn",
        why=f"cannot read documents: {', '.join(missing)} not installed",
        cure="install kyc-service[engine]; until then documents go to a person",
    )


def _key_file(settings: Settings) -> Sequence[Finding]:
    path = settings.key_file or settings.home / "keys" / "ring.json"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        if settings.key_file is None:
            return [fine("key file", "none yet; development makes one")]
        return [Finding(what="key file", state="fail", why=f"there is none at {path}", cure=f"kyc keys init {path}")]
    except OSError as error:
        return [Finding(what="key file", state="fail", why=f"{path}: {error.strerror}", cure="run as its owner")]
    if mode & 0o077:
        return [
            Finding(
                what="key file",
                state="fail",
                why=f"others than its owner can reach {path} (mode {mode:04o})",
                cure=f"chmod 600 {path}, and replace its keys if others have read it",
            )
        ]
    return [fine("key file", f"{path}, for its owner alone")]


def _port() -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
            probe.listen()
        except OSError:
            cure = "nothing to do if that is the service itself; otherwise kyc serve --port takes another"
            return Finding(what="port", state="warn", why=f"somebody listens on {PORT} already", cure=cure)
    return fine("port", f"{PORT} is free")


def _schema(target: str, settings: Settings) -> Sequence[Finding]:
    """The server and its revision; development migrates by itself."""
    met, wanted = meet(target), head()
    server = fine("database", f"PostgreSQL {met.version}, yours")
    if met.number < OLDEST_POSTGRES:
        why = f"PostgreSQL {met.version} is too old"
        server = Finding(what="database", state="fail", why=why, cure="use 15 or newer")
    if met.revision == wanted or not settings.production:
        return [server, fine("migrations", f"at {wanted}")]
    why = f"at {met.revision or 'none'}, and this release wants {wanted}"
    cure = "stop every process of the earlier release, then kyc migrate" if met.revision else "kyc migrate"
    return [server, Finding(what="migrations", state="fail", why=why, cure=cure)]


async def _orders(app: App) -> Finding:
    backlog = await app.orders.backlog()
    why = f"{backlog.open} due, {backlog.dead} given up"
    if backlog.dead:
        return Finding(what="orders", state="warn", why=why, cure="kyc orders list")
    return fine("orders", why)


async def _brokers(app: App) -> Finding:
    """How far each broker was told; that it answers is the relay's business, which tries again by itself."""
    backlogs = await app.backlogs()
    if not backlogs:
        return fine("brokers", "none; the log keeps every event")
    why = "; ".join(f"{name}: {one.behind} events behind, {one.unrouted} unrouted" for name, one in backlogs.items())
    late = [one.oldest for one in backlogs.values() if one.oldest and utc_now() - one.oldest > LATE]
    if late or any(one.unrouted for one in backlogs.values()):
        cure = "see that `kyc relay` runs and what it logs; docs/relay.md tells about unrouted events"
        return Finding(what="brokers", state="warn", why=why, cure=cure)
    return fine("brokers", why)


async def _parked(app: App) -> Finding:
    """Commands by message that nobody will carry out unless somebody looks at them."""
    backlogs = await app.backlogs()
    if not backlogs:
        return fine("commands", "there is no broker that they could come from")
    found = {name: one for name, one in backlogs.items() if one.parked}
    if not found:
        return fine("commands", "none parked")
    why = "; ".join(
        f"{name}: {one.parked} parked since {one.parked_since:%Y-%m-%d %H:%M} UTC" for name, one in found.items()
    )
    return Finding(what="commands", state="warn", why=why, cure="look at kyc.commands.parked: docs/commands.md")


async def _lists(app: App) -> Finding:
    """Whether the lists may clear anybody, and how old they are."""
    now = app.clock()
    if faults := await app.watchlists.faults(now):
        cure = "kyc lists sync; until then nobody is verified"
        return Finding(what="lists", state="fail", why=" ".join(faults), cure=cure)
    in_force = await app.watchlists.in_force()
    if in_force.sample:
        return fine("lists", "the sample list, fit for a demonstration and no more")
    ages = {one: one.age(now) for one in in_force.lists}
    why = "; ".join(
        f"{one.source} version {one.version}, {one.entries} entries, confirmed {age // HOUR} hours ago"
        for one, age in ages.items()
    )
    if max(ages.values()) > timedelta(hours=app.settings.list_max_age_hours) / 2:
        return Finding(what="lists", state="warn", why=why, cure="kyc lists sync, once a day at least")
    return fine("lists", why)


async def _blobs(app: App) -> Finding:
    """A file of our own goes in, comes out and is removed; its key is never stored anywhere."""
    settings = app.settings
    access, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    options = S3Options(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=access.get_secret_value() if access else None,
        secret_access_key=secret.get_secret_value() if secret else None,
    )
    seconds = settings.files_timeout_seconds
    store = open_blob_store(settings.blob_url, settings.home / "blobs", options, seconds=seconds)
    key = DataKey(id=uuid4(), secret=os.urandom(KEY_BYTES))
    context = blob_context(Owner(tenant="doctor", subject=key.id, data_class=DataClass.DOCUMENT), key.id)
    path = blob_path("doctor", key.id)

    async def content() -> AsyncIterator[bytes]:
        yield b"kyc doctor"

    await store.put(path, content(), key, context)
    try:
        found = b"".join([chunk async for chunk in store.get(path, key, context)])
    finally:
        await store.delete(path)
    if found != b"kyc doctor":
        return Finding(what="documents", state="fail", why="the store gives back something else than it was given")
    return fine("documents", "stored, read and removed a file")


async def _scanner(app: App) -> Finding:
    clamd = scanner(app.settings)
    if clamd is None:
        cure = "set KYC_SCANNER_URL to have uploads scanned for malware"
        state = "warn" if app.settings.production else "ok"
        return Finding(what="scanner", state=state, why="there is none", cure=cure if state == "warn" else "")
    try:
        return fine("scanner", await clamd.version())
    except ScannerUnavailable:
        cure = "start clamd, or correct KYC_SCANNER_URL; no file is taken in until it answers"
        return Finding(what="scanner", state="fail", why="nobody answers at KYC_SCANNER_URL", cure=cure)


async def _tokens(app: App) -> Finding:
    if app.settings.jwt_public_key_url:
        return fine("tokens", f"verified with the keys at {app.settings.jwt_public_key_url}")
    cure = "set KYC_JWT_PUBLIC_KEY_URL before anybody else can reach the service"
    return Finding(what="tokens", state="warn", why="development tokens are trusted", cure=cure)


LOOKS: Sequence[Callable[[App], Awaitable[Finding]]] = (_orders, _brokers, _parked, _lists, _blobs, _scanner, _tokens)
