"""Questions that wait at the same time are asked together, and everybody gets their own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from kyc_service.store.gathering import TOGETHER, Gathering

UNLUCKY = 13


class Register:
    """Answers each number with its square, once it is open; remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[int]]] = []
        self.open = asyncio.Event()

    async def squares(self, tenant: str, numbers: Sequence[int]) -> Sequence[int]:
        self.asked.append((tenant, list(numbers)))
        await self.open.wait()
        if UNLUCKY in numbers:
            raise LookupError
        return [number * number for number in numbers]


@pytest.fixture
def register() -> Register:
    return Register()


@pytest.fixture
def line(register: Register) -> Gathering[int, int]:
    return Gathering(register.squares)


async def first_in_the_air(line: Gathering[int, int], register: Register) -> asyncio.Task[int]:
    """A question that is being asked, so that those who come now have to wait."""
    first = asyncio.create_task(line.answer("t", 1))
    await a_moment()
    assert register.asked == [("t", [1])]
    return first


async def a_moment() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_nobody_waits_for_company(line: Gathering[int, int], register: Register) -> None:
    register.open.set()
    assert await line.answer("t", 3) == 9
    assert await line.answer("t", 4) == 16
    assert register.asked == [("t", [3]), ("t", [4])]


async def test_those_who_wait_are_asked_for_together(line: Gathering[int, int], register: Register) -> None:
    first = await first_in_the_air(line, register)
    others = [asyncio.create_task(line.answer("t", number)) for number in (2, 3, 2)]
    await a_moment()
    register.open.set()
    assert await asyncio.gather(first, *others) == [1, 4, 9, 4]
    assert register.asked == [("t", [1]), ("t", [2, 3, 2])]


async def test_a_crowd_is_asked_for_in_parts(line: Gathering[int, int], register: Register) -> None:
    crowd = [number for number in range(2 * TOGETHER + 1) if number != UNLUCKY]
    register.open.set()
    assert await asyncio.gather(*(line.answer("t", number) for number in crowd)) == [one * one for one in crowd]
    assert [len(numbers) for _, numbers in register.asked] == [TOGETHER, TOGETHER]


async def test_each_tenant_has_a_line_of_its_own(line: Gathering[int, int], register: Register) -> None:
    first = await first_in_the_air(line, register)
    theirs = asyncio.create_task(line.answer("u", 2))
    await a_moment()
    register.open.set()
    assert await asyncio.gather(first, theirs) == [1, 4]
    assert register.asked == [("t", [1]), ("u", [2])]


async def test_an_error_reaches_everybody_who_was_asked_for_and_nobody_else(
    line: Gathering[int, int], register: Register
) -> None:
    first = await first_in_the_air(line, register)
    others = [asyncio.create_task(line.answer("t", number)) for number in (2, UNLUCKY)]
    await a_moment()
    register.open.set()
    assert await first == 1
    for other in others:
        with pytest.raises(LookupError):
            await other
    assert await line.answer("t", 5) == 25


async def test_who_leaves_before_the_question_is_put_is_not_asked_for(
    line: Gathering[int, int], register: Register
) -> None:
    first = await first_in_the_air(line, register)
    leaving, staying = (asyncio.create_task(line.answer("t", number)) for number in (2, 3))
    await a_moment()
    leaving.cancel()
    await asyncio.wait([leaving])
    register.open.set()
    assert await asyncio.gather(first, staying) == [1, 9]
    assert register.asked == [("t", [1]), ("t", [3])]


async def test_who_leaves_meanwhile_takes_nothing_from_the_others(
    line: Gathering[int, int], register: Register
) -> None:
    first = await first_in_the_air(line, register)
    first.cancel()
    await asyncio.wait([first])
    register.open.set()
    assert await line.answer("t", 4) == 16
