"""`GET /metrics` in the text format of OpenMetrics, on a port of its own that clients of the API do not reach."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kyc_service.bootstrap import App, build
from kyc_service.settings import Settings
from kyc_service.store.gauges import Standing

log = structlog.get_logger("kyc.metrics")

PATIENCE = 3.0  # seconds for the figures of the database; Prometheus itself waits ten


class MetricsUnservable(Exception):
    """The port of KYC_METRICS_PORT cannot be served."""


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[None]:
    """Serve the metrics of this process while the context is entered, if KYC_METRICS_PORT is set.

    Raises:
        MetricsUnservable: somebody else has the port.
    """
    host, port = app.settings.metrics_host, app.settings.metrics_port
    if port is None:
        yield
        return
    registry = app.metrics.registry
    standing = _Standing(app, asyncio.get_running_loop())
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise MetricsUnservable(f"Port {port} of {host} cannot be served for metrics: {error.strerror}.") from error
    registry.register(standing)
    try:
        yield
    finally:
        registry.unregister(standing)
        await asyncio.to_thread(server.shutdown)
        server.server_close()


@asynccontextmanager
async def measured(settings: Settings) -> AsyncIterator[App]:
    """A running app whose metrics are served.

    Raises:
        SettingsRefused: production was asked for with a development default.
        StoreUnavailable: the database does not answer.
        MetricsUnservable: somebody else has the port.
    """
    async with build(settings) as app, serving(app):
        yield app


class _Standing(Collector):
    """What the database knows, read at every scrape; a scrape without it has the other figures all the same.

    Nobody is asked for a token here, so however many scrape at a time, one connection to the database serves them.
    """

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop
        self._one_at_a_time = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """The gauges; called in a thread of the server's own."""
        standing = self._standing()
        yield _gauge("kyc_database_up", "Whether the figures of the database could be read.", int(standing is not None))
        yield _gauge(
            "kyc_list_max_age_seconds",
            "The age from which on a list clears nobody (KYC_LIST_MAX_AGE_HOURS).",
            self._app.settings.list_max_age_hours * 3600,
        )
        if standing is not None:
            yield from _orders(standing)
            yield from _brokers(standing)
            yield from _lists(standing, self._app.watchlists.wanted)

    def _standing(self) -> Standing | None:
        async def read() -> Standing:
            async with asyncio.timeout(PATIENCE):
                return await self._app.gauges.standing()

        try:
            with self._one_at_a_time:
                return asyncio.run_coroutine_threadsafe(read(), self._loop).result(PATIENCE + 1)
        except Exception as error:  # noqa: BLE001 - a scrape must harm nobody, whatever is wrong with the database
            log.warning("figures_unread", error=type(error).__name__)
            return None


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)


def _orders(standing: Standing) -> Iterator[Metric]:
    orders = standing.orders
    yield _gauge("kyc_orders_due", "Orders that any worker may take.", orders.due)
    yield _gauge("kyc_orders_overdue", "Orders that no worker has taken within a minute.", orders.overdue)
    yield _gauge("kyc_orders_failing", "Orders that have failed and are tried on.", orders.failing)
    yield _gauge("kyc_orders_given_up", "Orders that an operator has to see to.", orders.given_up)


def _brokers(standing: Standing) -> Iterator[Metric]:
    behind = GaugeMetricFamily(
        "kyc_relay_backlog_events", "Events a broker was not told yet; 10000: at least.", labels=["broker"]
    )
    age = GaugeMetricFamily(
        "kyc_relay_backlog_age_seconds", "Age of the oldest event a broker was not told yet.", labels=["broker"]
    )
    unrouted = GaugeMetricFamily(
        "kyc_relay_unrouted_events", "Events a broker keeps that nobody there has asked for.", labels=["broker"]
    )
    parked = GaugeMetricFamily("kyc_commands_parked", "Commands that lie parked at a broker.", labels=["broker"])
    parked_age = GaugeMetricFamily(
        "kyc_commands_parked_age_seconds", "Time for which a command has always lain parked.", labels=["broker"]
    )
    for name, figures in standing.brokers.items():
        behind.add_metric([name], figures.behind)
        age.add_metric([name], figures.age)
        unrouted.add_metric([name], figures.unrouted)
        parked.add_metric([name], figures.parked)
        parked_age.add_metric([name], figures.parked_age)
    yield from (behind, age, unrouted, parked, parked_age)


def _lists(standing: Standing, wanted: tuple[str, ...]) -> Iterator[Metric]:
    there = GaugeMetricFamily("kyc_list_in_force", "Whether a list is in force that has to be.", labels=["list"])
    age = GaugeMetricFamily("kyc_list_age_seconds", "Time since a list was last confirmed.", labels=["list"])
    entries = GaugeMetricFamily("kyc_list_entries", "Entries of a list in force.", labels=["list"])
    for name in sorted({*wanted, *standing.lists}):
        there.add_metric([name], int(name in standing.lists))
    for name, figures in standing.lists.items():
        age.add_metric([name], figures.age)
        entries.add_metric([name], figures.entries)
    yield from (there, age, entries)
