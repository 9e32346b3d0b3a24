"""The front desk: what a client can ask for, with personal data sealed on its way in and opened on its way out."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from kyc_service.application.handle import Handled, StaleVersion, Task, handle
from kyc_service.application.ids import new_id
from kyc_service.application.ports import (
    Answered,
    AnsweredBefore,
    Cause,
    Clock,
    DeskVault,
    KeyExists,
    Outcomes,
    PersonErased,
    Prepared,
    Recorded,
    Remembered,
    Snapshot,
    Store,
    Unlocked,
    VersionConflict,
)
from kyc_service.domain.application import (
    TERMINAL,
    AmendApplication,
    ApplicationNotFound,
    Command,
    DecideHit,
    Document,
    Event,
    ReviewApplication,
    ReviewDecision,
    Sealed,
    SubmitApplication,
    Terms,
)
from kyc_service.domain.clearance import HitDecision
from kyc_service.domain.record import record

ANSWERS_ARE_KEPT = timedelta(hours=72)
TRIES = 5


@record
class Caller:
    """On whose behalf something is asked. `client` and `actor` are stored, so they are pseudonyms."""

    tenant: str
    client: str
    actor: str
    request: str
    trace: str | None = None


@record
class Announced:
    """A document as the client announces it."""

    doc_type: str
    file_id: UUID
    issued_country: str


@record
class Submission:
    """An application as the client makes it."""

    user_id: UUID
    email: str
    documents: tuple[Announced, ...]
    applicant: Mapping[str, object] | None = None


@record
class Amendment:
    """What the client wants changed, given the person as known now; None leaves a part as it is."""

    person: Callable[[Mapping[str, object]], Mapping[str, object]] | None = None
    documents: tuple[Announced, ...] | None = None
    expected: int | None = None


@record
class Verdict:
    """What the reviewer decides."""

    decision: ReviewDecision
    reason: str
    note: str | None
    expected: int | None = None


@record
class HitVerdict:
    """What the compliance officer makes of a hit."""

    hit: UUID
    decision: HitDecision
    reason: str
    note: str | None
    expected: int | None = None
    cleared_for: timedelta | None = None


@record
class View:
    """An application with its personal data, for the eyes of whoever may see it; `person` is None once erased."""

    snapshot: Snapshot
    person: Mapping[str, object] | None

    def __repr__(self) -> str:
        return f"View({self.snapshot.id}, ***)"


@record
class Disclosed:
    """An event with its personal data opened, where it has any."""

    recorded: Recorded
    details: Mapping[str, object] | None

    def __repr__(self) -> str:
        return f"Disclosed({self.recorded.id}, ***)"


@record
class Keyed:
    """A request that may be repeated: under which key, what it looks like, and how its answer is written."""

    key: str
    request: bytes
    render: Callable[[View], bytes]


@record
class Again:
    """The answer that the same request got before."""

    answer: bytes

    def __repr__(self) -> str:
        return "Again(***)"


class KeyReused(Exception):
    """The idempotency key was used for another request."""


class AnswerErased(Exception):
    """The stored answer was erased together with the person."""


class DeskStore(Store, Protocol):
    """What the desk needs of the store beyond loading and appending."""

    async def remember(self, tenant: str, subject: UUID, answered: Answered) -> None:
        """Keep the answer to a request that changed nothing.

        Raises:
            AnsweredBefore: the idempotency key is taken.
        """
        ...

    async def prepare(
        self, tenant: str, client: str, key: str | None, subject: UUID, files: Sequence[UUID], now: datetime
    ) -> Prepared:
        """Everything to know before a submission, in one look."""
        ...


TermsOf = Callable[[str], Terms]


class Desk:
    """Answers clients. It trusts its caller to have asked the policy first."""

    def __init__(
        self,
        *,
        store: DeskStore,
        people: DeskVault,
        terms: TermsOf,
        outcomes: Outcomes,
        ring: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._store = store
        self._outcomes = outcomes
        self._people = people
        self._terms = terms
        self._ring = ring
        self._clock = clock

    async def submit(self, caller: Caller, submission: Submission, keyed: Keyed | None = None) -> View | Again:
        """Take an application in; the same keyed request again gives the same answer.

        Raises:
            KeyReused, DocumentMissing, DocumentTaken, SimulatedVendorRefused, PersonErased
        """
        files = [document.file_id for document in submission.documents]
        person = _person(submission.email, submission.applicant)
        for _ in range(TRIES):
            now = self._clock()
            prepared = await self._store.prepare(
                caller.tenant, caller.client, keyed.key if keyed else None, submission.user_id, files, now
            )
            if keyed and prepared.remembered:
                return await self._again(caller, keyed, prepared.remembered)
            unlocked = await self._people.unlock(caller.tenant, submission.user_id, prepared.key)
            stream = new_id()
            command = SubmitApplication(
                user_id=submission.user_id,
                documents=_documents(submission.documents, prepared.uploaded),
                terms=self._terms(caller.tenant),
                person=unlocked.seal(stream, person),
            )
            task = Task(
                tenant=caller.tenant,
                stream=stream,
                command=command,
                cause=_cause(caller, stream),
                email_index=self._people.index(caller.tenant, submission.email),
                key=unlocked.new,
                answer=self._answering(caller, keyed, unlocked, person, now),
            )
            try:
                handled = await handle(self._store, task, now, fresh=True)
            except (AnsweredBefore, KeyExists):
                continue  # somebody was a moment faster: look again
            self._ring()
            return View(snapshot=handled.snapshot, person=person)
        raise VersionConflict

    async def amend(
        self, caller: Caller, application: UUID, amendment: Amendment, keyed: Keyed | None = None
    ) -> View | Again:
        """Replace documents or particulars; the same keyed request again gives the same answer.

        Raises:
            ApplicationNotFound, ApplicationNotAmendable, StaleVersion, DocumentMissing, DocumentTaken, KeyReused,
            PersonErased
        """
        for _ in range(TRIES):
            now = self._clock()
            found = await self._found(caller.tenant, application)
            prepared = await self._prepared(caller, found, amendment, keyed, now)
            if keyed and prepared.remembered:
                return await self._again(caller, keyed, prepared.remembered)
            if amendment.expected not in (None, found.version):
                raise StaleVersion
            person = await self._opened(found)
            if person is None:
                raise PersonErased
            changed = amendment.person(person) if amendment.person else person
            unlocked = await self._people.unlock(caller.tenant, found.state.user_id, prepared.key) if keyed else None
            announced = amendment.documents
            command = AmendApplication(
                documents=None if announced is None else _documents(announced, prepared.uploaded),
                person=await self._sealed(found, changed) if changed != person else None,
            )
            task = Task(
                tenant=caller.tenant,
                stream=application,
                command=command,
                cause=_cause(caller, application),
                expected=found.version,
                email_index=self._people.index(caller.tenant, str(changed["email"])),
                answer=self._answering(caller, keyed, unlocked, changed, now) if unlocked else None,
            )
            try:
                handled = await handle(self._store, task, now)
                if task.answer and not handled.events:
                    await self._store.remember(caller.tenant, found.state.user_id, task.answer(handled))
            except AnsweredBefore:
                continue  # the same request was a moment faster: give its answer
            except StaleVersion:
                if amendment.expected is not None:
                    raise
                continue  # the client named no version: amend what is there now
            self._ring()
            return View(snapshot=handled.snapshot, person=changed if handled.events else person)
        raise VersionConflict

    async def review(
        self, caller: Caller, application: UUID, verdict: Verdict, keyed: Keyed | None = None
    ) -> View | Again:
        """Decide what the checks left open.

        Raises:
            ApplicationNotFound, ApplicationNotInReview, StaleVersion, KeyReused, PersonErased
        """

        def command(note: Sealed | None) -> Command:
            return ReviewApplication(decision=verdict.decision, reason=verdict.reason, reviewer=caller.actor, note=note)

        return await self._judge(caller, application, command, verdict, keyed)

    async def decide_hit(
        self, caller: Caller, application: UUID, verdict: HitVerdict, keyed: Keyed | None = None
    ) -> View | Again:
        """Say whether a possible hit is the person.

        Raises:
            ApplicationNotFound, HitNotFound, HitDecidedAlready, ApplicationNotInReview, StaleVersion, KeyReused
        """

        def command(note: Sealed | None) -> Command:
            return DecideHit(
                hit=verdict.hit,
                decision=verdict.decision,
                reason=verdict.reason,
                reviewer=caller.actor,
                note=note,
                cleared_for=verdict.cleared_for,
            )

        return await self._judge(caller, application, command, verdict, keyed)

    async def _judge(
        self,
        caller: Caller,
        application: UUID,
        command: Callable[[Sealed | None], Command],
        verdict: Verdict | HitVerdict,
        keyed: Keyed | None,
    ) -> View | Again:
        """Carry out what a person decided, with the note sealed; a repetition gets the answer of the first time."""
        found = await self._found(caller.tenant, application)
        subject, now = found.state.user_id, self._clock()
        prepared = await self._store.prepare(
            caller.tenant, caller.client, keyed.key if keyed else None, subject, (), now
        )
        if keyed and prepared.remembered:
            return await self._again(caller, keyed, prepared.remembered)
        unlocked = await self._people.unlock(caller.tenant, subject, prepared.key)
        person = await self._opened(found)
        task = Task(
            tenant=caller.tenant,
            stream=application,
            command=command(unlocked.seal(application, {"note": verdict.note}) if verdict.note else None),
            cause=_cause(caller, application),
            expected=verdict.expected,
            answer=self._answering(caller, keyed, unlocked, person, now),
        )
        try:
            handled = await handle(self._store, task, now)
        except AnsweredBefore:
            return await self._judge(caller, application, command, verdict, keyed)
        self._ring()
        return View(snapshot=handled.snapshot, person=person)

    async def get(self, tenant: str, application: UUID) -> View:
        """The application as it is now.

        Raises:
            ApplicationNotFound: this tenant has none of that id.
        """
        found = await self._found(tenant, application)
        return View(snapshot=found, person=await self._opened(found))

    async def wait(self, tenant: str, application: UUID, until: float) -> View:
        """The application as soon as it is over, or as it is after *until* seconds."""
        with self._outcomes.awaited(tenant, application) as outcome:
            found = await self._found(tenant, application)
            if found.state.status not in TERMINAL:
                await outcome(until)
                found = await self._found(tenant, application)
        return View(snapshot=found, person=await self._opened(found))

    async def views(self, tenant: str, snapshots: Sequence[Snapshot]) -> Sequence[View]:
        """The snapshots of a list with their personal data."""
        await self._people.prefetch(tenant, [snapshot.state.person for snapshot in snapshots])
        return [View(snapshot=snapshot, person=await self._opened(snapshot)) for snapshot in snapshots]

    async def history(self, tenant: str, application: UUID, opened: Callable[[Event], bool]) -> Sequence[Disclosed]:
        """Everything that happened, in order; the findings and notes of the events for which *opened* says so.

        Raises:
            ApplicationNotFound: this tenant has none of that id.
        """
        found = await self._found(tenant, application)
        events = await self._store.history(tenant, application)
        return [
            Disclosed(recorded=event, details=await self._details(found, event) if opened(event.event) else None)
            for event in events
        ]

    def email_index(self, tenant: str, email: str) -> bytes:
        """What finds an address in the lists without telling it."""
        return self._people.index(tenant, email)

    async def _details(self, found: Snapshot, event: Recorded) -> Mapping[str, object] | None:
        sealed = getattr(event.event, "findings", None) or getattr(event.event, "note", None)
        if not isinstance(sealed, Sealed):
            return None
        return await self._people.open(found.tenant, found.state.user_id, found.id, sealed)

    async def _found(self, tenant: str, application: UUID) -> Snapshot:
        found = await self._store.load(tenant, application)
        if found is None:
            raise ApplicationNotFound
        return found

    async def _opened(self, found: Snapshot) -> Mapping[str, object] | None:
        return await self._people.open(found.tenant, found.state.user_id, found.id, found.state.person)

    async def _sealed(self, found: Snapshot, person: Mapping[str, object]) -> Sealed:
        return await self._people.seal(found.tenant, found.state.user_id, found.id, person)

    async def _prepared(
        self, caller: Caller, found: Snapshot, amendment: Amendment, keyed: Keyed | None, now: datetime
    ) -> Prepared:
        """What an amendment has to know; the store is asked only if there is anything to know."""
        if keyed is None and amendment.documents is None:
            return Prepared(remembered=None, key=None, uploaded=frozenset())
        files = [document.file_id for document in amendment.documents or ()]
        return await self._store.prepare(
            caller.tenant, caller.client, keyed.key if keyed else None, found.state.user_id, files, now
        )

    def _answering(
        self,
        caller: Caller,
        keyed: Keyed | None,
        unlocked: Unlocked,
        person: Mapping[str, object] | None,
        now: datetime,
    ) -> Callable[[Handled], Answered] | None:
        """How the answer is remembered, in the same commit as the outcome; nothing is for a request without a key."""
        if keyed is None:
            return None

        def answered(handled: Handled) -> Answered:
            entry = new_id()
            body = keyed.render(View(snapshot=handled.snapshot, person=person))
            return Answered(
                client=caller.client,
                key=keyed.key,
                fingerprint=self._people.fingerprint(caller.tenant, keyed.request),
                entry=entry,
                response=unlocked.seal_answer(entry, body),
                expires_at=now + ANSWERS_ARE_KEPT,
            )

        return answered

    async def _again(self, caller: Caller, keyed: Keyed, remembered: Remembered) -> Again:
        if remembered.fingerprint != self._people.fingerprint(caller.tenant, keyed.request):
            raise KeyReused
        answer = await self._people.open_answer(
            caller.tenant, remembered.subject, remembered.entry, remembered.response
        )
        if answer is None:
            raise AnswerErased
        return Again(answer=answer)


def _person(email: str, applicant: Mapping[str, object] | None) -> Mapping[str, object]:
    return {"email": email} if applicant is None else {"email": email, "applicant": applicant}


def _documents(announced: Sequence[Announced], uploaded: frozenset[UUID]) -> tuple[Document, ...]:
    return tuple(
        Document(
            doc_type=document.doc_type,
            file_id=document.file_id,
            issued_country=document.issued_country,
            uploaded=document.file_id in uploaded,
        )
        for document in announced
    )


def _cause(caller: Caller, stream: UUID) -> Cause:
    return Cause(actor=caller.actor, causation=caller.request, correlation=str(stream), trace=caller.trace)
