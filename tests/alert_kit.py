"""Alerts to tell of, for tests of their delivery."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from otel_django.alerts.delivery.contract import Kind, Notification, Severity, ToldAlert
from otel_django.alerts.keeping.contract import Attempt, Outgoing
from otel_django.alerts.keeping.outbox import MemoryOutbox

T0 = 1_790_000_000_000
SITE = "https://shop.example/monitoring/"
HOSTILE = (
    "</script><b>\u202ekcatta\u202c\x00\x1b[31m <!channel> *bold* _x_ <https://evil.example|ok>"
)


def told(number: int = 1, **changes: Any) -> ToldAlert:
    """An alert as it is told, the ``number``th of its kind."""
    return replace(
        ToldAlert(
            fingerprint=f"{number:016x}",
            state="firing",
            severity="critical",
            labels={
                "alertname": "HighErrorRate",
                "severity": "critical",
                "service.name": "shop",
                "http.route": f"/checkout/{number}/",
            },
            summary="7.25 % of requests fail",
            value=7.25,
            started_ms=T0,
            description="More requests than usual end in a 5xx answer.",
            page=f"{SITE}traces/?q=status:5xx",
            runbook=f"{SITE}alerts/{number:016x}/#runbook",
            acknowledge=f"{SITE}alerts/{number:016x}/#acknowledge",
        ),
        **changes,
    )


def resolved(number: int = 1) -> ToldAlert:
    return told(number, state="resolved", resolved_ms=T0 + 90_000)


def notification(
    *alerts: ToldAlert, kind: Kind = "fired", severity: Severity = "critical", **changes: Any
) -> Notification:
    """Of these alerts, or of one."""
    made = Notification(
        key="key" + "0" * 29,
        group_key="group" + "0" * 27,
        kind=kind,
        severity=severity,
        group={"alertname": "HighErrorRate", "severity": severity},
        alerts=alerts or (told(),),
        created_ms=T0,
        page=f"{SITE}alerts/",
    )
    return replace(made, **changes)


def hostile() -> Notification:
    """What came with telemetry is out to do harm."""
    long = HOSTILE * 20_000
    labels = {"alertname": "HighErrorRate", "severity": "critical", "http.route": long}
    one = told(labels=labels, summary=long, description=long, acknowledged_by=HOSTILE)
    return notification(one, *(replace(one, fingerprint=f"{n:016x}") for n in range(49)))


class Outbox(MemoryOutbox):
    """The one in memory, which also notes the attempts."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[Attempt] = []

    def attempted(self, attempt: Attempt) -> None:
        super().attempted(attempt)
        self.attempts.append(attempt)

    def results(self, channel: str) -> list[str]:
        return [one.result for one in self.attempts if one.channel == channel]


def outgoing(said: Notification, channel: str, **changes: Any) -> Outgoing:
    """The notification on its way."""
    return replace(
        Outgoing(
            key=said.key,
            channel=channel,
            kind=said.kind,
            severity=said.severity,
            document=said.as_json(),
            created_ms=said.created_ms,
            due_ms=said.created_ms,
            group=said.group_key,
        ),
        **changes,
    )
