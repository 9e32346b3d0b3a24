"""`kyc rebuild` and `kyc audit verify` on applications that went through the whole service."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from click.testing import Result
from pydantic import SecretStr

from kyc_service.application.desk import Announced, Caller, Submission, View
from kyc_service.bootstrap import build
from kyc_service.settings import Settings
from kyc_service.vendors.simulated import Magic, magic_file_id

Kyc = Callable[..., Result]


@pytest.fixture
def applications(dsn: str, kyc: Kyc) -> list[str]:
    """Three applications that are over, with real ciphertext under real keys."""
    del kyc  # it changes to a folder where no .env is

    async def walk(state_dir: object) -> list[str]:
        settings = Settings(
            _env_file=None, db_dsn=SecretStr(dsn), state_dir=str(state_dir), retry_base_seconds=0.01, max_retries=0
        )
        ids = []
        async with build(settings) as app:
            worker = asyncio.create_task(app.worker.run())
            for magic in (Magic.VERIFIED, Magic.EXPIRED, Magic.EVERY_VENDOR_DOWN):
                document = Announced(doc_type="PASSPORT", file_id=magic_file_id(magic), issued_country="NL")
                submission = Submission(user_id=uuid4(), email=f"{uuid4().hex}@example.com", documents=(document,))
                caller = Caller(tenant="sandbox", client="c", actor="a", request=str(uuid4()))
                view = await app.desk.submit(caller, submission)
                assert isinstance(view, View)
                over = await app.desk.wait("sandbox", view.snapshot.id, 20)
                assert over.snapshot.state.awaiting is None
                ids.append(str(view.snapshot.id))
            app.worker.stop()
            await worker
        return ids

    from pathlib import Path

    return asyncio.run(walk(Path.cwd() / "state"))


@pytest.mark.usefixtures("applications")
def test_a_service_that_worked_is_proven(kyc: Kyc) -> None:
    rebuilt, audited = kyc("rebuild", "--check-only"), kyc("audit", "verify")
    assert (rebuilt.exit_code, audited.exit_code) == (0, 0)
    assert rebuilt.stdout.splitlines()[-1] == "every snapshot equals its log"
    assert rebuilt.stdout.startswith("3 applications, folded from ")
    assert audited.stdout.splitlines()[-1] == "every chain is whole"
    assert audited.stdout.startswith("3 chains, ")


def test_a_changed_snapshot_is_named_and_only_put_right_when_that_is_wanted(
    kyc: Kyc, applications: list[str], dsn: str
) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        before = connection.execute("select * from applications order by id").fetchall()
        connection.execute("update applications set status = 'VERIFIED', email_index = null where status = 'REJECTED'")
        for _ in range(2):
            looked = kyc("rebuild", "--check-only")
            assert looked.exit_code == 1
            assert looked.stdout.splitlines()[0] == f"{applications[1]}  differs in status, email_index"
            assert looked.stderr == "kyc: 1 of the snapshots were not what the log says.\n"
        mended = kyc("rebuild")
        assert mended.exit_code == 1
        assert mended.stdout.splitlines()[0].endswith(", and was put right")
        assert kyc("rebuild").exit_code == 0
        assert connection.execute("select * from applications order by id").fetchall() == before


def test_an_erased_person_leaves_the_index(kyc: Kyc, applications: list[str], dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("update keys set wrapped = null, destroyed_at = now() where class = 'cdd'")
        assert kyc("rebuild").stdout.count("differs in email_index, and was put right") == len(applications)
        assert connection.execute("select distinct email_index from applications").fetchall() == [(None,)]
    assert (kyc("rebuild").exit_code, kyc("audit", "verify").exit_code) == (0, 0)


def test_particulars_that_were_swapped_are_told(kyc: Kyc, applications: list[str], dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("alter table events disable trigger user")
        connection.execute(
            "update events set sealed = (select sealed from events where stream = %s and version = 1)"
            " where stream = %s and version = 1",
            (applications[0], applications[1]),
        )
        connection.execute("alter table events enable trigger user")
    rebuilt, audited = kyc("rebuild"), kyc("audit", "verify")
    assert rebuilt.exit_code == 1
    assert f"{applications[1]}  cannot be folded (NotReadable)" in rebuilt.stdout
    assert audited.exit_code == 1
    assert f"{applications[1]}  version 1: the event is not what was written" in audited.stdout
    assert audited.stderr == "kyc: The log is not what was written: 1 break(s).\n"
