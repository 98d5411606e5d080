"""What a stack of a given size needs: bytes on the wire and on disk, processor time, memory.

``python -m benchmarks.sizing [--spans 100000] [--lines 100000] [--hosts 10] [--json]``

What visitors of the shop (gunicorn, Celery) cause is recorded once as OTLP, and sent again and
again, with other ids and other hosts' names, to the real Collector, Jaeger, Loki and Prometheus.
Processor time is what the kernel has counted for a process, disk is what its folder takes: a busy
machine makes it slow, not wrong. docs/sizing.md is made of what this prints.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from benchmarks import store, store_logs
from benchmarks.sizing_traffic import (
    PATIENCE_S,
    Bodies,
    Recorded,
    other_hosts,
    other_lines,
    other_traces,
    recorded,
    visited,
)
from tests.integration.shop_kit import SHOP, shop
from tests.server_process import children_of, serving
from tests.stack import reading_kit
from tests.stack.load_kit import ask_for
from tests.stack.programs import path_of
from tests.stack.stack_kit import Collector, Service, Stack, running, stack, wait_until
from tests.stub_collector_process import free_port

IDLE_S: Final = 20.0
SCRAPE_S: Final = 15
SENT: Final = {
    "spans": ("otelcol_exporter_sent_spans", "otlp_grpc/jaeger"),
    "lines": ("otelcol_exporter_sent_log_records", "otlp_http/loki"),
    "points": ("otelcol_exporter_sent_metric_points", "otlp_http/prometheus"),
}
Figures = dict[str, float]

# --- what it takes


def cpu_s(service: Service) -> float:
    """Processor time that it has taken so far."""
    fields = Path(f"/proc/{service.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """What is resident now."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def disk_bytes(folder: Path) -> int:
    """As ``du`` counts."""
    found = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found += file.stat().st_blocks * 512 if file.is_file() else 0
    return found


def send(port: int, path: str, bodies: Iterator[tuple[int, bytes]]) -> int:
    """To the Collector; how many spans, lines or points."""
    sent = 0
    for count, body in bodies:
        reading_kit.send(port, path, body)
        sent += count
    return sent


def handed_on(programs: Stack, what: str) -> int:
    """How many the Collector has had taken by their destination."""
    name, exporter = SENT[what]
    found = re.findall(
        rf'^{name}\w*{{[^}}]*exporter="{exporter}"[^}}]*}} (\S+)',
        programs.collector.metrics(),
        re.MULTILINE,
    )
    return int(sum(map(float, found)))


class Load:
    """Sends through the Collector, and counts the processor time beyond that of idle programs."""

    def __init__(self, programs: Stack) -> None:
        self._programs = programs
        at = {each.name: cpu_s(each) for each in programs}
        time.sleep(IDLE_S)
        self._idle = {each.name: (cpu_s(each) - at[each.name]) / IDLE_S for each in programs}

    def send(
        self, what: str, path: str, bodies: Iterator[tuple[int, bytes]], to: Service
    ) -> tuple[int, Figures]:
        """How many went to ``to``, and milliseconds of both for a thousand of them."""
        collector = self._programs.collector
        began, before = time.monotonic(), handed_on(self._programs, what)
        at = [cpu_s(each) for each in (collector, to)]
        sent = send(collector.port, path, bodies)
        wait_until(
            lambda: handed_on(self._programs, what) - before >= sent, PATIENCE_S, f"the {what}"
        )
        took_s = time.monotonic() - began
        figures = {}
        for each, was_s in zip((collector, to), at, strict=True):
            spent_s = cpu_s(each) - was_s - took_s * self._idle[each.name]
            figures[f"{each.name}, CPU ms for 1,000 {what}"] = 1e6 * spent_s / sent
        return sent, figures


def ended(service: Service) -> None:
    """In good order, so that what is in memory is on disk."""
    os.kill(service.pid, signal.SIGTERM)
    state = Path(f"/proc/{service.pid}/stat")
    wait_until(lambda: " Z " in state.read_text(), PATIENCE_S, f"the end of {service.name}")
    service.kill()


# --- the parts


def on_the_wire(found: Recorded) -> Figures:
    """By item, plain and compressed, and how many of them a request makes."""
    figures: Figures = {"requests recorded": found.requests}
    for what in ("spans", "lines", "points"):
        bodies: Bodies = getattr(found, what)
        count = sum(each for each, _ in bodies)
        if what != "points":
            figures[f"{what} a request"] = count / found.requests
        figures[f"bytes on the wire of a {what[:-1]}"] = sum(len(b) for _, b in bodies) / count
        packed = sum(len(gzip.compress(body, 6)) for _, body in bodies)
        figures[f"bytes on the wire of a {what[:-1]}, gzip"] = packed / count
    figures["points of a host"] = sum(each for each, _ in found.points)
    return figures


def through_the_stack(
    programs: Stack, found: Recorded, spans: int, lines: int, hosts: int
) -> Figures:
    """Processor time, memory and disk of each program."""
    collector, jaeger, loki, prometheus = programs
    load = Load(programs)
    series, at_mib = _series(programs), memory_mib(prometheus.pid)
    _, figures = load.send("points", "/v1/metrics", other_hosts(found.points, hosts), to=prometheus)
    series = _series(programs) - series
    figures["prometheus, series a host"] = series / hosts
    grown_kib = 1024 * (memory_mib(prometheus.pid) - at_mib)
    figures["prometheus, KiB of memory a series"] = grown_kib / series

    sent, spent = load.send("lines", "/v1/logs", other_lines(found.lines, lines), to=loki)
    figures |= {**spent, "loki, MiB of memory": memory_mib(loki.pid)}
    ended(loki)
    kept = disk_bytes(loki.folder) - disk_bytes(loki.folder / "wal")
    figures["loki, bytes on disk of a line"] = kept / sent

    sent, spent = load.send("spans", "/v1/traces", other_traces(found.spans, spans), to=jaeger)
    figures |= spent
    for each in (jaeger, collector, prometheus):
        figures[f"{each.name}, MiB of memory"] = memory_mib(each.pid)
    ended(jaeger)
    figures["jaeger, bytes on disk of a span"] = disk_bytes(jaeger.folder) / sent
    return figures


def _series(programs: Stack) -> int:
    return sum(int(each["value"]) for each in programs.prometheus.query('count({__name__!=""})'))


def queued(folder: Path, found: Recorded) -> Figures:
    """What a Collector keeps on disk whose destinations are all away."""
    nowhere = f"127.0.0.1:{free_port()}"
    collector = Collector(
        folder,
        JAEGER_OTLP_ENDPOINT=nowhere,
        LOKI_OTLP_ENDPOINT=f"http://{nowhere}/otlp",
        PROMETHEUS_OTLP_ENDPOINT=f"http://{nowhere}/api/v1/otlp",
    )
    with running(collector):
        return _queued(collector, found)


def _queued(collector: Collector, found: Recorded) -> Figures:
    figures: Figures = {}
    for what, path, bodies in (
        ("span", "/v1/traces", other_traces(found.spans, 60_000)),
        ("line", "/v1/logs", other_lines(found.lines, 60_000)),
        ("point", "/v1/metrics", islice(cycle(found.points), 200)),
    ):
        before = disk_bytes(collector.folder)
        sent = send(collector.port, path, bodies)
        time.sleep(3)
        grown = disk_bytes(collector.folder) - before
        figures[f"Collector, bytes queued of a {what}"] = grown / sent
    return figures


def spooled(folder: Path) -> Figures:
    """What the site keeps on disk of traces and logs while its receiver is away."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    env |= {"OTEL_BSP_SCHEDULE_DELAY": "500", "OTEL_BLRP_SCHEDULE_DELAY": "500"}
    env["OTEL_METRIC_EXPORT_INTERVAL"] = "3600000"
    with shop(folder, "--workers", "2", more_env=env) as site:
        requests = visited(site)
        time.sleep(10)
        spool = Path(site.env["DEMO_DIR"], "telemetry", "spool")
        size = sum(file.stat().st_size for file in spool.rglob("*.seg"))
    return {"bytes spooled of a request": size / requests}


def added_memory(folder: Path) -> Figures:
    """What a gunicorn worker of the shop has beyond the same without telemetry."""
    found: dict[str, float] = {}
    with shop(folder) as site:
        for disabled in ("true", "false"):
            env = {**site.env, "OTEL_SDK_DISABLED": disabled}
            with serving(_one_worker, env, cwd=SHOP, ready="/brands/") as server:
                ask_for(server.port, 600)
                found[disabled] = sum(map(memory_mib, children_of(server.pid)))
    return {"MiB that telemetry adds to a web process": found["false"] - found["true"]}


def _one_worker(port: int) -> list[str]:
    program = [sys.executable, "-m", "gunicorn", "shop.wsgi:application", "--no-control-socket"]
    return [*program, "--bind", f"127.0.0.1:{port}"]


def in_the_store(folder: Path, spans: int, lines: int) -> Figures:
    """Bytes in the embedded store's file."""
    figures: Figures = {}
    for what, count, fill in (
        ("span", spans, store.fill),
        ("line", lines, lambda path, number: store_logs.fill(path, store.NoLosses(), number)),
    ):
        path = folder / f"{what}.sqlite3"
        fill(path, count)
        figures[f"store, bytes of a {what}"] = path.stat().st_size / count
    return figures


def samples(folder: Path) -> Figures:
    """Bytes of a sample in Prometheus' blocks, made by promtool.

    Of the series of a quiet site two thirds stand still: no histogram's bucket grows in each
    interval.
    """
    series, number = 300, 86_400 // SCRAPE_S
    rng, began = random.Random(1), int(time.time()) // 7200 * 7200 - 2 * 86_400
    text, values = folder / "samples.txt", [0] * series
    with text.open("w") as file:
        file.write("# TYPE sized counter\n")
        for each in range(series):
            for index in range(number):
                if each % 3 == 0:
                    values[each] += rng.randrange(30)
                elif rng.random() < 0.05:
                    values[each] += 1
                file.write(f'sized_total{{n="{each}"}} {values[each]} {began + SCRAPE_S * index}\n')
        file.write("# EOF\n")
    blocks = folder / "blocks"
    command = [str(path_of("promtool")), "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run([*command, str(text), str(blocks)], check=True, capture_output=True)
    return {"Prometheus, bytes on disk of a sample": disk_bytes(blocks) / (series * number)}


def measured(folder: Path, spans: int, lines: int, hosts: int) -> Figures:
    """All figures."""
    parts: list[Callable[[], Figures]] = [
        lambda: queued(_new(folder, "queue"), found),
        lambda: in_the_store(folder, spans, lines),
        lambda: samples(folder),
        lambda: spooled(_new(folder, "spooled")),
        lambda: added_memory(_new(folder, "memory")),
    ]
    found = recorded(_new(folder, "recorded"))
    figures = on_the_wire(found)
    _say(figures)
    with stack(folder / "stack") as programs:
        more = through_the_stack(programs, found, spans, lines, hosts)
    _say(more)
    figures |= more
    for part in parts:
        more = part()
        _say(more)
        figures |= more
    return figures


def _new(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _say(figures: Figures) -> None:
    for name, value in figures.items():
        print(f"{value:12,.3f}  {name}", file=sys.stderr, flush=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="otel-django-sizing-") as folder:
        figures = measured(Path(folder), asked.spans, asked.lines, asked.hosts)
    if asked.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
