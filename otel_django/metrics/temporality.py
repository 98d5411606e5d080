"""What came since the last export, from sums that only grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from otel_django.metrics.host_table import Group, Series, Table
from otel_django.metrics.merging import taken_off

if TYPE_CHECKING:
    from otel_django.metric_points import Metric, Point

DELTA_KINDS: Final = frozenset({"counter", "histogram", "exponential_histogram"})


def sums_only(now: Table, pause: Callable[[], object]) -> Table:
    """What has to be known at the next export."""
    kept = Table(now.start_ns, pause)
    kept.groups = {key: group for key, group in now.groups.items() if key.kind in DELTA_KINDS}
    return kept


def since(before: Table | None, before_ns: int, now: Table) -> Table:
    """``now`` with the differences to ``before``, a table of ``before_ns``, where they are wanted.

    Series in which nothing happened are left out. What was not in ``before`` is new as a whole;
    what is less than before began anew. The state of up-down counters and gauges stays.
    """
    changes = Table(now.start_ns, _no_pause)
    for key, group in now.groups.items():
        if key.kind not in DELTA_KINDS:
            changes.groups[key] = group
            continue
        earlier = before.groups.get(key) if before is not None else None
        series = dict(_changed(group, earlier, before_ns))
        if series:
            changes.groups[key] = Group(group.description, group.made_ns, series)
    return changes


def _changed(group: Group, earlier: Group | None, before_ns: int) -> Iterator[tuple[bytes, Series]]:
    for attributes, series in group.series.items():
        known = earlier.series.get(attributes) if earlier is not None else None
        change = None if known is None else taken_off(series.point, known.point)
        point = series.point if change is None else change
        if not _is_nothing(point):
            start_ns = before_ns or point.start_ns
            yield attributes, Series(series.created_ns, point._replace(start_ns=start_ns))


def _is_nothing(point: Point) -> bool:
    value = getattr(point, "value", None)
    return not (point.count if value is None else value)


def as_delta(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """Say of the metrics of ``since`` that they are differences."""
    return tuple(
        metric._replace(temporality="delta") if metric.kind in DELTA_KINDS else metric
        for metric in metrics
    )


def fresh_exemplars(table: Table, since_ns: int) -> Table:
    """``table`` without the exemplars that were exported before."""
    fresh = Table(table.start_ns, _no_pause)
    for key, group in table.groups.items():
        series = {at: _with_fresh(one, since_ns) for at, one in group.series.items()}
        fresh.groups[key] = Group(group.description, group.made_ns, series)
    return fresh


def _with_fresh(series: Series, since_ns: int) -> Series:
    old = series.point.exemplars
    fresh = tuple(exemplar for exemplar in old if exemplar.time_ns > since_ns)
    if len(fresh) == len(old):
        return series
    return Series(series.created_ns, series.point._replace(exemplars=fresh))


def _no_pause() -> None:
    """Nothing here takes long."""
