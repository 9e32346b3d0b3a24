"""A cursor continues the list that it was made for, and no other."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyc_service.api import cursors
from kyc_service.api.cursors import Listing
from kyc_service.api.problems import Refused

KEY = bytes(range(32))
LISTING = Listing(tenant="acme", filters=("PENDING", None))
MARKS = st.tuples(st.datetimes(timezones=st.just(UTC)), st.uuids())


@given(MARKS)
def test_a_cursor_tells_what_it_was_made_after(mark: tuple[datetime, UUID]) -> None:
    sealed = cursors.seal(KEY, LISTING, mark)
    assert cursors.open_(KEY, LISTING, sealed) == mark
    assert len(sealed) <= cursors.LONGEST


@given(MARKS, st.data())
def test_a_changed_cursor_is_refused(mark: tuple[datetime, UUID], data: st.DataObject) -> None:
    sealed = cursors.seal(KEY, LISTING, mark)
    place = data.draw(st.integers(0, len(sealed) - 2))  # the last character has bits that mean nothing
    other = data.draw(st.sampled_from("ABCDwxyz0189-_"))
    changed = sealed[:place] + other + sealed[place + 1 :]
    if changed != sealed:
        with pytest.raises(Refused):
            cursors.open_(KEY, LISTING, changed)


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        cursors.open_(KEY, LISTING, text)


@pytest.mark.parametrize(
    ("key", "listing"),
    [
        (KEY, Listing(tenant="other", filters=LISTING.filters)),
        (KEY, Listing(tenant="acme", filters=("PENDING", "x"))),
        (KEY, Listing(tenant="acme", filters=())),
        (bytes(32), LISTING),
    ],
)
def test_a_cursor_of_another_list_is_refused(key: bytes, listing: Listing) -> None:
    mark = (datetime(2026, 3, 2, tzinfo=UTC) + timedelta(microseconds=1), UUID(int=7))
    with pytest.raises(Refused):
        cursors.open_(key, listing, cursors.seal(KEY, LISTING, mark))


@given(st.integers(0, 2**63 - 1))
def test_a_place_in_the_log_is_a_cursor_too(position: int) -> None:
    sealed = cursors.seal_position(KEY, LISTING, position)
    assert cursors.open_position(KEY, LISTING, sealed) == position
    with pytest.raises(Refused):
        cursors.open_(KEY, LISTING, sealed)
    with pytest.raises(Refused):
        cursors.open_position(KEY, Listing(tenant="other", filters=LISTING.filters), sealed)
