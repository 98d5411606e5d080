"""A line of JSON to the standard error, and the upstream packages' handler to OTLP over HTTP.

Lines have trace and span as the peers' manuals say; ``BENCH_FORMATTER`` names who makes them.
"""

from __future__ import annotations

import json
import logging
import os
from importlib import import_module
from typing import Any

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.trace import get_current_span

from benchmarks.site.observers.contrib_traces import ContribTraces


class DumpsFormatter(logging.Formatter):
    """As sites write it without a library."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "event": record.getMessage(),
            "logger": record.name,
            "file": record.pathname,
            "line": record.lineno,
            "function": record.funcName,
            "basket": record.basket,  # type: ignore[attr-defined]
        }
        return json.dumps({**line, **_ids()})


def _library_formatter() -> logging.Formatter:
    library: Any = import_module("pythonjsonlogger.json")

    class JsonFormatter(library.JsonFormatter):  # type: ignore[misc]
        def add_fields(
            self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
        ) -> None:
            super().add_fields(log_data, record, message_dict)
            log_data.update(_ids())

    formatter: logging.Formatter = JsonFormatter(
        ["asctime", "levelname", "message", "name", "pathname", "lineno", "funcName"]
    )
    return formatter


def _ids() -> dict[str, str]:
    context = get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


class ContribLogs(ContribTraces):
    def start(self) -> None:
        self._loggers = LoggerProvider()
        self._loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        handlers = import_module("opentelemetry.instrumentation.logging.handler")
        lines = logging.StreamHandler()
        own = os.environ["BENCH_FORMATTER"] == "json.dumps"
        lines.setFormatter(DumpsFormatter() if own else _library_formatter())
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        root.addHandler(lines)
        root.addHandler(handlers.LoggingHandler(logger_provider=self._loggers))
        super().start()

    def flush(self) -> None:
        super().flush()
        self._loggers.force_flush()


observer = ContribLogs()
