"""When somebody has to be told of an alert, and who: pure decisions, no delivery."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from otel_django.alerts.muting import FlapPolicy, inhibited, silenced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_django.alerts.muting import Silence
    from otel_django.alerts.state import Alert, Key

Reason = Literal["fired", "repeated", "escalated", "resolved"]


@dataclass(frozen=True, slots=True)
class Told:
    """What was last said of an alert: whether it fires, when, and up to which level."""

    state: Literal["firing", "resolved"]
    at_ms: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """``repeat_s`` after the last word an alert that still fires is told again (0: never).

    ``escalate_s`` are the times without an acknowledgement after which the next level is told.
    """

    repeat_s: int = 4 * 3600
    escalate_s: tuple[int, ...] = ()
    flapping: FlapPolicy = field(default_factory=FlapPolicy)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell. ``level`` 0 are those who are told at first."""

    alert: Alert
    reason: Reason
    level: int = 0


def due(
    alert: Alert,
    told: Told | None,
    policy: Policy,
    silences: Sequence[Silence],
    alerts: Mapping[Key, Alert],
    now_ms: int,
) -> Notice | None:
    """What has to be said of an alert now; None: nothing.

    The end of what was told is told even if the alert is silenced by then.
    """
    if alert.state == "resolved":
        if told is None or told.state == "resolved" or policy.flapping.is_flapping(alert, now_ms):
            return None
        return Notice(alert, "resolved", told.level)
    if alert.state != "firing" or _is_muted(alert, silences, alerts, now_ms):
        return None
    if told is None or told.state == "resolved":
        return Notice(alert, "fired")
    return _again(alert, told, policy, now_ms)


def _is_muted(
    alert: Alert, silences: Sequence[Silence], alerts: Mapping[Key, Alert], now_ms: int
) -> bool:
    return silenced(alert, silences, now_ms) is not None or inhibited(alert, alerts)


def _again(alert: Alert, told: Told, policy: Policy, now_ms: int) -> Notice | None:
    if alert.acknowledged is not None:
        return None
    level = level_at(alert, policy, now_ms)
    if level > told.level:
        return Notice(alert, "escalated", level)
    if policy.repeat_s and now_ms - told.at_ms >= policy.repeat_s * 1000:
        return Notice(alert, "repeated", level)
    return None


def level_at(alert: Alert, policy: Policy, now_ms: int) -> int:
    """How many times an alert has gone unacknowledged for too long."""
    if alert.fired_ms is None or alert.acknowledged is not None:
        return 0
    fires_ms = now_ms - alert.fired_ms
    return sum(fires_ms >= after_s * 1000 for after_s in policy.escalate_s)


def told_of(notice: Notice, now_ms: int) -> Told:
    """What is remembered once it has been said."""
    state: Literal["firing", "resolved"] = "resolved" if notice.reason == "resolved" else "firing"
    return Told(state, now_ms, notice.level)


def grouped(
    notices: Iterable[Notice], by: Sequence[str] = ("alertname", "severity")
) -> dict[tuple[str, ...], list[Notice]]:
    """Notices that go out together: those alike in the labels ``by``, resolved ones apart."""
    groups: dict[tuple[str, ...], list[Notice]] = defaultdict(list)
    for notice in notices:
        labels = notice.alert.labels
        values = (*(labels.get(name, "") for name in by), notice.reason)
        groups[values].append(notice)
    return dict(groups)
