"""From a site's errors to every channel, and from its recovery, with real processes."""

from __future__ import annotations

import time
from pathlib import Path

from tests import alert_stubs as stubs
from tests.server_process import gunicorn, serving
from tests.servers.test_run_monitoring import environ_of, manage, monitoring, until

RULE = "HighErrorRate"


def test_errors_and_recovery_reach_every_channel(tmp_path: Path) -> None:
    with (
        stubs.slack() as slack,
        stubs.pagerduty() as pagerduty,
        stubs.webhook() as webhook,
        stubs.mail_server() as (mailbox, port),
    ):
        site = environ_of(
            tmp_path,
            DJANGO_SETTINGS_MODULE="tests.site.settings_with_mail",
            TESTS_SMTP_PORT=str(port),
            ALERT_EMAIL_TO="ops@shop.example",
            SLACK_WEBHOOK_URL=slack.url,
            PAGERDUTY_ROUTING_KEY="k" * 32,
            PAGERDUTY_EVENTS_URL=pagerduty.url,
            ALERT_WEBHOOK_URL=webhook.url,
            OTEL_DJANGO_ALERTS_SITE_URL="https://shop.example/monitoring/",
        )
        assert manage(site, "migrate", "-v0").returncode == 0

        def arrived(state: str, action: str) -> dict[str, bool]:
            """Where it was told that the critical alert is in this state."""
            title = f"[{state}] {RULE}"
            return {
                "slack": any(one["text"].startswith(title) for one in slack.documents),
                "mail": any(one["Subject"].startswith(title) for one in mailbox.messages),
                "webhook": any(_is_about(one, action) for one in webhook.documents),
                "pagerduty": any(one["event_action"] == action for one in pagerduty.documents),
            }

        with (
            monitoring(site, tmp_path / "log", "--interval", "1") as service,
            serving(gunicorn(), site) as server,
        ):
            for _ in range(3):
                server.get("/plain/")
            service.says("evaluates alerts from now on")
            began_s = time.monotonic()

            def fails() -> bool:
                server.get("/answers-500/")
                return all(arrived("CRITICAL", "trigger").values())

            until(fails, 60)
            print(f"first error to the last channel: {time.monotonic() - began_s:.1f} s")
            assert "alert.fired" in service.output()
            began_s = time.monotonic()

            def recovers() -> bool:
                for _ in range(100):
                    server.get("/plain/")
                return all(arrived("RESOLVED", "resolve").values())

            until(recovers, 90)
            print(f"recovery to the last channel: {time.monotonic() - began_s:.1f} s")


def _is_about(document: object, action: str) -> bool:
    assert isinstance(document, dict)
    status = {"trigger": "firing", "resolve": "resolved"}[action]
    labels = document["groupLabels"]
    return document["status"] == status and (labels["alertname"], labels["severity"]) == (
        RULE,
        "critical",
    )
