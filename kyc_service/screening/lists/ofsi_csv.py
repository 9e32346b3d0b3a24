"""The consolidated list of the UK's Office of Financial Sanctions Implementation, which was closed in January 2026.

Read for archives. The first row says when it was updated, the second names the columns (29 until 2021, then 36); an
entry has several rows; several values in one cell are numbered `(1) … (2) …`; unknown parts of dates are zero.
"""

from collections.abc import Iterator, Mapping

from kyc_service.screening.entries import Entry, Kind, NameKind
from kyc_service.screening.lists.reading import Draft, Files, Problems, numbered, table
from kyc_service.screening.lists.uk_csv import GIVEN_FIRST, KINDS

NEEDED = ("Group ID", "Name 6", "Alias Type", "Group Type")


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """Every group of the file, out of all its rows.

    Raises:
        ListUnreadable: the columns are others.
    """
    drafts: dict[str, Draft] = {}
    for row in table(files["main"], problems, NEEDED):
        if number := row["Group ID"].strip():
            kind = KINDS.get(row["Group Type"].strip().casefold(), Kind.UNKNOWN)
            draft = drafts.setdefault(number, Draft(source, number, problems, kind=kind))
            _more(row, draft)
    for draft in drafts.values():
        yield draft.entry()


def _more(row: Mapping[str, str], draft: Draft) -> None:
    draft.name(" ".join(part for name in GIVEN_FIRST if (part := row.get(name, "").strip())), _kind(row))
    draft.name(row.get("Name Non-Latin Script"), NameKind.ORIGINAL)
    draft.programme(row.get("Regime"))
    for date in numbered(row.get("DOB")):
        draft.born(date)
    for nationality in numbered(row.get("Nationality")):
        draft.country(nationality, "nationality")
    places = zip(_padded(row.get("Town of Birth")), _padded(row.get("Country of Birth")), strict=False)
    for town, country in places:
        draft.birth_place(", ".join(part for part in (town, country) if part))
    lines = (row.get(f"Address {number}") for number in range(1, 7))
    draft.address(*lines, row.get("Post/Zip Code"), row.get("Country"))
    draft.country(row.get("Country"), "address country")
    for column, kind in (("Passport Number", "passport"), ("National Identification Number", "national_id")):
        for number in numbered(row.get(column)):
            draft.identifier(kind, number)
    # until 2021 the documents stood in sentences, which are no numbers that could be compared
    for column in ("Title", "Position", "Passport Details", "NI Number", "Other Information"):
        draft.remark(row.get(column), column)
    draft.read("listed on", row.get("Listed On"), draft.was_listed)


def _padded(text: str | None) -> list[str]:
    found = list(numbered(text))
    return [*found, *[""] * (10 - len(found))]


def _kind(row: Mapping[str, str]) -> NameKind:
    kind = row["Alias Type"].strip().casefold()
    if kind in ("primary name", "prime alias"):
        return NameKind.PRIMARY
    if row.get("Alias Quality", "").casefold().startswith("low"):
        return NameKind.WEAK
    return NameKind.FORMER if kind == "fka" else NameKind.ALIAS
