"""The doorbell rings less often the more there is to tell, and never so seldom that somebody would notice."""

import pytest

from kyc_service.store.bells import LOG, ORDERS, pause


@pytest.mark.parametrize(("changes", "seconds"), [(1, 0.01), (5, 0.01), (10, 0.02), (25, 0.05), (1000, 0.05)])
def test_the_more_has_changed_the_longer_the_bell_rests(changes: int, seconds: float) -> None:
    assert pause(LOG, changes) == pytest.approx(seconds)


def test_workers_are_not_woken_more_often_than_before() -> None:
    assert pause(ORDERS, 0) == 0.05
