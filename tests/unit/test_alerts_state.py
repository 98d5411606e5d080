"""Alerts over time: pending, firing, resolved; who is told when; what is kept silent."""

from __future__ import annotations

import pytest

from otel_django import metric_definitions as metrics
from otel_django.alerts.expressions import Level, Match, select
from otel_django.alerts.muting import FlapPolicy, Silence, inhibited, matches
from otel_django.alerts.rules import Rule, Threshold
from otel_django.alerts.state import (
    Alert,
    Breach,
    Key,
    Labels,
    acknowledge,
    advance,
    advance_all,
    fingerprint,
)
from otel_django.alerts.telling import Notice, Policy, Told, due, grouped, level_at, told_of

LABELS = (("http.route", "/cart/"), ("service.name", "shop"))
WARNING = Key("Slow", "warning", LABELS)
CRITICAL = Key("Slow", "critical", LABELS)
S = 1000


def rule(for_s: int = 60, keep_firing_s: int = 0) -> Rule:
    return Rule(
        "Slow",
        Level(select(metrics.HEALTH_SCORE)),
        ">",
        "{value}",
        warning=Threshold(1, for_s),
        critical=Threshold(2),
        keep_firing_s=keep_firing_s,
    )


def run(
    course: str, *, for_s: int = 60, keep_firing_s: int = 0, step_s: int = 15
) -> list[Alert | None]:
    """``!`` is a breach at a step, ``.`` none."""
    alert: Alert | None = None
    found = []
    for step, sign in enumerate(course):
        breach = Breach(3.0, step * step_s * S) if sign == "!" else None
        alert = advance(alert, WARNING, rule(for_s, keep_firing_s), breach, step * step_s * S)
        found.append(alert)
    return found


def letters(found: list[Alert | None]) -> str:
    return "".join("i" if one is None else one.state[0] for one in found)


@pytest.mark.parametrize(
    ("course", "states"),
    [
        ("..!!!!!!..", "iippppffrr"),
        ("!!!.!!!!!.", "pppippppfr"),
        ("!!!!!!.!!!!!!", "ppppffrppppff"),
        (".....", "iiiii"),
    ],
)
def test_an_alert_fires_after_its_time_and_ends_at_once(course: str, states: str) -> None:
    assert letters(run(course)) == states


def test_an_alert_without_a_time_fires_at_once() -> None:
    assert letters(run(".!.", for_s=0)) == "ifr"


def test_an_alert_can_be_kept_firing_over_a_pause() -> None:
    assert letters(run("!..!...." + "." * 4, for_s=0, keep_firing_s=60)) == "ffffffffrrrr"


def test_times_of_an_alert_are_those_of_its_steps() -> None:
    *_, alert = run("!!!!!!..")
    assert alert is not None
    assert (alert.since_ms, alert.fired_ms, alert.resolved_ms) == (0, 60 * S, 90 * S)
    assert alert.changes == (60 * S, 90 * S)


def test_each_set_of_labels_and_severity_is_an_alert_of_its_own() -> None:
    other = Key("Slow", "warning", (("service.name", "other"),))
    foreign = Key("Else", "warning", LABELS)
    alerts = advance_all({}, rule(0), {WARNING: Breach(3, 0), other: Breach(4, 0)}, 0)
    alerts = advance_all(
        {**alerts, foreign: alerts[other]}, rule(0), {WARNING: Breach(3, 0)}, 15 * S
    )
    assert {key: alert.state for key, alert in alerts.items()} == {
        WARNING: "firing",
        other: "resolved",
    }


def test_a_fingerprint_is_the_same_by_names_of_either_kind() -> None:
    prometheus: Labels = (("http_route", "/cart/"), ("job", "shop"))
    assert fingerprint(WARNING) == fingerprint(Key("Slow", "warning", prometheus))
    assert fingerprint(WARNING) != fingerprint(CRITICAL)
    assert len(fingerprint(WARNING)) == 16


# --- muting


def firing(key: Key = WARNING, fired_ms: int = 0, changes: tuple[int, ...] = ()) -> Alert:
    return Alert(key, "firing", fired_ms, 3.0, fired_ms, fired_ms, changes=changes)


def test_a_critical_alert_mutes_its_warning_only() -> None:
    alerts = {WARNING: firing(), CRITICAL: firing(CRITICAL)}
    assert inhibited(alerts[WARNING], alerts)
    assert not inhibited(alerts[CRITICAL], alerts)
    elsewhere = firing(Key("Slow", "warning", (("service.name", "other"),)))
    assert not inhibited(elsewhere, alerts)


@pytest.mark.parametrize(
    ("matchers", "holds"),
    [
        ((Match("alertname", "=", "Slow"),), True),
        ((Match("severity", "!=", "warning"),), False),
        ((Match("http.route", "=~", "/c.*"), Match("service.name", "=", "shop")), True),
        ((Match("job", "=", "shop"),), True),
        ((Match("http.route", "=~", "/c"),), False),
        ((Match("team", "!~", ".+"),), True),
        ((), False),
    ],
)
def test_a_silence_covers_what_all_its_conditions_fit(
    matchers: tuple[Match, ...], holds: bool
) -> None:
    assert matches(matchers, firing().labels) == holds


def test_a_silence_ends_and_a_maintenance_window_comes_again() -> None:
    everything = (Match("alertname", "=~", ".+"),)
    once = Silence(everything, 100 * S, 200 * S)
    assert [once.is_active(at * S) for at in (99, 100, 199, 200, 300)] == [
        *(False, True, True, False, False)
    ]
    daily = Silence(everything, 100 * S, 200 * S, every_ms=1000 * S)
    assert [daily.is_active(at * S) for at in (50, 150, 250, 1150, 1250)] == [
        *(False, True, False, True, False)
    ]


# --- telling


def said(
    alert: Alert,
    told: Told | None,
    now_s: int,
    policy: Policy | None = None,
    *silences: Silence,
) -> tuple[str, int] | None:
    key = alert.key
    notice = due(alert, told, policy or Policy(), silences, {key: alert}, now_s * S)
    return None if notice is None else (notice.reason, notice.level)


def resolved(alert: Alert, at_s: int) -> Alert:
    after = advance(alert, alert.key, rule(), None, at_s * S)
    assert after is not None
    return after


def test_an_alert_is_told_once_and_again_after_a_while() -> None:
    policy = Policy(repeat_s=600)
    assert said(firing(), None, 0, policy) == ("fired", 0)
    told = Told("firing", 0)
    assert said(firing(), told, 599, policy) is None
    assert said(firing(), told, 600, policy) == ("repeated", 0)
    assert said(firing(), told, 10**6, Policy(repeat_s=0)) is None


def test_its_end_is_told_if_its_beginning_was() -> None:
    ended = resolved(firing(), 90)
    assert said(ended, Told("firing", 0, 1), 90) == ("resolved", 1)
    assert said(ended, None, 90) is None
    assert said(ended, Told("resolved", 0), 90) is None


def test_an_alert_that_is_back_is_told_anew() -> None:
    assert said(firing(fired_ms=200 * S), Told("resolved", 90 * S), 200) == ("fired", 0)


def test_an_alert_that_nobody_acknowledges_goes_to_the_next() -> None:
    policy = Policy(repeat_s=0, escalate_s=(300, 900))
    alert, told = firing(), Told("firing", 0)
    assert said(alert, told, 299, policy) is None
    assert said(alert, told, 300, policy) == ("escalated", 1)
    assert said(alert, Told("firing", 300 * S, 1), 899, policy) is None
    assert said(alert, Told("firing", 300 * S, 1), 900, policy) == ("escalated", 2)
    taken = acknowledge(alert, "ada", 100 * S, "on it")
    assert said(taken, told, 10**6, policy) is None
    assert level_at(taken, policy, 10**9) == 0
    assert taken.acknowledged is not None


def test_only_an_alert_that_fires_can_be_acknowledged() -> None:
    pending = Alert(WARNING, "pending", 0, 3.0, 0)
    assert acknowledge(pending, "ada", 0) is pending


def test_a_new_alert_is_not_acknowledged_because_the_one_before_was() -> None:
    alert = acknowledge(firing(), "ada", 0)
    ended = resolved(alert, 90)
    again = advance(ended, WARNING, rule(0), Breach(3, 100 * S), 100 * S)
    assert again is not None
    assert again.acknowledged is None


def test_what_is_silenced_is_told_once_the_silence_ends() -> None:
    silence = Silence((Match("alertname", "=", "Slow"),), 0, 600 * S)
    assert said(firing(), None, 10, None, silence) is None
    assert said(firing(), None, 600, None, silence) == ("fired", 0)
    ended = resolved(firing(), 90)
    assert said(ended, Told("firing", 0), 90, None, silence) == ("resolved", 0)


def test_an_alert_that_flaps_is_told_once_until_it_stays() -> None:
    policy = Policy(flapping=FlapPolicy(changes=4, within_s=600))
    changes = (100 * S, 150 * S, 200 * S, 250 * S)
    ended = Alert(WARNING, "resolved", 0, 3.0, 0, 200 * S, 250 * S, changes=changes)
    told = Told("firing", 100 * S)
    assert said(ended, told, 260, policy) is None
    assert said(firing(changes=changes), told, 270, policy) is None
    assert said(ended, told, 701, policy) == ("resolved", 0)


def test_what_was_said_is_remembered() -> None:
    assert told_of(Notice(firing(), "escalated", 2), 7) == Told("firing", 7, 2)
    assert told_of(Notice(firing(), "resolved"), 7) == Told("resolved", 7)


def test_alerts_alike_go_out_together() -> None:
    routes = [Key("Slow", "warning", (("http.route", f"/{n}/"),)) for n in range(1000)]
    notices = [Notice(firing(key), "fired") for key in (*routes, CRITICAL)]
    groups = grouped([*notices, Notice(firing(), "resolved")])
    assert {key: len(group) for key, group in groups.items()} == {
        ("Slow", "warning", "fired"): 1000,
        ("Slow", "critical", "fired"): 1,
        ("Slow", "warning", "resolved"): 1,
    }
