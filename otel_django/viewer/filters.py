"""What templates say figures and texts with. All text is made inert, and escaped by the engine."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from django import template
from django.utils.html import format_html

from otel_django.cli.inert_text import inert as inert_text
from otel_django.viewer import units

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.utils.safestring import SafeString

register = template.Library()
LONGEST: Final = 2000
MAX_BLOCK: Final = 20 * LONGEST


@register.filter
def inert(value: object) -> str:
    """Text that came with telemetry: on one line, without control and bidirectional characters."""
    return inert_text(str(value)[:LONGEST])


@register.filter
def block(value: object) -> str:
    """The same with its lines kept: a stack trace, a statement."""
    lines = str(value)[:MAX_BLOCK].splitlines()
    return "\n".join(inert_text(line.replace("\t", "    ")) for line in lines)


def _or_dash(say: Callable[[float], str]) -> Callable[[float | None], str]:
    """``say``, and a dash where nothing is known."""

    def told(value: float | None) -> str:
        return "–" if value is None else say(value)

    return told


for _say in (
    units.count,
    units.duration,
    units.milliseconds,
    units.rate,
    units.share,
    units.short,
    units.size,
):
    register.filter(_say.__name__, _or_dash(_say))


@register.filter
def change(ratio: float | None) -> str:
    """``+38 %``, ``−12 %``; ``same`` for none."""
    if not ratio:
        return "–" if ratio is None else "same"
    return f"{'+' if ratio > 0 else '−'}{units.share(abs(ratio))}"


@register.filter
def percent(value: float, whole: float) -> str:
    """``81.3%`` of the whole: a length of a drawing."""
    return f"{100 * min(max(value / whole, 0.0), 1.0) if whole else 0:.1f}%"


@register.filter
def measured(value: float | None, unit: str) -> str:
    """A value in a unit of OpenTelemetry's."""
    return "–" if value is None else units.measured(value, unit)


@register.filter
def ago(time_ns: int | None) -> SafeString | str:
    """``2 min ago``, with the time itself in the title; a script turns that to local time."""
    if time_ns is None:
        return "–"
    return _time(time_ns, units.age(max(0.0, time.time() - time_ns / 1e9)), "ago")


@register.filter
def clock(time_ns: int | None) -> SafeString | str:
    """``12:01:03.412``; a script turns it to local time."""
    if time_ns is None:
        return "–"
    return _time(time_ns, f"{_moment(time_ns):%H:%M:%S}.{time_ns // 1_000_000 % 1000:03}", "clock")


@register.filter
def moment(time_ns: int) -> SafeString:
    """``11-21 12:01:03``, for ranges of days; a script turns it to local time."""
    return _time(time_ns, f"{_moment(time_ns):%m-%d %H:%M:%S}", "moment")


def _time(time_ns: int, text: str, kind: str) -> SafeString:
    moment = f"{_moment(time_ns):%Y-%m-%dT%H:%M:%S}.{time_ns // 1_000_000 % 1000:03}Z"
    title = f"{_moment(time_ns):%Y-%m-%d %H:%M:%S} UTC"
    return format_html(
        '<time datetime="{}" title="{}" data-shown="{}">{}</time>', moment, title, kind, text
    )


def _moment(time_ns: int) -> datetime:
    try:
        return datetime.fromtimestamp(time_ns // 1_000_000_000, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, timezone.utc)


@register.filter
def lookup(mapping: Any, key: object) -> Any:
    """``mapping[key]``, None where it isn't there."""
    return mapping.get(key)


@register.simple_tag(takes_context=True)
def link(context: Any, name: str, *args: Any, **parameters: Any) -> str:
    """The address of a page, with the range and service of this one; None takes one away."""
    return str(context["visit"].url(name, *args, **parameters))


@register.simple_tag(takes_context=True)
def here(context: Any, **parameters: Any) -> str:
    """The address of this page with other parameters; None takes one away."""
    return str(context["visit"].here(**parameters))


@register.simple_tag(takes_context=True)
def asset(context: Any, name: str) -> str:
    """The address of a static file of ours."""
    from otel_django.viewer.assets import address

    return address(context["visit"].base, name)
