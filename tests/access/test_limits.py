"""How much one client may ask."""

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from kyc_service.access.limits import BURST_SECONDS, Limits


class Clock:
    """A time that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_client_that_paused_may_send_a_burst_and_then_as_much_as_the_rate(clock: Clock) -> None:
    limits = Limits(4, clock)
    assert [limits.wait("a") for _ in range(8)] == [0] * 8
    assert limits.wait("a") == 0.25
    clock.now += 0.25
    assert (limits.wait("a"), limits.wait("a")) == (0, 0.25)


def test_one_client_does_not_cost_another(clock: Clock) -> None:
    limits = Limits(0.5, clock)
    assert limits.wait(("acme", "anna")) == 0
    assert limits.wait(("acme", "anna")) == 2
    assert limits.wait(("acme", "bert")) == limits.wait(("globex", "anna")) == 0


@for_all(
    st.sampled_from([0.25, 1, 4, 64]),
    st.lists(st.sampled_from([0.0, 0.125, 0.5, 2.0, 16.0]), min_size=1, max_size=80),
)
def test_no_pattern_of_requests_gets_more_than_a_burst_and_the_rate(rate: float, pauses: list[float]) -> None:
    clock = Clock()
    limits = Limits(rate, clock)
    began, admitted = clock.now, 0
    for pause in pauses:
        clock.now += pause
        wait = limits.wait("a")
        admitted += not wait
        if wait:
            assert limits.wait("a") == wait, "asking again costs nothing"
        assert admitted <= max(BURST_SECONDS * rate, 1) + (clock.now - began) * rate


@for_all(st.sampled_from([0.25, 1, 4, 64]), st.integers(1, 50))
def test_whoever_waits_as_long_as_told_is_admitted(rate: float, number: int) -> None:
    clock = Clock()
    limits = Limits(rate, clock)
    for _ in range(number):
        clock.now += limits.wait("a")
    assert limits.wait("b") == 0


def test_the_memory_is_bounded_and_forgets_whom_it_does_not_harm(clock: Clock) -> None:
    limits = Limits(1, clock, most=100)
    for client in range(100):
        limits.wait(client)
    clock.now += 10
    for _ in range(2):
        limits.wait("busy")
    for client in range(100, 1000):
        limits.wait(client)
        assert len(limits._full_at) <= 101
    assert limits.wait("busy") > 0, "the busiest is the last to be forgotten"
