"""Uploads by way of a real scanner: what it stops leaves nothing behind, and without it nothing comes in."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from kyc_service.bootstrap import SettingsRefused, scanner
from kyc_service.settings import Settings
from tests.api.conftest import Bearer, Serving
from tests.clamd import EICAR, daemon

FILES = "/v1/kyc/files"
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with daemon() as clamd:
        yield clamd.tcp


def nothing_is_kept(settings: Settings) -> bool:
    with psycopg.connect(settings.db_dsn.get_secret_value() if settings.db_dsn else "") as connection:
        rows = connection.execute("select count(*) from files").fetchone()
    return rows == (0,) and not [path for path in Path(settings.home / "blobs").rglob("*") if path.is_file()]


def test_a_clean_upload_comes_in_and_malware_does_not(
    url: str, quiet: Settings, serving: Serving, bearer: Bearer, picture: bytes
) -> None:
    settings = quiet.model_copy(update={"scanner_url": url})
    with serving(settings) as client:
        client.headers.update(bearer())
        infected = client.post(FILES, content=picture + EICAR, headers=JPEG)
        assert (infected.status_code, infected.json()["code"]) == (422, "file_infected")
        assert nothing_is_kept(settings)
        assert client.post(FILES, content=picture, headers=JPEG).status_code == 201


def test_without_the_scanner_nothing_comes_in_and_the_client_may_try_again(
    quiet: Settings, serving: Serving, bearer: Bearer, picture: bytes, unused_tcp_port: int
) -> None:
    settings = quiet.model_copy(update={"scanner_url": f"clamd://127.0.0.1:{unused_tcp_port}"})
    with serving(settings) as client:
        client.headers.update(bearer())
        refused = client.post(FILES, content=picture, headers={**JPEG, "Idempotency-Key": "upload-1"})
        assert (refused.status_code, refused.json()["code"]) == (503, "scanner_unavailable")
        assert refused.headers["retry-after"] == "5"
        assert nothing_is_kept(settings)


def test_a_scanner_that_cannot_be_meant_is_refused_at_the_start(quiet: Settings) -> None:
    with pytest.raises(SettingsRefused, match="KYC_SCANNER_URL"):
        scanner(quiet.model_copy(update={"scanner_url": "http://scanner"}))
