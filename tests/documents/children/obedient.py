"""A child of the pool that does what the picture says: the real child's plumbing around a reader that obeys."""

import os
import signal
import sys
import time
from pathlib import Path

from kyc_service.documents.child import Reader, main
from kyc_service.documents.readings import Reading
from kyc_service.documents.wire import dump

JPEG = b"\xff\xd8\xff\xe0 "  # what the service takes in begins so


def obey(picture: bytes, media_type: str) -> bytes:
    order, _, argument = picture.removeprefix(JPEG).partition(b" ")
    match order:
        case b"sleep":
            time.sleep(float(argument))
        case b"hold":
            Path(argument.decode()).touch()
            time.sleep(60)
        case b"spin":
            while True:
                pass
        case b"segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"exit":
            os._exit(0)
        case b"eat":
            bytearray(int(argument))
        case b"write":
            with open(argument, "wb") as file:  # noqa: PTH123
                file.write(b"picture")
        case b"garble":
            return b'{"refused": 1}'
        case b"print":
            print("a library that talks", flush=True)
            os.write(1, b"and writes to the descriptor itself")
        case b"environment":
            return dump(Reading(refused=",".join(sorted(os.environ))))
    return dump(Reading(width=os.getpid(), height=len(picture), refused=media_type))


def load() -> Reader:
    return obey


if __name__ == "__main__":
    sys.exit(main(load))
