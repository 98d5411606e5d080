"""What becomes of alerts over time: pure functions over times, in milliseconds since the epoch.

inactive → pending (for a rule's ``for``) → firing → resolved, for each rule, severity and set of
labels, step by step as Prometheus does it. An inactive alert is one that isn't there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from otel_django.alerts.promql import label_name

if TYPE_CHECKING:
    from otel_django.alerts.rules import Rule, Severity

State = Literal["pending", "firing", "resolved"]
Labels = tuple[tuple[str, str], ...]
"""Sorted by attribute; none is empty."""
ALERT_NAME: Final = "alertname"
SEVERITY: Final = "severity"


class Key(NamedTuple):
    """What an alert is about."""

    rule: str
    severity: Severity
    labels: Labels


class Breach(NamedTuple):
    """A value at fault, and when its newest sample was taken."""

    value: float
    sample_ms: int


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who takes care of it."""

    by: str
    at_ms: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. ``since_ms`` is its first breach; ``value`` is that of the last one.

    ``keep_ms`` is since when it fires without a breach. ``changes`` are the times at which it began
    to fire or was resolved, newest last.
    """

    key: Key
    state: State
    since_ms: int
    value: float
    breached_ms: int
    fired_ms: int | None = None
    resolved_ms: int | None = None
    keep_ms: int | None = None
    acknowledged: Acknowledgement | None = None
    changes: tuple[int, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The same for the same rule, severity and labels everywhere."""
        return fingerprint(self.key)

    @property
    def labels(self) -> dict[str, str]:
        """All that matchers can ask for."""
        key = self.key
        return {**dict(key.labels), ALERT_NAME: key.rule, SEVERITY: key.severity}


def fingerprint(key: Key) -> str:
    """16 hexadecimal digits; of labels' names as Prometheus writes them, so that it is its own."""
    pairs = sorted((label_name(name), value) for name, value in key.labels)
    text = "\0".join((key.rule, key.severity, *(f"{name}\1{value}" for name, value in pairs)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


CHANGES_KEPT: Final = 32


def advance(
    alert: Alert | None, key: Key, rule: Rule, breach: Breach | None, now_ms: int
) -> Alert | None:
    """The alert after an evaluation at ``now_ms``; None: inactive."""
    if breach is None:
        return _without_breach(alert, rule, now_ms)
    if alert is None or alert.state == "resolved":
        changes = () if alert is None else alert.changes
        alert = Alert(key, "pending", now_ms, breach.value, now_ms, changes=changes)
    alert = replace(alert, value=breach.value, breached_ms=now_ms, keep_ms=None)
    is_due = now_ms - alert.since_ms >= rule.threshold(key.severity).for_s * 1000
    if alert.state == "pending" and is_due:
        return _changed(replace(alert, state="firing", fired_ms=now_ms), now_ms)
    return alert


def _without_breach(alert: Alert | None, rule: Rule, now_ms: int) -> Alert | None:
    if alert is None or alert.state == "pending":
        return None
    if alert.state == "resolved":
        return alert
    keep_ms = now_ms if alert.keep_ms is None else alert.keep_ms
    if now_ms - keep_ms < rule.keep_firing_s * 1000:
        return replace(alert, keep_ms=keep_ms)
    return _changed(replace(alert, state="resolved", resolved_ms=now_ms, keep_ms=None), now_ms)


def _changed(alert: Alert, now_ms: int) -> Alert:
    return replace(alert, changes=(*alert.changes, now_ms)[-CHANGES_KEPT:])


def advance_all(
    alerts: Mapping[Key, Alert], rule: Rule, breaches: Mapping[Key, Breach], now_ms: int
) -> dict[Key, Alert]:
    """One rule's alerts after an evaluation; those of other rules are left out.

    Raise nothing here where the evaluation failed: an alert doesn't end because nobody looked.
    """
    ours = {key: alert for key, alert in alerts.items() if key.rule == rule.name}
    after: dict[Key, Alert] = {}
    for key in {**ours, **breaches}:
        alert = advance(ours.get(key), key, rule, breaches.get(key), now_ms)
        if alert is not None:
            after[key] = alert
    return after


def acknowledge(alert: Alert, by: str, at_ms: int, note: str = "") -> Alert:
    """Somebody takes care of it; only an alert that fires can be."""
    if alert.state != "firing":
        return alert
    return replace(alert, acknowledged=Acknowledgement(by, at_ms, note))


def firing(alerts: Iterable[Alert]) -> list[Alert]:
    """Those that fire."""
    return [alert for alert in alerts if alert.state == "firing"]
