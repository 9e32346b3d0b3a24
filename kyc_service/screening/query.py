"""Whom or what to look for."""

from collections.abc import Sequence

from kyc_service.domain.record import record
from kyc_service.screening.entries import Birth, Entry, Identifier, Kind


@record
class Query:
    """Somebody as our side knows them: every name they go by, and whatever else is known.

    `countries` are ISO 3166-1 alpha-2 codes in lower case, `gender` is "male" or "female". What is not known is empty:
    an absent date neither speaks for a match nor against it. `lists`: the only ones that are asked; None: all.
    """

    kind: Kind
    names: Sequence[str]
    births: Sequence[Birth] = ()
    countries: Sequence[str] = ()
    gender: str | None = None
    identifiers: Sequence[Identifier] = ()
    lists: Sequence[str] | None = None


def query_of(entry: Entry) -> Query:
    """An entry of an index of our own people, as the query that it would be."""
    return Query(
        kind=entry.kind,
        names=tuple(name.value for name in entry.names),
        births=entry.births,
        countries=entry.countries,
        gender=entry.gender,
        identifiers=entry.identifiers,
    )
