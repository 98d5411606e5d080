"""The dashboard: a row for each part of the system, what is behind it, and the same as JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from otel_django import conf
from otel_django import metric_definitions as metrics
from otel_django.health import active as health
from otel_django.health.results import CheckError, Result
from otel_django.health.snapshots import take_snapshot
from otel_django.metric_points import HistogramPoint, MetricDefinition
from otel_django.models import CustomMetric, HealthMetric, SystemAlert
from otel_django.viewer.board.snapshot import figures
from tests.alerts_kit import alert, staff
from tests.browser.stores import damage
from tests.endpoints_kit import by_token, ours
from tests.health_kit import Add, only_checks_of_the_test, site_checks
from tests.store_logs import record
from tests.store_metrics import metric, of
from tests.tables_kit import HOSTILE, Telemetry, page, rows, site
from tests.viewer_kit import text

PATH = "dashboard/"
MINUTE_NS = 60 * 10**9


@pytest.fixture(autouse=True)
def telemetry(tmp_path: Path, migrated: Path) -> Iterator[Telemetry]:
    """Of the built-in checks only that of the database stays, which tests replace."""
    for model in (SystemAlert, CustomMetric, HealthMetric, User):
        model._base_manager.all().delete()
    with site(tmp_path) as made, only_checks_of_the_test(tmp_path / "run"):
        others = [name for name in conf.from_django().health_disabled if name != "database"]
        with ours(HEALTH_DISABLED=others):
            yield made


@pytest.fixture
def add() -> Iterator[Add]:
    with site_checks() as adds:
        yield adds


def row(html: str, title: str) -> str:
    return next(each for each in rows(html) if re.search(rf"\b{title}\b", each.split("  ")[0]))


def served(telemetry: Telemetry, *hours: tuple[float, int, int]) -> None:
    """Requests: how long ago (min), how many a minute, how many of them failed; for ten minutes."""
    what = metrics.HTTP_SERVER_REQUEST_DURATION
    bounds = what.bounds
    start_ns = telemetry.now_ns - 100 * MINUTE_NS
    totals = {"200": 0, "500": 0}
    for minute in range(100, -1, -1):
        for ago, many, failed in hours:
            if ago <= minute < ago + 10:
                totals["200"] += many - failed
                totals["500"] += failed
        for status, total in totals.items():
            counts = [0] * (len(bounds) + 1)
            counts[bounds.index(0.1)] = total
            attributes = (("http.response.status_code", status), ("http.route", "/cart/"))
            time_ns = telemetry.now_ns - minute * MINUTE_NS
            point = HistogramPoint(attributes, tuple(counts), 0.08 * total, start_ns, time_ns)
            made = metric(point, name=what.name, kind=what.kind, bounds=bounds)
            telemetry.metrics.take([of(made)])
    telemetry.keep()


def level(
    telemetry: Telemetry, what: MetricDefinition, ago: float, now: float, **of_it: str
) -> None:
    """A gauge that was one thing until half an hour ago, and another since."""
    telemetry.measured(what, *[ago] * 50, *[now] * 30, **of_it)


def asked(path: str = f"{PATH}?format=json", **headers: str) -> Any:
    return by_token().get(f"/monitoring/{path}", headers=headers)


def part(name: str) -> Any:
    return next(each for each in asked().json()["parts"] if each["name"] == name)


# --- rows


def test_each_part_has_a_row_and_where_all_is_well_the_first_line_says_so(add: Add) -> None:
    add("database", Result)
    html = page(PATH)
    assert text(html).startswith("All is well; health 100 of 100")
    titles = re.findall(r'<th scope="row"><a[^>]*>(\w+)', html)
    assert titles == ["Site", "Database", "Cache", "Celery", "API", "Host", "Alerts"]
    assert rows(html)[2].startswith("✓ healthy Database")
    assert rows(html)[3].startswith("– not seen Cache")


def test_a_figure_stands_with_its_change_against_an_hour_ago(telemetry: Telemetry) -> None:
    served(telemetry, (60, 60, 0), (0, 120, 6))
    level(telemetry, metrics.DJANGO_DB_SIZE, 4e6, 5e6, db_alias="default")
    telemetry.keep()
    html = page(PATH)
    site_row = row(html, "Site")
    assert "Requests 2/s +100 %" in site_row
    assert re.search(r"Failed 5(\.0)? %", site_row)
    assert "+5 points" in site_row
    assert "p95 9" in site_row
    assert "Size 5.0 MB +25 %" in row(html, "Database")
    assert "<polyline" in html


def test_a_figure_over_the_threshold_of_an_alert_rule_colours_its_part(
    telemetry: Telemetry,
) -> None:
    served(telemetry, (0, 60, 6))
    found = part("site")
    assert (found["status"], found["figures"][1]["status"]) == ("unhealthy", "unhealthy")
    said = r"Failed 10(\.0)? %: critical above 5 %"
    assert re.fullmatch(said, found["reason"])
    assert re.match(rf"Degraded: Site unhealthy \({said}\)", text(page(PATH)))


def test_thresholds_are_the_sites_own(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(telemetry, (0, 60, 6))
    monkeypatch.setenv("OTEL_DJANGO_ALERT_HIGH_ERROR_RATE_CRITICAL", "30")
    with ours():
        assert part("site")["status"] == "degraded"


def test_what_a_check_found_is_said_and_how_long_ago(add: Add) -> None:
    def refuses() -> Result:
        raise CheckError("connection refused")

    add("database", refuses)
    html = page(PATH)
    assert text(html).startswith("Unhealthy: Database unhealthy (database: connection refused)")
    assert re.search(
        r"✗ unhealthy Database database: connection refused .*just now", row(html, "Database")
    )


def test_a_check_of_the_sites_own_that_it_can_do_without_only_degrades_it(add: Add) -> None:
    add("search", lambda: Result("unhealthy", "no answer"), critical=False)
    assert (part("site")["status"], part("site")["reason"]) == ("degraded", "search: no answer")


def test_the_newest_errors_of_the_logs_stand_below(telemetry: Telemetry) -> None:
    telemetry.logs.accept([record("payment refused", level="error", time_ns=telemetry.now_ns)])
    telemetry.logs.accept([record("paid", level="info", time_ns=telemetry.now_ns)])
    telemetry.keep()
    html = text(page(PATH))
    assert "payment refused" in html.partition("Newest errors")[2]
    assert "paid" not in html.partition("Newest errors")[2].replace("payment", "")


def test_an_error_of_the_logs_says_its_first_fields_and_opens_among_the_lines_around_it(
    telemetry: Telemetry,
) -> None:
    fields: dict[str, Any] = {"http__request__method": "POST", "url__path": "/checkout/"}
    telemetry.logs.accept([record("broke", level="error", time_ns=telemetry.now_ns, **fields)])
    telemetry.keep()
    html = page(PATH)
    assert "broke method POST path /checkout/" in text(html)
    [address] = re.findall(r'<a href="[^"]*/(logs/[^"]*\bat=[^"]*)">broke', html)
    assert "method POST" in text(page(unescape(address)))


def test_hostile_texts_are_shown_as_texts(telemetry: Telemetry, add: Add) -> None:
    add("database", lambda: Result("degraded", HOSTILE))
    telemetry.logs.accept([record(HOSTILE, level="error", time_ns=telemetry.now_ns)])
    level(telemetry, metrics.DJANGO_DB_SIZE, 1, 2, db_alias=HOSTILE)
    telemetry.keep()
    alert(HOSTILE[:90], message=HOSTILE)
    CustomMetric._base_manager.create(name="Hostile", title=HOSTILE, metric=HOSTILE, form="rate")
    for path in (PATH, f"{PATH}database/", f"{PATH}alerts/"):
        html = page(path)
        assert "<script>alert" not in html
        assert not {"\u202e", "\x07"} & set(html)


# --- alerts


def test_an_alert_colours_its_part_and_can_be_acknowledged_by_who_may() -> None:
    fired = alert("NoWorkers", message="Tasks wait and 0 workers are alive")
    client = staff("acknowledge_alerts", csrf=True)
    html = page(PATH, client)
    assert text(html).startswith("Unhealthy: Celery unhealthy (Tasks wait and 0 workers are alive)")
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', html.partition("alerts")[2])
    assert token is not None
    where = f"/monitoring/{PATH}alerts/"
    form = {"acknowledge": fired.fingerprint, "dashboard": "1"}
    assert client.post(where, form).status_code == 403
    assert SystemAlert._base_manager.get().acknowledged_by == ""
    answer = client.post(where, {**form, "csrfmiddlewaretoken": token[1]})
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/monitoring/{PATH}")
    assert SystemAlert._base_manager.get().acknowledged_by == "ada"
    assert "ada takes care of it" in text(page(PATH, client))


def test_the_worst_is_said_first_be_it_a_figure_or_an_alert(telemetry: Telemetry) -> None:
    served(telemetry, (0, 60, 2))
    alert("VeryHighResponseTime", message="One in 100 takes longer than 5 s")
    assert part("site")["reason"] == "One in 100 takes longer than 5 s"


def test_what_a_title_says_is_not_said_again(telemetry: Telemetry) -> None:
    state = {"worker_state": "online"}
    telemetry.measured(metrics.CELERY_WORKERS, *[3] * 5, **state)
    telemetry.measured(metrics.CELERY_QUEUE_LENGTH, *[2] * 5, messaging_destination_name="mail")
    telemetry.keep()
    assert re.search(r"Waiting 2 messages .*Workers 3 ", row(page(PATH), "Celery"))


def test_who_may_not_acknowledge_sees_alerts_without_a_button_and_changes_nothing() -> None:
    fired = alert()
    client = staff()
    assert "HighErrorRate" in page(PATH, client)
    assert 'name="acknowledge"' not in page(PATH, client)
    refused = client.post(f"/monitoring/{PATH}alerts/", {"acknowledge": fired.fingerprint})
    assert refused.status_code == 404
    assert SystemAlert._base_manager.get().acknowledged_by == ""


# --- metrics of the users


def test_a_custom_metric_is_a_card_with_its_state(telemetry: Telemetry) -> None:
    level(telemetry, metrics.CELERY_QUEUE_LENGTH, 2, 9, messaging_destination_name="mail")
    telemetry.measured(metrics.DJANGO_API_REQUESTS, *range(0, 4800, 60), http_route="/api/")
    telemetry.keep()
    CustomMetric._base_manager.create(
        name="MailQueue",
        title="Mail that waits",
        metric="celery.queue.length",
        form="level",
        unit="{mail}",
        warning=5,
    )
    CustomMetric._base_manager.create(
        name="Paid", metric="django.api.requests", form="rate", unit="{order}/s"
    )
    CustomMetric._base_manager.create(name="Unknown", metric="orders.placed", form="rate")
    html = text(page(PATH))
    assert re.search(r"Mail that waits shop 9 mails, degraded \+350 %", html)
    assert re.search(r"Paid shop [\d.]+/(s|min) ", html)
    assert "its kind must be given" in html
    [card, _, other] = asked().json()["custom"]
    assert (card["status"], card["figures"][0]["value"]) == ("degraded", 9)
    assert (other["status"], other["figures"]) == ("unknown", [])


# --- behind a row


def test_a_part_shows_all_its_figures_and_what_it_is_made_of(telemetry: Telemetry) -> None:
    served(telemetry, (0, 60, 6))
    html = page(f"{PATH}site/")
    assert re.match(r"Dashboard Site: unhealthy, Failed 10(\.0)? %: critical above", text(html))
    of_cart = r"/cart/ [56]\d\d 10(\.0)? % [56]\d\d 10(\.0)? % 9\d ms"
    assert any(re.match(of_cart, each) for each in rows(html))
    assert not any(each.startswith("All ") for each in rows(html))
    assert 'data-chart="trend-0"' in html


def test_a_host_is_told_of_with_its_network_and_each_disk(telemetry: Telemetry) -> None:
    disk = {"filesystem_mountpoint": "/data", "system_device": "sda1"}
    for state, size in (("used", 75e9), ("free", 20e9), ("reserved", 5e9)):
        telemetry.measured(
            metrics.SYSTEM_FILESYSTEM_USAGE, *[size] * 5, filesystem_state=state, **disk
        )
    telemetry.measured(metrics.SYSTEM_FILESYSTEM_UTILIZATION, *[0.8] * 5, **disk)
    for direction, a_minute in (("receive", 60e3), ("transmit", 600e3)):
        so_far = [number * a_minute for number in range(30)]
        way = {"interface_name": "eth0", "io_direction": direction}
        telemetry.measured(metrics.SYSTEM_NETWORK_IO, *so_far, **way)
    telemetry.keep()
    html = page(f"{PATH}host/")
    assert "Received 1.0 kB/s Sent 10 kB/s" in text(html)
    assert any(re.match(r"/data .*80 % 20 GB 95 GB", each) for each in rows(html))


def test_routes_stand_below_what_all_of_them_come_to(telemetry: Telemetry) -> None:
    for route, many in (("/cart/", 30), ("/pay/", 10)):
        what = metrics.HTTP_SERVER_REQUEST_DURATION
        telemetry.took(what, 0.1, many, http_route=route, response_status_code="200")
    telemetry.keep()
    found = [each.split()[:2] for each in rows(page(f"{PATH}site/"))]
    assert [each for each in found if each[0] in {"All", "/cart/", "/pay/"}] == [
        ["All", "40"],
        ["/cart/", "30"],
        ["/pay/", "10"],
    ]


def test_tasks_that_failed_are_counted(telemetry: Telemetry) -> None:
    telemetry.measured(metrics.CELERY_TASK_EXECUTIONS, *range(50), task_state="failure")
    telemetry.keep()
    assert re.search(r"Failed, 1 h (49|50) tasks", text(page(f"{PATH}celery/")))


def test_trends_go_back_as_far_as_snapshots_do() -> None:
    now = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    for days, value in ((1, 0.25), (10, 0.5), (25, 0.75)):
        HealthMetric._base_manager.create(
            metric_name="host.cpu",
            metric_value={"value": value},
            status="healthy",
            timestamp=now - timedelta(days=days),
            hourly=days > 1,
        )
    answer = asked(f"{PATH}host/?range=30d&export=json")
    [cpu] = [each for each in json.loads(answer.content)["trends"] if each["name"] == "host.cpu"]
    assert [point["value"] for point in cpu["points"]] == [0.75, 0.5, 0.25]
    assert "30d" in page(f"{PATH}host/?range=7d")


def test_figures_are_kept_beyond_the_store(telemetry: Telemetry) -> None:
    served(telemetry, (0, 60, 6))
    now = datetime.now(timezone.utc)
    engine = health.engine()
    kept = figures(conf.from_django(), telemetry.path, telemetry.now_ns)
    share, state = kept["site.failed"]
    assert share == pytest.approx(0.1)
    assert state == "unhealthy"
    assert "cache.hits" not in kept
    take_snapshot(engine, now, kept)
    take_snapshot(engine, now - timedelta(days=20), {**kept, "site.requests": (7.0, "healthy")})
    assert HealthMetric._base_manager.filter(metric_name="site.failed", status="critical").exists()

    def requests(length: str) -> Any:
        found = json.loads(asked(f"{PATH}site/?range={length}&export=json").content)["trends"]
        [one] = [each for each in found if each["name"] == "site.requests"]
        return [point["value"] for point in one["points"]]

    assert requests("30d")[0] == 7.0
    assert 7.0 not in requests("1h")
    # Where snapshots don't reach further, what the store has is denser.
    assert len(requests("1h")) > 5


def test_a_trend_that_begins_within_its_range_says_since_when(telemetry: Telemetry) -> None:
    served(telemetry, (0, 60, 0))
    late = '<h2>Requests <span class="quiet">· since <time'
    assert late in page(f"{PATH}site/?range=7d")
    assert late not in page(f"{PATH}site/")


def test_what_goes_on_by_itself_leaves_the_charts_alone(telemetry: Telemetry) -> None:
    served(telemetry, (0, 60, 0))
    poll = re.search(r'hx-get="([^"]+)"', page(f"{PATH}site/"))
    assert poll is not None
    again = page(poll[1].removeprefix("/monitoring/"))
    assert "Endpoints" in again
    assert "data-chart" not in again


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_trend_can_be_taken_along(telemetry: Telemetry, form: str) -> None:
    served(telemetry, (0, 60, 0))
    answer = asked(f"{PATH}site/?export={form}")
    assert re.fullmatch(
        rf'attachment; filename="dashboard-site-\d+T\d+Z\.{form}"',
        answer.headers["Content-Disposition"],
    )
    if form == "json":
        points = json.loads(answer.content)["trends"][0]["points"]
        values = [point["value"] for point in points]
    else:
        table = list(csv.DictReader(io.StringIO(answer.content.decode())))
        values = [float(each["value"]) for each in table if each["name"] == "site.requests"]
    assert max(values) == pytest.approx(1.0, abs=0.3)


def test_a_part_that_there_is_not_is_a_404() -> None:
    page(f"{PATH}nothing/", status=404)


# --- as JSON


def test_the_answer_is_not_sent_again_while_nothing_has_changed(add: Add) -> None:
    add("database", Result)
    tag = asked().headers["ETag"]
    again = asked(**{"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    alert()
    by_token().post("/monitoring/cache/clear/")
    assert asked(**{"if-none-match": tag}).status_code == 200


def test_what_takes_long_is_made_once_for_all_who_ask(telemetry: Telemetry, add: Add) -> None:
    looks: list[int] = []

    def counts() -> Result:
        looks.append(1)
        return Result()

    add("database", counts)
    stamps = {asked().json()["timestamp"] for _ in range(5)}
    page(PATH)
    assert (len(stamps), len(looks)) == (1, 1)


# --- in part


def test_what_cannot_be_read_leaves_the_other_cards_standing(
    telemetry: Telemetry, add: Add
) -> None:
    served(telemetry, (0, 60, 0))
    telemetry.logs.accept([record("payment refused", level="error", time_ns=telemetry.now_ns)])
    telemetry.keep()
    damage(telemetry.path, "metric_", "point_")
    add("database", Result)
    html = page(PATH)
    assert "✓ healthy Database" in row(html, "Database")
    assert part("site")["missing"]
    assert part("database")["status"] == "healthy"
    assert "payment refused" in html


def test_without_a_store_the_state_stands_and_figures_of_this_host(add: Add) -> None:
    add("database", lambda: Result("degraded", "slow"))
    with ours(STORE="off"):
        html = page(PATH)
        assert "Nothing is kept here" in text(html)
        assert "! degraded Database database: slow" in row(html, "Database")
        assert "OTEL_DJANGO_STORE=on" in page(f"{PATH}host/")


# --- live


def test_it_goes_on_by_itself_until_asked_not_to() -> None:
    assert 'hx-trigger="every 5s"' in page(PATH)
    assert "hx-trigger" not in page(f"{PATH}?live=0")
    again = by_token().get(f"/monitoring/{PATH}", headers={"accept": "*/*", "hx-request": "true"})
    assert 'id="now"' in again.content.decode()
