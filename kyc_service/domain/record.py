"""How every value of the domain is made."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[T]) -> type[T]:
    """An immutable value: built by keyword, compared by content."""
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)
