"""The official lists: who publishes them, where, and under which licence they may be used."""

from collections.abc import Mapping

from kyc_service.domain.record import record

OFAC = "https://sanctionslistservice.ofac.treas.gov/api/PublicationPreview/exports"


@record
class Source:
    """A list that `kyc lists sync` can fetch. `files` are the addresses of its parts."""

    name: str
    title: str
    publisher: str
    files: tuple[str, ...]
    licence: str
    at_least: int = 1  # entries; a first version with fewer is held back


SOURCES: Mapping[str, Source] = {
    one.name: one
    for one in (
        Source(
            name="us_ofac_sdn",
            title="Specially Designated Nationals and Blocked Persons List",
            publisher="US Treasury, Office of Foreign Assets Control",
            files=tuple(f"{OFAC}/{name}.CSV" for name in ("SDN", "ALT", "ADD", "SDN_COMMENTS")),
            licence="public domain",
            at_least=10_000,
        ),
        Source(
            name="us_ofac_cons",
            title="Consolidated Non-SDN List",
            publisher="US Treasury, Office of Foreign Assets Control",
            files=tuple(f"{OFAC}/{name}.CSV" for name in ("CONS_PRIM", "CONS_ALT", "CONS_ADD", "CONS_COMMENTS")),
            licence="public domain",
            at_least=200,
        ),
    )
}
