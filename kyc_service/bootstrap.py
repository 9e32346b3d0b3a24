"""The one beginning: `build` makes an `App` out of settings, and is the only place that knows every adapter."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path

import httpx2

from kyc_service.access import tokens
from kyc_service.access.development import DevelopmentIssuer
from kyc_service.access.jwks import JsonWebKeys, KeySource, key_source
from kyc_service.access.limits import Limits
from kyc_service.access.policy import PolicyEngine, RegoPolicy, read_bundle
from kyc_service.access.principal import ClaimNames
from kyc_service.access.tokens import Verifier
from kyc_service.application.desk import Desk
from kyc_service.application.duplicates import Duplicates, KnownFaces
from kyc_service.application.effects import Effects, Patience, utc_now
from kyc_service.application.files import Cabinet
from kyc_service.application.ports import Change, Clock, Screener, Vendor
from kyc_service.application.worker import Doorbell, Pace, Worker
from kyc_service.documents.countries import alpha_2
from kyc_service.documents.pool import EnginePool
from kyc_service.domain.application import ApplicationRejected, ApplicationRolledBack, ApplicationVerified, Mode, Terms
from kyc_service.domain.clearance import ScreeningTerms
from kyc_service.domain.record import record
from kyc_service.messaging.brokers import Broker, BrokersRefused, brokers, opened
from kyc_service.messaging.relay import Relay
from kyc_service.metrics import Metrics
from kyc_service.privacy.blobs import S3Options, open_blob_store
from kyc_service.privacy.keyfile import KeyFileManager, KeyRing
from kyc_service.privacy.people import DocumentVault, People
from kyc_service.privacy.sealing import self_test
from kyc_service.privacy.vault import Vault
from kyc_service.screening import watch
from kyc_service.screening.engine import ENGINE_VERSION
from kyc_service.screening.lists.library import SAMPLE_WARNING, NoListInForce, Watchlists
from kyc_service.screening.lists.sources import name_of
from kyc_service.screening.screener import ListScreener
from kyc_service.settings import AvailableVendors, Settings
from kyc_service.store.applications import Applications
from kyc_service.store.bells import LOG, Bells
from kyc_service.store.database import Database, dsn, head, migrate
from kyc_service.store.faces import FaceRows
from kyc_service.store.feed import Feed
from kyc_service.store.files import FileRows
from kyc_service.store.following import Backlog, Batch, Log
from kyc_service.store.gauges import Gauges
from kyc_service.store.inbox import Inbox
from kyc_service.store.keys import Keys, TenantKeys
from kyc_service.store.marks import DocumentMarks
from kyc_service.store.monitoring import Campaigns, Enrolments
from kyc_service.store.orders import Orders
from kyc_service.store.outcomes import Outcomes
from kyc_service.store.parked import Parked
from kyc_service.store.upkeep import Retention, Upkeep
from kyc_service.store.vigil import Bell
from kyc_service.store.watchlists import WatchlistRows
from kyc_service.vendors.builtin import Builtin
from kyc_service.vendors.clamd import Clamd, ScannerUrlUnknown, address
from kyc_service.vendors.simulated import Simulated

TENANTS_AT_HAND = 1_000  # whose terms are not put together anew for every submission


class SettingsRefused(Exception):
    """The settings cannot be used; the message says which, why, and what to set instead."""


def warnings(settings: Settings) -> list[str]:
    """What must be said loudly by every process that serves requests with these settings."""
    if settings.production or settings.jwt_public_key_url:
        return []
    return [DevelopmentIssuer(settings).warning()]


@record
class Ready:
    """One thing that has to work, and whether it does."""

    ok: bool
    detail: str


@record
class App:
    """Everything that the API, the worker and the CLI share."""

    settings: Settings
    database: Database
    applications: Applications
    orders: Orders
    people: People
    desk: Desk
    cabinet: Cabinet
    documents: DocumentVault
    verifier: Verifier
    policy: PolicyEngine
    limits: Limits | None
    worker: Worker
    signing_key: bytes
    ring: Callable[[], None]
    bells: Bells
    engine: EnginePool
    screener: Screener
    enrolments: Enrolments
    watch: watch.Watch
    log: Log
    relays: tuple[Relay[Batch], ...]
    brokers: tuple[Broker, ...]
    inbox: Inbox
    parked: Parked
    feed: Feed
    outcomes: Outcomes
    shelf: WatchlistRows
    watchlists: Watchlists
    metrics: Metrics
    gauges: Gauges
    clock: Clock

    async def backlogs(self) -> Mapping[str, Backlog]:
        """How much each broker has not been told yet, and what lies parked there."""
        return await self.log.backlogs([relay.name for relay in self.relays]) if self.relays else {}

    async def cautions(self) -> list[str]:
        """What must be said loudly of the lists in development; production starts with none but real ones."""
        if self.settings.production:
            return []
        try:
            in_force = await self.watchlists.in_force()
        except NoListInForce as error:
            return [str(error.__doc__)]
        return [SAMPLE_WARNING] if in_force.sample else []

    async def ready(self) -> Mapping[str, Ready]:
        """What has to work before requests are taken."""
        revision = await self.database.revision()
        backlog = await self.orders.backlog()
        return {
            "database": Ready(ok=True, detail="answers"),
            "migrations": Ready(ok=revision == head(), detail=f"at {revision}, wanted {head()}"),
            "orders": Ready(ok=True, detail=f"{backlog.open} due, {backlog.dead} given up"),
        }


@record
class Made:
    """What a vendor is made from."""

    settings: Settings
    engine: EnginePool


# The recipe in docs/vendors.md: an adapter is one module and one line here and one in `AvailableVendors`.
VENDORS: Mapping[AvailableVendors, Callable[[Made], Vendor]] = {
    AvailableVendors.BUILTIN: lambda made: Builtin(made.engine),
    AvailableVendors.SIMULATED: lambda _: Simulated("simulated"),
    AvailableVendors.SIMULATED_STANDBY: lambda _: Simulated("simulated_standby", standby=True),
}


def refusals(settings: Settings) -> list[str]:
    """Why these settings cannot be used, one sentence each; most of them forbid only what development may do."""
    unusable = [*_unusable_brokers(settings), *_unknown_lists(settings)]
    if not settings.production:
        return unusable
    refused = {
        "KYC_DB_DSN is not set: production does not run on the embedded database; set the URI of your PostgreSQL.": (
            settings.db_dsn is None
        ),
        "KYC_JWT_PUBLIC_KEY_URL is not set: production does not accept development tokens; set your JWKS endpoint.": (
            settings.jwt_public_key_url is None
        ),
        "KYC_KEY_FILE is not set: production makes no keys by itself; make one with `kyc keys init` and name it.": (
            settings.key_file is None
        ),
        "KYC_BLOB_URL is not set: production keeps no documents in its state folder; name a bucket or a folder.": (
            settings.blob_url is None
        ),
        "KYC_WATCHLISTS is not set: production clears nobody by lists that nobody chose; name them, or see "
        "`kyc lists status`.": not settings.watchlists,
        "KYC_DOCUMENT_ROUTE names a simulated vendor: uploaded documents of real people need a real one.": bool(
            {AvailableVendors.SIMULATED, AvailableVendors.SIMULATED_STANDBY} & set(settings.document_route)
        ),
    }
    return unusable + [sentence for sentence, wrong in refused.items() if wrong]


def _unusable_brokers(settings: Settings) -> list[str]:
    try:
        _brokers(settings)
    except BrokersRefused as error:
        return [str(error)]
    return []


def _unknown_lists(settings: Settings) -> list[str]:
    """Lists of one tenant that nobody has to keep in force."""
    wanted = {name_of(one) for one in settings.watchlists}
    return [
        f"KYC_WATCHLISTS_TENANTS names {name} for {tenant}, which KYC_WATCHLISTS does not name."
        for tenant, names in settings.watchlists_tenants.items()
        for name in names
        if name not in wanted
    ]


def _brokers(settings: Settings) -> Sequence[Broker]:
    return brokers(settings.event_broker_url.get_secret_value()) if settings.event_broker_url else ()


def _relays(settings: Settings, log: Log) -> Iterator[Relay[Batch]]:
    """One for each broker."""
    for broker in _brokers(settings):
        yield Relay(broker.name, settings.event_source, partial(log.follow, broker.name), partial(opened, broker))


def screening_terms(settings: Settings, tenant: str) -> ScreeningTerms:
    """How the lists are asked about this tenant's people."""
    return ScreeningTerms(
        review_from=settings.screening_review_from_tenants.get(tenant, settings.screening_review_from),
        cleared_for=timedelta(days=settings.screening_cleared_days),
        lists=settings.watchlists_tenants.get(tenant),
    )


def terms(settings: Settings, tenant: str) -> Terms:
    """The terms under which this tenant's applications are verified; only a sandbox may be simulated."""
    sandbox = tenant in settings.sandbox_tenants
    matching = settings.face_matching and tenant not in settings.face_matching_off_tenants
    return Terms(
        mode=Mode.SANDBOX if sandbox else Mode.LIVE,
        uploaded_route=tuple(vendor.value for vendor in settings.document_route),
        missing_route=tuple(vendor.value for vendor in settings.sandbox_route) if sandbox else (),
        max_resubmissions=settings.max_retries,
        resubmission=timedelta(days=settings.resubmission_days),
        completion=timedelta(days=settings.completion_days),
        answer=timedelta(hours=settings.answer_hours),
        screening=screening_terms(settings, tenant),
        keep_selfies=settings.keep_selfies,
        face_matching=matching,
        face_duplicates=matching and tenant in settings.face_duplicates_tenants,
    )


@asynccontextmanager
async def build(
    settings: Settings,
    *,
    vendors: Mapping[AvailableVendors, Callable[[Made], Vendor]] = VENDORS,
    screener: Screener | None = None,
    clock: Clock = utc_now,
) -> AsyncIterator[App]:
    """A running app; it starts what is embedded, and leaves nothing running behind.

    Raises:
        SettingsRefused: production was asked for with a development default.
        StoreUnavailable: the database does not answer.
    """
    if sentences := refusals(settings):
        raise SettingsRefused("\n".join(sentences))
    self_test()
    async with AsyncExitStack() as stack:
        server = dsn(settings)
        target = await asyncio.to_thread(server.__enter__)
        stack.push_async_callback(asyncio.to_thread, server.__exit__, None, None, None)
        if not settings.production:
            await asyncio.to_thread(migrate, target)
        database = Database(target, size=settings.db_pool_size)
        await database.open()
        stack.push_async_callback(database.close)

        ring = await asyncio.to_thread(_key_ring, settings)
        keys = Keys(database)
        manager = KeyFileManager(ring, TenantKeys(database), reload=lambda: KeyRing.load(key_file(settings)))
        vault = Vault(manager, keys, ring)
        people = People(vault, keys)
        documents = DocumentVault(
            vault,
            keys,
            open_blob_store(
                settings.blob_url, settings.home / "blobs", _s3(settings), seconds=settings.files_timeout_seconds
            ),
        )
        cabinet = Cabinet(
            rows=FileRows(database),
            vault=documents,
            limit=settings.max_file_bytes,
            clock=clock,
            scanner=scanner(settings),
        )

        metrics = Metrics(version=version("kyc-service"), engine=ENGINE_VERSION)
        engine = EnginePool(
            workers=settings.engine_workers, timeout=settings.engine_timeout_seconds, analysed=metrics.analysed
        )
        stack.push_async_callback(engine.close)
        made = Made(settings=settings, engine=engine)
        offered = {name.value: make(made) for name, make in vendors.items()}

        doorbell = Doorbell()
        bells = Bells(target, doorbell)
        bell = Bell(reader=bells.reader, listen=partial(bells.listen, LOG), hearing=lambda: bells.hearing)
        feed = Feed(database, bell, listeners=settings.feed_listeners)
        stack.push_async_callback(feed.stop)
        outcomes = Outcomes(database, bell)
        stack.push_async_callback(outcomes.stop)
        log = Log(database=database, target=target, mode=settings.relay, bell=bells.reader)
        applications = Applications(database, bells.grown, partial(_count, metrics))
        orders = Orders(database, lease_seconds=settings.lease_seconds)
        patience = Patience(
            call=timedelta(seconds=settings.vendor_timeout_seconds),
            files=timedelta(seconds=min(settings.files_timeout_seconds, settings.vendor_timeout_seconds / 2)),
            retries=settings.max_retries,
            base=timedelta(seconds=settings.retry_base_seconds),
        )
        shelf = WatchlistRows(database)
        lists = Watchlists(
            shelf,
            settings.home / "lists",
            wanted=[name_of(one) for one in settings.watchlists],
            max_age=timedelta(hours=settings.list_max_age_hours),
            sample=not settings.production,
        )
        enrolments = Enrolments(database)
        of_lists = ListScreener(
            lists,
            digest=_digest(ring.index_key("", "screening")),
            alpha_2=alpha_2,
            clock=clock,
            screened=metrics.screened,
        )
        asked = screener or of_lists
        watching = watch.Watch(
            people=enrolments,
            campaigns=Campaigns(database),
            store=applications,
            vault=people,
            screener=of_lists,
            lists=lists,
            terms=lambda tenant: screening_terms(settings, tenant),
            counted=lambda done: metrics.watched(
                {"screened": done.screened, "unchanged": done.unchanged, "failed": done.failed}, done.alerts
            ),
            pace=watch.Pace(pause=settings.watch_seconds, sample=settings.watch_sample),
            clock=clock,
        )
        effects = Effects(
            store=applications,
            orders=orders,
            people=people,
            files=cabinet,
            vendors=offered,
            duplicates=Duplicates(vault, DocumentMarks(database), KnownFaces(people, FaceRows(database))),
            screener=asked,
            watched=enrolments,
            patience=patience,
            clock=clock,
        )
        relays = tuple(_relays(settings, log))
        yield App(
            settings=settings,
            database=database,
            applications=applications,
            orders=orders,
            people=people,
            desk=Desk(
                store=applications,
                people=people,
                terms=lru_cache(TENANTS_AT_HAND)(partial(terms, settings)),
                outcomes=outcomes,
                ring=bells.ring,
                clock=clock,
            ),
            cabinet=cabinet,
            documents=documents,
            verifier=await _verifier(settings, stack),
            policy=RegoPolicy(read_bundle()),
            limits=Limits(settings.rate_limit) if settings.rate_limit else None,
            worker=Worker(
                orders,
                effects,
                doorbell,
                Pace(
                    concurrency=settings.worker_concurrency,
                    heartbeat=settings.lease_seconds / 3,
                    tidying=settings.upkeep_seconds,
                ),
                Upkeep(database, Retention(orders=timedelta(days=settings.order_retention_days)), metrics.removed),
                clock,
            ),
            signing_key=ring.signing_key("cursor"),
            ring=bells.ring,
            bells=bells,
            engine=engine,
            screener=asked,
            enrolments=enrolments,
            watch=watching,
            log=log,
            relays=relays,
            brokers=tuple(_brokers(settings)),
            inbox=Inbox(database),
            parked=Parked(database),
            feed=feed,
            outcomes=outcomes,
            shelf=shelf,
            watchlists=lists,
            metrics=metrics,
            gauges=Gauges(database, [relay.name for relay in relays]),
            clock=clock,
        )


# How an application ends, by the event that ends it.
OUTCOMES: Mapping[type, str] = {
    ApplicationVerified: "verified",
    ApplicationRejected: "rejected",
    ApplicationRolledBack: "rolled_back",
}


def _count(metrics: Metrics, changes: Sequence[Change]) -> None:
    """What was committed, as figures."""
    for change in changes:
        kinds = [type(draft.event) for draft in change.events]
        metrics.appended(kind.__name__ for kind in kinds)
        for kind in kinds:
            if kind in OUTCOMES:
                metrics.decided(OUTCOMES[kind], change.state.evidence.value)


def _digest(key: bytes) -> Callable[[bytes], bytes]:
    return lambda content: hmac.digest(key, content, "sha256")


def key_file(settings: Settings) -> Path:
    """Where the key ring is: the operator's file, or the one that development makes for itself."""
    return settings.key_file or settings.home / "keys" / "ring.json"


def scanner(settings: Settings) -> Clamd | None:
    """What every upload passes, if the operator has set one up.

    Raises:
        SettingsRefused: its URL cannot be read.
    """
    if not settings.scanner_url:
        return None
    try:
        return Clamd(address(settings.scanner_url), seconds=settings.scanner_timeout_seconds)
    except ScannerUrlUnknown as error:
        raise SettingsRefused(f"KYC_SCANNER_URL: {ScannerUrlUnknown.__doc__}") from error


def _key_ring(settings: Settings) -> KeyRing:
    path = key_file(settings)
    if settings.key_file:
        return KeyRing.load(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return KeyRing.load_or_create(path)


def _s3(settings: Settings) -> S3Options:
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    return S3Options(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=key.get_secret_value() if key else None,
        secret_access_key=secret.get_secret_value() if secret else None,
    )


async def _verifier(settings: Settings, stack: AsyncExitStack) -> Verifier:
    """Tokens are verified with the operator's keys; development, and only development, may bring its own."""
    source: KeySource
    if settings.jwt_public_key_url:
        client = await stack.enter_async_context(httpx2.AsyncClient())
        source = key_source(settings.jwt_public_key_url, client)
    else:
        source = await asyncio.to_thread(DevelopmentIssuer, settings)
    keys = JsonWebKeys(source, frozenset(settings.jwt_algorithms))
    stack.push_async_callback(keys.close)
    return Verifier(
        keys,
        tokens.Terms(
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            names=ClaimNames(tenant=settings.jwt_tenant_claim, roles=settings.jwt_roles_claim),
        ),
    )
