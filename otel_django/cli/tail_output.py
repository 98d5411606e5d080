"""How ``otel tail`` writes: as trees and lines, in colour on a terminal, or as JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from otel_django import conf
from otel_django.cli.log_words import alone
from otel_django.cli.look import Look
from otel_django.cli.output import encodable, encoding_of
from otel_django.cli.trace_header import root_of
from otel_django.cli.trace_tree import trace_lines

if TYPE_CHECKING:
    from django.core.management.base import OutputWrapper

    from otel_django.contracts import LogRow, SpanRow


@dataclass(frozen=True)
class Shown:
    """A trace, or a later part of one that ``begun_by`` has begun; without spans, a log line."""

    spans: list[SpanRow]
    logs: list[LogRow]
    begun_by: SpanRow | None = None

    @property
    def start_ns(self) -> int:
        times = [span.start_ns for span in self.spans] or [row.time_ns for row in self.logs]
        return min(times)


class Output:
    """Writes traces: as trees, in colour on a terminal, or as JSON."""

    def __init__(self, options: Mapping[str, Any], stdout: OutputWrapper) -> None:
        self._stdout = stdout
        self._among_lines = False
        self._json = bool(options["json"])
        plain = options.get("no_color") or conf.no_color() or not stdout.isatty()
        self._color = bool(options.get("force_color")) or not plain
        self._encoding = encoding_of(stdout)

    def show(self, shown: Shown) -> None:
        """Write it."""
        if self._json:
            self._stdout.write(_as_json(shown))
        else:
            for line in self._lines(shown):
                self._stdout.write(encodable(line, self._encoding))
        self._stdout.flush()

    def _lines(self, shown: Shown) -> Iterator[str]:
        if not shown.spans:
            yield from (alone(row, self._look()) for row in shown.logs)
            self._among_lines = True
            return
        if self._among_lines:
            yield ""
        self._among_lines = False
        first = "" if shown.begun_by is None else shown.begun_by.name
        yield from trace_lines(shown.spans, self._look(), first, shown.logs)
        yield ""

    def _look(self) -> Look:
        columns = shutil.get_terminal_size((100, 24)).columns  # COLUMNS counts where it is set
        return Look(width=max(columns, 40), color=self._color)


def _as_json(shown: Shown) -> str:
    spans, logs = shown.spans, [asdict(row) for row in shown.logs]
    if not spans:
        return json.dumps({"log": logs[0]})
    root = root_of(spans)
    trace = {
        "trace_id": root.trace_id,
        "name": root.name,
        "service": root.service,
        "start_ns": root.start_ns,
        "duration_ns": root.duration_ns,
        "status": root.status,
        "begun_by": None if shown.begun_by is None else shown.begun_by.name,
        "spans": [asdict(span) for span in sorted(spans, key=lambda each: each.start_ns)],
        "logs": logs,
    }
    return json.dumps(trace)
