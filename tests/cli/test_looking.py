"""`kyc config` shows every setting and no secret; `kyc doctor` finds what is broken and says how to mend it."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from psycopg.conninfo import conninfo_to_dict

from kyc_service.settings import Settings

Kyc = Callable[..., Result]


# ── config ────────────────────────────────────────────────────────────────────────


def test_every_setting_is_listed_with_what_it_is_for(kyc: Kyc) -> None:
    rows = json.loads(kyc("config", "-o", "json").stdout)
    assert [row["name"] for row in rows] == [f"KYC_{name.upper()}" for name in Settings.model_fields]
    assert all(row["description"] for row in rows)


def test_a_setting_is_shown_as_one_would_write_it(kyc: Kyc) -> None:
    given = {"KYC_SANDBOX_TENANTS": "b, a", "KYC_INLINE_WORKER": "0", "KYC_DOCUMENT_ROUTE": "simulated"}
    rows = {row["name"]: row for row in json.loads(kyc("config", "-o", "json", **given).stdout)}
    assert rows["KYC_SANDBOX_TENANTS"]["value"] == "b,a"
    assert (rows["KYC_INLINE_WORKER"]["value"], rows["KYC_INLINE_WORKER"]["default"]) == ("false", "true")
    assert rows["KYC_DOCUMENT_ROUTE"]["value"] == "simulated"
    assert "KYC_DOCUMENT_ROUTE" in kyc("config").stdout


def test_settings_of_tenants_are_shown_as_one_would_write_them(kyc: Kyc) -> None:
    given = {
        "KYC_SCREENING_REVIEW_FROM_TENANTS": "b=0.4,a=0.6",
        "KYC_WATCHLISTS_TENANTS": "a=un_sc+us_ofac_sdn,b=un_sc",
    }
    rows = {row["name"]: row for row in json.loads(kyc("config", "-o", "json", **given).stdout)}
    assert {name: rows[name]["value"] for name in given} == given
    assert {rows[name]["default"] for name in given} == {""}


def test_no_secret_is_listed(kyc: Kyc) -> None:
    given = {
        "KYC_VENDOR_API_KEY": "hunter2",
        "KYC_S3_SECRET_ACCESS_KEY": "hunter2",
        "KYC_EVENT_BROKER_URL": "amqp://guest:hunter2@broker/",
        "KYC_BLOB_URL": "s3://key:hunter2@bucket",
    }
    for output in ("text", "json"):
        result = kyc("config", "-o", output, **given)
        assert result.exit_code == 0
        assert "hunter2" not in result.output
        assert "***" in result.stdout


# ── doctor ────────────────────────────────────────────────────────────────────────


def findings(result: Result) -> dict[str, tuple[str, str, str]]:
    """What was looked at: its state, why, and the cure."""
    return {row["what"]: (row["state"], row["why"], row["cure"]) for row in json.loads(result.stdout)}


@pytest.fixture
def free_port() -> None:
    """The service's own port is not taken by anybody on this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8180))
        except OSError:
            pytest.skip("port 8180 of this machine is taken")


@pytest.mark.usefixtures("free_port")
def test_a_developers_machine_is_well_but_for_the_tokens(kyc: Kyc) -> None:
    result = kyc("doctor", "-o", "json")
    found = findings(result)
    assert {what for what, (state, *_) in found.items() if state != "ok"} == {"tokens"}
    assert set(found) == {
        *("python", "settings", "engine", "key file", "port"),
        *("database", "migrations", "orders", "brokers", "commands", "lists", "documents", "scanner", "tokens"),
    }
    assert result.exit_code == 3
    assert "→ set KYC_JWT_PUBLIC_KEY_URL" in kyc("doctor").stdout


def test_commands_that_lie_parked_are_told(kyc: Kyc, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into parked values ('rabbitmq', 2, '2026-11-25 09:30+00', now())")
    result = kyc("doctor", "-o", "json", KYC_EVENT_BROKER_URL="amqp://127.0.0.1:1/")
    assert findings(result)["commands"] == (
        "warn",
        "rabbitmq: 2 parked since 2026-11-25 09:30 UTC",
        "look at kyc.commands.parked: docs/commands.md",
    )


@pytest.mark.parametrize(
    ("hours", "state", "why", "cure"),
    [
        (1, "ok", "mine version 1, 3 entries, confirmed 1 hours ago", ""),
        (40, "warn", "mine version 1, 3 entries, confirmed 40 hours ago", "kyc lists sync, once a day at least"),
        (
            *(73, "fail", "The list mine was last confirmed 73 hours ago."),
            "kyc lists sync; until then nobody is verified",
        ),
    ],
)
def test_the_age_of_the_lists_is_looked_at(
    kyc: Kyc, dsn: str, tmp_path: Path, hours: int, state: str, why: str, cure: str
) -> None:
    listed = tmp_path / "mine.jsonl"
    names = [{"id": f"m:{number}", "schema": "Person", "names": [{"v": f"Somebody {number}"}]} for number in range(3)]
    listed.write_text("\n".join(map(json.dumps, names)))
    assert kyc("lists", "import", "mine", str(listed)).exit_code == 0
    with psycopg.connect(dsn) as connection:  # in the middle of an hour: the server's clock may be a little ahead
        connection.execute("update watchlists set confirmed_at = now() - (%s + 0.5) * interval '1 hour'", (hours,))
    result = kyc("doctor", "-o", "json", KYC_WATCHLISTS="mine=https://lists.example/mine.jsonl")
    assert findings(result)["lists"] == (state, why, cure)
    assert result.exit_code == (1 if state == "fail" else 3)


def test_a_list_that_is_not_there_is_a_failure(kyc: Kyc) -> None:
    result = kyc("doctor", "-o", "json", KYC_WATCHLISTS="un_sc")
    state, why, _ = findings(result)["lists"]
    assert (result.exit_code, state) == (1, "fail")
    assert why.startswith("No sanctions list is in force")


def test_looking_leaves_nothing_behind(kyc: Kyc, dsn: str, tmp_path: Path) -> None:
    assert kyc("doctor").exit_code == 3
    with psycopg.connect(dsn) as connection:
        for table in ("keys", "tenant_keys", "files", "events"):
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,)
    assert [path for path in (tmp_path / "state" / "blobs").rglob("*") if path.is_file()] == []


def test_a_misspelt_setting_is_a_warning_with_a_guess(kyc: Kyc) -> None:
    state, why, cure = findings(kyc("doctor", "-o", "json", KYC_DOCUMENT_ROUT="builtin"))["settings"]
    assert (state, why) == ("warn", "KYC_DOCUMENT_ROUT is not a setting")
    assert cure == "did you mean KYC_DOCUMENT_ROUTE?"


def test_a_setting_that_cannot_be_used_is_a_failure(kyc: Kyc) -> None:
    result = kyc("doctor", "-o", "json", KYC_MAX_RETRIES="many")
    assert result.exit_code == 1
    found = [row for row in json.loads(result.stdout) if row["state"] == "fail"]
    assert [row["why"].partition(":")[0] for row in found] == ["KYC_MAX_RETRIES"]


def test_a_database_that_does_not_answer_is_a_failure(kyc: Kyc) -> None:
    result = kyc("doctor", "-o", "json", KYC_DB_DSN="postgresql://kyc:hunter2@127.0.0.1:1/kyc")
    state, why, cure = findings(result)["start"]
    assert (result.exit_code, state, cure) == (1, "fail", "check KYC_DB_DSN")
    assert why.startswith("The database cannot be used")
    assert "hunter2" not in result.output


def test_production_is_refused_sentence_by_sentence(kyc: Kyc) -> None:
    result = kyc("doctor", "-o", "json", KYC_ENV="production", KYC_DB_DSN=None)
    assert result.exit_code == 1
    assert sum(row["what"] == "production" for row in json.loads(result.stdout)) == 5


def test_a_database_that_was_not_migrated_is_a_failure_in_production(
    kyc: Kyc, server: str, dsn: str, tmp_path: Path
) -> None:
    name = f"{conninfo_to_dict(dsn)['dbname']}_empty"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    try:
        ring = tmp_path / "ring.json"
        kyc("keys", "init", str(ring))
        given = {
            "KYC_ENV": "production",
            "KYC_DB_DSN": psycopg.conninfo.make_conninfo(server, dbname=name),
            "KYC_KEY_FILE": str(ring),
            "KYC_BLOB_URL": f"file://{tmp_path}/blobs",
            "KYC_JWT_PUBLIC_KEY_URL": "https://idp.example/jwks",
            "KYC_WATCHLISTS": "us_ofac_sdn",
        }
        worker = kyc("worker", **given)
        before = findings(kyc("doctor", "-o", "json", **given))
        assert kyc("migrate", **given).exit_code == 0
        after = findings(kyc("doctor", "-o", "json", **given))
        with psycopg.connect(given["KYC_DB_DSN"], autocommit=True) as connection:
            connection.execute("update alembic_version set version_num = '0009_marks'")
        behind = findings(kyc("doctor", "-o", "json", **given))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")
    assert (worker.exit_code, worker.stderr) == (
        1,
        "kyc: The database has none of our tables yet: run `kyc migrate`.\n",
    )
    assert (before["migrations"][0], before["migrations"][2]) == ("fail", "kyc migrate")
    older = "stop every process of the earlier release, then kyc migrate"
    assert (behind["migrations"][0], behind["migrations"][2]) == ("fail", older)
    assert {what for what, (state, *_) in after.items() if state == "fail"} == {"lists"}, "none was ever synced"
    assert after["tokens"][0] == "ok"


@pytest.mark.parametrize(("mode", "state"), [(0o600, "ok"), (0o640, "fail")])
def test_a_key_file_that_others_can_read_is_a_failure(kyc: Kyc, tmp_path: Path, mode: int, state: str) -> None:
    ring = tmp_path / "ring.json"
    kyc("keys", "init", str(ring))
    ring.chmod(mode)
    assert findings(kyc("doctor", "-o", "json", KYC_KEY_FILE=str(ring)))["key file"][0] == state


def test_a_key_file_that_is_not_there_is_a_failure_with_its_cure(kyc: Kyc, tmp_path: Path) -> None:
    ring = tmp_path / "none.json"
    found = findings(kyc("doctor", "-o", "json", KYC_KEY_FILE=str(ring)))["key file"]
    assert (found[0], found[2]) == ("fail", f"kyc keys init {ring}")


def test_a_taken_port_is_a_warning(kyc: Kyc) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8180))
            taken.listen()
        except OSError:
            pass  # somebody else has it: as good
        assert findings(kyc("doctor", "-o", "json"))["port"][0] == "warn"


def test_given_up_orders_are_a_warning(kyc: Kyc, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("""
            insert into orders (tenant, id, stream, kind, payload, created_at, due_at, dead_at)
            values ('t', gen_random_uuid(), gen_random_uuid(), 'RunCheck', '{}', now(), now(), now())
        """)
    state, why, cure = findings(kyc("doctor", "-o", "json"))["orders"]
    assert (state, why, cure) == ("warn", "0 due, 1 given up", "kyc orders list")
