"""What the service shows of itself: the OpenAPI document, a page to try it on, and every problem explained.

Everything comes from this package, so that it works offline and under a policy that allows no foreign script.
"""

import html
import mimetypes
from functools import cache
from hashlib import sha256
from importlib.resources import files

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from kyc_service.api import asyncapi, headers
from kyc_service.api.problems import KINDS, Kind, Refused

ASSETS = frozenset({"page.css", "start.js", "swagger-ui-bundle.js", "swagger-ui.css"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
{head}
</head>
<body>
{body}
</body>
</html>
"""
# Relative addresses, so that the pages also work behind a proxy that puts a prefix before them.
UI = PAGE.format(
    title="KYC Service API",
    head='<link rel="stylesheet" href="docs/assets/swagger-ui.css">\n'
    '<link rel="stylesheet" href="docs/assets/page.css">',
    body='<div id="ui"></div>\n<script src="docs/assets/swagger-ui-bundle.js"></script>\n'
    '<script src="docs/assets/start.js"></script>',
)


async def document(request: Request) -> Response:
    """The OpenAPI document."""
    return _document(request, to_json(request.app.openapi()))


async def messages(request: Request) -> Response:
    """The AsyncAPI document."""
    return _document(request, _messages())


@cache
def _messages() -> bytes:
    return to_json(asyncapi.document())


def _document(request: Request, content: bytes) -> Response:
    tag = f'"{sha256(content).hexdigest()[:32]}"'
    given = {"ETag": tag, "Cache-Control": "no-cache"}
    if headers.unchanged(request, tag):
        return Response(status_code=304, headers=given)
    return Response(content, headers=given, media_type="application/json")


async def page(request: Request) -> Response:
    """The page on which the API can be read and tried."""
    del request
    return _page(UI)


async def problems(request: Request) -> Response:
    """What every problem code means; the `type` of a problem points here."""
    del request
    return _page(_problems())


async def asset(request: Request) -> Response:
    """One of the few files that the pages consist of."""
    name = request.path_params["name"]
    if name not in ASSETS:
        raise Refused("not_found")
    content, media_type, tag = _asset(name)
    given = {"ETag": tag, "Cache-Control": "public, max-age=3600"}
    if headers.unchanged(request, tag):
        return Response(status_code=304, headers=given)
    return Response(content, headers=given, media_type=media_type)


def _page(content: str) -> Response:
    given = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(content, headers=given, media_type="text/html")


@cache
def _asset(name: str) -> tuple[bytes, str, str]:
    content = (files("kyc_service.api") / "static" / name).read_bytes()
    return content, mimetypes.types_map[f".{name.rpartition('.')[2]}"], f'"{sha256(content).hexdigest()[:32]}"'


@cache
def _problems() -> str:
    head = '<link rel="stylesheet" href="assets/page.css">'
    body = "\n".join(_explained(kind) for kind in KINDS.values())
    return PAGE.format(title="Problems", head=head, body=f'<main class="problems">\n<h1>Problems</h1>\n{body}\n</main>')


def _explained(kind: Kind) -> str:
    texts = [html.escape(text) for text in (kind.title, kind.detail, kind.cure)]
    return f'<h2 id="{kind.code}">{kind.status} {kind.code}</h2>\n' + "\n".join(f"<p>{text}</p>" for text in texts)
