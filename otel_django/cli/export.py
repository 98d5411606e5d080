"""``manage.py otel export``: what the embedded store holds, for a Collector or a spreadsheet."""

from __future__ import annotations

import argparse
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from otel_django.cli.output import written

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator
    from typing import TextIO

    from django.core.management.base import OutputWrapper

HELP = "Write traces, logs and metrics of the embedded store as OTLP JSON or CSV."

SIGNALS: Final = ("traces", "logs", "metrics")


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--signal",
        type=_signals,
        default=SIGNALS,
        metavar="NAME[,NAME]",
        help="traces, logs, metrics; all of them by default",
    )
    parser.add_argument(
        "--since",
        type=_moment,
        metavar="TIME",
        help="from then on: 30m, 2h, 1d, 2026-01-31T12:00",
    )
    parser.add_argument("--until", type=_moment, metavar="TIME", help="up to then, likewise")
    parser.add_argument(
        "--format", choices=("otlp", "csv"), default="otlp", help="OTLP JSON by default"
    )
    parser.add_argument("--out", metavar="FILE", help="to this file instead of the output")


def run(options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
    """Write; 0, 1 where there is nothing to read or the file can't be written, 2 for misuse."""
    from otel_django import conf
    from otel_django.cli.export_rows import Export
    from otel_django.errors import ReadError

    path = conf.from_django().store
    if path is None or not path.exists():
        where = "The embedded store is off" if path is None else f"There is no store at {path}"
        stderr.write(f"{where}, so there is nothing to export; see OTEL_DJANGO_STORE.")
        return 1
    if options["format"] == "csv" and len(options["signal"]) > 1:
        stderr.write("A CSV file has the columns of one signal: add --signal traces, for example.")
        return 2
    export = Export(path, options["since"] or 0, options["until"] or time.time_ns())
    try:
        with _target(options["out"], stdout) as target:
            export.write(options["signal"], options["format"], target)
    except ReadError as error:
        stderr.write(str(error))
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        stderr.write(f"{options['out'] or 'The output'} can't be written: {error.strerror}.")
        return 1
    for note in export.notes:
        stderr.write(note)
    stderr.write(f"Exported {export.summary()}.")
    return 0


@contextlib.contextmanager
def _target(name: str | None, stdout: OutputWrapper) -> Iterator[TextIO | OutputWrapper]:
    """The output, or a file."""
    if name is None:
        stdout.ending = ""
        yield stdout
        return
    with written(name) as file:
        yield file


def _signals(text: str) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in wanted:
        if name not in SIGNALS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SIGNALS)}")
    return wanted


def _moment(text: str) -> int:
    from otel_django.cli.times import moment_ns

    return moment_ns(text, time.time_ns())
