"""Alerts as log lines."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from otel_django import names
from otel_django.alerts.delivery import words
from otel_django.alerts.delivery.contract import Outcome

if TYPE_CHECKING:
    from otel_django.alerts.delivery.contract import Notification

LOGGER: Final = "otel_django.alerts"
LONGEST: Final = 500

_logger = logging.getLogger(LOGGER)


class LogChannel:
    """One line a notification, of the level of its severity; info once it is resolved."""

    name = "log"

    def send(self, notification: Notification, timeout_s: float) -> Outcome:
        """Log it."""
        _logger.log(
            _level(notification),
            "%s",
            words.title(notification, LONGEST),
            extra={
                names.ALERT_RULE: notification.group.get("alertname", ""),
                names.ALERT_SEVERITY: notification.severity,
            },
        )
        return Outcome("delivered")


def _level(notification: Notification) -> int:
    if notification.status == "resolved" or notification.kind in ("acknowledged", "test"):
        return logging.INFO
    return logging.ERROR if notification.severity == "critical" else logging.WARNING
