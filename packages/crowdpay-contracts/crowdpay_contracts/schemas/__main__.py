"""`python -m crowdpay_contracts.schemas`: says which committed schemas are stale; `--write` writes them anew."""

import argparse
import sys
from pathlib import Path

from crowdpay_contracts.schemas import generate, render

FOLDER = Path(__file__).parent


def stale(folder: Path) -> dict[Path, str]:
    """What the files in *folder* that are not current should contain."""
    wanted = {folder / f"{name}.json": render(schema) for name, schema in generate().items()}
    return {
        path: text for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """0 when every schema is current, or was made so."""
    parser = argparse.ArgumentParser(prog="python -m crowdpay_contracts.schemas")
    parser.add_argument("--write", action="store_true", help="write the files that are not current")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they are; this package by default")
    options = parser.parse_args()
    outdated = stale(options.folder)
    for path, text in outdated.items():
        if options.write:
            path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{'written' if options.write else 'stale'}: {path.name}\n")
    return 1 if outdated and not options.write else 0


if __name__ == "__main__":
    sys.exit(main())
