"""What is kept of alerts in the database, and in how many statements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from otel_django import guard
from otel_django.alerts.configured import configured
from otel_django.alerts.definitions import defined
from otel_django.alerts.expressions import Match
from otel_django.alerts.keeping.contract import Changes, Entry, Fence, NotLeaderError
from otel_django.alerts.keeping.database import AlertDatabase
from otel_django.alerts.keeping.documents import matchers_text
from otel_django.alerts.keeping.rows import rule_of, storable, stored_time
from otel_django.alerts.telling import Told
from otel_django.models import (
    AlertEvent,
    AlertMaintenance,
    AlertNotification,
    AlertRule,
    AlertSilence,
    CustomMetric,
    Lease,
    SystemAlert,
)
from tests.keeping_kit import (
    ALIAS,
    FENCE,
    NOW_MS,
    entry,
    event,
    kept_in_sqlite,
    key,
    outgoing,
    taken,
    told,
)

HOUR_MS = 3_600_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[AlertDatabase]:
    with kept_in_sqlite(tmp_path):
        yield AlertDatabase(ALIAS)


def saved(database: AlertDatabase, *entries: Entry) -> None:
    database.save(Changes(alerts=entries), FENCE)


def test_an_alert_comes_back_as_it_was_whatever_its_labels_have(database: AlertDatabase) -> None:
    hostile = key(route="/\x00<b>\ud800\u202e😀", empty=" ", **{"http.route": "/a'\"\\"})
    whole = told(taken(replace(entry(hostile, at_ms=NOW_MS + 9), threshold=90.0)))
    saved(database, whole, entry(key("HighMemory"), "pending"))
    known = database.load(NOW_MS).alerts
    assert known[hostile] == whole
    assert known[hostile].alert.fingerprint == whole.alert.fingerprint
    assert known[key("HighMemory")].alert.state == "pending"


def test_what_no_database_takes_is_replaced_in_texts(database: AlertDatabase) -> None:
    saved(database, replace(entry(), message="a\x00b\ud800c" + "x" * 20_000))
    message = database.load(NOW_MS).alerts[key()].message
    assert message.startswith("a\ufffdb\ufffdcx")
    assert len(message) == 10_000
    assert storable("a😀", "mysql") == "a\ufffd"
    assert storable("a😀", "postgresql") == "a😀"


def test_a_row_that_somebody_spoilt_leaves_the_others(
    database: AlertDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_strict", False)
    saved(database, entry(key("A1")), entry(key("B1")))
    rows = SystemAlert._base_manager.using(ALIAS)
    for labels in ("{", "[]", "7", ""):
        rows.filter(alert_type="A1").update(labels=labels)
        assert list(database.load(NOW_MS).alerts) == [key("B1")]
    saved(database, entry(key("A1")))  # seen again, it is as it should be
    assert set(database.load(NOW_MS).alerts) == {key("A1"), key("B1")}


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e308])
def test_a_value_beyond_all_bounds_can_be_kept(database: AlertDatabase, value: float) -> None:
    one = entry()
    saved(database, replace(one, alert=replace(one.alert, value=value)))
    assert abs(database.load(NOW_MS).alerts[key()].alert.value) > 9e307


def test_a_row_is_one_occurrence_as_the_admin_shows_it(database: AlertDatabase) -> None:
    one = entry(key(host="a"))
    saved(database, one)
    ended = replace(one.alert, state="resolved", resolved_ms=NOW_MS + 60_000)
    saved(database, replace(one, alert=ended, at_ms=NOW_MS + 60_000))
    row = SystemAlert._base_manager.using(ALIAS).get()
    assert (row.alert_type, row.severity, row.resolved) == ("HighCpu", "critical", True)
    assert row.created_at == stored_time(NOW_MS)
    assert row.resolved_at == stored_time(NOW_MS + 60_000)
    saved(database, entry(key(host="a"), since_ms=NOW_MS + 90_000))
    assert SystemAlert._base_manager.using(ALIAS).count() == 2
    assert database.load(NOW_MS + 90_000).alerts[key(host="a")].alert.state == "firing"


def test_pending_alerts_that_end_leave_nothing(database: AlertDatabase) -> None:
    pending, firing = entry(key(host="a"), "pending"), entry(key(host="b"))
    saved(database, pending, firing)
    database.save(Changes(gone=[pending, firing]), FENCE)
    assert list(database.load(NOW_MS).alerts) == [key(host="b")]


def test_resolved_alerts_are_known_for_an_hour_or_until_their_end_was_told(
    database: AlertDatabase,
) -> None:
    untold = replace(entry(key("A1"), "resolved"), told=Told("firing", NOW_MS))
    ended = replace(entry(key("B1"), "resolved"), told=Told("resolved", NOW_MS))
    saved(database, untold, ended)
    assert set(database.load(NOW_MS + HOUR_MS).alerts) == {key("A1"), key("B1")}
    assert set(database.load(NOW_MS + 3 * HOUR_MS).alerts) == {key("A1")}
    assert not database.load(NOW_MS + 30 * HOUR_MS).alerts


def test_an_acknowledgement_made_meanwhile_stays(database: AlertDatabase) -> None:
    loaded = entry()
    saved(database, loaded)
    saved(database, taken(loaded))
    saved(database, replace(loaded, at_ms=NOW_MS + 15_000))
    acknowledged = database.load(NOW_MS).alerts[key()].alert.acknowledged
    assert acknowledged is not None
    assert acknowledged.by == "ann"


def test_nobody_writes_without_the_lease(database: AlertDatabase) -> None:
    saved(database, entry())
    leases = Lease._base_manager.using(ALIAS)
    for other in (Fence("alerts", "other"), Fence("nothing", FENCE.owner)):
        with pytest.raises(NotLeaderError):
            database.save(Changes(alerts=[entry(key("B1"))], events=[event()]), other)
    leases.update(until_ms=1)  # it has run out
    with pytest.raises(NotLeaderError):
        saved(database, entry(key("B1")))
    with pytest.raises(NotLeaderError):
        database.due(NOW_MS, FENCE, 10)
    assert list(database.load(NOW_MS).alerts) == [key()]
    assert not AlertEvent._base_manager.using(ALIAS).exists()


def test_a_thousand_alerts_are_one_transaction_of_few_statements(database: AlertDatabase) -> None:
    many = [entry(key(host=f"h{number}")) for number in range(1000)]
    changes = Changes(many, (), [event(number) for number in range(1000)], [outgoing()])
    with CaptureQueriesContext(connections[ALIAS]) as seen:
        database.save(changes, FENCE)
    assert len(seen) < 60
    with CaptureQueriesContext(connections[ALIAS]) as seen:
        assert len(database.load(NOW_MS).alerts) == 1000
    assert len(seen) <= 6
    assert AlertEvent._base_manager.using(ALIAS).count() == 1000
    assert AlertNotification._base_manager.using(ALIAS).count() == 1


def test_silences_and_windows_are_read_and_useless_ones_left_out(database: AlertDatabase) -> None:
    times = {"starts_at": stored_time(NOW_MS), "ends_at": stored_time(NOW_MS + HOUR_MS)}
    text = matchers_text((Match("alertname", "=~", "High.*"),))
    AlertSilence._base_manager.using(ALIAS).create(matchers=text, by="ann", comment="x", **times)
    for broken in ('[["a","=~","("]]', "[1]", "{", "7", '[["a","?","b"]]'):
        AlertSilence._base_manager.using(ALIAS).create(matchers=broken, **times)
    windows = AlertMaintenance._base_manager.using(ALIAS)
    windows.create(name="night", every=86400, **times)
    windows.create(name="once", **times)
    windows.create(name="off", enabled=False, **times)
    silences = database.load(NOW_MS + 5).silences
    assert [one.by or one.note for one in silences] == ["ann", "night", "once"]
    alert = entry().alert
    assert all(one.covers(alert, NOW_MS + 5) for one in silences)
    (night,) = database.load(NOW_MS + 2 * HOUR_MS).silences
    assert not night.covers(alert, NOW_MS + 2 * HOUR_MS)
    assert night.covers(alert, NOW_MS + 24 * HOUR_MS)


def test_rules_and_metrics_of_users_are_read_as_settings_are(database: AlertDatabase) -> None:
    AlertRule._base_manager.using(ALIAS).create(name="HighCpu", definition='{"critical": 50}')
    metrics = CustomMetric._base_manager.using(ALIAS)
    figure = {"metric": "shop.orders", "kind": "counter", "form": "rate", "operator": "<"}
    metrics.create(name="Orders", title="Orders {now}", unit="1/s", warning=0.1, **figure)
    metrics.create(name="OnlyShown", **figure)
    changed, orders = database.load(NOW_MS).rules
    assert changed == {"critical": 50, "name": "HighCpu", "enabled": True}
    rule = defined(orders)
    assert (rule.name, rule.operator, rule.unit) == ("Orders", "<", "1/s")
    assert rule.summarize(0.05, {}) == "Orders now is 0.05 1/s"


@pytest.mark.parametrize("definition", ["", "{}"])
def test_a_rule_of_the_catalogue_can_be_switched_off(definition: str) -> None:
    row = AlertRule(name="HighCpu", definition=definition, enabled=False)
    assert rule_of(row) == {"name": "HighCpu", "enabled": False}


@pytest.mark.parametrize("definition", ["{", "[]", "7"])
def test_a_definition_that_is_no_object_is_a_problem_not_a_failure(definition: str) -> None:
    from otel_django.conf import Settings

    given = rule_of(AlertRule(name="HighCpu", definition=definition))
    found = configured(Settings(alert_rules=(given,)))
    assert "HighCpu" in found.problems[0]
