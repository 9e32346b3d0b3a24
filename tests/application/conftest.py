"""A whole service without HTTP, on a real database; the tests drive its worker by hand."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from kyc_service.application.desk import Announced, Caller, Submission, View
from kyc_service.bootstrap import App, build
from kyc_service.settings import Settings


class Clock:
    """The time, given; it stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    """The service's clock."""
    return Clock()


@pytest.fixture
async def app(settings: Settings, clock: Clock) -> AsyncIterator[App]:
    """A service whose worker does not run by itself."""
    async with build(settings.model_copy(update={"vendor_timeout_seconds": 0.2}), clock=clock) as app:
        yield app


@pytest.fixture
def caller() -> Caller:
    """A backend of the sandbox tenant."""
    return Caller(tenant="sandbox", client="backend", actor="anna", request="r-1")


@pytest.fixture
def submit(app: App, caller: Caller) -> Callable[..., Awaitable[UUID]]:
    """Submits an application with one document; its id."""

    async def submit(*files: UUID, person: dict[str, object] | None = None) -> UUID:
        documents = tuple(Announced(doc_type="PASSPORT", file_id=file, issued_country="NL") for file in files)
        view = await app.desk.submit(
            caller,
            Submission(user_id=uuid4(), email="anna@example.com", documents=documents, applicant=person),
        )
        assert isinstance(view, View)
        return view.snapshot.id

    return submit
