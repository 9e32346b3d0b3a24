"""Entries one to a line, for lists of one's own and for benchmarks: JSON with

    {"id": "mine:1", "list": "mine", "schema": "Person", "names": [{"v": "Jane Doe", "k": "primary"}],
     "dobs": ["1970-01-31"], "pob": null, "countries": ["gb"], "gender": "female", "ids": ["P123"], "programs": ["X"],
     "since": "2020-01-31", "group": "sanction"}

`id` and `names` are needed. `k` is primary, aka, fka, weak or orig (original script); `ids` are texts or
`{"type": …, "value": …, "country": …}`; a group that is not given is `pep` for lists called `pep…`, else `sanction`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kyc_service.screening.entries import Entry, Group, Kind, NameKind
from kyc_service.screening.lists.reading import Draft, Files, ListUnreadable, Problems, clean, lines

KINDS: Mapping[str, Kind] = {
    "Person": Kind.PERSON,
    "Organization": Kind.ORGANISATION,
    "Company": Kind.ORGANISATION,
    "PublicBody": Kind.ORGANISATION,
    "Vessel": Kind.VESSEL,
    "Airplane": Kind.AIRCRAFT,
    "LegalEntity": Kind.ORGANISATION,
}
NAMES: Mapping[str, NameKind] = {
    "primary": NameKind.PRIMARY,
    "aka": NameKind.ALIAS,
    "fka": NameKind.FORMER,
    "weak": NameKind.WEAK,
    "orig": NameKind.ORIGINAL,
}


def parse(files: Files, source: str, problems: Problems) -> Iterator[Entry]:
    """One entry for each line; an id keeps the list's own prefix, so that answers name the entry as the file does.

    Raises:
        ListUnreadable: a line is no JSON object with an id and names.
    """
    for number, line in enumerate(lines(files["main"], problems), 1):
        if line.strip():
            yield read(line, number, source, problems)


def read(line: str, number: int, source: str, problems: Problems) -> Entry:
    """The entry on one line.

    Raises:
        ListUnreadable: it is no JSON object with an id and names.
    """
    try:
        told: Mapping[str, Any] = json.loads(line)
        identity, names = str(told["id"]), [(str(name["v"]), str(name.get("k", "primary"))) for name in told["names"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ListUnreadable(f"Line {number} is no JSON object with an id and names.") from error
    prefix, _, rest = identity.partition(":")
    draft = Draft(
        *((prefix, rest) if prefix and rest else (source, identity)), problems, kind=_kind(told), group=_group(told)
    )
    for value, kind in names:
        draft.name(value, NAMES.get(kind, NameKind.ALIAS))
    for value in _texts(told.get("dobs")):
        draft.born(value)
    for value in _texts(told.get("countries")):
        draft.country(value)
    draft.is_of_gender(_text(told.get("gender")))
    ids = told.get("ids")
    for found in ids if isinstance(ids, list) else ():
        if isinstance(found, Mapping):
            draft.identifier(str(found.get("type") or "other"), _text(found.get("value")), _text(found.get("country")))
        else:
            draft.identifier("other", _text(found))
    for value in _texts(told.get("programs")):
        draft.programme(value)
    draft.birth_place(_text(told.get("pob")))
    draft.remark(_text(told.get("remarks")))
    draft.read("listed on", _text(told.get("since")), draft.was_listed)
    draft.link = clean(_text(told.get("link")))
    return draft.entry()


def _kind(told: Mapping[str, Any]) -> Kind:
    return KINDS.get(str(told.get("schema")), Kind.UNKNOWN)


def _group(told: Mapping[str, Any]) -> Group:
    given = told.get("group") or ("pep" if str(told.get("list") or told["id"]).startswith("pep") else "sanction")
    return Group.PEP if given == "pep" else Group.SANCTION


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _texts(values: object) -> Iterator[str]:
    if isinstance(values, list):
        yield from (str(value) for value in values if value is not None)
