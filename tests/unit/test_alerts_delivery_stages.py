"""Who is told what and when: routes, groups, waiting, words; pure, over times."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from otel_django.alerts import catalogue
from otel_django.alerts.delivery.contract import Notification, notification
from otel_django.alerts.delivery.routes import routes
from otel_django.alerts.delivery.stages import Delivery, Plan, planned
from otel_django.alerts.keeping.contract import Entry
from otel_django.alerts.rules import Rule, Severity
from otel_django.alerts.state import Acknowledgement, Alert, Key
from otel_django.alerts.telling import Notice, Policy, Told, due, told_of
from tests.alert_kit import SITE, T0

RULES = {rule.name: rule for rule in catalogue.rules()}
CHANNELS = ("log", "slack", "pagerduty")
USUAL = Delivery(routes((), CHANNELS), site_url=SITE)
NOTHING: dict[str, Rule] = {}


def alert(
    route: str = "/", rule: str = "HighErrorRate", severity: Severity = "critical", **changes: Any
) -> Alert:
    key = Key(rule, severity, (("http.route", route), ("service.name", "shop")))
    return replace(Alert(key, "firing", T0, 7.25, T0, fired_ms=T0), **changes)


def over(one: Alert) -> Alert:
    return replace(one, state="resolved", resolved_ms=T0 + 60_000)


class Site:
    """Alerts, what was told of them, and who is told of them next."""

    def __init__(self, delivery: Delivery = USUAL, policy: Policy | None = None) -> None:
        self.entries: dict[Key, Entry] = {}
        self.delivery = delivery
        self.policy = policy or Policy()
        self.rules = RULES

    def step(self, *alerts: Alert, at_s: float = 0.0) -> list[tuple[str, Notification]]:
        """(channel, notification) of all that is sent, once these alerts are as they are."""
        now_ms = T0 + round(at_s * 1000)
        for one in alerts:
            before = self.entries.get(one.key)
            told = None if before is None else before.told
            self.entries[one.key] = Entry(one, now_ms, told, message=f"{one.key.rule} is up")
        plan = self.plan(now_ms)
        for notice in plan.told:
            entry = self.entries[notice.alert.key]
            self.entries[notice.alert.key] = replace(entry, told=told_of(notice, now_ms))
        return [(one.channel, notification(one.document)) for one in plan.outgoing]

    def plan(self, now_ms: int) -> Plan:
        every = {key: entry.alert for key, entry in self.entries.items()}
        asked = (
            due(one.alert, one.told, self.policy, (), every, now_ms)
            for one in self.entries.values()
        )
        notices = [one for one in asked if one is not None]
        return planned(notices, self.entries, self.rules, self.delivery, now_ms)


def to(sent: list[tuple[str, Notification]]) -> list[str]:
    return [channel for channel, _ in sent]


# --- routes


def test_critical_alerts_reach_all_channels_and_warnings_wake_nobody_up() -> None:
    assert to(Site().step(alert())) == ["log", "slack", "pagerduty"]
    assert to(Site().step(alert(severity="warning"))) == ["log", "slack"]


def test_the_first_route_that_fits_counts() -> None:
    given: list[dict[str, Any]] = [
        {"match": {"http.route": "~/api/.*"}, "channels": ["slack"]},
        {"match": {"severity": "critical", "service.name": "!billing"}, "channels": ["pagerduty"]},
        {"channels": ["log", "no-such"]},
    ]
    site = Delivery(routes(given, CHANNELS))
    assert to(Site(site).step(alert("/api/x"))) == ["slack"]
    assert to(Site(site).step(alert("/x"))) == ["pagerduty"]
    assert to(Site(site).step(alert("/x", severity="warning"))) == ["log"]


def test_a_rules_own_labels_route_its_alerts() -> None:
    site = Site(Delivery(routes([{"match": {"team": "shop"}, "channels": ["slack"]}], CHANNELS)))
    rule = replace(RULES["HighErrorRate"], labels={"team": "shop"})
    site.rules = {**RULES, rule.name: rule}
    ((_, said),) = site.step(alert(), alert(rule="SlowMeanResponse"))
    assert [one.labels["team"] for one in said.alerts] == ["shop"]


def test_alerts_without_a_route_are_settled_all_the_same() -> None:
    given = [{"match": {"alertname": "Other"}, "channels": ["log"]}]
    site = Site(Delivery(routes(given, CHANNELS)))
    assert site.step(alert()) == []
    assert site.entries[alert().key].told == Told("firing", T0)


def test_who_is_escalated_to_is_told_next_and_of_the_end() -> None:
    given = [{"channels": ["log"], "escalate": ["slack", "pagerduty"]}]
    policy = Policy(repeat_s=0, escalate_s=(600, 1800))
    site = Site(Delivery(routes(given, CHANNELS)), policy)
    assert to(site.step(alert())) == ["log"]
    assert to(site.step(at_s=599)) == []
    assert to(site.step(at_s=600)) == ["slack"]
    assert to(site.step(at_s=1800)) == ["pagerduty"]
    assert to(site.step(over(alert()), at_s=1900)) == ["log", "slack", "pagerduty"]


def test_the_end_is_told_only_to_those_who_were_told_of_the_beginning() -> None:
    given = [{"channels": ["log"], "escalate": ["slack"]}]
    site = Site(Delivery(routes(given, CHANNELS)), Policy(escalate_s=(600,)))
    site.step(alert())
    assert to(site.step(over(alert()), at_s=60)) == ["log"]


def test_without_routes_all_channels_are_told_of_what_escalates() -> None:
    site = Site(policy=Policy(escalate_s=(600,)))
    site.step(alert(severity="warning"))
    assert to(site.step(at_s=600)) == ["log", "slack", "pagerduty"]


# --- groups


def test_alike_alerts_are_told_together_and_others_apart() -> None:
    sent = Site().step(alert("/a"), alert("/b"), alert("/a", rule="SlowMeanResponse"))
    in_slack = [said for channel, said in sent if channel == "slack"]
    assert sorted(len(said.alerts) for said in in_slack) == [1, 2]
    assert len({said.key for said in in_slack}) == len({said.group_key for said in in_slack}) == 2


def test_all_about_one_group_has_one_group_key_and_each_notification_a_key() -> None:
    site = Site()
    first = site.step(alert("/a"))[0][1]
    second = site.step(over(alert("/a")), at_s=60)[0][1]
    assert first.group_key == second.group_key
    assert first.key != second.key
    assert len({said.key for _, said in Site().step(alert("/a"))}) == 1


def test_the_group_is_resolved_once_none_of_it_fires() -> None:
    site = Site()
    site.step(alert("/a"), alert("/b"))
    said = site.step(over(alert("/a")), at_s=60)[0][1]
    assert (said.kind, said.status) == ("resolved", "firing")
    assert [one.state for one in said.alerts] == ["firing", "resolved"]
    said = site.step(over(alert("/b")), at_s=120)[0][1]
    assert (said.kind, said.status) == ("resolved", "resolved")


def test_what_was_told_before_and_fires_is_told_again_with_what_is_new() -> None:
    site = Site()
    site.step(alert("/a"))
    said = site.step(alert("/b"), at_s=60)[0][1]
    assert [one.labels["http.route"] for one in said.alerts] == ["/b", "/a"]


def test_a_thousand_alerts_at_once_are_a_few_bounded_notifications() -> None:
    site = Site()
    many = [
        alert(f"/{number}/" + "x" * 2000, rule)
        for rule in ("HighErrorRate", "SlowMeanResponse")
        for number in range(500)
    ]
    tracemalloc.start()
    sent = site.step(*many)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sent) == 6
    assert {(len(said.alerts), said.left_out) for _, said in sent} == {(50, 450)}
    assert all(len(json.dumps(said.as_json())) < 150_000 for _, said in sent)
    assert most < 20_000_000
    assert all(one.told is not None for one in site.entries.values())


# --- waiting, repeating, acknowledging


def test_what_is_new_in_a_group_waits_a_little_and_is_not_forgotten() -> None:
    site = Site()
    assert to(site.step(alert("/a")))
    assert to(site.step(alert("/b"), at_s=5)) == []
    assert to(site.step(at_s=14.9)) == []
    said = site.step(at_s=15)[0][1]
    assert len(said.alerts) == 2
    assert to(site.step(at_s=30)) == []


def test_an_alert_that_comes_and_goes_while_its_group_waits_is_not_told() -> None:
    site = Site()
    site.step(alert("/a"))
    site.step(alert("/b"), at_s=5)
    assert to(site.step(over(alert("/b")), at_s=20)) == []


def test_what_still_fires_is_told_again_after_a_while() -> None:
    site = Site(policy=Policy(repeat_s=3600))
    site.step(alert())
    assert to(site.step(at_s=3599)) == []
    assert site.step(at_s=3600)[0][1].kind == "repeated"


def test_pagerduty_is_told_once_that_somebody_takes_care() -> None:
    site = Site()
    site.step(alert("/a"), alert("/b"))
    ann = Acknowledgement("ann", T0 + 60_000)
    assert site.step(alert("/a", acknowledged=ann), at_s=61) == []
    ((channel, said),) = site.step(alert("/b", acknowledged=ann), at_s=75)
    assert (channel, said.kind, said.status) == ("pagerduty", "acknowledged", "firing")
    assert {one.acknowledged_by for one in said.alerts} == {"ann"}
    assert site.step(at_s=90) == []


# --- words


def test_links_lead_to_the_rules_page_the_runbook_and_the_acknowledgement() -> None:
    said = Site().step(alert())[0][1]
    (one,) = said.alerts
    fingerprint = alert().fingerprint
    assert one.page == f"{SITE}traces/?q=status:5xx"
    assert one.runbook == f"{SITE}alerts/{fingerprint}/#runbook"
    assert one.acknowledge == f"{SITE}alerts/{fingerprint}/#acknowledge"
    assert said.page == f"{SITE}alerts/"


def test_without_the_sites_address_there_are_no_links() -> None:
    said = Site(replace(USUAL, site_url="")).step(alert())[0][1]
    (one,) = said.alerts
    assert (said.page, one.page, one.runbook, one.acknowledge) == ("", "", "", "")


@pytest.mark.parametrize("page", ["javascript:alert(1)", "data:text/html,x"])
def test_no_page_leads_to_a_script(page: str) -> None:
    site = Site()
    site.rules = {"HighErrorRate": replace(RULES["HighErrorRate"], page=page)}
    assert site.step(alert())[0][1].alerts[0].page == ""


def test_hostile_text_is_bounded_and_harmless() -> None:
    bad = alert("\u202e\x00<b>\ud800" * 100_000, value=float("inf"))
    site = Site()
    site.step(bad)
    said = Site().step(bad)[0][1]
    assert len(said.alerts[0].labels["http.route"]) <= 1000
    assert said.alerts[0].labels["http.route"].isprintable()
    assert notification(json.loads(json.dumps(said.as_json(), allow_nan=False))) == said


def test_an_alert_whose_rule_is_gone_can_still_be_told() -> None:
    site = Site()
    site.step(alert())
    site.rules = NOTHING
    said = site.step(over(alert()), at_s=60)[0][1]
    assert said.status == "resolved"


def test_a_notice_that_is_settled_is_one_that_was_asked_for() -> None:
    notice = Notice(alert(), "fired")
    entries = {notice.alert.key: Entry(notice.alert, T0)}
    plan = planned([notice], entries, RULES, USUAL, T0)
    assert plan.told == (notice,)
    assert [one.group for one in plan.outgoing] == [plan.outgoing[0].group] * 3
    assert plan.outgoing[0].fingerprints == (notice.alert.fingerprint,)
