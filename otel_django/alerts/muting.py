"""Which alerts nobody is told of: silenced, in maintenance, inhibited or flapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_django.alerts import patterns
from otel_django.alerts.promql import label_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_django.alerts.expressions import Match
    from otel_django.alerts.state import Alert, Key


def matches(matchers: Iterable[Match], labels: Mapping[str, str]) -> bool:
    """Whether all hold; attributes may be named as here or as in Prometheus.

    None at all match nothing: a silence of everything has to say so (``alertname=~".+"``).
    """
    matchers = tuple(matchers)
    named = {label_name(key): value for key, value in labels.items()}
    return bool(matchers) and all(_holds(one, named) for one in matchers)


def _holds(matcher: Match, labels: Mapping[str, str]) -> bool:
    return fits(matcher, labels.get(label_name(matcher.key), ""))


def fits(matcher: Match, value: str) -> bool:
    """Whether a value is as the condition says."""
    if matcher.operator in ("=", "!="):
        return (value == matcher.value) == (matcher.operator == "=")
    return patterns.fits(matcher.value, value) == (matcher.operator == "=~")


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that match are silent from ``since_ms`` until ``until_ms``.

    ``every_ms`` repeats it: a maintenance window each day or week.
    """

    matchers: tuple[Match, ...]
    since_ms: int
    until_ms: int
    by: str = ""
    note: str = ""
    every_ms: int = 0

    def is_active(self, now_ms: int) -> bool:
        """Whether it holds now."""
        passed_ms = now_ms - self.since_ms
        if self.every_ms > 0 and passed_ms >= 0:
            passed_ms %= self.every_ms
        return 0 <= passed_ms < self.until_ms - self.since_ms

    def covers(self, alert: Alert, now_ms: int) -> bool:
        """Whether the alert is silent now."""
        return self.is_active(now_ms) and matches(self.matchers, alert.labels)


def inhibited(alert: Alert, firing: Mapping[Key, Alert]) -> bool:
    """Whether a critical alert of the same rule and labels says it already."""
    if alert.key.severity != "warning":
        return False
    other = firing.get(alert.key._replace(severity="critical"))
    return other is not None and other.state == "firing"


@dataclass(frozen=True, slots=True)
class FlapPolicy:
    """An alert that changed ``changes`` times within ``within_s`` flaps.

    It goes on being one that fires, for those who are told, until it has changed less often.
    """

    changes: int = 6
    within_s: int = 1800

    def is_flapping(self, alert: Alert, now_ms: int) -> bool:
        """Whether it changes too often to tell each time."""
        since_ms = now_ms - self.within_s * 1000
        return sum(changed_ms > since_ms for changed_ms in alert.changes) >= self.changes


def silenced(alert: Alert, silences: Sequence[Silence], now_ms: int) -> Silence | None:
    """The silence that holds the alert back; None: nobody wants it silent."""
    return next((one for one in silences if one.covers(alert, now_ms)), None)
