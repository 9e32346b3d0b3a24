"""OFAC's sdn.xml and consolidated.xml.

Source: OFAC's schema `sdnList`. It tells strong from weak aliases, and says more of numbers than the CSV files do;
what it has no element for stands in the remarks, as there.
"""

from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from kyc_service.screening.entries import Entry, Kind, NameKind
from kyc_service.screening.lists.ofac_csv import PAGE
from kyc_service.screening.lists.ofac_remarks import IMO, kind_of_number, understand
from kyc_service.screening.lists.reading import Draft, Files, Problems, elements, text_of, texts

KINDS: Mapping[str | None, Kind] = {
    "Individual": Kind.PERSON,
    "Entity": Kind.ORGANISATION,
    "Vessel": Kind.VESSEL,
    "Aircraft": Kind.AIRCRAFT,
}
VESSEL: Mapping[str, str] = {
    "callSign": "Call sign",
    "vesselType": "Vessel type",
    "vesselFlag": "Flag",
    "vesselOwner": "Owner",
    "tonnage": "Tonnage",
    "grossRegisteredTonnage": "Gross registered tonnage",
}


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """Every `sdnEntry` of the file.

    Raises:
        ListUnreadable: the XML is broken, or its root is not `sdnList`.
    """
    for element in elements(files["main"], {"sdnEntry"}, root="sdnList"):
        yield _entry(element, source, problems)


def _entry(told: Element, source: str, problems: Problems) -> Entry:
    number = text_of(told, "uid") or ""
    kind = text_of(told, "sdnType")
    draft = Draft(source, number, problems, kind=KINDS.get(kind, Kind.UNKNOWN))
    if kind not in KINDS:
        problems.note(draft.id, "type", kind, "It is none of Individual, Entity, Vessel, Aircraft.")
    draft.link = f"{PAGE}{number}"
    draft.name(_name(told), NameKind.PRIMARY)
    for alias in told.iterfind("akaList/aka"):
        draft.name(_name(alias), _alias_kind(alias))
    for programme in texts(told, "programList/program"):
        draft.programme(programme)
    for date in texts(told, "dateOfBirthList/dateOfBirthItem/dateOfBirth"):
        draft.born(date)
    for place in texts(told, "placeOfBirthList/placeOfBirthItem/placeOfBirth"):
        draft.birth_place(place)
    for path in ("nationalityList/nationality/country", "citizenshipList/citizenship/country"):
        for country in texts(told, path):
            draft.country(country, "nationality")
    for address in told.iterfind("addressList/address"):
        parts = ("address1", "address2", "address3", "city", "stateOrProvince", "postalCode", "country")
        draft.address(*(text_of(address, part) for part in parts))
        draft.country(text_of(address, "country"), "address country")
    for found in told.iterfind("idList/id"):
        _number(found, draft)
    for part, label in VESSEL.items():
        draft.remark(text_of(told, f"vesselInfo/{part}"), label)
    draft.country(text_of(told, "vesselInfo/vesselFlag"), "flag")
    draft.remark(text_of(told, "title"), "Title")
    remarks = text_of(told, "remarks") or ""
    draft.remark(remarks)
    understand(remarks, draft)
    return draft.entry()


def _name(told: Element) -> str | None:
    """As OFAC's other formats write it: the family name first."""
    parts = [part for part in (text_of(told, "lastName"), text_of(told, "firstName")) if part]
    return ", ".join(parts) or None


def _alias_kind(alias: Element) -> NameKind:
    if text_of(alias, "category") == "weak":
        return NameKind.WEAK
    return NameKind.FORMER if (text_of(alias, "type") or "").startswith("f.k.a") else NameKind.ALIAS


def _number(found: Element, draft: Draft) -> None:
    """OFAC keeps facts of every kind among the numbers: the gender, the date of foundation, a website."""
    label, value = text_of(found, "idType") or "", text_of(found, "idNumber")
    if label == "Gender":
        draft.is_of_gender(value)
    elif label == "Organization Established Date":
        draft.born(value, "foundation")
    elif label.startswith(
        ("Secondary sanctions", "Additional Sanctions", "Website", "Email", "Phone", "Executive Order")
    ):
        draft.remark(value, label.rstrip(":"))
    else:
        kind = kind_of_number(label)
        number = IMO.sub("", value) if kind == "imo" and value else value
        draft.identifier(kind, number, text_of(found, "idCountry"))
