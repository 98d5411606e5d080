"""Which log records ``otel tail`` shows, and where: with their trace, or on a line of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django import log_record
from otel_django.cli.log_words import restates
from otel_django.contracts import LogQuery
from otel_django.errors import ReadTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_django.backends.embedded_logs import EmbeddedLogReader
    from otel_django.contracts import LogRow, SpanRow

LATE_S: Final = 12.0
MAX_OF_A_TRACE: Final = 500
MAX_TOLD: Final = 20_000
LAST_LINES: Final = 1_000


@dataclass(frozen=True)
class LogFilter:
    """Which records; ``alone``: also those that belong to no trace that is shown.

    ``restating``: also those that say no more than the spans do.
    """

    min_severity: int = 0
    min_severity_alone: int = 0
    alone: bool = True
    restating: bool = True

    def passes(self, row: LogRow) -> bool:
        """Whether a record is wanted where there are spans too."""
        return self.restating or not restates(row)

    def passes_alone(self, row: LogRow) -> bool:
        """Whether it is wanted on a line of its own."""
        return row.severity_number >= self.min_severity_alone and self.passes(row)


class LogTail:
    """Reads log records. ``follow`` gives those for lines of their own; time is an argument."""

    def __init__(self, reader: EmbeddedLogReader, wanted: LogFilter) -> None:
        self._reader = reader
        self._wanted = wanted
        self._cursor: str | None = None
        self._waiting: dict[str, tuple[float, LogRow]] = {}
        self._told: dict[str, None] = {}

    def of(self, spans: Sequence[SpanRow]) -> list[LogRow]:
        """The records of a trace, or of a later part of one, by time; each is given once."""
        query = LogQuery(
            trace_id=spans[0].trace_id,
            min_severity=self._wanted.min_severity,
            limit=MAX_OF_A_TRACE,
        )
        try:
            rows = self._reader.list_logs(query).rows
        except ReadTimeoutError:
            return []
        ids = {span.span_id for span in spans}
        if any(span.parent_id is None for span in spans):
            ids.add("")
        found = [row for row in reversed(rows) if row.span_id in ids and row.key not in self._told]
        self._tell(found)
        return list(filter(self._wanted.passes, found))

    def begin(self) -> None:
        """Note what is there already."""
        self._cursor = self._reader.logs_since(None).cursor

    def follow(self, now_s: float) -> list[LogRow]:
        """Records without a trace as they come; others if theirs hasn't been shown in 12 s."""
        page = self._reader.logs_since(self._cursor)
        self._cursor = page.cursor
        if not self._wanted.alone:
            return []
        for row in page.rows:
            if self._wanted.passes_alone(row):
                self._waiting[row.key] = (now_s + LATE_S if row.trace_id else now_s, row)
        due = [
            row
            for key, (due_s, row) in self._waiting.items()
            if due_s <= now_s and key not in self._told
        ]
        for key, (due_s, _) in list(self._waiting.items()):
            if due_s <= now_s or key in self._told:
                del self._waiting[key]
        self._tell(due)
        return due

    def before(self, since_ns: int | None, limit: int, traces: set[str]) -> list[LogRow]:
        """The last records whose trace is none of ``traces``, by time."""
        if not self._wanted.alone:
            return []
        query = LogQuery(
            since_ns=since_ns, min_severity=self._wanted.min_severity_alone, limit=LAST_LINES
        )
        rows = self._reader.list_logs(query).rows
        found = [row for row in rows if row.trace_id not in traces and self._wanted.passes(row)]
        return found[:limit][::-1]

    def failed_traces(self, limit: int) -> list[str]:
        """Ids of the traces with the newest errors logged."""
        rows = self._reader.list_logs(LogQuery(min_severity=log_record.ERROR, limit=limit)).rows
        return list(dict.fromkeys(row.trace_id for row in rows if row.trace_id))

    def _tell(self, rows: Iterable[LogRow]) -> None:
        self._told.update((row.key, None) for row in rows)
        while len(self._told) > MAX_TOLD:
            del self._told[next(iter(self._told))]
