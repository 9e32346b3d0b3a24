"""OpenSanctions' `targets.simple.csv`. Their data is CC BY-NC 4.0: commercial users need a licence of theirs.

Source: OpenSanctions, "Simplified tabular format". Read by the names in the header; several values have `;` between
them. The file does not say why somebody is on it but by sanctions and programmes: who has neither, on a list with `pep`
in its name, is a politically exposed person.
"""

from collections.abc import Iterator, Mapping

from kyc_service.screening.entries import Entry, Group, Kind, NameKind
from kyc_service.screening.lists.reading import Draft, Files, Problems, is_latin, table

NEEDED = ("id", "schema", "name", "aliases", "birth_date", "countries")
KINDS: Mapping[str, Kind] = {
    "Person": Kind.PERSON,
    "Organization": Kind.ORGANISATION,
    "Company": Kind.ORGANISATION,
    "PublicBody": Kind.ORGANISATION,
    "Vessel": Kind.VESSEL,
    "Airplane": Kind.AIRCRAFT,
}
PAGE = "https://www.opensanctions.org/entities/"


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """Every target of the file.

    Raises:
        ListUnreadable: the columns are others.
    """
    for row in table(files["main"], problems, NEEDED):
        yield _entry(row, source, problems)


def _entry(row: Mapping[str, str], source: str, problems: Problems) -> Entry:
    sanctioned = [part for part in (*_values(row, "sanctions"), *_values(row, "program_ids")) if part.strip('" ')]
    exposed = not sanctioned and "pep" in f"{source} {row.get('dataset', '')}".casefold()
    group = Group.PEP if exposed else Group.SANCTION
    draft = Draft(source, row["id"], problems, kind=KINDS.get(row["schema"], Kind.UNKNOWN), group=group)
    draft.link = f"{PAGE}{row['id']}/"
    draft.name(row["name"], NameKind.PRIMARY)
    for alias in _values(row, "aliases"):
        draft.name(alias, NameKind.ALIAS if is_latin(alias) else NameKind.ORIGINAL)
    for date in _values(row, "birth_date"):
        draft.born(date)
    for country in _values(row, "countries"):
        draft.country(country)
    for number in _values(row, "identifiers"):
        imo = number.upper().startswith("IMO")
        draft.identifier("imo" if imo else "other", number[3:].strip() if imo else number)
    for programme in sanctioned:
        draft.programme(programme)
    for address in _values(row, "addresses"):
        draft.address(address)
    draft.read("first seen", row.get("first_seen", "")[:10], draft.was_listed)
    return draft.entry()


def _values(row: Mapping[str, str], column: str) -> list[str]:
    return [part for part in row.get(column, "").split(";") if part.strip()]
