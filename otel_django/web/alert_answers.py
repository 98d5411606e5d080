"""What the JSON endpoints of alerts answer, and what they do."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from otel_django.clock import SYSTEM_CLOCK
from otel_django.health.report_json import timestamp
from otel_django.web import alert_decisions, alert_records, alerts_received
from otel_django.web.alert_decisions import ACKNOWLEDGE, SILENCE, Decider, DecisionError
from otel_django.web.alert_records import AlertsAwayError, labels_of
from otel_django.web.alert_rules import rules_of
from otel_django.web.json_endpoint import Refused, refusal
from otel_django.web.permissions import MACHINE, has_permission, has_token, user_of

if TYPE_CHECKING:
    from otel_django.alerts.rules import Rule
    from otel_django.models import SystemAlert
    from otel_django.web.alert_records import Quiet
    from otel_django.web.alert_views import Alert, Alerts, AlertTest, Received
    from otel_django.web.json_endpoint import Asked

USUAL_MINUTES: Final = 60
TEST_TIMEOUT_S: Final = 8.0
_PERMISSIONS: Final = {"acknowledge": ACKNOWLEDGE, "silence": SILENCE}


def listed(asked: Asked) -> Alerts:
    """The active alerts, or those that are over."""
    now_ms = SYSTEM_CLOCK.now_ns() // 1_000_000
    database = asked.settings.database
    ask = alert_records.active if asked.query["state"] == "active" else alert_records.history
    found = ask(database)
    back = alert_records.held_back([one for one in found if not one.resolved], database, now_ms)
    rules = rules_of(asked.settings).rules if found else {}
    return {
        "timestamp": timestamp(now_ms * 1_000_000),
        "active": alert_records.count_active(database),
        "alerts": [
            _document(one, rules.get(one.alert_type), back.get(one.pk), now_ms) for one in found
        ],
    }


def _document(alert: SystemAlert, rule: Rule | None, quiet: Quiet | None, now_ms: int) -> Alert:
    return {
        "fingerprint": alert.fingerprint,
        "name": alert.alert_type,
        "severity": cast("Any", alert.severity),
        "state": cast("Any", alert.state),
        "labels": labels_of(alert),
        "summary": alert.message,
        "description": rule.description if rule else "",
        "value": alert.value if alert.source == "embedded" else None,
        "started": _time(alert.since_ms) or "",
        "resolved": _time(alert.resolved_ms),
        "acknowledged": _time(alert.acknowledged_ms),
        "acknowledged_by": alert.acknowledged_by,
        "silenced_until": None if quiet is None else _time(quiet.until_ms(now_ms)),
        "runbook": rule.runbook if rule else "",
    }


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else timestamp(at_ms * 1_000_000)


def changed(asked: Asked) -> Alert:
    """Acknowledge an alert, or silence it."""
    by = _decides(asked, _PERMISSIONS[asked.body["action"]])
    now_ms = SYSTEM_CLOCK.now_ns() // 1_000_000
    decider = Decider(asked.settings.database, by, now_ms)
    fingerprint, comment = asked.body["fingerprint"], asked.body.get("comment", "")
    found = alert_records.occurrences(decider.database, fingerprint, 1)
    if not found:
        raise Refused(404, "unknown alert", "There is no alert of that fingerprint.")
    if asked.body["action"] == "acknowledge":
        if not alert_decisions.acknowledge(decider, found, comment):
            raise Refused(409, "not firing", "It doesn't fire any more.")
    else:
        minutes = asked.body.get("minutes", USUAL_MINUTES)
        try:
            alert_decisions.silence_alert(decider, found[0], minutes, comment)
        except DecisionError as error:
            raise Refused(400, "bad request", str(error)) from error
    [alert] = alert_records.occurrences(decider.database, fingerprint, 1)
    back = alert_records.held_back([alert], decider.database, now_ms)
    rule = rules_of(asked.settings).rules.get(alert.alert_type)
    return _document(alert, rule, back.get(alert.pk), now_ms)


def _decides(asked: Asked, permission: str) -> str:
    """Who it is, for the audit: who has a token, or staff with the permission."""
    if has_token(asked.request, asked.settings):
        return "token"
    user = user_of(asked.request)
    if user is None:
        return MACHINE
    if not has_permission(asked.request, permission):
        raise refusal("forbidden")
    return str(user.get_username())


def taken(asked: Asked) -> Received:
    """Keep what Alertmanager tells of."""
    if asked.settings.alerts_evaluator != "prometheus":
        raise Refused(
            409,
            "evaluated here",
            "This site evaluates alerts itself; OTEL_DJANGO_ALERTS_EVALUATOR says who does.",
        )
    now_ms = SYSTEM_CLOCK.now_ns() // 1_000_000
    try:
        count = alerts_received.keep(asked.settings, asked.body["alerts"], now_ms)
    except DecisionError as error:
        raise Refused(400, "bad request", str(error)) from error
    return {"received": count}


def tested(asked: Asked) -> AlertTest:
    """Send a test through each channel."""
    from otel_django.alerts.delivery.configured import channels
    from otel_django.alerts.delivery.trial import tried

    settings, now_ms = asked.settings, SYSTEM_CLOCK.now_ns() // 1_000_000
    by = str(user_of(asked.request).get_username())
    found = tried(channels(settings), by, settings.alerts_site_url, now_ms, TEST_TIMEOUT_S)
    text = ", ".join(f"{name}: {outcome.result}" for name, outcome in found.items())
    with suppress(AlertsAwayError):
        alert_decisions.note_of(Decider(settings.database, by, now_ms), "tested", text=text)
    return {
        "timestamp": timestamp(now_ms * 1_000_000),
        "channels": [
            {"channel": name, "ok": outcome.result == "delivered", "detail": outcome.detail}
            for name, outcome in found.items()
        ],
        "detail": "" if found else "No channel is set up.",
    }
