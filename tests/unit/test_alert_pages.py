"""The pages of alerts: what fires, one alert and what is done about it, silences, rules."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings

from otel_django.alerts.catalogue import rules as catalogue
from otel_django.metric_points import NumberPoint
from otel_django.models import (
    AlertAttempt,
    AlertEvent,
    AlertMaintenance,
    AlertNotification,
    AlertRule,
    AlertSilence,
)
from otel_django.viewer.runbook import runbook
from otel_django.web import alert_records
from tests import viewer_kit
from tests.alerts_kit import alert, moment, now_ms, staff
from tests.endpoints_kit import by_token, ours
from tests.store_metrics import metric, of
from tests.viewer_kit import rows, shown, text

HOSTILE = "<script>alert(1)</script>\u202e\x07" + "x" * 3000


@pytest.fixture(autouse=True)
def site(tmp_path: Path, database: None) -> Iterator[viewer_kit.Telemetry]:
    alert_records.count_anew()
    with shown(viewer_kit.Telemetry(tmp_path)) as made:
        yield made
    alert_records.count_anew()


def page(path: str = "alerts/", client: Client | None = None, status: int = 200) -> str:
    response = (client or by_token()).get(f"/{path}")
    assert response.status_code == status, path
    html: str = response.content.decode()
    assert "<script>alert" not in html
    assert "\u202e" not in html
    return html


def token(client: Client, path: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page(path, client))
    assert found
    return found[1]


def send(client: Client, path: str, **form: Any) -> Any:
    """As a browser would: with the token of the page's own form."""
    return client.post(f"/{path}", {"csrfmiddlewaretoken": token(client, path), **form})


# --- the list


def test_the_first_line_says_what_fires_and_whether_somebody_cares() -> None:
    alert()
    said = text(page())
    assert said.startswith(
        "1 alert fires, and nobody takes care of it: HighErrorRate, "
        "12.5 % of the requests to shop fail"
    )
    [row] = rows(page())
    assert row.startswith("✗ critical HighErrorRate 12.5 % of the requests to shop fail")
    assert "12.5 % > 5 %" in row


def test_all_quiet_says_what_to_do() -> None:
    said = text(page())
    assert said.startswith("Nothing fires")
    assert "manage.py run_monitoring" in said


def test_the_navigation_has_the_number_of_those_that_fire() -> None:
    alert("HighCpu", "warning")
    alert()
    assert "Alerts<sup>2<span" in page("traces/")
    assert "<sup>" not in page("traces/").partition("<nav")[0]


def test_the_worst_and_unattended_stand_first() -> None:
    alert("HighCpu", "warning")
    alert("DiskFull", "critical", acknowledged_by="ada", acknowledged_ms=now_ms())
    alert("HighErrorRate", "critical", ago_s=900)
    names = [row.split()[2] for row in rows(page())]
    assert names == ["HighErrorRate", "DiskFull", "HighCpu"]


def test_history_is_of_the_range() -> None:
    alert("DiskFull", over=True, resolved_ms=now_ms() - 120_000, ago_s=600)
    alert("HighCpu", over=True, resolved_ms=now_ms() - 5 * 3_600_000, ago_s=20_000)
    [row] = rows(page("alerts/?state=history"))
    assert "DiskFull critical" in row
    assert len(rows(page("alerts/?state=history&range=24h"))) == 2


def test_words_and_a_service_narrow_the_list() -> None:
    alert()
    alert("HighCpu", "warning", labels={"service.name": "blog"})
    assert len(rows(page("alerts/?q=cpu+blog"))) == 1
    assert len(rows(page("alerts/?service=shop"))) == 1
    nothing = text(page("alerts/?q=nothing"))
    assert nothing.startswith("Nothing like that fires")
    assert "No alert is like that." in nothing


def test_without_the_tables_the_page_stands_and_says_why() -> None:
    with ours(TOKENS=["sesame"], DATABASE="nowhere"):
        said = text(page())
    assert "Alerts can't be read just now" in said
    assert "manage.py migrate otel_django" in said


def test_browsers_get_the_page_where_programs_get_json(tmp_path: Path) -> None:
    with override_settings(ROOT_URLCONF="tests.site.urls"):
        client = by_token()
        asked = client.get("/monitoring/alerts/", HTTP_ACCEPT="text/html")
        assert asked.headers["Content-Type"].startswith("text/html")
        assert client.get("/monitoring/alerts/").json()["active"] == 0


@pytest.mark.parametrize(
    "path", ["alerts/", "alerts/?state=history", "alerts/rules/HighErrorRate/"]
)
def test_what_came_with_telemetry_is_text(path: str) -> None:
    made = alert(
        "HighCpu", labels={HOSTILE[:30]: HOSTILE, "service.name": HOSTILE}, message=HOSTILE
    )
    alert(labels={"service.name": HOSTILE}, message=HOSTILE, over=True)
    page(path)
    page(f"alerts/{made.fingerprint}/")


def test_a_rule_that_is_gone_leaves_its_alerts_readable() -> None:
    made = alert("GoneRule", value=3.0, threshold=2.0)
    assert "3 2" in rows(page())[0]
    assert "there is no such rule any more" in text(page(f"alerts/{made.fingerprint}/"))


# --- one alert


def test_an_alert_says_what_since_when_and_how_far_beyond() -> None:
    said = text(page(f"alerts/{alert(ago_s=300).fingerprint}/"))
    assert "Critical: 12.5 % of the requests to shop fail" in said
    assert "12.5 % (fires > 5 %), since" in said
    assert "Nobody takes care of it yet." in said
    assert "Usual causes" in said  # the runbook


def test_its_first_look_is_at_its_time_and_of_its_service() -> None:
    made = alert(ago_s=300)
    html = page(f"alerts/{made.fingerprint}/")
    wanted = f"/traces/?q=status%3A5xx&amp;from={made.since_ms - 900_000}&amp;to="
    assert wanted in html
    assert "&amp;service=shop" in html


def test_an_alert_that_is_not_kept_is_not_there() -> None:
    assert "may have been archived" in text(page("alerts/0123456789abcdef/", status=404))


def test_other_times_of_it_can_be_looked_at() -> None:
    old = alert(ago_s=7200, over=True, message="the first time")
    made = alert()
    html = page(f"alerts/{made.fingerprint}/")
    assert f"?since={old.since_ms}" in html
    said = text(page(f"alerts/{made.fingerprint}/?since={old.since_ms}"))
    assert "Resolved: the first time" in said
    assert "It came again since." in said


def test_who_was_told_and_every_attempt_stand_there() -> None:
    made = alert()
    sent = AlertNotification._base_manager.create(
        key="k",
        channel="slack",
        kind="fired",
        severity="critical",
        document="{}",
        fingerprints=f" {made.fingerprint} ",
        state="refused",
        created_ms=now_ms(),
        due_ms=0,
    )
    AlertAttempt._base_manager.create(
        notification=sent, at_ms=now_ms(), result="retry", detail="HTTP 500"
    )
    said = text(page(f"alerts/{made.fingerprint}/"))
    assert "slack fired: given up" in said
    assert "retry: HTTP 500" in said


QUEUE = (("messaging.destination.name", "celery"),)


def test_its_value_is_drawn_across_the_threshold(site: viewer_kit.Telemetry) -> None:
    for ago_s in range(120, -1, -15):
        length = NumberPoint(QUEUE, 1500.0, site.now_ns, site.now_ns - ago_s * 10**9)
        made = metric(length, name="celery.queue.length", kind="gauge")._replace(unit="{task}")
        site.metrics.take([of(made)])
    site.keep()
    html = page("alerts/rules/QueueBacklog/")
    found = re.search(r'id="course" type="application/json">(.*?)</script>', html)
    assert found
    drawn = json.loads(found[1])
    assert drawn["thresholds"][0] == {"value": 1.0, "name": "warning >="}
    assert 1.5 in drawn["series"][0]["points"]
    assert "at one moment each" not in html


def test_a_long_range_is_drawn_whole_and_says_how_far_apart_its_points_are(
    site: viewer_kit.Telemetry,
) -> None:
    for ago_min in range(24 * 60, -1, -4):
        length = NumberPoint(QUEUE, 1500.0, site.now_ns, site.now_ns - ago_min * 60 * 10**9)
        made = metric(length, name="celery.queue.length", kind="gauge")._replace(unit="{task}")
        site.metrics.take([of(made)])
    site.keep()
    with closing(sqlite3.connect(site.path)) as store, store:  # as if written to since yesterday
        store.execute("UPDATE slice SET started_ns = started_ns - 25 * 3600 * 1000000000")
    html = page("alerts/rules/QueueBacklog/?range=24h")
    found = re.search(r'id="course" type="application/json">(.*?)</script>', html)
    assert found
    drawn = json.loads(found[1])
    assert drawn["times"][-1] - drawn["times"][0] == pytest.approx(24 * 3600)
    assert drawn["series"][0]["points"][1:] == [1.5] * 60
    assert "Its value, last 24 hours · at one moment each 24.0 min" in text(html)


# --- what people do


def test_acknowledging_takes_a_login_the_permission_and_the_token() -> None:
    made = alert()
    path = f"alerts/{made.fingerprint}/"
    assert by_token().post(f"/{path}", {"action": "acknowledge"}).status_code in {302, 403}
    plain = staff(csrf=True)
    assert "takes a permission" in text(page(path, plain))
    able = staff("acknowledge_alerts", name="bob", csrf=True)
    assert able.post(f"/{path}", {"action": "acknowledge"}).status_code == 403
    made.refresh_from_db()
    assert made.acknowledged_by == ""

    answer = send(able, path, action="acknowledge", note="on it")

    assert (answer.status_code, answer.headers["Location"]) == (302, f"/{path}")
    made.refresh_from_db()
    assert (made.acknowledged_by, made.acknowledged_note) == ("bob", "on it")
    said = text(page(path, able))
    assert "bob takes care of it since" in said
    assert "acknowledged by bob" in said


def test_a_permission_is_for_its_own_action_alone() -> None:
    made = alert()
    path = f"alerts/{made.fingerprint}/"
    client = staff("acknowledge_alerts", csrf=True)
    for action in ("silence", "resolve"):
        assert send(client, path, action=action, minutes="60").status_code == 403
    assert send(client, path, action="explode").status_code == 400
    assert not AlertSilence._base_manager.exists()
    assert not AlertEvent._base_manager.exists()


def test_resolving_ends_it_and_is_told_of() -> None:
    made = alert()
    path = f"alerts/{made.fingerprint}/"
    assert send(staff("resolve_alerts", csrf=True), path, action="resolve").status_code == 302
    made.refresh_from_db()
    assert (made.state, made.resolved) == ("resolved", True)
    assert made.resolved_at is not None
    assert [each.kind for each in AlertEvent._base_manager.all()] == ["resolved_by_hand"]


def test_an_alert_can_be_silenced_on_its_page() -> None:
    made = alert()
    path = f"alerts/{made.fingerprint}/"
    client = staff("silence_alerts", csrf=True)
    assert send(client, path, action="silence", minutes="240", note="known").status_code == 302
    assert "nobody is told" in text(page(path))
    assert "1 silence holds now" in text(page("alerts/silences/"))


# --- silences


def test_a_silence_is_begun_and_ended_by_who_may() -> None:
    alert("HighCpu", "warning")
    path = "alerts/silences/"
    client = staff("silence_alerts", csrf=True)
    form = {"matchers": 'alertname=HighCpu\nservice.name=~"sh.*"', "minutes": "60"}
    assert send(client, path, action="silence", comment="known", **form).status_code == 302
    [row] = AlertSilence._base_manager.all()
    assert json.loads(row.matchers) == [
        ["alertname", "=", "HighCpu"],
        ["service.name", "=~", "sh.*"],
    ]
    assert "silent until" in text(page())

    assert send(client, path, action="end_silence", id=str(row.pk)).status_code == 302
    assert "silent until" not in text(page())
    assert "Nothing is silenced" in text(page(path))
    kinds = [each.kind for each in AlertEvent._base_manager.order_by("id")]
    assert kinds == ["silenced", "silence_ended"]


def test_maintenance_is_planned_and_ended() -> None:
    path = "alerts/silences/"
    client = staff("silence_alerts", csrf=True)
    form = {"name": "imports", "starts": "2026-11-22 01:30", "minutes": "90", "every": "86400"}
    assert send(client, path, action="plan", matchers="", **form).status_code == 302
    [row] = AlertMaintenance._base_manager.all()
    assert (row.starts_at.isoformat(), row.every) == ("2026-11-22T01:30:00+00:00", 86400)
    assert "every alert" in text(page(path))
    assert send(client, path, action="end_maintenance", id=str(row.pk)).status_code == 302
    row.refresh_from_db()
    assert not row.enabled


def test_what_was_typed_stays_when_there_is_a_mistake_in_it() -> None:
    client = staff("silence_alerts", csrf=True)
    form = {"action": "silence", "matchers": "alertname=<A>\nb=~(", "minutes": "240"}
    refused = send(client, "alerts/silences/", comment="they know", **form).content.decode()
    assert ">alertname=&lt;A&gt;\nb=~(</textarea>" in refused
    assert '<option value="240" selected>' in refused
    assert 'value="they know"' in refused
    assert refused.count("no regular expression") == 1

    form = {"action": "plan", "name": "imports", "matchers": "a=b", "every": "604800"}
    form |= {"starts": "tomorrow", "minutes": "90"}
    refused = send(client, "alerts/silences/", **form).content.decode()
    assert 'value="imports"' in refused
    assert ">a=b</textarea>" in refused
    assert 'value="tomorrow"' in refused
    assert 'value="90"' in refused
    assert '<option value="604800" selected>' in refused
    assert '<option value="60" selected>' in refused  # the other form is as ever


@pytest.mark.parametrize(
    "form",
    [
        {"action": "silence", "matchers": "a=~(b+)+", "minutes": "60"},
        {"action": "silence", "matchers": "", "minutes": "60"},
        {"action": "silence", "matchers": "nonsense", "minutes": "60"},
        {"action": "silence", "matchers": "a=~(", "minutes": "60"},
        {"action": "silence", "matchers": "a=b", "minutes": "soon"},
        {"action": "silence", "matchers": "a=" + "b" * 600, "minutes": "60"},
        {"action": "plan", "name": "", "starts": "2026-11-22 01:30", "minutes": "5"},
        {"action": "plan", "name": "x", "starts": "tomorrow", "minutes": "5"},
        {"action": "plan", "name": "x", "starts": "2026-11-22 01:30", "minutes": "5", "every": "7"},
        {"action": "plan", "name": "x", "starts": "0001-01-01 00:00", "minutes": "5"},
        {"action": "end_silence", "id": "99"},
        {"action": "end_maintenance", "id": "x"},
        {"action": "explode"},
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(form: dict[str, str]) -> None:
    refused = send(staff("silence_alerts", csrf=True), "alerts/silences/", **form)
    assert refused.status_code == 400
    assert "Nothing was changed" in refused.content.decode()
    assert not AlertSilence._base_manager.exists()
    assert not AlertMaintenance._base_manager.exists()


# --- rules


def test_every_rule_is_listed_with_its_thresholds_and_where_they_are_set() -> None:
    listed = rows(page("alerts/rules/"))
    assert len(listed) == len(catalogue())
    [row] = [row for row in listed if "HighErrorRate" in row]
    assert "> 1 % for 1m > 5 % built in" in row
    with ours(TOKENS=["sesame"], ALERT_RULES=[{"name": "HighCpu", "enabled": False}]):
        [row] = [row for row in rows(page("alerts/rules/")) if "HighCpu" in row]
        assert row.startswith("– off")
        assert row.endswith("settings")


def test_a_rule_of_the_admin_is_there_and_a_broken_one_is_told_of() -> None:
    AlertRule._base_manager.create(name="HighCpu", definition='{"warning": 70}')
    AlertRule._base_manager.create(name="Own", definition='{"form": "explode"}')
    html = page("alerts/rules/")
    [row] = [row for row in rows(html) if "HighCpu" in row]
    assert "> 70 %" in row
    assert row.endswith("admin")
    assert "its form must be one of" in text(html)


@pytest.mark.parametrize("rule", catalogue(), ids=lambda rule: rule.name)
def test_each_rule_has_its_page_with_its_runbook(rule: Any) -> None:
    said = text(page(f"alerts/rules/{rule.name}/"))
    assert said.startswith(f"Rules {rule.name}")
    assert "First look" in said
    assert "In PromQL" in said


def test_a_rule_that_is_not_there_is_not() -> None:
    page("alerts/rules/Nope/", status=404)


def test_a_runbook_is_read_without_leaving_its_folder() -> None:
    for name in ("../README", "..", "a/b", "", "x" * 100, "Nope"):
        assert runbook(name, str, "/m/") == []
    links = [
        piece
        for block in runbook("HighErrorRate", lambda name: f"/rules/{name}", "/m/")
        for item in block.items
        for piece in item
        if piece.address
    ]
    assert ("/monitoring/errors/", True, "/m/errors/") in links
    assert ("HealthCheckFailing", False, "/rules/HealthCheckFailing") in links


def test_a_silence_of_the_past_is_not_shown() -> None:
    AlertSilence._base_manager.create(
        matchers='[["alertname", "=", "x"]]', starts_at=moment(600), ends_at=moment(120)
    )
    assert "Nothing is silenced" in text(page("alerts/silences/"))
