"""What a sanctions or PEP list says of somebody, in one shape for every publisher.

The matching engine reads entries, the parsers under `lists/` make them. Nothing here is a guess: a value that the list
does not state is absent, and a date is only as precise as the list states it.
"""

from enum import StrEnum

from kyc_service.domain.record import record


class Kind(StrEnum):
    """What an entry is about; `UNKNOWN` where the list does not say, and then it may be any of them."""

    PERSON = "person"
    ORGANISATION = "organisation"
    VESSEL = "vessel"
    AIRCRAFT = "aircraft"
    UNKNOWN = "unknown"


class NameKind(StrEnum):
    """How a name stands to its bearer. `WEAK`: the publisher says that it does not suffice to identify anybody."""

    PRIMARY = "primary"
    ALIAS = "alias"
    FORMER = "former"
    ORIGINAL = "original"  # in the bearer's own script
    WEAK = "weak"


class Group(StrEnum):
    """Why somebody is on a list."""

    SANCTION = "sanction"
    PEP = "pep"


@record
class ListedName:
    """One name as the list writes it, family name and given names in the list's order."""

    value: str
    kind: NameKind = NameKind.PRIMARY


@record
class Birth:
    """A date of birth, or of foundation, as far as it is known: every day from `first` to `last` fits (ISO 8601 days).

    1957 is 1957-01-01 to 1957-12-31. `circa`: the publisher says "about".
    """

    first: str
    last: str
    circa: bool = False


@record
class Identifier:
    """A number that somebody issued: `type` in our words (passport, national_id, tax_id, imo, registration, other)."""

    type: str
    value: str
    country: str | None = None  # ISO 3166-1 alpha-2, lower case


@record
class Entry:
    """Somebody or something on a list. `id` is `source:number`, stable over the list's versions."""

    id: str
    source: str
    group: Group
    kind: Kind
    names: tuple[ListedName, ...]
    births: tuple[Birth, ...] = ()
    countries: tuple[str, ...] = ()  # ISO 3166-1 alpha-2, lower case: nationality, citizenship, registration, residence
    gender: str | None = None  # "male" or "female"
    identifiers: tuple[Identifier, ...] = ()
    programmes: tuple[str, ...] = ()
    referents: tuple[str, ...] = ()  # ids that the publisher merged into this one
    # For the eyes of a reviewer only: nothing below is matched.
    birth_places: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    remarks: str | None = None
    listed_on: str | None = None  # ISO 8601 day
    link: str | None = None
