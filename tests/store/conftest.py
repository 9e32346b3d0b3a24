"""What the tests of the store share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from kyc_service.application.handle import Task
from kyc_service.application.ids import new_id
from kyc_service.application.ports import Cause
from kyc_service.domain.application import Command, Document, Mode, Sealed, SubmitApplication, Terms
from kyc_service.store.applications import Applications
from kyc_service.store.database import Database
from kyc_service.store.orders import Orders

TERMS = Terms(
    mode=Mode.SANDBOX,
    uploaded_route=("builtin",),
    missing_route=("simulated", "simulated_standby"),
    max_resubmissions=3,
    resubmission=timedelta(days=14),
    completion=timedelta(days=30),
    answer=timedelta(hours=24),
)


@pytest.fixture
def applications(database: Database) -> Applications:
    """The event log under test."""
    return Applications(database)


@pytest.fixture
def orders(database: Database) -> Orders:
    """The work list under test."""
    return Orders(database, lease_seconds=30)


@pytest.fixture
def now() -> datetime:
    """A given moment; PostgreSQL keeps microseconds."""
    return datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def submission() -> SubmitApplication:
    """An application with one document."""
    return SubmitApplication(
        user_id=uuid4(),
        documents=(Document(doc_type="PASSPORT", file_id=uuid4(), issued_country="NL", uploaded=False),),
        terms=TERMS,
        person=Sealed(entry=new_id(), box=b"\x01\x01ciphertext"),
    )


@pytest.fixture
def task() -> Callable[..., Task]:
    """Makes a task out of a command."""

    def make(command: Command, stream: UUID, *, tenant: str = "t", **rest: object) -> Task:
        cause = Cause(actor="test", causation="request", correlation=str(stream))
        return Task(tenant=tenant, stream=stream, command=command, cause=cause, **rest)  # type: ignore[arg-type]

    return make
