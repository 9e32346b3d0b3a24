"""The UK Sanctions List of the Foreign, Commonwealth and Development Office, as CSV. Since 2026 it is the only UK list.

Source: FCDO, "UK Sanctions List: format guide". The first row has the date of the report, the second the names of the
columns; an entry has several rows, each with another name, address, date or number. Unknown parts of dates are written
`dd/mm/1965`; several values in one cell are numbered `(1) … (2) …`.
"""

import html
from collections.abc import Iterator, Mapping

from kyc_service.screening.entries import Entry, Kind, NameKind
from kyc_service.screening.lists.reading import Draft, Files, Problems, numbered, table

NEEDED = ("Unique ID", "Name 6", "Name type", "Regime Name")
GIVEN_FIRST = ("Name 1", "Name 2", "Name 3", "Name 4", "Name 5", "Name 6")
KINDS: Mapping[str, Kind] = {"individual": Kind.PERSON, "entity": Kind.ORGANISATION, "ship": Kind.VESSEL}
PAGE = "https://search-uk-sanctions-list.service.gov.uk/designations/"
REMARKED = (
    "Title",
    "Position",
    "Other Information",
    "UK Statement of Reasons",
    "Type of entity",
    "Subsidiaries",
    "Parent company",
    "Current owner/operator (s)",
    "Previous owner/operator (s)",
    "Type of ship",
    "Sanctions Imposed",
)


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """Every designation of the file, out of all its rows.

    Raises:
        ListUnreadable: the columns are others.
    """
    drafts: dict[str, Draft] = {}
    for row in table(files["main"], problems, NEEDED):
        if number := row["Unique ID"].strip():
            if number not in drafts:
                what = row.get("Designation Type") or row.get("Individual, Entity, Ship") or ""
                drafts[number] = Draft(source, number, problems, kind=KINDS.get(what.strip().casefold(), Kind.UNKNOWN))
                drafts[number].link = f"{PAGE}{number}"
            _more(row, drafts[number])
    for draft in drafts.values():
        yield draft.entry()


def _more(row: Mapping[str, str], draft: Draft) -> None:
    draft.name(" ".join(part for name in GIVEN_FIRST if (part := row.get(name, "").strip())), _kind(row))
    draft.name(row.get("Name non-latin script"), NameKind.ORIGINAL)
    draft.programme(row["Regime Name"])
    draft.is_of_gender(row.get("Gender"))
    for date in numbered(row.get("D.O.B")):
        draft.born(date)
    for nationality in numbered(row.get("Nationality(/ies)")):
        draft.country(nationality, "nationality")
    draft.birth_place(
        ", ".join(part for key in ("Town of birth", "Country of birth") if (part := row.get(key, "").strip()))
    )
    lines = (row.get(f"Address Line {number}") for number in range(1, 7))
    draft.address(*lines, row.get("Address Postal Code"), row.get("Address Country"))
    draft.country(row.get("Address Country"), "address country")
    for column, kind in (
        ("Passport number", "passport"),
        ("National Identifier number", "national_id"),
        ("Business registration number (s)", "registration"),
        ("IMO number", "imo"),
    ):
        for number in numbered(row.get(column)):
            draft.identifier(kind, number.removeprefix("IMO").strip() if kind == "imo" else number)
    draft.country(row.get("Current believed flag of ship"), "flag")
    for column in REMARKED:
        draft.remark(html.unescape(row.get(column, "")), column)
    for column in ("OFSI Group ID", "UN Reference Number"):
        draft.remark(row.get(column), column)
    draft.read("listed on", row.get("Date Designated"), draft.was_listed)


def _kind(row: Mapping[str, str]) -> NameKind:
    """A variation of the primary name is an alias to us; a low-quality alias does not suffice to identify anybody."""
    if row["Name type"].strip().casefold() == "primary name":
        return NameKind.PRIMARY
    return NameKind.WEAK if row.get("Alias strength", "").casefold().startswith("low") else NameKind.ALIAS
