"""Real database servers for the length of a test run: own port, temporary folder, no password."""

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
) -> Iterator[Path]:
    """The server of ``command``, after ``prepare``, until the block ends."""
    folder = Path(
        tempfile.mkdtemp(prefix="otel-django-db-", dir="/tmp")
    )  # sockets need short paths
    process: subprocess.Popen[bytes] | None = None
    log = folder / "server.log"
    try:
        account.own(folder)
        made = subprocess.run(
            prepare(folder), cwd=folder, capture_output=True, check=False, **account.options
        )
        if made.returncode != 0:
            pytest.fail(f"{prepare(folder)[0]}: {made.stderr.decode(errors='replace')[-2000:]}")
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(folder), cwd=folder, stdout=output, stderr=output, **account.options
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
