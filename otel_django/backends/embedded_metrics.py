"""Reads metrics from the embedded store: read-only, each answer bounded in time and rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from otel_django.backends.embedded_first_points import first_rows
from otel_django.backends.embedded_memory import MEMORY
from otel_django.backends.embedded_points import MAX_POINTS, SIZE, Part, part_of, sources
from otel_django.backends.embedded_session import Session, StoreReader
from otel_django.contracts import MetricAnswer, MetricInfo, MetricQuery, MetricSeries
from otel_django.metric_points import HistogramPoint, NumberPoint
from otel_django.store.json_text import dumps, loads
from otel_django.store.metric_rows import attributes_from, point_from
from otel_django.store.metric_schema import MINUTE_NS
from otel_django.store.schema import WITH_LOGS_AND_METRICS
from otel_django.store.texts import text_id

if TYPE_CHECKING:
    from otel_django.metric_points import Attributes, Kind, Point
    from otel_django.store.slices import Slice

MAX_SERIES: Final = 10_000
SERIES_LOOKED_AT: Final = 100
TOO_MANY_POINTS: Final = f"only the first {MAX_POINTS:,} points: ask for a longer step"
DAY_NS: Final = 1440 * MINUTE_NS
REPEATED_NS: Final = 6 * MINUTE_NS
"""By then each series has a point again."""
LEVELS: Final = ("gauge", "up_down_counter")
LATE: Final = "time was up: points are missing; ask for a shorter range or a longer step"

POINT_BYTES, EXEMPLAR_BYTES, COUNT_BYTES = 300, 400, 40
"""About what a point takes in memory."""
FEW_OF: Final = 8
"""Where no more than one in so many series are wanted, each is looked for by itself."""


class _Found(NamedTuple):
    """A series that matches; ``labels`` is its attributes' JSON."""

    metric: int
    kind: Kind
    bounds: str
    service: str
    instance: str
    labels: str


class _Asked(NamedTuple):
    """Points of one metric; ``series`` is a JSON array of ids."""

    metric: int
    series: str
    since_ns: int
    until_ns: int
    step_ns: int
    few: bool


class _Matching(NamedTuple):
    """A metric's series by their ids, of newer slices first; how many there are of all."""

    info: MetricInfo | None
    series: dict[int, _Found]
    looked_at: int


@dataclass
class _Series:
    kind: Kind
    metric: int
    service: str
    instance: str
    attributes: Attributes
    bounds: tuple[float, ...]
    points: list[Point] = field(default_factory=list)
    first: Point | None = None
    """Where none is in the range's first step."""

    @classmethod
    def of(cls, found: _Found) -> _Series:
        """Without points yet."""
        attributes = attributes_from(loads(found.labels))
        owner = (found.service, found.instance)
        return cls(found.kind, found.metric, *owner, attributes, tuple(loads(found.bounds)))

    def answer(self, step_ns: int) -> MetricSeries:
        """Its points by time; steps that two slices share have one of each start."""
        by_time = sorted(self.points, key=attrgetter("time_ns"))
        points = {(point.time_ns // step_ns, point.start_ns): point for point in by_time}
        ordered = sorted(points.values(), key=attrgetter("time_ns"))
        if self.first is not None and self.first.time_ns < ordered[0].time_ns:
            ordered.insert(0, self.first)
        owner = (self.service, self.instance)
        return MetricSeries(*owner, self.attributes, tuple(ordered), self.bounds)

    def point(self, row: Sequence[Any]) -> Point:
        """Of a row's time, start, value and data."""
        time_ns, start_ns, value, data = row
        told = loads(data) if data else None
        return point_from(self.kind, self.attributes, (start_ns, time_ns), value, told)


class EmbeddedMetricReader(StoreReader):
    """A ``MetricReader`` of the store at ``path``; cheap to make.

    Where there is no file yet, there is nothing to read: answers are empty.
    """

    def list_metrics(self) -> tuple[MetricInfo, ...]:
        """All there are; the keys of attributes are those of a hundred series each."""
        found: dict[str, MetricInfo] = {}
        with self._session() as read:
            for part in _with_metrics(read):
                for number, name, unit, description, kind in read.run_in(
                    part, f"SELECT id, name, unit, description, kind FROM metric_{part.id}"
                ):
                    if name not in found:
                        keys = _keys(read, part, number)
                        found[name] = MetricInfo(name, unit, description, kind, keys)
        return tuple(found[name] for name in sorted(found))

    def began_ns(self) -> int:
        """No point is older."""
        with self._session() as read:
            parts = [part_of(read, part) for part in _with_metrics(read)]
        return min((part.first_ns for part in parts if part), default=0)

    def series_count(self, query: MetricQuery) -> int:
        """Of 10,000 at most. Without ``attributes`` series that had a pause may count twice."""
        with self._session() as read:
            parts = _overlapping(read, query)
            if query.attributes:
                return len(_matching(read, parts, query).series)
            return min(sum(count for (count,) in _per_slice(read, parts, query)), MAX_SERIES)

    def read(self, query: MetricQuery) -> MetricAnswer:
        """At most 10,000 series and 100,000 points."""
        with self._session() as read:
            parts = _overlapping(read, query)
            matching = _matching(read, parts, query)
            series = _chosen(read, parts, query, matching)
            note = ""
            if len(series) < len(matching.series):
                note = f"the largest {len(series):,} of {len(matching.series):,} series"
            few = len(series) * FEW_OF <= matching.looked_at
            try:
                count = sum(
                    _read_points(read, part, query, series, few=few) for part in reversed(parts)
                )
                _read_first_points(read, parts, query, series)
            except TimeoutError:
                if not any(each.points for each in series.values()):
                    raise
                count, note = 0, LATE
        if count >= MAX_POINTS:
            note = TOO_MANY_POINTS
        answers = (each.answer(max(query.step_ns, 1)) for each in series.values() if each.points)
        ordered = sorted(answers, key=lambda each: (each.service, each.instance, each.attributes))
        return MetricAnswer(matching.info, tuple(ordered), note)


def _with_metrics(read: Session) -> list[Slice]:
    return [part for part in read.slices if part.version >= WITH_LOGS_AND_METRICS]


def _overlapping(read: Session, query: MetricQuery) -> list[Part]:
    """The slices that have points of the range, newest first: points may come hours late."""
    parts = (part_of(read, part) for part in _with_metrics(read))
    return [part for part in parts if part and part.has(query.since_ns, query.until_ns)]


def _keys(read: Session, part: Slice, metric: int) -> tuple[str, ...]:
    rows = read.run_in(
        part,
        f"SELECT DISTINCT key FROM (SELECT attributes FROM series_{part.id} "
        "WHERE metric = ? LIMIT ?), json_each(attributes) ORDER BY key",
        (metric, SERIES_LOOKED_AT),
    )
    return tuple(key for (key,) in rows)


def _matching(read: Session, parts: list[Part], query: MetricQuery) -> _Matching:
    info: MetricInfo | None = None
    found: dict[int, _Found] = {}
    looked_at: set[int] = set()
    newer: Part | None = None
    for part in parts:
        for number, unit, description, kind, bounds in read.run_in(
            part.slice,
            f"SELECT id, unit, description, kind, bounds FROM metric_{part.id} WHERE name = ?",
            (query.name,),
        ):
            if info is None:
                keys = _keys(read, part.slice, number)
                info = MetricInfo(query.name, unit, description, cast("Kind", kind), keys)
            for row, service, instance, labels in _series(
                read, part, newer, number, query, "s.id, t.value, s.instance, s.attributes"
            ):
                if row in looked_at:
                    continue
                looked_at.add(row)
                if len(found) < MAX_SERIES and _matches(labels, query.attributes):
                    found[row] = _Found(number, kind, bounds, service or "", instance, labels)
        newer = part
    return _Matching(info, found, len(looked_at))


def _per_slice(read: Session, parts: list[Part], query: MetricQuery) -> Iterator[tuple[int]]:
    newer: Part | None = None
    for part in parts:
        sql = f"SELECT id FROM metric_{part.id} WHERE name = ?"
        for (number,) in read.run_in(part.slice, sql, (query.name,)):
            yield from _series(read, part, newer, number, query, "count(*)")
        newer = part


def _series(
    read: Session,
    part: Part,
    newer: Part | None,
    metric: int,
    query: MetricQuery,
    columns: str,
) -> Sequence[tuple[Any, ...]]:
    """Of those of a slice that aren't in the newer one, where most are."""
    sql = (
        f"SELECT {columns} FROM series_{part.id} AS s "
        f"LEFT JOIN text_{part.id} AS t ON t.id = s.service WHERE s.metric = ?"
    )
    arguments: tuple[Any, ...] = (metric,)
    if query.service is not None:
        sql += " AND s.service = ?"
        arguments += (text_id(query.service),)
    if newer is not None:
        sql += f" AND NOT EXISTS (SELECT 1 FROM series_{newer.id} AS n WHERE n.id = s.id)"
        if not read.has_ended(newer.slice):
            return read.run(sql, arguments)
    return read.run_in(part.slice, sql, arguments)


def _chosen(
    read: Session, parts: list[Part], query: MetricQuery, matching: _Matching
) -> dict[int, _Series]:
    """All series, or the largest of too many: by a look at each slice's last points."""
    found = matching.series
    limit = max(1, min(query.max_series, MAX_SERIES))
    if len(found) <= limit:
        return {row: _Series.of(each) for row, each in found.items()}
    sizes: dict[int, float] = dict.fromkeys(found, 0.0)
    for part in parts:
        for row, size in _last_sizes(read, part, query, {each.metric for each in found.values()}):
            if row in sizes and isinstance(size, int | float):
                sizes[row] = max(sizes[row], size)
    return {row: _Series.of(found[row]) for row in nlargest(limit, sizes, key=sizes.__getitem__)}


def _last_sizes(
    read: Session, part: Part, query: MetricQuery, metrics: set[int]
) -> Iterator[tuple[int, float | None]]:
    """What series have counted as the range or the slice ends."""
    for source in sources(part, query.since_ns, query.until_ns, DAY_NS):
        last = read.run(
            f"SELECT max({source.time}) FROM {source.table} WHERE {source.time} BETWEEN ? AND ?",
            (source.low, source.high),
        )[0][0]
        if last is not None:
            low = last if source.length_ns else last - REPEATED_NS
            sql = source._replace(low=low, high=last).sql(SIZE, more="GROUP BY p.series")
            for metric in metrics:
                yield from read.run(
                    sql,
                    {
                        "metric": metric,
                        "low": low,
                        "high": last,
                        "since": query.since_ns,
                        "until": query.until_ns,
                        "limit": MAX_POINTS,
                    },
                )


def _matches(labels: str, wanted: Mapping[str, Any]) -> bool:
    if not wanted:
        return True
    attributes = loads(labels)
    return all(
        key in attributes and str(attributes[key]) == str(value) for key, value in wanted.items()
    )


def _read_points(
    read: Session, part: Part, query: MetricQuery, series: Mapping[int, _Series], *, few: bool
) -> int:
    """Add a slice's points to their series; how many. ``few``: of many that there are."""
    count = 0
    for metric in {each.metric for each in series.values()}:
        rows = sorted(row for row, each in series.items() if each.metric == metric)
        asked = _Asked(metric, dumps(rows), query.since_ns, query.until_ns, query.step_ns, few)
        points = _points(read, part, asked, series)
        for row, point in points:
            series[row].points.append(point)
        count += len(points)
    return count


def _points(
    read: Session, part: Part, asked: _Asked, series: Mapping[int, _Series]
) -> list[tuple[int, Point]]:
    """Those of one slice with their series; remembered where all of a slice is wanted."""
    since_ns, until_ns = part.wide_ns
    is_whole = asked.since_ns <= since_ns and until_ns <= asked.until_ns
    if not is_whole or not read.has_ended(part.slice):
        return _points_between(read, part, asked, series)
    newest, oldest = read.run(
        f"SELECT (SELECT max(time_ns) FROM point_{part.id}), "
        f"(SELECT min(minute) FROM minute_{part.id})"
    )[0]
    if newest is not None or oldest is None:  # they will be thinned, or are past their age
        return _points_between(read, part, asked, series)
    asked = asked._replace(since_ns=since_ns, until_ns=until_ns)
    key = (read.key(part.slice), oldest, asked)
    points: list[tuple[int, Point]] | None = MEMORY.get(key)
    if points is None:
        points = _points_between(read, part, asked, series)
        MEMORY.put(key, points, sum(map(_size_bytes, points)) + len(asked.series))
    return points


def _points_between(
    read: Session, part: Part, asked: _Asked, series: Mapping[int, _Series]
) -> list[tuple[int, Point]]:
    found = []
    step_ns = max(asked.step_ns, 1)
    for source in sources(part, asked.since_ns, asked.until_ns, asked.step_ns):
        for row, *point in read.run(
            source.last_of_steps(step_ns, few=asked.few),
            {
                "metric": asked.metric,
                "series": asked.series,
                "since": asked.since_ns,
                "until": asked.until_ns,
                "low": source.low,
                "high": source.high,
                "step": step_ns,
                "step_minutes": step_ns // MINUTE_NS,
                "length": source.length_ns // MINUTE_NS,
                "limit": MAX_POINTS,
            },
        ):
            found.append((row, series[row].point(point)))
    return found


def _read_first_points(
    read: Session, parts: Sequence[Part], query: MetricQuery, series: Mapping[int, _Series]
) -> None:
    """Of sums that the range's first step has nothing of."""
    if query.step_ns <= 1:
        return
    began: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, one in series.items():
        if one.points and one.kind not in LEVELS:
            at = min(point.time_ns for point in one.points) // query.step_ns
            if at > query.since_ns // query.step_ns:
                began[one.metric, at].append(number)
    for (metric, at), numbers in began.items():
        low_ns = at * query.step_ns
        high_ns = min(low_ns + query.step_ns - 1, query.until_ns)
        for number, *row in first_rows(read, parts, metric, numbers, low_ns, high_ns).values():
            series[number].first = series[number].point(row)


def _size_bytes(each: tuple[int, Point]) -> int:
    point = each[1]
    size = POINT_BYTES + EXEMPLAR_BYTES * len(point.exemplars)
    if isinstance(point, NumberPoint):
        return size
    if isinstance(point, HistogramPoint):
        return size + COUNT_BYTES * len(point.counts)
    return size + COUNT_BYTES * (len(point.positive) + len(point.negative))
