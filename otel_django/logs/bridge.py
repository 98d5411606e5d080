"""The handler that takes what is logged through ``logging``."""

from __future__ import annotations

import logging
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard, names
from otel_django.logs import suppression
from otel_django.logs.journal import LEFT_OUT
from otel_django.logs.structured import Structured

if TYPE_CHECKING:
    from otel_django.logs.journal import Journal
    from otel_django.logs.levels import Overrides

STANDARD: Final = frozenset(
    {
        *vars(logging.makeLogRecord({})),
        *("message", "asctime", "taskName"),
        *("request", "server_time"),  # of Django: objects of the connection
        # what other libraries add for their own formatters
        *("color_message", "otelSpanID", "otelTraceID", "otelTraceSampled", "otelServiceName"),
    }
)
"""What a record has besides a caller's ``extra``."""
_FEW: Final = len(vars(logging.makeLogRecord({})))
_ABSENT: Final = "???"
"""What Celery's formatter sets outside of tasks."""
_STRUCTURED_OWN: Final = frozenset({"event", "exc_info", "stack_info", "level", "timestamp"})


class JournalHandler(logging.Handler):
    """Gives records to the journal; ``lines`` False: only to the lane and the file.

    It needs no lock: outputs write a line in one call.
    """

    def __init__(self, journal: Journal, overrides: Overrides, *, lines: bool) -> None:
        super().__init__()
        self._journal = journal
        self._overrides = overrides
        self._lines = lines

    def createLock(self) -> None:  # noqa: N802 - the standard library's name
        """None: threads needn't wait for each other here."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Take one record; never raises."""
        if suppression.suppressed():
            return False
        journal = self._journal
        if record.levelno < journal.threshold and not self._overrides.want(record):
            return False
        suppression.begin()
        failed = None
        try:
            if self.filters and not self.filter(record):
                return False
            if not self._take(record):
                return False
        except Exception as error:
            failed = error
        finally:
            suppression.end()
        if failed is not None:
            _account_for(failed)
        elif not self._lines and record.levelno >= logging.WARNING:
            _last_resort(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """For those who call it in place of ``handle``."""
        self.handle(record)

    def _take(self, record: logging.LogRecord) -> bool:
        """Give it to the journal; False: an event stands for it."""
        journal = self._journal
        rule, stays_here = journal.source(record.name)
        event_name = rule(record) if rule is not None else None
        if event_name == LEFT_OUT:
            return False
        console = journal.console if self._lines else None
        put = journal.put
        if stays_here or suppression.on_own_thread(record.threadName):
            put = None
        if put is None and console is None and journal.file is None:
            return True
        text, given, exc_info = self._told(record)
        fields = journal.code(record.pathname, record.lineno, record.funcName or "")
        dropped = journal.add_fields(fields, given) if given else 0
        if event_name is not None:
            fields[names.MESSAGE] = text
        if record.stack_info:
            fields[names.CODE_STACKTRACE] = journal.fields.text(record.stack_info)
        exc = _exception(exc_info) if exc_info else None
        if exc is not None:
            journal.add_exception(fields, exc)
        journal.write(
            int(record.created * 1e9),
            record.levelno,
            record.levelname,
            event_name or text,
            record.name,
            fields,
            journal.place(None),
            console,
            put,
            event_name or "",
            dropped,
        )
        return True

    def _told(self, record: logging.LogRecord) -> tuple[str, dict[str, Any], Any]:
        """The message with its arguments in it, the caller's fields, the exception's."""
        fields = self._journal.fields
        attributes = vars(record)
        given = _extra(attributes) if len(attributes) > _FEW else {}
        message: Any = record.msg
        kind = type(message)
        if kind is Structured:
            return fields.text(message.event), {**given, **message.fields}, record.exc_info
        if kind is dict and "event" in message:  # a user's own structlog set-up
            given.update(
                (name, value)
                for name, value in message.items()
                if name not in _STRUCTURED_OWN and name[:1] != "_"
            )
            text = fields.message(message["event"], None)
            return text, given, record.exc_info or message.get("exc_info")
        return fields.message(message, record.args), given, record.exc_info


def _extra(attributes: dict[str, Any]) -> dict[str, Any]:
    """The caller's ``extra``, which comes after what every record has."""
    return {
        name: value
        for name, value in islice(attributes.items(), _FEW, None)
        if name not in STANDARD and name[:1] != "_" and value is not _ABSENT
    }


def _exception(exc_info: Any) -> BaseException | None:
    exc = exc_info[1] if type(exc_info) is tuple else exc_info
    if exc is True:
        exc = sys.exc_info()[1]
    return exc if isinstance(exc, BaseException) else None


def _account_for(error: Exception) -> None:
    try:
        raise error
    except Exception:
        guard.caught("logs.handle")


def _last_resort(record: logging.LogRecord) -> None:
    """Where nobody but us handles a record, Python would have shown it: so it does."""
    resort = logging.lastResort
    if resort is None or record.levelno < resort.level:
        return
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        for handler in logger.handlers:
            if type(handler) is not JournalHandler:
                return
        logger = logger.parent if logger.propagate else None
    resort.handle(record)
