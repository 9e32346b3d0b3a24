"""The files of one check, read within a time of their own: what the store of files takes is not the vendor's delay."""

import asyncio
from collections.abc import AsyncIterator, Callable

from kyc_service.application.ports import FilesUnavailable

Read = Callable[[], AsyncIterator[bytes]]


class FilesTooSlow(FilesUnavailable):
    """The store of the files did not give them in time."""


class Reading:
    """How long the files of one check may keep whoever reads them waiting, all of them together."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self.interrupted = False  # somebody was cancelled while they waited for the store

    def within(self, read: Read) -> Read:
        """The same file, whose reading raises `FilesTooSlow` as soon as the time is over."""

        async def timed() -> AsyncIterator[bytes]:
            chunks = read()
            while (chunk := await self._next(chunks)) is not None:
                yield chunk

        return timed

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._left) as limit:
                return await anext(chunks, None)
        except TimeoutError as error:
            if limit.expired():
                raise FilesTooSlow from error
            raise
        except asyncio.CancelledError:
            self.interrupted = True
            raise
        finally:
            self._left -= clock() - began
