"""Celery's own log lines without the values of tasks: arguments, results, secrets in exceptions.

A worker writes every return value into its log, headers and bodies of messages it can't run, and
the texts of exceptions. A filter on the loggers that do so masks them in the line and in what
handlers find on the record (``data``, ``args``). Filters of loggers outlive Celery's set-up of
logging, which replaces handlers, and ``LOGGING``. Level, format and the other fields stay.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard
from otel_django.tracing.exceptions import exception_text, is_driver_error
from otel_django.tracing.redaction import MASK

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.exceptions import ExceptionFormatter
    from otel_django.tracing.redaction import Redactor
    from otel_django.tracing.tracer import Tracer

_TRACE: Final = "celery.app.trace"
LOGGERS: Final = (
    _TRACE,
    "celery.app.amqp",
    "celery.app.builtins",
    "celery.backends.base",
    "celery.backends.redis",
    "celery.beat",
    "celery.pool",
    "celery.utils.dispatch.signal",
    "celery.worker.consumer.consumer",
    "celery.worker.request",
    "celery.worker.strategy",
    "celery.worker.worker",
)
"""A filter sees the records of its own logger only, not those of the loggers below it."""

_VALUES: Final = ("args", "kwargs", "return_value")
_NOTHING: Final = ("()", "[]", "{}", "None", "", None)
"""Nothing was given or returned: there is nothing to hide."""

_BODIES: Final[dict[str, tuple[int, ...]]] = {
    "Received and deleted unknown message": (0,),
    "Received unregistered task": (1,),
    "Received invalid task message": (1,),
    "Can't decode message body": (3, 4),
    "TaskPool: Apply": (1, 2),
}
"""How messages begin that quote bodies or arguments, and at which of the record's arguments."""

_PLAIN_FIELDS: Final = frozenset(
    [
        *("id", "name", "task", "shadow", "lang", "origin", "hostname", "ignore_result"),
        *("root_id", "parent_id", "group", "group_index", "replaced_task_nesting"),
        *("eta", "expires", "retries", "timelimit", "time_start", "acknowledged", "worker_pid"),
        *("exchange", "routing_key", "priority", "redelivered", "delivery_tag", "consumer_tag"),
    ]
)
"""What may be shown of a message's headers and delivery, and of a request."""


class CeleryLogsInstrumentation:
    """Puts the filter on Celery's loggers."""

    def __init__(self) -> None:
        self._filter: MaskValues | None = None

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Mask from now on; a second call changes nothing."""
        if self._filter is None:
            self._filter = MaskValues(tracer.normaliser.redactor, tracer.exceptions)
            for name in LOGGERS:
                logging.getLogger(name).addFilter(self._filter)

    def uninstall(self) -> None:
        """Leave the lines as Celery writes them."""
        if self._filter is not None:
            for name in LOGGERS:
                logging.getLogger(name).removeFilter(self._filter)
            self._filter = None


class MaskValues(logging.Filter):
    """Lets every record pass, without values."""

    def __init__(self, redactor: Redactor, exceptions: ExceptionFormatter) -> None:
        super().__init__()
        self._redactor = redactor
        self._exceptions = exceptions

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask what the record holds, before any handler gets it."""
        try:
            self._mask(record)
        except Exception:
            record.msg, record.args, record.exc_info = MASK, (), None
            vars(record).pop("data", None)
            guard.caught("celery.logs")
        return True

    def _mask(self, record: logging.LogRecord) -> None:
        arguments = record.args
        if isinstance(arguments, Mapping):
            data = getattr(record, "data", None)
            record.args = masked = self._fields(arguments, _original(record))
            if data is arguments:
                record.data = masked
        elif arguments:
            record.args = self._positional(str(record.msg), arguments)
        if record.exc_info and not record.exc_text:
            exc = _original(record)
            if exc is not None:  # formatters take this text instead of making it again
                record.exc_text = self._exceptions.stacktrace(exc).rstrip("\n")

    def _fields(self, fields: Mapping[str, Any], exc: BaseException | None) -> dict[str, Any]:
        """What Celery says of a task."""
        masked = dict(fields)
        for name in _VALUES:
            if masked.get(name) not in _NOTHING:
                masked[name] = MASK
        if "exc" in masked:
            masked["exc"] = self._exception(str(masked["exc"]), exc)
        if "traceback" in masked:
            text = str(masked["traceback"])
            masked["traceback"] = (
                self._redactor.text(text) if exc is None else self._exceptions.stacktrace(exc)
            )
        return masked

    def _positional(self, message: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden: tuple[int, ...] = ()
        for beginning, positions in _BODIES.items():
            if message.startswith(beginning):
                hidden = positions
                break
        return tuple(
            MASK if position in hidden else self._argument(value)
            for position, value in enumerate(arguments)
        )

    def _argument(self, value: Any) -> Any:
        if isinstance(value, BaseException):
            from kombu.utils.encoding import safe_repr

            exc = _unwrapped(value)
            return _Shown(
                self._exception(exception_text(exc), exc), self._exception(safe_repr(exc), exc)
            )
        if isinstance(value, Mapping):
            return {
                name: content if name in _PLAIN_FIELDS or content in _NOTHING else MASK
                for name, content in value.items()
            }
        return value

    def _exception(self, text: str, exc: BaseException | None) -> str:
        """``text`` shows ``exc``: drop the message of a database driver, redact any other."""
        if exc is None:
            return self._redactor.text(text)
        if is_driver_error(exc):
            return self._short(exc)
        cause = getattr(exc, "exc", None)  # what a retry is for
        quoted = getattr(exc, "excs", None)
        if isinstance(cause, BaseException) and isinstance(quoted, str) and is_driver_error(cause):
            text = text.replace(quoted, self._short(cause))
        return self._redactor.text(text)

    def _short(self, exc: BaseException) -> str:
        return f"{type(exc).__name__}({self._exceptions.message(exc)!r})"


class _Shown:
    """Stands for an exception among a record's arguments."""

    def __init__(self, text: str, representation: str) -> None:
        self._text = text
        self._representation = representation

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._representation


def _original(record: logging.LogRecord) -> BaseException | None:
    """The exception a record tells of.

    Runs of tasks are told of while their exception is handled, and with a copy that can be pickled,
    which may have another type.
    """
    exc = sys.exc_info()[1] if record.name == _TRACE else None
    if exc is None and record.exc_info:
        exc = record.exc_info[1]
    return None if exc is None else _unwrapped(exc)


def _unwrapped(exc: BaseException) -> BaseException:
    """Without what billiard puts around an exception on its way between processes."""
    inner = getattr(exc, "exc", None)
    if type(exc).__name__ == "ExceptionWithTraceback" and isinstance(inner, BaseException):
        return inner
    return exc
