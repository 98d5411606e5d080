"""How long the pages of the viewer take over a week's telemetry, while more is written.

``python -m benchmarks.pages [--spans 1000000] [--logs 300000] [--series 2000] [--rounds 30]
[--store PATH] [--page NAME] [--json]``

Each page is asked for as a browser does, through Django's handler, over the last hour and the last
seven days, in turns, while another process writes 1,000 spans a second. ``--store`` keeps the store
that is made, or takes the one there is.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from benchmarks import pages_store, store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

MEDIAN_MS, P99_MS = 100.0, 300.0
SPANS_A_SECOND = 1_000
RANGES = ("1h", "7d")


def write(path: Path) -> None:
    """1,000 spans a second, until the end."""
    from otel_django.store.writer import StoreWriter
    from tests.store_spans import SpanSource

    source = SpanSource()
    writer = StoreWriter(path, retention_hours=200, max_mb=16_384, drops=store.NoLosses())
    while True:
        began = time.monotonic()
        for batch in store.batches(source, SPANS_A_SECOND // 4, time.time_ns(), 10**9 // 4):
            writer.accept(batch)
        writer.poll(time.monotonic())
        time.sleep(max(0.25 - (time.monotonic() - began), 0))


def addresses(path: Path) -> dict[str, str]:
    """What to ask for, by a name."""
    from otel_django.backends.embedded import EmbeddedReader
    from otel_django.backends.embedded_errors import EmbeddedErrorReader
    from otel_django.contracts import TraceQuery

    now = time.time_ns()
    reader = EmbeddedReader(path)
    trace_id = (
        reader.list_traces(TraceQuery(until_ns=now - 10**11, route="/shop/section7/<int:pk>/"))
        .traces[0]
        .trace_id
    )
    (long,) = reader.list_traces(TraceQuery(route="/import/")).traces
    errors = EmbeddedErrorReader(path).groups(now - 86_400 * 10**9, now).groups
    queries = {
        "trace list": ("traces/", {}),
        "trace list, words": ("traces/", {"q": "section7"}),
        "trace list, errors": ("traces/", {"q": "errors:yes"}),
        "trace list, slow": ("traces/", {"q": "duration>1s"}),
        "trace list, a route": ("traces/", {"q": "route:/shop/section7/<int:pk>/ status:5xx"}),
        "trace list, slowest": ("traces/", {"sort": "duration"}),
        "trace": (f"traces/{trace_id}/", {}),
        "trace, 20,000 spans": (f"traces/{long.trace_id}/", {}),
        "logs": ("logs/", {}),
        "logs, words": ("logs/", {"q": "stock level:warning"}),
        "logs, errors": ("logs/", {"q": "level:error"}),
        "metrics": ("metrics/explore/", {}),
        "metrics, histogram": ("metrics/explore/", {"metric": "http.server.request.duration"}),
        "metrics, counter": ("metrics/explore/", {"metric": "shop.things3"}),
        "endpoints": ("endpoints/", {}),
        "endpoint": ("endpoints/", {"endpoint": "GET /shop/section7/<int:pk>/"}),
        "database": ("performance/queries/", {}),
        "cache": ("performance/cache/", {}),
        "tasks": ("tasks/", {}),
        "errors": ("errors/", {}),
        "services": ("services/", {}),
        "overview": ("", {}),
    }
    if errors:
        queries["error"] = (f"errors/{errors[0].fingerprint}/", {})
    return {
        f"{name}, {length}": f"/monitoring/{where}?{urlencode({**query, 'range': length})}"
        for name, (where, query) in queries.items()
        for length in RANGES
    }


def client(path: Path) -> Client:
    """A browser on this machine, at a site that only has the pages."""
    os.environ.update(
        {"OTEL_DJANGO_ENABLED": "false", "OTEL_DJANGO_STORE": str(path), "OTEL_DJANGO_STRICT": "1"}
    )
    import django
    from django.conf import settings
    from django.urls import include
    from django.urls import path as route

    settings.configure(
        DEBUG=True,
        SECRET_KEY="benchmark",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=type("Urls", (), {}),
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "otel_django"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        USE_TZ=True,
    )
    django.setup()
    settings.ROOT_URLCONF = (route("monitoring/", include("otel_django.viewer.urls")),)
    from otel_django.clock import SYSTEM_CLOCK
    from otel_django.viewer import page
    from otel_django.web.rate_limit import RateLimit

    page._rate = RateLimit(SYSTEM_CLOCK, most_at_once=10**9)
    from django.test import Client

    return Client(HTTP_HOST="localhost")


def measure(browser: Client, wanted: dict[str, str], rounds: int) -> dict[str, dict[str, Any]]:
    """Milliseconds of each, and the processor's; the answer's status and size."""
    times: dict[str, list[float]] = {name: [] for name in wanted}
    works: dict[str, list[float]] = {name: [] for name in wanted}
    answers: dict[str, tuple[int, int]] = {}
    for turn in range(rounds + 1):
        for name, address in wanted.items():
            began, worked = time.perf_counter(), time.process_time()
            response = browser.get(address)
            took, work = time.perf_counter() - began, time.process_time() - worked
            if turn:  # the first one imports
                times[name].append(took * 1000)
                works[name].append(work * 1000)
            answers[name] = (response.status_code, len(response.content))
    return {
        name: {
            "median_ms": statistics.median(times[name]),
            "p99_ms": sorted(times[name])[min(int(rounds * 0.99), rounds - 1)],
            "cpu_ms": statistics.median(works[name]),
            "status": answers[name][0],
            "bytes": answers[name][1],
        }
        for name in wanted
    }


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """While another process writes."""
    command = [sys.executable, "-m", "benchmarks.pages", "--write", str(path)]
    writer = subprocess.Popen(command)
    try:
        yield
    finally:
        writer.terminate()
        writer.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--logs", type=int, default=300_000)
    parser.add_argument("--series", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=30, help="answers of each page")
    parser.add_argument("--store", type=Path, help="the file to make, or to use if it is there")
    parser.add_argument("--page", default="", help="only those whose name begins so")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.write is not None:
        write(options.write)
    with tempfile.TemporaryDirectory(prefix="otel-django-pages-") as folder:
        path = options.store or Path(folder) / "store" / "store.sqlite3"
        if not path.exists():
            pages_store.fill(path, options.spans, options.logs, options.series)
        browser = client(path)
        wanted = {
            name: address
            for name, address in addresses(path).items()
            if name.startswith(options.page)
        }
        with written_to(path):
            results = measure(browser, wanted, options.rounds)
    if options.json:
        print(json.dumps(results))
        return
    print(
        f"{'ms of each page':28}  median     p99     cpu   (budget {MEDIAN_MS:.0f} / {P99_MS:.0f})"
    )
    print(f"{'budget':28} {MEDIAN_MS:7.0f} {P99_MS:7.0f}")
    for name, row in results.items():
        over = row["median_ms"] > MEDIAN_MS or row["p99_ms"] > P99_MS
        print(
            f"{name:28} {row['median_ms']:7.1f} {row['p99_ms']:7.1f} {row['cpu_ms']:7.1f}"
            f"   {row['status']} {row['bytes'] / 1000:,.0f} kB{'  over' if over else ''}"
        )


if __name__ == "__main__":
    main()
