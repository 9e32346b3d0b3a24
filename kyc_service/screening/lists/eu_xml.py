"""The European Union's consolidated list of financial sanctions (FSF), as XML 1.1.

Source: the Commission's schema `http://eu.europa.ec/fpi/fsd/export`: everything is in attributes.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from kyc_service.screening.entries import Entry, Kind
from kyc_service.screening.lists import eu_csv
from kyc_service.screening.lists.reading import Draft, Files, Problems, clean, elements


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """Every `sanctionEntity` of the file.

    Raises:
        ListUnreadable: the XML is broken, or its root is not `export`.
    """
    for element in elements(files["main"], {"sanctionEntity"}, root="export"):
        yield _entry(element, source, problems)


def _entry(told: Element, source: str, problems: Problems) -> Entry:
    subject = told.find("subjectType")
    code = subject.get("classificationCode", "") if subject is not None else ""
    draft = Draft(source, told.get("logicalId", ""), problems, kind=eu_csv.KINDS.get(code, Kind.UNKNOWN))
    draft.link = eu_csv.PAGE
    draft.remark(told.get("euReferenceNumber"), "EU reference")
    draft.remark(told.get("unitedNationId"), "UN reference")
    for remark in told.iterfind("remark"):
        draft.remark(remark.text)
    for regulation in told.iterfind("regulation"):
        draft.programme(regulation.get("programme"))
    draft.read("listed on", told.get("designationDate"), draft.was_listed)
    for alias in told.iterfind("nameAlias"):
        parts = (alias.get(part) for part in ("firstName", "middleName", "lastName"))
        whole = alias.get("wholeName") or " ".join(part for part in parts if part)
        said = " ".join(clean(remark.text) or "" for remark in alias.iterfind("remark"))
        eu_csv.name(draft, whole, weak="low quality" in said.casefold())
        draft.is_of_gender((alias.get("gender") or "").strip("?"))
        draft.remark(alias.get("function"), "Function")
    for date in told.iterfind("birthdate"):
        eu_csv.birth(draft, date.attrib)
        keys = ("place", "city", "region", "countryDescription")
        draft.birth_place(", ".join(part for key in keys if (part := eu_csv.known(date.get(key)))))
    for address in told.iterfind("address"):
        draft.address(
            *(eu_csv.known(address.get(key)) for key in ("street", "poBox", "zipCode", "city", "countryDescription"))
        )
        draft.country(address.get("countryIso2Code"), "address country")
    for citizenship in told.iterfind("citizenship"):
        draft.country(citizenship.get("countryIso2Code"), "citizenship")
    for document in told.iterfind("identification"):
        if document.get("knownFalse") not in eu_csv.YES:
            kind = eu_csv.NUMBERS.get((document.get("identificationTypeCode") or "").casefold(), "other")
            draft.identifier(kind, document.get("number"), document.get("countryIso2Code"))
    return draft.entry()
