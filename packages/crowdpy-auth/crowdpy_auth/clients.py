"""The HTTP clients that are installed: httpx, its continuation httpx2, or both."""

from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import httpx
    import httpx2

    Request: TypeAlias = httpx.Request | httpx2.Request
    Response: TypeAlias = httpx.Response | httpx2.Response
    URL: TypeAlias = httpx.URL | httpx2.URL

LIBRARIES = ("httpx", "httpx2")


def auth_classes() -> tuple[type, ...]:
    """The `Auth` class of every client library that is installed, each once: one may be an alias of the other."""
    found = []
    for library in LIBRARIES:
        try:
            found.append(import_module(library).Auth)
        except ImportError:
            continue
    return tuple(dict.fromkeys(found))


AUTH_CLASSES = auth_classes()

if TYPE_CHECKING:

    class AnyAuth(httpx.Auth, httpx2.Auth):  # type: ignore[misc]  # who inherits overrides the flows for both
        """What the clients of both libraries accept."""

else:
    AnyAuth = type("AnyAuth", AUTH_CLASSES, {})
