"""Rules on the embedded store: sparse points, histograms of both kinds, error groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.alerts.catalogue import rules
from otel_django.alerts.evaluate import Evaluator
from otel_django.alerts.expressions import ERROR_GROUP, Level, Quantile, select
from otel_django.alerts.promql import PRESENCE
from otel_django.alerts.reading import StoreSource
from otel_django.backends.embedded_errors import EmbeddedErrorReader
from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.metric_points import (
    ExponentialPoint,
    HistogramPoint,
    Metric,
    MetricDefinition,
    NumberPoint,
    Point,
)
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import StoreWriter
from tests.store_metrics import of
from tests.store_spans import Losses, store_path
from tests.unit.test_viewer_errors import Log

RULES = {rule.name: rule for rule in rules()}
NOW_MS = time.time_ns() // 60_000_000_000 * 60_000
BEGAN_NS = (NOW_MS - 7_200_000) * 1_000_000
BOUNDS = metrics.HTTP_SERVER_REQUEST_DURATION.bounds


class Store:
    """An embedded store; times are seconds before now."""

    def __init__(self, folder: Path) -> None:
        self.path = store_path(folder)

    def take(
        self,
        definition: MetricDefinition,
        point: Callable[[int, int], Point],
        ago_s: Iterable[int],
        kind: Any = None,
    ) -> None:
        """Write a point for each time; ``point`` gets its number and time."""
        losses = Losses()
        store = StoreWriter(self.path, retention_hours=24, max_mb=64, drops=losses)
        writer = MetricWriter(store.file, drops=losses)
        for number, ago in enumerate(ago_s):
            made = point(number, NOW_MS * 1_000_000 - ago * 1_000_000_000)
            kept = Metric(
                definition.name,
                definition.unit,
                "",
                kind or definition.kind,
                (made,),
                () if kind else definition.bounds,
            )
            writer.take([of(kept)])
        writer.close(time.monotonic() + 5)
        assert losses.counts == {}

    def evaluator(self) -> Evaluator:
        return Evaluator(StoreSource(EmbeddedMetricReader(self.path)))

    def firing(self, rule: str) -> dict[str, float]:
        found = self.evaluator().breaches(RULES[rule], NOW_MS)
        return {key.severity: breach.value for key, breach in found.items()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def attributes(**values: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key.replace("__", "."), value) for key, value in values.items()))


def answers(status: int, per_step: int) -> Callable[[int, int], Point]:
    counts = (per_step, *[0] * len(BOUNDS))

    def point(number: int, at_ns: int) -> Point:
        so_far = tuple((number + 1) * count for count in counts)
        labels = attributes(http__response__status_code=str(status))
        return HistogramPoint(labels, so_far, 0.01 * sum(so_far), BEGAN_NS, at_ns)

    return point


def value(number: float, **labels: str) -> Callable[[int, int], Point]:
    return lambda _, at_ns: NumberPoint(attributes(**labels), number, BEGAN_NS, at_ns)


def test_the_share_of_failures_is_that_of_the_last_minutes(store: Store) -> None:
    store.take(metrics.HTTP_SERVER_REQUEST_DURATION, answers(200, 90), range(900, 0, -15))
    store.take(metrics.HTTP_SERVER_REQUEST_DURATION, answers(500, 10), range(900, 0, -15))
    found = store.firing("HighErrorRate")
    assert found == {"warning": pytest.approx(10), "critical": pytest.approx(10)}


def test_a_store_without_points_has_no_values(store: Store) -> None:
    store.take(PRESENCE, value(1), [10])
    assert store.firing("HighErrorRate") == {}
    assert store.firing("LowCacheHitRate") == {}


def test_a_value_that_stays_is_known_between_its_points(store: Store) -> None:
    """The store leaves out what doesn't change, for five minutes."""
    mountpoint = {"system__filesystem__mountpoint": "/"}
    store.take(metrics.SYSTEM_FILESYSTEM_UTILIZATION, value(0.97, **mountpoint), range(900, 0, -15))
    assert store.firing("DiskFull") == {
        "warning": pytest.approx(97),
        "critical": pytest.approx(97),
    }


def test_a_series_that_ended_has_no_value(store: Store) -> None:
    store.take(
        metrics.CELERY_QUEUE_LENGTH, value(9000, messaging__destination__name="celery"), [700]
    )
    assert store.firing("QueueBacklog") == {}


def test_the_first_error_of_a_process_that_was_there_counts(store: Store) -> None:
    store.take(PRESENCE, lambda number, at: value(number)(number, at), range(600, 0, -15))
    store.take(metrics.DJANGO_DB_CONNECTION_ERRORS, value(1, django__db__alias="default"), [20])
    assert store.firing("DatabaseConnectionErrors") == {"critical": 1}


def test_errors_of_a_process_that_was_not_heard_of_before_may_be_old(store: Store) -> None:
    store.take(PRESENCE, lambda number, at: value(number)(number, at), range(30, 0, -15))
    store.take(metrics.DJANGO_DB_CONNECTION_ERRORS, value(7, django__db__alias="default"), [20])
    assert store.firing("DatabaseConnectionErrors") == {}


def test_exponential_histograms_have_quantiles(store: Store) -> None:
    def point(number: int, at_ns: int) -> Point:
        count = (number + 1) * 10
        return ExponentialPoint((), 0, 0, 1, (count,), 0, (), 3.0 * count, BEGAN_NS, at_ns)

    duration = metrics.HTTP_SERVER_REQUEST_DURATION
    store.take(duration, point, range(600, 0, -15), "exponential_histogram")
    form = Quantile(select(duration), 0.5, 300)
    (found,) = store.evaluator().values(form, NOW_MS).values()
    assert 2 < found.value <= 4


def test_conditions_on_attributes_and_services_are_kept(store: Store) -> None:
    for state, online in (("online", 3), ("offline", 8)):
        store.take(metrics.CELERY_WORKERS, value(online, celery__worker__state=state), [40, 20])
    (of_rule,) = (RULES["NoWorkers"].expression,)
    level = of_rule.value  # type: ignore[union-attr]
    assert isinstance(level, Level)
    found = store.evaluator().values(level, NOW_MS)
    assert {labels: one.value for labels, one in found.items()} == {
        ((names.SERVICE_NAME, "shop"),): 3
    }


def test_error_groups_are_new_once_and_back_when_they_were_resolved(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.raised("ValueError", ago_s=60)
    log.raised("KeyError", ago_s=7200)
    log.raised("KeyError", ago_s=60)
    log.close()
    now_ms = log.now_ns // 1_000_000
    errors = EmbeddedErrorReader(log.path)
    known = {
        one.type: one.fingerprint for one in errors.groups(log.now_ns - 10**13, log.now_ns).groups
    }

    def alerts(rule: str, resolved: dict[str, int]) -> set[str]:
        source = StoreSource(EmbeddedMetricReader(log.path), errors, lambda _: resolved)
        found = Evaluator(source).breaches(RULES[rule], now_ms)
        return {dict(key.labels)[ERROR_GROUP] for key in found}

    assert alerts("NewErrorGroup", {}) == {known["ValueError"]}
    assert alerts("ErrorRegression", {}) == set()
    resolved = {known["KeyError"]: log.now_ns - 10**12}
    assert alerts("ErrorRegression", resolved) == {known["KeyError"]}
    assert alerts("ErrorRegression", {known["KeyError"]: log.now_ns}) == set()
