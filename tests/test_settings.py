"""What an operator sets is what the service uses, and production refuses every development default."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from kyc_service.bootstrap import VENDORS, SettingsRefused, build, refusals, terms
from kyc_service.domain.application import SIMULATED_VENDORS, Mode
from kyc_service.domain.clearance import ScreeningTerms
from kyc_service.settings import AvailableVendors, Environment, Settings


def test_development_needs_no_setting_at_all() -> None:
    assert refusals(Settings(_env_file=None)) == []


def test_production_refuses_each_development_default_with_one_sentence() -> None:
    said = refusals(Settings(_env_file=None, env=Environment.PRODUCTION))
    assert [sentence.split()[0] for sentence in said] == [
        "KYC_DB_DSN",
        "KYC_JWT_PUBLIC_KEY_URL",
        "KYC_KEY_FILE",
        "KYC_BLOB_URL",
        "KYC_WATCHLISTS",
    ]


PRODUCTION = {
    "env": Environment.PRODUCTION,
    "db_dsn": SecretStr("postgresql:///nowhere"),
    "jwt_public_key_url": "https://idp.example/jwks",
    "key_file": Path("/run/secrets/ring.json"),
    "blob_url": "s3://documents",
    "watchlists": ("us_ofac_sdn",),
}


def test_production_is_content_with_everything_named() -> None:
    assert refusals(Settings(_env_file=None, **PRODUCTION)) == []


@pytest.mark.parametrize("vendor", sorted(SIMULATED_VENDORS))
def test_production_never_sends_an_uploaded_document_to_a_simulation(vendor: str) -> None:
    settings = Settings(_env_file=None, **PRODUCTION, document_route=(AvailableVendors(vendor),))
    assert [sentence.split()[0] for sentence in refusals(settings)] == ["KYC_DOCUMENT_ROUTE"]


async def test_a_refused_service_does_not_start() -> None:
    with pytest.raises(SettingsRefused, match="KYC_DB_DSN is not set"):
        async with build(Settings(_env_file=None, env=Environment.PRODUCTION)):
            pass


def test_only_a_sandbox_has_a_route_for_documents_that_were_never_uploaded() -> None:
    settings = Settings(_env_file=None, sandbox_tenants=("sandbox",))
    sandbox, live = terms(settings, "sandbox"), terms(settings, "acme")
    assert (sandbox.mode, sandbox.missing_route) == (Mode.SANDBOX, ("simulated", "simulated_standby"))
    assert (live.mode, live.missing_route) == (Mode.LIVE, ())


def test_every_vendor_that_a_route_may_name_can_be_made() -> None:
    assert set(VENDORS) == set(AvailableVendors)


def test_the_simulations_that_the_rules_know_are_the_ones_that_there_are() -> None:
    assert {vendor.value for vendor in AvailableVendors if "simulated" in vendor.value} == SIMULATED_VENDORS


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYC_DOCUMENT_ROUTE", "builtin, simulated")
    monkeypatch.setenv("KYC_SANDBOX_TENANTS", "sandbox,demo")
    settings = Settings(_env_file=None)
    assert settings.document_route == (AvailableVendors.BUILTIN, AvailableVendors.SIMULATED)
    assert settings.sandbox_tenants == ("sandbox", "demo")


def test_a_vendor_that_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYC_DOCUMENT_ROUTE", "acme")
    with pytest.raises(ValidationError):
        Settings(_env_file=None)


def test_a_secret_may_come_from_a_file_and_is_never_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "dsn"
    secret.write_text("postgresql://kyc:hunter2@db/kyc\n")
    monkeypatch.setenv("KYC_DB_DSN_FILE", str(secret))
    settings = Settings(_env_file=None)
    assert settings.db_dsn is not None
    assert settings.db_dsn.get_secret_value() == "postgresql://kyc:hunter2@db/kyc"
    assert "hunter2" not in repr(settings)


def test_the_environment_goes_before_the_secret_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "retries"
    secret.write_text("7")
    monkeypatch.setenv("KYC_MAX_RETRIES_FILE", str(secret))
    assert Settings(_env_file=None).max_retries == 7
    monkeypatch.setenv("KYC_MAX_RETRIES", "2")
    assert Settings(_env_file=None).max_retries == 2


def test_embedded_data_lives_in_the_users_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Settings(_env_file=None).home == tmp_path / "kyc-service"
    assert Settings(_env_file=None, state_dir=tmp_path / "mine").home == tmp_path / "mine"


def test_a_tenant_may_have_a_threshold_and_lists_of_its_own() -> None:
    settings = Settings(
        _env_file=None,
        watchlists="us_ofac_sdn,un_sc,mine=https://lists.example/mine.jsonl",
        screening_review_from_tenants="acme=0.4, globex = 0.6",
        watchlists_tenants="acme=un_sc+mine",
        screening_cleared_days=90,
    )
    assert refusals(settings) == []
    said = {tenant: terms(settings, tenant).screening for tenant in ("acme", "globex", "other")}
    assert said == {
        "acme": ScreeningTerms(review_from=0.4, cleared_for=timedelta(days=90), lists=("un_sc", "mine")),
        "globex": ScreeningTerms(review_from=0.6, cleared_for=timedelta(days=90)),
        "other": ScreeningTerms(review_from=0.5, cleared_for=timedelta(days=90)),
    }


@pytest.mark.parametrize("wrong", ["acme", "acme=", "=0.4", "acme=0.4,acme=0.5", "acme=0", "acme=1", "acme=high"])
def test_a_threshold_of_a_tenant_that_cannot_be_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, screening_review_from_tenants=wrong)


@pytest.mark.parametrize("env", sorted(Environment))
def test_a_tenant_cannot_have_a_list_that_nobody_keeps(env: Environment) -> None:
    given = {**PRODUCTION, "env": env, "watchlists_tenants": {"acme": ("us_ofac_sdn", "un_sc")}}
    assert refusals(Settings(_env_file=None, **given)) == [
        "KYC_WATCHLISTS_TENANTS names un_sc for acme, which KYC_WATCHLISTS does not name."
    ]
