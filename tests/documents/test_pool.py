"""The engine's processes, for real: children that hang, crash, garble, eat memory, and a service that is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kyc_service.documents.faults import (
    EngineBusy,
    EngineClosed,
    EngineCrashed,
    EngineNotInstalled,
    EngineTimeout,
    EngineUnstartable,
)
from kyc_service.documents.pool import EnginePool
from kyc_service.documents.readings import Reading

CHILDREN = Path(__file__).parent / "children"
OBEDIENT = (sys.executable, str(CHILDREN / "obedient.py"))
ROOT = Path(__file__).parents[2]


def pool(*, workers: int = 1, timeout: float = 30, waiting: int = 32, memory: int = 1 << 30) -> EnginePool:
    return EnginePool(workers=workers, timeout=timeout, waiting=waiting, memory=memory, command=OBEDIENT)


async def process_of(engine: EnginePool) -> int:
    """The number of the child that answers next."""
    return (await engine.read(b"hello", "image/jpeg")).width


def alive(process: int) -> bool:
    """Whether the process still runs; a zombie counts as alive."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def eventually(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return False


async def test_a_picture_goes_in_and_its_reading_comes_out() -> None:
    async with pool() as engine:
        reading = await engine.read(b"x" * 3_000_000, "image/png")
        assert reading == Reading(width=reading.width, height=3_000_000, refused="image/png")


async def test_one_process_serves_many_pictures() -> None:
    async with pool() as engine:
        assert len({await process_of(engine) for _ in range(5)}) == 1


async def test_pictures_are_read_side_by_side() -> None:
    async with pool(workers=2) as engine:
        readings = await asyncio.gather(*(engine.read(b"sleep 0.3", "image/jpeg") for _ in range(2)))
        assert len({reading.width for reading in readings}) == 2


async def test_a_process_that_hangs_is_killed_and_replaced() -> None:
    async with pool(timeout=1) as engine:
        first = await process_of(engine)
        with pytest.raises(EngineTimeout):
            await engine.read(b"sleep 60", "image/jpeg")
        assert not alive(first)
        assert await process_of(engine) != first


async def test_a_process_that_spins_is_ended_by_the_kernel_too() -> None:
    async with pool(timeout=1) as engine:
        with pytest.raises(EngineTimeout):
            await engine.read(b"spin", "image/jpeg")


@pytest.mark.parametrize("order", [b"segfault", b"exit", b"eat 2000000000", b"garble"])
async def test_a_process_that_breaks_costs_one_picture_only(order: bytes) -> None:
    async with pool() as engine:
        first = await process_of(engine)
        with pytest.raises(EngineCrashed):
            await engine.read(order, "image/jpeg")
        assert not alive(first)
        assert await process_of(engine) != first


async def test_a_picture_never_reaches_the_disk(tmp_path: Path) -> None:
    async with pool() as engine:
        with pytest.raises(EngineCrashed):
            await engine.read(b"write " + bytes(tmp_path / "leak"), "image/jpeg")
    assert not (tmp_path / "leak").exists() or (tmp_path / "leak").read_bytes() == b""


async def test_what_a_library_prints_does_not_disturb_the_answer() -> None:
    async with pool() as engine:
        assert (await engine.read(b"print", "image/jpeg")).height == len(b"print")


async def test_a_process_knows_none_of_the_secrets_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYC_DB_DSN", "postgresql://secret")
    async with pool() as engine:
        names = (await engine.read(b"environment", "image/jpeg")).refused or ""
        assert "PATH" in names
        assert "KYC_DB_DSN" not in names


async def test_beyond_the_queue_the_engine_is_busy() -> None:
    async with pool(waiting=1) as engine:
        reads = [asyncio.create_task(engine.read(b"sleep 0.5", "image/jpeg")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(EngineBusy):
            await engine.read(b"hello", "image/jpeg")
        await asyncio.gather(*reads)
        assert await process_of(engine)


async def test_a_caller_who_gives_up_leaves_a_working_pool_behind() -> None:
    async with pool() as engine:
        first = await process_of(engine)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await engine.read(b"sleep 60", "image/jpeg")
        assert not alive(first)
        assert await process_of(engine) != first


async def test_the_event_loop_runs_on_while_a_picture_is_read() -> None:
    async with pool() as engine:
        read = asyncio.create_task(engine.read(b"sleep 60", "image/jpeg"))
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert not read.done()
        read.cancel()
        await asyncio.gather(read, return_exceptions=True)


async def test_closing_ends_idle_and_busy_processes_and_refuses_more(tmp_path: Path) -> None:
    engine = pool(workers=2)
    idle = await process_of(engine)
    begun = [tmp_path / f"{number}" for number in range(3)]
    busy = [asyncio.create_task(engine.read(f"hold {one}".encode(), "image/jpeg")) for one in begun]
    assert await eventually(lambda: sum(one.exists() for one in begun) == 2)  # and one waits for its turn
    await engine.close()
    for outcome in await asyncio.gather(*busy, return_exceptions=True):
        assert isinstance(outcome, EngineClosed)
    assert not alive(idle)
    with pytest.raises(EngineClosed):
        await engine.read(b"hello", "image/jpeg")


async def test_closing_while_a_process_starts_leaves_none_behind() -> None:
    engine = pool()
    read = asyncio.create_task(engine.read(b"sleep 60", "image/jpeg"))
    await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(EngineClosed):
        await read


async def test_a_missing_engine_is_said_and_not_retried_as_a_crash() -> None:
    async with EnginePool(workers=1, command=(sys.executable, str(CHILDREN / "uninstalled.py"))) as engine:
        with pytest.raises(EngineNotInstalled):
            await engine.read(b"hello", "image/jpeg")


@pytest.mark.parametrize("package", ["onnxruntime", "cv2", "numpy", "PIL"])
async def test_without_a_package_of_the_extra_the_engine_is_not_installed(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from kyc_service.documents import child; child.main()"
    async with EnginePool(workers=1, command=(sys.executable, "-c", script)) as engine:
        with pytest.raises(EngineNotInstalled):
            await engine.read(b"hello", "image/jpeg")


@pytest.mark.parametrize("command", [(sys.executable, "-c", "pass"), (sys.executable, "-c", "print('no engine' * 9)")])
async def test_an_engine_that_cannot_start_is_no_fault_of_the_picture(command: tuple[str, ...]) -> None:
    async with EnginePool(workers=1, command=command) as engine:
        with pytest.raises(EngineUnstartable):
            await engine.read(b"hello", "image/jpeg")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own bond between parent and child is Linux's")
@pytest.mark.parametrize("order", ["sleep 60", "spin"])
async def test_a_service_that_is_killed_takes_its_processes_with_it(order: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILDREN / "parent.py"), order, stdout=subprocess.PIPE, env=environment
    )
    assert parent.stdout
    child = int(await parent.stdout.readline())
    assert alive(child)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.stdout.read()
    await parent.wait()
    assert await eventually(lambda: not running(child))


def running(process: int) -> bool:
    """Whether the process runs; an orphan that nobody has reaped yet does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_fresh_process_takes_over_after_many_pictures() -> None:
    engine = EnginePool(workers=1, pictures=3, command=OBEDIENT)
    async with engine:
        assert len({await process_of(engine) for _ in range(7)}) == 3


async def test_what_came_of_each_picture_is_told_with_its_time() -> None:
    told: list[tuple[str, float]] = []
    heard = lambda outcome, seconds: told.append((outcome, seconds))  # noqa: E731 - as it is handed over
    async with EnginePool(workers=1, timeout=1, waiting=0, command=OBEDIENT, analysed=heard) as engine:
        await engine.read(b"hello", "image/jpeg")
        with pytest.raises(EngineTimeout):
            await engine.read(b"sleep 30", "image/jpeg")
        reading = asyncio.create_task(engine.read(b"sleep 30", "image/jpeg"))
        await asyncio.sleep(0.05)
        with pytest.raises(EngineBusy):
            await engine.read(b"hello", "image/jpeg")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    with pytest.raises(EngineClosed):
        await engine.read(b"hello", "image/jpeg")
    assert [outcome for outcome, _ in told] == ["read", "timeout", "busy", "cancelled", "closed"]
    assert told[1][1] >= 1
