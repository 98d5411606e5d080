"""Alerts as JSON: what there is, what people decide, and what Alertmanager tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings

from otel_django.alerts.keeping.documents import matchers_of
from otel_django.alerts.muting import matches
from otel_django.models import (
    AlertEvent,
    AlertMaintenance,
    AlertNotification,
    AlertSilence,
    SystemAlert,
)
from otel_django.web import alert_records
from otel_django.web.alert_records import labels_of
from tests.alerts_kit import alert, moment, now_ms, staff
from tests.endpoints_kit import by_token, ours

ALERTS = "/monitoring/alerts/"
RECEIVE = "/monitoring/alerts/receive/"


@pytest.fixture(autouse=True)
def site(tmp_path: Path, database: None) -> Iterator[None]:
    alert_records.count_anew()
    with ours(TOKENS=["sesame"], RUN_DIR=str(tmp_path), ALERTS_EVALUATOR="prometheus"):
        yield


def post(client: Client, body: Any, path: str = ALERTS) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json")


def listed(state: str = "active") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = by_token().get(f"{ALERTS}?state={state}").json()["alerts"]
    return found


# --- what there is


def test_the_active_alerts_are_listed_critical_ones_first() -> None:
    alert("HighCpu", "warning", ago_s=5)
    alert("HighErrorRate", "critical", ago_s=60)
    alert("DiskFull", "critical", over=True)

    answer = by_token().get(ALERTS).json()

    assert answer["active"] == 2
    assert [each["name"] for each in answer["alerts"]] == ["HighErrorRate", "HighCpu"]
    first = answer["alerts"][0]
    assert first["labels"] == {"service.name": "shop"}
    assert first["summary"] == "12.5 % of the requests to shop fail"
    assert first["description"].startswith("The share of requests")
    assert (first["value"], first["state"], first["resolved"]) == (12.5, "firing", None)
    assert first["runbook"] == "docs/runbooks/alerts/HighErrorRate.md"


def test_history_has_those_that_are_over() -> None:
    alert("DiskFull", over=True)
    alert()
    [found] = listed("history")
    assert (found["name"], found["state"]) == ("DiskFull", "resolved")
    assert found["resolved"] is not None


def test_a_list_costs_few_queries_however_long_it_is() -> None:
    for number in range(30):
        alert(labels={"service.name": f"shop-{number}"})
    client = by_token()
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        client.get(ALERTS)
    assert len(queries) <= 8


def test_without_tables_the_answer_says_so_and_holds_no_secrets() -> None:
    with override_settings(OTEL_DJANGO={"TOKENS": ["sesame"], "DATABASE": "nowhere"}):
        refused = by_token().get(ALERTS)
    assert refused.status_code == 503
    assert refused.json()["error"] == "unavailable"


# --- acknowledging


def test_who_may_acknowledges_and_it_is_kept_who_did() -> None:
    made = alert()
    body = {"action": "acknowledge", "fingerprint": made.fingerprint, "comment": "on it"}

    answer = post(staff("acknowledge_alerts"), body)

    assert answer.status_code == 200
    assert answer.json()["acknowledged_by"] == "ada"
    made.refresh_from_db()
    assert (made.acknowledged_by, made.acknowledged_note) == ("ada", "on it")
    assert abs((made.acknowledged_ms or 0) - now_ms()) < 60_000
    [event] = AlertEvent._base_manager.all()
    assert (event.kind, event.by, event.fingerprint) == ("acknowledged", "ada", made.fingerprint)
    assert (event.alert_type, event.text) == ("HighErrorRate", "on it")


def test_staff_without_the_permission_changes_nothing() -> None:
    made = alert()
    for action in ("acknowledge", "silence"):
        refused = post(staff(), {"action": action, "fingerprint": made.fingerprint})
        assert refused.status_code == 403
    made.refresh_from_db()
    assert made.acknowledged_by == ""
    assert not AlertSilence._base_manager.exists()
    assert not AlertEvent._base_manager.exists()


def test_a_program_with_a_token_may_and_is_told_of_as_such() -> None:
    made = alert()
    answer = post(by_token(), {"action": "acknowledge", "fingerprint": made.fingerprint})
    assert answer.json()["acknowledged_by"] == "token"


def test_what_is_over_cannot_be_acknowledged() -> None:
    made = alert(over=True)
    refused = post(by_token(), {"action": "acknowledge", "fingerprint": made.fingerprint})
    assert refused.status_code == 409
    assert not AlertEvent._base_manager.exists()


def test_an_unknown_alert_is_not_there() -> None:
    refused = post(by_token(), {"action": "acknowledge", "fingerprint": "f" * 16})
    assert refused.status_code == 404


# --- silencing


def test_a_silence_is_of_this_very_alert_and_shown() -> None:
    made, other = alert(), alert(labels={"service.name": "blog"})
    body = {"action": "silence", "fingerprint": made.fingerprint, "minutes": 30}

    answer = post(staff("silence_alerts"), body)

    assert answer.json()["silenced_until"] is not None
    [row] = AlertSilence._base_manager.all()
    assert row.by == "ada"
    assert (row.ends_at - row.starts_at).total_seconds() == 1800
    found = {each["fingerprint"]: each["silenced_until"] for each in listed()}
    assert found[made.fingerprint] is not None
    assert found[other.fingerprint] is None
    [event] = AlertEvent._base_manager.all()
    assert event.kind == "silenced"
    assert "for 30 minutes" in event.text


@pytest.mark.parametrize("minutes", [0, -5, 10**9])
def test_a_silence_has_an_end_that_is_in_sight(minutes: int) -> None:
    made = alert()
    body = {"action": "silence", "fingerprint": made.fingerprint, "minutes": minutes}
    assert post(by_token(), body).status_code == 400
    assert not AlertSilence._base_manager.exists()


def test_maintenance_counts_as_a_silence_and_comes_again() -> None:
    alert()
    AlertMaintenance._base_manager.create(
        name="nightly",
        starts_at=moment(2 * 86400 + 60),
        ends_at=moment(2 * 86400 - 60),
        every=86400,
    )
    [found] = listed()
    assert found["silenced_until"] is not None


def test_a_silence_whose_matchers_cannot_be_read_silences_nothing() -> None:
    alert()
    AlertSilence._base_manager.create(matchers="{", starts_at=moment(5), ends_at=moment(-60))
    assert listed()[0]["silenced_until"] is None


# --- Alertmanager


def told(
    status: str = "firing", began: str = "2026-11-22T10:20:30.123456789Z", **labels: str
) -> Any:
    return {
        "status": status,
        "labels": {"alertname": "HighErrorRate", "severity": "critical", "job": "shop", **labels},
        "annotations": {"summary": "12.5 % of the requests to shop fail"},
        "startsAt": began,
        "endsAt": "2026-11-22T10:30:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
    }


def receive(*alerts: Any) -> Any:
    body = {"version": "4", "status": "firing", "alerts": list(alerts)}
    return post(by_token(), body, RECEIVE)


def test_an_alert_of_alertmanager_is_kept_as_if_evaluated_here() -> None:
    assert receive(told()).json() == {"received": 1}

    [row] = SystemAlert._base_manager.all()
    assert (row.alert_type, row.severity, row.state) == ("HighErrorRate", "critical", "firing")
    assert row.source == "prometheus"
    assert labels_of(row) == {"service.name": "shop"}
    assert row.fingerprint == alert(ago_s=1).fingerprint
    assert row.message == "12.5 % of the requests to shop fail"
    assert row.told_state == "firing"  # Alertmanager tells of it
    assert [event.kind for event in AlertEvent._base_manager.all()] == ["fired"]


def test_what_comes_again_is_kept_once_and_ends_once() -> None:
    receive(told())
    receive(told(), told())
    receive(told("resolved"))
    receive(told("resolved"))
    receive(told())  # late

    [row] = SystemAlert._base_manager.all()
    assert (row.state, row.resolved) == ("resolved", True)
    assert row.resolved_ms == 1795343400000
    assert [event.kind for event in AlertEvent._base_manager.order_by("id")] == [
        "fired",
        "resolved",
    ]


def test_an_end_that_never_came_is_made_up_for() -> None:
    receive(told())
    SystemAlert._base_manager.update(at_ms=1795343400000)
    receive(told(began="2026-11-22T11:00:00Z"))
    first, second = SystemAlert._base_manager.order_by("since_ms")
    assert (first.state, second.state) == ("resolved", "firing")


def test_an_alert_that_begins_anew_for_those_who_tell_it_is_the_same_one() -> None:
    receive(told(began=moment(600).isoformat()))
    anew = moment(60).isoformat()  # heard of since: Prometheus and Alertmanager were restarted
    receive(told(began=anew))
    [row] = SystemAlert._base_manager.all()
    assert row.state == "firing"

    over = {"endsAt": moment(30).isoformat()}
    receive({**told("resolved", began=anew), **over})
    receive({**told("resolved", began=anew), **over})  # the answer was lost
    [row] = SystemAlert._base_manager.all()
    assert row.state == "resolved"
    assert [event.kind for event in AlertEvent._base_manager.order_by("id")] == [
        "fired",
        "resolved",
    ]
    receive(told(began=moment(20).isoformat()))
    assert len(listed()) == len(listed("history")) == 1


def test_an_alert_that_was_over_when_it_came_is_history() -> None:
    receive(told("resolved"))
    assert [each["state"] for each in listed("history")] == ["resolved"]
    assert listed() == []


def test_a_thousand_at_once_take_few_queries() -> None:
    many = [told(pod=f"web-{number}") for number in range(1000)]
    client = by_token()
    body = json.dumps({"version": "4", "status": "firing", "alerts": many})
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        answer = client.post(RECEIVE, body, content_type="application/json")
    assert answer.json() == {"received": 1000}
    assert SystemAlert._base_manager.count() == 1000
    assert len(queries) < 60


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": {"severity": "critical"}},
        {"startsAt": "yesterday"},
        {"startsAt": "2026-13-45T10:00:00Z"},
        {"startsAt": "9999-12-31T23:59:59-23:00"},
        {"status": "resolved", "endsAt": "9999-12-31T23:59:59-12:00"},
        {"labels": {"alertname": 5}},
    ],
)
def test_what_cannot_be_understood_is_refused_as_a_whole(wrong: dict[str, Any]) -> None:
    refused = receive(told(), {**told(), **wrong})
    assert refused.status_code == 400
    assert not SystemAlert._base_manager.exists()


def test_labels_come_back_as_they_were() -> None:
    hostile = "<script>\u202e\x00\ud800"
    receive({**told(path=hostile), "annotations": {"summary": hostile}})
    [found] = listed()
    assert found["labels"]["path"] == hostile
    assert found["summary"] == "<script>\u202e\ufffd\ufffd"


def test_the_webhook_needs_a_token_of_staff_too() -> None:
    refused = post(staff("acknowledge_alerts"), {}, RECEIVE)
    assert refused.status_code == 401


def test_matchers_of_a_row_are_those_that_were_written() -> None:
    made = alert(labels={"service.name": "shop", "http.route": '/a"b/\u202e'})
    post(by_token(), {"action": "silence", "fingerprint": made.fingerprint})
    [row] = AlertSilence._base_manager.all()
    labels = alert_records.all_labels(made)
    assert matches(matchers_of(row.matchers), labels)
    assert not matches(matchers_of(row.matchers), {**labels, "http.route": "/"})


def test_where_alerts_are_evaluated_here_alertmanager_is_refused() -> None:
    with ours(ALERTS_EVALUATOR="embedded"):
        refused = receive(told())
    assert refused.status_code == 409
    assert not SystemAlert._base_manager.exists()


# --- a test of the channels


def test_a_test_goes_through_each_channel_and_is_told_of() -> None:
    client = staff("test_alerts")
    answer = client.post("/monitoring/alerts/test/").json()
    assert [(each["channel"], each["ok"]) for each in answer["channels"]] == [("log", True)]
    [event] = AlertEvent._base_manager.all()
    assert (event.kind, event.by, event.text) == ("tested", "ada", "log: delivered")


def test_a_channel_that_cannot_be_reached_says_so_without_its_address() -> None:
    url = "http://127.0.0.1:1/hook/secret-part"
    with ours(ALERT_WEBHOOK_URL=url, ALERT_LOG_ENABLED="false"):
        answer = staff("test_alerts").post("/monitoring/alerts/test/")
    [result] = answer.json()["channels"]
    assert (result["channel"], result["ok"]) == ("webhook", False)
    assert result["detail"]
    assert "secret-part" not in answer.content.decode()


def test_what_is_made_from_now_on_is_what_was_sent() -> None:
    for key, ago_ms in (("before", 60_000), ("after", -1000)):
        AlertNotification._base_manager.create(
            key=key,
            channel="log",
            kind="fired",
            severity="warning",
            state="delivered",
            document="{}",
            created_ms=now_ms() - ago_ms,
            due_ms=0,
        )
    [found] = alert_records.made_since("default", now_ms())
    AlertNotification._base_manager.all().delete()  # other tests send what they find
    assert (found["key"], found["channel"], found["state"]) == ("after", "log", "delivered")
