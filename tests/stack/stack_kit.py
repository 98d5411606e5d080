"""The real Collector, Jaeger, Prometheus and Loki on free ports, with the files that users get.

with stack(tmp_path) as programs:
    ... export to programs.collector.endpoint
    programs.jaeger.trace("4bf9…")
    programs.loki.lines("4bf9…")
    programs.prometheus.query('up')
    programs.jaeger.kill(); programs.jaeger.start()     # the same ports, the same data
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.server_process import ROOT
from tests.stack.programs import path_of
from tests.stub_collector_process import free_port

COLLECTOR_CONFIG = ROOT / "collector-config"
READY_S = 120.0


class Service:
    """A program that runs, can be killed, and started again where it was."""

    name = ""
    ready_path = ""
    niceness = 0
    """Above 0 it gives way to the site, as on a machine of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name
        self.folder.mkdir(parents=True)
        self.log = folder / f"{self.name}.log"
        self.port = free_port()
        self.ready_port = self.port
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What is run."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """It was started and not killed."""
        return self._process is not None

    def start(self) -> None:
        """Start, and wait until it says that it is ready.

        Raises:
            AssertionError: when it ends or is not ready in time; with what it has written.
        """
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start without waiting."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PYTEST_"))}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                ["nice", "-n", str(self.niceness), *self.command()],
                cwd=self.folder,
                env={**inherited, "GOMEMLIMIT": "600MiB", **self.environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Until its own probe answers 200."""
        assert self._process is not None
        deadline = time.monotonic() + READY_S
        while not self._is_ready():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.name} is not ready:\n{self.output()[-5000:]}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            ask(f"http://127.0.0.1:{self.ready_port}{self.ready_path}", parse=False)
            return True
        return False

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def output(self) -> str:
        """What it has written."""
        return self.log.read_text(encoding="utf-8", errors="replace")


class Jaeger(Service):
    """With deploy/jaeger/jaeger.yaml."""

    name = "jaeger"
    ready_path = "/status"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ready_port, self.otlp_port, self.otlp_http_port = (free_port() for _ in range(3))
        self.environment = {
            "JAEGER_ADDRESS": "127.0.0.1",
            "JAEGER_DIR": str(self.folder),
            "JAEGER_PORT": str(self.port),
            "JAEGER_HEALTH_PORT": str(self.ready_port),
            "JAEGER_METRICS_PORT": str(free_port()),
            "JAEGER_QUERY_GRPC_PORT": str(free_port()),
            "JAEGER_OTLP_GRPC_PORT": str(self.otlp_port),
            "JAEGER_OTLP_HTTP_PORT": str(self.otlp_http_port),
            "OTEL_TRACES_SAMPLER": "always_off",  # as in docker-compose.yml
        }

    def command(self) -> list[str]:
        """See the class."""
        return [str(path_of("jaeger")), f"--config={ROOT / 'deploy/jaeger/jaeger.yaml'}"]

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace; none when it is not there.

        Each as Jaeger's API has it, with its ``service``, ``instance`` and ``attributes`` (tags).
        """
        try:
            found = ask(f"{self.url}/api/traces/{trace_id}")["data"]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return []
        return [span for trace in found for span in _spans_of(trace)]

    def spans(self, service: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        """All spans of the traces that touch a service between two times of the clock."""
        asked = urllib.parse.urlencode(
            {
                "service": service,
                "start": int(start_s * 1e6),
                "end": int(end_s * 1e6),
                "limit": 20_000,
            }
        )
        found = ask(f"{self.url}/api/traces?{asked}")["data"]
        return [span for trace in found for span in _spans_of(trace)]


def _spans_of(trace: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for span in trace["spans"]:
        process = trace["processes"][span["processID"]]
        tags = {tag["key"]: tag["value"] for tag in process["tags"]}
        yield {
            **span,
            "service": process["serviceName"],
            "instance": tags.get("service.instance.id"),
            "attributes": {tag["key"]: tag["value"] for tag in span["tags"]},
        }


class Loki(Service):
    """With deploy/loki/loki.yaml."""

    name = "loki"
    ready_path = "/ready"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment = {
            "LOKI_ADDRESS": "127.0.0.1",
            "LOKI_DIR": str(self.folder),
            "LOKI_PORT": str(self.port),
            "LOKI_GRPC_PORT": str(free_port()),
        }

    def command(self) -> list[str]:
        """See the class."""
        return [
            str(path_of("loki")),
            f"-config.file={ROOT / 'deploy/loki/loki.yaml'}",
            "-config.expand-env=true",
        ]

    def lines(self, query: str, start_s: float, limit: int = 5000) -> list[dict[str, Any]]:
        """The lines a LogQL query finds since ``start_s``: labels, ``line`` and ``time_ns``."""
        asked = urllib.parse.urlencode(
            {"query": query, "start": int(start_s * 1e9), "limit": limit, "direction": "forward"}
        )
        streams = ask(f"{self.url}/loki/api/v1/query_range?{asked}")["data"]["result"]
        return [
            {**stream["stream"], "line": line, "time_ns": int(time_ns)}
            for stream in streams
            for time_ns, line, *_ in stream["values"]
        ]

    def number(self, query: str) -> int:
        """The value of an instant query, such as a sum over ``count_over_time``; 0 for none."""
        asked = urllib.parse.urlencode({"query": query})
        found = ask(f"{self.url}/loki/api/v1/query?{asked}")["data"]["result"]
        return sum(int(float(each["value"][1])) for each in found)


class Prometheus(Service):
    """With deploy/prometheus/prometheus.yml, less what it would scrape and alert."""

    name = "prometheus"
    ready_path = "/-/ready"

    def command(self) -> list[str]:
        """See the class."""
        config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        for elsewhere in ("alerting", "rule_files", "scrape_config_files"):
            config.pop(elsewhere, None)
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        return [
            str(path_of("prometheus")),
            f"--config.file={file}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-otlp-receiver",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's vector: ``metric`` and ``value`` of each."""
        asked = urllib.parse.urlencode({"query": expression})
        found = ask(f"{self.url}/api/v1/query?{asked}")["data"]["result"]
        return [{**each, "value": float(each["value"][1])} for each in found]

    def exemplars(self, expression: str, start_s: float) -> list[dict[str, Any]]:
        """The exemplars of a selector's series since then: ``labels`` and ``value``."""
        asked = urllib.parse.urlencode(
            {"query": expression, "start": start_s, "end": time.time() + 60}
        )
        found = ask(f"{self.url}/api/v1/query_exemplars?{asked}")["data"]
        return [exemplar for series in found for exemplar in series["exemplars"]]


class Collector(Service):
    """With collector-config/collector.yaml and further files of that folder on top."""

    name = "collector"
    ready_path = "/"

    def __init__(self, folder: Path, *further: str, **environment: str) -> None:
        super().__init__(folder)
        self.files = ("collector.yaml", *further)
        self.ready_port, self.grpc_port, self.metrics_port = (free_port() for _ in range(3))
        self.environment = {
            "COLLECTOR_DIR": str(self.folder),
            "COLLECTOR_HTTP_PORT": str(self.port),
            "COLLECTOR_GRPC_PORT": str(self.grpc_port),
            "COLLECTOR_HEALTH_PORT": str(self.ready_port),
            "COLLECTOR_METRICS_PORT": str(self.metrics_port),
            **environment,
        }

    def command(self) -> list[str]:
        """See the class."""
        files = [f"--config={COLLECTOR_CONFIG / file}" for file in self.files]
        return [str(path_of("otelcol")), *files]

    def metrics(self) -> str:
        """The page of its own, in Prometheus' text format."""
        return str(ask(f"http://127.0.0.1:{self.metrics_port}/metrics", parse=False))


class Stack(NamedTuple):
    """The four of them."""

    collector: Collector
    jaeger: Jaeger
    loki: Loki
    prometheus: Prometheus


@contextlib.contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """All four, ready; ended with the block, and shown where it fails."""
    jaeger, loki, prometheus = Jaeger(folder), Loki(folder), Prometheus(folder)
    collector = Collector(folder, **passing_on_to(jaeger, loki, prometheus))
    programs = Stack(collector, jaeger, loki, prometheus)
    with running(*programs):
        yield programs


def passing_on_to(jaeger: Jaeger, loki: Loki, prometheus: Prometheus) -> dict[str, str]:
    """A Collector's environment: where the three are."""
    return {
        "JAEGER_OTLP_ENDPOINT": f"127.0.0.1:{jaeger.otlp_port}",
        "LOKI_OTLP_ENDPOINT": f"{loki.url}/otlp",
        "PROMETHEUS_OTLP_ENDPOINT": f"{prometheus.url}/api/v1/otlp",
    }


def exporting_to(collector: Collector) -> dict[str, str]:
    """A site's environment: metrics every five seconds, the rest at once."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
    }


@contextlib.contextmanager
def running(*services: Service) -> Iterator[None]:
    """Start them at once, wait for all, kill them with the block."""
    with contextlib.ExitStack() as after:  # one that can't be killed keeps no other alive
        for service in services:
            after.callback(service.kill)
        try:
            for service in services:
                service.launch()
            for service in services:
                service.wait_until_ready()
            yield
        except BaseException:
            for service in services:
                print(f"--- {service.name}\n{service.output()[-5000:]}")
            raise


def ask(url: str, *, parse: bool = True, **headers: str) -> Any:
    """The answer to a GET: what its JSON says, or its text.

    Raises:
        urllib.error.HTTPError: for any answer but a good one.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        body = answer.read()
        return json.loads(body) if parse else body.decode()


def wait_until(
    condition: Callable[[], Any], timeout_s: float, what: str, pause_s: float = 0.2
) -> Any:
    """What ``condition`` returns, as soon as that is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(pause_s)
    return found
