"""Entries as bytes, and what recognises them. Pure.

The body of an entry is JSON with sorted keys and nothing that is empty, so that the same entry always has the same
bytes and the same digest. A second fingerprint covers the facts that are matched and nothing else: a corrected address
is a change of the list, but no reason to screen anybody again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kyc_service.application.watchlists import Stored
from kyc_service.screening.entries import Birth, Entry, Group, Identifier, Kind, ListedName, NameKind


def stored(entry: Entry) -> Stored:
    """The entry as it is kept."""
    body = encode(entry)
    return Stored(id=entry.id, digest=hashlib.sha256(body).digest(), body=body)


def encode(entry: Entry) -> bytes:
    """The one way to write *entry* as bytes."""
    told: dict[str, object] = {
        "id": entry.id,
        "source": entry.source,
        "group": entry.group.value,
        "kind": entry.kind.value,
        "names": [[name.value, name.kind.value] for name in entry.names],
        "births": [[birth.first, birth.last, int(birth.circa)] for birth in entry.births],
        "countries": entry.countries,
        "gender": entry.gender,
        "identifiers": [[one.type, one.value, one.country] for one in entry.identifiers],
        "programmes": entry.programmes,
        "referents": entry.referents,
        "birth_places": entry.birth_places,
        "addresses": entry.addresses,
        "remarks": entry.remarks,
        "listed_on": entry.listed_on,
        "link": entry.link,
    }
    filled = {name: value for name, value in told.items() if value}
    return json.dumps(filled, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def decode(body: bytes) -> Entry:
    """The entry that was written as *body*."""
    told: Mapping[str, Any] = json.loads(body)
    return Entry(
        id=told["id"],
        source=told["source"],
        group=Group(told["group"]),
        kind=Kind(told["kind"]),
        names=tuple(ListedName(value=value, kind=NameKind(kind)) for value, kind in told.get("names", ())),
        births=tuple(Birth(first=first, last=last, circa=bool(circa)) for first, last, circa in told.get("births", ())),
        countries=tuple(told.get("countries", ())),
        gender=told.get("gender"),
        identifiers=tuple(
            Identifier(type=kind, value=value, country=country) for kind, value, country in told.get("identifiers", ())
        ),
        programmes=tuple(told.get("programmes", ())),
        referents=tuple(told.get("referents", ())),
        birth_places=tuple(told.get("birth_places", ())),
        addresses=tuple(told.get("addresses", ())),
        remarks=told.get("remarks"),
        listed_on=told.get("listed_on"),
        link=told.get("link"),
    )


def facts(entry: Entry) -> str:
    """The fingerprint of what is matched: names, dates, countries, gender, numbers, kind and group, in any order."""
    matched = replace(
        entry,
        names=tuple(sorted(set(entry.names), key=repr)),
        births=tuple(sorted(set(entry.births), key=repr)),
        countries=tuple(sorted(set(entry.countries))),
        identifiers=tuple(sorted(set(entry.identifiers), key=repr)),
        programmes=(),
        referents=(),
        birth_places=(),
        addresses=(),
        remarks=None,
        listed_on=None,
        link=None,
    )
    return hashlib.sha256(encode(matched)).hexdigest()


def digest_of(entries: Mapping[str, bytes]) -> str:
    """The content hash of a version: over the digests of its entries, by id, whatever their order in the file."""
    whole = hashlib.sha256()
    for identity in sorted(entries):
        whole.update(len(identity.encode()).to_bytes(4, "big") + identity.encode() + entries[identity])
    return whole.hexdigest()


def edition_of(versions: Iterable[tuple[str, str]]) -> str:
    """The hash over lists and their content hashes: the name of everything that is in force together."""
    framed = "\n".join(f"{source} {digest}" for source, digest in sorted(versions))
    return hashlib.sha256(framed.encode()).hexdigest()
