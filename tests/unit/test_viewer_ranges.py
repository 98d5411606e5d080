"""Ranges of time that addresses name."""

from __future__ import annotations

import pytest

from otel_django.viewer import ranges

DAY_NS = 86_400 * ranges.SECOND_NS
NOW_NS = 1_800_000_000 * ranges.SECOND_NS


@pytest.mark.parametrize("days", [1, 7, 119, 120, 121, 365, 3_650, 10**6])
def test_however_long_a_range_is_a_chart_has_at_most_120_points(days: int) -> None:
    when = ranges.TimeRange(0, days * DAY_NS, "")
    assert when.length_ns / when.step_ns <= ranges.MOST_STEPS


def test_the_longest_range_an_address_can_name_has_few_points() -> None:
    when = ranges.read({"from": "0", "to": "9" * 15}, NOW_NS)
    assert when.length_ns / when.step_ns <= ranges.MOST_STEPS
    assert when.step_ns % DAY_NS == 0


@pytest.mark.parametrize(
    ("since_s", "until_s", "now_s", "counted"),
    [
        (30, 930, 930, (0, 930)),
        (60, 960, 960, (60, 960)),
        (30, 330, 9_000, (0, 360)),
        (60, 360, 9_000, (60, 420)),
        (30, 9_000, 930, (0, 930)),
        (90, 150, 30, (60, 180)),
    ],
)
def test_what_is_counted_by_the_minute_is_of_whole_minutes_as_far_as_now(
    since_s: int, until_s: int, now_s: int, counted: tuple[int, int]
) -> None:
    when = ranges.TimeRange(since_s * ranges.SECOND_NS, until_s * ranges.SECOND_NS, "")
    of = when.counted(now_s * ranges.SECOND_NS)
    assert (of.since_ns, of.until_ns) == tuple(second * ranges.SECOND_NS for second in counted)
