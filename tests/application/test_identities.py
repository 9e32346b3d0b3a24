"""Whom the lists are asked about."""

from kyc_service.application.identities import identities_of
from kyc_service.application.ports import Identity, Number

DECLARED = {"given_names": "Anna Maria", "family_name": "Ericsson", "birth_date": "1974-08-12", "nationality": "SE"}


def field(name: str, value: str) -> dict[str, object]:
    return {"name": name, "value": value, "source": "mrz", "confidence": 1.0}


PASSPORT = {
    "fields": [
        field("surname", "ERIKSSON"),
        field("given_names", "ANNA MARIA"),
        field("birth_date", "1974-08-12"),
        field("nationality", "UTO"),
        field("sex", "F"),
        field("number", "L898902C3"),
        field("issuer", "UTO"),
    ]
}
READ = Identity(
    source="document",
    name="ANNA MARIA ERIKSSON",
    birth_date="1974-08-12",
    nationalities=("UTO",),
    sex="F",
    numbers=(Number(value="L898902C3", country="UTO"),),
)
SAID = Identity(source="declared", name="Anna Maria Ericsson", birth_date="1974-08-12", nationalities=("SE",))


def test_the_document_comes_first_and_the_declared_name_is_asked_about_too() -> None:
    assert identities_of({"email": "a@example.com", "applicant": DECLARED}, [PASSPORT]) == (READ, SAID)


def test_a_person_is_asked_about_under_every_document() -> None:
    other = {"fields": [field("surname", "SMITH")]}
    assert [one.name for one in identities_of({}, [PASSPORT, other])] == ["ANNA MARIA ERIKSSON", "SMITH"]


def test_the_same_identity_is_asked_about_once() -> None:
    assert identities_of({}, [PASSPORT, PASSPORT]) == (READ,)


def test_who_has_no_name_has_no_identity() -> None:
    nameless = {"fields": [field("birth_date", "1974-08-12"), field("surname", "  ")]}
    assert identities_of({"email": "a@example.com"}, [nameless, {}, {"fields": "broken"}]) == ()
    assert identities_of({"applicant": {"given_names": "", "birth_date": "1974-08-12"}}, []) == ()


def test_an_identity_never_shows_in_a_representation() -> None:
    assert "ERIKSSON" not in repr(READ)
