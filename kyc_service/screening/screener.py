"""The lists in force, asked by the engine: what the saga and the API mean when they speak of a screener."""

import asyncio
import time
from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kyc_service.application.ports import Clock, Identity, Possible, Screened, ScreeningUnavailable
from kyc_service.domain.clearance import Basis, ListVersion, ScreeningTerms
from kyc_service.domain.record import record
from kyc_service.screening.engine import ENGINE_VERSION, Match, screen
from kyc_service.screening.entries import Birth, Identifier, Kind
from kyc_service.screening.index import Index, IndexUnreadable
from kyc_service.screening.lists.canonical import facts
from kyc_service.screening.lists.library import EditionGone, InForce, NoListInForce, Watchlists
from kyc_service.screening.query import Query

GENDERS: Mapping[str, str] = {"M": "male", "F": "female"}


@record
class Edition:
    """The index of everything that is in force together."""

    in_force: InForce
    index: Index


class ListScreener:
    """Keeps the promises of `ports.Screener`.

    *digest* turns the facts of a match into something that tells them from others and nothing else (a keyed hash);
    *alpha_2* gives the ISO 3166-1 alpha-2 code of a country as a document writes it; *screened* hears how many seconds
    it took to ask every list about one person.
    """

    def __init__(
        self,
        lists: Watchlists,
        *,
        digest: Callable[[bytes], bytes],
        alpha_2: Callable[[str], str | None],
        clock: Clock,
        screened: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._told = screened
        self._lists = lists
        self._digest = digest
        self._alpha_2 = alpha_2
        self._clock = clock
        self._edition: Edition | None = None
        self._loading = asyncio.Lock()

    async def screen(self, identities: Sequence[Identity], terms: ScreeningTerms) -> Screened:
        """Every entry that matches one of the *identities* of one person, by the lists and the probability of *terms*.

        Raises:
            ScreeningUnavailable: a list is missing or stale.
        """
        await self.demand()
        edition = await self.edition()
        if not {one.source for one in edition.in_force.lists}.issuperset(terms.lists or ()):
            raise ScreeningUnavailable
        started = time.perf_counter()
        found = await asyncio.to_thread(self._screened, edition, identities, terms)
        self._told(time.perf_counter() - started)
        return found

    async def without(self, entry: str) -> tuple[ListVersion, ...]:
        """The lists in force, if *entry* is on none of them; nothing while it is on one.

        Raises:
            ScreeningUnavailable: a list is missing or stale.
        """
        await self.demand()
        edition = await self.edition()
        if entry in await asyncio.to_thread(edition.index.ids):
            return ()
        return _versions(edition)

    async def demand(self) -> None:
        """Return if the lists may clear somebody.

        Raises:
            ScreeningUnavailable: one is missing or stale.
        """
        if await self._lists.faults(self._clock()):
            raise ScreeningUnavailable

    def fingerprint(self, identities: Sequence[Identity]) -> bytes:
        """What tells the facts that the lists are asked with from others, and says nothing about them."""
        return self._digest("\n\n".join(_told(identity) for identity in identities).encode())

    async def edition(self) -> Edition:
        """The lists in force, with their index; made once for all processes of a machine, and kept while in force.

        Raises:
            ScreeningUnavailable: there is none.
        """
        try:
            in_force = await self._lists.in_force()
            async with self._loading:
                if self._edition is None or self._edition.in_force != in_force:
                    self._edition = Edition(in_force=in_force, index=await self._index(in_force))
                return self._edition
        except (NoListInForce, EditionGone) as error:
            raise ScreeningUnavailable from error

    async def _index(self, in_force: InForce) -> Index:
        if self._edition is not None and self._edition.in_force.edition == in_force.edition:
            return self._edition.index  # only confirmed anew: the entries are the same
        path = self._lists.path(in_force.edition, f"index-{ENGINE_VERSION}")
        try:
            return await asyncio.to_thread(Index.open, path)
        except (FileNotFoundError, IndexUnreadable):
            entries = await self._lists.entries(in_force)
        versions = {one.source: str(one.version) for one in in_force.lists}
        built = await asyncio.to_thread(Index.build, entries, versions)
        if in_force.sample:
            return built
        await asyncio.to_thread(built.save, path)
        return await asyncio.to_thread(Index.open, path)

    def _screened(self, edition: Edition, identities: Sequence[Identity], terms: ScreeningTerms) -> Screened:
        best: dict[str, tuple[Identity, Match]] = {}
        for identity in identities:
            query = replace(self.query(identity), lists=terms.lists)
            for match in screen(edition.index, query, threshold=terms.review_from):
                known = best.get(match.entry_id)
                if known is None or match.probability > known[1].probability:
                    best[match.entry_id] = (identity, match)
        ranked = sorted(best.values(), key=lambda found: (-found[1].probability, found[1].entry_id))
        return Screened(
            basis=Basis(
                engine=ENGINE_VERSION,
                lists=tuple(one for one in _versions(edition) if terms.asks(one.list)),
                review_from=terms.review_from,
            ),
            possible=tuple(self._possible(identity, match) for identity, match in ranked),
        )

    def _possible(self, identity: Identity, match: Match) -> Possible:
        return Possible(
            list=match.list_id,
            entry=match.entry_id,
            probability=match.probability,
            facts=self._digest(f"{facts(match.entry)}\n{_told(identity)}".encode()).hex(),
            explanation={**match.explanation, "asked_as": identity.source},
        )

    def query(self, identity: Identity) -> Query:
        """*identity* as the engine is asked about it."""
        countries = (self._alpha_2(code) for code in identity.nationalities)
        return Query(
            kind=Kind(identity.kind),
            names=(identity.name,),
            births=birth_of(identity.birth_date),
            countries=tuple(code.lower() for code in countries if code),
            gender=GENDERS.get(identity.sex or ""),
            identifiers=tuple(
                Identifier(type="other", value=number.value, country=self._country(number.country))
                for number in identity.numbers
            ),
        )

    def _country(self, code: str | None) -> str | None:
        found = self._alpha_2(code) if code else None
        return found.lower() if found else None


def _versions(edition: Edition) -> tuple[ListVersion, ...]:
    return tuple(ListVersion(list=one.source, version=str(one.version)) for one in edition.in_force.lists)


def _told(identity: Identity) -> str:
    """Everything of an identity that is matched."""
    numbers = (f"{number.country} {number.value}" for number in identity.numbers)
    known = (identity.name, identity.birth_date or "", identity.sex or "", *identity.nationalities, *numbers)
    return "\n".join(known)


def birth_of(written: str | None) -> tuple[Birth, ...]:
    """The days that a birth date fits: ISO 8601, whole or cut short, with `?` for what is not known."""
    year, month, day = (*(written or "").split("-"), "", "")[:3]
    if not (len(year) == 4 and year.isdecimal()):
        return ()
    if not month.isdecimal():
        return (Birth(first=f"{year}-01-01", last=f"{year}-12-31"),)
    if not day.isdecimal():
        return (Birth(first=f"{year}-{month}-01", last=f"{year}-{month}-{monthrange(int(year), int(month))[1]:02}"),)
    return (Birth(first=f"{year}-{month}-{day}", last=f"{year}-{month}-{day}"),)
