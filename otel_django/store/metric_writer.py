"""The sink that writes metrics to the embedded store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.clock import SYSTEM_CLOCK, Clock
from otel_django.metric_points import NumberPoint
from otel_django.store import metric_schema
from otel_django.store.batch_writer import ITEMS_A_TRANSACTION, BatchWriter, DropCounter
from otel_django.store.json_text import dumps
from otel_django.store.metric_rows import MetricPacker, TakenPoint
from otel_django.store.texts import text_id

if TYPE_CHECKING:
    from otel_django.metric_points import Point, ResourceMetrics
    from otel_django.store.file import StoreFile

REPEAT_NS: Final = 300_000_000_000
MAX_REMEMBERED: Final = 200_000
MAX_REMEMBERED_CHARACTERS: Final = 1 << 26
"""Of all of them, written out: a single one may have megabytes of attributes."""


class _Last(NamedTuple):
    """What was last written of a series."""

    value: Any
    time_ns: int


class MetricWriter(BatchWriter[TakenPoint]):
    """A ``MetricSink`` that writes cumulative points to the file of a ``StoreWriter``.

    A point is written when its value is another than the one before, and every five minutes; an
    exemplar once. ``poll``, ``flush``, ``close`` and ``after_fork`` are a ``Sink``'s.
    """

    def __init__(
        self,
        file: StoreFile,
        *,
        drops: DropCounter,
        clock: Clock = SYSTEM_CLOCK,
        pause: Callable[[], None] = lambda: time.sleep(0),
    ) -> None:
        super().__init__(
            file,
            MetricPacker(pause),
            metric_schema.ingest,
            signal="metrics",
            drops=drops,
            clock=clock,
        )
        self._last: dict[tuple[Any, ...], _Last] = {}
        self._characters = 0

    def take(self, data: Sequence[ResourceMetrics]) -> None:
        """Write what changed."""
        self._forget()
        changed = list(self._changed(data))
        for begin in range(0, len(changed), ITEMS_A_TRANSACTION):
            self.accept(changed[begin : begin + ITEMS_A_TRANSACTION])

    def after_fork(self) -> None:
        """In a child, which may be elected later."""
        super().after_fork()
        self._forget_all()

    def _changed(self, data: Sequence[ResourceMetrics]) -> Iterator[TakenPoint]:
        for part in data:
            owner = text_id(dumps(dict(part.resource)))
            for metric in part.metrics:
                for point in metric.points:
                    key = (owner, metric.scope.name, metric.name, metric.bounds, point.attributes)
                    value = _value(point)
                    last = self._last.get(key)
                    since = 0 if last is None else last.time_ns
                    if last is None or last.value != value or point.time_ns >= since + REPEAT_NS:
                        if last is None:
                            self._characters += len(repr(key))
                        self._last[key] = _Last(value, point.time_ns)
                        yield TakenPoint(part.resource, metric, point, since)

    def _forget(self) -> None:
        """Let go of series that have ended; of all, where there are too many."""
        if len(self._last) > MAX_REMEMBERED or self._characters > MAX_REMEMBERED_CHARACTERS:
            self._forget_all()
        ended = self._clock.now_ns() - 2 * REPEAT_NS
        for key in [key for key, last in self._last.items() if last.time_ns < ended]:
            del self._last[key]
            self._characters -= len(repr(key))

    def _forget_all(self) -> None:
        self._last.clear()
        self._characters = 0


def _value(point: Point) -> tuple[Any, ...]:
    if isinstance(point, NumberPoint):
        return (point.start_ns, point.value)
    return (point.start_ns, point.count, point.sum)
