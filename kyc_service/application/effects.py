"""Effects: do the I/O that an order asks for, and turn whatever came of it into the next command."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid5

from kyc_service.application.duplicates import Bearer, Duplicates
from kyc_service.application.handle import Task, handle
from kyc_service.application.identities import identities_of, recalled
from kyc_service.application.monitoring import Enrolment, Watched
from kyc_service.application.ports import (
    Cause,
    Clock,
    Companion,
    Files,
    Identity,
    Leased,
    Orders,
    PersonErased,
    PersonVault,
    Possible,
    PostalAddress,
    Request,
    Screened,
    Screener,
    Snapshot,
    Started,
    Store,
    Subject,
    Vendor,
    VendorUnavailable,
)
from kyc_service.application.reading import FilesTooSlow, Reading
from kyc_service.domain.application import (
    CLAIM,
    SELFIE,
    Application,
    Awaiting,
    CheckAnswered,
    Command,
    Document,
    LapseClearance,
    PersonScreened,
    RecordAnswer,
    RecordCompensation,
    RecordOutage,
    RecordScreening,
    RecordStalledCompensation,
    RecordStart,
    ReferScreening,
    Status,
    Step,
)
from kyc_service.domain.clearance import Hit
from kyc_service.domain.findings import Category, Finding, Outcome, Result, Severity, judge, reasons_of
from kyc_service.domain.record import record
from kyc_service.saga.verification import Discharge, Enrol, ForgetSelfie, Later, RunCheck, Screen, Undo

LONGEST_WAIT = timedelta(hours=1)
OUR_WAIT = timedelta(minutes=1)  # lists and files are our own: as soon as they are there again, whoever waits goes on
NO_FILES = "FILES_UNAVAILABLE"

# A selfie goes with the decision that it was for: whoever applies again must take another one.
FILE_ERASED = Finding(
    id="file.readable",
    category=Category.IMAGE,
    outcome=Outcome.UNCLEAR,
    severity=Severity.HIGH,
    reasons=("FILE_ERASED",),
)


@record
class Patience:
    """How long and how often a vendor is tried, and how long the files of one check may take of a call."""

    call: timedelta
    files: timedelta
    retries: int
    base: timedelta

    def wait(self, failures: int) -> timedelta:
        """The pause after *failures* attempts: doubled each time, half of it left to chance, an hour at the most."""
        longest = min(self.base * (1 << min(failures, 20)), LONGEST_WAIT)
        return longest * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, guards nothing


class Unfulfillable(Exception):
    """An order asks for something that cannot be done any more, at whatever attempt."""


class Effects:
    """Carries out one leased order at a time; any number may run side by side."""

    def __init__(
        self,
        *,
        store: Store,
        orders: Orders,
        people: PersonVault,
        files: Files,
        vendors: Mapping[str, Vendor],
        screener: Screener,
        duplicates: Duplicates,
        watched: Watched,
        patience: Patience,
        clock: Clock,
    ) -> None:
        self._store = store
        self._orders = orders
        self._people = people
        self._files = files
        self._vendors = vendors
        self._screener = screener
        self._duplicates = duplicates
        self._watched = watched
        self._patience = patience
        self._clock = clock

    async def carry_out(self, leased: Leased) -> None:
        """Do what the order says, and commit the outcome together with the end of the order.

        Raises:
            LeaseLost: another worker has taken the order over; nothing was recorded.
            VendorUnavailable: there was no answer, and there are retries left.
        """
        match leased.order:
            case RunCheck(check=check, vendor=vendor):
                await self._run(leased, check, vendor)
            case Screen(round=number):
                await self._screen(leased, number)
            case Enrol():
                await self._enrol(leased)
            case Discharge():
                await self._watched.end(leased.tenant, leased.stream, self._clock())
                await self._orders.finish(leased, self._clock())
            case Undo(step=step):
                await self._undo(leased, step)
            case ForgetSelfie(file_id=file_id):
                reason = "the decision that it was for has been taken"
                await self._files.give_up(leased.tenant, file_id, leased.stream, reason)
                await self._orders.finish(leased, self._clock())
            case Later(command=LapseClearance() as command):
                await self._reopen(leased, command)
            case Later(command=command):
                await self._finish(leased, command)

    async def fail(self, leased: Leased, cause: str) -> timedelta:
        """What follows from an attempt that failed: another one after the pause returned, or giving the vendor up.

        A step that cannot be undone is never given up: an operator is told, and it is tried on. Nor is asking the
        lists: whom they were not asked about is never verified, and waits. Nor is any vendor for the sake of files that
        we could not read ourselves.
        """
        exhausted = leased.failures >= self._patience.retries and cause != NO_FILES
        match leased.order:
            case RunCheck(check=check, vendor=vendor) if exhausted:
                await self._finish(leased, RecordOutage(check=check, vendor=vendor, cause=cause))
                return timedelta()
            case Undo(step=step) if leased.failures == self._patience.retries:
                stalled = RecordStalledCompensation(step=step, cause=cause)
                await handle(self._store, self._task(leased, stalled), self._clock())
            case _:
                pass
        pause = self._patience.wait(leased.failures)
        if isinstance(leased.order, Screen) or cause == NO_FILES:
            pause = min(pause, OUR_WAIT)
        await self._orders.postpone(leased, pause, cause, failed=True)
        return pause

    async def stand_back(self, leased: Leased, cause: str) -> timedelta:
        """Give the order back for the pause returned: whoever was to do it has no room, which counts as no failure."""
        pause = self._patience.wait(0)
        await self._orders.postpone(leased, pause, cause, failed=False)
        return pause

    async def _run(self, leased: Leased, check: str, vendor: str) -> None:
        found = await self._store.load(leased.tenant, leased.stream)
        request = await self._request(leased, found, check, vendor) if found else None
        if found is None or request is None:
            await self._orders.finish(leased, self._clock())
            return
        answer = await self._ask(vendor, request)
        command: Command
        match answer:
            case Started(reference=reference):
                command = RecordStart(check=check, vendor=vendor, reference=reference)
            case Result():
                seen = await self._compared(leased, found, request, answer)
                command = RecordAnswer(
                    check=check,
                    vendor=vendor,
                    verdict=judge(seen.findings),
                    reasons=reasons_of(seen.findings),
                    reference=answer.reference,
                    findings=await self._people.seal(leased.tenant, found.state.user_id, leased.stream, asdict(seen)),
                )
        await self._finish(leased, command)

    async def _compared(self, leased: Leased, found: Snapshot, request: Request, answer: Result) -> Result:
        """The answer, with what other persons of the tenant have shown the same; neither look nor face is kept here."""
        bearer = Bearer(person=found.state.user_id, application=leased.stream, file=request.file_id)
        shared = await self._duplicates.look(leased.tenant, bearer, answer) if request.read else ()
        return replace(answer, findings=(*answer.findings, *shared), picture=None, face=())

    async def _ask(self, vendor: str, request: Request) -> Result | Started:
        """The vendor's answer, within the patience that we have with it."""
        reading = Reading(self._patience.files.total_seconds())
        try:
            async with asyncio.timeout(self._patience.call.total_seconds()):
                return await self._vendors[vendor].check(_timed(request, reading))
        except TimeoutError as error:
            if reading.interrupted:
                raise FilesTooSlow from error
            raise VendorUnavailable("VENDOR_TIMEOUT") from error
        except PersonErased:
            return Result(vendor=vendor, version="", findings=(FILE_ERASED,))
        except KeyError as error:  # a route of the past names a vendor that this release does not have
            raise VendorUnavailable("VENDOR_UNSUPPORTED") from error

    async def _request(self, leased: Leased, found: Snapshot, key: str, vendor: str) -> Request | None:
        """The check as it is put to the vendor, or None when nobody waits for it any more."""
        state = found.state
        check = state.check(key)
        if check is None or state.awaiting is not Awaiting.CHECKS or check.verdict or check.vendor != vendor:
            return None
        document = state.document(check.file_id)
        if document is None:
            return None
        person = await self._people.open(leased.tenant, state.user_id, leased.stream, state.person)
        if person is None:
            raise Unfulfillable("the person was erased")
        if document.doc_type == SELFIE:
            await self._files.set_apart(leased.tenant, check.file_id)
        media_type = await self._files.media_type(leased.tenant, check.file_id) if document.uploaded else None
        return Request(
            key=vendor_key(leased.stream, key, vendor),
            attempt=leased.failures + 1,
            doc_type=document.doc_type,
            issued_country=document.issued_country,
            file_id=document.file_id,
            media_type=media_type,
            subject=subject_of(person),
            today=self._clock(),
            read=(lambda: self._files.read(leased.tenant, check.file_id)) if document.uploaded else None,
            companions=await self._companions(leased.tenant, state, document),
            face_matching=state.terms.face_matching,
            face_duplicates=state.terms.face_duplicates,
            final=leased.failures >= self._patience.retries,
        )

    async def _companions(self, tenant: str, state: Application, document: Document) -> tuple[Companion, ...]:
        """The other uploaded documents of the application: a back beside a front, a portrait beside a selfie."""
        found = []
        for other in state.documents:
            if not other.uploaded or other.file_id == document.file_id:
                continue
            media_type = await self._files.media_type(tenant, other.file_id)
            if media_type is not None:
                found.append(
                    Companion(
                        doc_type=other.doc_type,
                        issued_country=other.issued_country,
                        media_type=media_type,
                        read=partial(self._files.read, tenant, other.file_id),
                    )
                )
        return tuple(found)

    async def _screen(self, leased: Leased, number: int) -> None:
        found = await self._store.load(leased.tenant, leased.stream)
        terms = found.state.terms.screening if found else None
        if found is None or terms is None or not found.state.screening or found.state.round != number:
            await self._orders.finish(leased, self._clock())
            return
        identities = await self._identities(leased, found)
        if not identities:
            await self._finish(leased, ReferScreening(round=number, reason="ID_MISSING_NAME"))
            return
        screened = await self._screener.screen(identities, terms)
        told = findings_of(leased.stream, identities, screened)
        command = RecordScreening(
            round=number,
            basis=screened.basis,
            hits=hits_of(leased.stream, screened),
            findings=await self._people.seal(leased.tenant, found.state.user_id, leased.stream, told),
        )
        await self._finish(leased, command)

    async def _enrol(self, leased: Leased) -> None:
        """Watch the person as they were screened; whom the latest screening was about says its own event."""
        found = await self._store.load(leased.tenant, leased.stream)
        history = await self._store.history(leased.tenant, leased.stream)
        sealed = [one.event.findings for one in history if isinstance(one.event, PersonScreened) and one.event.findings]
        if found is not None and sealed and found.state.status is Status.VERIFIED:
            told = await self._people.open(leased.tenant, found.state.user_id, leased.stream, sealed[-1])
            if told is None:
                raise Unfulfillable("the person was erased")
            await self._watched.enrol(
                Enrolment(
                    tenant=leased.tenant,
                    application=leased.stream,
                    subject=found.state.user_id,
                    identity=sealed[-1].entry,
                    facts=self._screener.fingerprint(recalled(told)),
                    enrolled_at=self._clock(),
                )
            )
        await self._orders.finish(leased, self._clock())

    async def _identities(self, leased: Leased, found: Snapshot) -> tuple[Identity, ...]:
        """Who the person is, by what they declared and by the documents of the present round."""
        state = found.state
        person = await self._people.open(leased.tenant, state.user_id, leased.stream, state.person)
        if person is None:
            raise Unfulfillable("the person was erased")
        results = []
        for recorded in await self._store.history(leased.tenant, leased.stream):
            event = recorded.event
            if isinstance(event, CheckAnswered) and event.findings and state.check(event.check):
                result = await self._people.open(leased.tenant, state.user_id, leased.stream, event.findings)
                results.append(result or {})
        return identities_of(person, results)

    async def _reopen(self, leased: Leased, command: LapseClearance) -> None:
        """Have the hit looked at again, unless the person was erased: there is nobody left to compare."""
        found = await self._store.load(leased.tenant, leased.stream)
        hit = found.state.clearance.hit(command.hit) if found and found.state.clearance else None
        if found and hit and await self._remembered(leased, found):
            await self._finish(leased, replace(command, absent_from=await self._screener.without(hit.entry)))
        else:
            await self._orders.finish(leased, self._clock())

    async def _remembered(self, leased: Leased, found: Snapshot) -> bool:
        """Whether the person was not erased."""
        return bool(await self._people.open(leased.tenant, found.state.user_id, leased.stream, found.state.person))

    async def _undo(self, leased: Leased, step: Step) -> None:
        if step.name == CLAIM:
            receipt = f"released {await self._files.release(leased.tenant, leased.stream)} file(s)"
        else:
            receipt = await self._cancel(leased, step)
        await self._finish(leased, RecordCompensation(step=step, receipt=receipt))

    async def _cancel(self, leased: Leased, step: Step) -> str:
        found = await self._store.load(leased.tenant, leased.stream)
        reference = found.state.reference(step.check, step.vendor) if found else None
        if step.check is None or step.vendor is None or step.vendor not in self._vendors:
            raise VendorUnavailable("VENDOR_UNSUPPORTED")
        try:
            async with asyncio.timeout(self._patience.call.total_seconds()):
                return await self._vendors[step.vendor].cancel(
                    vendor_key(leased.stream, step.check, step.vendor), reference
                )
        except TimeoutError as error:
            raise VendorUnavailable("VENDOR_TIMEOUT") from error

    async def _finish(self, leased: Leased, command: Command) -> None:
        """Carry out *command* and end the order, in one commit; when nothing comes of it, the order still ends."""
        handled = await handle(self._store, self._task(leased, command, finished=leased), self._clock())
        if not handled.events:
            await self._orders.finish(leased, self._clock())

    def _task(self, leased: Leased, command: Command, finished: Leased | None = None) -> Task:
        cause = Cause(actor="worker", causation=str(leased.id), correlation=str(leased.stream))
        return Task(tenant=leased.tenant, stream=leased.stream, command=command, cause=cause, finished=finished)


def _timed(request: Request, reading: Reading) -> Request:
    """The same request, whose files are read within the time of *reading*."""
    return replace(
        request,
        read=reading.within(request.read) if request.read else None,
        companions=tuple(replace(one, read=reading.within(one.read)) for one in request.companions),
    )


def vendor_key(application: UUID, check: str, vendor: str) -> UUID:
    """The vendor's idempotency key for a check: the same at every attempt, and when it is cancelled."""
    return uuid5(application, f"{check} {vendor}")


def hits_of(application: UUID, screened: Screened) -> tuple[Hit, ...]:
    """What was found, as the log keeps it: no name, and an id that lasts as long as the facts do."""
    return tuple(
        Hit(id=hit_id(application, found), list=found.list, entry=found.entry, probability=found.probability)
        for found in screened.possible
    )


def hit_id(application: UUID, found: Possible) -> UUID:
    """The id of a hit: the same whenever the same person meets the same entry by the same facts."""
    return uuid5(application, f"{found.entry} {found.facts}")


def findings_of(application: UUID, identities: Sequence[Identity], screened: Screened) -> Mapping[str, object]:
    """What a compliance officer reads of a screening: whom the lists were asked about, and why each hit is one."""
    return {
        "identities": [asdict(identity) for identity in identities],
        "hits": {
            str(hit_id(application, found)): {**found.explanation, "probability": found.probability}
            for found in screened.possible
        },
    }


def probability_of(findings: Mapping[str, object], hit: UUID) -> float | None:
    """How probable the *findings* of a screening say that *hit* is; None when it was not found, or they do not say."""
    hits = findings.get("hits")
    told = hits.get(str(hit)) if isinstance(hits, Mapping) else None
    probable = told.get("probability") if isinstance(told, Mapping) else None
    return probable if isinstance(probable, float) else None


def subject_of(person: Mapping[str, object]) -> Subject:
    """What the client declared of the person, as the vendors need it."""
    applicant = person.get("applicant")
    declared: Mapping[str, object] = applicant if isinstance(applicant, Mapping) else {}

    def text(name: str) -> str | None:
        value = declared.get(name)
        return value if isinstance(value, str) else None

    email = person.get("email")
    return Subject(
        given_names=text("given_names"),
        family_name=text("family_name"),
        birth_date=text("birth_date"),
        nationality=text("nationality"),
        email=email if isinstance(email, str) else None,
        address=_address_of(declared.get("address")),
        biometric_consent=declared.get("biometric_consent") is True,
    )


def _address_of(declared: object) -> PostalAddress | None:
    if not isinstance(declared, Mapping):
        return None
    lines, city, code = (declared.get(name) for name in ("lines", "city", "postal_code"))
    return PostalAddress(
        lines=tuple(line for line in lines if isinstance(line, str)) if isinstance(lines, list | tuple) else (),
        city=city if isinstance(city, str) else None,
        postal_code=code if isinstance(code, str) else None,
    )


def utc_now() -> datetime:
    """The clock of a running service; tests give another one."""
    return datetime.now(UTC)
