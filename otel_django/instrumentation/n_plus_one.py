"""Statements that repeat within one request or task, and the line of code that repeats them."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from otel_django import names
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
MAX_WALKS = 100


class _Site:
    """A line of the project's that runs a repeated statement."""

    __slots__ = ("attributes", "count", "place")

    def __init__(self, caller: Caller, place: Place | None) -> None:
        self.attributes: dict[str, Plain] = {**caller.attributes()}
        self.place = place
        self.count = 0


class Repeat:
    """One normalised statement of a local trace; ``total_ns`` grows while rows are fetched."""

    __slots__ = ("count", "site", "sites", "statement", "total_ns", "walks")

    def __init__(self, statement: Statement, duration_ns: int) -> None:
        self.statement = statement
        self.count = 1
        self.total_ns = duration_ns
        self.walks = 0
        self.site: _Site | None = None
        self.sites: dict[Caller, _Site] | None = None


class RepeatedStatements:
    """The statements of one local trace, by fingerprint.

    From the ``threshold``-th run of a statement on, the project's line that runs it is noted, on
    the query's span and for the event; before that it isn't looked for, since it costs a walk up
    the stack. Reads and writes of rows count; transactions, savepoints and settings don't.
    """

    __slots__ = ("_before", "_finder", "_repeats", "_threshold")

    def __init__(self, threshold: int, finder: CallerFinder, local: LocalTrace) -> None:
        self._threshold = threshold
        self._finder = finder
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
        site = repeat.site
        if site is None or site.place is None or not site.place.is_here():
            if repeat.walks >= MAX_WALKS:
                return
            repeat.walks += 1
            caller, place = self._finder.locate()
            if caller is None:
                return
            if repeat.sites is None:
                repeat.sites = {}
            site = repeat.site = repeat.sites.setdefault(caller, _Site(caller, place))
        site.count += 1
        span._attributes.update(site.attributes)

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
            root.append_event(Event(names.N_PLUS_ONE_EVENT, _event_attributes(each), now, 0))


def _event_attributes(repeat: Repeat) -> dict[str, Plain]:
    attributes: dict[str, Plain] = {
        names.DB_QUERY_SUMMARY: repeat.statement.summary,
        names.DB_QUERY_TEXT: repeat.statement.fingerprint,
        names.N_PLUS_ONE_COUNT: repeat.count,
        names.N_PLUS_ONE_DURATION: repeat.total_ns / 1e9,
    }
    if repeat.sites:
        attributes.update(max(repeat.sites.values(), key=lambda site: site.count).attributes)
    return attributes
