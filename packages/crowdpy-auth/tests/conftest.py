"""What the tests of the authentication share: both client libraries, and a company that issues and checks tokens."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TypeAlias, TypedDict

import httpx
import httpx2
import pytest

Request: TypeAlias = httpx.Request | httpx2.Request
Response: TypeAlias = httpx.Response | httpx2.Response
Handler: TypeAlias = Callable[[Request], Response | Awaitable[Response]]

SECRET = "hunter2-is-a-secret"


class Credentials(TypedDict):
    """What a client proves itself with at the token endpoint."""

    token_url: str
    client_id: str
    client_secret: str


@dataclass(frozen=True)
class Seen:
    """A request as it arrived: the client may change its object later."""

    method: str
    url: str
    authorization: str | None
    body: bytes
    timeout: object
    kind: type


class Company:
    """A token endpoint and an API; it remembers what it was asked."""

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        self.expires_in: object = 3600
        self.current = ""
        self.issued = 0
        self.requests: list[Seen] = []
        self.token_requests: list[Seen] = []
        self.before_issuing: Callable[[], object] = lambda: None
        self.token_answer: Callable[[], Response] | None = None
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Response:
        return self.answer(request, request.content)

    def answer(self, request: Request, body: bytes) -> Response:
        """The answer to *request*, whose *body* has been received."""
        seen = Seen(
            request.method,
            str(request.url),
            request.headers.get("Authorization"),
            body,
            request.extensions.get("timeout"),
            type(request),
        )
        if request.url.path == "/token":
            return self._issue(seen)
        with self._lock:
            self.requests.append(seen)
            fine = seen.authorization == f"Bearer {self.current}"
        return self.respond(200 if fine else 401, json={"fine": fine})

    def _issue(self, seen: Seen) -> Response:
        with self._lock:
            self.token_requests.append(seen)
        self.before_issuing()
        if self.token_answer is not None:
            return self.token_answer()
        with self._lock:
            self.issued += 1
            self.current = f"token-{self.issued}"
            answer = {"access_token": self.current, "token_type": "Bearer", "expires_in": self.expires_in}
        return self.respond(200, json=answer)

    def respond(self, status: int, **parts: object) -> Response:
        """A response of the library under test."""
        response: Response = self.library.Response(status, **parts)
        return response

    def revoke(self) -> None:
        """From now on the API refuses every token that was issued."""
        self.current = "revoked"

    @property
    def bearers(self) -> list[str | None]:
        """The tokens that the API saw, in order."""
        return [seen.authorization and seen.authorization.removeprefix("Bearer ") for seen in self.requests]

    def client(self, auth: object, handler: Handler | None = None, **options: object) -> httpx.Client:
        """A synchronous client of the library under test."""
        options = {"transport": self.library.MockTransport(handler or self), **options}
        client: httpx.Client = self.library.Client(auth=auth, base_url="https://kyc.example.com", **options)
        return client

    def async_client(self, auth: object, handler: Handler | None = None, **options: object) -> httpx.AsyncClient:
        """An asynchronous client of the library under test."""
        options = {"transport": self.library.MockTransport(handler or self), **options}
        client: httpx.AsyncClient = self.library.AsyncClient(auth=auth, base_url="https://kyc.example.com", **options)
        return client

    def wire(self) -> object:
        """A transport that, like a network, uses the stream of a body up; the mock transport keeps it in memory."""
        company = self

        class Wire(self.library.BaseTransport, self.library.AsyncBaseTransport):  # type: ignore[name-defined,misc]
            def handle_request(self, request: httpx.Request) -> Response:
                return company.answer(request, b"".join(request.stream))  # type: ignore[arg-type]

            async def handle_async_request(self, request: httpx.Request) -> Response:
                return company.answer(request, b"".join([part async for part in request.stream]))  # type: ignore[union-attr]

        return Wire()


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def company(request: pytest.FixtureRequest) -> Company:
    """The company, spoken to with each library in turn."""
    return Company(request.param)


@pytest.fixture
def credentials() -> Credentials:
    """What a client proves itself with."""
    return {"token_url": "https://login.example.com/token", "client_id": "payments", "client_secret": SECRET}
