"""The embedded store: what is written a second, and how long pages wait at a million of each.

``python -m benchmarks.store [--spans 1000000] [--logs 1000000] [--write-spans 50000] [--json]``

Writing is measured on a thread of its own, as in a site, alone and beside a main thread that is
busy all the time: with Python work only, and serving requests of a Django view in a loop. Reading
is measured with the whole store in the file system's cache, the median of nine answers each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import store_logs

if TYPE_CHECKING:
    from otel_django.tracing.span import Span
    from tests.store_spans import SpanSource

BATCH = 512
ROUTES = 40
QUERIES_A_REQUEST = 9
WRITE_BUDGET = 5_000
READ_BUDGET_MS = 100.0
Results = dict[str, float]


class NoLosses:
    """The benchmark ends when a span is lost."""

    def add(self, signal: str, cause: str, count: int) -> None:
        """As ``pipeline.drops.Drops.add``."""
        raise AssertionError(f"{count} {signal} lost: {cause}")


def batches(source: SpanSource, spans: int, end_ns: int, range_ns: int) -> Iterator[list[Span]]:
    """Batches of requests spread over ``range_ns``: 1 in 100 fails, 1 in 1,000 takes 2 s."""
    requests = spans // (QUERIES_A_REQUEST + 1)
    waiting: list[Span] = []
    for index in range(requests):
        route = f"/shop/section{index % ROUTES}/<int:pk>/"
        table = f"catalogue_table{index % ROUTES}"
        source.request(
            route,
            status=500 if index % 100 == 7 else 200,
            start=end_ns - range_ns + range_ns * index // requests,
            duration_ms=2000 if index % 1000 == 3 else 12 + index % 30,
            queries=QUERIES_A_REQUEST,
            statement=f"SELECT id, name, price FROM {table} WHERE section = ? ORDER BY id LIMIT 20",
            path=f"/shop/section{index % ROUTES}/{index}/",
        )
        waiting += source.take()
        while len(waiting) >= BATCH:
            yield waiting[:BATCH]
            waiting = waiting[BATCH:]
    if waiting:
        yield waiting


def write_rate(folder: Path, spans: int, busy: Callable[[], None] | None) -> float:
    """Spans a second of one writer thread while ``busy`` is called without end."""
    from otel_django.store.writer import StoreWriter
    from tests.store_spans import SpanSource

    made = list(batches(SpanSource(), spans, time.time_ns(), 60 * 10**9))
    writer = StoreWriter(
        folder / "store.sqlite3", retention_hours=24, max_mb=4096, drops=NoLosses()
    )
    writer.accept(made.pop())  # makes the file
    took: list[float] = []

    def write() -> None:
        began = time.perf_counter()
        for batch in made:
            writer.accept(batch)
        took.append(time.perf_counter() - began)

    thread = threading.Thread(target=write)
    thread.start()
    while busy is not None and thread.is_alive():
        busy()
    thread.join()
    writer.close(time.monotonic() + 10)
    return sum(map(len, made)) / took[0]


def python_work() -> None:
    """Work that never gives up the interpreter lock by itself."""
    total = 0
    for number in range(10_000):
        total += number


def django_requests() -> Callable[[], None]:
    """Serves a small view through Django's handler."""
    import django
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse
    from django.test import RequestFactory
    from django.urls import path

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(", ".join(str(number) for number in range(200)))

    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=(path("", view),),
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="benchmark",
            MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        )
        django.setup()
    from django.core.handlers.wsgi import WSGIHandler

    handler = WSGIHandler()
    factory = RequestFactory()

    def serve() -> None:
        handler.get_response(factory.get("/")).close()

    return serve


def fill(path: Path, spans: int) -> float:
    """Write a store of ``spans``; spans a second."""
    from otel_django.store.writer import StoreWriter
    from tests.store_spans import SpanSource

    writer = StoreWriter(path, retention_hours=24, max_mb=4096, drops=NoLosses())
    written, began, spent = 0, time.monotonic(), 0.0
    for batch in batches(SpanSource(), spans, time.time_ns(), 6 * 3600 * 10**9):
        start = time.perf_counter()
        writer.accept(batch)
        spent += time.perf_counter() - start
        written += len(batch)
        if written % (BATCH * 400) < BATCH:
            rate = written / (time.monotonic() - began)
            print(f"  {written:,} of {spans:,} spans, {rate:,.0f}/s", file=sys.stderr)
    writer.close(time.monotonic() + 60)
    return written / spent


def median_ms(ask: Callable[[], object]) -> float:
    """Of nine."""
    times = []
    for _ in range(9):
        began = time.perf_counter()
        ask()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def read_times(path: Path) -> Results:
    """Milliseconds of what pages ask, the file opened anew each time."""
    from otel_django.backends.embedded import EmbeddedReader
    from otel_django.contracts import TraceQuery

    reader = EmbeddedReader(path)
    now = time.time_ns()
    hour = 3600 * 10**9
    first = reader.list_traces(TraceQuery())
    trace_id = first.traces[-1].trace_id
    lists = {
        "trace list": TraceQuery(),
        "trace list, next page": TraceQuery(cursor=first.cursor),
        "trace list, an hour": TraceQuery(since_ns=now - 4 * hour, until_ns=now - 3 * hour),
        "by route": TraceQuery(route="/shop/section7/<int:pk>/"),
        "by route, none": TraceQuery(route="/nowhere/"),
        "by service, none": TraceQuery(service="nobody"),
        "errors only": TraceQuery(errors_only=True),
        "by status 5xx": TraceQuery(status_class=5),
        "slow, rare": TraceQuery(min_duration_ns=10**9),
        "slow, common": TraceQuery(min_duration_ns=20 * 10**6),
        "route, errors and slow": TraceQuery(
            route="/shop/section7/<int:pk>/", errors_only=True, min_duration_ns=10**7
        ),
        "words, rare": TraceQuery(text="4711"),
        "words, none": TraceQuery(text="unheard"),
        "words, common": TraceQuery(text="select section7"),
        "words, every trace": TraceQuery(text="shop"),
        "word's beginning": TraceQuery(text="catal*"),
        "trace id": TraceQuery(text=trace_id),
    }
    times = {name: median_ms(partial(reader.list_traces, query)) for name, query in lists.items()}
    times["waterfall"] = median_ms(lambda: reader.get_trace(trace_id))
    times["new spans"] = median_ms(lambda: reader.spans_since(reader.spans_since(None).cursor))
    times["services"] = median_ms(reader.services)
    times["endpoints, 6 h"] = median_ms(lambda: reader.endpoints(now - 6 * hour, now))
    times["statements, 6 h"] = median_ms(lambda: reader.statements(now - 6 * hour, now))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--spans", type=int, default=1_000_000, help="size of the store to read from"
    )
    parser.add_argument("--write-spans", type=int, default=50_000, help="spans in each write run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--logs", type=int, default=1_000_000, help="log records to read from")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="otel-django-store-") as name:
        folder = Path(name)
        rates: Results = {}
        busy = {
            "alone": None,
            "beside Python work": python_work,
            "beside requests": django_requests(),
        }
        for index, (label, work) in enumerate(busy.items()):
            rates[label] = write_rate(folder / str(index), options.write_spans, work)
        path = folder / "large" / "store.sqlite3"
        rates["filling the large store"] = fill(path, options.spans)
        megabytes = path.stat().st_size / 1e6
        times = read_times(path)
        logs_path = folder / "logs" / "store.sqlite3"
        rates["filling a store with logs"] = store_logs.fill(logs_path, NoLosses(), options.logs)
        questions = store_logs.questions(logs_path, options.logs)
        times.update({label: median_ms(ask) for label, ask in questions.items()})
        log_megabytes = logs_path.stat().st_size / 1e6
    if options.json:
        print(
            json.dumps(
                {"spans_per_s": rates, "read_ms": times, "size_mb": megabytes + log_megabytes}
            )
        )
        return
    print(f"written, spans or records/s (budget {WRITE_BUDGET:,} beside requests)")
    for label, rate in rates.items():
        print(f"  {label:26} {rate:10,.0f}")
    print(
        f"read, median ms of {options.spans:,} spans in {megabytes:,.0f} MB, "
        f"{options.logs:,} log records in {log_megabytes:,.0f} MB"
        f" (budget {READ_BUDGET_MS:.0f})"
    )
    for label, took in times.items():
        print(f"  {label:26} {took:10.1f}{'  over' if took > READ_BUDGET_MS else ''}")


if __name__ == "__main__":
    main()
