"""What the loop needs of the outside world, as promises; `bootstrap` decides who keeps them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from kyc_service.application.keys import StoredKey
from kyc_service.domain.application import Application, Event, Sealed
from kyc_service.domain.clearance import Basis, ListVersion, ScreeningTerms
from kyc_service.domain.findings import Result
from kyc_service.domain.record import record
from kyc_service.saga.verification import Order


@record
class Cause:
    """Who or what stands behind a command. Stored with every event; holds no personal data."""

    actor: str
    causation: str
    correlation: str
    trace: str | None = None


@record
class Drafted:
    """An event that is about to be appended."""

    id: UUID
    event: Event


@record
class Recorded:
    """An event as the log holds it."""

    stream: UUID
    version: int
    id: UUID
    at: datetime
    cause: Cause
    event: Event


@record
class Snapshot:
    """What an application is now, and the columns that lists are filtered by."""

    tenant: str
    id: UUID
    version: int
    created_at: datetime
    updated_at: datetime
    state: Application


@record
class PlannedOrder:
    """Work to do, once *after* has passed since the commit. Its id derives from the event that called for it."""

    id: UUID
    order: Order
    after: timedelta = timedelta()


@record
class Leased:
    """An order in the hands of a worker. `lease` is the fencing token: a stale one finishes nothing."""

    tenant: str
    id: UUID
    stream: UUID
    order: Order
    lease: int
    attempts: int
    failures: int


@record
class Answered:
    """The answer to a request that carried an idempotency key, sealed under the person's own key."""

    client: str
    key: str
    fingerprint: bytes
    entry: UUID
    response: bytes
    expires_at: datetime


@record
class Remembered:
    """An answer given before, as it was stored."""

    fingerprint: bytes
    subject: UUID
    entry: UUID
    response: bytes


@record
class Prepared:
    """What has to be known before a submission can be decided."""

    remembered: Remembered | None
    key: StoredKey | None
    uploaded: frozenset[UUID]


@record
class Change:
    """Everything that one command changes. It is committed whole, or not at all."""

    tenant: str
    stream: UUID
    expected: int
    at: datetime
    cause: Cause
    events: tuple[Drafted, ...]
    state: Application
    orders: tuple[PlannedOrder, ...] = ()
    claims: tuple[UUID, ...] = ()
    email_index: bytes | None = None  # None: leave it as it is
    finished: Leased | None = None
    key: StoredKey | None = None
    answered: Answered | None = None


class VersionConflict(Exception):
    """Somebody else appended to this application first."""


class LeaseLost(Exception):
    """The order was taken over by another worker; whatever was done for it is discarded."""


class AnsweredBefore(Exception):
    """A request with this idempotency key was answered already."""


class KeyExists(Exception):
    """The person's key was made by somebody else a moment ago."""


class DocumentTaken(Exception):
    """A document names a file that belongs to another person."""


class StoreUnavailable(Exception):
    """The database cannot be reached at the moment."""


class FilesUnavailable(Exception):
    """The store of the files cannot be reached at the moment."""


class Store(Protocol):
    """The event log and its read model."""

    async def load(self, tenant: str, stream: UUID) -> Snapshot | None:
        """The present state, as of the last commit."""
        ...

    async def append(self, change: Change) -> None:
        """Commit *change* all or nothing.

        Raises:
            VersionConflict: the application is not at `expected` any more.
            LeaseLost: the finished order belongs to another worker by now.
            AnsweredBefore: the idempotency key is taken.
            KeyExists: the new key is not new.
            DocumentTaken: a claimed file is another person's.
        """
        ...

    async def history(self, tenant: str, stream: UUID) -> Sequence[Recorded]:
        """Every event of the application, in order."""
        ...


class Outcomes(Protocol):
    """Tells when applications are over, whichever process decides them."""

    def awaited(self, tenant: str, application: UUID) -> AbstractContextManager[Callable[[float], Awaitable[None]]]:
        """Whoever is inside misses nothing: they can wait until the application is over, or some seconds have passed.

        It may also end earlier, so look.
        """
        ...


class Orders(Protocol):
    """The durable work list. When work is due is told by the clock that all workers share, and by none of their own."""

    async def lease(self, limit: int) -> Sequence[Leased]:
        """Up to *limit* due orders, each for this worker alone until its lease ends."""
        ...

    async def extend(self, order: Leased) -> bool:
        """Keep the lease for another while; False when it is lost."""
        ...

    async def finish(self, order: Leased, at: datetime) -> None:
        """There was nothing to append: the order is done."""
        ...

    async def postpone(self, order: Leased, pause: timedelta, error: str, *, failed: bool) -> None:
        """Give the order back for the pause, and say why in a word; `failed` counts against its retries."""
        ...

    async def bury(self, order: Leased, error: str) -> None:
        """Give the order up for good; it stays where an operator finds it."""
        ...


class Housekeeping(Protocol):
    """Removes what is over and whose time has passed."""

    async def tidy(self, at: datetime) -> int:
        """Remove a bounded batch; how many rows it was, so that zero means: nothing is left.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        ...


class VendorUnavailable(Exception):
    """A vendor gave no usable answer: that is an outage, and never a no."""

    def __init__(self, cause: str = "VENDOR_UNAVAILABLE") -> None:
        super().__init__(cause)
        self.cause = cause


class VendorBusy(VendorUnavailable):
    """The vendor has no room at the moment. Nothing failed: the check waits in our own queue, which is durable."""

    def __init__(self) -> None:
        super().__init__("VENDOR_BUSY")


@record
class PostalAddress:
    """Where the person says they live; every part may be missing. Lives in memory only."""

    lines: tuple[str, ...] = ()
    city: str | None = None
    postal_code: str | None = None

    def __repr__(self) -> str:
        return "PostalAddress(***)"


@record
class Subject:
    """The person as declared; every field may be missing. Lives in memory only.

    `biometric_consent`: they agreed that their face is compared by machine.
    """

    given_names: str | None = None
    family_name: str | None = None
    birth_date: str | None = None
    nationality: str | None = None
    email: str | None = None
    address: PostalAddress | None = None
    biometric_consent: bool = False

    def __repr__(self) -> str:
        return "Subject(***)"


@record
class Companion:
    """Another uploaded document of the same application."""

    doc_type: str
    issued_country: str
    media_type: str
    read: Callable[[], AsyncIterator[bytes]]


@record
class Request:
    """One check as it is put to a vendor. `key` is the same at every retry: the vendor's idempotency key."""

    key: UUID
    attempt: int
    doc_type: str
    issued_country: str
    file_id: UUID
    media_type: str | None
    subject: Subject
    today: datetime
    read: Callable[[], AsyncIterator[bytes]] | None  # the picture, decrypted as it is read; None: never uploaded
    companions: tuple[Companion, ...] = ()
    face_matching: bool = False  # the tenant wants faces compared; the person has to agree as well
    face_duplicates: bool = False  # the tenant wants the face of a selfie told, to look for it with other persons
    final: bool = False  # no other attempt follows this one


@record
class Started:
    """The vendor answers later, under this reference."""

    reference: str


class Vendor(Protocol):
    """Somebody who verifies documents: the built-in engine, an external company, or a simulation."""

    name: str

    async def check(self, request: Request) -> Result | Started:
        """Look at one document. The same `key` again gives the same check, not a second one.

        Raises:
            VendorBusy: it is to be asked again soon; that is no failure.
            VendorUnavailable: there was no usable answer.
        """
        ...

    async def cancel(self, key: UUID, reference: str | None) -> str:
        """Undo whatever the check with this key started; the answer is the receipt. Undoing twice is one undoing.

        Raises:
            VendorUnavailable: it could not be undone at the moment.
        """
        ...


@record
class Number:
    """A number that somebody issued to the person; `country` is the issuer's code as the document has it."""

    value: str
    country: str | None = None


@record
class Identity:
    """Who somebody is by one source: `document`, `declared`, or `asked` of us. Lives in memory only.

    `birth_date` is ISO 8601 with `?` for what is not known (1980-??-??); nationalities are ISO 3166-1 alpha-2, or
    alpha-3 as in a machine-readable zone (ICAO Doc 9303-3 section 5); `sex` is M, F or X.
    """

    source: str
    name: str
    birth_date: str | None = None
    nationalities: tuple[str, ...] = ()
    sex: str | None = None
    numbers: tuple[Number, ...] = ()
    kind: str = "person"  # or "organisation", "vessel", "aircraft", "unknown"

    def __repr__(self) -> str:
        return "Identity(***)"


@record
class Possible:
    """A list entry that may mean the person.

    `facts` is a digest of what made the match on both sides: it changes when the entry or the person does, and then a
    decision on the hit no longer holds. `explanation` says in words and numbers why, and is personal data.
    """

    list: str
    entry: str
    probability: float
    facts: str
    explanation: Mapping[str, object]

    def __repr__(self) -> str:
        return "Possible(***)"


@record
class Screened:
    """What the lists say, and on what it rests; nothing possible is an answer too."""

    basis: Basis
    possible: tuple[Possible, ...]


class ScreeningUnavailable(VendorUnavailable):
    """A list is missing or too old: nobody is cleared by it."""

    def __init__(self) -> None:
        super().__init__("SCREENING_UNAVAILABLE")


class Screener(Protocol):
    """The sanctions and PEP lists, and the engine that asks them."""

    async def without(self, entry: str) -> tuple[ListVersion, ...]:
        """The lists in force, if *entry* is on none of them; nothing while it is on one.

        Raises:
            ScreeningUnavailable: a list is missing or stale.
        """
        ...

    def fingerprint(self, identities: Sequence[Identity]) -> bytes:
        """What tells the facts that the lists are asked with from others, and says nothing about them."""
        ...

    async def screen(self, identities: Sequence[Identity], terms: ScreeningTerms) -> Screened:
        """Every entry that matches one of the *identities* of one person, by the lists and the probability of *terms*.

        Raises:
            ScreeningUnavailable: a list is missing or stale.
        """
        ...


class PersonVault(Protocol):
    """Turns personal data into ciphertext under the person's own key, and back."""

    async def open(self, tenant: str, subject: UUID, stream: UUID, sealed: Sealed) -> Mapping[str, object] | None:
        """The personal data, or None when the person was erased."""
        ...

    async def seal(self, tenant: str, subject: UUID, stream: UUID, payload: Mapping[str, object]) -> Sealed:
        """Seal *payload* for a new event of the stream.

        Raises:
            PersonErased: the person's key was destroyed, so nothing new is kept about them.
        """
        ...

    async def prefetch(self, tenant: str, sealed: Sequence[Sealed]) -> None:
        """Have the keys of all of them at hand, with one look at the store."""
        ...


class Unlocked(Protocol):
    """A person's key, ready to seal with."""

    @property
    def new(self) -> StoredKey | None:
        """The key itself, if it is to be stored with what is sealed under it; None if it was there before."""
        ...

    def seal(self, stream: UUID, payload: Mapping[str, object]) -> Sealed:
        """Seal *payload* for a new event of the stream."""
        ...

    def seal_answer(self, entry: UUID, body: bytes) -> bytes:
        """Seal an answer that may have to be given again."""
        ...


class DeskVault(PersonVault, Protocol):
    """What the desk needs of the vault beyond sealing and opening."""

    async def unlock(self, tenant: str, subject: UUID, known: StoredKey | None) -> Unlocked:
        """The key in the row *known*, or a new one."""
        ...

    async def open_answer(self, tenant: str, subject: UUID, entry: UUID, box: bytes) -> bytes | None:
        """The answer again, or None when the person was erased."""
        ...

    def index(self, tenant: str, email: str) -> bytes:
        """What finds an address without telling it."""
        ...

    def fingerprint(self, tenant: str, request: bytes) -> bytes:
        """What recognises a request without telling it."""
        ...


class PersonErased(Exception):
    """The person was erased; nothing new is kept about them under the destroyed key."""


class Files(Protocol):
    """The uploaded documents."""

    async def media_type(self, tenant: str, file_id: UUID) -> str | None:
        """What kind of file it is, or None when this tenant never uploaded it."""
        ...

    def read(self, tenant: str, file_id: UUID) -> AsyncIterator[bytes]:
        """The content, decrypted and verified chunk by chunk."""
        ...

    async def release(self, tenant: str, application: UUID) -> int:
        """Give up the claim that the application has on its files; how many there were."""
        ...

    async def set_apart(self, tenant: str, file_id: UUID) -> None:
        """Make the file biometric data, under a key of that class; twice does no harm."""
        ...

    async def give_up(self, tenant: str, file_id: UUID, application: UUID, reason: str) -> None:
        """Give up the claim that the application has on the file; with the last claim, keys and bytes are destroyed.

        Twice does no harm.
        """
        ...


Clock = Callable[[], datetime]
