"""``manage.py otel prune``: take old telemetry out of the embedded store."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator
    from pathlib import Path

    from django.core.management.base import OutputWrapper

    from otel_django.store.prune import Part

HELP = "Delete old traces, logs and metrics from the embedded store."


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--older-than",
        type=_length,
        metavar="TIME",
        help="what was written longer ago: 30m, 2h, 1d; whole parts of the store only",
    )
    which.add_argument(
        "--all", action="store_true", help="everything, damaged files set aside included"
    )
    parser.add_argument("--yes", action="store_true", help="don't ask")


def run(options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
    """Delete; 0 when it is done or there is nothing to do, 1 when it isn't."""
    from otel_django import conf
    from otel_django.errors import StoreError
    from otel_django.store import prune

    path = conf.from_django().store
    if path is None:
        stderr.write("The embedded store is off; OTEL_DJANGO_STORE says which file to prune.")
        return 1
    if not path.exists():
        stdout.write(f"No store at {path}: nothing to delete.")
        return 0
    now_ns = time.time_ns()
    cutoff_ns = now_ns if options["all"] else now_ns - options["older_than"]
    try:
        with prune.opened(path) as connection:
            parts = prune.parts_before(connection, cutoff_ns, now_ns)
            files = prune.damaged(path) if options["all"] else []
            if not parts and not files:
                stdout.write("Nothing to delete: no part of the store is that old as a whole.")
                return 0
            for line in _plan(parts, files):
                stdout.write(line)
            if not options["yes"] and not _agreed(stdout, stderr):
                return 1
            before = path.stat().st_size
            if parts:
                prune.drop(connection, parts, now_ns)
            for file in files:
                file.unlink(missing_ok=True)
            freed = max(before - path.stat().st_size, 0)
    except (StoreError, OSError) as error:
        stderr.write(str(error))
        return 1
    stdout.write(f"Deleted; the file is {freed / 1e6:,.1f} MB smaller.")
    return 0


def _plan(parts: list[Part], files: list[Path]) -> Iterator[str]:
    for part in parts:
        began, ended = _moment(part.started_ns), _moment(part.ended_ns)
        yield (
            f"{began} to {ended}: {part.spans:,} spans, {part.logs:,} log records, "
            f"{part.points:,} points of metrics"
        )
    for file in files:
        yield f"damaged: {file.name}"


def _agreed(stdout: OutputWrapper, stderr: OutputWrapper) -> bool:
    if not sys.stdin.isatty():
        stderr.write("Nothing was deleted: without a terminal to ask on, --yes is needed.")
        return False
    stdout.write("Delete these? [y/N] ", ending="")
    stdout.flush()
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    stdout.write("Nothing was deleted.")
    return False


def _moment(time_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ns / 1e9))


def _length(text: str) -> int:
    from otel_django.cli.times import length_ns

    return length_ns(text)
