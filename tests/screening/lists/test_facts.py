"""Dates, countries and the bytes of an entry: the small things that every list consists of."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_service.screening.entries import Birth, Entry, Group, Identifier, Kind, ListedName, NameKind
from kyc_service.screening.lists import dates
from kyc_service.screening.lists.canonical import decode, digest_of, encode, facts, stored
from kyc_service.screening.lists.dates import DateUnreadable
from kyc_service.screening.lists.places import CountryUnknown, country
from kyc_service.screening.lists.plain_jsonl import read
from kyc_service.screening.lists.reading import ListUnreadable, Problems, numbered


@pytest.mark.parametrize(
    ("text", "first", "last", "circa"),
    [
        ("08 Nov 1957", "1957-11-08", "1957-11-08", False),
        ("Nov 1957", "1957-11-01", "1957-11-30", False),
        ("Sept 1957", "1957-09-01", "1957-09-30", False),
        ("November 8, 1957", "1957-11-08", "1957-11-08", False),
        ("1957", "1957-01-01", "1957-12-31", False),
        ("circa 1957", "1957-01-01", "1957-12-31", True),
        ("Approximately 1957", "1957-01-01", "1957-12-31", True),
        ("1955 to 1957", "1955-01-01", "1957-12-31", False),
        ("between 1955 and 1957", "1955-01-01", "1957-12-31", False),
        ("1955-1957", "1955-01-01", "1957-12-31", False),
        ("circa 1955 to Mar 1957", "1955-01-01", "1957-03-31", True),
        ("1957-11-08", "1957-11-08", "1957-11-08", False),
        ("1957-11", "1957-11-01", "1957-11-30", False),
        ("1957-11-08T00:00:00Z", "1957-11-08", "1957-11-08", False),
        ("08/11/1957", "1957-11-08", "1957-11-08", False),
        ("00/11/1957", "1957-11-01", "1957-11-30", False),
        ("00/00/1957", "1957-01-01", "1957-12-31", False),
        ("dd/mm/1957", "1957-01-01", "1957-12-31", False),
        ("29 Feb 1956", "1956-02-29", "1956-02-29", False),
    ],
)
def test_a_date_keeps_the_precision_that_it_is_written_with(text: str, first: str, last: str, circa: bool) -> None:
    assert dates.birth(text) == Birth(first=first, last=last, circa=circa)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "31 Feb 1957", "29 Feb 1957", "13/13/1957", "1957 to 1955", "0097-06-30", "8 Foo 1957"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    with pytest.raises(DateUnreadable):
        dates.birth(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Burma", "mm"),
        ("MM", "mm"),
        ("Korea, North", "kp"),
        ("Democratic People's Republic of Korea", "kp"),
        ("Iran (Islamic Republic of)", "ir"),
        ("Afghanistan (previous address)", "af"),
        ("Congo, Democratic Republic of the", "cd"),
        ("Congo", "cg"),
        ("Côte d’Ivoire", "ci"),
        ("Saudi Arabian", "sa"),
        ("CS", "rs"),
        ("NA", "na"),
        ("The Gambia", "gm"),
        ("Kuwaiti citizenship", "kw"),
        ("UNKNOWN", None),
        ("00", None),
        ("undetermined", None),
        ("former Soviet Union", None),
        ("Region: Kafia Kingi", None),
        (None, None),
    ],
)
def test_countries_are_known_by_code_name_and_nationality(text: str | None, code: str | None) -> None:
    assert country(text) == code


def test_a_country_that_we_cannot_place_is_told() -> None:
    with pytest.raises(CountryUnknown):
        country("Atlantis")


def test_several_values_in_one_cell_are_told_apart() -> None:
    assert list(numbered("(1) Iraqi (2) Syrian")) == ["Iraqi", "Syrian"]
    assert list(numbered("Iran (Islamic Republic of)")) == ["Iran (Islamic Republic of)"]
    assert list(numbered(None)) == []


TEXT = st.text(min_size=1, max_size=12)
ENTRIES = st.builds(
    Entry,
    id=TEXT,
    source=TEXT,
    group=st.sampled_from(Group),
    kind=st.sampled_from(Kind),
    names=st.lists(st.builds(ListedName, value=TEXT, kind=st.sampled_from(NameKind)), max_size=3).map(tuple),
    births=st.lists(st.builds(Birth, first=TEXT, last=TEXT, circa=st.booleans()), max_size=2).map(tuple),
    countries=st.lists(TEXT, max_size=2).map(tuple),
    gender=st.sampled_from([None, "male", "female"]),
    identifiers=st.lists(st.builds(Identifier, type=TEXT, value=TEXT, country=st.none() | TEXT), max_size=2).map(tuple),
    programmes=st.lists(TEXT, max_size=2).map(tuple),
    referents=st.lists(TEXT, max_size=2).map(tuple),
    birth_places=st.lists(TEXT, max_size=2).map(tuple),
    addresses=st.lists(TEXT, max_size=2).map(tuple),
    remarks=st.none() | TEXT,
    listed_on=st.none() | TEXT,
    link=st.none() | TEXT,
)


@given(ENTRIES)
def test_an_entry_is_read_back_as_it_was_written(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@given(ENTRIES, ENTRIES)
def test_two_entries_have_the_same_digest_only_if_they_are_the_same(one: Entry, other: Entry) -> None:
    assert (stored(one).digest == stored(other).digest) is (one == other)


@given(ENTRIES)
def test_the_facts_of_an_entry_do_not_depend_on_their_order(entry: Entry) -> None:
    told = {name: getattr(entry, name) for name in Entry.__slots__}
    turned = Entry(**{**told, "names": entry.names[::-1], "countries": entry.countries[::-1], "remarks": "other"})
    assert facts(turned) == facts(entry)


def test_the_facts_change_with_what_is_matched() -> None:
    told = '{"id": "a", "names": [{"v": "One"}], "dobs": ["1970"]}'
    one = read(told, 1, "mine", Problems())
    other = read(told.replace("1970", "1971"), 1, "mine", Problems())
    assert facts(one) != facts(other)


def test_the_digest_of_a_version_does_not_depend_on_the_order_of_its_file() -> None:
    assert digest_of({"a": b"1", "b": b"2"}) == digest_of({"b": b"2", "a": b"1"})
    assert digest_of({"a": b"1", "b": b"2"}) != digest_of({"a": b"12", "b": b""})


@given(st.text())
def test_a_line_is_an_entry_or_refused(line: str) -> None:
    with suppress(ListUnreadable):
        assert read(line, 1, "mine", Problems()).id


@given(st.text(max_size=60))
def test_no_text_makes_the_readers_of_dates_and_countries_fail_otherwise(text: str) -> None:
    for reader, refusal in ((dates.birth, DateUnreadable), (country, CountryUnknown)):
        with suppress(refusal):
            reader(text)
