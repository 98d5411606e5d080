"""Real servers of the test site, each a process group of its own, for tests.

    with serving(gunicorn("--workers", "4"), env) as server:
        server.get("/plain/")
        server.terminate()

Output goes to ``server.log``, a file that a failing test shows.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.stub_collector_process import free_port

ROOT = Path(__file__).parents[1]
Command = Callable[[int], list[str]]


def gunicorn(*options: str) -> Command:
    """gunicorn with one synchronous worker, unless ``options`` say more."""
    return lambda port: [
        *(sys.executable, "-m", "gunicorn", "tests.site.wsgi:application"),
        *("--bind", f"127.0.0.1:{port}", "--no-control-socket", "--graceful-timeout", "5"),
        *options,
    ]


def uvicorn(*options: str) -> Command:
    """uvicorn with one process."""
    return lambda port: [
        *(sys.executable, "-m", "uvicorn", "tests.site.asgi:application"),
        *("--port", str(port), "--log-level", "warning", *options),
    ]


def runserver(*options: str) -> Command:
    """Django's development server."""
    return lambda port: [
        *(sys.executable, "-m", "django", "runserver", f"127.0.0.1:{port}", *options)
    ]


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [child.pid for child in psutil.Process(pid).children()]


def receiver(store: Path, *options: str) -> Command:
    """``python -m otel_django receive``; ``ready`` is a page, or "/login/" with a token."""
    return lambda port: [
        *(sys.executable, "-m", "otel_django", "receive", "--port", str(port)),
        *("--store", str(store), *options),
    ]


class Answer(NamedTuple):
    """A response, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Server:
    """A running server; ``pid`` is the process that was started."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self.port = port
        self.log = log

    def get(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Answer:
        """One request on a connection of its own; ``_`` in a header's name stands for a dash."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def ask_and_leave(self, path: str, after_bytes: int = 0) -> None:
        """Send a request and close the connection, after some of the answer at most."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=15) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            if after_bytes:
                connection.recv(after_bytes)
            else:
                time.sleep(0.2)  # let the view begin

    def terminate(self, timeout_s: float = 15.0, number: int = signal.SIGTERM) -> float:
        """Ask it to stop; returns how many seconds it took.

        Raises:
            AssertionError: when it is still there after ``timeout_s``.
        """
        start = time.monotonic()
        self.process.send_signal(number)
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s} s:\n{self.output()}") from None
        return time.monotonic() - start

    def kill(self) -> None:
        """SIGKILL to the whole process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(10)

    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def serving(
    command: Command,
    env: Mapping[str, str],
    *,
    cwd: Path = ROOT,
    ready: str = "/livez",
    port: int | None = None,
) -> Iterator[Server]:
    """Start, wait until it answers ``ready`` (which has no span), stop at the end.

    ``env`` is added to this process's environment less its ``OTEL_*`` and pytest's variables;
    ``port`` is any free one.
    """
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OTEL_", "PYTEST_", "TESTS_"))
    }
    with tempfile.TemporaryDirectory(prefix="otel-django-server-") as folder:
        log = Path(folder, "server.log")
        port = port or free_port()
        base = {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "PYTHONUNBUFFERED": "1",
            "TESTS_BASE_DIR": folder,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(port),
                cwd=cwd,
                env={**inherited, **base, **env},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = Server(process, port, log)
        try:
            _wait_until_up(server, ready)
            yield server
        except BaseException:
            print(server.output())
            raise
        finally:
            server.kill()


def _wait_until_up(server: Server, path: str, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise AssertionError(f"the server ended at once:\n{server.output()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.get(path).status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"no answer after {timeout_s} s:\n{server.output()}")
