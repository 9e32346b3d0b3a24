"""The engine's processes: each reads one picture at a time and may be killed without harm.

A picture comes from a stranger and is opened by image and model libraries written in C. So that happens in child
processes with a memory and a processor limit, no secrets in their environment and nothing but a pipe to the service;
one that hangs or dies costs that picture a retry and is replaced.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Self

from kyc_service.documents.child import DESCRIBE, LENGTH, MISSING, READY
from kyc_service.documents.faults import (
    EngineBusy,
    EngineClosed,
    EngineCrashed,
    EngineFault,
    EngineNotInstalled,
    EngineTimeout,
    EngineUnstartable,
)
from kyc_service.documents.readings import Reading
from kyc_service.documents.wire import Garbled, load
from kyc_service.domain.record import record

CHILD = (sys.executable, "-P", "-m", "kyc_service.documents.child")
STARTING = 60.0  # seconds in which a child must have loaded its models
LONGEST_ANSWER = 1 << 20
MEMORY = 1536 << 20  # bytes of private memory; measured: about 500 MiB for the largest picture that is accepted
PICTURES = 500  # a child that has read so many is replaced, lest leaks of the libraries add up
PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL")


OUTCOMES: Mapping[type[EngineFault], str] = {
    EngineBusy: "busy",
    EngineClosed: "closed",
    EngineCrashed: "crashed",
    EngineNotInstalled: "not_installed",
    EngineTimeout: "timeout",
    EngineUnstartable: "unstartable",
}


class EnginePool:
    """Reads pictures in child processes, which start with the first picture that needs them.

    At most *workers* pictures are read at a time and at most *waiting* wait for their turn; beyond that `read` raises
    `EngineBusy` at once, so that the caller's own queue, which survives a restart, holds the rest. *analysed* hears of
    each picture what came of it (`read`, `cancelled` or one of `OUTCOMES`) and how many seconds it took.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        timeout: float = 20.0,
        waiting: int = 32,
        memory: int = MEMORY,
        pictures: int = PICTURES,
        command: Sequence[str] = CHILD,
        analysed: Callable[[str, float], None] = lambda outcome, seconds: None,  # noqa: ARG005 - nobody listens
    ) -> None:
        self._analysed = analysed
        count = workers or os.cpu_count() or 1
        limits = _Limits(timeout=timeout, memory=memory, pictures=pictures)
        self._children = tuple(_Child(command, limits) for _ in range(count))
        self._idle = list(self._children)
        self._turn = asyncio.Semaphore(count)
        self._places = count + waiting
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def read(self, picture: bytes, media_type: str, *, describe_faces: bool = False) -> Reading:
        """What *picture* says. A useless picture gives a reading that says so; faults of the engine are raised.

        *describe_faces* makes biometric data, which the caller must have been allowed to.
        """
        started, outcome = time.perf_counter(), "cancelled"
        try:
            reading = await self._read(picture, media_type, describe_faces=describe_faces)
            outcome = "read"
        except EngineFault as error:
            outcome = OUTCOMES[type(error)]
            raise
        finally:
            self._analysed(outcome, time.perf_counter() - started)
        return reading

    async def _read(self, picture: bytes, media_type: str, *, describe_faces: bool) -> Reading:
        if self._closed:
            raise EngineClosed
        if self._places == 0:
            raise EngineBusy
        self._places -= 1
        try:
            async with self._turn:
                child = self._idle.pop()
                try:
                    return await self._asked(
                        child, picture, f"{media_type}{DESCRIBE}" if describe_faces else media_type
                    )
                finally:
                    self._idle.append(child)
        finally:
            self._places += 1

    async def _asked(self, child: "_Child", picture: bytes, media_type: str) -> Reading:
        if self._closed:
            raise EngineClosed
        try:
            return await child.read(picture, media_type)
        except (EngineCrashed, EngineUnstartable) as error:
            if self._closed:
                raise EngineClosed from error
            raise

    async def close(self) -> None:
        """End every child; what was being read raises `EngineClosed`."""
        self._closed = True
        await asyncio.gather(*(child.end() for child in self._children))


@record
class _Limits:
    """What one child may use: seconds for a picture, bytes of private memory, and pictures in its life."""

    timeout: float
    memory: int
    pictures: int


class _Child:
    """One process, started when it is first asked and again after it ended."""

    def __init__(self, command: Sequence[str], limits: _Limits) -> None:
        self._command = command
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None
        self._asked = 0
        self._ended = False
        self._busy = asyncio.Lock()

    async def read(self, picture: bytes, media_type: str) -> Reading:
        """The child's reading. Whatever goes wrong, cancellation included, ends the process: its pipe is unusable."""
        async with self._busy:
            reading = None
            try:
                process = await self._started()
                async with _limited(self._limits.timeout):
                    reading = load(await self._exchanged(process, (media_type.encode("ascii", "replace"), picture)))
            except Garbled as error:
                raise EngineCrashed from error
            finally:
                if reading is None or self._asked >= self._limits.pictures:
                    await asyncio.shield(asyncio.ensure_future(self._stop()))
            return reading

    async def end(self) -> None:
        """End the process for good, also in the middle of a picture."""
        self._ended = True
        self._kill()
        async with self._busy:
            await self._stop()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process and self._process.returncode is None:
            return self._process
        await self._stop()
        limits = (str(os.getpid()), str(self._limits.memory), str(ceil(self._limits.timeout)))
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            *limits,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,  # a Ctrl-C at the terminal is the service's to handle
        )
        self._asked = 0
        if self._ended:  # while it was being started
            raise EngineClosed
        try:
            async with _limited(STARTING):
                word = await _answer(process)
        except (EngineCrashed, EngineTimeout) as error:
            raise EngineUnstartable from error
        if word == MISSING:
            raise EngineNotInstalled
        if word != READY:
            raise EngineUnstartable
        return process

    async def _exchanged(self, process: asyncio.subprocess.Process, frames: Sequence[bytes]) -> bytes:
        pipe = process.stdin
        if pipe is None:
            raise EngineCrashed
        self._asked += 1
        try:
            for frame in frames:
                pipe.write(LENGTH.pack(len(frame)))
                pipe.write(frame)
            await pipe.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise EngineCrashed from error
        return await _answer(process)

    def _kill(self) -> None:
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _stop(self) -> None:
        """End the process and wait until it and its pipes are gone."""
        self._kill()
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin:
            process.stdin.close()
        if process.stdout:
            with contextlib.suppress(ConnectionResetError):
                while await process.stdout.read(1 << 16):
                    pass
        await process.wait()


@contextlib.asynccontextmanager
async def _limited(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise EngineTimeout from error


async def _answer(process: asyncio.subprocess.Process) -> bytes:
    """The next frame from the child; the end of the pipe tells how the child ended."""
    pipe = process.stdout
    if pipe is None:
        raise EngineCrashed
    try:
        (length,) = LENGTH.unpack(await pipe.readexactly(LENGTH.size))
        if length > LONGEST_ANSWER:
            raise EngineCrashed
        return await pipe.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionResetError) as error:
        if await process.wait() == -signal.SIGXCPU:
            raise EngineTimeout from error
        raise EngineCrashed from error


def _environment() -> dict[str, str]:
    """What a child needs to start: where the code is, and none of the service's secrets."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    package = str(Path(__file__).parents[2])
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, (package, kept.get("PYTHONPATH"))))}
