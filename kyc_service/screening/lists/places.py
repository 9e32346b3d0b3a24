"""Countries as lists write them, as ISO 3166-1 alpha-2 codes in lower case. Pure, but for one table read from a file.

`countries.txt` holds the names, inverted names and nationalities that the publishers use.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

# What a list writes where it knows of no country.
NOWHERE = frozenset({"", "-0-", "00", "n/a", "none identified", "undetermined", "unknown", "stateless", "xx", "zz"})
WITHDRAWN: Mapping[str, str] = {"cs": "rs", "yu": "rs", "bu": "mm", "zr": "cd", "tp": "tl", "uk": "gb"}
BRACKETED = re.compile(r"\s*\([^)]*\)\s*$")


class CountryUnknown(ValueError):
    """The list names a country that we cannot place."""


def country(text: str | None) -> str | None:
    """The code of the country that *text* names, by code, name or nationality; None where it names none.

    Raises:
        CountryUnknown: it names one, and we do not know which.
    """
    name = _folded(text or "")
    if name in NOWHERE or name.startswith("former "):
        return None
    known = _names()
    if len(name) == 2 and name.isalpha():
        code = WITHDRAWN.get(name, name)
        if code in known.values():
            return code
    for candidate in (name, BRACKETED.sub("", name), name.removesuffix(" citizenship"), name.removeprefix("the ")):
        if candidate in known:
            return known[candidate]
    if name.startswith("region: "):  # a part of the world that is no country
        return None
    raise CountryUnknown(text)


def _folded(text: str) -> str:
    return " ".join(text.replace("’", "'").split()).casefold().rstrip(".")


@cache
def _names() -> Mapping[str, str]:
    lines = (files("kyc_service.screening.lists") / "countries.txt").read_text(encoding="utf-8").splitlines()
    return {
        _folded(name): code for code, _, names in (line.partition(" ") for line in lines) for name in names.split("|")
    }
