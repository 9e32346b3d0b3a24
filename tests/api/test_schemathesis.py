"""The service against its own contract: what the document allows works, what it does not is refused, and says so."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.python.asgi import shutdown_lifespans
from starlette.types import ASGIApp, Receive, Scope, Send

from kyc_service.api.main import PUBLIC, ROUTES, create_app
from kyc_service.api.openapi import document
from kyc_service.settings import Settings

CONFIG = {
    "seed": 20260302,
    "checks": {
        # What no schema can say: a cursor that we made, a key that was not used before, a date that is past, a picture
        # behind the bytes of a file, an application whose state permits it.
        "positive_data_acceptance": {"expected-statuses": ["2xx", 304, 400, 404, 406, 409, 412, 422]},
    },
}
# Which domains exist, beyond their syntax, is the business of the library that the shared contract names.
schemathesis.openapi.format("email", st.from_regex(r"[a-z]{1,20}@example\.(com|org)", fullmatch=True))
# What is uploaded is its own body, whatever it is.
schemathesis.serializer.alias(["application/pdf", "image/heic", "image/heif"], "application/octet-stream")


class Present:
    """The application of the test that runs: the operations are collected before there is one."""

    def __init__(self) -> None:
        self.app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


PRESENT = Present()
CONTRACT = schemathesis.openapi.from_dict(document(ROUTES, PUBLIC), config=SchemathesisConfig.from_dict(CONFIG))
CONTRACT.app = PRESENT


@pytest.fixture
def asking(quiet: Settings, bearer: Callable[..., dict[str, str]]) -> Iterator[dict[str, str]]:
    """The header of somebody who may do everything, at a running service."""
    PRESENT.app = create_app(quiet)
    yield bearer()
    shutdown_lifespans()


@CONTRACT.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_service_keeps_its_contract(case: Case[Any], asking: dict[str, str]) -> None:
    case.headers.pop("Prefer", None)  # nobody works off the orders here, so that a wait would last as long as it may
    case.call_and_validate(base_url="http://testserver", headers=asking)
