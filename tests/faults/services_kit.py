"""A site on real servers, each behind a proxy that can misbehave, and probes that are timed."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests import server_process
from tests.integration import servers
from tests.misbehaving import Proxy, proxy

TOKEN: Final = "Bearer sesame-0123456789"
CHECKS: Final = {
    "database": "database",
    "cache": "cache",
    "broker": "celery_broker",
    "http": "http",
}
"""The check of each service."""
BUDGET_S: Final = 0.5


class Services(NamedTuple):
    """``proxies`` by the services' names."""

    proxies: Mapping[str, Proxy]
    database_log: Path

    def environ(self, **more: str) -> dict[str, str]:
        """What makes a server one of this site."""
        ports = ":".join(str(self.proxies[name].port) for name in CHECKS)
        settings = "tests.faults.services_site"
        return {"DJANGO_SETTINGS_MODULE": settings, "TESTS_PORTS": ports, **more}

    def well(self) -> None:
        """All of them behave."""
        for each in self.proxies.values():
            each.pass_on()


@contextmanager
def services() -> Iterator[Services]:
    """PostgreSQL with the site's tables, Redis as cache and as broker, a service over HTTP."""
    with ExitStack() as stack:
        postgresql = stack.enter_context(servers.postgresql())
        redis = stack.enter_context(servers.redis())
        ports = (postgresql.port, redis.port, redis.port, stack.enter_context(_partner()))
        proxies = [stack.enter_context(proxy(port)) for port in ports]
        log = Path(postgresql.socket, "server.log")
        made = Services(dict(zip(CHECKS, proxies, strict=True)), log)
        manage(made, "migrate", "--verbosity=0")
        yield made


@contextmanager
def _partner() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Partner)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Partner(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def manage(made: Services, *arguments: str) -> None:
    """A management command of the site."""
    subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=server_process.ROOT,
        env={**_inherited(), **made.environ(TESTS_BASE_DIR="/tmp")},
        timeout=60,
        check=True,
    )


def _inherited() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}


def gunicorn(*options: str) -> server_process.Command:
    """gunicorn with the site's WSGI application."""
    return lambda port: [
        *(sys.executable, "-m", "gunicorn", "tests.faults.services_app:wsgi"),
        *("--bind", f"127.0.0.1:{port}", "--no-control-socket", "--graceful-timeout", "5"),
        *options,
    ]


def uvicorn(port: int) -> list[str]:
    """uvicorn with the site's ASGI application."""
    return [
        *(sys.executable, "-m", "uvicorn", "tests.faults.services_app:asgi"),
        *("--port", str(port), "--log-level", "warning"),
    ]


class Probed(NamedTuple):
    """One answer; ``checks`` is empty for a stranger."""

    path: str
    began_s: float
    took_s: float
    status: int
    body: bytes

    @property
    def checks(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body).get("checks", {})
        return found


def probe(server: server_process.Server, path: str = "/ready/") -> Probed:
    """Asked with the token."""
    began_s = time.monotonic()
    answer = server.get(path, authorization=TOKEN)
    return Probed(path, began_s, time.monotonic() - began_s, answer.status, answer.body)


def probe_on(
    server: server_process.Server, seconds: float, rate: float, *paths: str, threads: int = 8
) -> list[Probed]:
    """At a steady pace, the paths in turn."""
    began_s = time.monotonic()
    turns = paths or ("/ready/",)

    def one(number: int) -> Probed:
        time.sleep(max(0.0, began_s + number / rate - time.monotonic()))
        return probe(server, turns[number % len(turns)])

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(int(seconds * rate))))


def wait_for(
    server: server_process.Server, wanted: Callable[[Probed], bool], timeout_s: float = 20.0
) -> Probed:
    """Probe until it is so."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = probe(server)
        if wanted(found):
            return found
        assert time.monotonic() < deadline_s, found
        time.sleep(0.1)


def quantile(values: list[float], part: float) -> float:
    """The value that ``part`` of them don't exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def workers(server: server_process.Server) -> list[int]:
    """The processes that gunicorn has started."""
    return server_process.children_of(server.pid)
