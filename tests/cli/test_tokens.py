"""`kyc token` prints a token that the service accepts, and nothing else."""

from collections.abc import Callable

import jwt
import pytest
from click.testing import Result

Kyc = Callable[..., Result]


def claims(token: str) -> dict[str, object]:
    """What the token says; whether it is genuine is the tests of access."""
    said: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return said


def test_a_token_is_all_that_is_printed(kyc: Kyc) -> None:
    result = kyc("token")
    assert (result.exit_code, result.stderr, len(result.stdout.split())) == (0, "", 1)
    said = claims(result.stdout.strip())
    assert (said["tenant"], said["roles"], said["sub"]) == ("sandbox", ["submitter"], "developer")
    assert int(str(said["exp"])) - int(str(said["iat"])) == 3600


def test_a_token_says_what_was_asked_for(kyc: Kyc) -> None:
    asked = ("--tenant", "acme", "--role", "reader", "--role", "reviewer", "--subject", "me", "--client", "app")
    said = claims(kyc("token", *asked, "--ttl", "7d").stdout.strip())
    assert (said["tenant"], said["roles"], said["sub"], said["client_id"]) == (
        "acme",
        ["reader", "reviewer"],
        "me",
        "app",
    )
    assert int(str(said["exp"])) - int(str(said["iat"])) == 7 * 86400


@pytest.mark.parametrize("ttl", ["1y", "0h", "-1h", "h", "", "1.5h", "366d", "99999999999d"])
def test_a_lifetime_that_is_none_is_wrong_usage(kyc: Kyc, ttl: str) -> None:
    result = kyc("token", "--ttl", ttl)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "for example 8h" in result.stderr


def test_a_token_that_the_service_would_refuse_is_not_made(kyc: Kyc) -> None:
    result = kyc("token", "--tenant", "Not A Tenant")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "kyc: The service would not accept such a token: token_tenant.\n"


def test_production_makes_no_tokens(kyc: Kyc) -> None:
    result = kyc("token", KYC_ENV="production")
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
    assert "KYC_JWT_PUBLIC_KEY_URL" in result.stderr
