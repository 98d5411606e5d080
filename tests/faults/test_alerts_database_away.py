"""The site's database goes away and comes back: who is told what, and when."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from otel_django.models import SystemAlert
from tests.faults import alert_service_kit as kit
from tests.integration import servers
from tests.misbehaving import proxy
from tests.servers.test_run_monitoring import until

RULE: Final = "HealthCheckFailing"
CHECK: Final = "database"


def test_the_alert_about_the_database_leaves_while_it_is_away_and_ends_once(tmp_path: Path) -> None:
    with (
        servers.postgresql() as server,
        proxy(server.port) as between,
        kit.site(tmp_path, server, TESTS_POSTGRESQL_PORT=str(between.port)) as site,
        site.service("host", "--interval", "1") as service,
    ):
        service.says("evaluates alerts from now on")
        until(site.evaluated, 30)
        between.gone()
        began_s = time.monotonic()
        look = looking(site)
        until(lambda: look() and told(site)["fired"] == every(1), 60)
        print(f"away to the last channel: {time.monotonic() - began_s:.1f} s")
        site.queues.lengths["mail"] = kit.TOO_LONG
        until(lambda: look() and "QueueBacklog" in str(site.told.webhook.documents), 30)
        between.pass_on()
        began_s = time.monotonic()
        until(lambda: look() and told(site)["resolved"] == every(1), 60)
        print(f"back to the last channel: {time.monotonic() - began_s:.1f} s")
        until(lambda: not site.waiting(), 30)
        time.sleep(5)
        assert told(site) == {"fired": every(1), "resolved": every(1)}
        critical = SystemAlert._base_manager.using(kit.ALIAS).filter(severity="critical")
        row = critical.get(alert_type=RULE, labels__contains=f'"{CHECK}"')
        assert (row.state, row.told_state) == ("resolved", "resolved")
        assert critical.get(alert_type="QueueBacklog").told_state == "firing"


def looking(site: kit.Site) -> Callable[[], bool]:
    site.queues.lengths["mail"] = 1.0

    def look() -> bool:
        site.queues.tell()
        return True

    return look


def every(times: int) -> dict[str, int]:
    return dict.fromkeys(("email", "pagerduty", "slack", "webhook"), times)


def told(site: kit.Site) -> dict[str, dict[str, int]]:
    """How often each channel was told of the check, by what was said."""
    receivers = site.told
    texts = {
        "slack": [one["text"] for one in receivers.slack.documents],
        "email": [str(one["Subject"]).strip() for one in receivers.mailbox.messages],
    }
    found: dict[str, Counter[str]] = {"fired": Counter(), "resolved": Counter()}
    for channel, said in texts.items():
        for text in said:
            for kind, word in (("fired", "CRITICAL"), ("resolved", "RESOLVED")):
                if text.startswith(f"[{word}] {RULE}"):
                    found[kind][channel] += 1
    for one in receivers.webhook.documents:
        if is_about(one):
            found[one["kind"]]["webhook"] += 1
    groups = {one["groupKey"] for one in receivers.webhook.documents if is_about(one)}
    for one in receivers.pagerduty.documents:
        if one["dedup_key"] in groups:
            kind = "resolved" if one["event_action"] == "resolve" else "fired"
            found[kind]["pagerduty"] += 1
    return {kind: dict(sorted(counts.items())) for kind, counts in found.items()}


def is_about(document: Any) -> bool:
    return bool(
        document["groupLabels"]["alertname"] == RULE
        and document["groupLabels"]["severity"] == "critical"
        and any(CHECK in one["labels"].values() for one in document["alerts"])
    )
