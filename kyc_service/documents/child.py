"""One process of the engine: pictures come in on standard input, readings go out on standard output.

It is started by `pool` with nothing but its limits; it reads no settings, opens no file but the models, and after they
are loaded may write none. When the service ends, however it ends, so does this process.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO

from kyc_service.documents.faults import EngineNotInstalled
from kyc_service.documents.wire import dump

PR_SET_PDEATHSIG = 1
LENGTH = struct.Struct(">I")
READY = b"ready"
MISSING = b"missing"
DESCRIBE = " faces"  # behind the media type: faces are to be described, which somebody consented to

Reader = Callable[[bytes, str], bytes]  # a picture and its media type in, a reading as JSON out


def engine() -> Reader:
    """The reader of the engine, its models loaded; `EngineNotInstalled` where the extra is missing."""
    from kyc_service.documents.faces import FaceFinder  # noqa: PLC0415 - the service imports this module too
    from kyc_service.documents.ocr import TextReader  # noqa: PLC0415
    from kyc_service.documents.reading import FaceSearch, read  # noqa: PLC0415

    reader, finder = TextReader(), FaceFinder()

    def reading(picture: bytes, asked: str) -> bytes:
        media_type = asked.removesuffix(DESCRIBE)
        return dump(read(reader, picture, media_type, FaceSearch(finder=finder, describe=asked.endswith(DESCRIBE))))

    return reading


def main(load: Callable[[], Reader] = engine) -> int:
    """Read pictures with the reader that *load* gives until the pipe ends."""
    parent, memory, seconds = (int(argument) for argument in sys.argv[1:4])
    tie_to(parent)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not reach the pipe
    limit(memory)
    try:
        reader = load()
    except EngineNotInstalled:
        send(answers, MISSING)
        return 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # from here on, nothing can be written to a disk
    return serve(sys.stdin.buffer, answers, reader, seconds)


def tie_to(parent: int) -> None:
    """Die with the process *parent*, where the kernel can see to it (Linux); elsewhere the end of the pipe must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before we asked
        raise SystemExit(0)


def limit(memory: int) -> None:
    """At most *memory* bytes of private memory, and no core dump that would put a picture on the disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # counts private writable memory, not the files that libraries map
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def serve(pictures: BinaryIO, answers: BinaryIO, reader: Reader, seconds: int) -> int:
    """Answer every picture in turn; each may use *seconds* of processor time."""
    send(answers, READY)
    while True:
        media_type = receive(pictures)
        picture = receive(pictures)
        if media_type is None or picture is None:
            return 0
        allow(seconds)
        send(answers, reader(picture, media_type.decode("ascii", "replace")))


def allow(seconds: int) -> None:
    """Let the kernel end this process after *seconds* more of processor time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime) + seconds + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def send(stream: BinaryIO, content: bytes) -> None:
    """One frame: its length, then its bytes."""
    stream.write(LENGTH.pack(len(content)) + content)
    stream.flush()


def receive(stream: BinaryIO) -> bytes | None:
    """The next frame; None at the end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    content = stream.read(length)
    return content if len(content) == length else None


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        sys.exit(main())
