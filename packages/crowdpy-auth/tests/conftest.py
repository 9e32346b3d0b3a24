"""What the tests of the authentication share: both client libraries, and a service that issues and checks tokens."""

import threading
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

import httpx
import httpx2
import pytest

if TYPE_CHECKING:
    Request: TypeAlias = httpx.Request | httpx2.Request
    Response: TypeAlias = httpx.Response | httpx2.Response

SECRET = "hunter2-is-a-secret"


class Company:
    """A token endpoint and an API behind one transport; it counts what it is asked."""

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        self.issued = 0
        self.expires_in: object = 3600
        self.requests: list[Request] = []
        self.token_requests: list[Request] = []
        self.current = ""
        self.before_issuing: Callable[[], object] = lambda: None
        self.token_answer: Callable[[], Response] | None = None
        self._lock = threading.Lock()

    def __call__(self, request: "Request") -> "Response":
        if request.url.path == "/token":
            return self._token_endpoint(request)
        with self._lock:
            self.requests.append(request)
            fine = request.headers.get("Authorization") == f"Bearer {self.current}"
        return self.respond(200 if fine else 401, json={"fine": fine})

    def _token_endpoint(self, request: "Request") -> "Response":
        with self._lock:
            self.token_requests.append(request)
        self.before_issuing()
        if self.token_answer is not None:
            return self.token_answer()
        with self._lock:
            self.issued += 1
            self.current = f"token-{self.issued}"
            answer = {"access_token": self.current, "token_type": "Bearer", "expires_in": self.expires_in}
        return self.respond(200, json=answer)

    def respond(self, status: int, **parts: object) -> "Response":
        """A response of the library under test."""
        response: Response = self.library.Response(status, **parts)
        return response

    def revoke(self) -> None:
        """From now on the API refuses every token that was issued."""
        self.current = "revoked"

    def client(self, auth: object, **options: object) -> "httpx.Client":
        """A synchronous client of the library under test."""
        transport = self.library.MockTransport(self)
        client: httpx.Client = self.library.Client(
            auth=auth, transport=transport, base_url="https://kyc.example.com", **options
        )
        return client

    def async_client(self, auth: object, handler: object = None, **options: object) -> "httpx.AsyncClient":
        """An asynchronous client of the library under test."""
        transport = self.library.MockTransport(handler or self)
        client: httpx.AsyncClient = self.library.AsyncClient(
            auth=auth, transport=transport, base_url="https://kyc.example.com", **options
        )
        return client


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def company(request: pytest.FixtureRequest) -> Company:
    """The service, spoken to with each library in turn."""
    return Company(request.param)


@pytest.fixture
def credentials() -> dict[str, str]:
    """What a client proves itself with at the token endpoint."""
    return {"token_url": "https://login.example.com/token", "client_id": "payments", "client_secret": SECRET}
