"""``manage.py otel report``: what it says of a range, as text, JSON, HTML and mail."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings

from otel_django import conf
from otel_django import metric_definitions as metrics
from otel_django.metric_points import NumberPoint
from otel_django.models import HealthMetric
from otel_django.observers.database_board import DatabaseBoard
from otel_django.reporting.weekly import Weekly, duties
from tests import alert_stubs as stubs
from tests.alerts_kit import alert, now_ms
from tests.endpoints_kit import ours
from tests.store_logs import record
from tests.store_metrics import metric, of
from tests.store_spans import MS, store_path
from tests.tables_kit import Telemetry, site
from tests.unit.test_alerts_delivery_channels import mailer

DAY_S = 86_400
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\x07\x1b[2J\r\nx"
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    with site(tmp_path) as made:
        yield made


def report(*options: str, code: int = 0) -> str:
    """What is printed."""
    out = io.StringIO()
    with pytest.raises(SystemExit) if code else nullcontext() as ended:
        call_command("otel", "report", *options, stdout=out, stderr=out)
    assert ended is None or ended.value.code == code
    return out.getvalue()


def sections(*options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report("--json", *options))["sections"]
    return found


def rows(key: str, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sections(*options)[key]["rows"]
    return found


# --- telemetry


def test_requests_are_counted_beside_those_of_the_range_before(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 10, ago_s=13.5 * DAY_S)
    telemetry.requests("/search/", 30, ago_s=8 * DAY_S)
    telemetry.requests("/search/", 54)
    telemetry.requests("/checkout/", 6, status=500)
    telemetry.keep()
    assert "60 requests (+50 % against before), 10 % failed" in report()
    now, before = rows("requests")
    assert (now["requests"], now["failed"], before["requests"]) == (60, 6, 40)


def test_a_site_that_began_in_the_week_before_is_not_compared(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 10, ago_s=8 * DAY_S)
    telemetry.requests("/search/", 90)
    telemetry.keep()
    said = report()
    assert "90 requests, 0 % failed" in said
    assert "Requests of the time before (7 days) aren't known from its beginning on." in said


def test_availability_says_what_is_left_of_the_error_budget(telemetry: Telemetry) -> None:
    duration = metrics.HTTP_SERVER_REQUEST_DURATION
    telemetry.took(duration, 0.1, 9_995, status_code="200")
    telemetry.took(duration, 0.1, 5, status_code="503")
    telemetry.keep()
    (row,) = rows("service_levels", "--since", "1h")
    assert (row["service"], row["requests"], row["failed"]) == ("shop", 10_000, 5)
    assert row["availability"] == pytest.approx(0.9995)
    assert row["budget_left"] == pytest.approx(0.5)
    assert [rate for rate in row["burn_rates"] if rate] == [pytest.approx(0.5)]
    said = report("--since", "1h")
    assert "99.95 % of the requests went well, 99.9 % are promised; 50 % of the error" in said
    assert re.search(r"requests are known of the last [\d.]+ \w+ only", said)


def test_an_overspent_budget_wants_attention(telemetry: Telemetry) -> None:
    duration = metrics.HTTP_SERVER_REQUEST_DURATION
    telemetry.took(duration, 0.1, 970, status_code="200")
    telemetry.took(duration, 0.1, 30, status_code="500")
    telemetry.keep()
    found = sections()["service_levels"]
    assert found["needs_attention"]
    assert "97 % of the requests went well" in found["answer"]
    assert "30.0 times the error budget was spent" in found["answer"]


def test_the_slowest_endpoints_come_first_unless_they_were_hardly_called(
    telemetry: Telemetry,
) -> None:
    telemetry.requests("/once/", 1, ms=9000)
    telemetry.requests("/search/", 30, ms=900)
    telemetry.requests("/", 300, ms=20)
    telemetry.keep()
    found = rows("slowest_endpoints")
    assert [row["endpoint"] for row in found] == ["GET /search/", "GET /"]


def test_tasks_statements_and_repeats_are_told(telemetry: Telemetry) -> None:
    trace = telemetry.statement("SELECT * FROM brand WHERE id = ?", 30, ms=4)
    telemetry.repeated("SELECT * FROM brand WHERE id = ?", trace, 30)
    telemetry.task("shop.tasks.mail", 3)
    for state, number in (("failure", 2.0), ("success", 1.0)):
        telemetry.measured(
            metrics.CELERY_TASK_EXECUTIONS,
            0.0,
            0.0,
            0.0,
            0.0,
            number,
            task_name="shop.tasks.mail",
            state=state,
        )
    telemetry.keep()
    found = sections("--since", "1h")
    (task,) = found["tasks"]["rows"]
    assert (task["task"], task["runs"], task["failed"]) == ("shop.tasks.mail", 3, 2)
    assert found["statements"]["rows"][0]["runs"] == 30
    assert found["n_plus_one"]["rows"][0]["place"] == "catalogue/views.py:41"


def test_errors_say_what_is_new(telemetry: Telemetry) -> None:
    stack = 'Traceback\n  File "shop/views.py", line 4, in pay\n    raise\nValueError: no'
    for name, ago_s in (("KeyError", 9 * DAY_S), ("KeyError", 60), ("ValueError", 60)):
        told: dict[str, Any] = {
            "exception__type": name,
            "exception__message": "no",
            "exception__stacktrace": stack,
        }
        time_ns = telemetry.now_ns - ago_s * 10**9
        telemetry.logs.accept([record("failed", level="error", time_ns=time_ns, **told)])
    telemetry.keep()
    found = {row["error"]: row["state"] for row in rows("errors")}
    assert found == {"KeyError: no": "", "ValueError: no": "new"}


def test_one_service_can_be_asked_for(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 40)
    telemetry.keep()
    assert rows("requests", "--service", "elsewhere")[0]["requests"] == 0
    assert rows("requests", "--service", "shop")[0]["requests"] == 40


# --- what is missing


@pytest.mark.parametrize("options", [(), ("--since", "1h"), ("--since", "400d", "--until", "9d")])
def test_an_empty_store_is_a_report_all_the_same(
    telemetry: Telemetry, options: tuple[str, ...]
) -> None:
    said = report(*options)
    assert "No requests were recorded." in said
    assert "No alert fired." in said


def test_only_a_site_that_says_where_its_pages_are_has_links_to_them(
    telemetry: Telemetry, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    told = report() + report("--html", str(file)) + file.read_text(encoding="utf-8")
    assert ("traces/?" in told, "href" in told) == (False, False)
    with ours(STORE=str(telemetry.path), ALERTS_SITE_URL="https://shop.example/m/"):
        assert re.findall(r"^\S+/traces/\?\S+$", report(), re.MULTILINE)
        assert "\nhttps://shop.example/m/?from=" in report()


def test_without_a_store_only_the_database_is_told_of() -> None:
    said = report()
    assert "No telemetry is kept here" in said
    assert "Health\n------" in said
    assert "Slowest endpoints" not in said


def test_a_store_that_is_not_there_or_damaged_is_said(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    for _ in range(2):
        with ours(STORE=str(path)):
            said = report()
        assert "No alert fired." in said
        path.write_bytes(b"\x00garbage" * 5000)
    assert "This is not known." in said


def test_a_section_that_cannot_be_made_is_told_under_its_usual_name(
    telemetry: Telemetry, tmp_path: Path
) -> None:
    whole = sections()
    damaged = tmp_path / "damaged.sqlite3"
    damaged.write_bytes(b"\x00garbage" * 5000)
    with ours(STORE=str(damaged)):
        broken = sections()
    assert "This is not known." in [each["answer"] for each in broken.values()]
    assert [(key, each["title"]) for key, each in broken.items()] == [
        (key, each["title"]) for key, each in whole.items()
    ]


def test_a_database_without_tables_is_said() -> None:
    with ours(DATABASE="nowhere"):
        said = report()
    assert said.count("can't be used (ConnectionDoesNotExist)") == 2


def test_a_range_longer_than_what_is_kept_is_said(tmp_path: Path) -> None:
    from tests.browser.stores import _write_old

    path = store_path(tmp_path)
    _write_old(path)
    with ours(STORE=str(path)):
        assert re.search(r"Telemetry is kept from .* on: .* of the 7 days", report())


# --- the database


def test_alerts_are_counted_by_rule_with_their_time_within_the_range() -> None:
    hour_ms = 3_600_000
    alert(ago_s=8 * DAY_S, over=True, resolved_ms=now_ms() - 7 * DAY_S * 1000 + hour_ms)
    alert(ago_s=600, acknowledged_ms=now_ms() - 300_000, labels={"service.name": "a"})
    alert("HighCpu", "warning", ago_s=7200, over=True)
    alert("DiskFull", ago_s=9 * DAY_S, over=True, resolved_ms=now_ms() - 8 * DAY_S * 1000)
    alert("HighMemory", ago_s=60, state="pending", fired_ms=None)
    errors, cpu = rows("alerts")
    assert (errors["rule"], errors["alerts"], errors["firing_now"]) == ("HighErrorRate", 2, 1)
    assert errors["firing_s"] == pytest.approx(3600 + 600, abs=30)
    assert errors["acknowledged_after_s"] == pytest.approx(300, abs=5)
    assert (cpu["rule"], cpu["acknowledged"]) == ("HighCpu", 0)
    assert cpu["firing_s"] == pytest.approx(7200, abs=30)
    assert "3 alerts, 2 of them critical; 1 still fires." in report()
    assert [row["rule"] for row in rows("alerts", "--service", "a")] == ["HighErrorRate"]


def test_health_is_a_share_of_the_snapshots_old_hours_included() -> None:
    now = datetime.now(timezone.utc)
    made = [
        ("check.cache", "healthy", 10, None),
        ("check.cache", "critical", 20, None),
        ("check.cpu", "healthy", 10, None),
        ("score", "healthy", 10, None),
        ("score", "critical", 20, None),
        ("check.cache", "critical", 60 * 30, {"healthy": 58, "warning": 0, "critical": 0}),
    ]
    for name, status, ago_min, counts in made:
        HealthMetric._base_manager.create(
            metric_name=name,
            metric_value={"value": 1.0, **(counts or {})},
            status=status,
            timestamp=now - timedelta(minutes=ago_min),
            hourly=counts is not None,
        )
    (row,) = rows("health")
    assert (row["check"], row["snapshots"]) == ("cache", 60)
    assert row["critical_share"] == pytest.approx(1 / 60)
    said = report()
    assert "1 of 2 checks were healthy all the time." in said
    assert "Snapshots of health cover < 0.1 % of the range" in said


# --- as what, and to whom


def hostile(folder: Path) -> Telemetry:
    """Of everything that a stranger can name, one."""
    made = Telemetry(folder)
    trace = made.statement(f"SELECT '{HOSTILE}'", 30)
    made.repeated(f"SELECT '{HOSTILE}'", trace, 30)
    made.requests(HOSTILE, 30)
    made.task(HOSTILE, 3)
    told: dict[str, Any] = {"exception__type": HOSTILE, "exception__message": HOSTILE}
    made.logs.accept([record("x", level="error", time_ns=made.now_ns - 60_000 * MS, **told)])
    point = NumberPoint((), 7.0, made.now_ns - 600_000 * MS, made.now_ns - 60_000 * MS)
    made.metrics.take([of(metric(point, name=HOSTILE, kind="gauge"), service=HOSTILE)])
    made.took(metrics.HTTP_SERVER_REQUEST_DURATION, 0.1, 90, status_code=HOSTILE)
    made.keep()
    alert(HOSTILE[:100], labels={"service.name": HOSTILE})
    return made


class Mended(HTMLParser):
    """Whatever could run, load or hide something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "img", "iframe", "object", "embed", "link", "form", "base"}:
            self.faults.append(tag)
        for name, value in attrs:
            if name.startswith("on") or (name == "href" and not (value or "").startswith("https:")):
                self.faults.append(f"{tag} {name}={value}")


def test_hostile_names_are_text_everywhere(tmp_path: Path) -> None:
    made = hostile(tmp_path)
    file = tmp_path / "report.html"
    with ours(STORE=str(made.path), ALERTS_SITE_URL="https://shop.example/m/"):
        said = report("--service", "")
        printed = report("--json", "--html", str(file))
    made.close()
    html = file.read_text(encoding="utf-8")
    assert Mended(html).faults == []
    assert "&lt;script&gt;" in html
    assert not UNSAFE.search(html.replace("\n", ""))
    assert not UNSAFE.search(said.replace("\n", ""))
    assert printed.isascii()
    assert not UNSAFE.search(printed.replace("\n", ""))
    assert file.stat().st_mode & 0o777 == 0o600


def test_it_is_mailed_as_text_and_html(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 40)
    telemetry.keep()
    with (
        stubs.mail_server() as (mailbox, port),
        override_settings(**mailer(port)),
        ours(STORE=str(telemetry.path), ALERT_EMAIL_TO="ops@shop.example"),
    ):
        assert report("--email") == "Sent to ops@shop.example.\n"
        report("--to", "ada@shop.example", "--to", "bo@shop.example")
        first, _ = mailbox.messages
    assert mailbox.recipients == [["ops@shop.example"], ["ada@shop.example", "bo@shop.example"]]
    assert re.match(r"[\w-]+: report, \d\d \w+ to \d\d \w+: all is well$", first["Subject"])
    plain, html = first.iter_parts()
    assert "40 requests" in plain.get_content()
    assert "<td" in html.get_content()
    assert "40 requests" in html.get_content()


def test_a_mail_server_that_refuses_is_said() -> None:
    with (
        stubs.mail_server() as (mailbox, port),
        override_settings(**mailer(port)),
        ours(ALERT_EMAIL_TO="ops@shop.example"),
    ):
        mailbox.refuse.append("554 no secret-word here")
        assert report("--email", code=1) == "The report was not sent: The mail server said 554.\n"


def test_without_anybody_to_mail_it_to_that_is_said() -> None:
    assert "set ALERT_EMAIL_TO" in report("--email", code=1)


def test_misuse_is_told(tmp_path: Path) -> None:
    assert "--since must be before" in report("--since", "1h", "--until", "2h", code=2)
    nowhere = str(tmp_path / "no" / "folder" / "x.html")
    assert "can't be written" in report("--html", nowhere, code=1)


def test_no_line_of_a_table_is_wider_than_wanted(telemetry: Telemetry) -> None:
    telemetry.requests("/a/" + "very-long/" * 40, 30)
    telemetry.keep()
    section = report().partition("Slowest endpoints")[2].partition("Errors")[0]
    assert max(map(len, section.splitlines()[3:5])) <= 160


# --- weekly


class SetClock:
    """A clock that is set by hand."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now_ns(self) -> int:
        return int(self.moment.timestamp() * 1e9)

    def monotonic_s(self) -> float:
        return self.moment.timestamp()


MONDAY = datetime(2026, 11, 16, 7, 0)  # noqa: DTZ001 - in the site's zone


def weekly(clock: SetClock, **changes: Any) -> Weekly:
    """One process's."""
    with ours(REPORT_WEEKLY="mon 07:00", ALERT_EMAIL_TO="ops@shop.example", **changes):
        settings = conf.from_django()
    return Weekly(settings, DatabaseBoard("default"), clock)


def on_a_thread(work: Callable[[], bool]) -> bool:
    """As the service does it: its connections end with the thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_each_weeks_report_is_mailed_once_by_one_of_all_processes() -> None:
    clock = SetClock(MONDAY - timedelta(seconds=1))
    first, second = weekly(clock), weekly(clock)
    with stubs.mail_server() as (mailbox, port), override_settings(**mailer(port)):
        sent = []
        for after in (0, 1, 61, 3600, 86_400 * 3, 604_801):
            clock.moment = MONDAY + timedelta(seconds=after - 1)
            sent += [on_a_thread(first.send_if_due), on_a_thread(second.send_if_due)]
            sent.append(on_a_thread(weekly(clock).send_if_due))  # started anew
        subjects = [each["Subject"] for each in mailbox.messages]
    assert sent == [False] * 3 + [True] + [False] * 11 + [True] + [False] * 2
    assert re.search(r"report, 09 Nov to 16 Nov: ", subjects[0])
    assert re.search(r"report, 16 Nov to 23 Nov: ", subjects[1])


def test_a_report_that_could_not_be_sent_is_sent_later_the_same_day() -> None:
    clock = SetClock(MONDAY)
    one = weekly(clock)
    with stubs.mail_server() as (mailbox, port), override_settings(**mailer(port)):
        mailbox.refuse.append("451 not now")
        assert not on_a_thread(one.send_if_due)
        clock.moment += timedelta(hours=23)
        assert on_a_thread(one.send_if_due)
        (only,) = mailbox.messages
    assert "09 Nov to 16 Nov" in only["Subject"]


def test_of_a_day_too_late_nothing_is_sent() -> None:
    clock = SetClock(MONDAY + timedelta(hours=24))
    assert not on_a_thread(weekly(clock).send_if_due)


def test_a_site_that_wants_no_weekly_report_has_no_duty_for_it() -> None:
    clock = SetClock(MONDAY)
    assert duties(conf.from_django(), clock) == ()
    with ours(REPORT_WEEKLY="fri 18:30", ALERT_EMAIL_TO="ops@shop.example"):
        settings = conf.from_django()
    assert settings.report_weekly == (4, 18, 30)
    assert [each.name for each in duties(settings, clock)] == ["report"]
