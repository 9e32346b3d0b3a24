"""OpenSanctions' `entities.ftm.json`: one entity of the FollowTheMoney model to a line; and the chain of its deltas.

Source: OpenSanctions, "FollowTheMoney entities" and "Delta files". Sanctions, occupancies and addresses are entities of
their own, which say whom they belong to. The file is read twice: for those, then for the people. Their data is
CC BY-NC 4.0: commercial users need a licence of theirs.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from kyc_service.domain.record import record
from kyc_service.screening.entries import Entry, Group, Kind, NameKind
from kyc_service.screening.lists.opensanctions_csv import PAGE
from kyc_service.screening.lists.reading import Draft, Files, ListUnreadable, Problems, is_latin, lines

Entity: TypeAlias = Mapping[str, Any]

KINDS: Mapping[str, Kind] = {
    "Person": Kind.PERSON,
    "Organization": Kind.ORGANISATION,
    "Company": Kind.ORGANISATION,
    "PublicBody": Kind.ORGANISATION,
    "LegalEntity": Kind.UNKNOWN,  # the model's word for somebody who may be a person or a company
    "Vessel": Kind.VESSEL,
    "Airplane": Kind.AIRCRAFT,
}
NUMBERS: Mapping[str, str] = {
    "passportNumber": "passport",
    "idNumber": "national_id",
    "socialSecurityNumber": "national_id",
    "taxNumber": "tax_id",
    "innCode": "tax_id",
    "vatCode": "tax_id",
    "registrationNumber": "registration",
    "ogrnCode": "registration",
    "leiCode": "registration",
    "uscCode": "registration",
    "imoNumber": "imo",
    "mmsi": "other",
    "cryptoWallets": "other",
    "publicKey": "other",
}
COUNTRIES = ("nationality", "citizenship", "country", "jurisdiction", "flag")
OWNERS: Mapping[str, str] = {"Sanction": "entity", "Occupancy": "holder"}


@record
class _Attached:
    """What a sanction or an occupancy tells of the one it belongs to; the rest of it is not kept."""

    sanction: bool
    programmes: tuple[str, ...]
    listed: str | None


def _attached(entity: Entity) -> _Attached:
    dates = _values(entity, "listingDate") or _values(entity, "startDate")
    return _Attached(
        sanction=entity["schema"] == "Sanction",
        programmes=tuple(value for key in ("programId", "program", "post") for value in _values(entity, key)),
        listed=min(dates, default=None),
    )


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """Every entity of the file that people are screened against.

    Raises:
        ListUnreadable: a line is no entity.
    """
    attached: defaultdict[str, list[_Attached]] = defaultdict(list)
    addresses: dict[str, str] = {}
    for entity in _entities(files["main"], problems):
        if owner := OWNERS.get(entity["schema"]):
            for identity in _values(entity, owner):
                attached[identity].append(_attached(entity))
        elif entity["schema"] == "Address":
            addresses[entity["id"]] = next(iter(_values(entity, "full")), _caption(entity))
    for entity in _entities(files["main"], problems):
        belonging = attached.get(entity["id"], ())
        if entity["schema"] in KINDS and _listed(entity, belonging):
            yield _entry(entity, belonging, addresses, source, problems)


def _listed(entity: Entity, belonging: Sequence[_Attached]) -> bool:
    """Whether the entity is a target, and not merely somebody whom a target is tied to."""
    return bool(entity.get("target") or _values(entity, "topics") or belonging)


def _entry(
    entity: Entity, belonging: Sequence[_Attached], addresses: Mapping[str, str], source: str, problems: Problems
) -> Entry:
    topics = _values(entity, "topics")
    sanctioned = any(one.sanction for one in belonging) or any(not t.startswith("role") for t in topics)
    group = Group.SANCTION if sanctioned or not topics else Group.PEP
    draft = Draft(source, entity["id"], problems, kind=KINDS[entity["schema"]], group=group)
    draft.link = f"{PAGE}{entity['id']}/"
    draft.name(_caption(entity), NameKind.PRIMARY)
    for key, kind in (
        ("name", NameKind.ALIAS),
        ("alias", NameKind.ALIAS),
        ("previousName", NameKind.FORMER),
        ("weakAlias", NameKind.WEAK),
    ):
        for value in _values(entity, key):
            own = kind is NameKind.ALIAS and not is_latin(value)
            draft.name(value, NameKind.ORIGINAL if own else kind)
    for key in ("birthDate", "incorporationDate", "buildDate"):
        for value in _values(entity, key):
            draft.born(value, key)
    for key in COUNTRIES:
        for value in _values(entity, key):
            draft.country(value, key)
    for value in _values(entity, "gender"):
        draft.is_of_gender(value)
    for key, number in NUMBERS.items():
        for value in _values(entity, key):
            draft.identifier(number, value.removeprefix("IMO") if number == "imo" else value)
    for one in belonging:
        for value in one.programmes:
            draft.programme(value)
        draft.read("listed on", one.listed, draft.was_listed)
    for topic in topics:
        draft.programme(topic)
    referents = entity.get("referents")
    for identity in referents if isinstance(referents, list) else ():
        if identity != entity["id"]:
            draft.referent(f"{source}:{identity}")
    for value in _values(entity, "birthPlace"):
        draft.birth_place(value)
    for value in _values(entity, "address"):
        draft.address(value)
    for value in _values(entity, "addressEntity"):
        draft.address(addresses.get(value))
    for key in ("position", "notes", "title"):
        for value in _values(entity, key):
            draft.remark(value, key.capitalize())
    return draft.entry()


def _entities(path: Path, problems: Problems) -> Iterator[Entity]:
    for number, line in enumerate(lines(path, problems), 1):
        if line.strip():
            yield _entity(line, f"Line {number}")


def _entity(line: str, where: str) -> Entity:
    try:
        entity: Entity = json.loads(line)
        if (
            isinstance(entity["id"], str)
            and isinstance(entity["schema"], str)
            and isinstance(entity["properties"], dict)
        ):
            return entity
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ListUnreadable(f"{where} is no entity with id, schema and properties.")


def _caption(entity: Entity) -> str:
    caption = entity.get("caption")
    return caption if isinstance(caption, str) else ""


def _values(entity: Entity, key: str) -> Sequence[str]:
    found = entity["properties"].get(key) or ()
    return [str(value) for value in found] if isinstance(found, list) else ()


def follow(base: Path, deltas: Sequence[Path], out: Path, problems: Problems) -> None:
    """Write to *out* what *base* becomes by a chain of *deltas*, oldest first. Needs memory for the deltas alone.

    Raises:
        ListUnreadable: a delta is broken, or does not belong to the base: it changes what is not there or adds what is.
    """
    final: dict[str, str | None] = {}
    first: dict[str, str] = {}
    for path in deltas:
        for number, line in enumerate(lines(path, problems), 1):
            if line.strip():
                operation, identity, written = _operation(line, f"{path.name}, line {number},")
                final[identity] = written
                first.setdefault(identity, operation)
    with out.open("w", encoding="utf-8") as stream:
        for line in lines(base, problems):
            if not line.strip():
                continue
            identity = _entity(line, "The base")["id"]
            if first.get(identity) == "ADD":
                raise ListUnreadable(f"The delta adds {identity}, which is there.")
            first.pop(identity, None)
            if (written := final.pop(identity, line)) is not None:
                stream.write(written.rstrip("\r\n") + "\n")
        if missing := [identity for identity, operation in first.items() if operation != "ADD"]:
            raise ListUnreadable(f"The delta changes or takes away {missing[0]}, which is not there.")
        for written in final.values():
            if written is not None:
                stream.write(written + "\n")


def _operation(line: str, where: str) -> tuple[str, str, str | None]:
    try:
        told = json.loads(line)
        operation, entity = told["op"], told["entity"]
        if operation == "DEL":
            return operation, str(entity["id"]), None
        if operation in ("ADD", "MOD"):
            written = json.dumps(entity, ensure_ascii=False, separators=(",", ":"))
            return operation, _entity(written, where)["id"], written
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ListUnreadable(f"{where} is no operation of a delta.")
