"""``manage.py otel health``: what the health checks say, for containers, deployments and people."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from otel_django import conf
from otel_django.cli.times import seconds

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Iterator, Sequence

    from django.core.management.base import OutputWrapper
    from django.core.management.color import Style

    from otel_django.health.engine import Engine
    from otel_django.health.results import CheckReport, Group, Report

HELP = "Ask the health checks: exit code 0 healthy or degraded, 1 unhealthy, 2 wrong use."

_GROUPS: Final = ("live", "ready", "startup", "all")
_PAUSE_S: Final = 0.5
_SAY_AGAIN_S: Final = 10.0


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--group", choices=_GROUPS, default="all", help="which checks to ask (default: all)"
    )
    parser.add_argument(
        "--check",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="only these of the group, also with commas between them",
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="ask again until they aren't unhealthy, for this long at most",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
    """Ask, and wait if told to; 0 healthy or degraded, 1 unhealthy, 2 no such check."""
    from otel_django.health import active
    from otel_django.health.registry import UnknownCheckError

    engine, group = active.engine(), options["group"]
    names = [name for each in options["check"] or () for name in each.split(",")] or None
    try:
        progress = stderr if options["json"] else stdout
        report = _waited(_Asking(engine, group, names), options["wait"], progress)
    except UnknownCheckError as error:
        known = ", ".join(check.name for check in engine.registry.checks(group)) or "none"
        stderr.write(f"There is no such check: {error}. There are: {known}.")
        return 2
    _write(report, options, stdout)
    return 0 if report.ok else 1


class _Asking:
    """Asks until every check is back or has failed: nobody needs an answer within 500 ms here."""

    def __init__(self, engine: Engine, group: Group, names: Sequence[str] | None) -> None:
        self._report: Callable[[], Report] = partial(engine.report, group, names)
        timeouts_s = [check.timeout_s or 0.0 for check in engine.registry.checks(group)]
        longest_s = max([conf.from_django().health_timeout_s, *timeouts_s])
        self._patience_s = 2 * longest_s + 2  # another process may die over it before this one asks

    def report(self) -> Report:
        """What they say."""
        deadline_s = time.monotonic() + self._patience_s
        while True:
            report = self._report()
            if all(map(_is_settled, report.checks)) or time.monotonic() > deadline_s:
                return report
            time.sleep(0.02)


def _waited(asking: _Asking, wait_s: float, progress: OutputWrapper) -> Report:
    """Until it isn't unhealthy, or the time is up; says on the way what it waits for."""
    began_s = time.monotonic()
    said, said_s = "", 0.0
    while True:
        report = asking.report()
        waited_s = time.monotonic() - began_s
        if report.ok or waited_s >= wait_s:
            return report
        blame = _blame(report)
        if blame != said or waited_s - said_s >= _SAY_AGAIN_S:
            progress.write(f"{waited_s:.0f} s: waiting for {blame}")
            progress.flush()
            said, said_s = blame, waited_s
        time.sleep(min(_PAUSE_S, wait_s - waited_s))


def _is_settled(check: CheckReport) -> bool:
    """Whether nothing newer is to come: a run that has been given up goes on for nothing."""
    if check.age_s is None:
        return False
    return check.running_s is None or check.running_s >= check.age_s


def _blame(report: Report) -> str:
    critical = [c for c in report.checks if c.critical and c.status != "healthy"]
    return "; ".join(f"{check.name} ({check.message or check.status})" for check in critical)


def _write(report: Report, options: dict[str, Any], stdout: OutputWrapper) -> None:
    if options["json"]:
        stdout.write(_as_json(report))
        return
    from otel_django.cli import style_for

    for line in _lines(report, style_for(stdout, options)):
        stdout.write(line)


def _as_json(report: Report) -> str:
    import json

    from otel_django import names
    from otel_django.health.report_json import document

    version = conf.from_django().resource_attributes.get(names.SERVICE_VERSION)
    return json.dumps(document(report, version), indent=2)


def _lines(report: Report, style: Style) -> Iterator[str]:
    yield f"{report.group}: {_painted(report.status, style)}"
    if not report.checks:
        yield "  no checks"
        return
    width = max(len(check.name) for check in report.checks)
    for check in report.checks:
        took = "" if check.duration_s is None else f"{check.duration_s * 1000:,.0f} ms"
        status = _painted(check.status, style, 9)
        critical = "critical" if check.critical else ""
        line = f"  {check.name:{width}}  {status}  {took:>8}  {critical:8}  {check.message}"
        yield line.rstrip()


def _painted(status: str, style: Style, width: int = 0) -> str:
    paint = {"healthy": style.SUCCESS, "unhealthy": style.ERROR}.get(status, style.WARNING)
    return paint(status.ljust(width))
