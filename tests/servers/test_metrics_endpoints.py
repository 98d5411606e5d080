"""The metrics endpoints of real servers: the sums of all their processes."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import server_process
from tests.celery_kit import celery_worker
from tests.server_process import Server, serving
from tests.stub_collector import StubCollector
from tests.stub_collector_process import free_port

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
METRICS = {"OTEL_DJANGO_METRICS_ACCESS": "loopback"}


def requests_counted(server: Server, name: str = "django_http_requests_total") -> dict[str, float]:
    """By route, as a scrape tells."""
    counted: dict[str, float] = {}
    for family in text_string_to_metric_families(server.get("/metrics").body.decode()):
        for sample in family.samples:
            if sample.name == name:
                route = sample.labels.get("endpoint") or sample.labels.get("http_route", "")
                counted[route] = counted.get(route, 0) + sample.value
    return counted


def wait_until_counted(server: Server, route: str, count: int) -> None:
    """Other processes show what they counted within a second."""
    deadline = time.monotonic() + 15
    while (found := requests_counted(server).get(route)) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


@pytest.mark.parametrize("preload", [True, False])
def test_N2_recycled_workers_are_summed_without_a_folder_or_middleware_of_the_users(
    preload: bool,
) -> None:
    options = ["--workers=2", "--max-requests=15", *(["--preload"] if preload else [])]
    with serving(server_process.gunicorn(*options), METRICS) as server:
        seen = 0.0
        for done in range(1, 31):
            assert server.get("/plain/").status == 200
            now = requests_counted(server).get("/plain/", 0)
            assert seen <= now <= done
            seen = now
        wait_until_counted(server, "/plain/", 30)


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def strict_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """With settings that would refuse a probe, and no database."""
    command = getattr(server_process, request.param)()
    env = {
        **METRICS,
        "OTEL_DJANGO_TOKENS": "sesame",
        "DJANGO_SETTINGS_MODULE": "tests.site.settings_that_refuse",
    }
    with serving(command, env, ready="/metrics") as server:
        yield server


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/metrics", "/monitoring/metrics/"])
def test_a_scrape_passes_where_every_page_is_refused(strict_server: Server, path: str) -> None:
    assert strict_server.get("/plain/", host="10.1.2.3:8000").status == 400
    assert strict_server.get("/plain/", host="shop.example").status == 301
    ask = partial(strict_server.get, path, host="10.1.2.3:8000", authorization="Bearer sesame")
    answer = ask(accept=OPENMETRICS)
    assert answer.status == 200
    assert answer.body.endswith(b"# EOF\n")
    assert strict_server.get(path, host="10.1.2.3:8000").status == 401
    assert ask(method="POST").status == 405
    head = ask(method="HEAD")
    assert (head.status, head.body) == (200, b"")
    packed = ask(accept_encoding="gzip")
    assert packed.headers["Cache-Control"] == "no-store"
    assert len(gzip.decompress(packed.body)) > len(packed.body)


def test_scrapes_and_refusals_count_as_requests(strict_server: Server) -> None:
    for _ in range(3):
        strict_server.get("/metrics")
        strict_server.get("/plain/", host="shop.example")
    page = json.loads(strict_server.get("/metrics?format=json").body)
    (durations,) = (
        metric
        for resource in page["resources"]
        for metric in resource["metrics"]
        if metric["name"] == "http.server.request.duration"
    )
    found: Counter[tuple[str | None, int]] = Counter()
    for series in durations["series"]:
        attributes = series["attributes"]
        route, status = attributes.get("http.route"), attributes["http.response.status_code"]
        found[route, status] += series["count"]
    assert found["/metrics", 200] >= 3
    assert found[None, 301] >= 3


def test_of_the_workers_of_a_web_server_one_listens_and_no_other_complains(tmp_path: Path) -> None:
    port = free_port()
    env = {
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
        "OTEL_DJANGO_RUN_DIR": str(tmp_path),
    }
    with serving(server_process.gunicorn("--workers=4"), env) as server:
        wait_until_it_listens(port)
        children = psutil.Process(server.pid).children()
        listening = [child for child in children if listens(child.pid, port)]
        assert len(listening) == 1
        for _ in range(40):
            assert server.get("/plain/").status == 200
        deadline = time.monotonic() + 10
        while (counted := plain_requests(get(port).body.decode())) != 40:
            assert time.monotonic() < deadline, counted
            time.sleep(0.1)
        listening[0].kill()
        time.sleep(0.5)
        wait_until_it_listens(port)
        assert "something else listens there" not in server.output()


def plain_requests(page: str) -> float:
    """How many a page of OpenMetrics tells of."""
    name = "http_server_request_duration_seconds_count"
    counts = [line for line in page.splitlines() if line.startswith(name) and '"/plain/"' in line]
    return sum(float(line.rpartition("} ")[2].split()[0]) for line in counts)


def test_a_worker_listens_in_its_main_process_only(tmp_path: Path) -> None:
    port = free_port()
    listen = {"OTEL_DJANGO_METRICS_LISTEN": f"127.0.0.1:{port}"}
    with (
        StubCollector() as collector,
        celery_worker(tmp_path / "one", collector, concurrency=1, **listen) as worker,
    ):
        assert get(port).status == 200
        assert not any(listens(child, port) for child in worker.children)
        with celery_worker(tmp_path / "two", collector, concurrency=1, **listen) as second:
            assert second.output().count("something else listens there") == 1
            worker.stop()
            wait_until_it_listens(port)
            assert get(port).body.endswith(b"# EOF\n")
            second.stop()
    with pytest.raises(ConnectionRefusedError):
        get(port)


def get(port: int) -> server_process.Answer:
    """A scrape."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers={"Accept": OPENMETRICS})
        response = connection.getresponse()
        return server_process.Answer(response.status, response.headers, response.read())


def wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 15
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            get(port)
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def listens(pid: int, port: int) -> bool:
    """Whether a process has a socket that listens there."""
    return any(
        connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        for connection in psutil.Process(pid).net_connections("tcp")
    )
