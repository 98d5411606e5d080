"""Rates, levels and percentiles out of cumulative points."""

from __future__ import annotations

from typing import Any

import pytest

from otel_django.contracts import MetricSeries
from otel_django.metric_points import (
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    NumberPoint,
    Point,
)
from otel_django.viewer.course import IDLE_NS, Steps
from otel_django.viewer.ranges import TimeRange
from otel_django.viewer.series import Reading

SECOND = 10**9
BEGAN = 1_800_000_000 * SECOND
"""A multiple of the steps."""
LONG_AGO = BEGAN - 10**6 * SECOND
BOUNDS = (0.1, 1.0)


def number(at_s: float, value: float, start_ns: int = LONG_AGO) -> NumberPoint:
    return NumberPoint((), value, start_ns, BEGAN + int(at_s * SECOND))


def histogram(at_s: float, *counts: int, start_ns: int = LONG_AGO) -> HistogramPoint:
    return HistogramPoint((), counts, 0.5 * sum(counts), start_ns, BEGAN + int(at_s * SECOND))


def exponential(at_s: float, scale: int, offset: int, *positive: int) -> ExponentialPoint:
    time_ns = BEGAN + int(at_s * SECOND)
    return ExponentialPoint((), scale, 0, offset, positive, 0, (), 1.0, LONG_AGO, time_ns)


def series(*points: Point, instance: str = "one", **attributes: str) -> MetricSeries:
    bounds = BOUNDS if isinstance(points[0], HistogramPoint) else ()
    return MetricSeries("shop", instance, tuple(sorted(attributes.items())), points, bounds)


def reading(
    *all_series: MetricSeries, length_s: int = 60, step_s: int = 10, **more: Any
) -> Reading:
    when = TimeRange(BEGAN, BEGAN + length_s * SECOND, "")
    return Reading(None, all_series, when, steps=Steps.of(when, step_s * SECOND), **more)


def steady(per_interval: float, until_s: int, start_ns: int = LONG_AGO) -> list[Point]:
    """A point every ten seconds, from ten seconds before the range on."""
    return [
        number(at, 100 + per_interval * index, start_ns)
        for index, at in enumerate(range(-10, until_s + 1, 10))
    ]


def test_a_counters_rate_is_what_it_gained_a_second() -> None:
    assert reading(series(*steady(20, 60))).all.rates == [2.0] * 6


def test_instances_are_added_up_and_split_by_an_attribute() -> None:
    found = reading(
        series(*steady(20, 60), route="/"),
        series(*steady(10, 60), instance="two", route="/"),
        series(*steady(50, 60), route="/cart/"),
        series(*steady(1, 60)),
        by=("route",),
    )
    assert {key: group.rates[0] for key, group in found.groups.items()} == {
        ("",): 0.1,
        ("/",): 3.0,
        ("/cart/",): 5.0,
    }
    assert found.all.total == pytest.approx(6 * 81)
    assert found.together([found.groups["/",], found.groups["/cart/",]]).rates[3] == 8.0


def test_a_sum_that_begins_anew_counts_from_nothing() -> None:
    again = BEGAN + 22 * SECOND
    points = [*steady(20, 20), number(30, 5, again), number(40, 15, again)]
    assert reading(series(*points)).all.counts[2:4] == [pytest.approx(5), pytest.approx(10)]


def test_a_sum_that_falls_without_saying_so_counts_from_nothing() -> None:
    points = [number(-10, 90), number(0, 100), number(10, 4), number(20, 14)]
    assert reading(series(*points)).all.counts[:2] == [4.0, 10.0]


def test_a_gap_stays_a_gap_and_what_happened_in_it_is_not_shown_at_once() -> None:
    before = [number(at, at) for at in range(0, 60, 10)]
    after = [number(at, 10_000 + at) for at in range(1200, 1260, 10)]
    counts = reading(series(*before, *after), length_s=1260, step_s=60).all.counts
    assert counts[5:18] == [None] * 13
    assert counts[20] == pytest.approx(50)
    assert sum(count or 0 for count in counts) == pytest.approx(100)


def test_what_did_not_change_has_no_points_and_is_nothing_rather_than_unknown() -> None:
    points = [*(number(at, at) for at in (-20, -10, 0)), number(300, 0), number(310, 30)]
    counts = reading(series(*points), length_s=320).all.counts
    assert counts[0:30] == [0.0] * 30
    assert counts[30] == pytest.approx(30)


def test_a_series_met_in_the_middle_of_its_life_tells_from_its_second_point_on() -> None:
    assert reading(series(number(5, 1000), number(15, 1010))).all.total == pytest.approx(10)


def test_a_series_that_appears_beside_others_of_its_instance_is_counted_whole() -> None:
    old = series(number(-340, 60), *steady(20, 60), route="/")
    new = series(number(35, 3), route="/new/")
    groups = reading(old, new, by=("route",)).groups
    assert groups["/new/",].total == pytest.approx(3)


def test_a_series_that_hardly_changes_is_not_taken_for_new_where_the_store_begins() -> None:
    busy = series(*(number(at, 5000 + at) for at in range(30, 1000, 60)), route="/")
    idle = series(*(number(at, 9000) for at in (250, 550, 850)), route="/idle/")
    groups = reading(busy, idle, length_s=1000, step_s=60, by=("route",)).groups
    assert groups["/idle/",].total == 0


HOUR = 3600


def test_what_a_process_counted_before_the_first_point_of_a_long_range_is_in_it() -> None:
    young = BEGAN + 3 * HOUR * SECOND
    points = [number(hour * HOUR - 20, hour * 100, young) for hour in range(5, 24)]
    counts = reading(series(*points), length_s=24 * HOUR, step_s=HOUR).all.counts
    assert counts[:3] == [None] * 3
    assert counts[3:5] == [pytest.approx(500 * HOUR / 7180), pytest.approx(500 * 3580 / 7180)]
    assert sum(count or 0 for count in counts) == pytest.approx(2300)


def test_what_came_after_a_restart_in_a_gap_of_a_long_range_is_in_it() -> None:
    again = BEGAN + 10 * HOUR * SECOND
    points = [number(HOUR - 20, 100), number(2 * HOUR - 20, 150), number(11 * HOUR, 70, again)]
    counts = reading(series(*points), length_s=24 * HOUR, step_s=HOUR).all.counts
    assert counts[2:10] == [None] * 8
    assert sum(count or 0 for count in counts) == pytest.approx(120)


def test_a_process_that_has_just_begun_is_counted_whole() -> None:
    young = BEGAN + 31 * SECOND
    assert reading(series(number(38, 7, young))).all.counts[3] == pytest.approx(7)


def test_the_step_under_way_has_its_rate_from_what_is_known_of_it() -> None:
    points = [number(at, 2 * at) for at in range(-60, 91, 10)]
    rates = reading(series(*points), length_s=92, step_s=60).all.rates
    assert rates == [pytest.approx(2.0), pytest.approx(2.0)]


def test_a_step_that_has_hardly_begun_has_no_rate() -> None:
    points = [number(at, 2 * at) for at in range(-60, 61, 10)]
    points.append(number(62, 124))
    assert reading(series(*points), length_s=65, step_s=60).all.rates[1] is None


def test_percentiles_are_those_of_what_was_measured_in_the_step() -> None:
    points = [histogram(-10, 1000, 0, 0), histogram(0, 1000, 0, 0), histogram(10, 1000, 10, 0)]
    (p50, p99) = reading(series(*points)).all.quantiles(0.5, 0.99)
    assert p50[0] == pytest.approx(0.55)
    assert p99[0] == pytest.approx(0.991)
    assert p50[1:] == [None] * 5


def test_histograms_of_other_bounds_are_added_up() -> None:
    fine = MetricSeries("shop", "two", (), (histogram(0, 0, 0), histogram(10, 0, 10)), (0.1,))
    coarse = series(histogram(0, 0, 0, 0), histogram(10, 10, 0, 0))
    found = reading(fine, coarse)
    assert found.all.spread.count == pytest.approx(20)
    assert found.all.quantiles(0.25)[0][0] == pytest.approx(0.05)


def test_percentiles_of_overlapping_buckets_rise() -> None:
    narrow = MetricSeries("shop", "two", (), (histogram(0, 0, 0), histogram(10, 90, 0)), (0.2,))
    wide = MetricSeries("shop", "one", (), (histogram(0, 0, 0), histogram(10, 90, 10)), (9.0,))
    (p25, p50, p75, p99) = reading(narrow, wide).all.quantiles(0.25, 0.5, 0.75, 0.99)
    # 92 of 190 lie below 0.2, 88 evenly between it and 9, 10 above.
    assert p25[0] == pytest.approx(0.2 * 47.5 / 92)
    assert p50[0] == pytest.approx(0.2 + 8.8 * 3 / 88)
    assert p75[0] == pytest.approx(0.2 + 8.8 * 50.5 / 88)
    assert p99[0] == pytest.approx(9.0)


def test_exponential_histograms_of_other_scales_are_taken_off_one_another() -> None:
    points = [exponential(0, 1, 0, 4, 4), exponential(10, 0, 0, 8, 6)]
    assert reading(series(*points)).all.counts[0] == pytest.approx(6)
    assert reading(series(*points)).all.quantiles(0.5)[0][0] == pytest.approx(3.0)


def test_an_absurd_exponential_histogram_breaks_nothing() -> None:
    points = [exponential(0, -400, 0), exponential(10, -400, 10**6, 5)]
    assert reading(series(*points)).all.quantiles(0.5)[0][0] is not None


def test_means_are_the_sum_by_the_count() -> None:
    points = [histogram(0, 0, 0, 0), histogram(10, 4, 0, 0)]
    assert reading(series(*points)).all.means[:2] == [pytest.approx(0.5), None]


def test_a_gauge_stays_until_its_next_point_and_ends_when_it_is_heard_of_no_more() -> None:
    levels = reading(series(number(-5, 3), number(20, 4)), length_s=600, step_s=60).all.levels()
    ended = 20 + IDLE_NS // SECOND
    assert levels == [4.0] * (ended // 60 + 1) + [None] * (10 - ended // 60 - 1)


@pytest.mark.parametrize(
    ("how", "wanted"), [("sum", 12.0), ("mean", 4.0), ("max", 7.0), ("min", 2.0)]
)
def test_levels_of_instances_are_combined_as_asked(how: str, wanted: float) -> None:
    found = reading(*(series(number(1, value), instance=str(value)) for value in (2, 3, 7)))
    assert found.all.levels(how)[0] == wanted


def test_exemplars_of_the_range_that_name_a_trace_are_found() -> None:
    told = [
        Exemplar(0.3, BEGAN + SECOND, trace_id=5),
        Exemplar(0.3, BEGAN + SECOND),
        Exemplar(0.3, BEGAN - SECOND, trace_id=6),
    ]
    point = histogram(10, 1, 0, 0)._replace(exemplars=tuple(told))
    assert [each.trace_id for each in reading(series(point)).all.exemplars()] == [5]


def test_nothing_at_all_is_known_of_a_metric_that_is_not_there() -> None:
    found = reading()
    assert found.all.rates == [None] * 6
    assert found.all.levels() == [None] * 6
    assert found.all.total is None
    assert found.groups == {}


def test_processes_that_are_told_as_one_are_added_up() -> None:
    told = [
        number(at_s, value, LONG_AGO + later)
        for at_s, value, later in (
            *((-2, 1_000, 0), (-1, 70, SECOND)),
            *((10, 1_004, 0), (11, 75, SECOND)),
            *((20, 1_008, 0), (21, 80, SECOND)),
        )
    ]
    assert reading(series(*told)).all.total == pytest.approx(18, abs=0.5)
