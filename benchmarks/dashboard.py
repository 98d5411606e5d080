"""Fifty people who look at the dashboard, each asking every five seconds.

``python -m benchmarks.dashboard [--store PATH] [--people 50] [--seconds 600] [--json]``

A site in a process of its own serves them over HTTP from the store that is given, or from one of
two hours that is made; half of them ask for the page as a browser does, half for the JSON with the
ETag they have. Told are the times of both, the share of answers that were 304, and the memory of
the site at each minute's end (ten times in all, if that is less than ten minutes).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.stub_collector_process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY_S = 5.0
PAGE_P95_MS, JSON_P95_MS, GROWTH_MB = 300.0, 100.0, 8.0
PATH = "/monitoring/dashboard/"
_SERVER = """
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from django.core.wsgi import get_wsgi_application

class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128

class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass

import otel_django.viewer.page, otel_django.web.json_endpoint
from otel_django.clock import SYSTEM_CLOCK
from otel_django.web.rate_limit import RateLimit
# They all come from one machine, as one person would.
for module in (otel_django.viewer.page, otel_django.web.json_endpoint):
    module._rate = RateLimit(SYSTEM_CLOCK, most_at_once=10**9)
make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application(), Threads, Quiet).serve_forever()
"""


class Asked:
    """What one person was answered, in milliseconds."""

    def __init__(self, port: int, number: int, people: int) -> None:
        self.times: list[float] = []
        self.unchanged = 0
        self.failures = 0
        self.is_json = bool(number % 2)
        self._port = port
        self._begin_s = EVERY_S * number / people
        self._tag = ""

    def go_on(self, until_s: float) -> None:
        """Every five seconds; not all at once."""
        time.sleep(self._begin_s)
        while time.monotonic() < until_s:
            began = time.perf_counter()
            self._ask()
            took_s = time.perf_counter() - began
            self.times.append(1000 * took_s)
            time.sleep(max(0.0, EVERY_S - took_s))

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"Accept": "application/json" if self.is_json else "text/html"}
        if self._tag and self.is_json:
            headers["If-None-Match"] = self._tag
        try:
            connection.request("GET", PATH, headers=headers)
            answer = connection.getresponse()
            answer.read()
            self._tag = answer.headers.get("ETag", "")
            self.unchanged += answer.status == http.client.NOT_MODIFIED
            self.failures += answer.status not in {200, 304}
        except OSError:
            self.failures += 1
        finally:
            connection.close()


@contextmanager
def served(store: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A site over the store."""
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TESTS_DEBUG": "1",
        "OTEL_DJANGO_ENABLED": "false",
        "OTEL_DJANGO_STORE": str(store),
    }
    with tempfile.TemporaryDirectory(prefix="otel-django-dashboard-") as folder:
        environ["TESTS_BASE_DIR"] = folder
        subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], env=environ, check=True)
        process = subprocess.Popen([sys.executable, "-c", _SERVER, str(port)], env=environ)
        try:
            _await(port)
            yield process
        finally:
            process.terminate()
            process.wait()


def _await(port: int) -> None:
    for _ in range(200):
        asked = Asked(port, 0, 1)
        asked._ask()
        if not asked.failures:
            return
        time.sleep(0.1)
    raise SystemExit("The site does not answer.")


def memory_mb(pid: int) -> float:
    """What a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(store: Path, people: int, seconds: float) -> dict[str, Any]:
    """The figures; memory is told from the beginning on, and has grown since a tenth is over."""
    port = free_port()
    with served(store, port) as site:
        until_s = time.monotonic() + seconds
        everybody = [Asked(port, number, people) for number in range(people)]
        threads = [threading.Thread(target=each.go_on, args=(until_s,)) for each in everybody]
        held_mb = [memory_mb(site.pid)]
        for thread in threads:
            thread.start()
        while time.monotonic() < until_s:
            time.sleep(max(0.0, min(60.0, seconds / 10, until_s - time.monotonic())))
            held_mb.append(memory_mb(site.pid))
        for thread in threads:
            thread.join()
    found = {
        name: _told([each for each in everybody if each.is_json == is_json])
        for name, is_json in (("page", False), ("json", True))
    }
    return {**found, "memory_mb": held_mb, "growth_mb": held_mb[-1] - held_mb[1]}


def _told(some: list[Asked]) -> dict[str, float]:
    times = sorted(time for each in some for time in each.times)
    return {
        "answers": len(times),
        "median_ms": statistics.median(times),
        "p95_ms": times[int(0.95 * len(times))],
        "longest_ms": times[-1],
        "unchanged_ratio": sum(each.unchanged for each in some) / len(times),
        "failures": sum(each.failures for each in some),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--store", type=Path)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="otel-django-dashboard-") as folder:
        path = options.store or Path(folder) / "store" / "store.sqlite3"
        if not path.exists():
            from tests.browser.stores import write_full

            path.parent.mkdir(parents=True)
            write_full(path)
        found = measure(path, options.people, options.seconds)
    if options.json:
        print(json.dumps(found))
        return
    for name, budget in (("page", PAGE_P95_MS), ("json", JSON_P95_MS)):
        row = found[name]
        over = "  over" if row["p95_ms"] > budget else ""
        print(
            f"{name}: {row['answers']} answers, median {row['median_ms']:.0f} ms, p95 "
            f"{row['p95_ms']:.0f} ms (budget {budget:.0f}), longest {row['longest_ms']:.0f} ms, "
            f"{row['unchanged_ratio']:.0%} were 304, {row['failures']} failed{over}"
        )
    over = "  over" if found["growth_mb"] > GROWTH_MB else ""
    held = ", ".join(f"{each:.1f}" for each in found["memory_mb"])
    print(f"memory: {held} MB, grown by {found['growth_mb']:.1f} MB{over}")


if __name__ == "__main__":
    main()
