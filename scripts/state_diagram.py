"""The life of an application as a diagram, found by asking `decide` and `evolve` and not by believing anybody.

It starts from the two ways to apply and carries out every command in every state that can be reached, until nothing
new turns up. The answer is small because a state is drawn as its status and what it awaits.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from itertools import chain
from typing import TypeAlias, get_args
from uuid import UUID

from kyc_service.domain.application import (
    TERMINAL,
    AmendApplication,
    Command,
    DecideHit,
    Document,
    DomainError,
    LapseAnswer,
    LapseClearance,
    LapseCompletion,
    LapseResubmission,
    Mode,
    RecordAlert,
    RecordAnswer,
    RecordCompensation,
    RecordOutage,
    RecordScreening,
    RecordStalledCompensation,
    RecordStart,
    ReferScreening,
    ReviewApplication,
    ReviewDecision,
    Sealed,
    State,
    SubmitApplication,
    Terms,
    decide,
    evolve,
    next_to_undo,
)
from kyc_service.domain.clearance import Basis, Hit, HitDecision, ScreeningTerms
from kyc_service.domain.findings import Verdict
from kyc_service.domain.record import record

Place: TypeAlias = str  # a status, and after a slash what is awaited
Transitions: TypeAlias = Mapping[tuple[Place, Place], tuple[str, ...]]

NOWHERE = "nowhere"
PERSON = Sealed(entry=UUID(int=1), box=b"")
PASSPORT = Document(doc_type="PASSPORT", file_id=UUID(int=2), issued_country="NL", uploaded=True)
ANOTHER = replace(PASSPORT, file_id=UUID(int=3))
TERMS = Terms(
    mode=Mode.LIVE,
    uploaded_route=("first", "second"),
    missing_route=(),
    max_resubmissions=1,
    resubmission=timedelta(days=14),
    completion=timedelta(days=30),
    answer=timedelta(days=1),
    screening=ScreeningTerms(review_from=0.5),
)
BASIS = Basis(engine="1", lists=(), review_from=0.5)
HIT = Hit(id=UUID(int=5), list="list", entry="list:1", probability=0.9)
LISTED_LATER = replace(HIT, id=UUID(int=6))


@record
class Asked:
    """One command that was carried out, and what came of it; None: it was refused."""

    words: str
    command: Command
    before: State
    after: State


def walk() -> Iterator[Asked]:
    """Every command in every state that can be reached."""
    seen: set[State] = {None}
    frontier: list[State] = [None]
    while frontier:
        before = frontier.pop(0)
        for words, command in commands(before):
            try:
                after = reduce(evolve, decide(command, before), before)
            except DomainError:
                after = None
            yield Asked(words=words, command=command, before=before, after=after)
            if after not in seen:
                seen.add(after)
                frontier.append(after)


def transitions() -> Transitions:
    """Every way from one place to another, with the words for the commands that lead there."""
    found: dict[tuple[Place, Place], dict[str, None]] = {}
    for asked in walk():
        if asked.after is not None and place(asked.after) != place(asked.before):
            found.setdefault((place(asked.before), place(asked.after)), {})[asked.words] = None
    return {way: tuple(words) for way, words in found.items()}


def unasked() -> frozenset[str]:
    """The commands of the domain that the walk never carries out: a diagram without them would be a lie."""
    asked = {type(step.command) for step in walk()}
    return frozenset(kind.__name__ for kind in get_args(Command) if kind not in asked)


def place(state: State) -> Place:
    """Where *state* is drawn."""
    if state is None:
        return NOWHERE
    return state.status.value if state.awaiting is None else f"{state.status.value}/{state.awaiting.value}"


def commands(state: State) -> Iterator[tuple[str, Command]]:
    """Every command that could reach *state*, in words a reader knows it by."""
    if state is None:
        yield "submitted without a document", _submission()
        yield "submitted with documents", _submission(PASSPORT)
        return
    limit = ", at the limit" if state.resubmissions >= state.terms.max_resubmissions else ""
    yield "amended with documents", AmendApplication(documents=(PASSPORT,))
    yield "amended with a new picture", AmendApplication(documents=(ANOTHER,))
    for check in state.checks:
        for vendor in check.route:
            yield from _of_check(check.key, vendor, limit)
    if step := next_to_undo(state):
        yield "step undone", RecordCompensation(step=step, receipt="receipt")
        yield "step resists", RecordStalledCompensation(step=step, cause="VENDOR_UNAVAILABLE")
    yield "lists: no hit", RecordScreening(round=state.round, basis=BASIS, hits=())
    yield "lists: possible hit", RecordScreening(round=state.round, basis=BASIS, hits=(HIT,))
    yield "lists: no name to ask for", ReferScreening(round=state.round, reason="ID_MISSING_NAME")
    yield "listed later", RecordAlert(basis=BASIS, hits=(LISTED_LATER,))
    for hit in state.clearance.open if state.clearance else ():
        for judged in HitDecision:
            yield f"hit {judged.value}", DecideHit(hit=hit.id, decision=judged, reason="CASE", reviewer="r")
    for hit in state.clearance.hits if state.clearance else ():
        if not hit.reopened:  # once is enough to see what follows
            yield "cleared too long ago", LapseClearance(hit=hit.id, reopened=0)
    for decision in ReviewDecision:
        suffix = limit if decision is ReviewDecision.RESUBMIT else ""
        yield (
            f"reviewer says {decision.value}{suffix}",
            ReviewApplication(decision=decision, reason="CASE", reviewer="r"),
        )
    yield "no new picture in time", LapseResubmission(round=state.round)
    yield "not completed in time", LapseCompletion()


def _submission(*documents: Document) -> SubmitApplication:
    return SubmitApplication(user_id=UUID(int=4), documents=documents, terms=TERMS, person=PERSON)


def _of_check(check: str, vendor: str, limit: str) -> Iterator[tuple[str, Command]]:
    last = "last vendor " if vendor == TERMS.uploaded_route[-1] else "vendor "
    for verdict in Verdict:
        words = f"answer {verdict.value}{limit if verdict is Verdict.RETRY else ''}"
        yield words, RecordAnswer(check=check, vendor=vendor, verdict=verdict, reasons=("R",))
    yield f"{last}promises an answer", RecordStart(check=check, vendor=vendor, reference="later")
    yield f"{last}given up", RecordOutage(check=check, vendor=vendor, cause="VENDOR_UNAVAILABLE")
    yield f"{last}silent too long", LapseAnswer(check=check, vendor=vendor)


def mermaid() -> str:
    """The diagram, as a code host draws it."""
    ways = transitions()
    places = dict.fromkeys(chain.from_iterable(ways))
    inside = [name for name in places if "/" in name and name.startswith("IN_PROGRESS")]
    lines = ["stateDiagram-v2", "    direction LR"]
    lines += [f'    state "{name}" as {_id(name)}' for name in places if "/" in name and name not in inside]
    lines += [
        "    state IN_PROGRESS {",
        *(f'        state "{name.split("/")[1]}" as {_id(name)}' for name in inside),
        "    }",
    ]
    lines += [f"    {_id(one)} --> {_id(other)}: {_label(words)}" for (one, other), words in ways.items()]
    lines += [f"    {status.value} --> [*]" for status in sorted(TERMINAL)]
    return "\n".join(lines)


def _id(name: Place) -> str:
    return "[*]" if name == NOWHERE else name.replace("/", "_")


def _label(words: Iterable[str]) -> str:
    return "<br/>".join(words)
