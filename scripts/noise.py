"""What writing, typing, scanning and translating do to the names of a list: the noise that the model is trained on."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from random import Random
from typing import TypeAlias

from anyascii import anyascii

from kyc_service.domain.record import record
from kyc_service.screening.entries import Birth, Kind
from kyc_service.screening.names import is_distinctive, romanised, tokens_of
from kyc_service.screening.words import organisation_words

Change: TypeAlias = Callable[[str, Random], str]


@record
class Noise:
    """Something that happens to names, under the category that a benchmark calls it, and how often it does."""

    category: str
    share: int
    change: Change


@record
class Habits:
    """What happens to the names of each kind, and what is told of listed dates of birth and countries."""

    noises: Mapping[Kind, Sequence[Noise]]
    births: Callable[[Sequence[Birth], Random], tuple[Birth, ...]]
    countries: Callable[[Sequence[str], Random], tuple[str, ...]]

    def noise(self, kind: Kind, random: Random) -> Noise:
        """One of the noises of a kind, each as often as it happens."""
        noises = self.noises[kind]
        return random.choices(noises, [noise.share for noise in noises])[0]


def any_birth(random: Random) -> Birth:
    """A day of 70 years."""
    return on(date(1935, 1, 1) + timedelta(days=random.randrange(70 * 365)))


def on(day: date) -> Birth:
    """A birth on that day."""
    return Birth(first=day.isoformat(), last=day.isoformat())


# ── Names of people ───────────────────────────────────────────────────────────────────────────────────────────────
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _edit(word: str, random: Random) -> str:
    if len(word) < 3:
        return word
    at = random.randrange(len(word))
    letter = random.choice(_LETTERS)
    match random.randrange(4):
        case 0:
            return word[:at] + word[at + 1 :]
        case 1:
            return word[:at] + letter + word[at:]
        case 2:
            return word[:at] + letter + word[at + 1 :]
        case _:
            at = min(at, len(word) - 2)
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _in_a_word(change: Change, *, least: int = 4) -> Change:
    def changed(name: str, random: Random) -> str:
        words = name.split()
        places = [place for place, word in enumerate(words) if len(word) >= least] or [0]
        place = random.choice(places)
        words[place] = change(words[place], random)
        return " ".join(words)

    return changed


def _twice(name: str, random: Random) -> str:
    return _in_a_word(_edit)(_in_a_word(_edit)(name, random), random)


def _shuffled(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    cut = random.randrange(1, len(words)) if len(words) > 1 else 0
    return " ".join(words[cut:] + words[:cut])


def _with_one_less(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    if len(words) > 2:
        del words[random.randrange(len(words))]
    return " ".join(words)


def _with_one_more(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    words.insert(
        random.randrange(len(words) + 1),
        random.choice(("Mr", "Dr", "Jose", "Ahmed", "Ivanovich", "Maria", "Ali", "Bin", "Gen.", "Lee", "Ann")),
    )
    return " ".join(words)


def _initial(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    place = random.randrange(len(words))
    words[place] = words[place][0] + random.choice(("", "."))
    return " ".join(words)


_LOOKALIKES = (
    ("o", "0"),
    ("l", "1"),
    ("i", "l"),
    ("s", "5"),
    ("b", "8"),
    ("m", "rn"),
    ("rn", "m"),
    ("u", "v"),
    ("e", "c"),
    ("h", "b"),
    ("g", "q"),
    ("cl", "d"),
    ("n", "ri"),
)


def _replaced(pairs: Sequence[tuple[str, str]], times: int = 1) -> Change:
    def changed(name: str, random: Random) -> str:
        low = name.lower()
        for _ in range(times):
            found = [pair for pair in pairs if pair[0] in low]
            if not found:
                break
            old, new = random.choice(found)
            places = [match.start() for match in re.finditer(re.escape(old), low)]
            at = random.choice(places)
            low = low[:at] + new + low[at + len(old) :]
        return low

    return changed


_SPELLINGS = (
    ("ou", "u"), ("u", "ou"), ("ee", "i"), ("i", "ee"), ("y", "i"), ("i", "y"), ("kh", "h"), ("h", "kh"), ("k", "q"),
    ("q", "k"), ("j", "dj"),
    ("dj", "j"), ("sh", "ch"), ("sh", "sch"), ("ch", "tch"), ("v", "w"), ("w", "v"), ("f", "ph"), ("ph", "f"),
    ("c", "k"), ("ck", "k"), ("aa", "a"),
    ("a", "aa"), ("ss", "s"), ("s", "ss"), ("mm", "m"), ("m", "mm"), ("dd", "d"), ("ei", "ey"), ("ey", "ei"),
    ("iy", "y"), ("ii", "iy"), ("ts", "tz"), ("zh", "j"),
    ("ks", "x"), ("x", "ks"), ("ah", "a"), ("a", "ah"), ("o", "u"), ("u", "o"), ("e", "i"), ("i", "e"), ("e", "a"),
    ("z", "s"), ("g", "gh"), ("gh", "g"), ("ya", "ia"), ("ia", "ya"), ("yu", "iu"), ("ev", "yev"),
)  # fmt: skip


def _spacing(name: str, random: Random) -> str:
    words = name.replace(",", "").split()
    match random.randrange(4):
        case 0:
            return re.sub(r"(?i)\b(al|el|abd|abu|bin|ul|de|la|van)[ -]", r"\1", name)
        case 1 if len(words) > 2:
            at = random.randrange(len(words) - 1)
            return " ".join([*words[:at], words[at] + words[at + 1], *words[at + 2 :]])
        case 2:
            return "".join(words)
        case _:
            return re.sub(r"(?i)\b(al|el|bin|ibn|de|la|van|von|der)\b[ -]?", "", name) or name


def _mrz(name: str, random: Random) -> str:
    del random
    return " ".join(re.sub(r"[^A-Z]+", " ", anyascii(name).upper()).split())[:36]


_TO_CYRILLIC = (
    ("shch", "щ"), ("sh", "ш"), ("ch", "ч"), ("zh", "ж"), ("kh", "х"), ("ts", "ц"), ("ya", "я"), ("yu", "ю"),
    ("yo", "ё"), ("ye", "е"), ("iy", "ий"), ("a", "а"), ("b", "б"),
    ("v", "в"), ("w", "в"), ("g", "г"), ("d", "д"), ("e", "е"), ("z", "з"), ("i", "и"), ("j", "дж"), ("k", "к"),
    ("l", "л"), ("m", "м"), ("n", "н"), ("o", "о"), ("p", "п"), ("r", "р"),
    ("s", "с"), ("t", "т"), ("u", "у"), ("f", "ф"), ("h", "х"), ("c", "к"), ("q", "к"), ("x", "кс"), ("y", "ы"),
)  # fmt: skip
_TO_ARABIC = (
    ("sh", "ش"), ("kh", "خ"), ("gh", "غ"), ("th", "ث"), ("dh", "ذ"), ("ch", "تش"), ("ou", "و"), ("oo", "و"),
    ("ee", "ي"), ("aa", "ا"), ("al-", "ال"), ("b", "ب"), ("t", "ت"), ("j", "ج"), ("h", "ه"), ("d", "د"),
    ("r", "ر"), ("z", "ز"), ("s", "س"), ("f", "ف"), ("q", "ق"), ("k", "ك"), ("l", "ل"), ("m", "م"), ("n", "ن"),
    ("w", "و"), ("y", "ي"), ("g", "غ"), ("p", "ب"), ("v", "ف"), ("c", "ك"), ("x", "كس"), ("u", "و"), ("i", "ي"),
    ("o", "و"), ("a", ""), ("e", ""),
)  # fmt: skip
_ARABIC_LETTERS = dict(_TO_ARABIC)
_ARABIC = re.compile("|".join(sorted(map(re.escape, _ARABIC_LETTERS), key=len, reverse=True)))
_ROMANISATIONS: tuple[Mapping[str, str], ...] = (
    {
        "щ": "shch", "ш": "sh", "ч": "ch", "ж": "zh", "х": "kh", "ц": "ts", "я": "ia", "ю": "iu", "ё": "e",
        "й": "i", "ы": "y", "в": "v",
    },
    {
        "щ": "schtsch", "ш": "sch", "ч": "tsch", "ж": "sch", "х": "ch", "ц": "z", "я": "ja", "ю": "ju", "ё": "jo",
        "й": "j", "ы": "y", "в": "w", "з": "s",
    },
    {
        "щ": "chtch", "ш": "ch", "ч": "tch", "ж": "j", "х": "kh", "ц": "ts", "я": "ia", "ю": "iou", "ё": "io",
        "й": "i", "ы": "y", "у": "ou",
    },
    {"щ": "sc", "ш": "s", "ч": "c", "ж": "z", "х": "h", "ц": "c", "я": "ja", "ю": "ju", "ё": "e", "й": "j", "ы": "y"},
    {
        "щ": "shch", "ш": "sh", "ч": "ch", "ж": "zh", "х": "h", "ц": "c", "я": "ya", "ю": "yu", "ё": "yo",
        "й": "y", "ы": "i", "и": "y", "г": "h",
    },
)  # fmt: skip


def _written_in(pairs: Sequence[tuple[str, str]]) -> Change:
    table = dict(pairs)
    pattern = re.compile("|".join(sorted(map(re.escape, table), key=len, reverse=True)))

    def changed(name: str, random: Random) -> str:
        del random
        return pattern.sub(lambda match: table[match[0]], romanised(name.replace(",", "")))

    return changed


def _in_arabic(name: str, random: Random) -> str:
    """Written as Arabic is: the vowel that a word begins with, the long ones, and seldom an `a` that may be long."""
    text = re.sub(r"\b[aeiou]+", "\u0627", romanised(name.replace(",", "")))
    text = "".join("\u0627" if letter == "a" and random.random() < 0.4 else letter for letter in text)
    return _ARABIC.sub(lambda match: _ARABIC_LETTERS[match[0]], text)


def _romanised_again(name: str, random: Random) -> str:
    cyrillic = _written_in(_TO_CYRILLIC)(name, random)
    table = random.choice(_ROMANISATIONS)
    return romanised("".join(table.get(letter, letter) for letter in cyrillic))


def _disguised(name: str, random: Random) -> str:
    alike = dict(zip("aceopxy", "асеорху", strict=True))
    match random.randrange(3):
        case 0:
            return "".join(alike.get(letter, letter) if random.random() < 0.4 else letter for letter in name)
        case 1:
            return "\u200b".join(name)
        case _:
            words = name.split()
            place = random.randrange(len(words))
            words[place] = " ".join(words[place])
            return " ".join(words)


def _other_form(by_form: Mapping[str, Sequence[str]]) -> Change:
    def changed(word: str, random: Random) -> str:
        forms = by_form.get(romanised(word).strip(","))
        return random.choice(forms) if forms else _edit(word, random)

    return _in_a_word(changed, least=3)


def _same(name: str, random: Random) -> str:
    del random
    return name


def of_people(by_form: Mapping[str, Sequence[str]]) -> Sequence[Noise]:
    """What happens to the names of people."""
    return _table(
        ("exact", 6, _same), ("order", 4, _shuffled), ("missing_part", 6, _with_one_less),
        ("extra_token", 3, _with_one_more), ("initial", 2, _initial), ("typo1", 5, _in_a_word(_edit)),
        ("typo2", 4, _twice), ("ocr", 3, _replaced(_LOOKALIKES)), ("mrz", 2, _mrz),
        ("spelling_variant", 8, _replaced(_SPELLINGS, 2)), ("spelling_variants", 3, _replaced(_SPELLINGS, 4)),
        ("spacing", 5, _spacing), ("nickname", 4, _other_form(by_form)), ("romanisation", 5, _romanised_again),
        ("made_cyrillic", 5, _written_in(_TO_CYRILLIC)), ("made_arabic", 5, _in_arabic), ("adversarial", 2, _disguised),
    )  # fmt: skip


def _table(*rows: tuple[str, int, Change]) -> Sequence[Noise]:
    return [Noise(category=category, share=share, change=change) for category, share, change in rows]


# ── Names of companies and vessels ────────────────────────────────────────────────────────────────────────────────
_FORMS = (
    "LLC",
    "Ltd",
    "Limited",
    "JSC",
    "OOO",
    "Inc",
    "Corp.",
    "Co., Ltd.",
    "Company",
    "GmbH",
    "FZE",
    "S.A.",
    "PJSC",
    "",
)


def _other_legal_form(name: str, random: Random) -> str:
    words = [
        word
        for word in name.split()
        if not re.fullmatch(
            r"(?i)[\"(]?(llc|ltd|limited|jsc|ooo|inc|corp|co|company|gmbh|fze|sa|pjsc|oao|zao|ao)[.,)\"]*", word
        )
    ]
    return " ".join([*words, random.choice(_FORMS)]).strip() or name


def _translated(name: str, random: Random) -> str:
    meanings = organisation_words().meanings
    parts = [
        random.choice(_abroad()[meanings[word]]) if word in meanings and random.random() < 0.7 else word
        for word in romanised(name).split()
    ]
    return " ".join(parts)


@lru_cache(maxsize=1)
def _abroad() -> Mapping[str, Sequence[str]]:
    """English word → the words that mean it."""
    back: dict[str, list[str]] = defaultdict(list)
    for foreign, english in organisation_words().meanings.items():
        back[english].append(foreign)
    return back


def _initials_of(name: str, random: Random) -> str:
    letters = "".join(word[0] for word in re.findall(r"\w+", name))
    return letters if len(letters) > 3 else _with_one_less(name, random)


def _without_common(name: str, random: Random) -> str:
    """What people call a company for short: without legal form, and without some of what it does."""
    words = name.replace(",", "").split()
    kept = [
        word
        for word in words
        if any(is_distinctive(token) for token in tokens_of(word, Kind.ORGANISATION)) or random.random() < 0.35
    ]
    return " ".join(kept or words)


OF_COMPANIES = _table(
    ("org_exact", 6, _same), ("org_legal_form", 6, _other_legal_form), ("org_typo", 5, _in_a_word(_edit)),
    ("org_typo2", 2, _twice), ("org_translated", 4, _translated), ("org_missing_part", 4, _with_one_less),
    ("org_order", 2, _shuffled), ("org_spacing", 2, _spacing), ("org_made_cyrillic", 3, _written_in(_TO_CYRILLIC)),
    ("org_spelling", 2, _replaced(_SPELLINGS, 2)), ("org_acronym", 1, _initials_of),
    ("org_without_common", 4, _without_common),
    ("org_translated_form", 2, lambda name, random: _other_legal_form(_translated(name, random), random)),
)  # fmt: skip
OF_VESSELS = _table(
    ("vessel", 6, _same),
    ("vessel_prefix", 3, lambda name, random: f"{random.choice(('M/V', 'MV', 'MT'))} {name}"),
    ("vessel_typo", 3, _in_a_word(_edit)),
    ("vessel_spacing", 1, _spacing),
    ("vessel_ocr", 1, _replaced(_LOOKALIKES)),
)


# ── What an application says besides ──────────────────────────────────────────────────────────────────────────────
def noisy_births(births: Sequence[Birth], random: Random) -> tuple[Birth, ...]:
    """What an application says of a listed date of birth."""
    if not births:
        return (any_birth(random),) if random.random() < 0.6 else ()
    birth = random.choice(births)
    day = date.fromisoformat(birth.first)
    if birth.first != birth.last:
        day += timedelta(days=random.randrange((date.fromisoformat(birth.last) - day).days + 1))
    whole_year = Birth(first=f"{day.year}-01-01", last=f"{day.year}-12-31")
    exchanged = on(date(day.year, day.day, day.month)) if day.day <= 12 else on(day)
    a_year_off = on(day.replace(day=min(day.day, 28), year=day.year + random.choice((-1, 1))))
    a_day_off = on(day + timedelta(days=random.choice((-1, 1))))
    told = random.choices((on(day), None, whole_year, exchanged, a_day_off, a_year_off), (67, 12, 6, 5, 5, 5))[0]
    return (told,) if told else ()


def noisy_countries(countries: Sequence[str], random: Random) -> tuple[str, ...]:
    """What an application says of listed countries."""
    chance = random.random()
    if chance < 0.15 or not countries:
        return ()
    return (
        (random.choice(countries),)
        if chance < 0.9
        else (random.choice(("us", "gb", "de", "tr", "ae", "fr", "cn", "in")),)
    )


def habits(by_form: Mapping[str, Sequence[str]]) -> Habits:
    """Everything that the model is trained on."""
    return Habits(
        noises={
            Kind.PERSON: of_people(by_form),
            Kind.UNKNOWN: of_people(by_form),
            Kind.ORGANISATION: OF_COMPANIES,
            Kind.VESSEL: OF_VESSELS,
            Kind.AIRCRAFT: OF_VESSELS,
        },
        births=noisy_births,
        countries=noisy_countries,
    )
