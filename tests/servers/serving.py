"""Real servers of the test site that export to a stub collector of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests import server_process
from tests.server_process import Command
from tests.stub_collector import StubCollector


class Server:
    """A server, reached as ``server_process.Server``, and the ``collector`` it exports to."""

    def __init__(self, server: server_process.Server, collector: StubCollector) -> None:
        self.collector = collector
        self.port = server.port
        self.get = server.get
        self.ask_and_leave = server.ask_and_leave
        self.output = server.output
        self.stop = server.terminate


@contextmanager
def gunicorn(*options: str, **environ: str) -> Iterator[Server]:
    """gunicorn with the site's WSGI application."""
    with served(server_process.gunicorn(*options), environ) as server:
        yield server


@contextmanager
def uvicorn(*options: str, **environ: str) -> Iterator[Server]:
    """uvicorn with the site's ASGI application."""
    with served(server_process.uvicorn(*options), environ) as server:
        yield server


@contextmanager
def served(command: Command, environ: dict[str, str]) -> Iterator[Server]:
    """Any server that exports to a collector of its own."""
    with StubCollector() as collector:
        exporting = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with server_process.serving(command, {**exporting, **environ}) as server:
            yield Server(server, collector)
