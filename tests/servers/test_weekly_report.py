"""The weekly report, by the monitoring service's own processes."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from django.conf import settings

from tests import alert_stubs as stubs
from tests.servers.test_run_monitoring import environ_of, manage


def test_it_is_mailed_once_however_often_the_service_is_started(tmp_path: Path) -> None:
    due = datetime.now(ZoneInfo(settings.TIME_ZONE)) - timedelta(hours=1)
    with stubs.mail_server() as (mailbox, port):
        site = environ_of(
            tmp_path,
            DJANGO_SETTINGS_MODULE="tests.site.settings_with_mail",
            TESTS_SMTP_PORT=str(port),
            ALERT_EMAIL_ENABLED="false",
            ALERT_EMAIL_TO="ops@shop.example",
            OTEL_DJANGO_REPORT_WEEKLY=f"{due:%a %H:%M}",
        )
        assert manage(site, "migrate", "-v0").returncode == 0
        for _ in range(2):
            done = manage(site, "run_monitoring", "--once")
            assert done.returncode == 0, done.stderr
        (only,) = mailbox.messages
    assert ": report, " in only["Subject"]
    assert [part.get_content_type() for part in only.iter_parts()] == ["text/plain", "text/html"]
