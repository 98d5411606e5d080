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
