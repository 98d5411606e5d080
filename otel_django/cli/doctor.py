"""``manage.py otel doctor``: where telemetry gets to, and what to mend where it doesn't."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from otel_django import conf
from otel_django.cli import style_for
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


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--wait",
        type=float,
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
    found: list[Finding] = []
    for finding in _findings(settings, options["wait"], probe=not options["no_probe"]):
        found.append(finding)
        if not options["json"]:
            stdout.write(_line(finding, style))
            stdout.flush()
    ok = all(finding.state != "fault" for finding in found)
    if options["json"]:
        document = {"ok": ok, "findings": [asdict(finding) for finding in found]}
        stdout.write(json.dumps(document, indent=2))
    else:
        stdout.write(_conclusion(found, style))
    return 0 if ok else 1


def _findings(settings: Settings, wait_s: float, *, probe: bool) -> Iterator[Finding]:
    from otel_django.doctor import installation, kept, site_settings

    yield from site_settings.look(settings)
    yield from installation.look(settings)
    yield from kept.look(settings)
    if probe and not settings.sdk_disabled and settings.enabled is not False:
        yield from _probed(settings, wait_s)


def _probed(settings: Settings, wait_s: float) -> Iterator[Finding]:
    from otel_django.doctor import sending
    from otel_django.doctor.probe import Probe, encoded

    probe = Probe(settings.service_name)
    signals = [one for one in SIGNALS if _OTLP in getattr(settings, f"{one}_exporters")]
    sent = {
        signal: sending.send(signal, encoded(probe, signal, settings), settings, _SEND_S)
        for signal in signals
    }
    yield from _joined(each.finding for each in sent.values())
    yield from sending.clock(list(sent.values()))
    arrived = [signal for signal, each in sent.items() if each.finding.state == "ok"]
    yield from _followed(settings, probe, arrived, wait_s)


def _joined(findings: Iterable[Finding]) -> Iterator[Finding]:
    """What is the same of several signals is said once."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for each in findings:
        alike.setdefault((each.state, each.message, each.cure), []).append(each)
    for group in alike.values():
        yield replace(group[0], subject=", ".join(each.subject for each in group))


def _followed(
    settings: Settings, probe: Probe, signals: list[str], wait_s: float
) -> Iterator[Finding]:
    from otel_django.doctor.following import answers, follow
    from otel_django.doctor.trails import trails

    found = list(trails(settings, probe))
    yield from follow([trail for trail in found if trail.signal in signals], wait_s)
    yield from (answers(trail) for trail in found if trail.signal not in signals)
    for signal in signals:
        if all(trail.signal != signal for trail in found):
            yield _untraceable(signal)


def _untraceable(signal: str) -> Finding:
    from otel_django.doctor.finding import Finding
    from otel_django.doctor.trails import BACKENDS

    return Finding(
        signal,
        "note",
        "Where the receiver sends it isn't known here, so it can't be followed any further.",
        f"Name {BACKENDS[signal]} in OTEL_DJANGO_READ_FROM.",
    )


def _line(finding: Finding, style: Style) -> str:
    paint: Callable[[str], str] = {
        "ok": style.SUCCESS,
        "note": style.NOTICE,
        "warning": style.WARNING,
        "fault": style.ERROR,
    }[finding.state]
    line = f"{finding.subject:<24}{paint(f'{finding.state:<9}')}{finding.message}"
    return f"{line}\n{'':<33}-> {finding.cure}" if finding.cure else line


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
