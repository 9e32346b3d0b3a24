"""Who a person is, as declared and as each document says it: what the lists are asked about.

A document wins over what was declared, and both are asked about: somebody who declares another name than the one in
the passport must be found under either.
"""

from collections.abc import Mapping, Sequence

from kyc_service.application.ports import Identity, Number

DOCUMENT = "document"
DECLARED = "declared"


def identities_of(person: Mapping[str, object], results: Sequence[Mapping[str, object]]) -> tuple[Identity, ...]:
    """The identities of a person: those of the documents first, then the declared one; without a name there is none.

    *person* is what the client sent (`email`, `applicant`), *results* are the opened findings of the checks.
    """
    read = [_of_document(result) for result in results]
    found = [identity for identity in (*read, _declared(person)) if identity is not None]
    return tuple(dict.fromkeys(found))


def recalled(findings: Mapping[str, object]) -> tuple[Identity, ...]:
    """The identities that a screening was about, from its sealed findings; what cannot be read as one is left out."""
    told = findings.get("identities")
    return tuple(_recalled(one) for one in _all(told) if isinstance(one, Mapping) and _text(one, "name"))


def _recalled(told: Mapping[str, object]) -> Identity:
    numbers = (one for one in _all(told.get("numbers")) if isinstance(one, Mapping))
    return Identity(
        source=_text(told, "source") or DECLARED,
        name=_text(told, "name") or "",
        birth_date=_text(told, "birth_date"),
        nationalities=tuple(one for one in _all(told.get("nationalities")) if isinstance(one, str)),
        sex=_text(told, "sex"),
        numbers=tuple(
            Number(value=value, country=_text(one, "country")) for one in numbers if (value := _text(one, "value"))
        ),
        kind=_text(told, "kind") or "person",
    )


def _all(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _of_document(result: Mapping[str, object]) -> Identity | None:
    fields = result.get("fields")
    values: dict[str, str] = {}
    for field in fields if isinstance(fields, Sequence) else ():
        if isinstance(field, Mapping) and (name := _text(field, "name")) and (value := _text(field, "value")):
            values.setdefault(name, value)
    name = _full_name(values.get("given_names"), values.get("surname"))
    if name is None:
        return None
    number = values.get("number")
    return Identity(
        source=DOCUMENT,
        name=name,
        birth_date=values.get("birth_date"),
        nationalities=_present(values.get("nationality")),
        sex=values.get("sex"),
        numbers=(Number(value=number, country=values.get("country") or values.get("issuer")),) if number else (),
    )


def _declared(person: Mapping[str, object]) -> Identity | None:
    applicant = person.get("applicant")
    if not isinstance(applicant, Mapping):
        return None
    name = _full_name(_text(applicant, "given_names"), _text(applicant, "family_name"))
    if name is None:
        return None
    return Identity(
        source=DECLARED,
        name=name,
        birth_date=_text(applicant, "birth_date"),
        nationalities=_present(_text(applicant, "nationality")),
    )


def _full_name(given: str | None, family: str | None) -> str | None:
    return " ".join(part for part in (given, family) if part and part.strip()) or None


def _text(values: Mapping[str, object], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) and value.strip() else None


def _present(value: str | None) -> tuple[str, ...]:
    return (value,) if value else ()
