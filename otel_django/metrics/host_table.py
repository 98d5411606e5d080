"""The sums of several processes, added up."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_django.metric_points import NumberPoint
from otel_django.metrics.host_file import (
    HEADER,
    NOW_KINDS,
    SERIES_PER_PAUSE,
    Content,
    FileError,
    MetricKey,
    header,
    metric_entry,
    note_entry,
    series_entry,
)
from otel_django.metrics.instruments import OVERFLOW
from otel_django.metrics.merging import added, newest
from otel_django.metrics.point_bytes import (
    pack_attributes,
    pack_point,
    unpack_attributes,
    unpack_point,
)

if TYPE_CHECKING:
    from otel_django.metric_points import Attributes, Metric, Point

HOST_ROLE: Final = "host"
"""Of what is measured of the host itself, by whichever process: what is so now isn't added up."""
_OVERFLOW_KEY: Final = pack_attributes(OVERFLOW)


@dataclass(slots=True)
class Series:
    """One series; the limit goes by when it was ``created_ns``."""

    created_ns: int
    point: Point


@dataclass(slots=True)
class Group:
    """One metric of one role. ``made_ns`` is when it was last made known under its key."""

    description: str
    made_ns: int
    series: dict[bytes, Series] = field(default_factory=dict)


class Table:
    """Sums by metric and series. All points start at ``start_ns``."""

    def __init__(self, start_ns: int, pause: Callable[[], object]) -> None:
        self.start_ns = start_ns
        self.groups: dict[MetricKey, Group] = {}
        self._pause = pause
        self._attributes: dict[bytes, Attributes] = {}

    # --- adding

    def add(self, content: Content, *, alive: bool) -> None:
        """Add what a process's file holds; of one that is gone, nothing that was true then only.

        Raises:
            FileError: a value is harmed; nothing was added.
        """
        for key, described, attributes, series in list(self._decoded(content, alive)):
            self._add_one(key, *described, attributes, series)

    def _decoded(
        self, content: Content, alive: bool
    ) -> Iterator[tuple[MetricKey, tuple[str, int], bytes, Series]]:
        for number, entry in enumerate(content.series.values()):
            if not number % SERIES_PER_PAUSE:
                self._pause()
            key, description, made_ns = content.metrics[entry.metric]
            if not entry.value or (key.kind in NOW_KINDS and not alive):
                continue
            try:
                attributes = self._attributes.get(entry.attributes)
                if attributes is None:
                    attributes = unpack_attributes(entry.attributes)
                    self._attributes[entry.attributes] = attributes
                point = unpack_point(entry.value, attributes, self.start_ns)
            except (ValueError, TypeError, struct.error) as error:
                raise FileError("a value is harmed") from error
            yield key, (description, made_ns), entry.attributes, Series(entry.created_ns, point)

    def add_metrics(self, metrics: Iterable[tuple[str, Metric]], now_ns: int) -> None:
        """Add the sums of a process that has no file."""
        for role, metric in metrics:
            key = MetricKey.of(role, metric)
            for point in metric.points:
                own = Series(now_ns, point._replace(start_ns=self.start_ns))
                packed = pack_attributes(point.attributes)
                self._add_one(key, metric.description, now_ns, packed, own)

    def _add_one(
        self, key: MetricKey, description: str, made_ns: int, attributes: bytes, series: Series
    ) -> None:
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(description, made_ns)
        group.made_ns = max(group.made_ns, made_ns)
        known = group.series.get(attributes)
        if known is None:
            group.series[attributes] = series
            return
        known.created_ns = min(known.created_ns, series.created_ns)
        known.point = _both(key, known.point, series.point)

    # --- what is left out

    def drop_outdated(self) -> None:
        """Of a metric that was made known in two ways (new bounds, another unit), keep the last."""
        last: dict[tuple[object, ...], int] = {}
        for key, group in self.groups.items():
            last[key.named] = max(last.get(key.named, 0), group.made_ns)
        self.groups = {
            key: group for key, group in self.groups.items() if group.made_ns == last[key.named]
        }

    def limit(self, limit: int, order: Table | None = None) -> None:
        """Keep the first ``limit - 1`` series of each metric; add up the rest in one.

        The first: in ``order``, where it is given. It has at least what this one has.
        """
        for key, group in self.groups.items():
            if len(group.series) >= limit:
                of_all = group if order is None else order.groups.get(key, group)
                self._limit(key, group, _first(of_all, limit - 1))

    def _limit(self, key: MetricKey, group: Group, admitted: set[bytes]) -> None:
        for attributes in [one for one in group.series if one not in admitted]:
            series = group.series.pop(attributes)
            rest = group.series.get(_OVERFLOW_KEY)
            if rest is None:
                point = series.point._replace(attributes=OVERFLOW)
                group.series[_OVERFLOW_KEY] = Series(series.created_ns, point)
            else:
                rest.point = _both(key, rest.point, series.point)

    # --- as others want it

    def metrics(self, now_ns: int) -> dict[str, tuple[Metric, ...]]:
        """By role and name, as they are now."""
        roles: dict[str, list[Metric]] = {}
        for key, group in sorted(self.groups.items(), key=lambda item: item[0].name):
            self._pause()
            points = tuple(_as_of(series.point, now_ns) for series in group.series.values())
            roles.setdefault(key.role, []).append(key.metric(group.description, points))
        return {role: tuple(metrics) for role, metrics in sorted(roles.items())}

    def encode(self, noted: Sequence[str] = ()) -> bytes:
        """As a file."""
        parts = [note_entry(noted)]
        for number, (key, group) in enumerate(self.groups.items()):
            self._pause()
            parts.append(metric_entry(key, group.description, group.made_ns))
            for place, (attributes, series) in enumerate(group.series.items()):
                if not place % SERIES_PER_PAUSE:
                    self._pause()
                value = pack_point(series.point)
                parts.append(series_entry(number, attributes, value, series.created_ns))
        body = b"".join(parts)
        return header(HEADER.size + len(body), self.start_ns) + body


def _as_of(point: Point, now_ns: int) -> Point:
    if not isinstance(point, NumberPoint):
        return point._replace(time_ns=now_ns, sum=float(point.sum))
    value = point.value if isinstance(point.value, int) else float(point.value)
    return point._replace(time_ns=now_ns, value=value)


def _both(key: MetricKey, one: Point, other: Point) -> Point:
    if key.kind == "gauge" or (key.role == HOST_ROLE and key.kind in NOW_KINDS):
        return newest(one, other)
    return added(one, other, key.bounds)


def _first(group: Group, count: int) -> set[bytes]:
    ordered = sorted((series.created_ns, key) for key, series in group.series.items())
    admitted = [key for _, key in ordered if key != _OVERFLOW_KEY]
    return {*admitted[:count], _OVERFLOW_KEY}
