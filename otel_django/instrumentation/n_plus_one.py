"""Statements that repeat within one request or task, and the line of code that repeats them."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, NamedTuple

from otel_django import names
from otel_django.instrumentation import query_events, thrift
from otel_django.tracing.span import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_django.instrumentation.caller import Caller, CallerFinder, Place
    from otel_django.instrumentation.sql import Statement
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.local_trace import LocalTrace
    from otel_django.tracing.span import Span

MAX_STATEMENTS = 1000
MAX_EVENTS = 5
MAX_WALKS = 5
MAX_KNOWN_LINES = 1000


class _Line(NamedTuple):
    """A line of the project's that runs a repeated statement."""

    caller: Caller
    attributes: dict[str, Plain]
    place: Place | None


class KnownLines:
    """Where each statement was last repeated, whatever the request: looked at first next time."""

    def __init__(self, finder: CallerFinder) -> None:
        self.finder = finder
        self._lines: dict[str, _Line] = {}

    def get(self, statement: Statement) -> _Line | None:
        """The line that ran it last."""
        return self._lines.get(statement.fingerprint)

    def add(self, statement: Statement, line: _Line) -> None:
        """Remember the line, if it can be recognised."""
        if line.place is not None:
            if len(self._lines) >= MAX_KNOWN_LINES:
                self._lines.clear()
            self._lines[statement.fingerprint] = line


class Repeat:
    """One normalised statement of a local trace; ``total_ns`` grows while rows are fetched.

    ``line`` ran it last, ``times`` in a row; ``lines`` holds how often earlier ones did.
    """

    __slots__ = ("count", "line", "lines", "statement", "times", "total_ns", "walks")

    def __init__(self, statement: Statement, duration_ns: int) -> None:
        self.statement = statement
        self.count = 1
        self.total_ns = duration_ns
        self.walks = 0
        self.line: _Line | None = None
        self.times = 0
        self.lines: dict[Caller, int] | None = None

    def seen_at(self, line: _Line) -> None:
        """``line`` has run it once more."""
        before = self.line
        if before is not line:
            self._put_away(before)
            self.line = line
        self.times += 1

    def _put_away(self, line: _Line | None) -> None:
        if line is not None:
            if self.lines is None:
                self.lines = {}
            self.lines[line.caller] = self.lines.get(line.caller, 0) + self.times
        self.times = 0

    def busiest(self) -> Caller | None:
        """The line that was seen to run it most often."""
        self._put_away(self.line)
        self.line = None
        return max(self.lines, key=self.lines.__getitem__) if self.lines else None


class RepeatedStatements:
    """The statements of one local trace, by fingerprint.

    From the ``threshold``-th run of a statement on, the project's line that runs it is noted, on
    the query's span and for the event; before that it isn't looked for. Where it can't be
    recognised by its place on the stack (a template, an awaiting task) or changes, it is looked
    for ``MAX_WALKS`` times, since each costs a walk up the stack; later spans don't tell it.
    Reads and writes of rows count; transactions, savepoints and settings don't.
    """

    __slots__ = ("_before", "_known", "_repeats", "_threshold")

    def __init__(self, threshold: int, known: KnownLines, local: LocalTrace) -> None:
        self._threshold = threshold
        self._known = known
        self._repeats: dict[str, Repeat] = {}
        self._before: Callable[[Span], None] | None = local.finish
        local.finish = self.finish

    def add(self, statement: Statement, duration_ns: int, span: Span) -> Repeat:
        """A statement has run, called from where we are; ``span`` is its own, not ended yet."""
        repeats = self._repeats
        repeat = repeats.get(statement.fingerprint)
        if repeat is None:
            repeat = Repeat(statement, duration_ns)
            if len(repeats) < MAX_STATEMENTS:
                repeats[statement.fingerprint] = repeat
        else:
            repeat.count += 1
            repeat.total_ns += duration_ns
        if repeat.count >= self._threshold:
            self._note_caller(repeat, span)
        return repeat

    def _note_caller(self, repeat: Repeat, span: Span) -> None:
        line = repeat.line or self._known.get(repeat.statement)
        if line is None or line.place is None or not line.place.is_here():
            if repeat.walks >= MAX_WALKS or thrift.on:
                return
            repeat.walks += 1
            caller, place = self._known.finder.locate()
            if caller is None:
                return
            line = _Line(caller, {**caller.attributes()}, place)
            self._known.add(repeat.statement, line)
        repeat.seen_at(line)
        span._own.update(line.attributes)

    def finish(self, root: Span) -> None:
        """The local root is about to end: tell it what was repeated, the costliest first."""
        if self._before is not None:
            self._before(root)
        repeated = [each for each in self._repeats.values() if each.count >= self._threshold]
        if not repeated:
            return
        repeated.sort(key=lambda each: each.total_ns, reverse=True)
        root.note(names.N_PLUS_ONE_COUNT, sum(each.count for each in repeated))
        root.note(names.N_PLUS_ONE_DURATION, sum(each.total_ns for each in repeated) / 1e9)
        now = time_ns()
        for each in repeated[:MAX_EVENTS]:
            attributes = _event_attributes(each)
            root.append_event(Event(names.N_PLUS_ONE_EVENT, attributes, now, 0))
            query_events.repeated(attributes, root)


def _event_attributes(repeat: Repeat) -> dict[str, Plain]:
    attributes: dict[str, Plain] = {
        names.DB_QUERY_SUMMARY: repeat.statement.summary,
        names.DB_QUERY_TEXT: repeat.statement.fingerprint,
        names.N_PLUS_ONE_COUNT: repeat.count,
        names.N_PLUS_ONE_DURATION: repeat.total_ns / 1e9,
    }
    caller = repeat.busiest()
    if caller is not None:
        attributes.update(caller.attributes())
    return attributes
