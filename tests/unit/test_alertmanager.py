"""What is decided here goes to Alertmanager, and what is over there ends here."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from otel_django import conf
from otel_django.alerts import alertmanager_sync
from otel_django.alerts.alertmanager import Alertmanager, AlertmanagerError, time_ms
from otel_django.alerts.alertmanager_wishes import mark_in
from otel_django.alerts.expressions import Match
from otel_django.alerts.keeping.documents import matchers_text
from otel_django.alerts.service.telling_alertmanager import TellingAlertmanager
from otel_django.models import AlertEvent, AlertMaintenance, AlertSilence, SystemAlert
from otel_django.web import alert_decisions, alert_records, alertmanager_told
from otel_django.web.alert_decisions import Decider
from tests import viewer_kit
from tests.alertmanager_stub import AlertmanagerStub, alertmanager, moment
from tests.alerts_kit import alert, now_ms, staff
from tests.endpoints_kit import ours
from tests.viewer_kit import shown

MARK = "sesame-mark"


@pytest.fixture(autouse=True)
def server() -> Iterator[AlertmanagerStub]:
    with alertmanager() as stub:
        yield stub


@pytest.fixture(autouse=True)
def site(tmp_path: Path, database: None, server: AlertmanagerStub) -> Iterator[None]:
    alert_records.count_anew()
    alertmanager_told.forget()
    with ours(RUN_DIR=str(tmp_path), ALERTS_EVALUATOR="prometheus", ALERTMANAGER_URL=server.url):
        yield
    alertmanager_told.forget()


def fires(name: str = "HighErrorRate", severity: str = "critical", **changes: Any) -> SystemAlert:
    return alert(name, severity, source="prometheus", **changes)


def anna() -> Decider:
    return Decider("default", "anna", now_ms())


def held(silence: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: _operator(one) + one["value"] for one in silence["matchers"]}


def _operator(matcher: dict[str, Any]) -> str:
    if matcher["isRegex"]:
        return "=~" if matcher["isEqual"] else "!~"
    return "=" if matcher["isEqual"] else "!="


def sync() -> list[str]:
    effective = conf.from_django()
    asked = Alertmanager(effective)
    alertmanager_sync.close(effective, asked, now_ms())
    return alertmanager_sync.tell(effective, asked, now_ms())


# --- what is decided


def test_an_acknowledgement_is_a_silence_of_exactly_this_alert(server: AlertmanagerStub) -> None:
    row = fires(labels={"service.name": "shop", "db.system.name": "postgresql"})

    alert_decisions.acknowledge(anna(), [row], "looking into it")

    [silence] = server.active
    assert held(silence) == {
        "alertname": "=HighErrorRate",
        "severity": "=~critical|page|error|emergency",
        "job": "=shop",
        "db_system_name": "=postgresql",
    }
    assert silence["createdBy"] == "anna"
    assert silence["comment"].startswith("Acknowledged by anna: looking into it [otel_django ")
    lasts_ms = time_ms(silence["endsAt"]) - time_ms(silence["startsAt"])
    assert lasts_ms == 86_400_000


def test_the_silence_of_an_acknowledgement_ends_with_the_alert(server: AlertmanagerStub) -> None:
    row = fires()
    alert_decisions.acknowledge(anna(), [row])
    server.fire(alertname="HighErrorRate", severity="critical", job="shop")
    sync()
    assert len(server.active) == 1

    server.alerts.clear()  # of an alert that is silent there its end isn't told
    sync()

    row.refresh_from_db()
    assert (row.state, row.resolved) == ("resolved", True)
    assert server.active == []
    assert [event.kind for event in AlertEvent._base_manager.order_by("id")] == [
        "acknowledged",
        "resolved",
    ]


def test_one_who_says_that_an_alert_is_over_ends_its_silence(server: AlertmanagerStub) -> None:
    row = fires()
    alert_decisions.acknowledge(anna(), [row])
    alert_decisions.resolve(anna(), [row])
    assert server.active == []


def test_silences_begin_and_end_there_as_here(server: AlertmanagerStub) -> None:
    matchers = (Match("service.name", "=~", "shop.*"), Match("severity", "!=", "critical"))
    row = alert_decisions.silence(anna(), matchers, 30, "deployment")
    [silence] = server.active
    assert held(silence) == {"job": "=~shop.*", "severity": "!~critical|page|error|emergency"}
    assert silence["comment"].startswith("deployment [otel_django silence ")

    alert_decisions.end_silence(anna(), row.pk)
    assert server.active == []


def test_a_silence_that_is_changed_here_is_another_one_there(server: AlertmanagerStub) -> None:
    row = alert_decisions.silence(anna(), (Match("alertname", "=", "HighCpu"),), 30)
    row.matchers = matchers_text((Match("alertname", "=", "DiskFull"),))
    row.save()
    sync()
    assert [held(one) for one in server.active] == [{"alertname": "=DiskFull"}]


def test_a_silence_that_is_deleted_here_ends_there(server: AlertmanagerStub) -> None:
    alert_decisions.silence(anna(), (Match("alertname", "=", "HighCpu"),), 30)
    AlertSilence._base_manager.all().delete()
    sync()
    assert server.active == []


def test_the_next_time_of_a_maintenance_window_is_a_silence(server: AlertmanagerStub) -> None:
    began_ms = now_ms() - 3 * 86_400_000 - 600_000
    row = alert_decisions.plan(anna(), "backups", (), began_ms, 5, 86_400)
    [silence] = server.active
    assert held(silence) == {"alertname": "=~.+"}
    assert time_ms(silence["startsAt"]) == began_ms + 4 * 86_400_000

    alert_decisions.end_maintenance(anna(), row.pk)
    assert server.active == []
    assert AlertMaintenance._base_manager.count() == 1


def test_a_mark_in_a_comment_is_no_second_mark(server: AlertmanagerStub) -> None:
    alert_decisions.silence(anna(), (Match("alertname", "=", "HighCpu"),), 30)
    copied = server.active[0]["comment"]
    alert_decisions.silence(anna(), (Match("alertname", "=", "DiskFull"),), 30, copied)
    sync()
    assert len(server.silences) == 2


def test_a_new_secret_key_leaves_nothing_silent_for_ever(server: AlertmanagerStub) -> None:
    row = alert_decisions.silence(anna(), (Match("alertname", "=", "HighCpu"),), 30)
    with override_settings(SECRET_KEY="newer", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        sync()
        assert len(server.active) == 1
        alert_decisions.end_silence(anna(), row.pk)
        assert server.active == []


def test_nothing_is_told_twice(server: AlertmanagerStub) -> None:
    alert_decisions.acknowledge(anna(), [fires()])
    server.fire(alertname="HighErrorRate", severity="critical", job="shop")
    sync()
    sync()
    assert len(server.silences) == 1


def test_of_silences_that_two_processes_made_at_once_one_stays(server: AlertmanagerStub) -> None:
    alert_decisions.silence(anna(), (Match("alertname", "=", "HighCpu"),), 30)
    [silence] = server.active
    server.hold(**{**silence, "id": "b7d8"})
    sync()
    assert len(server.active) == 1


def test_alerts_that_are_evaluated_here_are_not_told_of(server: AlertmanagerStub) -> None:
    alert_decisions.acknowledge(anna(), [alert("HighCpu")])
    sync()
    assert server.silences == {}


def test_nothing_is_asked_where_alerts_are_evaluated_here(server: AlertmanagerStub) -> None:
    with ours(ALERTS_EVALUATOR="embedded"):
        alert_decisions.acknowledge(anna(), [alert()])
        assert alertmanager_told.look(conf.from_django()) == alertmanager_told.Seen()
    assert server.requests == []


# --- what others decide there


def test_a_silence_that_is_ended_there_has_ended_here(server: AlertmanagerStub) -> None:
    alert_decisions.silence(anna(), (Match("alertname", "=", "HighCpu"),), 30)
    server.expire(server.active[0])
    sync()
    sync()
    assert alert_records.silences("default", now_ms()) == []
    assert server.active == []
    last = AlertEvent._base_manager.order_by("id").last()
    assert last is not None
    assert (last.kind, last.by) == ("silence_ended", "Alertmanager")


def test_a_silence_that_is_prolonged_there_lasts_longer_here(server: AlertmanagerStub) -> None:
    row = alert_decisions.silence(anna(), (Match("alertname", "=", "HighCpu"),), 30)
    server.active[0]["endsAt"] = moment(7200)
    sync()
    row.refresh_from_db()
    assert abs(row.ends_at - timezone.now() - timedelta(hours=2)) < timedelta(seconds=30)
    sync()
    sync()
    assert len(server.active) == 1


def test_an_acknowledgement_whose_silence_is_ended_there_is_not_told_again(
    server: AlertmanagerStub,
) -> None:
    row = fires()
    alert_decisions.acknowledge(anna(), [row])
    server.fire(alertname="HighErrorRate", severity="critical", job="shop")
    server.expire(server.active[0])
    sync()
    row.refresh_from_db()
    assert row.acknowledged_by == "anna"
    assert server.active == []


def test_silences_of_others_are_left_alone(server: AlertmanagerStub) -> None:
    theirs = server.hold(comment="[otel_django silence 1 0123abcd-0123456789ab]")
    sync()
    assert server.active == [theirs]
    assert mark_in(theirs["comment"]) == ""


def test_the_page_shows_the_silences_that_were_made_there(
    server: AlertmanagerStub, tmp_path: Path
) -> None:
    server.hold(comment="<script>alert(1)</script> deploying", createdBy="bob")
    server.expire(server.hold(comment="long over"))
    alert_decisions.silence(anna(), (Match("alertname", "=", "HighCpu"),), 30)
    with shown(viewer_kit.Telemetry(tmp_path)):
        html = staff("silence_alerts").get("/alerts/silences/").content.decode()
    assert "Made in Alertmanager" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; deploying" in html
    assert "bob" in html
    assert "long over" not in html
    assert "otel_django silence" not in html
    assert "2 silences hold now" in html
    assert "not in Alertmanager" not in html


def test_the_page_marks_silences_that_it_does_not_have(
    server: AlertmanagerStub, tmp_path: Path
) -> None:
    alert_decisions.silence(anna(), (Match("alertname", "=", "HighCpu"),), 30)
    server.silences.clear()
    with shown(viewer_kit.Telemetry(tmp_path)):
        html = staff().get("/alerts/silences/").content.decode()
    assert "not in Alertmanager" in html


# --- what is over there


def test_an_alert_that_prometheus_has_yet_to_tell_again_is_not_over(
    server: AlertmanagerStub,
) -> None:
    row = fires(at_ms=now_ms() - 60_000)
    server.uptime = moment(-30)  # Alertmanager was started since
    sync()
    row.refresh_from_db()
    assert row.state == "firing"

    server.uptime = moment(-300)
    sync()
    row.refresh_from_db()
    assert row.state == "resolved"


def test_an_alert_that_is_there_is_heard_of(server: AlertmanagerStub) -> None:
    began_ms = now_ms()
    row = fires(at_ms=began_ms - 60_000)
    server.fire(alertname="HighErrorRate", severity="critical", job="shop")
    sync()
    row.refresh_from_db()
    assert row.at_ms >= began_ms


def test_an_alert_that_came_and_went_since_alertmanagers_start_is_over(
    server: AlertmanagerStub,
) -> None:
    row = fires(at_ms=now_ms() - 60_000)
    server.uptime = moment(-30)
    server.fire(alertname="HighErrorRate", severity="critical", job="shop")
    sync()
    server.alerts.clear()
    sync()
    row.refresh_from_db()
    assert row.state == "resolved"


def test_an_alert_is_known_again_whatever_its_severity_is_called_there(
    server: AlertmanagerStub,
) -> None:
    row = fires("Theirs", "critical", labels={"instance": "a:1"})
    server.fire(alertname="Theirs", severity="page", instance="a:1", team="")
    sync()
    row.refresh_from_db()
    assert row.state == "firing"


# --- faults


def test_what_cannot_be_told_is_kept_and_told_later(
    server: AlertmanagerStub, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers.extend([(503, b"", 0.0)] * 2)
    row = fires()
    alert_decisions.acknowledge(anna(), [row])
    assert server.silences == {}
    problem = alertmanager_told.look(conf.from_django()).problem
    assert problem.startswith("Alertmanager answered with HTTP 503; what is decided here is kept")
    assert len(server.requests) == 1  # for a while nobody asks again

    duty = TellingAlertmanager(conf.from_django())
    with caplog.at_level(logging.INFO, "otel_django"):
        duty.step(now_ms())
        server.answers.append((503, b"", 0.0))
        duty.step(now_ms())
        server.fire(alertname="HighErrorRate", severity="critical", job="shop")
        duty.step(now_ms())
    assert len(server.active) == 1
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "Alertmanager doesn't know all that was decided",
        "Alertmanager knows all that was decided.",
    ]


def test_the_page_of_an_alert_says_that_it_cannot_be_told(
    server: AlertmanagerStub, tmp_path: Path
) -> None:
    row = fires()
    server.close()
    with shown(viewer_kit.Telemetry(tmp_path)):
        html = staff().get(f"/alerts/{row.fingerprint}/").content.decode()
    assert "Alertmanager can&#x27;t be reached" in html
    assert "what is decided here is kept" in html


def test_a_page_waits_no_longer_than_the_time_out(server: AlertmanagerStub) -> None:
    server.answers.append((200, b"[]", 30.0))
    with ours(
        ALERTS_EVALUATOR="prometheus", ALERTMANAGER_URL=server.url, ALERTMANAGER_TIMEOUT="0.3"
    ):
        began = time.monotonic()
        alert_decisions.acknowledge(anna(), [fires()])
        assert time.monotonic() - began < 10
        assert SystemAlert._base_manager.get().acknowledged_by == "anna"
        assert "can't be reached" in alertmanager_told.look(conf.from_django()).problem


def test_a_silence_that_it_refuses_holds_nothing_else_up(server: AlertmanagerStub) -> None:
    alert_decisions.silence(anna(), (Match("alertname", "=~", "x{2000}"),), 10)
    seen = alertmanager_told.look(conf.from_django())
    assert seen.problem.startswith("Alertmanager refuses a silence: bad matcher: invalid repeat")
    assert seen.ours == frozenset()
    alert_decisions.silence(anna(), (Match("alertname", "=", "HighCpu"),), 30)
    assert [held(one) for one in server.active] == [{"alertname": "=HighCpu"}]


@pytest.mark.parametrize(
    "answer",
    [
        (302, b""),
        (401, b"who is it?"),
        (200, b"<html>"),
        (200, b'{"a": 1}'),
        (200, b'[{"id": "x"}]'),
        (200, b"\xff"),
        (200, b"[" * 100_000),
    ],
)
def test_other_answers_are_faults_in_safe_words(
    server: AlertmanagerStub, answer: tuple[int, bytes]
) -> None:
    server.answers.append((*answer, 0.0))
    with pytest.raises(AlertmanagerError) as caught:
        Alertmanager(conf.from_django()).silences()
    assert caught.value.is_away
    assert "who is it" not in str(caught.value)
    assert len(server.requests) == 1  # no redirect is followed


@pytest.mark.parametrize("ends", ["9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+23:00"])
def test_a_time_beyond_the_calendar_is_a_fault_too(server: AlertmanagerStub, ends: str) -> None:
    server.hold(endsAt=ends)
    with pytest.raises(AlertmanagerError):
        sync()


def test_nobody_listens(server: AlertmanagerStub) -> None:
    server.close()
    with pytest.raises(AlertmanagerError, match="can't be reached: can't connect"):
        Alertmanager(conf.from_django()).silences()


def test_the_page_says_that_it_is_not_set_up(tmp_path: Path) -> None:
    with ours(ALERTMANAGER_URL=""), shown(viewer_kit.Telemetry(tmp_path)):
        html = staff().get("/alerts/silences/").content.decode()
    assert "OTEL_DJANGO_ALERTMANAGER_URL isn&#x27;t set" in html


# --- settings


def test_headers_and_the_user_in_the_address_are_sent_and_never_shown(
    server: AlertmanagerStub,
) -> None:
    with_user = server.url.replace("://", f"://ada:{MARK}@")
    with ours(
        ALERTS_EVALUATOR="prometheus",
        ALERTMANAGER_URL=f"{with_user}/prefix/",
        ALERTMANAGER_HEADERS=f"x-scope-orgid={MARK}",
    ):
        effective = conf.from_django()
        with pytest.raises(AlertmanagerError, match="HTTP 404") as caught:
            Alertmanager(effective).silences()
        said = [str(caught.value), alertmanager_told.look(effective).problem]
        server.answers.append((400, f"unknown x-scope-orgid: {MARK}".encode(), 0.0))
        with pytest.raises(AlertmanagerError, match="unknown x-scope-orgid") as caught:
            Alertmanager(effective).silences()
        said.append(str(caught.value))
    [(_, path, headers), *_] = server.requests
    assert path == "/prefix/api/v2/silences"
    assert headers["authorization"].startswith("Basic ")
    assert headers["x-scope-orgid"] == MARK
    assert MARK not in " ".join(said)
