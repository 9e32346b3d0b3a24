"""Questions to the database that wait at the same time share a statement.

Nobody waits for company: a question that finds its line free is asked at once, and what gathers meanwhile is asked
together. Every tenant has a line of its own, because a connection sees one tenant at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

Waiting: TypeAlias = tuple[Question, asyncio.Future[Answer]]

TOGETHER = 64  # how many questions share a statement at the most


class Gathering(Generic[Question, Answer]):
    """Puts the questions of any number of callers, many at once.

    *ask* answers the questions of one tenant in their order. A question is put only after it came in, so that its
    answer knows of everything that was committed before.
    """

    def __init__(self, ask: Callable[[str, Sequence[Question]], Awaitable[Sequence[Answer]]]) -> None:
        self._ask = ask
        self._lines: dict[str, list[Waiting[Question, Answer]]] = {}
        self._flights: set[asyncio.Task[None]] = set()

    async def answer(self, tenant: str, question: Question) -> Answer:
        """The answer to *question*; whatever *ask* raises."""
        outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if (line := self._lines.get(tenant)) is not None:
            line.append((question, outcome))
        else:
            self._lines[tenant] = [(question, outcome)]
            flight = asyncio.create_task(self._fly(tenant))
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)
        return await outcome

    async def _fly(self, tenant: str) -> None:
        line = self._lines[tenant]
        try:
            while line:
                together = [one for one in line[:TOGETHER] if not one[1].done()]  # done: the caller was cancelled
                del line[:TOGETHER]
                if together:
                    await self._settle(tenant, together)
        finally:
            del self._lines[tenant]  # with no await since the last look, so that nobody joins a line that has ended

    async def _settle(self, tenant: str, together: Sequence[Waiting[Question, Answer]]) -> None:
        try:
            answers = await self._ask(tenant, [question for question, _ in together])
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, and is raised where they do
            for _, outcome in together:
                if not outcome.done():
                    outcome.set_exception(error)
            return
        for (_, outcome), answer in zip(together, answers, strict=True):
            if not outcome.done():
                outcome.set_result(answer)
