"""The whole service with a broker: what it tells, what it shows, and what it never lets out."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from bus import Consumer, conforms
from crowdpay_contracts.envelope import parse_event
from nodes import RabbitNode
from starlette.testclient import TestClient

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.api.main import create_app
from kyc_service.settings import Settings
from kyc_service.vendors.simulated import Magic, magic_file_id

CANARIES = ("Quetzalcoatlus", "Xenophilius", "quetzal@canary.example", "Zyzzyva Lane 4711", "1911-11-11", "parrot")
WALKS = (Magic.VERIFIED, Magic.EXPIRED, Magic.EVERY_VENDOR_DOWN, Magic.MISMATCH)


@pytest.fixture
def bearer(settings: Settings) -> Mapping[str, str]:
    """Everybody at once."""
    issuer = DevelopmentIssuer(settings)
    token = issuer.issue(
        "sandbox", ("submitter", "reader", "reviewer", "subscriber"), "u-1", "shop", timedelta(minutes=10)
    )
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def environment(dsn: str, rabbit: RabbitNode, tmp_path: Path) -> Mapping[str, str]:
    """What a process of the service finds in its environment."""
    return {**os.environ, "KYC_DB_DSN": dsn, "KYC_STATE_DIR": str(tmp_path), "KYC_EVENT_BROKER_URL": rabbit.url}


@pytest.fixture
def served(settings: Settings, rabbit: RabbitNode) -> Iterator[TestClient]:
    """The one process of development: API, worker and relay."""
    told = settings.model_copy(update={"event_broker_url": type(settings.db_dsn)(rabbit.url)})
    with TestClient(create_app(told), base_url="http://kyc.test") as client:
        yield client


def submission(magic: Magic) -> Mapping[str, object]:
    """An application of somebody whom nobody on the bus may know."""
    return {
        "user_id": str(uuid4()),
        "email": CANARIES[2],
        "documents": [{"doc_type": "PASSPORT", "file_id": str(magic_file_id(magic)), "issued_country": "NL"}],
        "applicant": {
            "given_names": CANARIES[1],
            "family_name": CANARIES[0],
            "birth_date": CANARIES[4],
            "address": {"lines": [CANARIES[3]], "city": "Delft", "postal_code": "2611", "country": "NL"},
        },
    }


def test_no_personal_data_reaches_the_bus(served: TestClient, rabbit: RabbitNode, bearer: Mapping[str, str]) -> None:
    consumer = Consumer(rabbit.url)
    identities = []
    for magic in WALKS:
        answer = served.post("/v1/kyc/applications", json=submission(magic), headers=bearer)
        assert answer.status_code == 201, answer.text
        identities.append(answer.json()["id"])
    found = []
    ended: dict[str, str] = {}
    deadline = time.monotonic() + 60
    while len(ended) < len(WALKS):
        assert time.monotonic() < deadline, ended
        for identity in identities:
            seen = served.get(f"/v1/kyc/applications/{identity}", headers=bearer).json()
            if seen["awaiting"] == "review":
                decision = {
                    "decision": "reject",
                    "reason": "CASE_REVIEW_REJECTED",
                    "note": f"the {CANARIES[5]} says so",
                }
                served.post(f"/v1/kyc/applications/{identity}/review", json=decision, headers=bearer)
        for taken in consumer.taken():
            found.append(taken)
            event = parse_event(taken[2])
            if event.type != "KYC_CREATED":
                ended[str(event.subject)] = event.type
        time.sleep(0.1)
    assert {"KYC_VERIFIED", "KYC_REJECTED", "KYC_ROLLBACK"} <= set(ended.values())
    assert len(found) == 2 * len(WALKS)
    for method, properties, body in found:
        conforms(method.routing_key, body)
        everything = json.dumps([method.routing_key, method.exchange, repr(properties), body.decode()]).lower()
        for canary in CANARIES:
            assert canary.lower() not in everything
        assert str(magic_file_id(Magic.VERIFIED)) not in everything
    feed = served.get("/v1/kyc/events", headers=bearer)
    bodies = sorted((body for _, _, body in found), key=lambda body: parse_event(body).sequence)
    assert feed.content == b"[" + b",".join(bodies) + b"]"
    while (shown := served.get("/readyz").json()["brokers"]["rabbitmq"])["behind"]:  # the position is saved a bit later
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert shown == {"behind": 0, "age_seconds": 0.0, "unrouted": 0, "parked": 0, "parked_age_seconds": 0.0}


@pytest.mark.parametrize(("url", "name"), [("amqp://127.0.0.1:1/", "rabbitmq"), ("kafka://127.0.0.1:1", "kafka")])
def test_a_broker_that_is_away_makes_nothing_unready(
    settings: Settings, bearer: Mapping[str, str], url: str, name: str
) -> None:
    away = settings.model_copy(update={"event_broker_url": type(settings.db_dsn)(url)})
    with TestClient(create_app(away), base_url="http://kyc.test") as client:
        answer = client.post("/v1/kyc/applications", json=submission(Magic.VERIFIED), headers=bearer)
        assert answer.status_code == 201
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["brokers"][name]["behind"] >= 1
        assert ready.json()["brokers"][name]["age_seconds"] >= 0


def test_what_lies_parked_is_shown_to_whoever_asks_for_readiness(settings: Settings, dsn: str) -> None:
    away = settings.model_copy(update={"event_broker_url": type(settings.db_dsn)("amqp://127.0.0.1:1/")})
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into parked values ('rabbitmq', 3, now() - interval '1 hour', now())")
    with TestClient(create_app(away), base_url="http://kyc.test") as client:
        ready = client.get("/readyz")
    shown = ready.json()["brokers"]["rabbitmq"]
    assert (ready.status_code, shown["parked"]) == (200, 3)
    assert shown["parked_age_seconds"] >= 3600


def test_kyc_relay_tells_and_stops_when_it_is_told_to(
    settings: Settings, rabbit: RabbitNode, bearer: Mapping[str, str], environment: Mapping[str, str]
) -> None:
    consumer = Consumer(rabbit.url)
    with TestClient(create_app(settings), base_url="http://kyc.test") as client:
        client.post("/v1/kyc/applications", json=submission(Magic.VERIFIED), headers=bearer)
    relay = subprocess.Popen([sys.executable, "-m", "kyc_service.cli.main", "relay"], env=dict(environment))
    try:
        found: list[bytes] = []
        deadline = time.monotonic() + 60
        while not found:
            assert time.monotonic() < deadline
            assert relay.poll() is None
            found += [body for _, _, body in consumer.taken()]
            time.sleep(0.1)
        assert parse_event(found[0]).type == "KYC_CREATED"
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(30) == 0
    finally:
        relay.kill()
        relay.wait()


@pytest.mark.parametrize(
    ("command", "url", "code", "said"),
    [
        ("relay", "", 1, "kyc: There is no broker to tell: set KYC_EVENT_BROKER_URL."),
        ("inbox", "", 1, "kyc: There is no broker to take commands from: set KYC_EVENT_BROKER_URL."),
        ("relay", "ftp://user:secret@host/", 2, "kyc: KYC_EVENT_BROKER_URL: an address begins with one of"),
        ("inbox", "amqp://user:secret@/", 2, "kyc: KYC_EVENT_BROKER_URL: an address names no host."),
    ],
)
def test_relay_and_inbox_say_in_one_line_what_is_missing(
    command: str, url: str, code: int, said: str, dsn: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "kyc_service.cli.main", command],
        env={**os.environ, "KYC_DB_DSN": dsn, "KYC_STATE_DIR": str(tmp_path), "KYC_EVENT_BROKER_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code
    assert ended.stderr.startswith(said)
    assert "secret" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
