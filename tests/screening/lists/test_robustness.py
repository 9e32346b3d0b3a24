"""Whatever a file holds, it is a list or refused; how large it is does not decide how much memory it takes."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kyc_service.screening.lists import formats
from kyc_service.screening.lists.canonical import decode, encode
from kyc_service.screening.lists.reading import ListUnreadable, Problems
from tests.screening.lists import test_formats as samples

FILES = {
    "ofac-csv": samples.SDN,
    "ofac-xml": samples.SDN_XML,
    "ofac-advanced": samples.ADVANCED,
    "eu-csv": samples.EU_CSV,
    "eu-xml": samples.EU_XML,
    "uk-csv": samples.UK_CSV,
    "ofsi-csv": samples.OFSI_CSV,
    "opensanctions-csv": samples.TARGETS,
    "opensanctions-ftm": samples.ftm_file(samples.JANE, samples.ERIKA, samples.SANCTION, samples.ADDRESS),
}
# Places in a file, and what to put there instead of so many bytes.
WOUNDS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=12)), max_size=4)


@pytest.mark.parametrize("name", FILES)
def test_each_sample_is_recognised_for_what_it_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(FILES[name], encoding="utf-8", newline="")
    assert formats.recognise(path)[0].name == name


@pytest.mark.parametrize("name", FILES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(wounds=WOUNDS)
def test_a_damaged_file_is_read_or_refused(name: str, wounds: list[tuple[float, int, bytes]], tmp_path: Path) -> None:
    content = bytearray(FILES[name].encode())
    for where, length, instead in wounds:
        place = int(where * len(content))
        content[place : place + length] = instead
    path = tmp_path / "file"
    path.write_bytes(content)
    known = formats.FORMATS[name]
    with suppress(ListUnreadable):  # as what it was, and as what it looks like now
        list(known.parse({"main": path}, "list", Problems()))
    with suppress(ListUnreadable):
        other, files = formats.arranged([path])
        list(other.parse(files, "list", Problems()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLAIN_KEYS = (
    "list",
    "schema",
    "names",
    "dobs",
    "pob",
    "countries",
    "gender",
    "ids",
    "programs",
    "since",
    "group",
    "link",
)
FTM_KEYS = ("caption", "schema", "properties", "referents", "target")
PROPERTIES = ("name", "topics", "birthDate", "country", "gender", "idNumber", "addressEntity", "entity", "listingDate")
STRANGE_PLAIN = st.fixed_dictionaries(
    {"id": st.sampled_from(["1", "mine:1", ":1", "1:", ""]), **dict.fromkeys(PLAIN_KEYS, JSON)}
)
STRANGE_FTM = st.fixed_dictionaries(
    {
        "id": st.just("1"),
        **dict.fromkeys(FTM_KEYS, JSON),
        "schema": st.sampled_from(["Person", "Sanction", "Address", "Company", "Note"]),
        "properties": st.fixed_dictionaries({}, optional=dict.fromkeys(PROPERTIES, JSON)),
    }
)


@pytest.mark.parametrize(("name", "lines"), [("jsonl", STRANGE_PLAIN), ("opensanctions-ftm", STRANGE_FTM)])
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_json_of_any_shape_is_read_or_refused(
    name: str, lines: st.SearchStrategy[dict[str, object]], data: st.DataObject, tmp_path: Path
) -> None:
    told = {**data.draw(lines)}
    if name == "jsonl" and data.draw(st.booleans()):
        told["names"] = [{"v": "Jane Doe"}]
    path = tmp_path / "file"
    path.write_text(json.dumps(told) + "\n", encoding="utf-8")
    with suppress(ListUnreadable):
        for entry in formats.FORMATS[name].parse({"main": path}, "list", Problems()):
            assert decode(encode(entry)) == entry


def sdn_entries(count: int) -> Iterator[str]:
    yield '<sdnList xmlns="urn:ofac">'
    for number in range(count):
        yield f"<sdnEntry><uid>{number}</uid><lastName>NAME {number}</lastName><sdnType>Entity</sdnType></sdnEntry>\n"
    yield "</sdnList>"


def un_entries(count: int) -> Iterator[str]:
    yield "<CONSOLIDATED_LIST><INDIVIDUALS>"
    for number in range(count):
        yield f"<INDIVIDUAL><DATAID>{number}</DATAID><FIRST_NAME>NAME {number}</FIRST_NAME></INDIVIDUAL>\n"
    yield "</INDIVIDUALS></CONSOLIDATED_LIST>"


def plain_entries(count: int) -> Iterator[str]:
    for number in range(count):
        yield f'{{"id": "list:{number}", "names": [{{"v": "NAME {number}"}}]}}\n'


@pytest.mark.parametrize("entries", [sdn_entries, un_entries, plain_entries])
def test_memory_does_not_grow_with_the_file(entries: Callable[[int], Iterator[str]], tmp_path: Path) -> None:
    peaks = []
    for count in (200, 6000):
        path = tmp_path / str(count)
        path.write_text("".join(entries(count)), encoding="utf-8")
        known, files = formats.arranged([path])
        list(known.parse(files, "list", Problems()))[:0]  # whatever is loaded once is loaded now
        tracemalloc.start()
        assert sum(1 for _ in known.parse(files, "list", Problems())) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000
