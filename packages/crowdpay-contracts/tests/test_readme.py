"""The example in the README runs and prints what the README says."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_example_prints_what_stands_below_it() -> None:
    text = README.read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert example is not None
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", example[1]], capture_output=True, text=True, check=False
    )
    assert (finished.stderr, finished.stdout) == ("", example[2])
