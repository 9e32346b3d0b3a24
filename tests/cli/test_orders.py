"""`kyc orders`: what is stuck is seen, and tried again when an operator wants it."""

import json
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from click.testing import Result

Kyc = Callable[..., Result]
Add = Callable[[str], UUID]

NOW = "clock_timestamp()"


@pytest.fixture
def add(dsn: str) -> Iterator[Add]:
    """Puts an order of a kind into the list, in whatever state."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def add(state: str) -> UUID:
            order = uuid4()
            connection.execute(
                "insert into orders (tenant, id, stream, kind, payload, created_at, due_at)"
                " values ('t', %s, gen_random_uuid(), 'LapseCompletion', '{}', clock_timestamp(), clock_timestamp())",
                (order,),
            )
            connection.execute(f"update orders set {state} where id = '{order}'")
            return order

        yield add


DEAD = f"dead_at = {NOW}, failures = 4, last_error = 'VENDOR_FAULT'"
FAILING = f"failures = 2, last_error = 'VENDOR_TIMEOUT', due_at = {NOW} + interval '1 hour'"
OVERDUE = f"due_at = {NOW} - interval '5 minutes'"
HELD = f"failures = 1, due_at = {NOW} + interval '1 minute', leased_until = {NOW} + interval '1 minute', lease = 7"
DONE = f"done_at = {NOW}, failures = 3"
FRESH = f"due_at = {NOW}"
LATER = f"due_at = {NOW} + interval '14 days'"


@pytest.mark.parametrize(("state", "name"), [(DEAD, "dead"), (FAILING, "failing"), (OVERDUE, "overdue")])
def test_work_that_needs_attention_is_listed(kyc: Kyc, add: Add, state: str, name: str) -> None:
    order = add(state)
    listed = json.loads(kyc("orders", "list", "-o", "json").stdout)
    assert [(one["id"], one["state"], one["tenant"]) for one in listed] == [(str(order), name, "t")]
    assert kyc("orders", "list").stdout.startswith(f"{name:<8} {order}")


@pytest.mark.parametrize("state", [DONE, FRESH, LATER])
def test_work_that_goes_its_way_is_not_listed(kyc: Kyc, add: Add, state: str) -> None:
    add(state)
    assert kyc("orders", "list").stdout == "no order needs attention\n"
    assert json.loads(kyc("orders", "list", "-o", "json").stdout) == []


def test_only_as_many_as_wanted_are_listed(kyc: Kyc, add: Add) -> None:
    for _ in range(3):
        add(DEAD)
    assert len(json.loads(kyc("orders", "list", "--limit", "2", "-o", "json").stdout)) == 2


@pytest.mark.parametrize("state", [DEAD, FAILING, OVERDUE])
def test_a_retried_order_is_due_at_once_with_all_its_retries(kyc: Kyc, add: Add, dsn: str, state: str) -> None:
    order = add(state)
    result = kyc("orders", "retry", str(order))
    assert (result.exit_code, result.stdout) == (0, "")
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(
            "select failures, dead_at, due_at <= clock_timestamp() from orders where id = %s", (order,)
        )
        assert cursor.fetchone() == (0, None, True)
        assert connection.execute("select id from lease_orders(10, 5)").fetchall() == [(order,)]


@pytest.mark.parametrize("state", [HELD, DONE])
def test_an_order_that_is_held_or_done_is_left_alone(kyc: Kyc, add: Add, dsn: str, state: str) -> None:
    order = add(state)
    with psycopg.connect(dsn, autocommit=True) as connection:
        before = connection.execute("select * from orders").fetchall()
        result = kyc("orders", "retry", str(order))
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert connection.execute("select * from orders").fetchall() == before


def test_an_order_that_does_not_exist_is_not_retried(kyc: Kyc) -> None:
    result = kyc("orders", "retry", str(uuid4()))
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


def test_what_is_no_id_is_wrong_usage(kyc: Kyc) -> None:
    assert kyc("orders", "retry", "all").exit_code == 2
