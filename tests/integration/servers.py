"""Real servers for the length of a test run: own port, temporary folder, no password."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Server(NamedTuple):
    """Where a server listens: TCP on the loopback and a Unix socket's folder or file."""

    host: str
    port: int
    socket: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}:{self.socket}"

    @classmethod
    def parse(cls, text: str) -> Server:
        """What ``str`` made."""
        host, port, path = text.split(":", 2)
        return cls(host, int(port), path)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def program(*candidates: str) -> str:
    """The first program there is; else the test fails in CI and is skipped elsewhere."""
    for candidate in candidates:
        for path in sorted(Path("/").glob(candidate.lstrip("/")), reverse=True):
            return str(path)
        found = shutil.which(candidate)
        if found:
            return found
    message = f"no {Path(candidates[0]).name} on this machine"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class _Account:
    """Who runs a server: database servers refuse to be root."""

    def __init__(self, *candidates: str) -> None:
        self.options: dict[str, Any] = {}
        self._ids: tuple[int, int] | None = None
        if os.geteuid() != 0:
            return
        for name in (*candidates, "nobody"):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                self._ids = (entry.pw_uid, entry.pw_gid)
                self.options = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
                return

    def own(self, folder: Path) -> None:
        """Give the folder to the account."""
        if self._ids is not None:
            os.chown(folder, *self._ids)


@contextlib.contextmanager
def _running(
    prepare: Callable[[Path], list[str]],
    command: Callable[[Path], list[str]],
    answers: Callable[[], bool],
    account: _Account,
    environ: Callable[[Path], dict[str, str]] = lambda folder: {},
) -> Iterator[Path]:
    """The server of ``command``, after ``prepare``, until the block ends."""
    folder = Path(
        tempfile.mkdtemp(prefix="otel-django-db-", dir="/tmp")
    )  # sockets need short paths
    env = {**os.environ, **environ(folder)}
    process: subprocess.Popen[bytes] | None = None
    log = folder / "server.log"
    try:
        account.own(folder)
        made = subprocess.run(
            prepare(folder),
            cwd=folder,
            env=env,
            capture_output=True,
            check=False,
            **account.options,
        )
        if made.returncode != 0:
            pytest.fail(f"{prepare(folder)[0]}: {made.stderr.decode(errors='replace')[-2000:]}")
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(folder),
                cwd=folder,
                env=env,
                stdout=output,
                stderr=output,
                **account.options,
            )
        deadline = time.monotonic() + 60
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command(folder)[0]}: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield folder
    finally:
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgresql() -> Iterator[Server]:
    """PostgreSQL; user and database are both ``postgres``."""
    initdb = program("/usr/lib/postgresql/*/bin/initdb", "initdb")
    server = program("/usr/lib/postgresql/*/bin/postgres", "postgres")
    port = free_port()

    def prepare(folder: Path) -> list[str]:
        options = ["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"]
        return [initdb, "-D", str(folder / "data"), *options]

    def command(folder: Path) -> list[str]:
        options = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"]
        return [server, "-D", str(folder / "data"), "-p", str(port), "-k", str(folder), *options]

    def answers() -> bool:
        import psycopg2

        with contextlib.suppress(psycopg2.OperationalError):
            psycopg2.connect(host="127.0.0.1", port=port, user="postgres").close()
            return True
        return False

    with _running(prepare, command, answers, _Account("postgres")) as folder:
        yield Server("127.0.0.1", port, str(folder))


@contextlib.contextmanager
def mariadb() -> Iterator[Server]:
    """MariaDB; the user is ``root``, the database ``test``."""
    install = program("mariadb-install-db", "mysql_install_db")
    server = program("/usr/sbin/mariadbd", "mariadbd")
    port = free_port()

    def prepare(folder: Path) -> list[str]:
        options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        return [install, "--no-defaults", f"--datadir={folder / 'data'}", *options]

    def command(folder: Path) -> list[str]:
        return [
            server,
            "--no-defaults",
            f"--datadir={folder / 'data'}",
            f"--port={port}",
            f"--socket={folder / 'mariadb.sock'}",
            f"--pid-file={folder / 'pid'}",
            "--bind-address=127.0.0.1",
            "--innodb-flush-log-at-trx-commit=0",
        ]

    def answers() -> bool:
        import pymysql

        with contextlib.suppress(pymysql.err.OperationalError):
            connection = pymysql.connect(host="127.0.0.1", port=port, user="root")
            connection.cursor().execute("CREATE DATABASE IF NOT EXISTS test")
            connection.close()
            return True
        return False

    with _running(prepare, command, answers, _Account("mysql")) as folder:
        yield Server("127.0.0.1", port, str(folder / "mariadb.sock"))


@contextlib.contextmanager
def redis() -> Iterator[Server]:
    """Redis, in memory only."""
    server = program("redis-server")
    port = free_port()

    def command(folder: Path) -> list[str]:
        return [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "."]

    with _running(_nothing, command, lambda: _listens(port), _Account("redis")) as folder:
        yield Server("127.0.0.1", port, str(folder))


@contextlib.contextmanager
def memcached() -> Iterator[Server]:
    """Memcached."""
    server = program("memcached")
    port = free_port()

    def command(folder: Path) -> list[str]:
        return [server, "-p", str(port), "-l", "127.0.0.1", "-U", "0"]

    with _running(_nothing, command, lambda: _listens(port), _Account("memcache")) as folder:
        yield Server("127.0.0.1", port, str(folder))


def _nothing(folder: Path) -> list[str]:
    """A server that needs no preparation."""
    return ["true"]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


@contextlib.contextmanager
def rabbitmq() -> Iterator[Server]:
    """RabbitMQ as a node of its own, with a port mapper of its own; user and password: guest."""
    server = program("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
    port, mapper_port, node_port = free_port(), free_port(), free_port()
    mapper = subprocess.Popen(
        [program("epmd"), "-port", str(mapper_port), "-address", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def environ(folder: Path) -> dict[str, str]:
        return {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(mapper_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_NODENAME": f"rabbit-{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(node_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    try:
        with _running(
            _nothing,
            lambda folder: [server],
            lambda: _listens(port),
            _Account("rabbitmq"),
            environ,
        ) as folder:
            yield Server("127.0.0.1", port, str(folder))
    finally:
        mapper.terminate()
        mapper.wait(10)


def run_again(module: str, **environment: str) -> None:
    """Run a test module once more, in a process of its own with other drivers."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", module],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
