"""The HTTP application on a real database, and tokens for whoever is to call it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from kyc_service.access.development import DevelopmentIssuer
from kyc_service.api.main import create_app
from kyc_service.settings import Settings

Body: TypeAlias = dict[str, Any]
Headers: TypeAlias = dict[str, str]
Bearer: TypeAlias = Callable[..., Headers]
Serving: TypeAlias = Callable[[Settings], AbstractContextManager[TestClient]]

EVERY_ROLE = ("submitter", "reader", "reviewer", "compliance", "auditor")


@pytest.fixture
def quiet(settings: Settings) -> Settings:
    """Settings under which nobody works off the orders, so that an application stays as it was submitted."""
    return settings.model_copy(update={"inline_worker": False})


@pytest.fixture
def bearer(settings: Settings) -> Bearer:
    """The header of somebody with the roles that are named; with all of them, when none is."""
    issuer = DevelopmentIssuer(settings)

    def header(
        *roles: str, tenant: str = "sandbox", subject: str = "u-1", client: str = "shop", lifetime: float = 600
    ) -> Headers:
        token = issuer.issue(tenant, roles or EVERY_ROLE, subject, client, timedelta(seconds=lifetime))
        return {"Authorization": f"Bearer {token}"}

    return header


@pytest.fixture
def serving() -> Serving:
    """Starts the application with the settings given."""

    @contextmanager
    def served(settings: Settings) -> Iterator[TestClient]:
        with TestClient(create_app(settings), base_url="http://kyc.test") as client:
            yield client

    return served


@pytest.fixture
def api(quiet: Settings, serving: Serving, bearer: Bearer) -> Iterator[TestClient]:
    """A client of the sandbox tenant with every role, while no worker runs."""
    with serving(quiet) as client:
        client.headers.update(bearer())
        yield client


@pytest.fixture
def working(settings: Settings, serving: Serving, bearer: Bearer) -> Iterator[TestClient]:
    """A client of the sandbox tenant with every role, while the worker runs."""
    with serving(settings) as client:
        client.headers.update(bearer())
        yield client


@pytest.fixture
def form() -> Callable[..., Body]:
    """A body that submits a new person; members may be replaced."""

    def filled(**replaced: object) -> Body:
        document = {"doc_type": "PASSPORT", "file_id": str(uuid4()), "issued_country": "US"}
        return {"user_id": str(uuid4()), "email": "alice@example.com", "documents": [document], **replaced}

    return filled


@pytest.fixture
def picture() -> bytes:
    """Bytes that begin as a JPEG picture does."""
    return b"\xff\xd8\xff\xe0" + bytes(range(256)) * 1000


@pytest.fixture
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).parents[2]
