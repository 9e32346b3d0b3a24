"""The collector of cycles while the application serves: rarely, and as before afterwards."""

import gc

from kyc_service.collector import YOUNG_OBJECTS
from kyc_service.settings import Settings

from .conftest import Serving


def test_the_collector_comes_rarely_while_the_application_serves(quiet: Settings, serving: Serving) -> None:
    before = gc.get_threshold()
    with serving(quiet):
        assert gc.get_threshold() == (YOUNG_OBJECTS, *before[1:])
        assert gc.get_freeze_count() > 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
