"""Texts of notifications; what came with telemetry is bounded and hides nothing."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_django.alerts.delivery.contract import Kind, Notification, ToldAlert

_KINDS: Final[Mapping[Kind, str]] = {
    "fired": "",
    "repeated": "still ",
    "escalated": "unacknowledged ",
    "acknowledged": "acknowledged ",
    "resolved": "",
    "test": "test ",
}


def line(text: object, longest: int) -> str:
    """On one line, without control and bidirectional characters, cut at ``longest``."""
    shown = "".join(
        one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}"
        for one in str(text)[: longest + 1]
    )
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def state(notification: Notification) -> str:
    """``CRITICAL``, ``still WARNING``, ``RESOLVED``."""
    if notification.status == "resolved":
        return "RESOLVED"
    return f"{_KINDS[notification.kind]}{notification.severity.upper()}"


def title(notification: Notification, longest: int = 200) -> str:
    """``[CRITICAL] HighErrorRate: 7 % of requests fail``."""
    return line(f"[{state(notification)}] {subject(notification)}", longest)


def subject(notification: Notification) -> str:
    """What it is about: the only alert's summary, or how many there are."""
    alerts = notification.alerts
    name = notification.group.get("alertname") or alerts[0].labels.get("alertname", "Alert")
    count = len(alerts) + notification.left_out
    if count == 1:
        return f"{name}: {alerts[0].summary}"
    over = sum(alert.state == "resolved" for alert in alerts)
    resolved = f", {over} resolved" if 0 < over < len(alerts) else ""
    return f"{name}: {count} alerts{resolved}, such as: {alerts[0].summary}"


def more(notification: Notification, shown: int) -> str:
    """``and 950 more``; empty if all are shown."""
    hidden = len(notification.alerts) + notification.left_out - shown
    return f"and {hidden} more" if hidden > 0 else ""


def about(alert: ToldAlert) -> str:
    """``route=/checkout/, value=7.2``: what tells it from others of its group."""
    pairs = {
        name: value
        for name, value in alert.labels.items()
        if name not in ("alertname", "severity") and value
    }
    return ", ".join(f"{name}={value}" for name, value in pairs.items())


def moment(at_ms: int) -> str:
    """RFC 3339, in UTC, to the second; with milliseconds where there are any."""
    at = datetime.fromtimestamp(at_ms / 1000, timezone.utc)
    spec = "milliseconds" if at_ms % 1000 else "seconds"
    return at.isoformat(timespec=spec).replace("+00:00", "Z")


def since(alert: ToldAlert) -> str:
    """``since 2026-11-22 03:20:00 UTC``, and until when if it is over."""
    began = _clock(alert.started_ms)
    if alert.state == "firing" or alert.resolved_ms is None:
        return f"since {began}"
    return f"{began} to {_clock(alert.resolved_ms)}"


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
