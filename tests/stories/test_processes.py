"""`kyc serve` and `kyc worker` as processes: they share the work, and they stop like well-behaved ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import Protocol
from uuid import uuid4

import httpx2
import psycopg
import pytest

from kyc_service.vendors.simulated import Magic, magic_file_id
from tests.messaging.nodes import free_port


class Service(Protocol):
    """A process of the fixture `start`."""

    url: str
    port: int
    pid: int

    def stop(self, seconds: float = 30) -> int: ...
    def wait(self, seconds: float = 30) -> int: ...
    def running(self) -> bool: ...


Start = Callable[..., Service]
Token = Callable[..., str]


@pytest.fixture
def bearer(token: Token) -> Mapping[str, str]:
    """The header of somebody who may submit."""
    return {"Authorization": f"Bearer {token('submitter')}"}


def submit(service: Service, bearer: Mapping[str, str], magic: Magic, **headers: str) -> httpx2.Response:
    """One application, which does what *magic* says."""
    document = {"doc_type": "PASSPORT", "file_id": str(magic_file_id(magic)), "issued_country": "NL"}
    body = {"user_id": str(uuid4()), "email": "anna@example.com", "documents": [document]}
    url = f"{service.url}/v1/kyc/applications"
    return httpx2.post(url, json=body, headers={**bearer, **headers}, timeout=40)


def test_one_process_does_everything_in_development(start: Start, bearer: Mapping[str, str]) -> None:
    service = start("serve", serving=True)
    answer = submit(service, bearer, Magic.VERIFIED, Prefer="wait=30")
    assert (answer.status_code, answer.json()["status"]) == (201, "VERIFIED")
    assert service.stop() == 0


def test_a_service_that_reloads_its_code_works_like_any_other(start: Start, bearer: Mapping[str, str]) -> None:
    service = start("serve", "--reload", serving=True)
    answer = submit(service, bearer, Magic.VERIFIED, Prefer="wait=30")
    assert (answer.status_code, answer.json()["status"]) == (201, "VERIFIED")
    assert service.stop() == 0


def test_the_work_can_be_left_to_another_process(start: Start, bearer: Mapping[str, str]) -> None:
    api = start("serve", "--no-worker", serving=True)
    answer = submit(api, bearer, Magic.VERIFIED, Prefer="wait=1")
    assert answer.json()["status"] == "IN_PROGRESS"
    worker = start("worker")
    url = f"{api.url}{answer.headers['location']}"
    over = httpx2.get(url, headers={**bearer, "Prefer": "wait=30"}, timeout=40)
    assert over.json()["status"] == "VERIFIED"
    assert (worker.stop(), api.stop()) == (0, 0)


def test_a_request_in_flight_is_answered_before_the_service_stops(start: Start, bearer: Mapping[str, str]) -> None:
    api = start("serve", "--no-worker", serving=True)
    location = submit(api, bearer, Magic.VERIFIED).headers["location"]
    with closing(HTTPConnection("127.0.0.1", api.port, timeout=40)) as connection:
        connection.request("GET", location, headers={**bearer, "Prefer": "wait=3"})  # sent whole, its answer not read
        httpx2.get(f"{api.url}/healthz")  # a later connection is answered: the earlier one was taken in
        code = api.stop()
        assert (connection.getresponse().status, code) == (200, 0)


def test_a_worker_holds_on_to_its_work_until_it_is_told_twice(
    start: Start, bearer: Mapping[str, str], dsn: str
) -> None:
    api = start("serve", "--no-worker", serving=True)
    worker = start("worker", KYC_VENDOR_TIMEOUT_SECONDS="600")
    submit(api, bearer, Magic.HANGS)
    with psycopg.connect(dsn, autocommit=True) as connection:
        held = "select lease, leased_until from orders where leased_until is not null and done_at is null"
        deadline = time.monotonic() + 60
        while (taken := connection.execute(held).fetchone()) is None:
            assert worker.running()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(subprocess.TimeoutExpired):
            worker.stop(seconds=3)  # longer than its lease
        renewed = connection.execute(held).fetchone()
        assert renewed
        assert (renewed[0], renewed[1] > taken[1]) == (taken[0], True)
        assert worker.stop() == 0
        assert connection.execute("select count(*) from orders where done_at is null").fetchone() == (1,)


def test_a_taken_port_is_one_line(start: Start, dsn: str) -> None:
    service = start("serve", serving=True)
    second = subprocess.run(
        [sys.executable, "-m", "kyc_service.cli.main", "serve", "--port", str(service.port)],
        env={"KYC_DB_DSN": dsn},
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr.splitlines() == [
        f"kyc: Port {service.port} of 127.0.0.1 cannot be served: Address already in use. Try --port."
    ]


def test_ctrl_c_stops_the_service(start: Start) -> None:
    service = start("serve", serving=True)
    os.kill(service.pid, signal.SIGINT)
    assert service.wait() == 0


def test_a_server_that_is_stopped_lets_the_listeners_of_the_feed_go(start: Start, bearer: Mapping[str, str]) -> None:
    service = start("serve", "--no-worker", serving=True)
    headers = {**bearer, "Accept": "text/event-stream"}
    with httpx2.stream("GET", f"{service.url}/v1/kyc/events", headers=headers, timeout=20) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        assert service.stop(10) == 0  # an open answer would hold it for as long as requests may take to finish
        assert all(line == "" or line.startswith((":", "id:")) for line in lines)


def test_a_worker_tells_its_figures_while_it_works(start: Start, bearer: Mapping[str, str]) -> None:
    port = free_port()
    worker = start("worker", KYC_METRICS_PORT=str(port))
    service = start("serve", "--no-worker", serving=True)
    submit(service, bearer, Magic.VERIFIED)
    told = ""
    deadline = time.monotonic() + 30
    while 'outcome="verified"} 1.0' not in told:
        assert worker.running()
        assert time.monotonic() < deadline, told
        with suppress(httpx2.ConnectError):
            told = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
    assert "kyc_database_up 1.0" in told
    assert 'kyc_events_appended_total{type="ApplicationSubmitted"}' not in told, "that was the other process"
    assert worker.stop() == 0
