"""Pictures of documents over HTTP: streamed in and streamed out, never whole in memory and never in a temporary file."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from starlette.responses import Response, StreamingResponse

from kyc_service.api import headers, representation
from kyc_service.api.problems import Refused
from kyc_service.api.routes import Call, chunks, refuse_larger
from kyc_service.application.desk import Again
from kyc_service.application.files import FileNotFound, FileView, KeyedUpload

PATH = "/v1/kyc/files"
EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png"}


async def upload(call: Call) -> Response:
    """A new file; the body is the file itself."""
    cabinet, request = call.app.cabinet, call.request
    refuse_larger(request, cabinet.limit, "file_too_large")
    key = headers.idempotency_key(request)
    keyed = KeyedUpload(key=key, render=lambda view: representation.remembered(_created(view))) if key else None
    view = await cabinet.upload(call.caller, headers.media_type(request), chunks(request), keyed)
    return representation.repeated(view.answer) if isinstance(view, Again) else _created(view)


async def read(call: Call) -> Response:
    """The file itself, or what is known of it, whichever is asked for."""
    view = await call.app.cabinet.view(call.caller.tenant, call.identity("file_id", FileNotFound))
    wanted = headers.preferred(call.request, view.media_type, "application/json")
    if wanted is None:
        raise Refused("not_acceptable")
    if wanted != "application/json":
        call.require("file.download")
    if view.sha256 is None:
        raise FileNotFound
    tag = f'"{view.sha256}"' if wanted != "application/json" else f'"{view.sha256}.json"'
    given = {"ETag": tag, "Vary": "Accept"}
    if headers.unchanged(call.request, tag):
        return Response(status_code=304, headers=given)
    if wanted == "application/json":
        return representation.answer(representation.file(view), given=given)
    return await _download(call, view, given)


async def _download(call: Call, view: FileView, given: dict[str, str]) -> Response:
    content = call.app.cabinet.read(call.caller.tenant, view.id)
    first = await anext(content, b"")  # before the answer begins, so that a lost file is no broken success
    return StreamingResponse(
        _continued(first, content),
        headers={
            **given,
            "Content-Length": str(view.size),
            "Content-Disposition": f'attachment; filename="{view.id}.{EXTENSIONS.get(view.media_type, "bin")}"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
        media_type=view.media_type,
    )


async def _continued(first: bytes, content: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(content) as rest:  # also when nobody reads to the end
        yield first
        async for chunk in rest:
            yield chunk


def _created(view: FileView) -> Response:
    location = representation.location("files", view.id)
    return representation.created(representation.file(view), location, f'"{view.sha256}.json"')
