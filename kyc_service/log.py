"""Logs: one line an event, JSON in production, and no personal data whatever a caller passes along.

Nothing is configured at import; every process calls `configure` once.
"""

import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any

import structlog
from pydantic_core import to_json
from structlog.typing import Processor

from kyc_service.settings import Settings

HIDDEN = "***"
QUIET = 30.0  # seconds in which a library says the same thing once
MOST_REMEMBERED = 500
# A value under a key with one of these in its name is never written.
SECRET_KEYS = (
    "email", "name", "birth", "address", "nationality", "applicant", "person", "token", "authorization", "password",
    "secret", "dsn", "cookie", "body", "note", "phone", "findings", "fields",
)  # fmt: skip
OPEN_KEYS = frozenset({"event", "level", "logger", "timestamp", "filename"})
# And whatever looks like one of these is not written under any key.
SECRET_VALUES = (
    re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),  # an e-mail address
    re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*"),  # a JWT
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),  # user and password of a URI
    re.compile(r"(?<=(?:p|P)(?:assword=|ASSWORD=))\S+"),
)

SIGN = re.compile("@|eyJ|assword=|ASSWORD=")  # stands in whatever one of the patterns finds

Event = MutableMapping[str, Any]


def configure(settings: Settings) -> None:
    """Log to standard error; JSON lines in production, readable ones in development."""
    written: tuple[Processor, Callable[..., object]]
    if settings.production or not sys.stderr.isatty():
        written = _json, structlog.BytesLoggerFactory(sys.stderr.buffer)
    else:
        written = structlog.dev.ConsoleRenderer(), structlog.PrintLoggerFactory(sys.stderr)
    renderer, factory = written
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    if not any(isinstance(handler, Forwarded) for handler in root.handlers):
        root.addHandler(Forwarded())


def _json(logger: object, method: str, event: Event) -> bytes:
    del logger, method
    return to_json(event, fallback=repr)  # a fraction of what json.dumps costs, on the path of every request


class Forwarded(logging.Handler):
    """What libraries log, as lines like ours; of an exception the kind and the place, and not the words.

    What is said again and again, as aiokafka does tens of times a second while a broker is away, is said once in a
    while, with how often it was left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}  # when it may be said again, and how often it was not

    def emit(self, record: logging.LogRecord) -> None:
        """Say it like everything else."""
        said: dict[str, object] = {"logger": record.name}
        again, left_out = self._said.get(key := (record.name, record.getMessage()), (0.0, 0))
        if record.created < again:
            self._said[key] = again, left_out + 1
            return
        if left_out:
            said["left_out"] = left_out
        if len(self._said) >= MOST_REMEMBERED:
            self._said.clear()
        self._said[key] = record.created + QUIET, 0
        if record.exc_info and record.exc_info[0]:
            kind, _, trace = record.exc_info
            said["error"] = kind.__name__
            said["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)[-8:]]
        structlog.get_logger().log(record.levelno, record.getMessage(), **said)


def redact(logger: object, method: str, event: Event) -> Event:
    """The event without anything that looks like personal data or a secret."""
    del logger, method
    return {key: _clean(key, value) for key, value in event.items()}


@lru_cache(maxsize=512)
def _secret(key: str) -> bool:
    return key not in OPEN_KEYS and any(secret in key.lower() for secret in SECRET_KEYS)


def _clean(key: str, value: object) -> object:
    if _secret(key) or isinstance(value, bytes):
        return HIDDEN
    match value:
        case None | bool() | int() | float():  # first, because asking for what follows is dear
            return value
        case str():
            return _clean_text(value)
        case Mapping():
            return {inner: _clean(str(inner), content) for inner, content in value.items()}
        case Iterable():
            return [_clean("", content) for content in value]
        case _:
            return value


def _clean_text(text: str) -> str:
    if not SIGN.search(text):  # nearly always, and on the path of every request
        return text
    for pattern in SECRET_VALUES:
        text = pattern.sub(HIDDEN, text)
    return text
