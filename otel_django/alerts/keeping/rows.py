"""Rows of the alerts' tables, and what they mean to the rest."""

from __future__ import annotations

import json
import math
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, cast

from django.conf import settings as site
from django.utils.timezone import is_aware, make_aware, make_naive

from otel_django.alerts.expressions import Match
from otel_django.alerts.keeping.contract import Attempt, Entry, Event, Outgoing
from otel_django.alerts.keeping.documents import matchers_of, written
from otel_django.alerts.muting import Silence
from otel_django.alerts.state import ALERT_NAME, Acknowledgement, Alert, Key
from otel_django.alerts.telling import Told
from otel_django.models import AlertAttempt, AlertEvent, AlertNotification, SystemAlert

if TYPE_CHECKING:
    from otel_django.models import AlertMaintenance, AlertRule, AlertSilence, CustomMetric

LONGEST_TEXT: Final = 10_000
LONGEST_NAME: Final = 150
_EVERY_ALERT: Final = (Match(ALERT_NAME, "=~", ".+"),)
_MOST: Final = sys.float_info.max
_UNUSABLE: Final = {0: "\ufffd", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}
_TWO_BYTES: Final = 0xFFFF


def storable(text: str, vendor: str, longest: int = LONGEST_TEXT) -> str:
    """The text as the database takes it; MySQL's older tables have nothing beyond U+FFFF."""
    text = text[:longest].translate(_UNUSABLE)
    if vendor != "mysql":
        return text
    return "".join(one if ord(one) <= _TWO_BYTES else "\ufffd" for one in text)


def stored_time(at_ms: int) -> datetime:
    """As a ``DateTimeField`` of the site's wants it."""
    at = datetime.fromtimestamp(at_ms / 1000, timezone.utc)
    return at if site.USE_TZ else make_naive(at)


def time_ms(at: datetime) -> int:
    """Of a ``DateTimeField``."""
    return round((at if is_aware(at) else make_aware(at)).timestamp() * 1000)


# --- alerts


def alert_row(entry: Entry, vendor: str) -> SystemAlert:
    """A row without a primary key."""
    alert, told, taken = entry.alert, entry.told, entry.alert.acknowledged
    return SystemAlert(
        fingerprint=alert.fingerprint,
        alert_type=alert.key.rule,
        severity=alert.key.severity,
        message=storable(entry.message, vendor),
        labels=written(dict(alert.key.labels)),
        state=alert.state,
        resolved=alert.state == "resolved",
        created_at=stored_time(alert.since_ms if alert.fired_ms is None else alert.fired_ms),
        resolved_at=None if alert.resolved_ms is None else stored_time(alert.resolved_ms),
        value=_finite(alert.value),
        threshold=None if entry.threshold is None else _finite(entry.threshold),
        since_ms=alert.since_ms,
        breached_ms=alert.breached_ms,
        fired_ms=alert.fired_ms,
        resolved_ms=alert.resolved_ms,
        keep_ms=alert.keep_ms,
        changes=written(alert.changes),
        acknowledged_by="" if taken is None else storable(taken.by, vendor, LONGEST_NAME),
        acknowledged_ms=None if taken is None else taken.at_ms,
        acknowledged_note="" if taken is None else storable(taken.note, vendor),
        told_state="" if told is None else told.state,
        told_ms=None if told is None else told.at_ms,
        told_level=0 if told is None else told.level,
        source=entry.source,
        at_ms=entry.at_ms,
    )


ALERT_FIELDS: Final = tuple(
    field.name
    for field in SystemAlert._meta.concrete_fields
    if field.name not in ("id", "fingerprint", "since_ms")
)
"""What of a row can change."""


def _finite(value: float) -> float:
    """Not every database has infinity; NaN is never a breach."""
    return 0.0 if math.isnan(value) else max(-_MOST, min(_MOST, value))


def entry_of(row: SystemAlert) -> Entry:
    """What the row says."""
    acknowledged = told = None
    if row.acknowledged_ms is not None:
        acknowledged = Acknowledgement(
            row.acknowledged_by, row.acknowledged_ms, row.acknowledged_note
        )
    if row.told_ms is not None:
        told = Told(cast("Any", row.told_state), row.told_ms, row.told_level)
    alert = Alert(
        alert_key(row),
        cast("Any", row.state),
        row.since_ms,
        row.value,
        row.breached_ms,
        fired_ms=row.fired_ms,
        resolved_ms=row.resolved_ms,
        keep_ms=row.keep_ms,
        acknowledged=acknowledged,
        changes=tuple(json.loads(row.changes)),
    )
    return Entry(alert, row.at_ms, told, row.message, row.threshold, cast("Any", row.source))


def alert_key(row: SystemAlert) -> Key:
    """What the alert is about."""
    labels = tuple(sorted(json.loads(row.labels).items()))
    return Key(row.alert_type, cast("Any", row.severity), labels)


# --- what users say


def silence_of(row: AlertSilence) -> Silence:
    """What holds alerts back.

    Raises:
        ValueError: its matchers can't be used.
    """
    return Silence(
        matchers_of(row.matchers),
        time_ms(row.starts_at),
        time_ms(row.ends_at),
        row.by,
        row.comment,
    )


def maintenance_of(row: AlertMaintenance) -> Silence:
    """What holds alerts back, again and again; raises as ``silence_of``."""
    return Silence(
        matchers_of(row.matchers) or _EVERY_ALERT,
        time_ms(row.starts_at),
        time_ms(row.ends_at),
        row.by,
        row.name,
        every_ms=row.every * 1000,
    )


def rule_of(row: AlertRule) -> dict[str, Any]:
    """As ``definitions`` reads it, which says what is wrong with it."""
    return {**_object(row.definition), "name": row.name, "enabled": row.enabled}


def metric_of(row: CustomMetric) -> dict[str, Any]:
    """A custom metric as ``definitions`` reads a rule; it is one if it has a threshold."""
    given: dict[str, Any] = {
        "name": row.name,
        "metric": row.metric,
        "form": row.form,
        "window": row.window,
        "operator": row.operator,
        "enabled": row.enabled,
    }
    title = row.title.replace("{", "").replace("}", "")
    further = {
        "kind": row.kind or None,
        "unit": row.unit or None,
        "warning": row.warning,
        "critical": row.critical,
        "summary": f"{title} is {{value}} {row.unit}".rstrip() if title else None,
    }
    given |= {key: value for key, value in further.items() if value is not None}
    return {**_object(row.options), **given}


def _object(text: str) -> dict[str, Any]:
    """What isn't an object of JSON gives one that no rule can be made of."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"definition": "no JSON object"}


# --- history and outbox


def event_row(event: Event, vendor: str) -> AlertEvent:
    """A row without a primary key."""
    return AlertEvent(
        event_id=event.id,
        at_ms=event.at_ms,
        kind=event.kind,
        by=storable(event.by, vendor, LONGEST_NAME),
        fingerprint=event.fingerprint,
        alert_type=event.rule,
        text=storable(event.text, vendor),
    )


def resolved_event(row: SystemAlert, at_ms: int, *, by: str = "", text: str = "") -> Event:
    """That the alert of a row is over; the same one as its evaluator would have made."""
    return Event(
        f"{row.fingerprint}-{row.since_ms}-resolved",
        at_ms,
        "resolved",
        by,
        row.fingerprint,
        row.alert_type,
        text,
    )


def notification_row(one: Outgoing) -> AlertNotification:
    """A row without a primary key."""
    return AlertNotification(
        key=one.key,
        channel=one.channel,
        group=one.group,
        kind=one.kind,
        severity=one.severity,
        document=written(one.document),
        fingerprints="".join(f" {each} " for each in one.fingerprints),
        attempts=one.attempts,
        created_ms=one.created_ms,
        due_ms=one.due_ms,
    )


def outgoing_of(row: AlertNotification) -> Outgoing:
    """What waits; without a document if that can't be read."""
    return Outgoing(
        row.key,
        row.channel,
        row.kind,
        row.severity,
        _object(row.document),
        row.created_ms,
        row.due_ms,
        row.group,
        tuple(row.fingerprints.split()),
        row.attempts,
    )


def attempt_row(attempt: Attempt, notification_id: int, vendor: str) -> AlertAttempt:
    """A row without a primary key."""
    return AlertAttempt(
        notification_id=notification_id,
        at_ms=attempt.at_ms,
        result=attempt.result,
        detail=storable(attempt.detail, vendor),
    )
