"""What the log says of alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_django import names
from otel_django.log_record import ERROR, INFO, WARN
from otel_django.logs import active

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_django.alerts.keeping.contract import Entry


def tell(entries: Iterable[Entry]) -> None:
    """Of alerts that began to fire or ended."""
    journal = active.journal()
    if journal is None:
        return
    for entry in entries:
        alert = entry.alert
        key = alert.key
        fields: dict[str, Any] = {
            **dict(key.labels),
            names.ALERT_RULE: key.rule,
            names.ALERT_SEVERITY: key.severity,
            names.ALERT_FINGERPRINT: alert.fingerprint,
            names.ALERT_VALUE: alert.value,
            names.MESSAGE: entry.message,
        }
        if alert.state == "resolved":
            journal.emit(names.ALERT_RESOLVED, severity=INFO, attributes=fields)
        else:
            severity = ERROR if key.severity == "critical" else WARN
            journal.emit(names.ALERT_FIRED, severity=severity, attributes=fields)
