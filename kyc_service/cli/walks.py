"""The applications that the demo walks through the service, and how each of them must end."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import httpx2

from kyc_service.cli.stage import COLOURS, Stage
from kyc_service.documents.mrz import Particulars
from kyc_service.documents.specimen import degraded, draw, traveller
from kyc_service.domain.record import record
from kyc_service.vendors.simulated import Magic, magic_file_id

Json: TypeAlias = Mapping[str, Any]

PATIENCE = 60.0  # seconds for one application
GLANCE = 0.1
PEOPLE = frozenset({"review", "operator"})  # what nobody here would do
BEGINNING = ("KYC_CREATED",)
PUBLISHED = {"VERIFIED": "KYC_VERIFIED", "REJECTED": "KYC_REJECTED", "ROLLED_BACK": "KYC_ROLLBACK"}


class DemoFailed(Exception):
    """The demo could not go on; the message says why."""


@record
class Ending:
    """How an application ended, and what it took. Two endings are the same only if all of it is."""

    status: str
    evidence: str
    published: tuple[str, ...]  # what the rest of the company was told
    asked_again: bool = False  # whether the applicant had to send another picture
    given_up: tuple[str, ...] = ()  # the vendors that did not answer
    undone: int = 0  # how many steps were compensated, each with a receipt
    hits: int = 0  # how many entries of a list had to be decided

    @property
    def words(self) -> str:
        """The ending in a line."""
        parts = [
            "SIMULATED" if self.evidence == "simulated" else "",
            "after a better picture" if self.asked_again else "",
            f"without {' and '.join(self.given_up)}" if self.given_up else "",
            f"{self.undone} steps undone" if self.undone else "",
            f"{self.hits} possible hit decided" if self.hits else "",
            f"⇒ {' '.join(self.published[1:] if self.published[:1] == BEGINNING else self.published) or 'nothing'}",
        ]
        return ", ".join([self.status, *(part for part in parts if part)])


def ending(status: str, *, evidence: str = "sandbox", asked_again: bool = False, **rest: Any) -> Ending:
    """The ending that a walk expects: the world is told of its beginning and of its end, once each."""
    published = (*BEGINNING, PUBLISHED[status])
    return Ending(status=status, evidence=evidence, published=published, asked_again=asked_again, **rest)


@record
class Picture:
    """A picture that is uploaded: of whose passport, and whether anybody can read it."""

    file: str
    holder: Particulars
    readable: bool = True

    def drawn(self) -> bytes:
        """As a JPEG."""
        picture = draw(self.holder)
        return picture if self.readable else degraded(picture)


@record
class Walk:
    """One application from its submission to its end. `better` is sent when another picture is asked for."""

    title: str
    first: Picture | Magic
    better: Picture | None = None
    declared: Json | None = None  # None: the holder of the specimen passport
    expected: Ending


@record
class Walked:
    """A walk and what came of it."""

    walk: Walk
    ended: Ending
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Whether it ended as it must."""
        return self.ended == self.walk.expected


# Nobody of this name holds such a passport: the name and the number are the example of ICAO Doc 9303-4.
HOLDER = traveller(issuer="NLD")
EXPIRED = traveller(issuer="NLD", number="L898902C4", expiry=date(2020, 4, 15))
# Each applicant has a passport of their own: one that two people show goes to a reviewer.
ANOTHER = traveller(
    surname="Specimen", given_names="Willeke Liselotte", issuer="NLD", number="SPECI2014", birth=date(1965, 3, 10)
)
COUNTRY = "NL"


def declared(holder: Particulars) -> Json:
    """What the holder of a passport says of themselves."""
    return {"given_names": holder.given_names, "family_name": holder.surname, "birth_date": str(holder.birth)}


DECLARED = declared(HOLDER)

LISTED = {"given_names": "Specimen Wiktor", "family_name": "Listownik", "birth_date": "1961-04-17"}

WALKS: Sequence[Walk] = (
    Walk(
        title="A passport, verified from its picture",
        first=Picture(file="passport.jpg", holder=HOLDER),
        expected=ending("VERIFIED"),
    ),
    Walk(
        title="A passport that has expired",
        first=Picture(file="expired.jpg", holder=EXPIRED),
        expected=ending("REJECTED"),
    ),
    Walk(
        title="A picture that nobody can read, and then a better one",
        first=Picture(file="blurred.jpg", holder=ANOTHER, readable=False),
        better=Picture(file="better.jpg", holder=ANOTHER),
        declared=declared(ANOTHER),
        expected=ending("VERIFIED", asked_again=True),
    ),
    Walk(
        title="Every vendor of the route is down",
        first=Magic.EVERY_VENDOR_DOWN,
        expected=ending("ROLLED_BACK", given_up=("simulated", "simulated_standby"), undone=3),
    ),
    Walk(
        title="The first vendor is down, and the standby verifies",
        first=Magic.FIRST_VENDOR_DOWN,
        expected=ending("VERIFIED", evidence="simulated", given_up=("simulated",)),
    ),
    Walk(
        title="A document that was never uploaded",
        first=Magic.VERIFIED,
        expected=ending("VERIFIED", evidence="simulated"),
    ),
    Walk(
        title="Somebody whom a sanctions list means",
        first=Magic.VERIFIED,
        declared=LISTED,
        expected=ending("REJECTED", evidence="simulated", hits=1),
    ),
)


class Visitor:
    """A client of the API like any other, who tells what they see."""

    def __init__(self, http: httpx2.Client, stage: Stage, pictures: Path) -> None:
        self._http = http
        self._stage = stage
        self._pictures = pictures

    def walk(self, number: int, walk: Walk) -> Walked:
        """One application from its submission to its end."""
        with self._stage.act(f"{number}. {walk.title}"):
            began = time.monotonic()
            body = {
                "user_id": str(uuid4()),
                "email": "anna.eriksson@example.com",
                "documents": [self._announced(walk.first)],
                "applicant": walk.declared or DECLARED,
            }
            submitted = self._answer(
                self._http.post("/applications", json=body, headers={"Idempotency-Key": str(uuid4())})
            )
            state, seen, asked_again = self._follow(f"/applications/{submitted['id']}", walk.better)
            seconds = time.monotonic() - began
            for reason in state["reasons"]:
                self._stage.say(f"  the applicant reads: {reason['text']}")
            self._stage.say(f"  {state['status']} after {seconds:.1f} s", COLOURS.get(state["status"], "red"))
        ended = Ending(
            status=state["status"],
            evidence=state["evidence"],
            published=tuple(event["published"] for event in seen if event["published"]),
            asked_again=asked_again,
            given_up=tuple(event["data"]["vendor"] for event in seen if event["type"] == "VendorGivenUp"),
            undone=sum(1 for event in seen if event["type"] == "StepCompensated" and event["data"]["receipt"]),
            hits=sum(1 for event in seen if event["type"] == "HitDecided"),
        )
        return Walked(walk=walk, ended=ended, seconds=seconds)

    def _follow(self, path: str, better: Picture | None) -> tuple[Json, Sequence[Json], bool]:
        """Watch until it is over or patience is; the application, its history, and whether a picture was asked for."""
        seen: list[Json] = []
        asked_again = False
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._http.get(path)
            state = self._answer(answer)
            seen += self._news(path, seen)
            self._stage.wait_for(f"{state['status']}, awaiting {state['awaiting']}" if state["awaiting"] else "")
            if state["awaiting"] == "review" and self._decided(path, seen):
                continue
            if state["status"] in COLOURS or state["awaiting"] in PEOPLE or time.monotonic() > deadline:
                return state, seen, asked_again
            if better and state["awaiting"] == "resubmission":
                asked_again = True
                for reason in state["reasons"]:
                    self._stage.say(f"  the applicant reads: {reason['text']}")
                patch = {"documents": [self._announced(better)]}
                self._answer(self._http.patch(path, json=patch, headers={"If-Match": answer.headers["etag"]}))
                better = None
            time.sleep(GLANCE)

    def _decided(self, path: str, seen: Sequence[Json]) -> bool:
        """Be the compliance officer, who knows the specimen of the sample list; whether there was a hit to decide."""
        decided = {event["data"]["hit"] for event in seen if event["type"] == "HitDecided"}
        hits = [hit for event in seen if event["type"] == "PersonScreened" for hit in event["data"]["hits"]]
        still_open = [hit for hit in hits if hit["id"] not in decided]
        for hit in still_open:
            verdict = {"decision": "confirmed", "reason": "SANCTIONS_CONFIRMED", "note": "The specimen itself."}
            self._answer(self._http.post(f"{path}/hits/{hit['id']}/decision", json=verdict))
        return bool(still_open)

    def _announced(self, document: Picture | Magic) -> Json:
        """The document of an application: its picture uploaded, or a file id that makes the simulation play a part."""
        if isinstance(document, Magic):
            self._stage.say("  SIMULATED: no document, and nobody who looks at one; only a sandbox tenant may do this")
            return {"doc_type": "PASSPORT", "file_id": str(magic_file_id(document)), "issued_country": COUNTRY}
        content = document.drawn()
        path = self._pictures / document.file
        path.write_bytes(content)
        stored = self._answer(self._http.post("/files", content=content, headers={"Content-Type": "image/jpeg"}))
        self._stage.say(f"  uploaded {document.file}, a SPECIMEN: {stored['size'] // 1024} KiB, stored encrypted")
        return {"doc_type": "PASSPORT", "file_id": stored["id"], "issued_country": COUNTRY}

    def _news(self, path: str, seen: Sequence[Json]) -> Sequence[Json]:
        """What happened since, told event by event."""
        history: Sequence[Json] = self._answer(self._http.get(f"{path}/history"))["data"]
        for event in history[len(seen) :]:
            elapsed = _moment(event) - _moment(history[0])
            published = f"  ⇒ {event['published']}" if event["published"] else ""
            told = told_of(event["type"], event["data"])
            self._stage.say(f"  +{elapsed:5.2f} s  {event['type']:<22} {told}{published}", "cyan" if published else "")
        return history[len(seen) :]

    @staticmethod
    def _answer(response: httpx2.Response) -> Any:
        if response.is_success:
            return response.json()
        problem = response.json() if "json" in response.headers.get("content-type", "") else {}
        raise DemoFailed(
            f"{response.request.method} {response.request.url.path} was answered with {response.status_code}"
            f" {problem.get('code', '')}: {problem.get('detail', '')}"
        )


def _moment(event: Json) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()


def _codes(data: Json) -> str:
    return ", ".join(data.get("reasons", ()))


def _undone(data: Json) -> str:
    at = f" at {data['step']['vendor']}" if data["step"]["vendor"] else ""
    return f"{data['step']['name']}{at} is undone; receipt: {data['receipt']}"


def _lists(data: Json) -> str:
    asked = ", ".join(one["list"] for one in data["basis"]["lists"])
    found = ", ".join(f"{hit['entry']} at {hit['probability']:.2f}" for hit in data["hits"])
    return f"{asked}: {found or 'nobody of that name'}"


# How the demo tells an event; any other is told by its name alone.
TOLD: Mapping[str, Callable[[Json], str]] = {
    "ApplicationSubmitted": lambda _: "somebody applies",
    "ApplicationAmended": lambda _: "another picture comes in",
    "VerificationStarted": lambda data: f"the checks begin, round {data['round']}",
    "CheckAnswered": lambda data: f"{data['vendor']} says {' '.join((data['verdict'], _codes(data))).strip()}",
    "VendorGivenUp": lambda data: f"{data['vendor']} does not answer, after every retry",
    "ResubmissionRequested": lambda data: f"another picture is asked for: {_codes(data)}",
    "ReviewRequested": lambda data: f"a person must look: {_codes(data)}",
    "ScreeningStarted": lambda _: "who it is stands firm; the lists are asked",
    "PersonScreened": _lists,
    "HitDecided": lambda data: f"a compliance officer says: {data['decision']}",
    "HitReopened": lambda _: "what was cleared long ago must be looked at again",
    "HitDelisted": lambda _: "what was cleared long ago has left the lists",
    "ApplicationRejected": _codes,
    "RollbackStarted": lambda _: "no vendor is left, so everything that was started is undone",
    "StepCompensated": _undone,
    "ApplicationRolledBack": lambda data: f"{len(data['compensations'])} steps undone",
}


def told_of(kind: str, data: Json) -> str:
    """An event in a few words."""
    tell = TOLD.get(kind)
    return tell(data) if tell else ""
