"""The consolidated list of the United Nations Security Council, as XML.

Source: the Council's schema of the list. The name comes in up to four parts; aliases are good, low (weak), a.k.a. or
f.k.a.; empty elements are frequent. `REFERENCE_NUMBER` begins with the regime: QDi.001 is Al-Qaida, an individual.
"""

import re
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from kyc_service.screening.entries import Entry, Kind, NameKind
from kyc_service.screening.lists.reading import Draft, Files, Problems, elements, text_of, texts

PARTS = ("FIRST_NAME", "SECOND_NAME", "THIRD_NAME", "FOURTH_NAME")
QUALITIES: Mapping[str | None, NameKind] = {"low": NameKind.WEAK, "f.k.a.": NameKind.FORMER}
SCRIPTED = re.compile(r"^(?P<latin>.*?)\s*\((?:original script|Arabic|Cyrillic):\s*(?P<own>[^)]*)\)\s*$")
NUMBERS: Mapping[str, str] = {"passport": "passport", "national identification number": "national_id"}
NOTHING = frozenset({"na", "none", "not available", "no nationality"})
PAGE = "https://main.un.org/securitycouncil/en/content/un-sc-consolidated-list"


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """Every individual and entity of the file.

    Raises:
        ListUnreadable: the XML is broken, or its root is not `CONSOLIDATED_LIST`.
    """
    for element in elements(files["main"], {"INDIVIDUAL", "ENTITY"}, root="CONSOLIDATED_LIST"):
        yield _entry(element, source, problems)


def _entry(told: Element, source: str, problems: Problems) -> Entry:
    what = told.tag
    kind = Kind.PERSON if what == "INDIVIDUAL" else Kind.ORGANISATION
    draft = Draft(source, text_of(told, "DATAID") or "", problems, kind=kind)
    draft.name(" ".join(part for name in PARTS if (part := text_of(told, name))), NameKind.PRIMARY)
    for own in re.split(r"[;/]", text_of(told, "NAME_ORIGINAL_SCRIPT") or ""):
        draft.name(own, NameKind.ORIGINAL)
    for alias in told.iterfind(f"{what}_ALIAS"):
        _alias(alias, draft)
    draft.is_of_gender(text_of(told, "GENDER"))
    for nationality in texts(told, "NATIONALITY/VALUE"):
        if nationality.casefold() not in NOTHING:
            draft.country(nationality, "nationality")
    for date in told.iterfind(f"{what}_DATE_OF_BIRTH"):
        _birth(date, draft)
    for place in told.iterfind(f"{what}_PLACE_OF_BIRTH"):
        draft.birth_place(", ".join(texts(place, "*")))
    for address in told.iterfind(f"{what}_ADDRESS"):
        draft.address(*texts(address, "*"))
        draft.country(text_of(address, "COUNTRY"), "address country")
    for document in told.iterfind(f"{what}_DOCUMENT"):
        label = text_of(document, "TYPE_OF_DOCUMENT") or ""
        issuer = text_of(document, "ISSUING_COUNTRY") or text_of(document, "COUNTRY_OF_ISSUE")
        draft.identifier(NUMBERS.get(label.casefold(), "other"), text_of(document, "NUMBER"), issuer)
        draft.remark(text_of(document, "NOTE"), "Document")
    draft.programme(text_of(told, "UN_LIST_TYPE"))
    reference = text_of(told, "REFERENCE_NUMBER")
    draft.remark(reference, "Reference")
    for label, path in (("Title", "TITLE/VALUE"), ("Designation", "DESIGNATION/VALUE")):
        for value in texts(told, path):
            draft.remark(value, label)
    draft.remark(text_of(told, "COMMENTS1"))
    draft.link = PAGE
    draft.read("listed on", text_of(told, "LISTED_ON"), draft.was_listed)
    return draft.entry()


def _alias(told: Element, draft: Draft) -> None:
    kind = QUALITIES.get((text_of(told, "QUALITY") or "").casefold(), NameKind.ALIAS)
    for name in (text_of(told, "ALIAS_NAME") or "").split(";"):
        if scripted := SCRIPTED.match(name):
            draft.name(scripted["latin"], kind)
            draft.name(scripted["own"], NameKind.ORIGINAL)
        else:
            draft.name(name, kind)
    draft.birth_place(text_of(told, "CITY_OF_BIRTH"))
    draft.born(text_of(told, "DATE_OF_BIRTH"))


def _birth(told: Element, draft: Draft) -> None:
    kind = text_of(told, "TYPE_OF_DATE") or ""
    circa = kind.upper() == "APPROXIMATELY"
    first, last = text_of(told, "FROM_YEAR"), text_of(told, "TO_YEAR")
    if kind.upper() == "BETWEEN" and first and last:
        draft.born(f"{first} to {last}")
    else:
        draft.born(text_of(told, "DATE") or text_of(told, "YEAR") or first, circa=circa)
    draft.remark(text_of(told, "NOTE"), "Birth date")
