"""What happens to names, written a second time: other habits than those that the model is trained on.

Nothing here is shared with `scripts.noise`, neither tables nor rules nor dice, so that a benchmark made of it tells
whether the model has learnt names or the generator of its noise.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import Final

from kyc_service.screening.entries import Birth, Kind
from scripts.noise import Change, Habits, Noise

# ── Names of people ───────────────────────────────────────────────────────────────────────────────────────────────
_KEYS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS: Final[Mapping[str, str]] = {
    key: "".join(
        other
        for number in (row - 1, row, row + 1)
        if 0 <= number < len(_KEYS)
        for other in _KEYS[number][max(place - 1, 0) : place + 2]
        if other != key
    )
    for row, keys in enumerate(_KEYS)
    for place, key in enumerate(keys)
}


def _mistyped(name: str, random: Random) -> str:
    """A key beside the right one, a key too often, or not hit."""
    places = [place for place, letter in enumerate(name) if letter.lower() in _NEIGHBOURS]
    if len(places) < 4:
        return name
    at = random.choice(places)
    typed = random.choice((random.choice(_NEIGHBOURS[name[at].lower()]), name[at] * 2, ""))
    return name[:at] + typed + name[at + 1 :]


def _mistyped_twice(name: str, random: Random) -> str:
    return _mistyped(_mistyped(name, random), random)


def _as_on_a_form(name: str, random: Random) -> str:
    *given, family = name.replace(",", "").split()
    if not given:
        return name
    first = " ".join(given)
    return random.choice((f"{family.upper()}, {first}", f"{family} {first}", f"{first} {family.upper()}"))


def _first_and_last(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    if len(words) < 3:
        return name
    return " ".join((words[0], words[-1]) if random.random() < 0.6 else words[:-1])


_ALSO: Final = ("Carlos", "Mohammed", "Sergeevich", "Elena", "Singh", "Prof.", "Kumar", "Jean", "Haji", "Peter", "Mrs")


def _with_another(name: str, random: Random) -> str:
    first, *rest = name.replace(",", "").split()
    return " ".join((first, random.choice(_ALSO), *rest))


def _with_initials(name: str, random: Random) -> str:
    *given, family = name.replace(",", "").split()
    return "".join(f"{word[0]}.{random.choice(('', ' '))}" for word in given) + f" {family}"


_MISREAD: Final = (
    ("li", "h"), ("vv", "w"), ("w", "vv"), ("i", "j"), ("t", "f"), ("f", "t"), ("nn", "m"), ("d", "cl"), ("g", "9"),
    ("z", "2"), ("q", "g"), ("a", "o"), ("e", "o"), ("y", "v"), ("ti", "n"), ("r", "n"), ("k", "lc"), ("o", "Q"),
)  # fmt: skip


def _misread(name: str, random: Random) -> str:
    seen = random.choice([pair for pair in _MISREAD if pair[0] in name] or [("", "")])
    return name.replace(*seen, 1)


_SPELT_OUT: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa", "æ": "ae"})


def _in_a_zone(name: str, random: Random) -> str:
    """As ICAO 9303 has it in the machine-readable zone of a passport."""
    del random
    plain = unicodedata.normalize("NFKD", name.lower().translate(_SPELT_OUT)).encode("ascii", "ignore").decode()
    return " ".join(re.findall("[A-Z]+", plain.upper().replace("'", "")))[:39]


# How an official of another country writes down what they hear.
_HEARD: Final = (
    (("sh", "sz"), ("ch", "cz"), ("v", "w"), ("zh", "z"), ("y", "j"), ("kh", "ch"), ("oo", "u")),  # Polish
    (("u", "oe"), ("sh", "sj"), ("ch", "tsj"), ("y", "j"), ("j", "dzj"), ("kh", "g")),  # Dutch
    (("sh", "s"), ("ch", "c"), ("j", "c"), ("kh", "h"), ("w", "v"), ("q", "k"), ("x", "ks")),  # Turkish
    (("sh", "ch"), ("u", "ou"), ("j", "dj"), ("w", "ou"), ("q", "k"), ("ch", "tch")),  # French
    (("w", "u"), ("k", "c"), ("y", "i"), ("sh", "s"), ("h", ""), ("z", "s")),  # Spanish
    (("v", "w"), ("z", "s"), ("sh", "sch"), ("ch", "tsch"), ("y", "j"), ("kh", "ch")),  # German
)  # fmt: skip


def _heard_abroad(name: str, random: Random) -> str:
    """Every sound of a name in the spelling of one other language."""
    spelling = dict(random.choice(_HEARD))
    heard = re.compile("|".join(sorted(spelling, key=len, reverse=True)))
    return heard.sub(lambda match: spelling[match[0]], name.lower())


def _hyphenated(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    if len(words) > 2:
        at = random.randrange(len(words) - 1)
        return " ".join([*words[:at], f"{words[at]}{random.choice('- ').strip()}{words[at + 1]}", *words[at + 2 :]])
    long = max(words, key=len)
    return name.replace(long, f"{long[: len(long) // 2]}{random.choice('- ')}{long[len(long) // 2 :]}")


_STRANGE: Final = str.maketrans("aeioptv", "αеіορтν")


def _veiled(name: str, random: Random) -> str:
    match random.randrange(3):
        case 0:
            return "".join(letter.translate(_STRANGE) if random.random() < 0.5 else letter for letter in name)
        case 1:
            return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in name)
        case _:
            return "".join(f"{letter}\u0301\u00ad" if letter.isalpha() else letter for letter in name)


# ── Names of companies and vessels ────────────────────────────────────────────────────────────────────────────────
_FORM: Final = re.compile(
    r"(?i)[,\s]*\b(l\.?l\.?c|ltd|limited|inc|corp|co|gmbh|jsc|ojsc|cjsc|pjsc|oao|ooo|zao|pao|plc|s\.?a|fze|bv|ag)\b\.?"
)
_FORMS: Final = ("B.V.", "S.r.l.", "Pty Ltd", "LLP", "GmbH & Co. KG", "Oy", "AB", "PAO", "Sdn Bhd", "& Co", "A.S.")


def _of_another_form(name: str, random: Random) -> str:
    bare = _FORM.sub("", name).strip() or name
    form = random.choice(_FORMS)
    return random.choice((bare, f"{bare} {form}", f'{form} "{bare}"'))


_SHORT: Final = {
    "international": "Intl", "trading": "Trdg", "company": "Co", "corporation": "Corp", "limited": "Ltd",
    "group": "Grp",
    "manufacturing": "Mfg", "association": "Assn", "department": "Dept", "services": "Svcs", "and": "&", "for": "f.",
    "engineering": "Engg", "industries": "Ind.", "development": "Dev.", "technology": "Tech", "university": "Univ.",
    "institute": "Inst.", "center": "Ctr", "centre": "Ctr", "national": "Natl", "general": "Gen.", "shipping": "Shpg",
}  # fmt: skip


def _shortened(name: str, random: Random) -> str:
    del random
    return " ".join(_SHORT.get(word.strip(",.").lower(), word) for word in name.split())


def _without_the_little(name: str, random: Random) -> str:
    del random
    return re.sub(r"(?i)\b(the|of|for|and|al|de|la)\b\s*|[\"'«».,()-]", "", name).strip() or name


def _last_left_out(name: str, random: Random) -> str:
    words = _FORM.sub("", name).split()
    return " ".join(words[:-1] if len(words) > 3 and random.random() < 0.7 else words) or name


_ROMAN: Final = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}


def _renumbered(name: str, random: Random) -> str:
    del random
    return " ".join(_ROMAN.get(word, word) for word in name.split())


def _with_type(name: str, random: Random) -> str:
    return f"{random.choice(('M/T', 'F/V', 'SS', 'MSV'))} {name}"


def _same(name: str, random: Random) -> str:
    del random
    return name


# ── What an application says besides ──────────────────────────────────────────────────────────────────────────────
def _births(births: Sequence[Birth], random: Random) -> tuple[Birth, ...]:
    if not births:
        return (_on(date(1930, 1, 1) + timedelta(days=random.randrange(27_000))),) if random.random() < 0.7 else ()
    known = random.choice(births)
    day = date.fromisoformat(known.first)
    if known.first != known.last:
        day += timedelta(days=random.randrange((date.fromisoformat(known.last) - day).days + 1))
    slips = (
        day,
        None,
        day.replace(day=1),
        date(day.year, day.day, day.month) if day.day <= 12 else day,
        day.replace(year=day.year - day.year % 100 + day.year % 10 * 10 + day.year // 10 % 10, day=min(day.day, 28)),
        day - timedelta(days=1),
    )
    told = random.choices(range(len(slips)), (72, 12, 6, 4, 2, 4))[0]
    slip = slips[told]
    if slip is None:
        return ()
    return (Birth(first=f"{slip.year}-01-01", last=f"{slip.year}-12-31"),) if told == 2 else (_on(slip),)


def _on(day: date) -> Birth:
    return Birth(first=day.isoformat(), last=day.isoformat())


def _countries(countries: Sequence[str], random: Random) -> tuple[str, ...]:
    told = random.choices(("same", "none", "other"), (75, 15, 10))[0]
    if told == "same" and countries:
        return (random.choice(countries),)
    return (random.choice(("ca", "nl", "kz", "my", "za", "ge", "cy", "es")),) if told == "other" else ()


def _all(rows: Mapping[str, tuple[int, Change]]) -> Sequence[Noise]:
    return [Noise(category=category, share=share, change=change) for category, (share, change) in rows.items()]


OF_PEOPLE: Final = _all({
    "exact": (10, _same), "order": (8, _as_on_a_form), "missing_part": (10, _first_and_last),
    "extra_token": (6, _with_another), "initial": (4, _with_initials), "typo1": (12, _mistyped),
    "typo2": (8, _mistyped_twice), "ocr": (6, _misread), "mrz": (6, _in_a_zone),
    "spelling_variant": (18, _heard_abroad), "spacing": (8, _hyphenated), "adversarial": (4, _veiled),
})  # fmt: skip
OF_COMPANIES: Final = _all({
    "org_exact": (20, _same), "org_legal_form": (25, _of_another_form), "org_typo": (15, _mistyped),
    "org_shortened": (20, _shortened), "org_spacing": (10, _without_the_little),
    "org_missing_part": (10, _last_left_out),
})  # fmt: skip
OF_VESSELS: Final = _all({
    "vessel": (50, _same), "vessel_prefix": (20, _with_type), "vessel_typo": (15, _mistyped),
    "vessel_number": (15, _renumbered),
})  # fmt: skip


def habits() -> Habits:
    """Everything that the other benchmark is made with."""
    return Habits(
        noises={
            Kind.PERSON: OF_PEOPLE,
            Kind.UNKNOWN: OF_PEOPLE,
            Kind.ORGANISATION: OF_COMPANIES,
            Kind.VESSEL: OF_VESSELS,
            Kind.AIRCRAFT: OF_VESSELS,
        },
        births=_births,
        countries=_countries,
    )
