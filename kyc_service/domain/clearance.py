"""What the sanctions and PEP lists say of a person, what a compliance officer made of it, and on what it rests."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from kyc_service.domain.record import record


class HitDecision(StrEnum):
    """What a compliance officer makes of a possible hit."""

    CONFIRMED = "confirmed"  # the applicant is whom the list means
    CLEARED = "cleared"  # somebody else


@record
class ListVersion:
    """One list in one version, as it was asked."""

    list: str
    version: str


@record
class Basis:
    """On what a screening rests: the engine, the lists, and the probability from which on a match is a possible hit."""

    engine: str
    lists: tuple[ListVersion, ...]
    review_from: float


@record
class Hit:
    """A list entry that may mean the person.

    Its `id` derives from the application, the entry and the facts on both sides that made the match: while they stay
    the same so does the hit, and with it what was decided of it. `probability` is calibrated, 0 to 1. `reopened`: how
    often the time was over for which it had been cleared.
    """

    id: UUID
    list: str
    entry: str
    probability: float
    decision: HitDecision | None = None
    reopened: int = 0


@record
class ScreeningTerms:
    """How the lists are asked. `review_from`: the probability from which on a person must look at a match.

    `cleared_for`: how long "somebody else" holds before a person must look at the same match again. `lists`: the
    only ones that are asked; None: all that are in force.
    """

    review_from: float
    cleared_for: timedelta = timedelta(days=365)
    lists: tuple[str, ...] | None = None

    def asks(self, name: str) -> bool:
        """Whether the list called *name* is one of them."""
        return self.lists is None or name in self.lists


@record
class Clearance:
    """What is known of a person from the lists, and on what it rests."""

    basis: Basis
    hits: tuple[Hit, ...] = ()

    @property
    def open(self) -> tuple[Hit, ...]:
        """The hits that nobody has decided."""
        return tuple(hit for hit in self.hits if hit.decision is None)

    def hit(self, key: UUID) -> Hit | None:
        """The hit called *key*."""
        return next((hit for hit in self.hits if hit.id == key), None)

    def decided(self, key: UUID, decision: HitDecision) -> "Clearance":
        """The same, with the hit called *key* decided."""
        return replace(self, hits=tuple(replace(h, decision=decision) if h.id == key else h for h in self.hits))

    def opened(self, key: UUID) -> "Clearance":
        """The same, with the hit called *key* open once more."""
        again = [replace(h, decision=None, reopened=h.reopened + 1) if h.id == key else h for h in self.hits]
        return replace(self, hits=tuple(again))

    def without(self, key: UUID) -> "Clearance":
        """The same, without the hit called *key*."""
        return replace(self, hits=tuple(hit for hit in self.hits if hit.id != key))


def screened_again(known: Clearance | None, basis: Basis, hits: Sequence[Hit]) -> Clearance:
    """What is known after another look: *hits*, each with what had been decided of it before."""
    earlier = {hit.id: hit for hit in known.hits} if known else {}
    carried = ((hit, earlier.get(hit.id, hit)) for hit in hits)
    return Clearance(
        basis=basis,
        hits=tuple(replace(hit, decision=before.decision, reopened=before.reopened) for hit, before in carried),
    )


def alerted(known: Clearance | None, basis: Basis, hits: Sequence[Hit]) -> Clearance:
    """What is known after new *hits* turned up: they stand beside the earlier ones."""
    earlier = known.hits if known else ()
    return Clearance(basis=basis, hits=(*earlier, *hits))
