"""Everything that an operator can set, by environment variable, `.env` file or `KYC_…_FILE` secret file."""

import os
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)


class AvailableVendors(StrEnum):
    """Every vendor that a route may name; docs/vendors.md says how to add one."""

    BUILTIN = "builtin"
    SIMULATED = "simulated"
    SIMULATED_STANDBY = "simulated_standby"


class Environment(StrEnum):
    """Development brings everything with it; production refuses every default that would be unsafe there."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class RelayMode(StrEnum):
    """How the log is followed for the brokers; docs/relay.md compares them."""

    AUTO = "auto"
    WAL2JSON = "wal2json"
    TAIL = "tail"


Listed = Annotated[tuple[str, ...], NoDecode]
Thresholds = Annotated[Mapping[str, Annotated[float, Field(ge=0.05, le=0.99)]], NoDecode]
ListsByTenant = Annotated[Mapping[str, tuple[str, ...]], NoDecode]
Route = Annotated[tuple[AvailableVendors, ...], NoDecode]


class Settings(BaseSettings):
    """The service's settings. Each field's description is printed by `kyc doctor` and docs/operations.md."""

    model_config = SettingsConfigDict(env_prefix="KYC_", env_file=".env", extra="ignore", frozen=True)

    env: Environment = Field(Environment.DEVELOPMENT, description="development or production")
    state_dir: Path | None = Field(None, description="where the embedded parts keep their data")

    db_dsn: SecretStr | None = Field(None, description="PostgreSQL connection URI; empty: the embedded server")
    db_pool_size: int = Field(20, ge=2, le=200, description="database connections of one process")
    event_broker_url: SecretStr | None = Field(
        None, description="brokers that are told of every event, with commas between them: amqp:// or kafka:// URIs"
    )
    event_source: str = Field("/kyc", min_length=1, description="the `source` of every event; never change it")
    relay: RelayMode = Field(RelayMode.AUTO, description="how the log is followed: wal2json, tail, or what there is")
    inline_relay: bool = Field(True, description="development: the API process also tells the brokers")
    feed_listeners: int = Field(100, ge=1, description="clients of one process that may listen to the feed at a time")
    inline_inbox: bool = Field(True, description="development: the API process also takes commands from the brokers")
    command_concurrency: int = Field(8, ge=1, le=500, description="commands by message that are under way at a time")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="where this process serves `/metrics`, a port of its own; empty: nowhere"
    )
    metrics_host: str = Field("127.0.0.1", description="the address of that port; nobody is asked for a token there")

    jwt_public_key_url: str | None = Field(None, description="JWKS endpoint (https, or file: for air-gapped use)")
    jwt_issuer: str = Field("crowdpay", description="the only accepted `iss`")
    jwt_audience: str = Field("kyc-service", description="the only accepted `aud`")
    jwt_algorithms: Listed = Field(("RS256", "ES256"), description="accepted signature algorithms")
    jwt_tenant_claim: str = Field("tenant", description="the claim that names the tenant")
    jwt_roles_claim: str = Field("roles", description="the claim that lists the roles; dots descend")

    rate_limit: float | None = Field(
        None,
        gt=0,
        description="requests a second that one client (subject of a tenant) may send to a process; empty: any",
    )
    vendor_api_key: SecretStr | None = Field(None, description="credentials for an external KYC provider")
    max_retries: int = Field(3, ge=0, le=20, description="vendor retries per order, and resubmissions per application")
    vendor_timeout_seconds: float = Field(60, gt=0, description="how long one vendor call may take")
    document_route: Route = Field((AvailableVendors.BUILTIN,), description="vendors for uploaded documents, in turn")
    sandbox_tenants: Listed = Field(("sandbox",), description="tenants that may use the simulated vendors")
    sandbox_route: Route = Field(
        (AvailableVendors.SIMULATED, AvailableVendors.SIMULATED_STANDBY),
        description="vendors for documents that a sandbox tenant never uploaded, in turn",
    )
    resubmission_days: int = Field(14, ge=1, description="how long a new picture is waited for")
    answer_hours: float = Field(24, gt=0, description="how long a vendor that answers later is waited for")
    completion_days: int = Field(30, ge=1, description="how long a missing document is waited for")
    files_timeout_seconds: float = Field(
        20,
        gt=0,
        description="how long the store of files may take over a request, and over all that one check reads; in a"
        " vendor call at most half of its time",
    )
    retry_base_seconds: float = Field(2, gt=0, description="first back-off of a failed order; doubles, with jitter")

    watch_seconds: float = Field(
        60, gt=0, description="how often a worker looks whether anybody must be screened again"
    )
    watch_sample: int = Field(
        50, ge=0, description="people of each tenant whom a worker screens anew each day, to check"
    )
    screening_review_from: float = Field(
        0.5, ge=0.05, le=0.99, description="probability from which on a match on a list goes to a person"
    )
    screening_review_from_tenants: Thresholds = Field(
        {}, description="tenants with another probability, with commas between them: tenant=0.4"
    )
    screening_cleared_days: int = Field(
        365, ge=1, le=3650, description="how long a cleared hit stays cleared before a person must look again"
    )

    key_file: Path | None = Field(None, description="the key ring of the key-file provider")
    blob_url: str | None = Field(None, description="file:///folder or s3://bucket/prefix; empty: a folder of the state")
    s3_endpoint: str | None = Field(None, description="S3 endpoint when it is not AWS, for example MinIO")
    s3_region: str = Field("us-east-1", description="S3 region")
    s3_access_key_id: SecretStr | None = Field(None, description="S3 access key id")
    s3_secret_access_key: SecretStr | None = Field(None, description="S3 secret access key")
    max_file_bytes: int = Field(25 * 1024 * 1024, ge=1024, description="largest accepted document")

    scanner_url: str | None = Field(
        None, description="clamd://host:port or clamd:///path/of/socket; every upload passes it; empty: no scanner"
    )
    scanner_timeout_seconds: float = Field(30, gt=0, description="how long the scanner may be silent")
    watchlists: Listed = Field(
        (),
        description="sanctions and PEP lists that have to be in force; name=https://… for one of your own; empty:"
        " the sample list, in development only",
    )
    watchlists_tenants: ListsByTenant = Field(
        {}, description="tenants who are screened against some of the lists only: tenant=un_sc+us_ofac_sdn"
    )
    list_max_age_hours: float = Field(72, gt=0, description="a list that was not confirmed for so long clears nobody")
    eu_list_token: SecretStr | None = Field(None, description="token of the EU's financial sanctions files")

    engine_workers: int | None = Field(None, ge=1, description="document engine processes; empty: one per core")
    engine_timeout_seconds: float = Field(20, gt=0, description="a picture that takes longer is given up")
    face_matching: bool = Field(
        True, description="compare selfies with portraits, of applicants who agreed to it; biometric data"
    )
    keep_selfies: bool = Field(False, description="keep selfies beyond the decision instead of erasing them at once")
    face_duplicates_tenants: Listed = Field(
        (), description="tenants who look for one face under two names; keeps biometric data of who agreed"
    )
    face_matching_off_tenants: Listed = Field((), description="tenants for whom no faces are compared")
    worker_concurrency: int = Field(8, ge=1, description="orders that one worker carries out at a time")
    lease_seconds: float = Field(30, gt=0.1, description="an order whose worker is silent for so long is taken over")
    order_retention_days: float = Field(30, gt=0, description="how long a finished order is kept")
    upkeep_seconds: float = Field(600, gt=0, description="how often a worker removes what is over and expired")
    inline_worker: bool = Field(True, description="development: the API process also works off the orders")

    @field_validator(
        "jwt_algorithms",
        "sandbox_tenants",
        "watchlists",
        "face_matching_off_tenants",
        "document_route",
        "sandbox_route",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("screening_review_from_tenants", "watchlists_tenants", mode="before")
    @classmethod
    def _of_tenants(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        several = info.field_name == "watchlists_tenants"
        told: dict[str, object] = {}
        for part in filter(None, (part.strip() for part in value.split(","))):
            tenant, _, given = (piece.strip() for piece in part.partition("="))
            if not (tenant and given) or tenant in told:
                raise ValueError("write each tenant once, as tenant=value, with commas between them")
            told[tenant] = tuple(name.strip() for name in given.split("+")) if several else given
        return told

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then `KYC_…_FILE`, then `.env`."""
        del file_secret_settings  # pydantic's own secrets folder; ours are named file by file
        return init_settings, env_settings, _SecretFiles(settings_cls), dotenv_settings

    @cached_property
    def home(self) -> Path:
        """The folder of everything embedded: the database, the blobs, the keys of development."""
        if self.state_dir:
            return self.state_dir.absolute()
        if os.geteuid() == 0:  # the embedded server runs as another user, who may not look into /root
            return Path("/var/lib/kyc-service")
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kyc-service"

    @property
    def production(self) -> bool:
        """Whether development defaults are refused."""
        return self.env is Environment.PRODUCTION


class _SecretFiles(PydanticBaseSettingsSource):
    """`KYC_DB_DSN_FILE=/run/secrets/dsn` gives the content of that file as `KYC_DB_DSN`."""

    def get_field_value(self, field: object, field_name: str) -> tuple[str | None, str, bool]:
        del field
        path = os.environ.get(f"KYC_{field_name.upper()}_FILE")
        return (Path(path).read_text(encoding="utf-8").strip() if path else None), field_name, False

    def __call__(self) -> dict[str, object]:
        found = {name: self.get_field_value(None, name)[0] for name in self.settings_cls.model_fields}
        return {name: value for name, value in found.items() if value is not None}
