"""Reads metrics from the embedded store: read-only, each answer bounded in time and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from otel_django.backends.embedded_roll_ups import stretches
from otel_django.backends.embedded_session import TIMEOUT_S, Session, session
from otel_django.contracts import MetricAnswer, MetricInfo, MetricQuery, MetricSeries
from otel_django.store.json_text import dumps, loads
from otel_django.store.metric_rows import attributes_from, point_from
from otel_django.store.metric_schema import HALF_HOUR, MINUTE_NS
from otel_django.store.schema import WITH_LOGS_AND_METRICS, WITH_ROLL_UPS
from otel_django.store.texts import text_id

if TYPE_CHECKING:
    from otel_django.metric_points import Attributes, Kind, Point
    from otel_django.store.slices import Slice

MAX_SERIES: Final = 10_000
MAX_POINTS: Final = 100_000
SERIES_LOOKED_AT: Final = 100
TOO_MANY_POINTS: Final = f"only the first {MAX_POINTS:,} points: ask for a longer step"
LATE_NS: Final = 15 * MINUTE_NS
"""A point may be so much older than the slice it stands in: writers wait for a full disk."""
LATE: Final = "time was up: points are missing; ask for a shorter range or a longer step"

# A series' last point of each step. The times of points are walked, a step of the index each, so
# that points of other metrics are not touched; beside max(), SQLite takes the other columns from
# the row that has it.
POINTS_SQL: Final = """
    WITH RECURSIVE at(time) AS (
        SELECT min({time}) FROM {table} WHERE {time} >= :low
        UNION ALL SELECT (SELECT min({time}) FROM {table} WHERE {time} > at.time) FROM at
        WHERE at.time <= :high
    )
    SELECT series, max(time_ns), start_ns, value, data
    FROM at CROSS JOIN {table} AS p ON p.{time} = at.time AND p.metric = :metric
    WHERE at.time <= :high AND p.time_ns BETWEEN :since AND :until
        AND p.series IN (SELECT value FROM json_each(:series))
    GROUP BY series, time_ns / :step
    ORDER BY series, time_ns
    LIMIT :limit
"""


@dataclass
class _Series:
    kind: str
    metric: int
    service: str
    instance: str
    attributes: Attributes
    bounds: tuple[float, ...]
    points: dict[int, Point] = field(default_factory=dict)

    def answer(self, step_ns: int) -> MetricSeries:
        """Its points by time; steps that two slices share have one."""
        points = {time_ns // step_ns: self.points[time_ns] for time_ns in sorted(self.points)}
        ordered = tuple(points.values())
        return MetricSeries(self.service, self.instance, self.attributes, ordered, self.bounds)


class EmbeddedMetricReader:
    """A ``MetricReader`` of the store at ``path``; cheap to make.

    Where there is no file yet, there is nothing to read: answers are empty.
    """

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def _session(self) -> AbstractContextManager[Session]:
        return session(self.path, self._timeout_s)

    def list_metrics(self) -> tuple[MetricInfo, ...]:
        """All there are; the keys of attributes are those of a hundred series each."""
        found: dict[str, MetricInfo] = {}
        with self._session() as read:
            for part in _with_metrics(read):
                for number, name, unit, description, kind in read.run(
                    f"SELECT id, name, unit, description, kind FROM metric_{part.id}"
                ):
                    if name not in found:
                        keys = _keys(read, part, number)
                        found[name] = MetricInfo(name, unit, description, kind, keys)
        return tuple(found[name] for name in sorted(found))

    def began_ns(self) -> int:
        """No point is older."""
        with self._session() as read:
            times = [part.started_ns for part in _with_metrics(read)]
        return min(times, default=0) - LATE_NS

    def read(self, query: MetricQuery) -> MetricAnswer:
        """At most 10,000 series and 100,000 points."""
        with self._session() as read:
            parts = _overlapping(read, query)
            info, series, matching = _find_series(read, parts, query)
            note = ""
            if matching > len(series):
                note = f"{len(series):,} of {matching:,} series"
            try:
                count = sum(_read_points(read, part, query, series) for part in reversed(parts))
            except TimeoutError:
                if not any(each.points for each in series.values()):
                    raise
                count, note = 0, LATE
        if count >= MAX_POINTS:
            note = TOO_MANY_POINTS
        answers = (each.answer(max(query.step_ns, 1)) for each in series.values() if each.points)
        ordered = sorted(answers, key=lambda each: (each.service, each.instance, each.attributes))
        return MetricAnswer(info, tuple(ordered), note)


def _with_metrics(read: Session) -> list[Slice]:
    return [part for part in read.slices if part.version >= WITH_LOGS_AND_METRICS]


def _overlapping(read: Session, query: MetricQuery) -> list[Slice]:
    """The slices that can have points of the range, newest first."""
    found = []
    ended_ns = query.since_ns
    for part in _with_metrics(read):
        begins_in_time = part.started_ns <= query.until_ns + LATE_NS
        if begins_in_time and ended_ns >= query.since_ns - LATE_NS:
            found.append(part)
        ended_ns = part.started_ns
    return found


def _keys(read: Session, part: Slice, metric: int) -> tuple[str, ...]:
    rows = read.run(
        f"SELECT DISTINCT key FROM (SELECT attributes FROM series_{part.id} "
        "WHERE metric = ? LIMIT ?), json_each(attributes) ORDER BY key",
        (metric, SERIES_LOOKED_AT),
    )
    return tuple(key for (key,) in rows)


def _find_series(
    read: Session, parts: list[Slice], query: MetricQuery
) -> tuple[MetricInfo | None, dict[int, _Series], int]:
    """The metric, the series to read, and how many match; those of newer slices come first."""
    limit = max(1, min(query.max_series, MAX_SERIES))
    info: MetricInfo | None = None
    found: dict[int, _Series] = {}
    looked_at: set[int] = set()
    matching = 0
    for part in parts:
        for number, unit, description, kind, bounds in read.run(
            f"SELECT id, unit, description, kind, bounds FROM metric_{part.id} WHERE name = ?",
            (query.name,),
        ):
            if info is None:
                keys = _keys(read, part, number)
                info = MetricInfo(query.name, unit, description, cast("Kind", kind), keys)
            for row, service, instance, attributes in _series(read, part, number, query):
                if row in looked_at:
                    continue
                looked_at.add(row)
                labels = loads(attributes)
                if _matches(labels, query.attributes):
                    matching += 1
                    if len(found) < limit:
                        found[row] = _Series(
                            kind,
                            number,
                            service or "",
                            instance,
                            attributes_from(labels),
                            tuple(loads(bounds)),
                        )
    return info, found, matching


def _series(
    read: Session, part: Slice, metric: int, query: MetricQuery
) -> Iterator[tuple[int, str, str, str]]:
    sql = (
        f"SELECT s.id, t.value, s.instance, s.attributes FROM series_{part.id} AS s "
        f"LEFT JOIN text_{part.id} AS t ON t.id = s.service WHERE s.metric = ?"
    )
    arguments: tuple[Any, ...] = (metric,)
    if query.service is not None:
        sql += " AND s.service = ?"
        arguments += (text_id(query.service),)
    yield from read.run(sql, arguments)


def _matches(attributes: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(
        key in attributes and str(attributes[key]) == str(value) for key, value in wanted.items()
    )


def _read_points(
    read: Session, part: Slice, query: MetricQuery, series: Mapping[int, _Series]
) -> int:
    """Add a slice's points to their series; how many."""
    count = 0
    low, high = query.since_ns, query.until_ns
    for metric in {each.metric for each in series.values()}:
        arguments = {
            "metric": metric,
            "series": dumps([row for row, each in series.items() if each.metric == metric]),
            "since": low,
            "until": high,
            "step": max(query.step_ns, 1),
            "limit": MAX_POINTS,
        }
        for table, time, first, last in _tables(part, query):
            sql = POINTS_SQL.format(table=f"{table}_{part.id}", time=time)
            rows = read.run(sql, {**arguments, "low": first, "high": last})
            count += len(rows)
            for row, time_ns, start_ns, value, data in rows:
                one = series[row]
                times = (start_ns, time_ns)
                one.points[time_ns] = point_from(
                    one.kind, one.attributes, times, value, loads(data) if data else None
                )
    return count


def _tables(part: Slice, query: MetricQuery) -> Iterator[tuple[str, str, int, int]]:
    """Table, its column of time, the first and the last that is wanted."""
    low, high = query.since_ns, query.until_ns
    coarse = part.version >= WITH_ROLL_UPS and _is_long(query.step_ns)
    for prefix, first, last in stretches(low // MINUTE_NS, high // MINUTE_NS, coarse=coarse):
        yield "half_hour" if prefix else "minute", "minute", first, last
    yield "point", "time_ns", low, high


def _is_long(step_ns: int) -> bool:
    """Whether half hours will do: they fit into the steps, or are short beside them."""
    half_hour_ns = HALF_HOUR * MINUTE_NS
    return step_ns > 0 and (step_ns % half_hour_ns == 0 or step_ns > 4 * half_hour_ns)
