"""`kyc token` prints a token that the service accepts, and nothing else; `kyc keys init` makes a ring once."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from click.testing import Result

from kyc_service.privacy.keyfile import KeyRing

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


def test_a_key_ring_is_made_for_its_owner_alone(kyc: Kyc, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ring.json"
    result = kyc("keys", "init", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyRing.load(path).newest_root == 1
    assert not any(secret in result.output for secret in json.loads(path.read_text())["roots"].values())


def test_a_key_ring_is_never_overwritten(kyc: Kyc, tmp_path: Path) -> None:
    path = tmp_path / "ring.json"
    kyc("keys", "init", str(path))
    before = path.read_bytes()
    result = kyc("keys", "init", str(path))
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert path.read_bytes() == before
