"""Reading the store from end to end for an export, a page at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from otel_django.backends.embedded import EmbeddedReader
from otel_django.backends.embedded_logs import EmbeddedLogReader
from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.cli import csv_rows, otlp_json
from otel_django.contracts import LogRow, MetricAnswer, MetricInfo, MetricQuery, SpanRow

TIMEOUT_S: Final = 60.0
PAGE: Final = 1_000
MOST_SERIES: Final = 10_000
LEAST_RANGE_NS: Final = 60_000_000_000


class Target(Protocol):
    """A file, or a command's output."""

    def write(self, text: str, /) -> object:
        """Add ``text``."""
        ...


class Export:
    """Writes what was recorded between two times; ``notes`` say what couldn't be."""

    def __init__(self, path: Path, since_ns: int, until_ns: int) -> None:
        self.notes: list[str] = []
        self._counts: dict[str, int] = {}
        self._since_ns = since_ns
        self._until_ns = until_ns
        self._spans = EmbeddedReader(path, TIMEOUT_S)
        self._logs = EmbeddedLogReader(path, TIMEOUT_S)
        self._metrics = EmbeddedMetricReader(path, TIMEOUT_S)

    def write(self, signals: Iterable[str], form: str, target: Target) -> None:
        """One signal after the other."""
        for signal in signals:
            lines: dict[str, Callable[[], Iterator[str]]] = {
                "traces": self._trace_lines,
                "logs": self._log_lines,
                "metrics": self._metric_lines,
            }
            if form == "csv":
                rows = csv.writer(target)
                rows.writerow(csv_rows.COLUMNS[signal])
                rows.writerows(self._csv(signal))
            else:
                for line in lines[signal]():
                    target.write(line + "\n")

    def summary(self) -> str:
        """``3 spans, 12 log records``."""
        found = [f"{count:,} {unit}" for unit, count in self._counts.items()]
        return ", ".join(found) or "nothing"

    def _csv(self, signal: str) -> Iterator[list[Any]]:
        if signal == "traces":
            for spans in self._span_pages():
                yield from map(csv_rows.span, spans)
        elif signal == "logs":
            for rows in self._log_pages():
                yield from map(csv_rows.log, rows)
        else:
            for info, answer in self._answers():
                for series in answer.series:
                    yield from csv_rows.points(info, series)

    def _trace_lines(self) -> Iterator[str]:
        return map(otlp_json.traces, self._span_pages())

    def _log_lines(self) -> Iterator[str]:
        return map(otlp_json.logs, self._log_pages())

    def _metric_lines(self) -> Iterator[str]:
        return (otlp_json.metrics(info, answer.series) for info, answer in self._answers())

    def _count(self, unit: str, count: int) -> None:
        self._counts[unit] = self._counts.get(unit, 0) + count

    # --- pages

    def _span_pages(self) -> Iterator[list[SpanRow]]:
        self._count("spans", 0)
        cursor = self._spans.cursor_at(self._since_ns)
        while True:
            page = self._spans.spans_since(cursor, PAGE)
            found = [span for span in page.spans if self._is_in(span.start_ns)]
            self._count("spans", len(found))
            if found:
                yield found
            if len(page.spans) < PAGE:
                return
            cursor = page.cursor

    def _log_pages(self) -> Iterator[list[LogRow]]:
        self._count("log records", 0)
        cursor: str | None = self._logs.cursor_at(self._since_ns)
        while True:
            page = self._logs.logs_since(cursor, PAGE)
            found = [row for row in page.rows if self._is_in(row.time_ns)]
            self._count("log records", len(found))
            if found:
                yield found
            if len(page.rows) < PAGE:
                return
            cursor = page.cursor

    def _is_in(self, time_ns: int) -> bool:
        return self._since_ns <= time_ns <= self._until_ns

    def _answers(self) -> Iterator[tuple[MetricInfo, MetricAnswer]]:
        self._count("points of metrics", 0)
        first = max(self._since_ns, self._metrics.began_ns())
        for info in self._metrics.list_metrics():
            for answer in self._parts(info.name, first, self._until_ns):
                self._count("points of metrics", sum(len(each.points) for each in answer.series))
                if answer.series:
                    yield info, answer

    def _parts(self, name: str, since_ns: int, until_ns: int) -> Iterator[MetricAnswer]:
        """A metric's points; by halves of the time where they are too many at once."""
        answer = self._metrics.read(
            MetricQuery(name, since_ns=since_ns, until_ns=until_ns, max_series=MOST_SERIES)
        )
        if not answer.partial:
            yield answer
        elif until_ns - since_ns > LEAST_RANGE_NS:
            middle = (since_ns + until_ns) // 2
            yield from self._parts(name, since_ns, middle)
            yield from self._parts(name, middle + 1, until_ns)
        else:
            self.notes.append(f"{name}: {answer.partial}")
            yield answer
