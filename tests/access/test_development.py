"""Development's own issuer: one key for all processes of a machine, and never in production."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kyc_service.access.development import DevelopmentIssuer, DevelopmentKeyRefused
from kyc_service.access.jwks import JsonWebKeys
from kyc_service.access.principal import AuthError, ClaimNames, Principal
from kyc_service.access.tokens import Terms, Verifier
from kyc_service.settings import Environment, Settings

ROOT = Path(__file__).parents[2]
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, state_dir=tmp_path / "state")


def verifier(issuer: DevelopmentIssuer, names: ClaimNames | None = None) -> Verifier:
    keys = JsonWebKeys(issuer, frozenset({"RS256", "ES256"}))
    return Verifier(keys, Terms(issuer="crowdpay", audience="kyc-service", names=names or ClaimNames()))


async def test_the_service_accepts_a_development_token(settings: Settings) -> None:
    issuer = DevelopmentIssuer(settings)
    token = issuer.issue("acme", ["submitter", "reader"], "alice", "shop", HOUR)
    assert await verifier(issuer).verify(token) == Principal(
        tenant="acme", client="shop", subject="alice", roles=frozenset({"submitter", "reader"})
    )


async def test_a_token_lives_as_long_as_was_asked(settings: Settings) -> None:
    issuer = DevelopmentIssuer(settings, now=lambda: time.time() - 3631)
    expired, alive = (issuer.issue("acme", [], "alice", "shop", ttl) for ttl in (HOUR, HOUR * 2))
    check = verifier(issuer)
    assert (await check.verify(alive)).subject == "alice"
    with pytest.raises(AuthError) as caught:
        await check.verify(expired)
    assert caught.value.code == "token_expired"


async def test_the_configured_claims_are_used(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None, state_dir=tmp_path, jwt_tenant_claim="org.id", jwt_roles_claim="https://issuer.example/roles"
    )
    issuer = DevelopmentIssuer(settings)
    names = ClaimNames(tenant="org.id", roles="https://issuer.example/roles")
    token = issuer.issue("acme", ["reader"], "alice", "shop", HOUR)
    assert (await verifier(issuer, names).verify(token)).tenant == "acme"


def test_a_token_that_the_service_would_refuse_is_not_issued(settings: Settings) -> None:
    with pytest.raises(AuthError) as caught:
        DevelopmentIssuer(settings).issue("Not A Tenant", [], "alice", "shop", HOUR)
    assert caught.value.code == "token_tenant"


def test_production_has_no_development_key(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, state_dir=tmp_path / "state", env=Environment.PRODUCTION)
    with pytest.raises(DevelopmentKeyRefused, match="KYC_JWT_PUBLIC_KEY_URL"):
        DevelopmentIssuer(settings)
    assert not (tmp_path / "state").exists()


def test_an_algorithm_that_is_not_accepted_is_not_signed_with(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, state_dir=tmp_path, jwt_algorithms=("RS256",))
    with pytest.raises(DevelopmentKeyRefused, match="KYC_JWT_ALGORITHMS"):
        DevelopmentIssuer(settings)


def test_only_the_owner_can_read_the_key_whatever_the_umask(settings: Settings) -> None:
    before = os.umask(0)
    try:
        path = DevelopmentIssuer(settings).path
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_the_key_stays_the_same_from_start_to_start(settings: Settings) -> None:
    assert DevelopmentIssuer(settings).key_set() == DevelopmentIssuer(settings).key_set()


OPEN = """
import sys
from kyc_service.access.development import DevelopmentIssuer
from kyc_service.settings import Settings
settings = Settings(_env_file=None, state_dir=sys.argv[1])
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
sys.stdout.write(DevelopmentIssuer(settings).key_set().decode())
"""


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    state = tmp_path / "state"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(state)],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in running:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in running:  # all are loaded by now, and go at once
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate()[0] for process in running}
    assert len(answers) == 1
    assert [path.name for path in state.iterdir()] == ["development-signing-key.pem"]


def test_what_is_published_is_public(settings: Settings) -> None:
    [key] = json.loads(DevelopmentIssuer(settings).key_set())["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "alg", "use", "kid"}


def test_a_key_that_others_can_read_is_refused(settings: Settings) -> None:
    path = DevelopmentIssuer(settings).path
    path.chmod(0o640)
    with pytest.raises(DevelopmentKeyRefused, match="chmod 600"):
        DevelopmentIssuer(settings)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", pem(ec.generate_private_key(ec.SECP384R1()))],
    ids=["empty", "nonsense", "another curve"],
)
def test_a_file_that_holds_no_such_key_is_not_replaced_behind_ones_back(settings: Settings, content: bytes) -> None:
    path = DevelopmentIssuer(settings).path
    path.write_bytes(content)
    with pytest.raises(DevelopmentKeyRefused, match="delete it"):
        DevelopmentIssuer(settings)
    assert path.read_bytes() == content


def test_the_warning_is_one_loud_line_that_says_what_to_do(settings: Settings) -> None:
    warning = DevelopmentIssuer(settings).warning()
    assert warning.startswith("DEVELOPMENT TOKENS ARE TRUSTED")
    assert "\n" not in warning
    assert all(hint in warning for hint in ("KYC_JWT_PUBLIC_KEY_URL", "KYC_ENV=production", str(settings.home)))
