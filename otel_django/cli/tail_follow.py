"""What ``otel tail`` shows, in which order: the last traces and log lines, or those that come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from otel_django.cli.tail import LAST_TRACES
from otel_django.cli.tail_output import Output, Shown
from otel_django.cli.task_words import runs_task
from otel_django.cli.trace_assembly import TraceAssembly
from otel_django.cli.trace_header import root_of
from otel_django.contracts import TraceQuery
from otel_django.errors import ReadTimeoutError

if TYPE_CHECKING:
    from otel_django.backends.embedded import EmbeddedReader
    from otel_django.cli.tail import Filter
    from otel_django.cli.tail_logs import LogTail
    from otel_django.contracts import LogRow, SpanRow

POLL_S: Final = 0.2
LAST_LINES: Final = 100


class Tail:
    """Reads traces and gives those that pass the filter to the output."""

    def __init__(
        self,
        reader: EmbeddedReader,
        output: Output,
        wanted: Filter,
        limit: int | None,
        logs: LogTail | None,
    ) -> None:
        self._reader = reader
        self._output = output
        self._filter = wanted
        self._limit = limit
        self._logs = logs
        self._cursor: str | None = None
        self._began_ns = 0

    def last(self) -> None:
        """The last traces, oldest first, and the log lines from among them."""
        wanted = self._limit or LAST_TRACES
        found: list[Shown] = []
        for spans in self._newest():
            logs = self._logs_if_chosen(spans, None)
            if logs is not None:
                found.append(Shown(spans, logs, self._begun_by(spans)))
                if len(found) == wanted:
                    break
        for shown in sorted([*found, *self._lines_among(found)], key=lambda each: each.start_ns):
            self._output.show(shown)

    def _lines_among(self, found: list[Shown]) -> Iterator[Shown]:
        """Records that belong to no trace, since the first of those that are shown."""
        if self._logs is not None:
            since_ns = min((shown.start_ns for shown in found), default=None)
            traces = {shown.spans[0].trace_id for shown in found}
            for row in self._logs.before(since_ns, LAST_LINES, traces):
                if not row.trace_id or self._reader.get_trace(row.trace_id) is None:
                    yield Shown([], [row])

    def _newest(self) -> Iterator[list[SpanRow]]:
        logged = self._logged_errors()
        cursor: str | None = None
        while True:
            page = self._reader.list_traces(
                TraceQuery(
                    min_duration_ns=self._filter.slow_ns,
                    errors_only=self._filter.errors,
                    limit=100,
                    cursor=cursor,
                )
            )
            for trace in page.traces:
                while logged and logged[0][0].start_ns > trace.start_ns:
                    yield logged.pop(0)
                spans = self._trace(trace.trace_id)
                if spans:
                    yield spans
            cursor = page.cursor
            if cursor is None:
                yield from logged
                return

    def _logged_errors(self) -> list[list[SpanRow]]:
        """Traces in which no span failed, but an error was logged; newest first."""
        if self._logs is None or not self._filter.errors:
            return []
        traces = [self._trace(trace_id) for trace_id in self._logs.failed_traces(LAST_LINES)]
        found = [
            spans for spans in traces if spans and all(span.status != "error" for span in spans)
        ]
        return sorted(found, key=lambda spans: -spans[0].start_ns)

    def begin(self) -> None:
        """Note what is there already; `follow` shows all that comes after this."""
        self._began_ns = time.time_ns()
        while True:
            try:
                self._cursor = self._reader.spans_since(None).cursor
                if self._logs is not None:
                    self._logs.begin()
                return
            except ReadTimeoutError:
                time.sleep(POLL_S)

    def follow(self) -> None:
        """New traces, each once it is whole."""
        assembly = TraceAssembly()
        shown = 0
        while True:
            try:
                page = self._reader.spans_since(self._cursor)
                lines = [] if self._logs is None else self._logs.follow(time.monotonic())
            except ReadTimeoutError:
                time.sleep(POLL_S)
                continue
            self._cursor = page.cursor
            now_s = time.monotonic()
            assembly.add(page.spans, now_s)
            for row in lines:
                self._output.show(Shown([], [row]))
            for part in assembly.whole(now_s):
                spans = self._completed(part)
                begun_by = self._begun_by(spans)
                logs = self._logs_if_chosen(spans, begun_by)
                if logs is not None:
                    self._output.show(Shown(spans, logs, begun_by))
                    shown += 1
                    if shown == self._limit:
                        return
            if not page.spans:
                time.sleep(POLL_S)

    def _completed(self, spans: list[SpanRow]) -> list[SpanRow]:
        """A trace that was under way when we began, with what was written before that."""
        if min(span.start_ns for span in spans) >= self._began_ns:
            return spans
        return self._trace(spans[0].trace_id) or spans

    def _begun_by(self, spans: list[SpanRow]) -> SpanRow | None:
        """The root of the trace that a task comes from, where it isn't among ``spans``."""
        root = root_of(spans)
        if not runs_task(root) or (root.parent_id is None and not root.links):
            return None
        trace_id = root.trace_id if root.parent_id is not None else root.links[0].trace_id
        found = self._trace(trace_id)
        first = root_of(found) if found else root
        return None if first.span_id == root.span_id else first

    def _trace(self, trace_id: str) -> list[SpanRow]:
        try:
            detail = self._reader.get_trace(trace_id)
        except ReadTimeoutError:
            return []
        return list(detail.spans) if detail is not None else []

    def _logs_if_chosen(
        self, spans: list[SpanRow], begun_by: SpanRow | None
    ) -> list[LogRow] | None:
        """The trace's log records; None: it isn't wanted. They are read only where they count."""
        logs: list[LogRow] = []
        if self._filter.errors and all(span.status != "error" for span in spans):
            logs = self._logs_of(spans)
        if not self._filter.passes(root_of(spans), spans, begun_by, logs):
            return None
        return logs or self._logs_of(spans)

    def _logs_of(self, spans: list[SpanRow]) -> list[LogRow]:
        return [] if self._logs is None else self._logs.of(spans)
