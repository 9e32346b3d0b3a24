"""What a process counts of itself, for Prometheus. No figure and no label names a person or a tenant.

Each process has one `Metrics`, which `bootstrap` makes and hands to whoever has something to count; `api.metrics`
serves them. docs/operations.md lists every name.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SCREENING_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
ANALYSIS_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)


class Metrics:
    """The counters and histograms of one process, and the registry that holds them."""

    def __init__(self, *, version: str, engine: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each, for nobody
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("kyc_build", "Release of the service, and version of the screening engine.", registry=registry).info(
            {"version": version, "engine": engine}
        )
        self._requests = Counter(
            "kyc_http_requests",
            "Requests answered, by the template of the route and the class of the status.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "kyc_http_request_duration_seconds",
            "How long requests took.",
            ("method", "route"),
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._events = Counter("kyc_events_appended", "Events appended to the log.", ("type",), registry=registry)
        self._decisions = Counter(
            "kyc_decisions",
            "Applications that ended, by how they ended and on what that rests.",
            ("outcome", "evidence"),
            registry=registry,
        )
        self._screening_seconds = Histogram(
            "kyc_screening_duration_seconds",
            "How long asking every list about one person took.",
            buckets=SCREENING_SECONDS,
            registry=registry,
        )
        self._watched = Counter(
            "kyc_watch_people",
            "People who are watched, each time by what a round did.",
            ("outcome",),
            registry=registry,
        )
        self._new_hits = Counter("kyc_watch_hits", "New hits of people who are watched.", registry=registry)
        self._analyses = Counter(
            "kyc_engine_analyses",
            "Pictures given to the document engine, by what came of it.",
            ("outcome",),
            registry=registry,
        )
        self._analysis_seconds = Histogram(
            "kyc_engine_analysis_duration_seconds",
            "How long pictures took that were read, the wait for their turn included.",
            buckets=ANALYSIS_SECONDS,
            registry=registry,
        )
        self._removed = Counter("kyc_upkeep_removed_rows", "Rows removed whose time had passed.", registry=registry)

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """A request was answered; without a route nobody was responsible for it, without a status it broke off."""
        known, place = (method if method in METHODS else "other"), route or "none"
        self._requests.labels(known, place, f"{status // 100}xx" if status else "none").inc()
        self._request_seconds.labels(known, place).observe(seconds)

    def appended(self, events: Iterable[str]) -> None:
        """Events of these types are in the log."""
        for kind, count in Tally(events).items():
            self._events.labels(kind).inc(count)

    def decided(self, outcome: str, evidence: str) -> None:
        """An application has ended."""
        self._decisions.labels(outcome, evidence).inc()

    def screened(self, seconds: float) -> None:
        """Every list was asked about one person."""
        self._screening_seconds.observe(seconds)

    def watched(self, outcomes: Mapping[str, int], hits: int) -> None:
        """So many people of each outcome had their turn, with so many new hits."""
        for outcome, people in outcomes.items():
            self._watched.labels(outcome).inc(people)
        self._new_hits.inc(hits)

    def analysed(self, outcome: str, seconds: float) -> None:
        """The engine was given a picture."""
        self._analyses.labels(outcome).inc()
        if outcome == "read":
            self._analysis_seconds.observe(seconds)

    def removed(self, rows: int) -> None:
        """Upkeep removed so many rows."""
        self._removed.inc(rows)
