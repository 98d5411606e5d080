"""Alerts as JSON: what there is, and what people and Alertmanager say of them.

The answers are imported when they are asked for: commands load the URLconf, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from otel_django.web.json_endpoint import (
    Asked,
    Choice,
    class_of,
    get,
    json_view,
    post,
)
from otel_django.web.permissions import has_permission, has_token

if TYPE_CHECKING:
    from django.http import HttpRequest

    from otel_django.conf import Settings
    from otel_django.web.access import Verdict

TEST_PERMISSION = "otel_django.test_alerts"


class Alert(TypedDict):
    """One alert. ``fingerprint`` names it; times are RFC 3339, null for not yet."""

    fingerprint: str
    name: str
    severity: Literal["info", "warning", "critical"]
    state: Literal["pending", "firing", "resolved"]
    labels: dict[str, str]
    summary: str
    description: str
    value: float | None
    started: str
    resolved: str | None
    acknowledged: str | None
    acknowledged_by: str
    silenced_until: str | None
    runbook: str


class Alerts(TypedDict):
    """``alerts`` are those asked for, newest first."""

    timestamp: str
    active: int
    alerts: list[Alert]


class AlertChange(TypedDict):
    """What is to become of an alert; ``minutes`` is how long a silence lasts."""

    action: Literal["acknowledge", "silence"]
    fingerprint: str


class _Silence(TypedDict, total=False):
    minutes: int
    comment: str


class AlertChangeBody(AlertChange, _Silence):
    """``minutes`` and ``comment`` may be left out."""


class ReceivedAlert(TypedDict):
    """An alert as Alertmanager's webhook has it."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    startsAt: str
    endsAt: str


class Webhook(TypedDict):
    """Alertmanager's webhook, version 4; more keys than these are let pass."""

    version: str
    status: Literal["firing", "resolved"]
    alerts: list[ReceivedAlert]


class Received(TypedDict):
    """How many alerts were taken."""

    received: int


class ChannelResult(TypedDict):
    """What came of a test through one channel."""

    channel: str
    ok: bool
    detail: str


class AlertTest(TypedDict):
    """One result a channel; ``detail`` says so where there is none."""

    timestamp: str
    channels: list[ChannelResult]
    detail: str


@get(parameters=(Choice("state", "Which alerts.", ("active", "history")),))
def _list(asked: Asked) -> Alerts:
    """The active alerts, or those that are over: 500 at most."""
    from otel_django.web import alert_answers

    return alert_answers.listed(asked)


@post(
    body=AlertChangeBody,
    errors={404: "There is no such alert.", 409: "It doesn't fire any more."},
)
def _change(asked: Asked) -> Alert:
    """Acknowledge an alert, or silence it for some minutes (60)."""
    from otel_django.web import alert_answers

    return alert_answers.changed(asked)


def _by_token(request: HttpRequest, settings: Settings) -> Verdict:
    if has_token(request, settings):
        return "allowed"
    return "unauthorized" if settings.tokens else "forbidden"


@post(may=_by_token, body=Webhook, errors={409: "Alerts are evaluated here, not by Prometheus."})
def _receive(asked: Asked) -> Received:
    """Keep alerts that Alertmanager's webhook (version 4) tells of."""
    from otel_django.web import alert_answers

    return alert_answers.taken(asked)


def _may_test(request: HttpRequest, settings: Settings) -> Verdict:
    return "allowed" if has_permission(request, TEST_PERMISSION) else "forbidden"


@post(may=_may_test)
def _test(asked: Asked) -> AlertTest:
    """Send a test alert through each channel."""
    from otel_django.web import alert_answers

    return alert_answers.tested(asked)


alerts = json_view("alerts", _list, _change)
receive_alerts = json_view("receive_alerts", _receive)
test_alerts = json_view("test_alerts", _test)
AlertsView = class_of(alerts)
ReceiveAlertsView = class_of(receive_alerts)
TestAlertsView = class_of(test_alerts)
_no_tests: tuple[Any, ...] = (test_alerts, TestAlertsView)
for _view in _no_tests:
    _view.__test__ = False  # pytest would take it for one wherever it is imported
