"""OFAC's CSV files, of the SDN list (sdn, alt, add, sdn_comments) and of the non-SDN list (cons_prim, cons_alt, …).

Source: OFAC, "Specially Designated Nationals and Blocked Persons Data Specification". The files have no header; nothing
is written as `-0-`; they end with Ctrl-Z; remarks of more than a thousand characters go on in the comments file, in the
middle of a word. Individuals are "LAST, First Middle". Several programmes are written `NPWMD] [IFSR`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from kyc_service.screening.entries import Entry, Kind, NameKind
from kyc_service.screening.lists.ofac_remarks import understand
from kyc_service.screening.lists.reading import Draft, Files, ListUnreadable, Problems, clean, rows

MAIN, ALIASES, ADDRESSES, COMMENTS = "main", "aliases", "addresses", "comments"
# Each file is known by its number of columns.
COLUMNS: Mapping[int, str] = {12: MAIN, 5: ALIASES, 6: ADDRESSES, 2: COMMENTS}
KINDS: Mapping[str | None, Kind] = {
    "individual": Kind.PERSON,
    "vessel": Kind.VESSEL,
    "aircraft": Kind.AIRCRAFT,
    None: Kind.ORGANISATION,
}
ALIAS_KINDS: Mapping[str | None, NameKind] = {"fka": NameKind.FORMER}
PAGE = "https://sanctionssearch.ofac.treas.gov/Details.aspx?id="
LABELS = ("Title", "Call sign", "Vessel type", "Tonnage", "Gross registered tonnage", "Flag", "Owner")

Row: TypeAlias = Sequence[str | None]


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """Every entry of the main file, with what the other files add to it.

    Raises:
        ListUnreadable: a file has other columns than it should, or there is no main file.
    """
    if MAIN not in files:
        raise ListUnreadable("The file with the names (sdn.csv, cons_prim.csv) is missing.")
    aliases, addresses, comments = (
        _by_entry(files.get(role), role, problems) for role in (ALIASES, ADDRESSES, COMMENTS)
    )
    for row in _rows(files[MAIN], MAIN, problems):
        number = row[0] or ""
        yield _entry(source, row, aliases[number], addresses[number], comments[number], problems)


def _entry(
    source: str, row: Row, aliases: Iterable[Row], addresses: Iterable[Row], comments: Iterable[Row], problems: Problems
) -> Entry:
    number, name, kind, programmes, *described, remarks = row
    draft = Draft(source, number or "", problems, kind=KINDS.get(kind, Kind.UNKNOWN))
    if kind not in KINDS:
        problems.note(draft.id, "type", kind, "It is none of individual, vessel, aircraft.")
    draft.link = f"{PAGE}{number}"
    draft.name(name, NameKind.PRIMARY)
    for programme in (programmes or "").split("] ["):
        draft.programme(programme.strip("[]"))
    for label, value in zip(LABELS, described, strict=True):
        draft.remark(value, label)
    draft.country(described[LABELS.index("Flag")], "flag")
    for _, _, how, alias, remark in aliases:
        draft.name(alias, ALIAS_KINDS.get(how, NameKind.ALIAS))
        draft.remark(remark)
    for _, _, street, city, country, remark in addresses:
        draft.address(street, city, country)
        draft.country(country, "address country")
        draft.remark(remark)
    # a long remark is cut in the middle of a word, and goes on in the comments
    whole = (remarks or "") + "".join(text or "" for _, text in comments)
    draft.remark(whole)
    understand(whole, draft)
    return draft.entry()


def _by_entry(path: Path | None, role: str, problems: Problems) -> Mapping[str, Sequence[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    if path is not None:
        for row in _rows(path, role, problems):
            found[row[0] or ""].append(row)
    return found


def _rows(path: Path, role: str, problems: Problems) -> Iterator[Row]:
    """The rows with as many columns as they should have; a file in which many have not is another file."""
    columns = next(count for count, known in COLUMNS.items() if known == role)
    good = bad = 0
    for row in rows(path, problems):
        cells = [None if cell.strip() == "-0-" else clean(cell) for cell in row]
        if len(cells) == columns and (cells[0] or "").isdigit():
            good += 1
            yield cells
        elif bad > good // 100:
            raise ListUnreadable(f"{path.name} does not have the {columns} columns of OFAC's file of {role}.")
        else:
            bad += 1
            problems.note(cells[0] or "-", "row", row, f"The row has {len(cells)} columns, not {columns}.")
