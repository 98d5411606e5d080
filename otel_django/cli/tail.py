"""``manage.py otel tail``: the site's traces and logs in the terminal, while they happen."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from pathlib import Path

    from django.core.management.base import OutputWrapper

    from otel_django.cli.tail_logs import LogTail
    from otel_django.contracts import LogRow, SpanRow

HELP = "Show traces and logs in the terminal as they happen, as trees."

LAST_TRACES: Final = 20
UNITS_NS: Final[Mapping[str, int]] = {"": 1_000_000, "ms": 1_000_000, "s": 1_000_000_000}


@dataclass(frozen=True)
class Filter:
    """Which traces to show, by their root and by any span's failure or logged error."""

    slow_ns: int | None = None
    errors: bool = False
    route: str | None = None
    task: str | None = None

    @property
    def chooses(self) -> bool:
        """Whether some traces are unwanted for another reason than that they went well."""
        return self.slow_ns is not None or self.route is not None or self.task is not None

    def passes(
        self,
        root: SpanRow,
        spans: Sequence[SpanRow],
        begun_by: SpanRow | None,
        logs: Sequence[LogRow] = (),
    ) -> bool:
        """Whether a trace is wanted, or a later part of one that another span began."""
        from fnmatch import fnmatchcase

        from otel_django import log_record, names
        from otel_django.cli.task_words import task_name

        if self.slow_ns is not None and root.duration_ns < self.slow_ns:
            return False
        failed = any(span.status == "error" for span in spans)
        logged = any(row.severity_number >= log_record.ERROR for row in logs)
        if self.errors and not failed and not logged:
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
    parser.add_argument(
        "--errors",
        action="store_true",
        help="only traces with a failed span or a logged error, and such lines without a trace",
    )
    parser.add_argument(
        "--route", help="only this route, such as /products/; * stands for anything"
    )
    parser.add_argument(
        "--task",
        help="only traces that send or run this task; * stands for anything",
    )
    parser.add_argument(
        "--logs",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="log lines below their spans, others on lines of their own (the default)",
    )
    parser.add_argument(
        "--level",
        choices=("debug", "info", "warning", "error", "critical"),
        help="all log lines from this level on, also those that say no more than the spans",
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
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a line, for each trace or lone log line",
    )


def run(options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
    """Show until Ctrl-C; 0, or 1 where there is nothing that could be shown."""
    from otel_django import conf
    from otel_django.backends.embedded import EmbeddedReader
    from otel_django.cli.tail_follow import Tail
    from otel_django.cli.tail_output import Output
    from otel_django.errors import ReadError

    path = conf.from_django().store
    if path is None:
        stderr.write(
            "The embedded store is off, so there is nothing to show. It is on under DEBUG when no "
            "OTLP endpoint and no OTEL_*_EXPORTER is set; OTEL_DJANGO_STORE=on turns it on "
            "anywhere."
        )
        return 1
    tail = Tail(
        EmbeddedReader(path),
        Output(options, stdout),
        _filter(options),
        options["limit"],
        _logs(path, options),
    )
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


def _logs(path: Path, options: Mapping[str, Any]) -> LogTail | None:
    if not options["logs"]:
        return None
    from otel_django import log_record
    from otel_django.backends.embedded_logs import EmbeddedLogReader
    from otel_django.cli.log_words import LEVELS
    from otel_django.cli.tail_logs import LogFilter, LogTail

    least = LEVELS.get(options["level"] or "", 0)
    wanted = LogFilter(
        min_severity=least,
        min_severity_alone=max(least, log_record.ERROR) if options["errors"] else least,
        alone=not _filter(options).chooses,
        restating=bool(options["json"] or options["level"]),
    )
    return LogTail(EmbeddedLogReader(path), wanted)


def _announce(path: Path, stderr: OutputWrapper) -> None:
    if path.exists():
        stderr.write(f"Following {path}. Ctrl-C ends.")
    else:
        stderr.write(f"No store at {path} yet: it begins with the first request. Ctrl-C ends.")


def _say_if_missing(path: Path, stderr: OutputWrapper) -> None:
    if not path.exists():
        stderr.write(f"No store at {path} yet: open a page of your site, then try again.")


def _duration_ns(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 200ms or 1.5s")
    return int(float(match[1]) * UNITS_NS[match[2]])


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)
