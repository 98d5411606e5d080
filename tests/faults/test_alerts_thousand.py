"""A thousand alerts at once through the service: grouped, soon there, and in little memory."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Final

from otel_django.models import SystemAlert
from tests.faults import alert_service_kit as kit
from tests.servers.test_run_monitoring import until

ALERTS: Final = 1000
GROUPS: Final = 20
WITHIN_S: Final = 60
MOST_KIB: Final = 100 * 1024
"""By which the service may grow."""


def test_a_thousand_alerts_are_told_in_groups_within_a_minute(tmp_path: Path) -> None:
    with kit.site(tmp_path) as site, site.service("host", "--interval", "1") as service:
        names = [f"queue-{number}" for number in range(ALERTS)]
        site.queues.lengths = dict.fromkeys(names, 1.0)
        site.queues.tell()
        until(site.evaluated, 30)
        time.sleep(2)
        before_kib = peak_kib(service.process.pid)
        for length, state in ((kit.TOO_LONG, "firing"), (1.0, "resolved")):
            site.queues.lengths = dict.fromkeys(names, length)
            site.queues.tell()
            began_s = time.monotonic()
            until(partial(is_told, site, state), WITHIN_S)
            print(f"{ALERTS} {state}: {time.monotonic() - began_s:.1f} s to the last channel")
        grown_kib = peak_kib(service.process.pid) - before_kib
        print(f"{before_kib >> 10} MiB before, {grown_kib >> 10} MiB more at most")
        assert grown_kib < MOST_KIB
        states = SystemAlert._base_manager.using(kit.ALIAS).filter(severity="critical")
        assert states.filter(alert_type="QueueBacklog", state="resolved").count() == ALERTS
        about = [one for one in site.told.webhook.documents if is_about(one)]
        assert len(about) <= GROUPS
        assert all(len(one["alerts"]) <= 50 for one in about)


def is_told(site: kit.Site, state: str) -> bool:
    """All four channels were told of all of them, counted or shown."""
    told = site.told
    action = "resolve" if state == "resolved" else "trigger"
    alerts = [one for one in told.webhook.documents if is_about(one) and one["status"] == state]
    return bool(
        sum(len(one["alerts"]) + one["truncatedAlerts"] for one in alerts) >= ALERTS
        and any(one["event_action"] == action for one in told.pagerduty.documents)
        and not site.waiting()
    )


def is_about(document: dict[str, dict[str, str]]) -> bool:
    labels = document["groupLabels"]
    return (labels["alertname"], labels["severity"]) == ("QueueBacklog", "critical")


def peak_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")
