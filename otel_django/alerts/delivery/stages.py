"""From what has to be said to what is sent: route, group, wait, put into words. Pure functions.

What is silenced or inhibited never gets here (``telling.due``); trying again and recording are the
sender's.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urljoin

from otel_django.alerts.delivery.contract import Notification, ToldAlert
from otel_django.alerts.delivery.routes import first
from otel_django.alerts.delivery.words import line
from otel_django.alerts.keeping.contract import Outgoing
from otel_django.alerts.state import CHANGES_KEPT
from otel_django.alerts.telling import Notice, grouped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otel_django.alerts.delivery.contract import Kind, Severity
    from otel_django.alerts.delivery.routes import Route
    from otel_django.alerts.keeping.contract import Entry
    from otel_django.alerts.rules import Rule
    from otel_django.alerts.state import Alert, Key
    from otel_django.alerts.telling import Told

MOST_ALERTS: Final = 50
"""What a notification holds; the rest is counted."""
LONGEST: Final = 1000
DAY_MS: Final = 86_400_000
ACKNOWLEDGED_TO: Final = ("pagerduty",)
"""Channels that can do something with an acknowledgement."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a site wants to be told. ``site_url`` is where its pages are; empty: no links."""

    routes: tuple[Route, ...]
    group_by: tuple[str, ...] = ("alertname", "severity")
    group_interval_s: float = 15.0
    site_url: str = ""


class Plan(NamedTuple):
    """What is sent, and the notices that are settled with it; others wait."""

    outgoing: tuple[Outgoing, ...] = ()
    told: tuple[Notice, ...] = ()


GroupId = tuple[str, ...]
"""A route, then the values of the labels by which it groups."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Alerts that are told of together, as they were told before."""

    key: str
    route: Route
    labels: Mapping[str, str]
    entries: dict[Key, Entry] = field(default_factory=dict)

    def told(self) -> Iterator[tuple[Entry, Told]]:
        """Those of which something has been told, and what."""
        return ((one, one.told) for one in self.entries.values() if one.told is not None)


def planned(
    notices: Iterable[Notice],
    entries: Mapping[Key, Entry],
    rules: Mapping[str, Rule],
    delivery: Delivery,
    now_ms: int,
    newest: str = "",
) -> Plan:
    """What to send of ``notices``. ``entries`` are all alerts, with what was told of them before.

    An acknowledgement of which nobody was told is found here, and settled by a notice, too.
    ``newest`` is the key of the last notification that everybody knows of: who has the same to say
    after that gives it the same key.
    """
    outgoing: list[Outgoing] = []
    told: list[Notice] = []
    of_groups = _of_groups(notices, rules, delivery)
    for group_id, group in _groups(entries, rules, delivery).items():
        due = of_groups.pop(group_id, [])
        if due and not _has_to_wait(group, due, delivery, now_ms):
            told += due
            for same in grouped(due, ()).values():
                said = _Said(group, same[0].reason, same)
                outgoing += _sent(said, rules, delivery, now_ms, newest)
        acknowledged = _acknowledged(group)
        if acknowledged and not due:
            told += acknowledged
            said = _Said(group, "acknowledged", acknowledged)
            outgoing += _sent(said, rules, delivery, now_ms, newest)
    told += (notice for others in of_groups.values() for notice in others)  # for nobody
    return Plan(tuple(outgoing), tuple(told))


# --- route and group


def _labels(alert: Alert, rules: Mapping[str, Rule]) -> dict[str, str]:
    """The rule's own labels, such as a team, and the alert's."""
    rule = rules.get(alert.key.rule)
    return {**(rule.labels if rule is not None else {}), **alert.labels}


def _group_id(labels: Mapping[str, str], route: Route, delivery: Delivery) -> GroupId:
    return (route.id, *(labels.get(name, "") for name in delivery.group_by))


def _of_groups(
    notices: Iterable[Notice], rules: Mapping[str, Rule], delivery: Delivery
) -> dict[GroupId, list[Notice]]:
    """Notices by group; those without a route under ``()``."""
    found: dict[GroupId, list[Notice]] = defaultdict(list)
    for notice in notices:
        labels = _labels(notice.alert, rules)
        route = first(delivery.routes, labels)
        found[() if route is None else _group_id(labels, route, delivery)].append(notice)
    return found


def _groups(
    entries: Mapping[Key, Entry], rules: Mapping[str, Rule], delivery: Delivery
) -> dict[GroupId, _Group]:
    found: dict[GroupId, _Group] = {}
    for key, entry in entries.items():
        labels = _labels(entry.alert, rules)
        route = first(delivery.routes, labels)
        if route is None or entry.alert.state == "pending":
            continue
        group_id = _group_id(labels, route, delivery)
        if group_id not in found:
            shared = {name: labels[name] for name in delivery.group_by if name in labels}
            found[group_id] = _Group(_digest(*group_id), route, shared)
        found[group_id].entries[key] = entry
    return found


def _digest(*parts: object) -> str:
    text = "\0".join(map(str, parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


# --- wait


def _has_to_wait(group: _Group, due: Sequence[Notice], delivery: Delivery, now_ms: int) -> bool:
    """Whether something was told of the group just now. The first word of it never waits."""
    if any(notice.reason == "escalated" for notice in due):
        return False
    since_ms = now_ms - delivery.group_interval_s * 1000
    return any(since_ms < told.at_ms <= now_ms for _, told in group.told())


def _acknowledged(group: _Group) -> list[Notice]:
    """Those to be told as acknowledged: once somebody takes care of all of the group that fires."""
    firing = [(one, told) for one, told in group.told() if one.alert.state == "firing"]
    if not all(one.alert.acknowledged for one, _ in firing):
        return []
    return [
        Notice(one.alert, "repeated", told.level)
        for one, told in firing
        if one.alert.acknowledged and one.alert.acknowledged.at_ms > told.at_ms
    ]


# --- put into words


class _Said(NamedTuple):
    """What is to be said of a group."""

    group: _Group
    kind: Kind
    notices: Sequence[Notice]

    def key(self, level: int, now_ms: int, newest: str) -> str:
        """Between two words of one kind an alert has changed, else they are of different times."""
        alerts = [notice.alert for notice in self.notices if notice.level == level]
        parts: list[object] = [now_ms]
        if self.kind in ("fired", "resolved") and all(map(_is_counted, alerts)):
            turns = sorted(f"{alert.fingerprint}/{len(alert.changes)}" for alert in alerts)
            parts = [now_ms // DAY_MS, newest, *turns]
        return _digest(self.group.key, self.kind, level, *parts)


def _is_counted(alert: Alert) -> bool:
    """Whether its next change will be told from this one."""
    return 0 < len(alert.changes) < CHANGES_KEPT


def _sent(
    said: _Said,
    rules: Mapping[str, Rule],
    delivery: Delivery,
    now_ms: int,
    newest: str,
) -> Iterator[Outgoing]:
    """One notification for each level that was reached, on its way through each channel."""
    group, kind, notices = said
    for level in sorted({notice.level for notice in notices}):
        of_level = [notice.alert.key for notice in notices if notice.level == level]
        about = _subjects(group, of_level)
        channels = group.route.recipients(kind, level)
        if kind == "acknowledged":
            channels = tuple(name for name in channels if name in ACKNOWLEDGED_TO)
        made = Notification(
            key=said.key(level, now_ms, newest),
            group_key=group.key,
            kind=kind,
            severity=_worst(about),
            group={name: line(value, LONGEST) for name, value in group.labels.items()},
            alerts=tuple(_told(one, rules, delivery.site_url) for one in about[:MOST_ALERTS]),
            created_ms=now_ms,
            level=level,
            left_out=max(0, len(about) - MOST_ALERTS),
            page=_page(delivery.site_url, "alerts/"),
        )
        document = made.as_json() if channels else {}
        fingerprints = tuple(one.alert.fingerprint for one in about)
        for channel in channels:
            yield Outgoing(
                key=made.key,
                channel=channel,
                kind=kind,
                severity=made.severity,
                document=document,
                created_ms=now_ms,
                due_ms=now_ms,
                group=made.group_key,
                fingerprints=fingerprints,
            )


def _subjects(group: _Group, news: Sequence[Key]) -> list[Entry]:
    """What is new, and what was told before and fires; first what fires, the new and the oldest."""
    new = set(news)
    found = [
        entry
        for key, entry in group.entries.items()
        if key in new or (entry.alert.state == "firing" and _is_told(entry))
    ]
    return sorted(
        found,
        key=lambda one: (
            one.alert.state != "firing",
            one.alert.key.severity != "critical",
            one.alert.key not in new,
            one.alert.since_ms,
        ),
    )


def _is_told(entry: Entry) -> bool:
    return entry.told is not None and entry.told.state == "firing"


def _worst(about: Sequence[Entry]) -> Severity:
    return "critical" if any(one.alert.key.severity == "critical" for one in about) else "warning"


def _told(entry: Entry, rules: Mapping[str, Rule], site_url: str) -> ToldAlert:
    alert = entry.alert
    rule = rules.get(alert.key.rule)
    own_page = _page(site_url, f"alerts/{alert.fingerprint}/")
    return ToldAlert(
        fingerprint=alert.fingerprint,
        state="resolved" if alert.state == "resolved" else "firing",
        severity=alert.key.severity,
        labels={
            line(name, 200): line(text, LONGEST) for name, text in _labels(alert, rules).items()
        },
        summary=line(entry.message or alert.key.rule, LONGEST),
        value=alert.value if math.isfinite(alert.value) else 0.0,
        started_ms=alert.since_ms,
        resolved_ms=alert.resolved_ms,
        description=line(rule.description, LONGEST) if rule is not None else "",
        page=_page(site_url, rule.page) if rule is not None and rule.page else own_page,
        runbook=_runbook(rule, own_page),
        acknowledge=own_page and f"{own_page}#acknowledge",
        acknowledged_by=line(alert.acknowledged.by, 150) if alert.acknowledged else "",
    )


def _runbook(rule: Rule | None, own_page: str) -> str:
    """The rule's own, if it has an address; else the one on the alert's page."""
    if rule is not None and rule.runbook.startswith(("http://", "https://")):
        return rule.runbook
    return own_page and f"{own_page}#runbook"


def _page(site_url: str, path: str) -> str:
    """Absolute; empty where the site's address isn't known, or the path leads elsewhere."""
    if not site_url:
        return ""
    url = urljoin(site_url, path)
    return url if url.startswith(("http://", "https://")) else ""
