"""Pictures over HTTP: what goes in comes out, and nothing else does."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from kyc_service.settings import Settings

FILES = "/v1/kyc/files"
JPEG = {"Content-Type": "image/jpeg"}


def test_an_uploaded_picture_comes_back_as_it_was(api: TestClient, picture: bytes) -> None:
    stored = api.post(FILES, content=picture, headers=JPEG)
    assert stored.status_code == 201
    known = stored.json()
    assert (known["size"], known["media_type"]) == (len(picture), "image/jpeg")
    assert known["sha256"] == hashlib.sha256(picture).hexdigest()
    assert stored.headers["location"] == f"{FILES}/{known['id']}"
    answer = api.get(stored.headers["location"])
    assert answer.content == picture
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-length"] == str(len(picture))
    assert answer.headers["content-disposition"] == f'attachment; filename="{known["id"]}.jpg"'
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert api.get(stored.headers["location"], headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_a_picture_is_on_the_disk_before_anything_tells_of_it(
    api: TestClient, picture: bytes, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        really(descriptor)
        with psycopg.connect(dsn) as connection:
            rows = connection.execute("select count(*) from files").fetchone()
        told.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), rows[0] if rows else -1))

    monkeypatch.setattr(os, "fsync", fsync)
    assert api.post(FILES, content=picture, headers=JPEG).status_code == 201
    places = [place for place, _ in told]
    assert any(place.endswith("/blobs") for place in places)
    assert len(places) == 5  # the file, three folders, and the folder of all
    assert {rows for _, rows in told} == {0}


@pytest.mark.parametrize(
    ("head", "declared", "known", "ending"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png", "image/png", "png"),
        (b"RIFF\x20\0\0\0WEBP", "image/webp", "image/webp", "webp"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "image/heif; x=1", "image/heic", "heic"),
        (b"%PDF-1.7", "application/pdf", "application/pdf", "pdf"),
    ],
)
def test_every_kind_of_document_is_taken_in(
    api: TestClient, head: bytes, declared: str, known: str, ending: str
) -> None:
    stored = api.post(FILES, content=head + bytes(64), headers={"Content-Type": declared})
    assert (stored.status_code, stored.json()["media_type"]) == (201, known)
    answer = api.get(stored.headers["location"])
    assert answer.headers["content-type"] == known
    assert answer.headers["content-disposition"].endswith(f'.{ending}"')


def test_what_is_known_of_a_file_can_be_read_instead_of_it(api: TestClient, picture: bytes) -> None:
    stored = api.post(FILES, content=picture, headers=JPEG)
    answer = api.get(stored.headers["location"], headers={"Accept": "application/json"})
    assert answer.json() == stored.json()
    assert answer.headers["etag"] == stored.headers["etag"]
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", "image/jpeg"),
        ("image/*", "image/jpeg"),
        ("image/jpeg;q=0.5, application/json", "application/json"),
        ("application/json;q=0.5, */*;q=0.1", "application/json"),
        ("application/json;q=0, */*", "image/jpeg"),
        ("text/html", "application/problem+json"),
        ("image/png", "application/problem+json"),
    ],
)
def test_the_client_chooses_what_it_gets(api: TestClient, picture: bytes, accept: str, given: str) -> None:
    where = api.post(FILES, content=picture, headers=JPEG).headers["location"]
    answer = api.get(where, headers={"Accept": accept})
    assert answer.headers["content-type"] == given
    assert answer.status_code == (406 if "problem" in given else 200)


def test_no_byte_of_a_picture_lies_in_clear_on_the_disk(api: TestClient, picture: bytes, quiet: Settings) -> None:
    api.post(FILES, content=picture, headers=JPEG)
    stored = [path.read_bytes() for path in Path(quiet.home / "blobs").rglob("*") if path.is_file()]
    assert sum(len(content) for content in stored) > len(picture)
    assert all(picture[1000:1032] not in content for content in stored)


def test_the_same_upload_with_the_same_key_gives_one_file(api: TestClient, picture: bytes) -> None:
    keyed = {**JPEG, "Idempotency-Key": "upload-1"}
    first = api.post(FILES, content=picture, headers=keyed)
    again = api.post(FILES, content=picture, headers=keyed)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    other = api.post(FILES, content=picture + b"!", headers=keyed)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_an_upload_may_say_that_it_is_a_selfie(api: TestClient, picture: bytes, dsn: str) -> None:
    keyed = {**JPEG, "Idempotency-Key": "upload-1"}
    selfie = api.post(f"{FILES}?purpose=selfie", content=picture, headers=keyed)
    assert selfie.status_code == 201
    assert api.get(selfie.headers["location"]).content == picture
    with psycopg.connect(dsn) as connection:
        found = connection.execute("select class from keys where subject = %s", (selfie.json()["id"],)).fetchall()
    assert found == [("biometric",)]
    again = api.post(f"{FILES}?purpose=selfie", content=picture, headers=keyed)
    assert (again.status_code, again.json()) == (201, selfie.json())
    other = api.post(f"{FILES}?purpose=document", content=picture, headers=keyed)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("query", ["purpose=holiday", "purpose=selfie&purpose=selfie", "kind=selfie"])
def test_an_upload_for_what_nobody_knows_is_refused(api: TestClient, picture: bytes, query: str) -> None:
    refused = api.post(f"{FILES}?{query}", content=picture, headers=JPEG)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
    assert "holiday" not in refused.text


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"", "image/jpeg", 422, "file_empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "image/jpeg", 422, "file_type_mismatch"),
        (b"%PDF-1.7", "image/png", 422, "file_type_mismatch"),
        (b" %PDF-1.7", "application/pdf", 422, "file_type_mismatch"),
        (b"GIF89a", "image/gif", 415, "file_type_unsupported"),
        (b"\xff\xd8\xff\xe0", "", 415, "file_type_unsupported"),
    ],
)
def test_what_is_no_picture_is_refused(
    api: TestClient, content: bytes, media_type: str, status: int, code: str
) -> None:
    answer = api.post(FILES, content=content, headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if status == 415:
        assert answer.headers["accept"] == "image/jpeg, image/png, image/webp, image/heic, image/heif, application/pdf"


def test_a_file_that_is_too_large_is_refused_whether_it_says_so_or_not(api: TestClient, quiet: Settings) -> None:
    def endless() -> Iterator[bytes]:
        yield b"\xff\xd8\xff\xe0"
        for _ in range(quiet.max_file_bytes // 2**16 + 2):
            yield bytes(2**16)

    honest = api.post(FILES, content=b"\xff\xd8\xff", headers={**JPEG, "Content-Length": str(quiet.max_file_bytes + 1)})
    chunked = api.post(FILES, content=endless(), headers=JPEG)
    for answer in (honest, chunked):
        assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")
        assert answer.headers["connection"] == "close"
    assert not [path for path in Path(quiet.home / "blobs").rglob("*") if path.is_file()]


def test_a_compressed_upload_is_refused(api: TestClient, picture: bytes) -> None:
    answer = api.post(FILES, content=picture, headers={**JPEG, "Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")
    assert answer.headers["accept-encoding"] == "identity"


def test_a_file_that_nobody_uploaded_is_not_found(api: TestClient) -> None:
    answer = api.get(f"{FILES}/{uuid4()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "file_not_found")


def test_an_upload_that_breaks_off_leaves_nothing_behind(
    api: TestClient, bearer: Callable[..., dict[str, str]], quiet: Settings
) -> None:
    headers = {**bearer(), **JPEG}
    scope = {
        "type": "http",
        "method": "POST",
        "path": FILES,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    coming: Iterator[dict[str, object]] = iter(
        [
            {"type": "http.request", "body": b"\xff\xd8\xff" + bytes(2**17), "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return next(coming)

    async def send(message: object) -> None:
        sent.append(message)

    assert api.portal
    with capture_logs() as logged:
        api.portal.call(api.app, scope, receive, send)
    assert sent == []
    assert [entry["status"] for entry in logged if entry["event"] == "request"] == [499]
    assert not [path for path in Path(quiet.home / "blobs").rglob("*") if path.is_file()]
