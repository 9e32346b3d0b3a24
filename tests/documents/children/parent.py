"""A service in miniature, to be killed: it starts a pool whose child hangs, says the child's number, and waits."""

import asyncio
import os
import sys
from pathlib import Path

from kyc_service.documents.pool import EnginePool


async def main() -> None:
    child = str(Path(__file__).parent / "obedient.py")
    async with EnginePool(workers=1, timeout=60, command=(sys.executable, child)) as pool:
        reading = await pool.read(b"hello", "image/jpeg")
        sys.stdout.write(f"{reading.width}\n")
        sys.stdout.flush()
        await pool.read(sys.argv[1].encode(), "image/jpeg")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", "")
    asyncio.run(main())
