"""OFAC's sdn_advanced.xml and cons_advanced.xml: the only format with names in the bearers' own scripts.

Source: OFAC, "Explanatory Documentation for Advanced Sanctions Data Model format". Everything is a number that stands
in `ReferenceValueSets`; places and documents are told before the parties, programmes after them. The file has over
a hundred megabytes and is read once, element by element: what is kept meanwhile is the entries.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from kyc_service.screening.entries import Birth, Entry, Kind, NameKind
from kyc_service.screening.lists import dates
from kyc_service.screening.lists.dates import DateUnreadable
from kyc_service.screening.lists.ofac_csv import PAGE
from kyc_service.screening.lists.ofac_remarks import IMO, kind_of_number
from kyc_service.screening.lists.reading import Draft, Files, ListUnreadable, Problems, clean, elements, text_of

READ = ("ReferenceValueSets", "Location", "IDRegDocument", "DistinctParty", "SanctionsEntry")
FAMILY = frozenset({"Last Name", "Maiden Name"})
COUNTRIES = frozenset({"Nationality Country", "Citizenship Country", "Nationality of Registration", "Vessel Flag"})
DATED = frozenset({"Birthdate", "Organization Established Date"})
NUMBERS = ("Digital Currency Address", "SWIFT/BIC", "MMSI", "BIK (RU)", "Aircraft Tail Number", "D-U-N-S Number")


@dataclass
class _Known:
    """What the file has told so far."""

    words: dict[tuple[str, str], str] = field(default_factory=dict)
    person_types: set[str] = field(default_factory=set)
    places: dict[str, tuple[str | None, str]] = field(default_factory=dict)  # → country, and everything in words
    documents: defaultdict[str, list[tuple[str, str, str | None]]] = field(default_factory=lambda: defaultdict(list))
    drafts: dict[str, Draft] = field(default_factory=dict)

    def word(self, kind: str, number: str | None) -> str:
        """What a number means."""
        return self.words.get((kind, number or ""), "")


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """Every profile of the file, once its programmes are known.

    Raises:
        ListUnreadable: the XML is broken, its root is not `Sanctions`, or it has no reference values.
    """
    known = _Known()
    for element in elements(files["main"], READ, root="Sanctions"):
        match element.tag:
            case "ReferenceValueSets":
                _references(element, known)
            case "Location":
                known.places[element.get("ID", "")] = _place(element, known)
            case "IDRegDocument":
                _document(element, known)
            case "DistinctParty":
                for profile in element.iterfind("Profile"):
                    known.drafts[profile.get("ID", "")] = _draft(profile, source, problems, known)
            case _:
                _sanction(element, known, problems)
    if not known.words:
        raise ListUnreadable("The file has no reference values.")
    for draft in known.drafts.values():
        yield draft.entry()


def _references(told: Element, known: _Known) -> None:
    for group in told:
        for value in group:
            known.words[value.tag.rpartition("}")[2], value.get("ID", "")] = clean(value.text) or ""
            if value.tag.endswith("PartySubType") and value.get("PartyTypeID") == "1":
                known.person_types.add(value.get("ID", ""))


def _place(told: Element, known: _Known) -> tuple[str | None, str]:
    parts = [clean(value.text) for value in told.iterfind("LocationPart/LocationPartValue/Value")]
    country = told.find("LocationCountry")
    name = known.word("Country", country.get("CountryID")) if country is not None else None
    return name, ", ".join(part for part in (*parts, name) if part)


def _document(told: Element, known: _Known) -> None:
    number = text_of(told, "IDRegistrationNo")
    label = known.word("IDRegDocType", told.get("IDRegDocTypeID"))
    if number:
        issuer = known.word("Country", told.get("IssuedBy-CountryID")) or None
        known.documents[told.get("IdentityID", "")].append((label, number, issuer))


def _draft(profile: Element, source: str, problems: Problems, known: _Known) -> Draft:
    number = profile.get("ID", "")
    draft = Draft(source, number, problems, kind=_kind(profile.get("PartySubTypeID", ""), known))
    draft.link = f"{PAGE}{number}"
    for identity in profile.iterfind("Identity"):
        groups = {
            group.get("ID", ""): known.word("NamePartType", group.get("NamePartTypeID"))
            for group in identity.iterfind("NamePartGroups/MasterNamePartGroup/NamePartGroup")
        }
        for alias in identity.iterfind("Alias"):
            _names(alias, groups, draft, known)
        for label, value, issuer in known.documents.pop(identity.get("ID", ""), ()):
            kind = kind_of_number(label)
            draft.identifier(kind, IMO.sub("", value) if kind == "imo" else value, issuer)
    for feature in profile.iterfind("Feature"):
        _feature(feature, draft, known)
    return draft


def _kind(sub_type: str, known: _Known) -> Kind:
    if sub_type in known.person_types:
        return Kind.PERSON
    word = known.word("PartySubType", sub_type)
    return {"Vessel": Kind.VESSEL, "Aircraft": Kind.AIRCRAFT}.get(word, Kind.ORGANISATION if word else Kind.UNKNOWN)


def _names(alias: Element, groups: Mapping[str, str], draft: Draft, known: _Known) -> None:
    if alias.get("LowQuality") == "true":
        kind = NameKind.WEAK
    elif alias.get("Primary") == "true":
        kind = NameKind.PRIMARY
    else:
        former = known.word("AliasType", alias.get("AliasTypeID")).casefold() == "f.k.a."
        kind = NameKind.FORMER if former else NameKind.ALIAS
    for documented in alias.iterfind("DocumentedName"):
        parts = [value for value in documented.iterfind("DocumentedNamePart/NamePartValue") if clean(value.text)]
        family = " ".join(
            clean(part.text) or "" for part in parts if groups.get(part.get("NamePartGroupID", "")) in FAMILY
        )
        others = " ".join(
            clean(part.text) or "" for part in parts if groups.get(part.get("NamePartGroupID", "")) not in FAMILY
        )
        scripts = {known.word("Script", part.get("ScriptID")) for part in parts} - {"", "Latin"}
        draft.name(", ".join(part for part in (family, others) if part), NameKind.ORIGINAL if scripts else kind)


def _feature(feature: Element, draft: Draft, known: _Known) -> None:
    label = known.word("FeatureType", feature.get("FeatureTypeID"))
    for version in (*feature.iterfind("FeatureVersion"), feature):
        place = version.find("VersionLocation")
        country, words = known.places.get(place.get("LocationID", ""), (None, "")) if place is not None else (None, "")
        detail = version.find("VersionDetail")
        if detail is not None:
            words = words or clean(detail.text) or known.word("DetailReference", detail.get("DetailReferenceID"))
        if (period := version.find("DatePeriod")) is not None and label in DATED:
            try:
                draft.birth(_period(period))
            except DateUnreadable as error:
                draft.read("birth date", str(error), lambda text: draft.birth(dates.birth(text)))
        elif not words:
            continue
        elif label in COUNTRIES:
            draft.country(country or words, "nationality")
        elif label == "Location":
            draft.address(words)
            draft.country(country, "address country")
        elif label == "Place of Birth":
            draft.birth_place(words)
        elif label == "Gender":
            draft.is_of_gender(words)
        elif label.startswith(NUMBERS):
            draft.identifier(kind_of_number(label), words)
        else:
            draft.remark(words, label.rstrip(":") or None)


def _period(told: Element) -> Birth:
    """From the beginning of the start to the end of the end, either of which may be one day or a span."""
    found = [_day(told, path) for path in ("Start/From", "Start/To", "End/From", "End/To")]
    there = [day for day in found if day is not None]
    if not there:
        raise DateUnreadable("no date")
    circa = any(part.get("Approximate") == "true" for part in told if part.tag in ("Start", "End"))
    return Birth(first=there[0].first, last=max(day.last for day in there), circa=circa)


def _day(told: Element, path: str) -> Birth | None:
    year = text_of(told, f"{path}/Year")
    return dates.birth_of(year, text_of(told, f"{path}/Month"), text_of(told, f"{path}/Day")) if year else None


def _sanction(told: Element, known: _Known, problems: Problems) -> None:
    draft = known.drafts.get(told.get("ProfileID", ""))
    if draft is None:
        problems.note(told.get("ProfileID", "-"), "programme", "", "The sanctioned profile is not in the file.")
        return
    for measure in told.iterfind("SanctionsMeasure"):
        draft.programme(text_of(measure, "Comment"))
    date = told.find("EntryEvent/Date")
    if date is not None and draft.listed_on is None:
        year, month, day = (text_of(date, part) for part in ("Year", "Month", "Day"))
        draft.read("listed on", f"{year}-{(month or '').zfill(2)}-{(day or '').zfill(2)}", draft.was_listed)
