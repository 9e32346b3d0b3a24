"""Readings as JSON, for the pipe between the service and the engine's processes. Pure.

Not pickle: a process that a hostile picture has taken over must not be able to run anything in the service.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from types import NoneType, UnionType
from typing import TypeVar, Union, cast, get_args, get_origin, get_type_hints

from kyc_service.documents.readings import Reading

T = TypeVar("T")


class Garbled(ValueError):
    """What came over the pipe is not a reading."""


def dump(reading: Reading) -> bytes:
    """*reading* as JSON."""
    return json.dumps(asdict(reading), ensure_ascii=False).encode()


def load(content: bytes) -> Reading:
    """The reading that *content* holds, every field of it checked. Anything else raises `Garbled`."""
    try:
        return _record(Reading, json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Garbled from error


def _record(kind: type[T], value: object) -> T:
    if not isinstance(value, Mapping):
        raise Garbled
    hints = get_type_hints(kind)
    if value.keys() != hints.keys():
        raise Garbled
    return kind(**{name: _value(hint, value[name]) for name, hint in hints.items()})


def _value(kind: object, value: object) -> object:
    """*value* as the annotation *kind* wants it."""
    arguments = get_args(kind)
    if get_origin(kind) in {Union, UnionType}:
        return None if value is None else _value(next(one for one in arguments if one is not NoneType), value)
    if get_origin(kind) is tuple:
        return _tuple(arguments, value)
    if hasattr(kind, "__dataclass_fields__"):
        return _record(cast("type[object]", kind), value)
    plain = cast("type[object]", kind)
    if issubclass(plain, str) and plain is not str:
        return plain(value)
    number = plain is float and isinstance(value, int) and not isinstance(value, bool)
    if type(value) is not plain and not number:
        raise Garbled
    return value


def _tuple(arguments: tuple[object, ...], value: object) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise Garbled
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_value(arguments[0], item) for item in value)
    if len(arguments) != len(value):
        raise Garbled
    return tuple(_value(kind, item) for kind, item in zip(arguments, value, strict=True))
