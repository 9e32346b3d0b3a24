"""The official lists: who publishes them, where, and under which licence they may be used."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kyc_service.domain.record import record

OFAC = "https://sanctionslistservice.ofac.treas.gov/api/PublicationPreview/exports"
OPENSANCTIONS = "https://data.opensanctions.org/datasets/latest"
PLACE = "{eu_list_token}"  # stands in an address for the setting


class SourceUnknown(Exception):
    """A list has no address; the message says which, and which ones have."""


class TokenMissing(Exception):
    """The list can only be downloaded with a token: set KYC_EU_LIST_TOKEN."""


@record
class Source:
    """A list that `kyc lists sync` can fetch: by the addresses of its files, or through an index of OpenSanctions."""

    name: str
    title: str
    publisher: str
    licence: str
    files: tuple[str, ...] = ()
    index: str | None = None
    at_least: int = 1  # entries; a first version with fewer is held back

    def named_files(self) -> Sequence[tuple[str | None, str]]:
        """The names that the files are kept under (None: as the address says) and their addresses."""
        return [(f"{self.name}.csv" if PLACE in url or "token=" in url else None, url) for url in self.files]


SOURCES: Mapping[str, Source] = {
    one.name: one
    for one in (
        Source(
            name="us_ofac_sdn",
            title="Specially Designated Nationals and Blocked Persons List",
            publisher="US Treasury, Office of Foreign Assets Control",
            licence="public domain",
            files=tuple(f"{OFAC}/{name}.CSV" for name in ("SDN", "ALT", "ADD", "SDN_COMMENTS")),
            at_least=10_000,
        ),
        Source(
            name="us_ofac_cons",
            title="Consolidated Non-SDN List",
            publisher="US Treasury, Office of Foreign Assets Control",
            licence="public domain",
            files=tuple(f"{OFAC}/{name}.CSV" for name in ("CONS_PRIM", "CONS_ALT", "CONS_ADD", "CONS_COMMENTS")),
            at_least=200,
        ),
        Source(
            name="us_ofac_sdn_advanced",
            title="SDN list with names in the bearers' own scripts",
            publisher="US Treasury, Office of Foreign Assets Control",
            licence="public domain",
            files=(f"{OFAC}/SDN_ADVANCED.XML",),
            at_least=10_000,
        ),
        Source(
            name="un_sc",
            title="United Nations Security Council Consolidated List",
            publisher="United Nations Security Council",
            licence="reuse with attribution",
            files=("https://scsanctions.un.org/resources/xml/en/consolidated.xml",),
            at_least=500,
        ),
        Source(
            name="eu_fsf",
            title="Consolidated list of persons, groups and entities subject to EU financial sanctions",
            publisher="European Commission",
            licence="reuse with attribution (2011/833/EU); the token comes with a free EU Login",
            files=(
                f"https://webgate.ec.europa.eu/fsd/fsf/public/files/csvFullSanctionsList_1_1/content?token={PLACE}",
            ),
            at_least=3_000,
        ),
        Source(
            name="gb_fcdo",
            title="UK Sanctions List",
            publisher="Foreign, Commonwealth and Development Office",
            licence="Open Government Licence v3.0",
            files=("https://sanctionslist.fcdo.gov.uk/docs/UK-Sanctions-List.csv",),
            at_least=2_000,
        ),
        Source(
            name="opensanctions_sanctions",
            title="OpenSanctions, consolidated sanctions",
            publisher="OpenSanctions",
            licence="CC BY-NC 4.0: commercial users need a licence of OpenSanctions",
            index=f"{OPENSANCTIONS}/sanctions/index.json",
            at_least=10_000,
        ),
        Source(
            name="opensanctions_peps",
            title="OpenSanctions, politically exposed persons",
            publisher="OpenSanctions",
            licence="CC BY-NC 4.0: commercial users need a licence of OpenSanctions",
            index=f"{OPENSANCTIONS}/peps/index.json",
            at_least=10_000,
        ),
    )
}


def source_of(wanted: str, eu_list_token: str | None = None) -> Source:
    """The list that `KYC_WATCHLISTS` names: one of ours, or `name=https://…` for one of the operator's own.

    Raises:
        SourceUnknown: it is none of ours and has no address.
        TokenMissing: it needs a token that is not set.
    """
    name, given, url = wanted.partition("=")
    if given:
        return Source(name=name.strip(), title=name.strip(), publisher="-", licence="-", files=(url.strip(),))
    if name not in SOURCES:
        raise SourceUnknown(
            f"There is no list {name!r}; there are {', '.join(SOURCES)}, and name=https://… for your own."
        )
    source = SOURCES[name]
    if any(PLACE in url for url in source.files):
        if not eu_list_token:
            raise TokenMissing
        files = tuple(url.replace(PLACE, eu_list_token) for url in source.files)
        return replace(source, files=files)
    return source


def name_of(wanted: str) -> str:
    """The name alone of a list in `KYC_WATCHLISTS`."""
    return wanted.partition("=")[0].strip()
