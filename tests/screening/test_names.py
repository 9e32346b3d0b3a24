"""How names are read: other scripts as they sound, disguises seen through, common words as what they mean."""

import pytest

from kyc_service.screening.arabic import folded
from kyc_service.screening.entries import Kind
from kyc_service.screening.names import romanised, skeleton, tokens_of
from kyc_service.screening.organisations import meaning
from kyc_service.screening.words import organisation_words


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("عبد الرحمن", "abd al rhmn"),  # the article apart
        ("أحمد علي", "ahmd ali"),  # alif and ayn are vowels
        ("يوسف محمود", "yusf mhmud"),  # a letter for a vowel inside a word, for a consonant at its beginning
        ("وائل داود", "wail dawd"),
        ("فاطمة", "fatmah"),
        ("بانک ایران", "bank ayran"),  # Persian
        ("حسن و حسین", "hsn wa hsin"),
    ],
)
def test_arabic_letters_are_read_as_they_sound(written: str, read: str) -> None:
    assert romanised(written) == read


@pytest.mark.parametrize(
    ("written", "latin"),
    [("المرابطون", "Mourabitoun"), ("احمد", "Ahmed"), ("عيسى", "Issa"), ("القاعدة", "Qaida"), ("إسماعيل", "Ismail")],
)
def test_arabic_consonants_are_those_of_the_latin_name(written: str, latin: str) -> None:
    assert skeleton(tokens_of(written, Kind.PERSON)[-1]) == skeleton(latin.lower())


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        ("Лaвров", ("lavrov",)),  # one Latin letter in a Cyrillic word
        ("Cутарский", ("sutarskiy",)),
        ("Lаvrоv", ("lavrov",)),  # two Cyrillic letters in a Latin one
        ("Sergey Лавров", ("sergey", "lavrov")),
    ],
)
def test_a_word_is_read_in_the_one_alphabet_that_it_is_in(written: str, tokens: tuple[str, ...]) -> None:
    assert tokens_of(written, Kind.PERSON) == tokens


@pytest.mark.parametrize(
    ("written", "latin"),
    [
        ("الجماعة الإسلامية المسلحة", "Islamic Armed Group"),
        ("الجَماعَة الإسلامِيَّة المُسَلَّحَة", "Islamic Armed Group"),
        ("ال\u200bجماعة الإسلا\u200dمية المس\u0640لحة", "Islamic Armed Group"),
        ("بنك التجارة العراقي", "Iraqi Trade Bank"),
        ("شرکت نفت ایران", "Oil Company of Iran"),
        ("第三研究所", "3 Research Institute"),
        ("Самарский завод", "Samarskii Plant"),
        ("Федеральное государственное унитарное предприятие Маяк", "FGUP Mayak"),
    ],
)
def test_common_words_of_companies_mean_the_same_in_every_script(written: str, latin: str) -> None:
    ours, theirs = (frozenset(tokens_of(name, Kind.ORGANISATION)) for name in (written, latin))
    assert ours == theirs


@pytest.mark.parametrize(
    ("adjective", "place"),
    [("kumertauskaya", "kumertau"), ("samarskogo", "samar"), ("kharkivska", "kharkiv"), ("moskovskiy", "moscow")],
)
def test_an_adjective_of_a_place_is_the_place(adjective: str, place: str) -> None:
    assert meaning(adjective) == place


@pytest.mark.parametrize("word", ["alaska", "husky", "russkaya", "minsk"])
def test_what_only_ends_like_an_adjective_stays(word: str) -> None:
    assert tokens_of(word, Kind.ORGANISATION) == (word,)


def test_the_words_of_the_arabic_script_are_put_into_words_that_have_a_meaning() -> None:
    table = organisation_words()
    english = {word for meant in table.arabic.values() for word in meant.split()}
    assert {meaning(word) for word in english} <= table.common | {"company"}
    assert all(word == folded(word) for word in table.arabic)
