"""The overview."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from otel_django import metric_definitions, names
from otel_django.errors import ReadTimeoutError
from otel_django.health import active
from otel_django.health.results import Result
from otel_django.metric_points import NumberPoint
from otel_django.roll_ups import Release
from otel_django.viewer import chart
from otel_django.viewer.errors_state import Decision, decide
from otel_django.viewer.parts import Parts
from otel_django.viewer.ranges import TimeRange
from tests import viewer_kit
from tests.endpoints_kit import by_token
from tests.health_kit import only_checks_of_the_test, site_checks
from tests.store_metrics import counter, metric, of
from tests.store_spans import MS
from tests.viewer_kit import MINUTE_NS, at_second, shown, text

HOSTILE = "<script>alert(1)</script>\u202e\x07"
DAY_S = 86_400


class Telemetry(viewer_kit.Telemetry):
    """What the page reads."""

    def requests(
        self, route: str, count: int = 1, *, ago_s: float = 120, status: int = 200, ms: float = 20
    ) -> None:
        start = self.now_ns - int(ago_s * 1e9)
        for _ in range(count):
            self.spans.request(route, start=start, status=status, duration_ms=ms, queries=0)

    def failing(self, route: str, message: str) -> None:
        start = self.now_ns - 60_000 * MS
        root = self.spans.root(f"GET {route}", start=start, http__route=route)
        try:
            raise ValueError(message)
        except ValueError as error:
            root.record_exception(error)
        root.fail("ValueError")
        root.end(start + 5 * MS)

    def number(self, name: str, value: float, kind: Any = "counter", **labels: str) -> None:
        """A process that has begun two minutes ago has counted so much."""
        attributes = tuple((key.replace("__", "."), label) for key, label in sorted(labels.items()))
        began_ns = self.now_ns - 120_000 * MS
        point = NumberPoint(attributes, value, began_ns, self.now_ns)
        self.metrics.take([of(metric(point, name=name, kind=kind))])


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    with shown(Telemetry(tmp_path, 48)) as made, only_checks_of_the_test(tmp_path / "run"):
        yield made


def page(path: str = "", status: int = 200) -> str:
    response = by_token().get(f"/{path}")
    assert response.status_code == status
    return response.content.decode()


def drawn(html: str, name: str) -> dict[str, Any]:
    """What the script draws."""
    found = re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', html)
    assert found is not None
    chart: dict[str, Any] = json.loads(found[1])
    return chart


def test_an_empty_store_says_what_to_do(telemetry: Telemetry) -> None:
    assert text(page()).startswith("Nothing was called, last hour Nothing was called in this range")


def test_one_line_says_how_much_is_called_fails_and_takes_how_long(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 240)
    telemetry.requests("/checkout/", 60, status=500, ms=2000)
    telemetry.keep()
    with at_second(telemetry, 0):
        assert re.match(r"5 requests/min, 20 % failed, p95 \d", text(page()))


@pytest.mark.parametrize("second", [0, 29, 31, 59])
def test_a_rate_is_by_the_time_that_its_calls_are_of(telemetry: Telemetry, second: int) -> None:
    """Calls are kept by the minute: those before the range in its first one are counted too."""
    this_minute_s = telemetry.now_ns // MINUTE_NS * 60
    for minute in range(20):
        if minute or second > 30:
            ago_s = telemetry.now_ns / 1e9 - (this_minute_s - minute * 60 + 30)
            telemetry.requests("/search/", ago_s=ago_s, status=500)
    telemetry.keep()
    with at_second(telemetry, second):
        html = page("?range=15m")
        of_the_past = page(f"?from={this_minute_s - 600}030&to={this_minute_s - 300}030")
        (endpoint,) = re.findall(r'href="(/endpoints/[^"]+of=shop)"', html)
        address = unescape(endpoint)[1:]
        pages = [html, of_the_past, page("endpoints/?range=15m"), page(address)]
        assert [re.findall(r"\b1(?:\.0)? ?(?:request)?/min", text(each))[:1] for each in pages] == [
            ["1 request/min"],
            ["1 request/min"],
            ["1/min"],
            ["1/min"],
        ]
        assert drawn(of_the_past, "rates")["series"][0]["points"] == pytest.approx([1.0] * 6)


def test_it_is_compared_with_the_same_time_yesterday(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 30, ago_s=DAY_S + 120, ms=20)
    telemetry.requests("/search/", 30, ms=900)
    telemetry.keep()
    assert re.search(r'class="warn">p95 \d+ ms</a> \(yesterday \d\d ms\)', page())


def test_a_handful_of_calls_yesterday_says_nothing(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 3, ago_s=DAY_S + 120)
    telemetry.requests("/search/", 30)
    telemetry.keep()
    assert "yesterday" not in page()


def test_dots_of_the_slowest_requests_open_their_traces(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 1, ms=800)
    telemetry.keep()
    (dot,) = drawn(page(), "percentiles")["dots"]
    assert dot["value"] == pytest.approx(0.8)
    assert re.match(r"/traces/[0-9a-f]{32}/", dot["address"])


def test_the_slowest_endpoints_and_newest_errors_lead_to_their_pages(telemetry: Telemetry) -> None:
    telemetry.requests("/quick/", 5)
    telemetry.requests("/slow/", 5, ms=3000)
    telemetry.failing("/checkout/", "no address")
    telemetry.keep()
    html = page("?range=15m")
    seen = text(html)
    assert seen.index("GET /slow/") < seen.index("GET /quick/")
    assert 'href="/endpoints/?range=15m&amp;endpoint=GET+%2Fslow%2F&amp;of=shop"' in html
    assert "ValueError no address" in seen
    assert re.search(r'href="/errors/[0-9a-f]{16}/\?range=15m"', html)


def test_own_metrics_are_told_with_their_course_and_lead_to_the_explorer(
    telemetry: Telemetry,
) -> None:
    telemetry.number("orders.placed", 7)
    telemetry.number("carts.open", 3, "gauge")
    telemetry.number("django.exceptions", 5)
    telemetry.keep()
    html = page()
    assert "carts.open 3 orders now orders.placed 7 orders in the range" in text(html)
    assert "django.exceptions" not in text(html)
    assert 'href="/metrics/explore/?metric=orders.placed"' in html


def test_telemetry_says_what_it_costs_and_what_it_has_lost(telemetry: Telemetry) -> None:
    dropped = {"otel_django__signal": "spans", "otel_django__cause": "queue_full"}
    assert set(dropped) == {
        name.replace(".", "__") for name in (names.OTEL_DJANGO_SIGNAL, names.OTEL_DJANGO_CAUSE)
    }
    telemetry.number(metric_definitions.OTEL_DJANGO_OVERHEAD_RATIO.name, 0.013, "gauge")
    telemetry.number(metric_definitions.OTEL_DJANGO_DROPPED.name, 12, **dropped)
    telemetry.keep()
    assert "1.3 % of a processor 12 spans lost queue_full" in text(page())


def test_nothing_lost_is_said(telemetry: Telemetry) -> None:
    assert "not measured in this range nothing lost" in text(page())


def test_health_is_what_the_checks_said_last_and_none_is_asked(telemetry: Telemetry) -> None:
    asked = []

    def full() -> Result:
        asked.append("warehouse")
        return Result("degraded", "91 % used")

    with site_checks() as add:
        add("warehouse", full)
        add("till", Result, critical=False)
        assert "No check has been asked yet" in text(page())
        active.engine().report(within_s=10)
        assert asked == ["warehouse"]
        seen = text(page())
    assert "health 63 of 100" in seen
    assert "warehouse degraded 91 % used" in seen
    assert "the others healthy till" in seen
    assert asked == ["warehouse"]


def test_only_the_chosen_service_is_told_of(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 5)
    telemetry.keep()
    assert text(page("?service=mail")).startswith("Nothing was called")
    assert "GET /search/" in text(page("?service=shop"))


def test_where_there_are_no_requests_everything_else_counts(telemetry: Telemetry) -> None:
    start = telemetry.now_ns - 60_000 * MS
    task = telemetry.spans.root("process shop.tasks.confirm", start=start, kind=SpanKind.CONSUMER)
    task.end(start + 40 * MS)
    telemetry.keep()
    with at_second(telemetry, 0):
        assert text(page()).startswith("1 call/h, 0 % failed")


def test_deployments_are_versions_that_follow_another_one() -> None:
    releases = [
        Release("shop", "1.0", 5, 50),
        Release("shop", "1.1", 20, 60),
        Release("mail", "7", 30, 60),
        Release("shop", "1.2", 400, 500),
    ]
    came = chart.deployments(releases, TimeRange(10, 100, ""))
    assert [each.version for each in came] == ["1.1"]
    assert chart.marks(came) == [{"time": 2e-08, "name": "1.1"}]


def test_a_part_that_cannot_be_read_leaves_the_others_standing() -> None:
    def late() -> int:
        raise ReadTimeoutError("the store had no answer within 2 s")

    parts = Parts()
    assert parts.ask("Endpoints", late) is None
    assert parts.ask("Errors", lambda: 3) == 3
    assert parts.ask("metrics", late) is None
    parts.say("")
    parts.say("only the first")
    assert parts.notes == [
        "Endpoints, metrics: the store had no answer within 2 s",
        "only the first",
    ]


def test_small_lines_have_gaps_and_begin_at_nothing() -> None:
    assert chart.spark([0, 2, None, 1, 1]) == ["0.0,23.0 25.0,1.0", "75.0,12.0 100.0,12.0"]
    assert chart.spark([]) == []
    assert chart.spark([0, 0]) == ["0.0,23.0 100.0,23.0"]


def test_hostile_names_are_shown_as_text(telemetry: Telemetry) -> None:
    telemetry.requests(f"/{HOSTILE}/", 2)
    telemetry.failing(f"/{HOSTILE}/", HOSTILE + "x" * 1_000_000)
    telemetry.metrics.take([of(counter(5, telemetry.now_ns, name=HOSTILE))])
    telemetry.keep()
    html = page()
    assert "<script>alert" not in html
    assert "\u202e" not in text(html)
    assert "\x07" not in text(html)
    assert len(html) < 200_000


def test_it_is_made_anew_every_ten_seconds_only_while_it_is_live(telemetry: Telemetry) -> None:
    assert "hx-get" not in page()
    assert 'id="live" class="live" href="/?live=1"' in page()
    assert 'hx-get="/?live=1" hx-trigger="every 10s"' in page("?live=1")
    assert "hx-get" not in page("?live=1&from=1000&to=2000")


@pytest.mark.usefixtures("database")
def test_errors_that_were_ignored_or_resolved_are_left_to_their_own_page(
    telemetry: Telemetry,
) -> None:
    telemetry.failing("/checkout/", "no address")
    telemetry.keep()
    found = re.search(r"/errors/([0-9a-f]{16})/", page())
    assert found is not None
    decide("default", found[1], Decision("ignored", "ada", time.time_ns(), ""))
    assert "No exceptions that are open, last hour." in text(page())
