"""Arabic letters as names are romanised: what a letter sounds like depends on where it stands.

The script leaves short vowels out, so nothing here is exact; it is close enough for the consonants to be compared. Long
vowels are written, and a letter that may be vowel or consonant is taken for what it mostly is in its place. Persian and
Urdu write with the same letters and a few more.

Source: the romanisation tables for Arabic and Persian of the UN Group of Experts on Geographical Names, simplified.
"""

import re
from collections.abc import Mapping
from typing import Final

_LETTER: Final = "\u0620-\u063f\u0641-\u064a\u066e-\u06d3\u06d5"
_WORD: Final = re.compile(f"[{_LETTER}]+")
_ARTICLE: Final = re.compile(f"(?<![{_LETTER}])\u0627\u0644(?=[{_LETTER}]{{3}})")
_VOWELS: Final = str.maketrans(
    {
        "\u0627": "a", "\u0622": "a", "\u0623": "a", "\u0625": "i", "\u0649": "a", "\u0671": "a",  # the forms of alif
        "\u0639": "a",  # ayn, which no passport writes but for the vowel that it bears
        "\u0629": "ah", "\u06c0": "h", "\u06c2": "h",  # the ending of feminine words
        "\u0621": "", "\u0624": "u", "\u0626": "i",  # hamza
    }
)  # fmt: skip
_WAW: Final = "\u0648"
_YA: Final = re.compile("[\u064a\u06cc\u06d2]")
_CONSONANT_W: Final = re.compile(f"^{_WAW}(?!$)|{_WAW}(?=a)|(?<=a){_WAW}")
_CONSONANT_Y: Final = re.compile("^[\u064a\u06cc\u06d2](?!$)|[\u064a\u06cc\u06d2](?=a)|(?<=a)[\u064a\u06cc\u06d2]")
_LONG: Final = re.compile("a{2,}")


_ONE_LETTER: Final = str.maketrans({
    "\u0622": "\u0627", "\u0623": "\u0627", "\u0625": "\u0627", "\u0671": "\u0627",
    "\u0649": "\u064a", "\u06cc": "\u064a", "\u06a9": "\u0643", "\u0624": "\u0648", "\u0626": "\u064a",
    "\u0629": "\u0647", "\u200c": None,
})  # fmt: skip


def folded(word: str) -> str:
    """*word* with one letter for those that are often written for each other."""
    return word.translate(_ONE_LETTER)


def replaced(value: str, meanings: Mapping[str, str]) -> str:
    """*value* with every word of *meanings*, whose keys are `folded`, as what it means, with or without the article."""

    def meant(match: re.Match[str]) -> str:
        word = folded(match[0])
        found = meanings.get(word) or meanings.get(word.removeprefix("\u0627\u0644"))
        return f" {found} " if found else match[0]

    return _WORD.sub(meant, value)


def vocalised(value: str) -> str:
    """*value* with the article apart and its vowels in Latin letters; consonants and other scripts stay as they are.

    Points above and below the letters have to be gone.
    """
    return _WORD.sub(_sounded, _ARTICLE.sub("al ", value))


def _sounded(match: re.Match[str]) -> str:
    if match[0] == _WAW:
        return "wa"  # and
    word = match[0].translate(_VOWELS)
    word = _CONSONANT_Y.sub("y", _CONSONANT_W.sub("w", word))
    word = _YA.sub("i", word.replace(_WAW, "u"))
    return _LONG.sub("a", word)
