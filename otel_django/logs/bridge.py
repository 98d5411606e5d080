"""The handler that takes what is logged through ``logging``."""

from __future__ import annotations

import logging
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard, names
from otel_django.logs import suppression
from otel_django.logs.journal import LEFT_OUT, Entry
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
        try:
            if self.filters and not self.filter(record):
                return False
            rule = journal.rule_of(record.name)
            event = None if rule is None else rule(record)
            if event == LEFT_OUT:
                return False
            journal.take(
                self._entry(record) if event is None else _as_event(event, self._entry(record)),
                lines=self._lines,
                lane=not suppression.stays_here(record.name, record.threadName),
            )
            failed = None
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

    def _entry(self, record: logging.LogRecord) -> Entry:
        fields = self._journal.fields
        attributes = vars(record)
        exc_info = record.exc_info
        given: Any = {}
        if len(attributes) > _FEW:
            given = _extra(attributes)
        message: Any = record.msg
        kind = type(message)
        if kind is Structured:
            given = {**given, **message.fields}
            event = fields.text(message.event)
        elif kind is dict and "event" in message:  # a user's own structlog set-up
            given.update(
                (name, value)
                for name, value in message.items()
                if name not in _STRUCTURED_OWN and name[:1] != "_"
            )
            event = fields.message(message["event"], None)
            exc_info = exc_info or message.get("exc_info")
        else:
            event = fields.message(message, record.args)
        return Entry(
            int(record.created * 1e9),
            record.levelno,
            record.levelname,
            event,
            record.name,
            given,
            (record.pathname, record.lineno, record.funcName or ""),
            _exception(exc_info) if exc_info else None,
            record.stack_info,
        )


def _as_event(event: str, entry: Entry) -> Entry:
    """The record as the event it is; what it said becomes a field."""
    fields = {**entry.fields, names.MESSAGE: entry.event}
    return entry._replace(event=event, event_name=event, fields=fields)


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
