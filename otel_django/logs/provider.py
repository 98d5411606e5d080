"""OpenTelemetry's logs API (``opentelemetry._logs``) for those who use it directly."""

from __future__ import annotations

import sys
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs as api

from otel_django import guard, names
from otel_django.log_record import INFO, LogRecord
from otel_django.logs.journal import large_bytes

if TYPE_CHECKING:
    from otel_django.logs.journal import Journal

_HANDLERS = ("opentelemetry.instrumentation.logging", "opentelemetry.sdk._logs")
"""Where handlers of ``logging`` lie that would bring each record a second time."""


class LoggerProvider(api.LoggerProvider):
    """Its loggers hand records on as the journal does; nothing is written as a line."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def get_logger(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> api.Logger:
        """A logger of this scope; one without effect for handlers of ``logging``."""
        if _for_a_handler():
            return api.NoOpLogger(name, version, schema_url, attributes)
        return Logger(self._journal, name, version)


class Logger(api.Logger):
    """One scope's logger."""

    def __init__(self, journal: Journal, name: str, version: str | None) -> None:
        super().__init__(name, version)
        self._journal = journal

    def emit(self, record: Any = None, **given: Any) -> None:
        """Hand on a record, given whole or by its parts; never raises."""
        with guard.guarded("logs.api"):
            self._emit(api.LogRecord(**given) if record is None else record)

    def enabled(self, **given: Any) -> bool:
        """Whether anybody takes records."""
        return self._journal.put is not None

    def _emit(self, record: Any) -> None:
        fields = self._journal.fields
        now_ns = time_ns()
        severity = getattr(record.severity_number, "value", 0) or INFO
        body = fields.value("body", record.body)
        attributes = fields.all(record.attributes or {})
        exc = getattr(record, "exception", None)
        if exc is not None:
            exceptions = self._journal.exceptions
            attributes.setdefault(names.EXCEPTION_TYPE, type(exc).__qualname__)
            attributes.setdefault(names.EXCEPTION_MESSAGE, exceptions.message(exc))
            attributes.setdefault(names.EXCEPTION_STACKTRACE, exceptions.stacktrace(exc))
        self._journal.hand_on(
            LogRecord(
                time_ns=record.timestamp or now_ns,
                observed_ns=record.observed_timestamp or now_ns,
                severity_number=severity,
                severity_text=record.severity_text or "",
                body=body,
                attributes=attributes,
                resource=None,
                event_name=record.event_name or "",
                scope_name=self._name,
                scope_version=self._version or "",
                trace_id=record.trace_id or 0,
                span_id=record.span_id or 0,
                trace_flags=int(record.trace_flags or 0),
                large_bytes=large_bytes(body, attributes),
            )
        )


def _for_a_handler() -> bool:
    frame = sys._getframe(2)
    for _ in range(4):
        if frame is None:
            return False
        if frame.f_globals.get("__name__", "").startswith(_HANDLERS):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def take_charge(journal: Journal) -> bool:
    """Become the API's provider, unless there is one; whether it is ours now."""
    provider = LoggerProvider(journal)
    if getattr(api._internal, "_LOGGER_PROVIDER", None) is None:
        api.set_logger_provider(provider)
    return api.get_logger_provider() is provider
