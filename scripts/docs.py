"""What the documentation says about the code, written by the code: `python -m scripts.docs --check` or `--write`.

A page marks the place with `<!-- generated: NAME -->` and `<!-- end -->`; `PARTS` says what stands between them.
`.env.sample` is generated whole.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from kyc_service.api import asyncapi
from kyc_service.cli.main import COMMANDS
from kyc_service.domain.reasons import GENERIC_TEXT, REASONS, Disclosure
from kyc_service.screening.lists.sources import SOURCES
from kyc_service.settings import Settings
from kyc_service.vendors.simulated import MAGIC, magic_file_id
from scripts import state_diagram

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs")
MARKED = re.compile(r"(?s)(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)")


class PartUnknown(Exception):
    """A page marks a place for something that nobody generates."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write everything; the answer is the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="fail if anything is out of date")
    action.add_argument("--write", action="store_true", help="write what is out of date")
    given = parser.parse_args(arguments)
    stale = [path for path, text in generated(ROOT).items() if not path.exists() or path.read_text("utf-8") != text]
    if given.write:
        for path in stale:
            path.write_text(generated(ROOT)[path], encoding="utf-8")
        return 0
    for path in stale:
        sys.stderr.write(f"{path.relative_to(ROOT)} is not what the code says: run `make docs` and look at the diff\n")
    return 1 if stale else 0


def generated(root: Path) -> Mapping[Path, str]:
    """Every file with a generated part, as it should be."""
    pages = [root / PAGES[0], *sorted((root / PAGES[1]).rglob("*.md"))]
    files = {page: filled(page.read_text(encoding="utf-8")) for page in pages}
    return {**files, root / ".env.sample": env_sample()}


def filled(page: str) -> str:
    """The *page* with every marked place filled."""

    def fill(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in PARTS:
            raise PartUnknown(name)
        return f"{found[1]}{PARTS[name]()}\n{found[3]}"

    return MARKED.sub(fill, page)


# ── settings ──────────────────────────────────────────────────────────────────────


def settings_table() -> str:
    """Every setting of the service, for operators."""
    rows = [(f"`{_variable(n)}`", _shown(f), f.description or "") for n, f in Settings.model_fields.items()]
    return table(("Variable", "Default", "What it sets"), rows)


def _variable(name: str) -> str:
    return f"KYC_{name.upper()}"


def _shown(field: FieldInfo) -> str:
    if field.default is None:
        return "secret, none" if is_secret(field) else "none"
    return f"`{_text(field.default)}`"


def _text(value: object) -> str:
    if value == {}:
        return ""
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_secret(field: FieldInfo) -> bool:
    """Whether the setting must never be printed."""
    options = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    return SecretStr in [option for option in options if option is not NoneType]


# What to write instead of nothing, with the containers of compose.yaml.
EXAMPLES: Mapping[str, str] = {
    "KYC_DB_DSN": "postgresql://crowdpay:${POSTGRES_PASSWORD}@localhost:5432/kyc",
    "KYC_EVENT_BROKER_URL": "amqp://crowdpay:${RABBITMQ_PASSWORD}@localhost:5672/",
    "KYC_JWT_PUBLIC_KEY_URL": "https://login.example.com/.well-known/jwks.json",
    "KYC_BLOB_URL": "s3://kyc-documents",
    "KYC_S3_ENDPOINT": "http://localhost:9000",
    "KYC_S3_ACCESS_KEY_ID": "crowdpay",
    "KYC_S3_SECRET_ACCESS_KEY": "${MINIO_PASSWORD}",
    "KYC_KEY_FILE": "/run/secrets/ring.json",
}

HEAD = """\
# Copy this to .env and fill in what you need: `cp .env.sample .env`. Generated from kyc_service/settings.py by
# `make docs`. A line that stays commented keeps its default, and the defaults run a whole service on one machine, for
# development. Never commit .env. Each KYC_NAME may also come from a file: KYC_NAME_FILE=/run/secrets/name.

# ── the containers of compose.yaml ───────────────────────────────────────────────
# Nothing starts while one of these is empty. Make each with `openssl rand -hex 24`.
POSTGRES_PASSWORD=
RABBITMQ_PASSWORD=
MINIO_PASSWORD=

# ── the service ──────────────────────────────────────────────────────────────────
"""


def env_sample() -> str:
    """`.env.sample`: every setting with its description, all commented."""
    return HEAD + "\n".join(_sample(name, field) for name, field in Settings.model_fields.items())


def _sample(name: str, field: FieldInfo) -> str:
    variable = _variable(name)
    value = EXAMPLES.get(variable, "" if field.default is None else _text(field.default))
    return f"# {field.description}\n# {variable}={value}\n"


# ── the rest ──────────────────────────────────────────────────────────────────────


def reasons_table() -> str:
    """Every reason code, and what an applicant may read."""
    told = {Disclosure.GENERIC: f"*{GENERIC_TEXT}*", Disclosure.SILENT: "nothing"}
    rows = [
        (
            f"`{reason.code}`",
            told.get(reason.disclosure, reason.text),
            "yes" if reason.retryable else "",
            "yes" if reason.tips_off else "",
        )
        for reason in REASONS.values()
    ]
    return table(("Code", "What the applicant reads", "Another picture helps", "Silences every other code"), rows)


def diagram() -> str:
    """The life of an application."""
    return f"```mermaid\n{state_diagram.mermaid()}\n```"


def magic_table() -> str:
    """The file ids by which an integrator walks every outcome."""
    return table(("`file_id`", "What happens"), [(f"`{magic_file_id(m)}`", m.value) for m in MAGIC.values()])


def commands_table() -> str:
    """Every command of `kyc`."""
    return table(("Command", "What it does"), [(f"`kyc {name}`", line) for name, (_, line) in COMMANDS.items()])


def lists_table() -> str:
    """The official lists, with what one has to know before one uses them."""
    rows = [(f"`{one.name}`", one.title, one.publisher, one.licence) for one in SOURCES.values()]
    return table(("Name", "List", "Publisher", "Licence"), rows)


def roles_table() -> str:
    """Who may do what, as the policies have it."""
    known = json.loads((ROOT / "kyc_service/access/policies/data.json").read_text(encoding="utf-8"))["kyc"]
    rows = [
        (f"`{action}`", *("yes" if action in actions else "" for actions in known["roles"].values()))
        for action in known["actions"]
    ]
    return table(("Action", *(f"`{role}`" for role in known["roles"])), rows)


def messages() -> str:
    """Every message that goes over a broker, with an example."""
    described = asyncapi.document()
    shown = described["components"]["messages"]
    parts = []
    for channel in described["channels"].values():
        parts.append(f"## {channel['title']}: `{channel['address'] or 'where the command says'}`\n")
        parts.append(f"{channel['description']}\n")
        for name in channel["messages"]:
            parts += [] if shown[name] is None else _message(shown[name])
            shown[name] = None  # a message of two channels is shown once
    return "\n".join(parts).rstrip()


def _message(message: Mapping[str, Any]) -> list[str]:
    example = message["examples"][0]
    headers = [f"Headers: `{json.dumps(example['headers'], ensure_ascii=False)}`\n"] if "headers" in example else []
    body = json.dumps(example["payload"], indent=2, ensure_ascii=False)
    return [
        f"### `{message['name']}`\n",
        f"{message['title']}. {message['summary']} `{message['contentType']}`\n",
        *headers,
        f"```json\n{body}\n```\n",
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


PARTS: Mapping[str, Callable[[], str]] = {
    "lists": lists_table,
    "settings": settings_table,
    "reasons": reasons_table,
    "state-diagram": diagram,
    "magic": magic_table,
    "commands": commands_table,
    "roles": roles_table,
    "messages": messages,
}

if __name__ == "__main__":
    sys.exit(main())
