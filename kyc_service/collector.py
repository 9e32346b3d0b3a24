"""The collector of cycles in a process that serves: rarely, because nearly everything goes without it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG_OBJECTS = 50_000  # between two visits; some megabytes


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """What is here now stays, and need not be looked at again at every turn; nor is every 700 new objects a reason to.

    The first is a sixth of an HTTP request, the second a tenth of a submission and a sixth of what is relayed.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
