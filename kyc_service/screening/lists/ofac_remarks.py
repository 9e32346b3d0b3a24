"""The remarks of OFAC's older formats, in which everything stands that has no column of its own. Pure.

They are parts with `; ` between them: `DOB 08 Nov 1957`, `alt. Passport A056782 (Burma) expires 01 Jan 2020`,
`a.k.a. 'X'` (the weak aliases, and only they). What is no fact that can be matched stays with the reviewer.
"""

import re
from collections.abc import Mapping

from kyc_service.screening.entries import NameKind
from kyc_service.screening.lists.reading import Draft

PARTS = re.compile(r"\.?;\s+|\.?\s*$")
# Our word for the kind of number → what a part begins with.
NUMBERS: Mapping[str, tuple[str, ...]] = {
    "passport": ("Passport",),
    "imo": (
        "Vessel Registration Identification IMO",
        "Vessel Registration Identification",
        "Identification Number IMO",
    ),
    "other": (
        "Company Number IMO",
        "MMSI",
        "Aircraft Tail Number",
        "Aircraft Manufacturer's Serial Number (MSN)",
        "SWIFT/BIC",
        "BIK (RU)",
        "Driver's License No.",
        "Credencial electoral",
    ),
    "national_id": (
        "National ID No.",
        "Cedula No.",
        "D.N.I.",
        "C.U.R.P.",
        "C.U.I.",
        "SSN",
        "Personal ID Card",
        "National Foreign ID Number",
        "Identification Number",
        "Birth Certificate Number",
        "Citizen's Card Number",
        "Stateless Person ID Card",
        "Numero de Identidad",
        "Electoral Registry No.",
        "I.F.E.",
        "Kenyan ID No.",
        "Bosnian Personal ID No.",
        "Tarjeta de Identidad",
        "Turkish Identification Number",
        "Residency Number",
        "Refugee ID Card",
    ),
    "tax_id": (
        "Tax ID No.",
        "NIT #",
        "RIF #",
        "RUC #",
        "R.F.C.",
        "V.A.T. Number",
        "C.U.I.T.",
        "Italian Fiscal Code",
        "Fiscal Code",
        "RTN",
    ),
    "registration": (
        "Registration Number",
        "Registration ID",
        "Business Registration Number",
        "Business Registration Document #",
        "Company Number",
        "Company ID",
        "Commercial Registry Number",
        "Government Gazette Number",
        "Legal Entity Number",
        "Unified Social Credit Code (USCC)",
        "Unified Social Credit Code",
        "Folio Mercantil No.",
        "Matricula Mercantil No.",
        "Matricula Mercantil No",
        "Chamber of Commerce Number",
        "C.R. No.",
        "Trade License No.",
        "Economic Register Number (CBLS)",
        "Central Registration System Number",
        "D-U-N-S Number",
        "Istanbul Chamber of Comm. No.",
        "Enterprise Number",
        "Public Registration Number",
        "Certificate of Incorporation Number",
        "File Number",
        "UK Company Number",
        "Business Number",
        "Serial No.",
        "Registered Charity No.",
    ),
}
ISSUED = r"\s*(?:\((?P<country>[^()]*)\))?(?:\s+(?:expires|issued|exp\.).*)?$"
NUMBER = [
    (re.compile(rf"^(?:{'|'.join(map(re.escape, labels))}):?\s+(?P<value>[^()]+?){ISSUED}"), kind)
    for kind, labels in NUMBERS.items()
]
WALLET = re.compile(r"^Digital Currency Address - (?P<currency>\w+) (?P<value>\w+)$")
NAMED = re.compile(r"^(?P<how>a\.k\.a\.|f\.k\.a\.|n\.k\.a\.)[,:]?\s+'(?P<name>.*)'$")
DATED = re.compile(r"^(?:DOB|Organization Established Date|D\.O\.B\.)\s+(?P<value>.+)$")
BORN_AT = re.compile(r"^POB\s+(?P<value>.+)$")
TIED = re.compile(r"^(?:nationality|citizen|Nationality of Registration|Citizenship|Vessel Flag)\s+(?P<value>.+)$")
GENDER = re.compile(r"^Gender\s+(?P<value>\w+)$")
IMO = re.compile(r"^IMO\s*")


def understand(remarks: str, draft: Draft) -> None:
    """Put every fact of *remarks* that can be matched into the *draft*."""
    for part in PARTS.split(remarks):
        fact = part.strip().removeprefix("alt. ")
        if found := NAMED.match(fact):
            draft.name(found["name"], NameKind.FORMER if found["how"] == "f.k.a." else NameKind.WEAK)
        elif found := DATED.match(fact):
            draft.born(found["value"])
        elif found := BORN_AT.match(fact):
            draft.birth_place(found["value"])
        elif found := TIED.match(fact):
            draft.country(found["value"], "nationality")
        elif found := GENDER.match(fact):
            draft.is_of_gender(found["value"])
        else:
            _number(fact, draft)


def kind_of_number(label: str) -> str:
    """Our word for a kind of number that OFAC calls *label*; `other` where we have none."""
    folded = label.strip(" :")
    return next((kind for kind, labels in NUMBERS.items() if folded in labels), "other")


def _number(fact: str, draft: Draft) -> None:
    if wallet := WALLET.match(fact):
        draft.identifier("other", wallet["value"])
    for pattern, kind in NUMBER:
        if found := pattern.match(fact):
            value = IMO.sub("", found["value"]) if kind == "imo" else found["value"]
            draft.identifier(kind, value, _issuer(found["country"]))
            return


def _issuer(text: str | None) -> str | None:
    """Brackets hold other things than countries too, such as the name of a register."""
    return text if text and text[:1].isupper() and not any(mark.isdigit() for mark in text) else None
