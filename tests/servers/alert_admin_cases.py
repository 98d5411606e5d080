"""Alerts in the admin: who may do what, what is kept of it, and what a wrong rule is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from otel_django.models import (
    AlertArchive,
    AlertEvent,
    AlertMaintenance,
    AlertNotification,
    AlertRule,
    AlertSilence,
    CustomMetric,
    SystemAlert,
)
from otel_django.web import alert_records
from tests.alerts_kit import alert, staff

MODELS: tuple[Any, ...] = (
    *(SystemAlert, AlertSilence, AlertMaintenance, AlertRule, CustomMetric),
    *(AlertEvent, AlertNotification, AlertArchive),
)
LISTS = tuple(model._meta.model_name for model in MODELS)
HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture(autouse=True)
def site(migrated: Path) -> None:
    for model in (*MODELS, User):
        model._base_manager.all().delete()
    alert_records.count_anew()


def address(model: str, *more: str) -> str:
    return "/".join(["/admin/otel_django", model, *more, ""])


def superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def act(client: Client, action: str, *alerts: SystemAlert) -> Any:
    form = {"action": action, "_selected_action": [str(each.pk) for each in alerts]}
    return client.post(address("systemalert"), form, follow=True)


@pytest.mark.parametrize("model", LISTS)
def test_staff_looks_at_everything_and_writes_nothing(model: str) -> None:
    alert(message=HOSTILE)
    client = staff()
    html = client.get(address(model)).content.decode()
    assert "\u202e" not in html
    assert "<script>alert" not in html
    assert client.get(address(model, "add")).status_code == 403
    assert client.get(f"{address(model)}?q=x").status_code == 200


@pytest.mark.parametrize("model", LISTS)
def test_a_customer_sees_nothing(model: str) -> None:
    client = Client()
    client.force_login(User.objects.create(username="customer"))
    assert client.get(address(model)).status_code == 302


def test_an_alert_is_read_only_and_leads_to_its_page() -> None:
    made = alert(message=HOSTILE)
    html = superuser().get(address("systemalert", str(made.pk), "change")).content.decode()
    assert f"/monitoring/alerts/{made.fingerprint}/?since={made.since_ms}" in html
    assert 'name="severity"' not in html
    assert "<script>alert" not in html


def test_each_action_takes_its_own_permission() -> None:
    made = alert()
    act(staff("acknowledge_alerts"), "silence", made)
    act(staff("silence_alerts", name="bob"), "acknowledge", made)
    act(staff("silence_alerts", name="bob"), "resolve", made)
    made.refresh_from_db()
    assert (made.acknowledged_by, made.state) == ("", "firing")
    assert not AlertSilence._base_manager.exists()
    assert not AlertEvent._base_manager.exists()


def test_actions_do_what_they_say_and_leave_who_did_it() -> None:
    made = alert()
    client = staff("acknowledge_alerts", "silence_alerts", "resolve_alerts")
    assert "1 acknowledged." in act(client, "acknowledge", made).content.decode()
    act(client, "silence", made)
    act(client, "resolve", made)
    made.refresh_from_db()
    assert (made.acknowledged_by, made.state) == ("ada", "resolved")
    assert AlertSilence._base_manager.count() == 1
    events = AlertEvent._base_manager.order_by("id").values_list("kind", "by")
    assert list(events) == [
        ("acknowledged", "ada"),
        ("silenced", "ada"),
        ("resolved_by_hand", "ada"),
    ]


def test_no_filter_is_a_link_without_words() -> None:
    for kind, by in (("fired", ""), ("acknowledged", "ada")):
        AlertEvent._base_manager.create(event_id=kind, at_ms=1, kind=kind, by=by)
    html = superuser().get(address("alertevent")).content.decode()
    assert "?kind=fired" in html
    assert "?by=" not in html


def test_what_is_over_and_told_is_archived_and_nothing_else() -> None:
    over, untold = alert("DiskFull", over=True), alert("HighCpu", over=True, told_state="firing")
    fires = alert()
    act(staff("resolve_alerts"), "archive", over, untold, fires)
    assert {row.pk for row in SystemAlert._base_manager.all()} == {untold.pk, fires.pk}
    assert AlertArchive._base_manager.get().alerts == 1
    assert AlertEvent._base_manager.get().kind == "archived"


def test_a_silence_is_written_in_lines_and_kept_with_who_wanted_it() -> None:
    form = {
        "matchers": "alertname=HighCpu\nservice.name=~shop.*",
        "starts_at_0": "2026-11-22",
        "starts_at_1": "10:00",
        "ends_at_0": "2026-11-22",
        "ends_at_1": "12:00",
        "comment": "known",
    }
    client = staff("silence_alerts")
    assert client.post(address("alertsilence", "add"), form).status_code == 302
    row = AlertSilence._base_manager.get()
    assert row.by == "ada"
    assert row.matchers == '[["alertname","=","HighCpu"],["service.name","=~","shop.*"]]'
    html = client.get(address("alertsilence", str(row.pk), "change")).content.decode()
    assert "alertname=&quot;HighCpu&quot;" in html
    assert AlertEvent._base_manager.get().kind == "silenced"

    for wrong in ({"matchers": "nonsense"}, {"matchers": "a=~("}, {"ends_at_1": "09:00"}):
        refused = client.post(address("alertsilence", "add"), {**form, **wrong})
        assert refused.status_code == 200
        assert b"errornote" in refused.content
    assert AlertSilence._base_manager.count() == 1


@pytest.mark.parametrize(
    ("name", "definition", "said"),
    [
        ("Own", "{", "isn&#x27;t JSON"),
        ("Own", "[" * 100_000, "isn&#x27;t JSON"),
        ("HighCpu", '{"operator": []}', "can&#x27;t be used"),
        ("Own", "[]", "must be a JSON object"),
        ("Own", '{"form": "explode"}', "its form must be one of"),
        ("HighCpu", '{"warning": "much"}', "must be a number"),
        ("HighCpu", '{"wrning": 1}', "it has no"),
        ("own rule", '{"form": "mean"}', "can&#x27;t be used"),
    ],
)
def test_a_wrong_rule_is_told_what_is_wrong(name: str, definition: str, said: str) -> None:
    form = {"name": name, "definition": definition, "enabled": "on"}
    refused = superuser().post(address("alertrule", "add"), form)
    assert refused.status_code == 200
    assert said in refused.content.decode()
    assert not AlertRule._base_manager.exists()


def test_a_rule_of_the_site_is_kept_and_told_of() -> None:
    form = {"name": "HighCpu", "definition": '{"warning": 70}', "enabled": "on"}
    assert superuser().post(address("alertrule", "add"), form).status_code == 302
    assert AlertRule._base_manager.get().by == "root"
    event = AlertEvent._base_manager.get()
    assert (event.kind, event.alert_type, event.by) == ("rule_changed", "HighCpu", "root")


def metric(**changes: str) -> dict[str, str]:
    return {
        "name": "SlowCheckout",
        "title": "Checkout",
        "metric": "http.server.request.duration",
        "form": "quantile",
        "window": "5m",
        "options": '{"share": 0.95}',
        "unit": "s",
        "operator": ">",
        "enabled": "on",
        **changes,
    }


def test_a_custom_metric_needs_no_threshold() -> None:
    client = superuser()
    assert client.post(address("custommetric", "add"), metric()).status_code == 302
    another = metric(name="Other", warning="0.5")
    assert client.post(address("custommetric", "add"), another).status_code == 302
    assert CustomMetric._base_manager.count() == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"options": "{}"}, "share"),
        ({"metric": "orders.placed", "form": "rate", "options": ""}, "its kind must be given"),
        ({"window": "soon"}, "is no time"),
        ({"name": "slow checkout"}, "its name must be like"),
        ({"options": '{"bogus": 1, "share": 0.9}'}, "it has no"),
    ],
)
def test_a_wrong_metric_is_told_what_is_wrong(wrong: dict[str, str], said: str) -> None:
    refused = superuser().post(address("custommetric", "add"), metric(**wrong))
    assert refused.status_code == 200
    assert said in refused.content.decode()
    assert not CustomMetric._base_manager.exists()


def test_deleting_is_told_of() -> None:
    row = AlertRule._base_manager.create(name="HighCpu", definition="{}")
    superuser().post(address("alertrule", str(row.pk), "delete"), {"post": "yes"})
    assert not AlertRule._base_manager.exists()
    assert "deleted" in AlertEvent._base_manager.get().text
