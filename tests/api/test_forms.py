"""What a body may say; its e-mail addresses are judged as pydantic judges them, only faster."""

import hypothesis.strategies as st
import pytest
from hypothesis import example, given
from pydantic import EmailStr, TypeAdapter, ValidationError

from kyc_service.api.forms import Email

THEIRS, OURS = TypeAdapter[str](EmailStr), TypeAdapter[str](Email)
ODD = (
    "Alice@Example.COM", "a..b@example.com", ".a@example.com", "a@example", " a@example.com ", "Bob <a@example.com>",
    "a@localhost", "a@[192.0.2.1]", "é@example.com", "a@bücher.example.com", "a@example.test", '"a b"@example.com',
    "a@b@example.com", "@example.com", "a@", "a@example.com>", "a@-x.com", "a@x_y.com", "a@example.com\n", "",
    "a" * 64 + "@example.com", "a" * 65 + "@example.com", "a@" + "b." * 124 + "com", "a" * 60 + "@" + "b." * 97 + "com",
)  # fmt: skip


def judged(adapter: TypeAdapter[str], address: str) -> str | list[object]:
    """What becomes of the address, or what is wrong with it."""
    try:
        return adapter.validate_python(address)
    except ValidationError as error:
        return [(one["type"], one["msg"]) for one in error.errors()]


@pytest.mark.parametrize("address", ODD)
def test_an_odd_address_is_judged_as_by_pydantic(address: str) -> None:
    assert judged(OURS, address) == judged(THEIRS, address)


@given(
    st.text('aZ1.+-_ <>"@é\n', max_size=8), st.sampled_from(["@example.com", "@Ex-a.Org", ".de", "@a.b.c ", "@x", ""])
)
@example("a", "@EXAMPLE.com")
def test_any_address_is_judged_as_by_pydantic(local: str, rest: str) -> None:
    assert judged(OURS, local + rest) == judged(THEIRS, local + rest)


def test_both_are_described_alike() -> None:
    assert OURS.json_schema() == THEIRS.json_schema()
