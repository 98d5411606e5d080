"""Rates out of many series against a slow and simple way to add them up."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from otel_django.contracts import MetricSeries
from otel_django.metric_points import HistogramPoint, NumberPoint, Point
from otel_django.viewer.course import IDLE_NS, Steps
from otel_django.viewer.ranges import TimeRange
from otel_django.viewer.series import Reading
from otel_django.web.metric_sums import Spread

SECOND = 10**9
BEGAN_S = 1_800_000_000
LENGTH_S = 1_800
INTERVAL_S = 10
BOUNDS = (0.1, 1.0, 10.0)


class Life:
    """A process that counts from its start on, and tells every ten seconds what has changed."""

    def __init__(self, chance: random.Random, start_s: int, end_s: int) -> None:
        self.start_s = start_s
        self.told: list[tuple[int, list[int]]] = []
        counts = [0] * (len(BOUNDS) + 1)
        told_at_s = start_s
        for at_s in range(start_s + INTERVAL_S, end_s, INTERVAL_S):
            before = list(counts)
            if chance.random() < 0.7:
                for bucket in range(len(counts)):
                    counts[bucket] += chance.randrange(5)
            if counts != before or at_s - told_at_s >= 300:
                self.told.append((at_s, list(counts)))
                told_at_s = at_s

    def points(self, *, histogram: bool) -> Iterator[Point]:
        for at_s, counts in self.told:
            times = self.start_s * SECOND, at_s * SECOND
            if histogram:
                yield HistogramPoint((), tuple(counts), 0.5 * sum(counts), *times)
            else:
                yield NumberPoint((), sum(counts), *times)

    def gains(self) -> Iterator[tuple[int, list[int]]]:
        """What was gained in the ten seconds before a time."""
        before = [0] * (len(BOUNDS) + 1)
        for at_s, counts in self.told:
            yield at_s, [now - then for now, then in zip(counts, before, strict=True)]
            before = counts


def lives(seed: int) -> list[list[Life]]:
    """Of each instance: processes that begin anew now and then, at once or after a gap."""
    chance = random.Random(seed)
    found = []
    for _ in range(chance.randrange(2, 6)):
        of_one = []
        # All begin within the range, so that nothing of before is unknown.
        at_s = BEGAN_S + 10 * chance.randrange(60)
        while at_s < BEGAN_S + LENGTH_S - 60:
            end_s = at_s + 10 * chance.randrange(3, 120)
            of_one.append(Life(chance, at_s, min(end_s, BEGAN_S + LENGTH_S)))
            at_s = end_s + 10 * chance.choice((0, 0, 3, 60))
        found.append(of_one)
    return found


def reading(all_lives: Sequence[Sequence[Life]], step_s: int, *, histogram: bool) -> Reading:
    series = [
        MetricSeries(
            "shop",
            str(number),
            (),
            tuple(point for life in of_one for point in life.points(histogram=histogram)),
            BOUNDS if histogram else (),
        )
        for number, of_one in enumerate(all_lives)
    ]
    when = TimeRange(BEGAN_S * SECOND, (BEGAN_S + LENGTH_S) * SECOND, "")
    return Reading(None, series, when, steps=Steps.of(when, step_s * SECOND))


def simply(all_lives: Sequence[Sequence[Life]], step_s: int) -> list[list[float]]:
    """Counts by bucket of each step, second by second."""
    steps: list[list[float]] = [[0.0] * (len(BOUNDS) + 1) for _ in range(LENGTH_S // step_s)]
    for of_one in all_lives:
        for life in of_one:
            for at_s, gain in life.gains():
                for second in range(at_s - INTERVAL_S, at_s):
                    step = steps[(second - BEGAN_S) // step_s]
                    for bucket, count in enumerate(gain):
                        step[bucket] += count / INTERVAL_S
    return steps


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("step_s", [5, 60, 300])
def test_what_processes_count_is_added_up_step_by_step(seed: int, step_s: int) -> None:
    all_lives = lives(seed)
    wanted = simply(all_lives, step_s)
    for histogram in (False, True):
        counts = reading(all_lives, step_s, histogram=histogram).all.counts
        assert [count or 0.0 for count in counts] == pytest.approx([sum(row) for row in wanted])


@pytest.mark.parametrize("seed", range(20))
def test_percentiles_are_those_of_all_series_buckets_together(seed: int) -> None:
    all_lives = lives(seed)
    group = reading(all_lives, 60, histogram=True).all
    for row, p95, mean in zip(
        simply(all_lives, 60), group.quantiles(0.95)[0], group.means, strict=True
    ):
        if sum(row):
            spread = Spread()
            spread.add_counts(row, BOUNDS, 0.5 * sum(row))
            assert p95 == pytest.approx(spread.quantiles(0.95)[0])
            assert mean == pytest.approx(0.5)
        else:
            assert (p95, mean) == (None, None)


@pytest.mark.parametrize("seed", range(20))
def test_steps_in_which_no_process_told_anything_are_unknown(seed: int) -> None:
    all_lives = lives(seed)
    counts = reading(all_lives, 60, histogram=False).all.counts
    idle_s = IDLE_NS // SECOND
    heard = {
        (second - BEGAN_S) // 60
        for of_one in all_lives
        for life in of_one
        for at_s, _ in life.told
        for second in range(at_s - INTERVAL_S, at_s + idle_s)
    }
    told = {
        (at_s - 1 - BEGAN_S) // 60
        for of_one in all_lives
        for life in of_one
        for at_s, _ in life.told
    }
    for number, count in enumerate(counts):
        if number in told:
            assert count is not None
        elif number not in heard:
            assert count is None
