"""What a line says about a log record: its level's mark and colour, its event, its fields."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from otel_django import log_record, names
from otel_django.cli.inert_text import fit, inert
from otel_django.cli.look import AMBER, BOLD, CYAN, DIM, RED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from otel_django.cli.look import Look
    from otel_django.contracts import LogRow

LEVELS: Final = {
    "debug": log_record.DEBUG,
    "info": log_record.INFO,
    "warning": log_record.WARN,
    "error": log_record.ERROR,
    "critical": log_record.FATAL,
}
MAX_VALUE_CELLS: Final = 60
MAX_EVENT_CELLS: Final = 400
LATEST_NS: Final = 250_000_000_000 * 1_000_000_000
# What the tree says anyway, or that says little on a line.
_LEFT_OUT: Final = frozenset(
    {
        names.HTTP_ROUTE,
        names.DJANGO_REQUEST_ID,
        names.CELERY_TASK_NAME,
        names.DJANGO_TASK_NAME,
        names.MESSAGING_MESSAGE_ID,
    }
)
_RESTATING: Final = frozenset({"celery.app.trace", "celery.worker.strategy"})
_RESTATING_EVENTS: Final = frozenset(
    {
        names.REQUEST_FINISHED,
        names.TASK_RECEIVED,
        names.TASK_STARTED,
        names.TASK_SUCCEEDED,
        names.COMMAND_FINISHED,
        names.QUERY_SLOW,
        names.QUERY_REPEATED,
    }
)
_LEFT_OUT_GROUPS: Final = ("code.", "exception.")


def restates(row: LogRow) -> bool:
    """Whether it says what the spans say: a request's line, a task that came, a slow query."""
    if row.event in _RESTATING_EVENTS:
        return True
    if row.logger == "django.server":
        return "status_code" in row.attributes
    return row.logger in _RESTATING and row.severity_number < log_record.WARN


def color(row: LogRow) -> tuple[str, ...]:
    """By level; plain for what is ordinary."""
    if row.severity_number >= log_record.ERROR:
        return (RED,)
    if row.severity_number >= log_record.WARN:
        return (AMBER,)
    return () if row.severity_number >= log_record.INFO else (DIM,)


def level(row: LogRow) -> str:
    """In up to five letters."""
    for number, name in (
        (log_record.FATAL, "FATAL"),
        (log_record.ERROR, "ERROR"),
        (log_record.WARN, "WARN"),
        (log_record.INFO, "INFO"),
    ):
        if row.severity_number >= number:
            return name
    return "DEBUG"


def label(row: LogRow, count: int = 1, told: Collection[str] = ()) -> str:
    """A record in a tree; ``told`` are exceptions that stand there already."""
    mark = "•" if row.severity_number < log_record.WARN else f"• {level(row)}"
    times = f" ×{count:,}" if count > 1 else ""
    exception = _exception(row)
    parts = [f"{mark} {_event(row)}{times}", "" if exception in told else exception, fields(row)]
    return "  ".join(filter(None, parts))


def alone(row: LogRow, look: Look) -> str:
    """A record on a line of its own."""
    seconds = min(max(row.time_ns, 0), LATEST_NS) / 1e9
    when = datetime.fromtimestamp(seconds, look.zone).strftime("%H:%M:%S")
    logger = fit(inert(row.logger[:80]), max(look.width // 4, 10))
    told = "  ".join(filter(None, (_event(row), _exception(row))))
    room = look.width - len(when) - 9 - (len(logger) + 2 if logger else 0)
    told = fit(told, max(room, 20))
    more = fields(row)
    more = fit(more, room - len(told) - 2) if room - len(told) > 12 else ""
    hue = (BOLD, *color(row)) if row.severity_number >= log_record.WARN else color(row) or (CYAN,)
    parts = [
        look.paint(when, DIM),
        look.paint(level(row).ljust(5), *hue),
        look.paint(logger, DIM),
        look.paint(told, *color(row)),
        look.paint(more, DIM),
    ]
    return "  ".join(filter(None, parts))


def _event(row: LogRow) -> str:
    text = inert(fit(row.event, MAX_EVENT_CELLS)) or "(no message)"
    if isinstance(row.body, str) and row.body:
        return f"{text}: {inert(fit(row.body, MAX_EVENT_CELLS))}"
    return text


def _exception(row: LogRow) -> str:
    return exception_text(row.attributes)


def exception_text(attributes: Mapping[str, Any]) -> str:
    """``ValueError: no address``, empty where there is none."""
    kind = attributes.get(names.EXCEPTION_TYPE)
    if not isinstance(kind, str):
        return ""
    message = str(attributes.get(names.EXCEPTION_MESSAGE) or "")
    short = kind.rpartition(".")[2]
    return inert(f"{short}: {message}" if message else short)


def fields(row: LogRow) -> str:
    """What the caller added: ``order=17 total=12.5``."""
    return "  ".join(
        f"{inert(str(key)[:80])}={_value(value)}"
        for key, value in row.attributes.items()
        if key not in _LEFT_OUT and not key.startswith(_LEFT_OUT_GROUPS)
    )


def _value(value: Any) -> str:
    text = inert(fit(value if isinstance(value, str) else str(value), MAX_VALUE_CELLS))
    return f'"{text}"' if isinstance(value, str) and (" " in text or not text) else text
