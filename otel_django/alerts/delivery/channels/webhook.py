"""JSON in the shape of Alertmanager's webhook (version 4), signed if there is a secret."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_django.alerts.delivery import words
from otel_django.alerts.delivery.posting import encoded
from otel_django.alerts.promql import label_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_django.alerts.delivery.contract import Notification, Outcome, ToldAlert
    from otel_django.alerts.delivery.posting import Poster

TIMESTAMP: Final = "X-Otel-Django-Timestamp"
SIGNATURE: Final = "X-Otel-Django-Signature"
LONGEST: Final = 1000
_NOT_OVER: Final = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """Posts each notification with its ``Idempotency-Key``.

    ``SIGNATURE`` is ``sha256=`` and the HMAC, by the secret, of ``TIMESTAMP``, a dot and the body.
    """

    poster: Poster
    secret: str = field(default="", repr=False)
    name: str = "webhook"

    def send(self, notification: Notification, timeout_s: float) -> Outcome:
        """Post it."""
        body = encoded(document(notification, self.name))
        headers = {"Idempotency-Key": notification.key}
        if self.secret:
            headers.update(signed(body, self.secret, int(time.time())))
        return self.poster.post(body, timeout_s, headers)


def signed(body: bytes, secret: str, at_s: int) -> dict[str, str]:
    """The headers that let the receiver know who sent it, and when."""
    digest = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return {TIMESTAMP: str(at_s), SIGNATURE: f"sha256={digest}"}


def document(notification: Notification, receiver: str) -> dict[str, Any]:
    """What is posted; ``kind`` and ``key`` are beyond what Alertmanager says."""
    alerts = [_alert(alert) for alert in notification.alerts]
    return {
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": notification.left_out,
        "status": notification.status,
        "receiver": receiver,
        "groupLabels": _named(notification.group),
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": notification.page,
        "alerts": alerts,
        "kind": notification.kind,
        "key": notification.key,
    }


def _alert(alert: ToldAlert) -> dict[str, Any]:
    annotations = {
        "summary": words.line(alert.summary, LONGEST),
        "description": words.line(alert.description, LONGEST),
        "value": f"{alert.value:.6g}",
        "runbook_url": alert.runbook,
        "acknowledge_url": alert.acknowledge,
        "acknowledged_by": words.line(alert.acknowledged_by, LONGEST),
    }
    ended_ms = alert.resolved_ms if alert.state == "resolved" else None
    return {
        "status": alert.state,
        "labels": _named(alert.labels),
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": words.moment(alert.started_ms),
        "endsAt": _NOT_OVER if ended_ms is None else words.moment(ended_ms),
        "generatorURL": alert.page,
        "fingerprint": alert.fingerprint,
    }


def _named(labels: Mapping[str, str]) -> dict[str, str]:
    return {label_name(name): words.line(value, LONGEST) for name, value in labels.items()}


def _common(all_of: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all of them have, with the same value."""
    first, *others = all_of
    return {
        name: value
        for name, value in first.items()
        if all(one.get(name) == value for one in others)
    }
