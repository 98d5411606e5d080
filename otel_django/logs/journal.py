"""Takes every record of the process: writes its line, and hands it on as a log record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from itertools import islice
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from otel_django import guard, names
from otel_django.log_record import INFO, LogRecord
from otel_django.logs.line import stamp
from otel_django.logs.severity import LEVELS, level_of, severity_of
from otel_django.logs.suppression import quiet, suppressed

if TYPE_CHECKING:
    from otel_django.logs.fields import Exceptions, Fields

EVENTS_LOGGER: Final = "otel_django.events"
LEFT_OUT: Final = ""
"""What a rule says of a record that an event of ours stands for."""
_TOLD: Final = "_otel_django_told"
_LARGE: Final = 1024
_NAMES: Final = {level: name.upper() for name, level in LEVELS.items()}
_LOWER: Final = {name: name.lower() for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}
_MOST_PATHS: Final = 4096
_MOST_LOGGERS: Final = 4096


class Place(NamedTuple):
    """Where in the system a record was written; 0 and None: outside any.

    ``task_names`` are the attributes under which task and id leave.
    """

    trace_id: int = 0
    span_id: int = 0
    trace_flags: int = 0
    request_id: str | None = None
    route: str | None = None
    task: str | None = None
    task_id: str | None = None
    task_name_key: str = names.CELERY_TASK_NAME


Rule = Callable[[logging.LogRecord], "str | None"]
"""What becomes of a record: the event it is, ``LEFT_OUT``, or None: what it is anyway."""


class Output(Protocol):
    """Takes lines."""

    def write(self, line: bytes) -> None:
        """Write one whole line; never raises."""
        ...


class Channel(NamedTuple):
    """One output and how its lines are drawn."""

    draw: Callable[[Mapping[str, Any]], bytes]
    output: Output


class Entry(NamedTuple):
    """A record as it comes in; ``fields`` are the caller's, not looked at yet.

    ``event`` is safe already. ``code`` is (file, line, function).
    """

    time_ns: int
    level: int
    level_name: str
    event: str
    logger: str
    fields: Mapping[Any, Any]
    code: tuple[str, int, str] | None = None
    exception: BaseException | None = None
    stack: str | None = None
    event_name: str = ""


class Journal:
    """The one place that records pass.

    Args:
        place: where the caller is, or where the given span belongs.
        resource: that of this process, now.
        put: takes log records, None: nobody wants them.
        service, environment: for the lines.
        max_attributes: how many fields of the caller's are kept.
    """

    def __init__(
        self,
        *,
        fields: Fields,
        exceptions: Exceptions,
        place: Callable[[Any], Place],
        resource: Callable[[], Any],
        put: Callable[[LogRecord], None] | None,
        service: str,
        environment: str | None,
        max_attributes: int = 128,
    ) -> None:
        self.fields = fields
        self.exceptions = exceptions
        self.put = put
        self.console: Channel | None = None
        self.file: Channel | None = None
        self.threshold = logging.INFO
        self._place = place
        self._resource = resource
        self._service = service
        self._environment = environment
        self._max_attributes = max_attributes
        self._paths: dict[str, str] = {}
        self._rules: dict[str, Rule] = {}
        self._ruled: dict[str, Rule | None] = {}

    def set_rule(self, logger: str, rule: Rule | None) -> None:
        """Ask ``rule`` of the records of ``logger`` and those below it; None: of none any more."""
        if rule is None:
            self._rules.pop(logger, None)
        else:
            self._rules[logger] = rule
        self._ruled = {}

    def rule_of(self, logger: str) -> Rule | None:
        """The rule for a logger's records, its own or that of the next one above."""
        try:
            return self._ruled[logger]
        except KeyError:
            name = logger
            while name and name not in self._rules:
                name = name.rpartition(".")[0]
            rule = self._rules.get(name)
            if len(self._ruled) < _MOST_LOGGERS:
                self._ruled[logger] = rule
            return rule

    def emit(
        self,
        event: str,
        *,
        severity: int = INFO,
        attributes: Mapping[str, Any] | None = None,
        exception: BaseException | None = None,
        span: Any = None,
    ) -> None:
        """Tell of an event of ours, named in ``names``; never raises.

        ``severity`` is a severity number. ``span``: the one it belongs to, if that isn't current.
        """
        level = level_of(severity)
        if level < self.threshold or suppressed():
            return
        with guard.guarded("logs.emit"), quiet():
            self.take(
                Entry(
                    time_ns=time_ns(),
                    level=level,
                    level_name=logging.getLevelName(level),
                    event=event,
                    logger=EVENTS_LOGGER,
                    fields=attributes or {},
                    exception=exception,
                    event_name=event,
                ),
                lines=self.console is not None,
                span=span,
            )

    def tell(
        self,
        event: str,
        severity: int,
        fields: dict[str, Any],
        place: Place,
        exception: BaseException | None = None,
    ) -> None:
        """As ``emit``, at less cost: ``fields`` are plain and hold no secret; they become ours.

        What goes wrong is raised.
        """
        level = level_of(severity)
        if level < self.threshold:
            return
        entry = Entry(
            time_ns(), level, _NAMES[level], event, EVENTS_LOGGER, fields, event_name=event
        )
        if exception is not None:
            self._add_exception(fields, exception)
        self._write(entry, place, fields, 0, self.console, self.put)

    def take(self, entry: Entry, *, lines: bool, lane: bool = True, span: Any = None) -> None:
        """Write and hand on one record; what goes wrong is raised."""
        console = self.console if lines else None
        file = self.file
        put = self.put if lane else None
        if console is None and file is None and put is None:
            return
        place = self._place(span)
        fields, dropped = self._described(entry)
        self._write(entry, place, fields, dropped, console, put)

    def _write(
        self,
        entry: Entry,
        place: Place,
        fields: dict[str, Any],
        dropped: int,
        console: Channel | None,
        put: Callable[[LogRecord], None] | None,
    ) -> None:
        file = self.file
        if console is not None or file is not None:
            line = self._line(entry, place, fields)
            if console is not None:
                console.output.write(console.draw(line))
            if file is not None:
                file.output.write(file.draw(line))
        if put is not None:
            put(self._record(entry, place, fields, dropped))

    def hand_on(self, record: LogRecord) -> None:
        """A record that is complete but for its resource: of users of the logs API."""
        if self.put is not None:
            record.resource = self._resource()
            self.put(record)

    def _described(self, entry: Entry) -> tuple[dict[str, Any], int]:
        """Code line, the caller's fields, exception; and how many fields were left out."""
        fields: dict[str, Any] = {}
        if entry.code is not None:
            path, line, function = entry.code
            fields[names.CODE_FILE_PATH] = self._paths.get(path) or self._path(path)
            fields[names.CODE_LINE_NUMBER] = line
            fields[names.CODE_FUNCTION_NAME] = function
        given = entry.fields
        dropped = 0
        if given:
            dropped = max(len(given) - self._max_attributes, 0)
            if dropped:
                given = dict(islice(given.items(), self._max_attributes))
            own = self.fields.all(given)
            if own.keys().isdisjoint(fields):
                fields.update(own)
            else:
                fields = {**fields, **own, **fields}
        if entry.stack:
            fields[names.CODE_STACKTRACE] = self.fields.text(entry.stack)
        if entry.exception is not None:
            self._add_exception(fields, entry.exception)
        return fields, dropped

    def _path(self, filename: str) -> str:
        path = self.exceptions.path(filename)
        if len(self._paths) < _MOST_PATHS:
            self._paths[filename] = path
        return path

    def _add_exception(self, fields: dict[str, Any], exc: BaseException) -> None:
        kind = type(exc)
        module = kind.__module__
        name = kind.__qualname__
        fields[names.EXCEPTION_TYPE] = name if module == "builtins" else f"{module}.{name}"
        fields[names.EXCEPTION_MESSAGE] = self.exceptions.message(exc)
        fields[names.EXCEPTION_STACKTRACE] = self.exceptions.stacktrace(exc)
        vars(exc)[_TOLD] = True

    def _line(self, entry: Entry, place: Place, fields: dict[str, Any]) -> dict[str, Any]:
        line: dict[str, Any] = {
            "timestamp": stamp(entry.time_ns),
            "level": _LOWER.get(entry.level_name) or entry.level_name.lower(),
            "event": entry.event,
            "logger": entry.logger,
            "service": self._service,
        }
        if self._environment is not None:
            line["environment"] = self._environment
        _add_place(line, place)
        if fields.keys().isdisjoint(line):
            line.update(fields)
            return line
        for name, value in fields.items():
            if name not in line:
                line[name] = value
            elif line[name] != value:
                line[f"{name}_"] = value
        return line

    def _record(
        self, entry: Entry, place: Place, fields: dict[str, Any], dropped: int
    ) -> LogRecord:
        if place.request_id is not None:
            fields[names.DJANGO_REQUEST_ID] = place.request_id
        if place.route is not None:
            fields[names.HTTP_ROUTE] = place.route
        if place.task is not None:
            fields[place.task_name_key] = place.task
        if place.task_id is not None:
            fields[names.MESSAGING_MESSAGE_ID] = place.task_id
        return LogRecord(
            time_ns=entry.time_ns,
            severity_number=severity_of(entry.level),
            severity_text=entry.level_name,
            body=entry.event,
            attributes=fields,
            resource=self._resource(),
            event_name=entry.event_name,
            scope_name=entry.logger,
            trace_id=place.trace_id,
            span_id=place.span_id,
            trace_flags=place.trace_flags,
            dropped_attributes=dropped,
            large_bytes=large_bytes(entry.event, fields),
        )


def _add_place(line: dict[str, Any], place: Place) -> None:
    if place.trace_id:
        line["trace_id"], line["span_id"] = _digits(place.trace_id, place.span_id)
    if place.request_id is not None:
        line["request_id"] = place.request_id
    if place.route is not None:
        line[names.HTTP_ROUTE] = place.route
    if place.task is not None:
        line["task"] = place.task
    if place.task_id is not None:
        line["task_id"] = place.task_id


def untold(exc: BaseException | None) -> BaseException | None:
    """``exc``, unless a record has told it: each is told once, by whoever logs it first."""
    return None if exc is None or _TOLD in vars(exc) else exc


_last_ids = (0, 0, "", "")


def _digits(trace_id: int, span_id: int) -> tuple[str, str]:
    """Both ids in hexadecimal; records of one span often follow each other."""
    global _last_ids
    last_trace, last_span, trace, span = _last_ids
    if span_id != last_span or trace_id != last_trace:
        trace = trace_id.to_bytes(16, "big").hex()
        span = span_id.to_bytes(8, "big").hex()
        _last_ids = (trace_id, span_id, trace, span)
    return trace, span


def large_bytes(body: Any, attributes: Mapping[str, Any]) -> int:
    """What long texts take beyond an ordinary record's size."""
    size = len(body) if type(body) is str and len(body) > _LARGE else 0
    for value in attributes.values():
        if type(value) is str:
            if len(value) > _LARGE:
                size += len(value)
        elif type(value) is list or type(value) is dict:
            size += len(str(value))
    return size
