"""A real Prometheus scrapes gunicorn, and promtool judges a page with every metric."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from otel_django.metrics import exposition
from tests import server_process
from tests.integration.servers import free_port, program
from tests.prometheus_kit import NOW_NS, every_built_in_metric
from tests.server_process import Server, serving

COMPLAINTS = {
    f'{name} non-histogram and non-summary metrics should not have "_count" suffix'
    for name in (
        "db_client_connection_count",
        "process_thread_count",
        "process_unix_file_descriptor_count",
    )
}
"""Names that the semantic conventions give."""

JOBS = ("text", "openmetrics")
ASKED = {"/plain/": 120, "/api/v1/articles/<int:pk>/": 60, "/answers-500/": 20}
PATHS = {**{route: route for route in ASKED}, "/api/v1/articles/<int:pk>/": "/api/v1/articles/7/"}

Values = dict[tuple[str, ...], float]


@pytest.mark.parametrize("metric_names", ["otel", "classic", "both"])
def test_promtool_passes_the_page_but_for_names_of_the_conventions(
    metric_names: exposition.MetricNames,
) -> None:
    page = exposition.render([every_built_in_metric()], "prometheus", metric_names, NOW_NS)
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=page,
        capture_output=True,
        timeout=60,
        check=False,
    )
    complaints = set((checked.stdout + checked.stderr).decode().strip().splitlines())
    assert complaints == (set() if metric_names == "classic" else COMPLAINTS)


class Prometheus:
    """A running one."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, **parameters: object) -> Any:
        """What its HTTP API answers."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]

    def values(self, query: str) -> Values:
        """By the labels' values."""
        return {
            tuple(value for _, value in sorted(each["metric"].items())): float(each["value"][1])
            for each in self.ask("query", query=query)["result"]
        }

    def wait_for(self, query: str, expected: Values) -> None:
        """Until the answer is that."""
        wait_until(lambda: self.values(query), expected)


def wait_until(look: Callable[[], Any], expected: Any, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError):
            found = look()
            if found == expected:
                return
            assert time.monotonic() < deadline, found
        assert time.monotonic() < deadline, "no answer"
        time.sleep(0.2)


@contextlib.contextmanager
def prometheus(folder: Path, target_port: int) -> Iterator[Prometheus]:
    """Scrapes the target in both formats, three times a second."""
    config = {
        "global": {"scrape_interval": "300ms", "scrape_timeout": "300ms"},
        "scrape_configs": [
            {
                "job_name": job,
                "params": {"format": ["prometheus"]} if job == "text" else {},
                "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}],
            }
            for job in JOBS
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML, too
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        started = Prometheus(port)
        wait_until(
            lambda: started.values("up"),
            {("up", f"127.0.0.1:{target_port}", job): 1.0 for job in JOBS},
        )
        yield started
    except BaseException:
        print((folder / "prometheus.log").read_text())
        raise
    finally:
        process.kill()
        process.wait(10)


def test_N2_what_prometheus_scrapes_is_what_was_asked(tmp_path: Path) -> None:
    options = ("--workers=4", "--max-requests=50")
    env = {"OTEL_DJANGO_METRICS_ACCESS": "loopback"}
    with (
        serving(server_process.gunicorn(*options), env) as server,
        prometheus(tmp_path, server.port) as scraped,
    ):
        trace_ids = traffic(server)
        counts: Values = {(route,): float(count) for route, count in ASKED.items()}
        for job in JOBS:
            for name, route, more in (
                ("http_server_request_duration_seconds_count", "http_route", ""),
                ("http_server_request_duration_seconds_bucket", "http_route", ",le='+Inf'"),
                ("django_http_requests_total", "endpoint", ""),
                ("django_http_request_duration_seconds_count", "endpoint", ""),
            ):
                asked = f"{route}=~'/plain/|/answers-500/|/api/v1/articles.+'"
                series = f"{name}{{job='{job}',{asked}{more}}}"
                scraped.wait_for(f"sum by ({route}) ({series})", counts)
        assert fallen(scraped) == []
        failed = "sum by (status) (django_http_requests_total{endpoint='/answers-500/',job='text'})"
        assert scraped.values(failed) == {("500",): 20.0}
        assert exemplar_traces(scraped) <= trace_ids
        assert exemplar_traces(scraped)


def fallen(scraped: Prometheus) -> list[str]:
    """Series of counters and histograms that ever went backwards, of more than one sample."""
    found = scraped.ask("query", query="{__name__=~'.+_(total|bucket|sum)'}[5m]")["result"]
    histories = {
        str(series["metric"]): [float(value) for _, value in series["values"]] for series in found
    }
    assert len(histories) > 100
    return [name for name, values in histories.items() if values != sorted(values)]


def traffic(server: Server) -> set[str]:
    """Ask as often as ``ASKED`` says, from four clients at a time; returns the trace ids."""
    asked = Counter(ASKED)
    with ThreadPoolExecutor(4) as clients:
        answers = clients.map(
            lambda route: server.get(PATHS[route]).headers["X-Request-ID"],
            asked.elements(),
        )
        return set(answers)


def exemplar_traces(scraped: Prometheus) -> set[str]:
    """The trace ids that Prometheus knows of pages' durations."""
    found = scraped.ask(
        "query_exemplars",
        query="http_server_request_duration_seconds_bucket{http_route='/plain/'}",
        start=time.time() - 300,
        end=time.time() + 1,
    )
    return {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}
