"""What continuous screening remembers of a person, as values that both who decides and who stores it know.

Nothing here names anybody: a person is an application, facts are keyed fingerprints, and what matched is sealed. Names
in clear live in the memory of the worker that screens, and only there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from kyc_service.domain.application import Sealed
from kyc_service.domain.record import record


class Occasion(StrEnum):
    """Why people are screened again."""

    DELTA = "delta"  # entries of a list changed
    PERSON = "person"  # the person's own facts changed, or they were enrolled
    ENGINE = "engine"  # the engine, its model or its thresholds changed
    SELF_CHECK = "self_check"  # a random sample, screened anew to see whether everything else works


class Step(StrEnum):
    """What a screening says against the one before it."""

    FIRST = "first"  # there was none before
    SAME = "same"
    WORSE = "worse"  # somebody has to look: a new entry, a higher band, a new matching fact
    BETTER = "better"  # an entry is gone, or matches less


@record
class Enrolment:
    """A person who is watched. `facts`: the keyed fingerprint of what they were screened with.

    `lists`, `engine` and `screened_facts` say what they were last screened against and with; None: never yet. With
    the engine goes the probability from which on a match is a hit.
    """

    tenant: str
    application: UUID
    subject: UUID
    identity: UUID  # the event in which their identity is sealed
    facts: bytes
    enrolled_at: datetime
    ended_at: datetime | None = None
    lists: Mapping[str, int] | None = None
    engine: str | None = None
    screened_facts: bytes | None = None
    screened_at: datetime | None = None


@record
class Campaign:
    """One round of screening for one tenant; its id derives from what it is about, so that it is opened once."""

    id: UUID
    tenant: str
    occasion: Occasion
    engine: str
    lists: Mapping[str, int]
    opened_at: datetime


@record
class Stretch:
    """The people of a tenant by application: those beyond one, up to another; None: from the first, to the last."""

    beyond: UUID | None = None
    up_to: UUID | None = None


EVERYBODY = Stretch()


@record
class Outcome:
    """What a campaign found for one person, also when it found nothing. `hits` holds the entries, sealed."""

    application: UUID
    campaign: UUID
    step: Step
    band: str  # the highest of all hits: clear, review or hit
    count: int
    facts: bytes
    at: datetime
    hits: Sealed | None = None


class CampaignOvertaken(Exception):
    """The person was screened against newer lists meanwhile: the campaign is pointless for them."""


class PersonNotEnrolled(Exception):
    """The application is not watched, or not any more."""


class Watched(Protocol):
    """The people who are watched."""

    async def enrol(self, enrolment: Enrolment) -> None:
        """Watch a person, or take note of their new facts. Doing it twice is doing it once."""
        ...

    async def end(self, tenant: str, application: UUID, at: datetime) -> None:
        """Stop watching a person; what was found stays."""
        ...

    async def sample(self, tenant: str, seed: str, count: int) -> Sequence[Enrolment]:
        """People at random; the same seed gives the same people."""
        ...


class Rounds(Protocol):
    """The campaigns and what they find."""

    async def open(self, campaign: Campaign) -> Campaign:
        """Begin a campaign, or find the one that was begun."""
        ...

    async def pending(self, campaign: Campaign, after: UUID | None, limit: int) -> Sequence[Enrolment]:
        """People without an outcome in the campaign, by application, those beyond *after*."""
        ...

    async def record(self, campaign: Campaign, outcome: Outcome) -> bool:
        """Keep an outcome, and what the person was screened with; False when the person has one already.

        Raises:
            CampaignOvertaken: the person was screened against newer lists meanwhile.
            PersonNotEnrolled: the person is not watched any more.
        """
        ...
