"""The service against its own contract: what the document allows works, what it does not is refused, and says so."""

from collections.abc import Callable, Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.schemas import BaseSchema

from kyc_service.api.main import create_app
from kyc_service.settings import Settings

CONFIG = {
    "seed": 20260302,
    "checks": {
        # What no schema can say: a cursor that we made, a key that was not used before, a date that is past, a picture
        # behind the bytes of a file, an application whose state permits it.
        "positive_data_acceptance": {"expected-statuses": ["2xx", 304, 400, 404, 406, 409, 412, 422]},
    },
}


@pytest.fixture
def contract(quiet: Settings) -> Iterator[BaseSchema]:
    """The document as the service shows it."""
    # Which addresses exist, beyond their syntax, is the business of the library that the shared contract names.
    schemathesis.openapi.format("email", st.from_regex(r"[a-z]{1,20}@example\.(com|org)", fullmatch=True))
    try:
        yield schemathesis.openapi.from_asgi(
            "/openapi.json", create_app(quiet), config=SchemathesisConfig.from_dict(CONFIG)
        )
    finally:
        shutdown_lifespans()


@pytest.fixture
def asking(bearer: Callable[..., dict[str, str]]) -> dict[str, str]:
    """The header of somebody who may do everything."""
    return bearer()


@schemathesis.pytest.from_fixture("contract").parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_service_keeps_its_contract(case: Case, asking: dict[str, str]) -> None:
    case.call_and_validate(headers=asking)
