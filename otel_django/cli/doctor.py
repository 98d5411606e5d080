"""``manage.py otel doctor``: where telemetry gets to, and what to mend where it doesn't."""

from __future__ import annotations

import json
import shutil
import textwrap
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from otel_django import conf
from otel_django.cli import style_for
from otel_django.cli.times import seconds
from otel_django.conf.settings import SIGNALS

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Iterable, Iterator

    from django.core.management.base import OutputWrapper
    from django.core.management.color import Style

    from otel_django.conf import Settings
    from otel_django.doctor.finding import Finding
    from otel_django.doctor.probe import Probe

HELP = (
    "Send a trace, a log record and a metric, look for them where they should arrive, and say what "
    "to mend: exit code 0 nothing is wrong, 1 something is."
)
_WAIT_S: Final = 20.0
_SEND_S: Final = 5.0
_OTLP: Final = "otlp"
_INDENT: Final = 9
_MIN_WIDTH: Final = 40
_MAX_WIDTH: Final = 100


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--wait",
        type=seconds,
        default=_WAIT_S,
        metavar="SECONDS",
        help=f"how long a probe may take until it is to be seen (default: {_WAIT_S:g})",
    )
    parser.add_argument(
        "--no-probe", action="store_true", help="look at settings and versions only; send nothing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
    """Each finding as soon as it is known; 1 where one is a fault."""
    settings = conf.from_django()
    style = style_for(stdout, options)
    width = max(min(shutil.get_terminal_size().columns, _MAX_WIDTH), _MIN_WIDTH)
    found: list[Finding] = []
    for finding in _findings(settings, options["wait"], probe=not options["no_probe"]):
        found.append(finding)
        if not options["json"]:
            stdout.write(_paragraph(finding, style, width))
            stdout.flush()
    ok = all(finding.state != "fault" for finding in found)
    if options["json"]:
        document = {"ok": ok, "findings": [asdict(finding) for finding in found]}
        stdout.write(json.dumps(document, indent=2))
    else:
        stdout.write(_conclusion(found, style))
    return 0 if ok else 1


def _findings(settings: Settings, wait_s: float, *, probe: bool) -> Iterator[Finding]:
    from otel_django.doctor import installation, kept, site_settings, spooled

    yield from site_settings.look(settings)
    yield from installation.look(settings)
    yield from kept.look(settings)
    if not settings.sdk_disabled and settings.enabled is not False:
        yield from spooled.look(settings)
        if probe:
            yield from _probed(settings, wait_s)


def _probed(settings: Settings, wait_s: float) -> Iterator[Finding]:
    """All signals at once: a receiver that hangs is waited for once."""
    from concurrent.futures import ThreadPoolExecutor

    from otel_django.doctor import clock, sending
    from otel_django.doctor.probe import Probe, encoded

    probe = Probe(settings.service_name)
    signals = [one for one in SIGNALS if _OTLP in getattr(settings, f"{one}_exporters")]

    def send(signal: str) -> sending.Sent:
        return sending.send(signal, encoded(probe, signal, settings), settings, _SEND_S)

    with ThreadPoolExecutor(len(SIGNALS)) as threads:
        sent = dict(zip(signals, threads.map(send, signals), strict=True))
    yield from _joined(each.finding for each in sent.values())
    clocks = list(clock.compared([each.clock_ahead_s for each in sent.values()], settings))
    yield from clocks
    arrived = [signal for signal, each in sent.items() if each.finding.state == "ok"]
    off = any(finding.state == "fault" for finding in clocks)
    yield from _followed(settings, probe, arrived, wait_s, clock_off=off)


def _joined(findings: Iterable[Finding]) -> Iterator[Finding]:
    """What is the same of several signals is said once."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for each in findings:
        alike.setdefault((each.state, each.message, each.cure), []).append(each)
    for group in alike.values():
        yield replace(group[0], subject=", ".join(each.subject for each in group))


def _followed(
    settings: Settings, probe: Probe, signals: list[str], wait_s: float, *, clock_off: bool
) -> Iterator[Finding]:
    from otel_django.doctor.following import answers, follow
    from otel_django.doctor.trails import trails

    found = list(trails(settings, probe))
    under_way = [trail for trail in found if trail.signal in signals]
    yield from follow(under_way, wait_s, clock_off=clock_off)
    yield from (answers(trail) for trail in found if trail.signal not in signals)
    left = [one for one in signals if all(trail.signal != one for trail in found)]
    if left:
        yield _untraceable(left, probe)


def _untraceable(signals: list[str], probe: Probe) -> Finding:
    from otel_django.doctor.finding import Finding
    from otel_django.doctor.trails import BACKENDS

    backends = ", ".join(BACKENDS[signal] for signal in signals)
    return Finding(
        ", ".join(signals),
        "note",
        "Where the receiver sends them isn't known here, so they can't be followed any further.",
        f"Name {backends} in OTEL_DJANGO_READ_FROM; or look there yourself for the trace "
        f"{probe.trace_id.hex()}.",
    )


def _paragraph(finding: Finding, style: Style, width: int) -> str:
    """What is seen, and below it the cure, each wrapped; what can be copied isn't cut in two."""
    paint: Callable[[str], str] = {
        "ok": style.SUCCESS,
        "note": style.NOTICE,
        "warning": style.WARNING,
        "fault": style.ERROR,
    }[finding.state]
    seen = _wrapped(f"{finding.subject}: {finding.message}", width, "", "")
    lines = [f"{paint(f'{finding.state:<{_INDENT}}')}{seen[0].lstrip()}", *seen[1:]]
    cure = _wrapped(finding.cure, width, "-> ", "   ") if finding.cure else []
    return "\n".join([*lines, *cure])


def _wrapped(text: str, width: int, first: str, further: str) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=f"{'':<{_INDENT}}{first}",
        subsequent_indent=f"{'':<{_INDENT}}{further}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _conclusion(found: list[Finding], style: Style) -> str:
    faults = sum(finding.state == "fault" for finding in found)
    warnings = sum(finding.state == "warning" for finding in found)
    if faults:
        said = style.ERROR(f"{_counted(faults, 'fault')}, {_counted(warnings, 'warning')}.")
    elif warnings:
        said = style.WARNING(f"No fault, {_counted(warnings, 'warning')}.")
    else:
        said = style.SUCCESS("Nothing is wrong.")
    return f"\n{said}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
