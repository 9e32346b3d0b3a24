"""How much one client may ask: a token bucket for each, in the memory of this process.

A bucket is one number, the moment at which it is full again (the generic cell rate algorithm of ITU-T I.371): nothing
runs in the background, and an admitted request costs a look and a store in a dictionary.
"""

import time
from collections.abc import Callable, Hashable

BURST_SECONDS = 2.0  # a client that paused may send at once what it may send in so many seconds
MOST_CLIENTS = 10_000


class Limits:
    """Token buckets of *rate* requests a second, by client."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic, most: int = MOST_CLIENTS) -> None:
        self._interval = 1 / rate
        self._tolerance = max(BURST_SECONDS - self._interval, 0.0)
        self._clock = clock
        self._most = most
        self._full_at: dict[Hashable, float] = {}

    def wait(self, client: Hashable) -> float:
        """0 if the request is admitted, else the seconds until one would be."""
        now = self._clock()
        full_at = self._full_at.get(client, now)
        full_at = max(full_at, now)
        early = full_at - now - self._tolerance
        if early > 0:
            return early
        self._full_at[client] = full_at + self._interval
        if len(self._full_at) > self._most:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full, which changes nothing; if all are in use, also the fuller half of them."""
        kept = {client: full_at for client, full_at in self._full_at.items() if full_at > now}
        if len(kept) > self._most // 2:
            kept = dict(sorted(kept.items(), key=lambda one: one[1])[len(kept) - self._most // 2 :])
        self._full_at = kept
