"""``manage.py otel tail``: the site's traces in the terminal, as trees, while they happen."""

from __future__ import annotations

import argparse
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from pathlib import Path

    from django.core.management.base import OutputWrapper

    from otel_django.backends.embedded import EmbeddedReader
    from otel_django.cli.look import Look
    from otel_django.contracts import SpanRow

HELP = "Show traces in the terminal as they happen, as trees."

POLL_S: Final = 0.2
LAST_TRACES: Final = 20
UNITS_NS: Final[Mapping[str, int]] = {"": 1_000_000, "ms": 1_000_000, "s": 1_000_000_000}


@dataclass(frozen=True)
class Filter:
    """Which traces to show, by their root and by any span's failure."""

    slow_ns: int | None = None
    errors: bool = False
    route: str | None = None
    task: str | None = None

    def passes(self, root: SpanRow, spans: Sequence[SpanRow], begun_by: SpanRow | None) -> bool:
        """Whether a trace is wanted, or a later part of one that another span began."""
        from fnmatch import fnmatchcase

        from otel_django import names
        from otel_django.cli.task_words import task_name

        if self.slow_ns is not None and root.duration_ns < self.slow_ns:
            return False
        if self.errors and not any(span.status == "error" for span in spans):
            return False
        if self.task is not None and not any(
            fnmatchcase(task_name(span), self.task) for span in spans
        ):
            return False
        first = begun_by or root
        route = str(first.attributes.get(names.HTTP_ROUTE) or first.name)
        return self.route is None or fnmatchcase(route, self.route)


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--slow", type=_duration_ns, metavar="TIME", help="only traces that took TIME (200ms, 1.5s)"
    )
    parser.add_argument("--errors", action="store_true", help="only traces with a failed span")
    parser.add_argument(
        "--route", help="only this route, such as /products/; * stands for anything"
    )
    parser.add_argument(
        "--task",
        help="only traces that send or run this task; * stands for anything",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--follow", action="store_true", help="wait for new traces until Ctrl-C (the default)"
    )
    mode.add_argument("--once", action="store_true", help="show the last traces and end")
    parser.add_argument(
        "--limit",
        type=_positive,
        metavar="N",
        help=f"end after N traces; with --once how many, {LAST_TRACES} by default",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a trace and line")


def run(options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
    """Show until Ctrl-C; 0, or 1 where there is nothing that could be shown."""
    from otel_django import conf
    from otel_django.backends.embedded import EmbeddedReader
    from otel_django.errors import ReadError

    path = conf.from_django().store
    if path is None:
        stderr.write(
            "The embedded store is off, so there is nothing to show. It is on under DEBUG when no "
            "OTLP endpoint and no OTEL_*_EXPORTER is set; OTEL_DJANGO_STORE=on turns it on "
            "anywhere."
        )
        return 1
    tail = Tail(EmbeddedReader(path), Output(options, stdout), _filter(options), options["limit"])
    try:
        if options["once"]:
            _say_if_missing(path, stderr)
            tail.last()
        else:
            tail.begin()
            _announce(path, stderr)
            tail.follow()
    except ReadError as error:
        stderr.write(str(error))
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _filter(options: Mapping[str, Any]) -> Filter:
    return Filter(options["slow"], options["errors"], options["route"], options["task"])


def _announce(path: Path, stderr: OutputWrapper) -> None:
    if path.exists():
        stderr.write(f"Following {path}. Ctrl-C ends.")
    else:
        stderr.write(f"No store at {path} yet: it begins with the first request. Ctrl-C ends.")


def _say_if_missing(path: Path, stderr: OutputWrapper) -> None:
    if not path.exists():
        stderr.write(f"No store at {path} yet: open a page of your site, then try again.")


class Tail:
    """Reads traces and gives those that pass the filter to the output."""

    def __init__(
        self, reader: EmbeddedReader, output: Output, wanted: Filter, limit: int | None
    ) -> None:
        self._reader = reader
        self._output = output
        self._filter = wanted
        self._limit = limit
        self._cursor: str | None = None
        self._began_ns = 0

    def last(self) -> None:
        """The last traces, oldest first."""
        wanted = self._limit or LAST_TRACES
        found: list[list[SpanRow]] = []
        for spans in self._newest():
            if self._passes(spans, None):
                found.append(spans)
                if len(found) == wanted:
                    break
        for spans in reversed(found):
            self._output.show(spans, self._begun_by(spans))

    def _newest(self) -> Iterator[list[SpanRow]]:
        from otel_django.contracts import TraceQuery

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
                detail = self._reader.get_trace(trace.trace_id)
                if detail is not None and detail.spans:
                    yield list(detail.spans)
            cursor = page.cursor
            if cursor is None:
                return

    def begin(self) -> None:
        """Note what is there already; `follow` shows all that comes after this."""
        from otel_django.errors import ReadTimeoutError

        self._began_ns = time.time_ns()
        while True:
            try:
                self._cursor = self._reader.spans_since(None).cursor
                return
            except ReadTimeoutError:
                time.sleep(POLL_S)

    def follow(self) -> None:
        """New traces, each once it is whole."""
        from otel_django.cli.trace_assembly import TraceAssembly
        from otel_django.errors import ReadTimeoutError

        assembly = TraceAssembly()
        shown = 0
        while True:
            try:
                page = self._reader.spans_since(self._cursor)
            except ReadTimeoutError:
                time.sleep(POLL_S)
                continue
            self._cursor = page.cursor
            now_s = time.monotonic()
            assembly.add(page.spans, now_s)
            for part in assembly.whole(now_s):
                spans = self._completed(part)
                begun_by = self._begun_by(spans)
                if self._passes(spans, begun_by):
                    self._output.show(spans, begun_by)
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
        from otel_django.cli.task_words import runs_task
        from otel_django.cli.trace_header import root_of

        root = root_of(spans)
        if not runs_task(root) or (root.parent_id is None and not root.links):
            return None
        trace_id = root.trace_id if root.parent_id is not None else root.links[0].trace_id
        found = self._trace(trace_id)
        first = root_of(found) if found else root
        return None if first.span_id == root.span_id else first

    def _trace(self, trace_id: str) -> list[SpanRow]:
        from otel_django.errors import ReadTimeoutError

        try:
            detail = self._reader.get_trace(trace_id)
        except ReadTimeoutError:
            return []
        return list(detail.spans) if detail is not None else []

    def _passes(self, spans: list[SpanRow], begun_by: SpanRow | None) -> bool:
        from otel_django.cli.trace_header import root_of

        return self._filter.passes(root_of(spans), spans, begun_by)


class Output:
    """Writes traces: as trees, in colour on a terminal, or as JSON."""

    def __init__(self, options: Mapping[str, Any], stdout: OutputWrapper) -> None:
        from otel_django import conf

        self._stdout = stdout
        self._json = bool(options["json"])
        plain = options.get("no_color") or conf.no_color() or not stdout.isatty()
        self._color = bool(options.get("force_color")) or not plain
        # Django 4.2's wrapper has an encoding of its own, which is None.
        encoding = getattr(getattr(stdout, "_out", stdout), "encoding", None) or "utf-8"
        self._encoding = "utf-8" if "utf" in encoding.lower() else encoding

    def show(self, spans: list[SpanRow], begun_by: SpanRow | None = None) -> None:
        """Write one trace, or a later part of one that ``begun_by`` has begun."""
        if self._json:
            self._stdout.write(_as_json(spans, begun_by))
        else:
            from otel_django.cli.trace_tree import trace_lines

            first = "" if begun_by is None else begun_by.name
            for line in trace_lines(spans, self._look(), first):
                self._stdout.write(self._encodable(line))
            self._stdout.write("")
        self._stdout.flush()

    def _look(self) -> Look:
        from otel_django.cli.look import Look

        columns = shutil.get_terminal_size((100, 24)).columns  # COLUMNS counts where it is set
        return Look(width=max(columns, 40), color=self._color)

    def _encodable(self, line: str) -> str:
        if self._encoding == "utf-8":
            return line
        from otel_django.cli.inert_text import PLAIN

        return line.translate(PLAIN).encode(self._encoding, "replace").decode(self._encoding)


def _as_json(spans: list[SpanRow], begun_by: SpanRow | None) -> str:
    import json

    from otel_django.cli.trace_header import root_of

    root = root_of(spans)
    trace = {
        "trace_id": root.trace_id,
        "name": root.name,
        "service": root.service,
        "start_ns": root.start_ns,
        "duration_ns": root.duration_ns,
        "status": root.status,
        "begun_by": None if begun_by is None else begun_by.name,
        "spans": [asdict(span) for span in sorted(spans, key=lambda each: each.start_ns)],
    }
    return json.dumps(trace)


def _duration_ns(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 200ms or 1.5s")
    return int(float(match[1]) * UNITS_NS[match[2]])


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)
