"""The OpenAPI document, made of the tables of routes. `python -m kyc_service.api.openapi` writes or checks a copy."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter

from kyc_service.api import answers, forms
from kyc_service.api.contract import (
    ALWAYS,
    AUTHENTICATED,
    PARAMETERS,
    RESPONSE_HEADERS,
    Body,
    Json,
    Operation,
    Success,
    statuses,
)
from kyc_service.api.problems import HEADERS, KINDS, MEDIA_TYPE, Kind, as_json
from kyc_service.api.routes import PublicRoute, Route

VERSION = "1.0.0"
TAGS = (
    ("applications", "Applications for verification."),
    ("screening", "Sanctions and PEP lists."),
    ("events", "What happened, as the rest of the company is told."),
    ("files", "Pictures of documents, kept encrypted."),
    ("health", "For load balancers and people on call."),
)
DESCRIPTION = """\
Submit people for verification, and learn what came of it.

Errors are problem details (RFC 9457) with a stable `code`; [all of them are explained](docs/problems). Applications of
other tenants do not exist for you. Answers may get more members, and codes more values: ignore what you do not know."""
SHAPES: tuple[type, ...] = (
    forms.NewApplication,
    forms.ApplicationPatch,
    forms.EmailSearch,
    forms.Review,
    forms.HitReview,
    forms.ScreeningQuery,
    answers.Application,
    answers.ApplicationPage,
    answers.History,
    answers.ScreeningAnswer,
    answers.EventBatch,
    answers.StoredFile,
    answers.Health,
    answers.Readiness,
    answers.Problem,
)
EXAMPLE_REQUEST = "018f3c1e-6f1b-7000-8000-0000000000aa"


def document(routes: Iterable[Route], public: Iterable[PublicRoute]) -> Json:
    """The whole document."""
    paths: dict[str, Json] = {}
    described = [
        *((route.method, route.path, route.documented) for route in routes),
        *(("GET", route.path, route.documented) for route in public if route.documented),
    ]
    for method, path, operation in described:
        paths.setdefault(path, {})[method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "KYC Service",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": description} for name, description in TAGS],
        "paths": paths,
        "components": {
            "schemas": schemas(SHAPES),
            "parameters": dict(PARAMETERS),
            "headers": dict(RESPONSE_HEADERS),
            "examples": {kind.code: _example(kind) for kind in KINDS.values()},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of your issuer, with the claims for the tenant and the roles.",
                }
            },
        },
    }


def _operation(operation: Operation) -> Json:
    codes = (*operation.problems, *ALWAYS, *(() if operation.public else AUTHENTICATED))
    problems = {} if operation.public else statuses(codes)
    shown: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in operation.parameters],
        "responses": {
            **{str(status): _success(success) for status, success in operation.successes.items()},
            **{str(status): _problem(found) for status, found in problems.items()},
        },
        "security": [] if operation.public else [{"bearer": []}],
    }
    if operation.body:
        shown["requestBody"] = {"required": True, "content": _content(operation.body)}
    return shown


def _content(body: Body) -> Json:
    if body.schema is None:
        return {media: {"schema": {"type": "string", "format": "binary"}} for media in body.media_types}
    content: Json = {"schema": {"$ref": f"#/components/schemas/{body.schema}"}}
    if body.examples:
        content["examples"] = {name: {"value": value} for name, value in body.examples.items()}
    return dict.fromkeys(body.media_types, content)


def _success(success: Success) -> Json:
    content: Json = {media: {"schema": {"type": "string", "format": "binary"}} for media in success.raw}
    if success.schema:
        content[success.media_type] = {
            "schema": {"$ref": f"#/components/schemas/{success.schema}"},
            "example": success.example,
        }
    answer: Json = {"description": success.description, "headers": _headers(*success.headers)}
    return {**answer, "content": content} if content else answer


def _problem(codes: tuple[str, ...]) -> Json:
    given = {name for code in codes for name in HEADERS.get(code, {}) if name in RESPONSE_HEADERS}
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    return {
        "description": " / ".join(dict.fromkeys(KINDS[code].title for code in codes)),
        "headers": _headers(*sorted(given)),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }


def _example(kind: Kind) -> Json:
    return {"summary": kind.title, "value": {**as_json(kind), "request_id": EXAMPLE_REQUEST, **_faults(kind.code)}}


def _faults(code: str) -> Json:
    if code != "validation_failed":
        return {}
    return {"errors": [{"pointer": "#/email", "code": "missing", "detail": "This member is required."}]}


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


def schemas(shapes: Iterable[type]) -> Json:
    """Every schema by its name; what several of them share stands beside them."""
    _, shared = TypeAdapter.json_schemas(
        [(shape.__name__, "validation", TypeAdapter(shape)) for shape in shapes],
        ref_template="#/components/schemas/{model}",
    )
    return {name: _tidied(schema) for name, schema in sorted(shared["$defs"].items())}


def _tidied(schema: object) -> object:
    """Without the titles that only repeat a member's name, and without the default of what is simply absent."""
    match schema:
        case dict():
            return {
                name: {key: _tidied(value) for key, value in part.items()} if name == "properties" else _tidied(part)
                for name, part in schema.items()
                if not (name == "title" and isinstance(part, str)) and not (name == "default" and part is None)
            }
        case list():
            return [_tidied(part) for part in schema]
        case _:
            return schema


def as_text(content: Json) -> str:
    """The document as the repository keeps it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the copy, or say whether it is still true."""
    from kyc_service.api.main import PUBLIC, ROUTES  # noqa: PLC0415  the routes need what is above

    return keep_copy("The OpenAPI document of the service.", as_text(document(ROUTES, PUBLIC)), arguments)


def keep_copy(description: str, text: str, arguments: list[str] | None) -> int:
    """What `--write FILE` and `--check FILE` do with a document that the code makes; the answer is the exit code."""
    parser = argparse.ArgumentParser(description=description)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FILE", help="write the document to FILE")
    action.add_argument("--check", type=Path, metavar="FILE", help="fail if FILE differs from the document")
    given = parser.parse_args(arguments)
    if given.write:
        given.write.write_text(text, encoding="utf-8")
        return 0
    if given.check.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(
        f"{given.check} is not what the service offers: run `--write {given.check}` and look at the diff\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
