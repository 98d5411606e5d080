"""What a log record costs: ours against the standard library's JSON and the SDK's handler.

``python benchmarks/logs.py [--rounds N]``, in µs of processor time a record. Both write a line of
JSON into a file and queue the record for OTLP; the line of the standard library is made by
``json.dumps`` in a formatter, its record by OpenTelemetry's handler and batch processor. The two
take turns, inside a span, with two fields of the caller's.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import tempfile
import time
import warnings
from collections import deque
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import get_current_span, use_span

from otel_django.conf import SpanLimitSettings
from otel_django.instrumentation.log_context import place
from otel_django.logs.bridge import JournalHandler
from otel_django.logs.fields import Fields
from otel_django.logs.file import LogFile
from otel_django.logs.journal import Channel, Journal
from otel_django.logs.levels import Overrides
from otel_django.logs.line import json_line
from otel_django.logs.rotation import rotation_from
from otel_django.tracing.exceptions import ExceptionFormatter
from otel_django.tracing.limits import Normaliser
from otel_django.tracing.provider import TracerProvider
from otel_django.tracing.redaction import Redactor
from otel_django.tracing.samplers import AlwaysOn

RECORDS = 5000
BUDGET = 1 / 3


class JsonFormatter(logging.Formatter):
    """As sites write it."""

    def format(self, record: logging.LogRecord) -> str:
        """One object a line, with trace and span."""
        context = get_current_span().get_span_context()
        return json.dumps(
            {
                "timestamp": self.formatTime(record),
                "level": record.levelname,
                "event": record.getMessage(),
                "logger": record.name,
                "trace_id": f"{context.trace_id:032x}",
                "span_id": f"{context.span_id:016x}",
                "file": record.pathname,
                "line": record.lineno,
                "order": record.order,  # type: ignore[attr-defined]
                "basket": record.basket,  # type: ignore[attr-defined]
            }
        )


def upstream(folder: Path) -> list[logging.Handler]:
    """The standard library's handler of a file, and OpenTelemetry's over a list."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
        from opentelemetry.sdk._logs.export import (
            BatchLogRecordProcessor,
            InMemoryLogRecordExporter,
        )

        provider = LoggerProvider(Resource({"service.name": "shop"}), shutdown_on_exit=False)
        provider.add_log_record_processor(
            BatchLogRecordProcessor(
                InMemoryLogRecordExporter(),  # type: ignore[no-untyped-call]
                schedule_delay_millis=3_600_000,  # nothing leaves meanwhile
                max_queue_size=RECORDS,
                max_export_batch_size=RECORDS,
            )
        )
        handler = LoggingHandler(logger_provider=provider)
    file = logging.FileHandler(folder / "upstream.log")
    file.setFormatter(JsonFormatter())
    return [file, handler]


def ours(folder: Path, provider: TracerProvider) -> list[logging.Handler]:
    """Ours, which does both."""
    redactor = Redactor()
    exceptions = ExceptionFormatter(redactor)
    records: deque[Any] = deque(maxlen=RECORDS)
    journal = Journal(
        fields=Fields(redactor, exceptions),
        exceptions=exceptions,
        place=place,
        resource=lambda: provider.resource,
        put=records.append,
        service="shop",
        environment=None,
    )
    file = LogFile(folder / "ours.log", rotation_from("weekly"), 8)
    journal.file = Channel(json_line, file)
    return [JournalHandler(journal, Overrides(folder), lines=False)]


def cost_us(handlers: list[logging.Handler]) -> float:
    """Processor time a record, what ``logging`` itself takes included."""
    logger = logging.getLogger("shop.orders")
    logger.handlers = handlers
    logger.propagate = False
    logger.setLevel(logging.INFO)
    gc.collect()
    gc.disable()
    begin = time.process_time()
    for number in range(RECORDS):
        logger.info("order %d placed by %s", number, "web", extra={"order": number, "basket": 3})
    took = time.process_time() - begin
    gc.enable()
    return took / RECORDS * 1e6


def main() -> int:
    """Measure and print; 1 if the budget isn't reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    redactor = Redactor()
    provider = TracerProvider(
        resource=Resource({"service.name": "shop"}),
        sampler=AlwaysOn(),
        normaliser=Normaliser(redactor, SpanLimitSettings()),
        exceptions=ExceptionFormatter(redactor),
        sink=lambda span: None,
    )
    with tempfile.TemporaryDirectory() as name, use_span(provider.tracer("x").start_span("x")):
        folder = Path(name)
        sets = {"upstream": upstream(folder), "ours": ours(folder, provider), "logging alone": []}
        found: dict[str, list[float]] = {kind: [] for kind in sets}
        for _ in range(rounds):
            for kind, handlers in sets.items():
                found[kind].append(cost_us(handlers or [logging.NullHandler()]))
    middle = {kind: median(costs) for kind, costs in found.items()}
    for kind, cost in middle.items():
        print(
            f"{kind:<14} {cost:6.1f} µs a record ({min(found[kind]):.1f} to {max(found[kind]):.1f})"
        )
    share = middle["ours"] / middle["upstream"]
    print(f"ours is {share:.2f} of upstream's; the budget is {BUDGET:.2f}")
    return 0 if share <= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
