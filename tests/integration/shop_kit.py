"""The example shop under gunicorn with a Celery worker, and visitors who keep count."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import psycopg
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.servers import Server as Database
from tests.server_process import ROOT, Server, children_of, serving
from tests.stub_collector import StubCollector, plain_dict

SHOP = ROOT / "examples" / "shop"
GOOD_CARD = "4242 4242 4242 4242"
BAD_CARD = "4000 0000 0000 0002"
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_PRODUCT = re.compile(r'href="/product/([^"/]+)/"')
_CATEGORY = re.compile(r'href="/category/([^"/]+)/"')

Counts = Counter[tuple[Any, ...]]


class Shop:
    """A running shop: ``server`` and ``worker``, which export to ``collector``.

    ``env`` is the whole environment, for more of its commands.
    """

    def __init__(
        self,
        server: Server,
        worker: subprocess.Popen[bytes],
        log: Path,
        collector: StubCollector,
        env: Mapping[str, str],
    ) -> None:
        self.server = server
        self.worker = worker
        self.worker_log = log
        self.collector = collector
        self.env = env

    def samples(self) -> dict[tuple[str, ...], float]:
        """What ``/metrics`` says: names with their labels, and values."""
        page = self.server.get("/metrics").body.decode()
        return {
            (sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))): (
                sample.value
            )
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    def counted(self, name: str, *labels: str) -> Counts:
        """A sample's sums by these labels ("" where one is absent)."""
        counts: Counts = Counter()
        for (sample, *pairs), value in self.samples().items():
            given = dict(pair.split("=", 1) for pair in pairs)
            if sample == name:
                counts[tuple(given.get(label, "") for label in labels)] += int(value)
        return counts

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The lines of JSON that tell of an event, of both processes."""
        return [line for line in self._lines() if line["event"] == event]

    def lines_of(self, logger: str) -> list[dict[str, Any]]:
        """Those of a logger."""
        return [line for line in self._lines() if line["logger"] == logger]

    def _lines(self) -> list[dict[str, Any]]:
        written = self.server.output() + self.worker_log.read_text(errors="replace")
        return [json.loads(line) for line in written.splitlines() if line[:1] == "{"]

    def records(self, event: str) -> list[dict[str, Any]]:
        """The attributes of the log records of an event that have arrived."""
        return [
            plain_dict(record.attributes)
            for body in self.collector.raw_bodies("logs")
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
            if record.event_name == event
        ]

    @property
    def server_workers(self) -> list[int]:
        """gunicorn's children."""
        return children_of(self.server.pid)


@contextlib.contextmanager
def shop(
    folder: Path,
    *options: str,
    asgi: bool = False,
    settings: str = "shop.settings",
    pool: str = "prefork",
    tasks_per_child: int = 10,
    more_env: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Iterator[Shop]:
    """Make the shop ready in ``folder`` and serve it; everything is ended with the block.

    ``options`` are gunicorn's; with ``asgi`` it is uvicorn. ``pool`` is the worker's, and so is
    ``tasks_per_child``. ``more_env`` may name another endpoint than the stub collector's; ``port``
    is any free one.
    """
    with StubCollector() as collector:
        env = {
            "DJANGO_SETTINGS_MODULE": settings,
            "DEMO_DIR": str(folder / "demo"),
            "DEMO_PASSWORD": "demo",
            "DEMO_CUSTOMER_PASSWORD": "regular",
            "PYTHONPATH": str(ROOT),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_DJANGO_STORE": "off",
            "OTEL_DJANGO_LOG_FORMAT": "json",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_BLRP_SCHEDULE_DELAY": "100",
            "OTEL_DJANGO_MAX_OVERHEAD": "0",  # no trace is left out, however busy it is
            **(more_env or {}),
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PYTEST_"))}
        whole = {**kept, **env}
        prepare = [sys.executable, "manage.py", "prepare_demo"]
        subprocess.run(prepare, cwd=SHOP, env=whole, check=True, capture_output=True)
        log = folder / "worker.log"
        command = _uvicorn if asgi else _gunicorn(*options)
        with (
            serving(command, env, cwd=SHOP, ready="/metrics", port=port) as server,
            _worker(whole, log, pool, tasks_per_child) as worker,
        ):
            yield Shop(server, worker, log, collector, whole)


def production_environment(postgresql: Database, redis: Database) -> dict[str, str]:
    """What ``shop.production`` needs; its database is made, anew."""
    address = f"host={postgresql.host} port={postgresql.port} user=postgres"
    with psycopg.connect(f"{address} dbname=postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS shop_production")
        connection.execute("CREATE DATABASE shop_production")
    where = f"{postgresql.host}:{postgresql.port}"
    return {
        "SHOP_SECRET_KEY": "a key of the tests",
        "SHOP_DATABASE_URL": f"postgresql://postgres@{where}/shop_production",
        "SHOP_REDIS_URL": f"redis://{redis.host}:{redis.port}/7",
        "SHOP_HOSTS": "127.0.0.1,localhost",
    }


def _gunicorn(*options: str) -> Callable[[int], list[str]]:
    return lambda port: [
        *(sys.executable, "-m", "gunicorn", "shop.wsgi:application"),
        *("--bind", f"127.0.0.1:{port}", "--no-control-socket", *options),
    ]


def _uvicorn(port: int) -> list[str]:
    return [sys.executable, "-m", "uvicorn", "shop.asgi:application", "--port", str(port)]


@contextlib.contextmanager
def _worker(
    env: dict[str, str], log: Path, pool: str, tasks_per_child: int
) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        *(sys.executable, "-m", "celery", "-A", "shop", "worker", "--concurrency", "2"),
        *("--pool", pool, "--loglevel", "INFO", "--without-mingle"),
        *(("--max-tasks-per-child", str(tasks_per_child)) if pool == "prefork" else ()),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=SHOP,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    except BaseException:
        print(log.read_text(errors="replace")[-20_000:])
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Each request is one."""


class Visitor:
    """A browser that counts its requests by (route, status) in ``counts``."""

    def __init__(self, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self.counts: Counts = Counter()
        self.unanswered = 0
        self.headers: dict[str, str] = {}
        self._browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar()),
            urllib.request.ProxyHandler({}),
            _NoRedirect,
        )

    def ask(self, route: str, path: str = "", **form: str) -> str:
        """Get ``path`` (the route by default), or post a form; its answer's text."""
        data = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(self.base_url + (path or route), data, self.headers)
        try:
            try:
                answer = self._browser.open(request, timeout=60)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                status, text = answer.status, answer.read().decode()
        except (OSError, HTTPException):
            self.unanswered += 1
            return ""
        self.counts[route, str(status)] += 1
        return str(text)

    def look_around(self) -> None:
        """A page of each kind."""
        page = self.ask("/")
        for category in _CATEGORY.findall(page)[:1]:
            self.ask("/category/<slug:slug>/", f"/category/{category}/")
        self.ask("/brands/")
        self.ask("/api/bargains/")
        self.ask("/export/products.csv")
        self.ask("/product/<slug:slug>/", "/product/discontinued/")
        self.ask("", "/nowhere")

    def buy(self, card: str, traceparent: str = "") -> None:
        """Put something into the cart and pay, with this ``traceparent`` if one is given."""
        for slug in _PRODUCT.findall(self.ask("/"))[:1]:
            page = self.ask("/product/<slug:slug>/", f"/product/{slug}/")
            self.ask("/cart/add/<slug:slug>/", f"/cart/add/{slug}/", **_token(page))
            page = self.ask("/checkout/")
            self.headers = {"traceparent": traceparent} if traceparent else {}
            self.ask("/checkout/", email="visitor@example.org", card=card, **_token(page))
            self.headers = {}

    def sign_in(self, username: str, password: str) -> None:
        """Send the form of the login page."""
        page = self.ask("/accounts/login/")
        self.ask("/accounts/login/", username=username, password=password, **_token(page))


def _token(page: str) -> dict[str, str]:
    found = _TOKEN.search(page)
    return {"csrfmiddlewaretoken": found[1] if found else ""}


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0) -> None:
    """Until ``condition`` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.2)
