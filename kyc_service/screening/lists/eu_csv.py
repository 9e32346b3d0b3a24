"""The European Union's consolidated list of financial sanctions (FSF), as CSV 1.1.

Source: European Commission, "Financial Sanctions Files", CSV full sanctions list 1.1. Semicolons, 118 columns, and for
each entity several rows, each of which tells one more name, address, date of birth, document or citizenship. Names in
many languages of the Union are aliases; a remark says which of them are of low quality.
"""

from collections.abc import Iterator, Mapping

from kyc_service.screening.entries import Entry, Kind, NameKind
from kyc_service.screening.lists import dates
from kyc_service.screening.lists.reading import Draft, Files, Problems, is_latin, table

NEEDED = ("Entity_LogicalId", "NameAlias_WholeName", "Entity_SubjectType_ClassificationCode")
KINDS: Mapping[str, Kind] = {"P": Kind.PERSON, "E": Kind.ORGANISATION}
NUMBERS: Mapping[str, str] = {
    "passport": "passport",
    "id": "national_id",
    "ssn": "national_id",
    "fiscalcode": "tax_id",
    "tradelic": "registration",
    "regnumber": "registration",
    "imo": "imo",
}
YES = frozenset({"true", "1", "yes"})
PAGE = "https://data.europa.eu/data/datasets/consolidated-list-of-persons-groups-and-entities-subject-to-eu-financial-sanctions"


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """Every entity of the file, out of all its rows.

    Raises:
        ListUnreadable: the columns are others.
    """
    drafts: dict[str, Draft] = {}
    for row in table(files["main"], problems, NEEDED, delimiter=";"):
        if number := row["Entity_LogicalId"].strip():
            if number not in drafts:
                drafts[number] = _draft(number, row, source, problems)
            _more(row, drafts[number])
    for draft in drafts.values():
        yield draft.entry()


def _draft(number: str, row: Mapping[str, str], source: str, problems: Problems) -> Draft:
    kind = KINDS.get(row["Entity_SubjectType_ClassificationCode"].strip(), Kind.UNKNOWN)
    draft = Draft(source, number, problems, kind=kind)
    draft.link = PAGE
    draft.remark(row.get("Entity_EU_ReferenceNumber"), "EU reference")
    draft.remark(row.get("Entity_UnitedNationId"), "UN reference")
    draft.remark(row.get("Entity_Remark"))
    draft.programme(row.get("Entity_Regulation_Programme"))
    draft.read("listed on", row.get("Entity_DesignationDate"), draft.was_listed)
    return draft


def _more(row: Mapping[str, str], draft: Draft) -> None:
    parts = (row.get(f"NameAlias_{part}", "") for part in ("FirstName", "MiddleName", "LastName"))
    remark = row.get("NameAlias_Remark", "")
    name(draft, row["NameAlias_WholeName"] or " ".join(parts), weak="low quality" in remark.casefold())
    draft.is_of_gender(row.get("NameAlias_Gender"))
    draft.remark(row.get("NameAlias_Function"), "Function")
    draft.address(
        *(row.get(f"Address_{part}") for part in ("Street", "PoBox", "ZipCode", "City", "CountryDescription"))
    )
    draft.country(row.get("Address_CountryIso2Code"), "address country")
    birth(
        draft,
        {
            "birthdate": row.get("BirthDate_BirthDate", ""),
            "dayOfMonth": row.get("BirthDate_Day", ""),
            "monthOfYear": row.get("BirthDate_Month", ""),
            "year": row.get("BirthDate_Year", ""),
            "yearRangeFrom": row.get("BirthDate_YearRangeFrom", ""),
            "yearRangeTo": row.get("BirthDate_YearRangeTo", ""),
            "circa": row.get("BirthDate_Circa", ""),
            "calendarType": row.get("BirthDate_CalendarType", ""),
        },
    )
    draft.birth_place(
        ", ".join(
            part
            for key in ("Place", "City", "Region", "CountryDescription")
            if (part := known(row.get(f"BirthDate_{key}")))
        )
    )
    if row.get("Identification_KnownFalse", "").casefold() not in YES:
        kind = NUMBERS.get(row.get("Identification_TypeCode", "").casefold(), "other")
        draft.identifier(kind, row.get("Identification_Number"), row.get("Identification_CountryIso2Code"))
    draft.country(row.get("Citizenship_CountryIso2Code"), "citizenship")


def name(draft: Draft, value: str, *, weak: bool) -> None:
    """A name of the Union's list: the first is the primary one, and one in another script is the bearer's own."""
    if weak:
        draft.name(value, NameKind.WEAK)
    elif not is_latin(value):
        draft.name(value, NameKind.ORIGINAL)
    else:
        draft.name(value, NameKind.ALIAS if draft.has_primary else NameKind.PRIMARY)


def birth(draft: Draft, told: Mapping[str, str]) -> None:
    """A date of birth, whole or in parts; one of another calendar is noted and left out."""
    circa = told.get("circa", "").casefold() in YES
    calendar = told.get("calendarType", "") or "GREGORIAN"
    whole = told.get("birthdate", "")
    first, last = told.get("yearRangeFrom", ""), told.get("yearRangeTo", "")
    if calendar != "GREGORIAN" and not whole:
        given = [part for key in ("year", "monthOfYear", "dayOfMonth") if (part := told.get(key, ""))]
        draft.note("birth date", f"{calendar} {'-'.join(given)}", "It is of another calendar.")
    elif whole:
        draft.born(whole, circa=circa)
    elif first or last:
        draft.born(f"{first or last} to {last or first}", circa=circa)
    elif told.get("year", ""):
        parts = (told["year"], told.get("monthOfYear"), told.get("dayOfMonth"))
        draft.read(
            "birth date",
            "-".join(part or "0" for part in parts),
            lambda _: draft.birth(dates.birth_of(*parts, circa=circa)),
        )


def known(text: str | None) -> str | None:
    """*text*, unless it says that something is not known."""
    return None if not text or text.strip().casefold() in ("unknown", "00") else text
