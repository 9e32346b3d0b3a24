"""Tokens, and secrets that cannot be printed."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, SupportsIndex

UNSTATED_LIFETIME = 300.0  # seconds, for a token that came without one; a 401 renews it earlier


class TokenError(Exception):
    """No token could be had. `status` and `code` are what the token endpoint answered, as far as it did."""

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def repeated(self) -> "TokenError":
        """The same failure for another request: without the traceback, and what that refers to."""
        return TokenError(str(self), status=self.status, code=self.code)


class Confidential:
    """Something that holds credentials: it stays in its process."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds credentials and can be neither pickled nor copied")


class Secret(Confidential):
    """A string that only `reveal` shows."""

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        self._reveal: Callable[[], str] = lambda: value  # whoever lists the attributes sees a function

    def reveal(self) -> str:
        """The string itself."""
        return self._reveal()

    def __repr__(self) -> str:
        return "***"


@dataclass(frozen=True, eq=False, slots=True)
class Token(Confidential):
    """A token as it was issued. Each is equal to itself alone: one that was issued again is another."""

    secret: Secret
    fresh_until: float

    def is_fresh(self, now: float) -> bool:
        """Whether it can be used without asking for another one first."""
        return now < self.fresh_until

    @property
    def header(self) -> str:
        """The value of the Authorization header."""
        return f"Bearer {self.secret.reveal()}"


def issued(secret: Secret, *, at: float, lifetime: float | None, skew: float) -> Token:
    """A token that is replaced *skew* seconds before its end, or at half its life when that is sooner."""
    lasts = UNSTATED_LIFETIME if lifetime is None else max(lifetime, 0.0)
    return Token(secret, at + lasts - min(skew, lasts / 2))


def bearer(value: object) -> Secret | None:
    """*value* as a secret, if it can be a bearer token: one word of visible ASCII."""
    return Secret(value) if isinstance(value, str) and re.fullmatch(r"[!-~]+", value) else None


def seconds(value: object) -> float | None:
    """*value* as a number of seconds; some servers send it as text."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None
