"""A child of the pool on a machine without the engine."""

import sys

from kyc_service.documents.child import Reader, main
from kyc_service.documents.faults import EngineNotInstalled


def load() -> Reader:
    raise EngineNotInstalled


if __name__ == "__main__":
    sys.exit(main(load))
