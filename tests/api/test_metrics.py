"""The metrics: right figures, on a port that clients of the API do not reach, and nobody's name or tenant in them."""

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from psycopg import sql
from starlette.testclient import TestClient

from kyc_service.settings import Settings
from tests.messaging.nodes import free_port

from .conftest import Bearer, Serving

APPLICATIONS = "/v1/kyc/applications"
LISTED = """
    insert into watchlists (source, latest, active, confirmed_at) values ('mine', 1, 1, now() - interval '2 hours');
    insert into watchlist_versions (source, number, status, digest, entries, added, changed, removed, problems, shown,
                                    reasons, statistics, files, imported_at)
    values ('mine', 1, 'active', 'd', 12345, 12345, 0, 0, 0, '[]', '[]', '{}', '[]', now());
"""
EVENT = """
    insert into events (tenant, stream, version, id, type, schema, at, data, meta, hash)
    values ('t', gen_random_uuid(), 1, gen_random_uuid(), %s, 1, now() - %s * interval '1 hour', %s, '{}',
            sha256('x'))
"""
Figures = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
Scrape = Callable[[], Figures]


def figure(figures: Figures, name: str, **labels: str) -> float | None:
    return figures.get((name, frozenset(labels.items())))


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def scrape(port: int) -> Scrape:
    """Reads the metrics as Prometheus does."""

    def scrape() -> Figures:
        wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
        answer = httpx2.get(f"http://127.0.0.1:{port}/metrics", headers=wanted)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    return scrape


@pytest.fixture
def measured(settings: Settings, port: int, serving: Serving, bearer: Bearer) -> Iterator[TestClient]:
    """A client of a service that works off its orders and serves its metrics; its broker never answers."""
    broker = {"event_broker_url": "amqp://guest:guest@127.0.0.1:1/", "inline_inbox": False}
    with serving(Settings.model_validate({**settings.model_dump(), **broker, "metrics_port": port})) as client:
        client.headers.update(bearer())
        yield client


def submitted(client: TestClient, form: Callable[..., dict[str, Any]]) -> str:
    answer = client.post(APPLICATIONS, json=form(), headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == 201, answer.text
    where = f"{APPLICATIONS}/{answer.json()['id']}"
    assert client.get(where, headers={"Prefer": "wait=20"}).json()["status"] == "VERIFIED"
    return where


def test_requests_are_counted_by_the_template_of_their_route(measured: TestClient, scrape: Scrape) -> None:
    for _ in range(2):
        measured.get(f"{APPLICATIONS}/{uuid4()}")
    measured.get("/wp-admin")
    measured.request("BREW", "/coffee")
    measured.get("/healthz")
    figures = scrape()
    template = f"{APPLICATIONS}/{{application_id}}"
    assert figure(figures, "kyc_http_requests_total", method="GET", route=template, status="4xx") == 2
    assert figure(figures, "kyc_http_requests_total", method="GET", route="none", status="4xx") == 1
    assert figure(figures, "kyc_http_requests_total", method="other", route="none", status="4xx") == 1
    assert figure(figures, "kyc_http_requests_total", method="GET", route="/healthz", status="2xx") == 1
    assert figure(figures, "kyc_http_request_duration_seconds_count", method="GET", route=template) == 2
    seconds = figure(figures, "kyc_http_request_duration_seconds_sum", method="GET", route=template)
    assert seconds is not None
    assert 0 < seconds < 20


def test_decisions_and_screenings_are_counted(
    measured: TestClient, scrape: Scrape, form: Callable[..., dict[str, Any]]
) -> None:
    submitted(measured, form)
    figures = scrape()
    assert figure(figures, "kyc_decisions_total", outcome="verified", evidence="simulated") == 1
    assert figure(figures, "kyc_events_appended_total", type="ApplicationSubmitted") == 1
    assert figure(figures, "kyc_screening_duration_seconds_count") == 1
    seconds = figure(figures, "kyc_screening_duration_seconds_sum")
    assert seconds
    assert 0 < seconds < 20


def test_what_a_broker_was_not_told_is_seen_with_its_age(measured: TestClient, scrape: Scrape, dsn: str) -> None:
    assert figure(scrape(), "kyc_relay_backlog_events", broker="rabbitmq") == 0
    cleared, open_ = '{"hits": [{"decision": "cleared"}]}', '{"hits": [{"decision": null}]}'
    told = ("ApplicationSubmitted", "{}"), ("AlertRaised", open_), ("HitReopened", "{}"), ("PersonScreened", open_)
    kept = ("CheckAnswered", "{}"), ("PersonScreened", '{"hits": []}'), ("PersonScreened", cleared)
    with psycopg.connect(dsn) as connection:
        for hours, (kind, data) in [(3, one) for one in kept] + [(1, one) for one in told]:
            connection.execute(EVENT, (kind, hours, data))
    figures = scrape()
    assert figure(figures, "kyc_relay_backlog_events", broker="rabbitmq") == len(told)
    assert figure(figures, "kyc_relay_backlog_age_seconds", broker="rabbitmq") == pytest.approx(3600, abs=60)
    assert figure(figures, "kyc_relay_unrouted_events", broker="rabbitmq") == 0


def test_what_lies_parked_is_seen_with_its_age(measured: TestClient, scrape: Scrape, dsn: str) -> None:
    assert figure(scrape(), "kyc_commands_parked", broker="rabbitmq") == 0
    assert figure(scrape(), "kyc_commands_parked_age_seconds", broker="rabbitmq") == 0
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into parked values ('rabbitmq', 3, now() - interval '1 hour', now())")
    figures = scrape()
    assert figure(figures, "kyc_commands_parked", broker="rabbitmq") == 3
    assert figure(figures, "kyc_commands_parked_age_seconds", broker="rabbitmq") == pytest.approx(3600, abs=60)


def test_the_lists_are_seen_with_their_age_and_size(
    settings: Settings, port: int, serving: Serving, scrape: Scrape, dsn: str
) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(LISTED)
    with serving(settings.model_copy(update={"metrics_port": port, "watchlists": ("mine", "un_sc")})):
        figures = scrape()
    assert figure(figures, "kyc_list_age_seconds", list="mine") == pytest.approx(7200, abs=60)
    assert figure(figures, "kyc_list_entries", list="mine") == 12345
    assert figure(figures, "kyc_list_in_force", list="mine") == 1
    assert figure(figures, "kyc_list_in_force", list="un_sc") == 0
    assert figure(figures, "kyc_list_age_seconds", list="un_sc") is None
    assert figure(figures, "kyc_list_max_age_seconds") == 72 * 3600


def test_orders_are_seen_as_they_stand(quiet: Settings, port: int, serving: Serving, scrape: Scrape, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        for due, dead, failures in (
            ("0 seconds", None, 0),
            ("2 minutes", None, 3),
            ("-1 hour", None, 1),
            ("-365 days", None, 0),
            ("1 hour", "now", 4),
        ):
            connection.execute(
                "insert into orders (tenant, id, stream, kind, payload, created_at, due_at, dead_at, failures)"
                " values ('t', gen_random_uuid(), gen_random_uuid(), 'Enrol', '{}', now(), now() - %s::interval,"
                " %s::timestamptz, %s)",
                (due, dead, failures),
            )
    with serving(quiet.model_copy(update={"metrics_port": port})):
        figures = scrape()
    names = ("kyc_orders_due", "kyc_orders_overdue", "kyc_orders_failing", "kyc_orders_given_up")
    assert [figure(figures, name) for name in names] == [2, 1, 2, 1]


def test_a_scrape_survives_the_database(measured: TestClient, scrape: Scrape, dsn: str, server: str) -> None:
    assert figure(scrape(), "kyc_database_up") == 1
    name = sql.Identifier(str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]))
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(sql.SQL("alter database {} allow_connections false").format(name))
        try:
            figures = scrape()
        finally:
            owner.execute(sql.SQL("alter database {} allow_connections true").format(name))
    assert figure(figures, "kyc_database_up") == 0
    assert figure(figures, "kyc_orders_due") is None
    assert figure(figures, "process_start_time_seconds")
    assert figure(scrape(), "kyc_database_up") == 1


def test_however_many_scrape_at_a_time_they_take_one_connection(measured: TestClient, scrape: Scrape, dsn: str) -> None:
    reading = """
        select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'kyc-system' and query like '%backlogs(%'
    """
    with psycopg.connect(dsn) as holding, psycopg.connect(dsn, autocommit=True) as looking:
        holding.execute("lock table watchlists in access exclusive mode")  # nobody gets an answer for two seconds
        with ThreadPoolExecutor(2) as threads:
            scrapes = [threads.submit(scrape) for _ in range(2)]
            seen = set()
            while not all(one.done() for one in scrapes):
                seen.add(looking.execute(reading).fetchone())
            assert [figure(one.result(), "kyc_database_up") for one in scrapes] == [0, 0]
    assert max(seen) == (1,)


def test_clients_of_the_api_do_not_reach_them(measured: TestClient, api: TestClient) -> None:
    for client in (measured, api):
        assert client.get("/metrics").status_code == 404


def test_nothing_is_served_unless_a_port_is_given(quiet: Settings, port: int, serving: Serving) -> None:
    assert quiet.metrics_port is None
    with serving(quiet), pytest.raises(httpx2.ConnectError):
        httpx2.get(f"http://127.0.0.1:{port}/metrics")


def test_labels_have_few_values_and_name_nobody(
    measured: TestClient, scrape: Scrape, form: Callable[..., dict[str, Any]]
) -> None:
    where = submitted(measured, form)
    measured.post(f"{APPLICATIONS}:search", json={"email": "alice@example.com"})
    measured.get(f"{where}/history?details=true")
    told = "\n".join(f"{name} {sorted(labels)}" for name, labels in scrape())
    for secret in ("alice", "sandbox\\b", "u-1", "shop", where.rpartition("/")[2], r"[0-9a-f]{8}-[0-9a-f]{4}-"):
        assert not re.search(secret, told.replace("('evidence', 'sandbox')", "")), secret


def families(figures: Figures) -> set[str]:
    """Our names, without what the kind of a metric adds to them."""
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name, _ in figures if name.startswith("kyc_")}


@pytest.fixture
def complete(measured: TestClient, scrape: Scrape, form: Callable[..., dict[str, Any]], dsn: str) -> set[str]:
    """The names of a service that has everything."""
    submitted(measured, form)
    with psycopg.connect(dsn) as connection:
        connection.execute(LISTED)
    measured.app.state.kyc.metrics.watched({"screened": 1}, 0)  # type: ignore[attr-defined]  # at the next round
    measured.app.state.kyc.metrics.analysed("read", 1.0)  # type: ignore[attr-defined]  # no picture was sent
    return families(scrape())


def test_every_metric_is_documented_and_no_other(complete: set[str], repository: Path) -> None:
    page = (repository / "docs/operations.md").read_text(encoding="utf-8")
    _, _, section = page.partition("### Metrics")
    assert set(re.findall(r"^\| `(kyc_[a-z_]+)", section.partition("\n## ")[0], re.MULTILINE)) == complete


def test_every_metric_of_the_rules_exists(complete: set[str], repository: Path) -> None:
    rules = yaml.safe_load((repository / "deploy/prometheus/kyc.rules.yaml").read_text(encoding="utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) > 5
    for rule in alerts:
        used = {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"\bkyc_[a-z_]+", rule["expr"])}
        assert used, rule
        assert used <= complete, rule
        assert rule["annotations"]["summary"]
