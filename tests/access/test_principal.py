"""Claims become a principal, or a refusal with a stable code."""

from collections.abc import Mapping

import pytest

from kyc_service.access.principal import AuthError, ClaimNames, Principal, Refusal, principal_of

CLAIMS: Mapping[str, object] = {"sub": "alice", "azp": "backoffice", "tenant": "acme", "roles": ["reader", "auditor"]}


def test_claims_become_a_principal() -> None:
    assert principal_of(CLAIMS, ClaimNames()) == Principal(
        tenant="acme", client="backoffice", subject="alice", roles=frozenset({"reader", "auditor"})
    )


def test_dots_descend_into_nested_claims() -> None:
    nested = {"sub": "alice", "org": {"id": "acme"}, "realm_access": {"roles": ["reader"]}}
    names = ClaimNames(tenant="org.id", roles="realm_access.roles")
    assert principal_of(nested, names) == Principal(
        tenant="acme", client="alice", subject="alice", roles=frozenset({"reader"})
    )


def test_a_claim_that_is_called_so_wins_over_descending() -> None:
    names = ClaimNames(tenant="https://issuer.example/tenant", roles="a.b")
    claims = {"sub": "alice", "https://issuer.example/tenant": "acme", "a.b": [], "a": {"b": ["reviewer"]}}
    assert principal_of(claims, names).roles == frozenset()


@pytest.mark.parametrize(
    ("claims", "client"),
    [
        ({"azp": "one", "client_id": "two"}, "one"),
        ({"azp": None, "client_id": "two"}, "two"),
        ({"azp": None}, "alice"),
    ],
    ids=["azp", "client_id", "the subject itself"],
)
def test_the_client_is_the_authorised_party(claims: Mapping[str, object], client: str) -> None:
    given = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    assert principal_of(given, ClaimNames()).client == client


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"tenant": None}, Refusal.TENANT),
        ({"tenant": ""}, Refusal.TENANT),
        ({"tenant": "Acme"}, Refusal.TENANT),
        ({"tenant": "acme\n"}, Refusal.TENANT),
        ({"tenant": "-acme"}, Refusal.TENANT),
        ({"tenant": "acme/../other"}, Refusal.TENANT),
        ({"tenant": "аcme"}, Refusal.TENANT),  # a Cyrillic letter
        ({"tenant": "a" * 64}, Refusal.TENANT),
        ({"tenant": ["acme"]}, Refusal.TENANT),
        ({"roles": None}, Refusal.ROLES),
        ({"roles": "reviewer"}, Refusal.ROLES),
        ({"roles": {"reviewer": True}}, Refusal.ROLES),
        ({"roles": ["reviewer", 1]}, Refusal.ROLES),
        ({"roles": [["reviewer"]]}, Refusal.ROLES),
        ({"roles": [""]}, Refusal.ROLES),
        ({"roles": ["r" * 65]}, Refusal.ROLES),
        ({"roles": ["a\nb"]}, Refusal.ROLES),
        ({"roles": [f"role{n}" for n in range(65)]}, Refusal.ROLES),
        ({"sub": None}, Refusal.CLAIM_INVALID),
        ({"sub": ""}, Refusal.CLAIM_INVALID),
        ({"sub": "a\x00b"}, Refusal.CLAIM_INVALID),
        ({"sub": "s" * 256}, Refusal.CLAIM_INVALID),
        ({"azp": 7}, Refusal.CLAIM_INVALID),
        ({"azp": ""}, Refusal.CLAIM_INVALID),
    ],
    ids=str,
)
def test_claims_that_do_not_fit_are_refused(changed: Mapping[str, object], refusal: Refusal) -> None:
    with pytest.raises(AuthError) as caught:
        principal_of({**CLAIMS, **changed}, ClaimNames())
    assert caught.value.refusal is refusal


@pytest.mark.parametrize("tenant", ["a", "0", "acme-eu_1", "a" * 63])
def test_a_tenant_is_a_short_plain_name(tenant: str) -> None:
    assert principal_of({**CLAIMS, "tenant": tenant}, ClaimNames()).tenant == tenant


def test_a_path_through_something_that_is_no_object_finds_nothing() -> None:
    with pytest.raises(AuthError) as caught:
        principal_of(CLAIMS, ClaimNames(tenant="sub.tenant"))
    assert caught.value.code == "token_tenant"
