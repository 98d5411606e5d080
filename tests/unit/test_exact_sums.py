"""Sums of several processes don't depend on who was added first, nor on what was folded when."""

from __future__ import annotations

import random
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from otel_django.metric_points import HistogramPoint, NumberPoint, Point
from otel_django.metrics.exact import plus
from otel_django.metrics.merging import added
from otel_django.metrics.point_bytes import pack_point, unpack_point

SECONDS = st.floats(min_value=1e-6, max_value=1e9)
SUMS = st.lists(SECONDS, min_size=2, max_size=12)


@given(SUMS, st.randoms())
def test_the_order_of_adding_makes_no_difference(values: list[float], rng: random.Random) -> None:
    shuffled = rng.sample(values, len(values))
    assert float(reduce(plus, values)) == float(reduce(plus, shuffled))


@given(SUMS, st.integers(min_value=1, max_value=11))
def test_a_sum_that_was_written_and_read_again_goes_on_as_if_it_had_not_been(
    values: list[float], folded: int
) -> None:
    points: list[Point] = [HistogramPoint((), (1,), value, 0, 0) for value in values]
    whole = reduce(added, points)
    assert isinstance(whole, HistogramPoint)
    part = unpack_point(pack_point(reduce(added, points[:folded])), (), 0)
    rest = reduce(added, points[folded:], part)
    assert isinstance(rest, HistogramPoint)
    assert float(rest.sum) == float(whole.sum)


@given(SUMS)
def test_adding_never_makes_a_sum_smaller(values: list[float]) -> None:
    total = 0.0
    for value in values:
        before, total = total, plus(total, value)
        assert float(total) >= float(before)


def test_whole_numbers_stay_whole_and_what_is_no_number_stays_that() -> None:
    assert plus(2**62, 2**62) == 2**63
    assert isinstance(plus(1, 2), int)
    assert plus(float("inf"), 1.0) == float("inf")
    assert plus(1e308, 1e308) == float("inf")
    counter = unpack_point(pack_point(NumberPoint((), plus(0.1, 0.2), 0, 0)), (), 0)
    assert isinstance(counter, NumberPoint)
    assert float(counter.value) == 0.1 + 0.2
