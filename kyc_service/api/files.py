"""Pictures of documents over HTTP: streamed in and out, never whole in memory and never in a temporary file."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from starlette.responses import Response, StreamingResponse

from kyc_service.api import applications, headers, representation
from kyc_service.api.contract import STORED, Body, Operation, Success
from kyc_service.api.problems import Refused
from kyc_service.api.routes import Call, Route, chunks, refuse_larger
from kyc_service.application.desk import Again
from kyc_service.application.files import FileNotFound, FileView, KeyedUpload
from kyc_service.application.keys import DataClass
from kyc_service.application.ports import PersonErased
from kyc_service.domain import media

PATH = "/v1/kyc/files"
PURPOSES: Mapping[str, DataClass] = {"document": DataClass.DOCUMENT, "selfie": DataClass.BIOMETRIC}


async def upload(call: Call) -> Response:
    """A new file; the body is the file itself."""
    cabinet, request = call.app.cabinet, call.request
    (purpose,) = applications.parameters(request, {"purpose"}).get("purpose", ["document"])
    if purpose not in PURPOSES:
        raise applications.wrong("purpose", "This is none of the documented purposes.")
    refuse_larger(request, cabinet.limit, "file_too_large")
    key = headers.idempotency_key(request)
    keyed = KeyedUpload(key=key, render=lambda view: representation.remembered(_created(view))) if key else None
    declared, content = headers.media_type(request), chunks(request)
    view = await cabinet.upload(call.caller, declared, content, keyed, PURPOSES[purpose])
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
        raise PersonErased
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
            "Content-Disposition": f'attachment; filename="{view.id}.{media.KINDS[view.media_type].extension}"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
        media_type=view.media_type,
    )


async def _continued(first: bytes, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for chunk in content:
            yield chunk
    finally:
        if isinstance(content, AsyncGenerator):  # nobody may have read to the end
            await content.aclose()


def _created(view: FileView) -> Response:
    location = representation.location("files", view.id)
    return representation.created(representation.file(view), location, f'"{view.sha256}.json"')


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path=PATH,
        action="file.upload",
        handler=upload,
        documented=Operation(
            name="uploadFile",
            tag="files",
            summary="Upload a picture of a document",
            description="The body is the file itself. It is encrypted as it comes in, and its `id` is the `file_id` of "
            "a document.",
            parameters=("Purpose", "IdempotencyKey"),
            body=Body(media_types=tuple(media.MEDIA_TYPES)),
            successes={
                201: Success(
                    description="Stored.",
                    schema="StoredFile",
                    example=STORED,
                    headers=("Location", "ETag", "Idempotent-Replayed"),
                )
            },
            problems=(
                "request_invalid",
                "validation_failed",
                "idempotency_key_invalid",
                "idempotency_key_reused",
                "answer_erased",
                "contended",
                "file_too_large",
                "file_type_unsupported",
                "media_type_unsupported",
                "file_empty",
                "file_type_mismatch",
                "file_infected",
                "file_not_scannable",
                "scanner_unavailable",
                "files_unavailable",
            ),
        ),
    ),
    Route(
        method="GET",
        path=PATH + "/{file_id}",
        action="file.read",
        handler=read,
        documented=Operation(
            name="readFile",
            tag="files",
            summary="Retrieve a file, or what is known of it",
            description="`Accept: application/json` gets what is known of the file; anything else gets the file "
            "itself, decrypted, which needs the permission to download.",
            parameters=("FileId", "IfNoneMatch"),
            successes={
                200: Success(
                    description="The file, or what is known of it.",
                    schema="StoredFile",
                    example=STORED,
                    raw=tuple(media.MEDIA_TYPES),
                    headers=("ETag", "Content-Disposition"),
                ),
                304: Success(description="Not modified.", headers=("ETag",)),
            },
            problems=("file_not_found", "person_erased", "not_acceptable", "files_unavailable"),
        ),
    ),
)
