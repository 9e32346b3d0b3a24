"""Names that stand for each other: nicknames, and what one name became in other languages and scripts.

The groups come from Wikidata (CC0) and from `data/nicknames.txt`; `scripts/compile_names.py` compiles them.
"""

from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kyc_service.domain.record import record

_FILE: Final = "name_groups.npz"


@record
class NameGroups:
    """The hash of every form, in order, and beside it the number of a group that it belongs to."""

    hashes: NDArray[np.uint64]
    groups: NDArray[np.int32]

    def of(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """All memberships of the tokens with these hashes, as (place in *hashes*, group)."""
        first = np.searchsorted(self.hashes, hashes, "left")
        count = np.searchsorted(self.hashes, hashes, "right") - first
        places = np.repeat(np.arange(len(hashes)), count)
        within = np.arange(len(places)) - np.repeat(np.cumsum(count) - count, count)
        return places, self.groups[first[places] + within]


@lru_cache(maxsize=1)
def name_groups() -> NameGroups:
    """The groups that come with the engine."""
    with files(__package__).joinpath("data", _FILE).open("rb") as file, np.load(file) as arrays:
        return NameGroups(hashes=arrays["hashes"], groups=arrays["groups"])
