"""Takes every record of the process: writes its line, and hands it on as a log record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from itertools import islice
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from otel_django import guard, names
from otel_django.log_record import INFO, LogRecord, log_record
from otel_django.logs.line import json_line, stamp
from otel_django.logs.severity import LEVELS, USUAL, level_of, severity_of
from otel_django.logs.suppression import quiet, stays_here, suppressed

if TYPE_CHECKING:
    from otel_django.logs.fields import Exceptions, Fields
    from otel_django.logs.place import Place

EVENTS_LOGGER: Final = "otel_django.events"
LEFT_OUT: Final = ""
"""What a rule says of a record that an event of ours stands for."""
_TOLD: Final = "_otel_django_told"
_LARGE: Final = 1024
_NAMES: Final = {level: name.upper() for name, level in LEVELS.items()}
_LOWER: Final = {name: name.lower() for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}
_MOST_PATHS: Final = 4096
_MOST_LOGGERS: Final = 4096


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


class Source(NamedTuple):
    """What is known of a logger: the rule for its records, and whether they are never sent."""

    rule: Rule | None
    stays_here: bool


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
        self.place = place
        self._resource = resource
        self._process = {"service": service}
        if environment is not None:
            self._process["environment"] = environment
        self._max_attributes = max_attributes
        self._paths: dict[str, str] = {}
        self._rules: dict[str, Rule] = {}
        self._sources: dict[str, Source] = {}

    def set_rule(self, logger: str, rule: Rule | None) -> None:
        """Ask ``rule`` of the records of ``logger`` and those below it; None: of none any more."""
        if rule is None:
            self._rules.pop(logger, None)
        else:
            self._rules[logger] = rule
        self._sources = {}

    def source(self, logger: str) -> Source:
        """What is known of a logger; its rule is its own or that of the next one above."""
        try:
            return self._sources[logger]
        except KeyError:
            name = logger
            while name and name not in self._rules:
                name = name.rpartition(".")[0]
            source = Source(self._rules.get(name), stays_here(logger))
            if len(self._sources) < _MOST_LOGGERS:
                self._sources[logger] = source
            return source

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
            fields: dict[str, Any] = {}
            dropped = self.add_fields(fields, attributes) if attributes else 0
            if exception is not None:
                self.add_exception(fields, exception)
            self.write(
                time_ns(),
                level,
                _NAMES[level],
                event,
                EVENTS_LOGGER,
                fields,
                self.place(span),
                self.console,
                self.put,
                event,
                dropped,
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
        if exception is not None:
            self.add_exception(fields, exception)
        self.write(
            time_ns(),
            level,
            _NAMES[level],
            event,
            EVENTS_LOGGER,
            fields,
            place,
            self.console,
            self.put,
            event,
        )

    def write(
        self,
        time_ns: int,
        level: int,
        level_name: str,
        event: str,
        logger: str,
        fields: dict[str, Any],
        place: Place,
        console: Channel | None,
        put: Callable[[LogRecord], None] | None,
        event_name: str = "",
        dropped: int = 0,
    ) -> None:
        """Write and hand on one record; ``fields`` are plain, and become ours.

        ``console`` and ``put`` are None where it isn't to go there.
        """
        size = _LARGE + 1
        if console is not None or self.file is not None:
            line: dict[str, Any] = {
                "timestamp": stamp(time_ns),
                "level": _LOWER.get(level_name) or level_name.lower(),
                "event": event,
                "logger": logger,
                **self._process,
                **place.in_line,
            }
            if fields.keys().isdisjoint(line):
                line.update(fields)
            else:
                _add_beside(line, fields)
            for channel in (console, self.file):
                if channel is not None:
                    drawn = channel.draw(line)
                    channel.output.write(drawn)
                    if channel.draw is json_line:
                        size = len(drawn)
        if put is not None:
            fields.update(place.in_record)
            put(
                log_record(
                    time_ns,
                    USUAL.get(level) or severity_of(level),
                    level_name,
                    event,
                    fields,
                    self._resource(),
                    event_name,
                    logger,
                    place.trace_id,
                    place.span_id,
                    place.trace_flags,
                    dropped,
                    # No text is longer than the whole line.
                    0 if size <= _LARGE else large_bytes(event, fields),
                )
            )

    def hand_on(self, record: LogRecord) -> None:
        """A record that is complete but for its resource: of users of the logs API."""
        if self.put is not None:
            record.resource = self._resource()
            self.put(record)

    def code(self, filename: str, line: int, function: str) -> dict[str, Any]:
        """The fields that say which line of code wrote a record."""
        return {
            names.CODE_FILE_PATH: self._paths.get(filename) or self._path(filename),
            names.CODE_LINE_NUMBER: line,
            names.CODE_FUNCTION_NAME: function,
        }

    def add_fields(self, fields: dict[str, Any], given: Mapping[Any, Any]) -> int:
        """Add a caller's, beside those that are there; how many were too many."""
        dropped = len(given) - self._max_attributes
        if dropped > 0:
            given = dict(islice(given.items(), self._max_attributes))
        own = self.fields.all(given)
        if not own.keys().isdisjoint(fields):
            own.update(fields)
        fields.update(own)
        return max(0, dropped)

    def _path(self, filename: str) -> str:
        path = self.exceptions.path(filename)
        if len(self._paths) < _MOST_PATHS:
            self._paths[filename] = path
        return path

    def add_exception(self, fields: dict[str, Any], exc: BaseException) -> None:
        """Tell of ``exc``; no other record need do so."""
        kind = type(exc)
        module = kind.__module__
        name = kind.__qualname__
        fields[names.EXCEPTION_TYPE] = name if module == "builtins" else f"{module}.{name}"
        fields[names.EXCEPTION_MESSAGE] = self.exceptions.message(exc)
        fields[names.EXCEPTION_STACKTRACE] = self.exceptions.stacktrace(exc)
        vars(exc)[_TOLD] = True


def _add_beside(line: dict[str, Any], fields: dict[str, Any]) -> None:
    """Add ``fields``, under another name where the line has one of its own."""
    for name, value in fields.items():
        if name not in line:
            line[name] = value
        elif line[name] != value:
            line[f"{name}_"] = value


def untold(exc: BaseException | None) -> BaseException | None:
    """``exc``, unless a record has told it: each is told once, by whoever logs it first."""
    return None if exc is None or _TOLD in vars(exc) else exc


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
