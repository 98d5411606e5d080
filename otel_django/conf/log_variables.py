"""The variables of logs: the specification's, and ours."""

from __future__ import annotations

from typing import Final

from otel_django.conf import list_parsers as lists
from otel_django.conf import parsers as p
from otel_django.conf.variable import PREFIX, Variable


def _logs(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    return Variable((name,), field, parser, default, doc, "Logs", "logs")


LOGS: Final = (
    _logs(
        "OTEL_LOGS_EXPORTER",
        "logs_exporters",
        lists.several_of("otlp", "console", others=p.installed("logs_exporter")),
        "(`otlp` if an OTLP endpoint is set, else `none`)",
        "Where log records go besides the embedded store and OTEL_DJANGO_LOG_FORMAT's lines; "
        "`console` prints them as OpenTelemetry's SDK does.",
    ),
    _logs(
        "OTEL_BLRP_SCHEDULE_DELAY",
        "blrp_schedule_delay_s",
        p.number("milliseconds", above=True, per_unit=1000),
        "500",
        "How long log records are gathered before they leave.",
    ),
    _logs(
        "OTEL_BLRP_MAX_QUEUE_SIZE",
        "blrp_max_queue_size",
        p.whole(1),
        "(none: OTEL_DJANGO_QUEUE_MAX_MB is the limit)",
        "How many log records may wait in memory; more go to the spool on disk.",
    ),
    _logs(
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        "blrp_max_export_batch_size",
        p.whole(1),
        "512",
        "How many log records at most leave in one request.",
    ),
    _logs(
        "OTEL_BLRP_EXPORT_TIMEOUT",
        "blrp_export_timeout_s",
        p.number("milliseconds", above=True, per_unit=1000),
        "30000",
        "How long handing on one batch may take, retries included.",
    ),
    Variable(
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
        "log_record_attributes",
        p.whole(),
        "128",
        "How many attributes a log record may have.",
        "Logs",
        "logs",
    ),
    Variable(
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
        "log_record_value_length",
        p.whole(),
        "(no limit)",
        "How many characters of an attribute's text are kept.",
        "Logs",
        "logs",
    ),
    _logs(
        f"{PREFIX}LOG_FORMAT",
        "log_format",
        p.choice("auto", "json", "console", "off"),
        "auto",
        "How log records are written to the standard error: one JSON object a line, lines for "
        "people, `auto` (none if your `LOGGING` prints there itself, else the latter in a "
        "terminal and JSON elsewhere), or, with `off`, as your own `LOGGING` says.",
    ),
    _logs(
        f"{PREFIX}LOG_LEVEL",
        "log_threshold",
        p.choice("debug", "info", "warning", "error", "critical", also={"warn": "warning"}),
        "info",
        "The least level of records that are written and sent.",
    ),
    _logs(
        f"{PREFIX}LOG_FILE",
        "log_file",
        p.path(),
        "(none)",
        "A file that gets every record as a line of JSON. Relative paths start at BASE_DIR.",
    ),
    _logs(
        f"{PREFIX}LOG_FILE_ROTATION",
        "log_file_rotation",
        p.rotation("weekly", "daily", "off"),
        "weekly",
        "When a new log file is begun.",
    ),
    _logs(
        f"{PREFIX}LOG_FILE_KEEP",
        "log_file_keep",
        p.whole(),
        "8",
        "How many full log files are kept.",
    ),
)
