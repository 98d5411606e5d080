"""The page of metrics."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from otel_django.metric_points import (
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    Kind,
    Metric,
    NumberPoint,
    Point,
)
from otel_django.viewer import units
from otel_django.viewer.chart import Line
from otel_django.viewer.chart import chart as draw
from tests import viewer_kit
from tests.endpoints_kit import by_token
from tests.store_metrics import BOUNDS, metric, of
from tests.viewer_kit import shown

HOSTILE = "<script>alert(1)</script>\u202e\x07"
SECOND = 10**9
EXPLORE = "metrics/explore/"


class Telemetry(viewer_kit.Telemetry):
    """Points of the last five minutes, a process that began then."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.began_ns = self.now_ns - 310 * SECOND

    def put(self, *metrics: Metric, service: str = "shop", instance: str = "one") -> None:
        self.metrics.take([of(*metrics, service=service, instance=instance)])
        self.keep()

    def number(
        self, name: str, value: float, kind: Kind = "counter", ago_s: int = 0, **labels: Any
    ) -> None:
        at_ns = self.now_ns - ago_s * SECOND
        attributes = tuple((key.replace("__", "."), value) for key, value in sorted(labels.items()))
        self.put(metric(NumberPoint(attributes, value, self.began_ns, at_ns), name=name, kind=kind))

    def growing(self, name: str, by: int, **labels: Any) -> None:
        """A counter that has grown by so much every ten seconds for 100 seconds."""
        for number in range(11):
            self.number(name, by * number, ago_s=110 - 10 * number, **labels)

    def histogram(self, *counts: int, ago_s: int = 0, trace_id: int = 0, route: str = "/") -> None:
        at_ns = self.now_ns - ago_s * SECOND
        told = (Exemplar(2.5, at_ns - SECOND, trace_id, 7),) if trace_id else ()
        labels = (("http.route", route),)
        total = 2.0 * sum(counts)
        point = HistogramPoint(labels, counts, total, self.began_ns, at_ns, exemplars=told)
        self.put(self.durations(point))

    def durations(self, *points: Point) -> Metric:
        made = metric(*points, name="http.wait", kind="histogram", bounds=BOUNDS)
        return made._replace(unit="s", description="How long.")


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    with shown(Telemetry(tmp_path)) as made:
        yield made


def page(path: str, status: int = 200) -> str:
    response = by_token().get(f"/{path}")
    assert response.status_code == status
    return response.content.decode()


def text(html: str) -> str:
    """What a reader sees of it, on one line."""
    main = html.partition('<main id="main">')[2].partition("</main>")[0] or html
    bare = re.sub(r"<script.*?</script>|<[^>]+>", " ", main, flags=re.DOTALL)
    return " ".join(unescape(bare).split())


def rows(html: str) -> list[str]:
    """The rows of the first table's body, as a reader sees them."""
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    return [text(row) for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)]


def chart(html: str, name: str = "metric-chart") -> dict[str, Any]:
    """What the script draws."""
    found = re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', html)
    assert found is not None
    drawn: dict[str, Any] = json.loads(found[1])
    return drawn


def values(html: str, name: str) -> list[float]:
    (line,) = [each for each in chart(html)["series"] if each["name"] == name]
    return [value for value in line["points"] if value is not None]


def test_without_metrics_it_says_when_they_come(telemetry: Telemetry) -> None:
    assert "No metrics yet." in text(page(EXPLORE))


def test_metrics_are_listed_by_subject_a_sites_own_first(telemetry: Telemetry) -> None:
    telemetry.number("db.client.connection.count", 1, "up_down_counter")
    telemetry.number("orders.placed", 1)
    telemetry.number("celery.queue.length", 1, "gauge")
    html = page(EXPLORE)
    assert re.findall("<h2>(.*?)</h2>", html.partition("<main")[2].partition("</main")[0]) == [
        "Your own",
        "Celery",
        "Databases",
    ]
    assert text(html).startswith("3 metrics; 1 of your own")
    assert rows(html) == ["orders.placed counter order What was ordered."]


def test_units_and_descriptions_are_shown_without_their_marks(telemetry: Telemetry) -> None:
    described = telemetry.durations()._replace(unit="{query}", description="More than `SLOW_MS`.")
    point = HistogramPoint((), (1, 0, 0), 2.0, telemetry.began_ns, telemetry.now_ns)
    telemetry.put(described._replace(points=(point,)))
    assert rows(page(EXPLORE)) == ["http.wait histogram query More than SLOW_MS."]
    told = text(page(f"{EXPLORE}?metric=http.wait"))
    assert "histogram in query · More than SLOW_MS." in told


def test_the_list_is_searched_by_words_of_names_and_descriptions(telemetry: Telemetry) -> None:
    telemetry.number("celery.queue.length", 1, "gauge")
    telemetry.number("orders.placed", 1)
    assert rows(page(f"{EXPLORE}?q=QUEUE")) == ["celery.queue.length gauge order What was ordered."]
    assert "No metric has that in its name." in text(page(f"{EXPLORE}?q=nothing"))


def test_a_counter_is_shown_as_what_it_grew_by_a_second(telemetry: Telemetry) -> None:
    telemetry.growing("orders.placed", 20)
    html = page(f"{EXPLORE}?metric=orders.placed&range=15m")
    assert "orders.placed : in all 200 orders, mean rate" in text(html)
    assert chart(html)["unit"] == "{order}/s"
    assert max(values(html, "all together")) == pytest.approx(2.0, rel=0.01)


def test_a_split_has_a_line_and_a_row_for_each_value_the_largest_first(
    telemetry: Telemetry,
) -> None:
    telemetry.growing("orders.placed", 10, paid__by="card")
    telemetry.growing("orders.placed", 30, paid__by="bill")
    telemetry.growing("orders.placed", 1)
    html = page(f"{EXPLORE}?metric=orders.placed&range=15m&by=paid.by&how=increase")
    assert [row.split(" ")[0] for row in rows(html)] == ["bill", "card", "no"]
    assert [line["name"] for line in chart(html)["series"]] == ["bill", "card", "no paid.by"]
    assert "q=paid.by%3Abill" in html


def test_a_filter_leaves_the_other_series_out(telemetry: Telemetry) -> None:
    telemetry.growing("orders.placed", 10, paid__by="card")
    telemetry.growing("orders.placed", 30, paid__by="bill")
    html = page(f"{EXPLORE}?metric=orders.placed&q=paid.by:card+nonsense")
    assert "in all 100 orders" in text(html)
    assert "nonsense: an attribute with its value is wanted" in text(html)
    assert "matches" in text(page(f"{EXPLORE}?metric=orders.placed&q=paid.by:cash"))


def test_of_more_than_twelve_series_the_smaller_ones_are_added_up(telemetry: Telemetry) -> None:
    for number in range(15):
        telemetry.number("orders.placed", 100 - number, shop=f"s{number:02}")
    html = page(f"{EXPLORE}?metric=orders.placed&by=shop")
    assert len(rows(html)) == 13
    assert rows(html)[0].startswith("s00 100")
    assert rows(html)[-1].startswith("others (3) 261")


def test_percentiles_come_from_histograms_and_their_dots_open_traces(telemetry: Telemetry) -> None:
    telemetry.histogram(0, 0, 0, ago_s=60)
    telemetry.histogram(50, 49, 1, ago_s=50, trace_id=0xABC)
    html = page(f"{EXPLORE}?metric=http.wait&range=15m")
    assert "p50 100 ms, p95 927 ms, p99 1.00 s" in text(html)
    assert [line["name"] for line in chart(html)["series"]] == ["p50", "p95", "p99"]
    (dot,) = chart(html)["dots"]
    assert dot["address"].startswith(f"/traces/{0xABC:032x}/")
    assert "Examples 2.50 s" in text(html)
    assert chart(html, "metric-counts")["series"][0]["points"].count(None) < 90


def test_percentiles_split_by_route_lead_to_its_traces(telemetry: Telemetry) -> None:
    telemetry.histogram(0, 0, 10, route="/slow/")
    telemetry.histogram(10, 0, 0, route="/quick/")
    html = page(f"{EXPLORE}?metric=http.wait&by=http.route&range=15m")
    assert "p95 by http.route" in text(html)
    assert 'href="/traces/?range=15m&amp;q=route%3A%2Fslow%2F"' in html


def test_exponential_histograms_have_percentiles_too(telemetry: Telemetry) -> None:
    point = ExponentialPoint(
        (), 0, 0, 0, (10, 10), 0, (), 30.0, telemetry.began_ns, telemetry.now_ns
    )
    telemetry.put(metric(point, name="job.size", kind="exponential_histogram")._replace(unit="By"))
    assert "p50 2 B, p95 4 B" in text(page(f"{EXPLORE}?metric=job.size"))


def test_gauges_are_shown_each_by_itself_and_combined_as_asked(telemetry: Telemetry) -> None:
    telemetry.number("celery.queue.length", 4, "gauge", queue="mail")
    telemetry.number("celery.queue.length", 10, "gauge", queue="default")
    html = page(f"{EXPLORE}?metric=celery.queue.length")
    assert "default 10 orders, mail 4 orders" in text(html)
    html = page(f"{EXPLORE}?metric=celery.queue.length&by=-&how=sum")
    assert rows(html) == ["all together 14 orders 14 orders 14 orders 14 orders"]


def test_only_the_chosen_services_series_are_shown(telemetry: Telemetry) -> None:
    telemetry.number("load", 1, "gauge")
    point = NumberPoint((), 9, telemetry.began_ns, telemetry.now_ns)
    telemetry.put(metric(point, name="load", kind="gauge"), service="mail")
    assert values(page(f"{EXPLORE}?metric=load&service=mail"), "all together") == [9]
    html = page(f"{EXPLORE}?metric=load&by=service.name")
    assert [row.split(" ")[0] for row in rows(html)] == ["mail", "shop"]


def test_the_lines_go_to_a_spreadsheet(telemetry: Telemetry) -> None:
    telemetry.growing("orders.placed", 20, paid__by="=1+1")
    response = by_token().get(
        f"/{EXPLORE}?metric=orders.placed&how=increase&by=paid.by&format=csv&range=15m"
    )
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="orders.placed.csv"'
    head, *body = csv.reader(response.content.decode().splitlines())
    assert head == ["time", "'=1+1 ({order})"]
    assert sum(float(value) for _, value in body if value) == pytest.approx(200)


def test_a_metric_that_is_not_there_is_said_so(telemetry: Telemetry) -> None:
    assert "There is no metric called orders.lost here." in text(
        page(f"{EXPLORE}?metric=orders.lost", status=404)
    )


def test_a_metric_without_points_in_the_range_says_so(telemetry: Telemetry) -> None:
    telemetry.number("orders.placed", 1)
    assert "Nothing was measured in this range." in text(
        page(f"{EXPLORE}?metric=orders.placed&from=1000&to=2000")
    )


@pytest.mark.parametrize("query", ["by=" + "x," * 50, "how=%00", "q=" + "a:b+" * 99, 'q="a:b'])
def test_a_mistyped_address_still_shows_the_metric(telemetry: Telemetry, query: str) -> None:
    telemetry.number("orders.placed", 1)
    assert "orders.placed" in text(page(f"{EXPLORE}?metric=orders.placed&{query}"))


def test_hostile_names_values_and_numbers_are_shown_as_text(telemetry: Telemetry) -> None:
    point = NumberPoint(((HOSTILE, HOSTILE),), float("nan"), telemetry.began_ns, telemetry.now_ns)
    more = NumberPoint(((HOSTILE, "x" * 1_000_000),), 1e308, telemetry.began_ns, telemetry.now_ns)
    evil = metric(point, more, name=HOSTILE, kind="gauge")
    telemetry.put(evil._replace(unit=HOSTILE, description=HOSTILE))
    for path in (EXPLORE, f"{EXPLORE}?metric=%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE%07"):
        html = page(path)
        assert "<script>alert" not in html
        assert "\u202e" not in text(html)
        assert "\x07" not in text(html)
        assert len(html) < 400_000


def test_figures_beside_one_another_have_one_unit() -> None:
    assert units.alike([0.5, 0.01, None], "{order}/s") == ["30/min", "0.6/min", "–"]
    assert units.alike([0.004, 1.5], "s") == ["4.0 ms", "1,500 ms"]
    assert units.alike([250.0, 0.004], "s") == ["4.2 min", "4.0 ms"]
    assert units.alike([1911], "") == ["1,911"]
    assert units.duration(0) == "0 s"


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (0.25, "s", "250 ms"),
        (3, "ms", "3.0 ms"),
        (4096, "By", "4.1 kB"),
        (4096, "By/s", "4.1 kB/s"),
        (0.34, "s/s", "34 %"),
        (0.5, "1", "50 %"),
        (1, "{order}", "1 order"),
        (12_000, "{order}", "12 k orders"),
        (2, "EUR", "2 EUR"),
        (2, "", "2"),
    ],
)
def test_values_are_told_in_their_unit(value: float, unit: str, told: str) -> None:
    assert units.measured(value, unit) == told


def test_low_rates_are_drawn_by_the_minute() -> None:
    drawn = draw("{order}/s", [1.0, 2.0], [Line("all", [0.5, None])])
    assert drawn["unit"] == "{order}/min"
    assert drawn["series"][0]["points"] == [30.0, None]


def test_what_is_no_number_is_a_gap(telemetry: Telemetry) -> None:
    for name in ("one", "two"):
        telemetry.number("load", 1e308, "gauge", host=name)
    html = page(f"{EXPLORE}?metric=load&by=-&how=sum")
    assert "Nothing was measured" not in text(html)
    assert values(html, "all together") == []
    assert units.measured(float("inf"), "{order}") == "–"
    assert units.alike([float("nan"), 1.0], "s") == ["–", "1,000 ms"]
