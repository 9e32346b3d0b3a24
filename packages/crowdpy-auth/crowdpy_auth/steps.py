"""What a flow asks of whoever drives it: to send a request, to ask the provider, to wait for somebody else's fetch.

The flow itself is one plain generator for both kinds of client. It is closed, and its flight lands, wherever it is
dropped: even an asynchronous flow whose event loop is gone leaves nothing behind.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from crowdpy_auth.flight import Flight
from crowdpy_auth.tokens import TokenError

if TYPE_CHECKING:
    from crowdpy_auth.clients import Request, Response

Provider: TypeAlias = Callable[[], str | tuple[str, float] | Awaitable[str | tuple[str, float]]]


class Exchange:
    """A request to be sent, and the response to it. `whole`: its body is read before the flow goes on."""

    def __init__(self, request: "Request", *, whole: bool = False) -> None:
        self.request = request
        self.whole = whole
        self._response: Response | None = None

    @property
    def response(self) -> "Response":
        """The answer, once there is one."""
        if self._response is None:
            raise RuntimeError("the flow was driven on without a response")
        return self._response

    @response.setter
    def response(self, response: "Response") -> None:
        self._response = response


@dataclass(frozen=True, slots=True)
class Wait:
    """Until *flight* has landed, or for so many seconds."""

    flight: Flight
    seconds: float


class Ask:
    """A question to the provider, and what came of it."""

    def __init__(self, provider: Provider, *, asker: object) -> None:
        self.asker = asker
        self.answer: object = None
        self.failure: Exception | None = None
        self._provider = provider
        self._running = False

    def run(self) -> None:
        """Asks in this thread; an asynchronous provider cannot be asked this way."""
        if not _is_asynchronous(self._provider):
            self._call()
        if _is_asynchronous(self._provider) or inspect.isawaitable(self.answer):
            if inspect.iscoroutine(self.answer):
                self.answer.close()
            self.failure = TokenError("an asynchronous token provider needs an asynchronous client")

    async def run_async(self) -> None:
        """Asks without stopping the event loop: a synchronous provider is asked in a thread."""
        if _is_asynchronous(self._provider) or running_loop() is None:
            self._call()
        else:
            await asyncio.to_thread(self._call)
        if inspect.isawaitable(self.answer):
            await self._await(self.answer)

    def _call(self) -> None:
        # The failure is kept, not raised: a StopIteration would not find its way out of a thread.
        before = self._enter()
        try:
            self.answer = self._provider()
        except Exception as error:  # noqa: BLE001  foreign code: whatever it raises, there is no token
            self.failure = error
        finally:
            self._leave(before)

    async def _await(self, answer: Awaitable[object]) -> None:
        before = self._enter()
        try:
            self.answer = await answer
        except Exception as error:  # noqa: BLE001  as above
            self.failure = error
        finally:
            self._leave(before)

    def _enter(self) -> "tuple[Ask, ...]":
        before = _ASKING.get()
        _ASKING.set((*before, self))
        self._running = True
        return before

    def _leave(self, before: "tuple[Ask, ...]") -> None:
        self._running = False
        _ASKING.set(before)  # not reset(): an abandoned coroutine may be closed in another context

    @staticmethod
    def is_inside(asker: object) -> bool:
        """Whether this code runs on behalf of a provider that *asker* is asking: its answer will never come."""
        return any(ask.asker is asker and ask._running for ask in _ASKING.get())  # noqa: SLF001  its own kind


Step: TypeAlias = Exchange | Wait | Ask

_ASKING: ContextVar[tuple[Ask, ...]] = ContextVar("crowdpy_auth.asking", default=())


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of asyncio that runs here, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _is_asynchronous(provider: Provider) -> bool:
    """Whether calling *provider* only makes a coroutine, so that the call itself cannot block."""
    return inspect.iscoroutinefunction(provider) or inspect.iscoroutinefunction(type(provider).__call__)
