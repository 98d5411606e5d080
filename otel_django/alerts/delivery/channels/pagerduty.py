"""PagerDuty, by version 2 of its Events API: trigger, acknowledge, resolve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_django.alerts.delivery import words
from otel_django.alerts.delivery.contract import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.alerts.delivery.contract import Notification
    from otel_django.alerts.delivery.posting import Poster

MOST_ALERTS: Final = 20
"""An event holds 512 KB at most."""
_SUMMARY: Final = 1024
_TEXT: Final = 500


@dataclass(frozen=True, slots=True)
class PagerDutyChannel:
    """One incident a group of alerts; resolved once all of them are."""

    poster: Poster
    routing_key: str = field(repr=False)
    source: str = "otel_django"
    name: str = "pagerduty"

    def send(self, notification: Notification, timeout_s: float) -> Outcome:
        """Post the event, if the notification changes the incident at all."""
        if notification.kind == "resolved" and notification.status == "firing":
            return Outcome("delivered", "Nothing was sent: others of the incident still fire.")
        return self.poster.post(event(notification, self.routing_key, self.source), timeout_s)


def event(notification: Notification, routing_key: str, source: str) -> dict[str, Any]:
    """The event's document."""
    said: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": _action(notification),
        "dedup_key": notification.group_key,
        "client": "otel_django",
    }
    if notification.page:
        said["client_url"] = notification.page
    if said["event_action"] == "trigger":
        said["payload"] = _payload(notification, source)
        said["links"] = list(_links(notification))
    return said


def _action(notification: Notification) -> str:
    if notification.status == "resolved":
        return "resolve"
    return "acknowledge" if notification.kind == "acknowledged" else "trigger"


def _payload(notification: Notification, source: str) -> dict[str, Any]:
    alerts = notification.alerts[:MOST_ALERTS]
    first = alerts[0]
    return {
        "summary": words.line(words.subject(notification), _SUMMARY),
        "source": words.line(first.labels.get("service.name") or source, _TEXT),
        "severity": notification.severity,
        "timestamp": words.moment(min(alert.started_ms for alert in alerts)),
        "group": words.line(",".join(notification.group.values()), _TEXT),
        "class": words.line(notification.group.get("alertname", ""), _TEXT),
        "custom_details": {
            "alerts": [
                {
                    "summary": words.line(alert.summary, _TEXT),
                    "state": alert.state,
                    "value": f"{alert.value:.6g}",
                    "labels": words.line(words.about(alert), _TEXT),
                    "since": words.moment(alert.started_ms),
                    "page": alert.page,
                }
                for alert in alerts
            ],
            "more": words.more(notification, len(alerts)),
            "description": words.line(first.description, _TEXT),
        },
    }


def _links(notification: Notification) -> Iterator[dict[str, str]]:
    first = notification.alerts[0]
    for href, text in (
        (first.page, "Look at it"),
        (first.runbook, "Runbook"),
        (first.acknowledge, "Acknowledge"),
    ):
        if href:
            yield {"href": href, "text": text}
