"""`python -m crowdpay_contracts.schemas [--write]`: says which committed schemas are stale, or writes them anew."""

import argparse
import sys
from pathlib import Path

from crowdpay_contracts.schemas import generate, render

FOLDER = Path(__file__).parent


def stale() -> dict[Path, str]:
    """What the files that are not current should contain."""
    wanted = {FOLDER / f"{name}.json": render(schema) for name, schema in generate().items()}
    return {
        path: text for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """0 when every committed schema is current, or was made so."""
    parser = argparse.ArgumentParser(prog="python -m crowdpay_contracts.schemas", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the files that are not current")
    write = parser.parse_args().write
    outdated = stale()
    for path, text in outdated.items():
        if write:
            path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{'written' if write else 'stale'}: {path.name}\n")
    return 1 if outdated and not write else 0


if __name__ == "__main__":
    sys.exit(main())
