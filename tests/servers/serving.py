"""Real servers, serving the test site and exporting to a stub collector."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stub_collector import StubCollector

ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """A server process on 127.0.0.1 and what it exports to."""

    port: int
    process: subprocess.Popen[bytes]
    collector: StubCollector

    def get(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        """One request on a connection of its own, read to its end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=sent)
            response = connection.getresponse()
            response.body = response.read()  # type: ignore[attr-defined]
            return response
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

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


@contextmanager
def gunicorn(*arguments: str, **environ: str) -> Iterator[Server]:
    """gunicorn with the site's WSGI application."""
    command = ["gunicorn", "tests.site.wsgi:application", "--log-level", "warning"]
    with _served([*command, *arguments], "--bind=127.0.0.1:{port}", environ) as server:
        yield server


@contextmanager
def uvicorn(*arguments: str, **environ: str) -> Iterator[Server]:
    """uvicorn with the site's ASGI application."""
    command = ["uvicorn", "tests.site.asgi:application", "--log-level", "warning"]
    with _served([*command, *arguments], "--port={port}", environ) as server:
        yield server


@contextmanager
def _served(command: list[str], where: str, environ: dict[str, str]) -> Iterator[Server]:
    port = _free_port()
    with StubCollector() as collector, tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, where.format(port=port)],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "TESTS_BASE_DIR": folder,
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
                "OTEL_BSP_SCHEDULE_DELAY": "100",
                **environ,
            },
        )
        server = Server(port, process, collector)
        try:
            _wait_for(server)
            yield server
        finally:
            server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(server: Server, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended with {server.process.returncode}")
        try:
            server.get("/livez")  # has no span
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the server doesn't answer")
