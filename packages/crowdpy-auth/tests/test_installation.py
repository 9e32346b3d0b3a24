"""The package with both client libraries, with one, and with none; and its README."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import httpx2
import pytest
from crowdpy_auth import CrowdPayAuth

README = Path(__file__).parents[1] / "README.md"


def run(code: str) -> str:
    """What *code* prints in a fresh interpreter."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def without(*libraries: str) -> str:
    """Code that makes an interpreter believe that *libraries* are not installed."""
    return "import sys; " + "; ".join(f"sys.modules[{library!r}] = None" for library in libraries) + "\n"


def test_one_class_is_the_auth_of_both_libraries() -> None:
    auth = CrowdPayAuth(token="mine")
    assert isinstance(auth, httpx.Auth)
    assert isinstance(auth, httpx2.Auth)


@pytest.mark.parametrize(("present", "absent"), [("httpx", "httpx2"), ("httpx2", "httpx")])
def test_one_library_is_enough(present: str, absent: str) -> None:
    code = f"""
import {present} as library
from crowdpy_auth import CrowdPayAuth
service = library.MockTransport(lambda request: library.Response(200, text=request.headers["Authorization"]))
with library.Client(auth=CrowdPayAuth(token="mine"), transport=service) as client:
    print(client.get("https://kyc.example.com/").text)
"""
    assert run(without(absent) + code) == "Bearer mine"


def test_an_httpx_that_is_only_another_name_for_httpx2_is_fine() -> None:
    code = """
import httpx2
httpx2.alias_httpx()
from crowdpy_auth import CrowdPayAuth
print(isinstance(CrowdPayAuth(token="mine"), httpx2.Auth))
"""
    assert run(code) == "True"


def test_without_a_library_the_import_works_and_the_construction_says_what_to_install() -> None:
    code = """
from crowdpy_auth import CrowdPayAuth
try:
    CrowdPayAuth(token="mine")
except ImportError as error:
    print(error)
"""
    message = run(without("httpx", "httpx2") + code)
    assert message == "CrowdPayAuth needs an HTTP client: install crowdpy-auth[httpx2] or crowdpy-auth[httpx]"


def test_the_example_in_the_readme_prints_what_stands_below_it() -> None:
    example = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    assert run(example[1]) == example[2].strip()
