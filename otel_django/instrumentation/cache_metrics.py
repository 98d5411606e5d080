"""What is measured of cache operations, whether a trace records them or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_django import metric_definitions as metrics
from otel_django.metrics.gathering import Gathering

if TYPE_CHECKING:
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.span import Span

_Ran = tuple[tuple[Any, ...], int, Any, "int | None", "int | None"]


class CacheMetrics:
    """The instruments of cache operations."""

    def __init__(self, recorder: Recorder) -> None:
        self._operations = recorder.counter(metrics.DJANGO_CACHE_OPERATIONS)
        self._duration = recorder.histogram(metrics.DJANGO_CACHE_OPERATION_DURATION)
        self._take = Gathering(recorder, self._record).take

    def ran(
        self,
        kind: tuple[Any, ...],
        took_ns: int,
        span: Span | None,
        hits: int | None,
        count: int | None,
    ) -> None:
        """An operation of a ``kind`` (alias, operation, key prefix) is over.

        ``hits`` is how many keys it found, None if it looked for none, -1 if it failed; ``count``
        is how many keys it was given, None: one.
        """
        self._take((kind, took_ns, span, hits, count))

    def _record(self, operations: list[_Ran]) -> None:
        for (alias, operation, prefix), took_ns, span, hits, count in operations:
            results = _results(operation, hits, count)
            for result, keys in results.items():
                if keys:
                    self._operations.add(keys, (alias, operation, result, prefix), span)
            kind = (alias, operation, next(iter(results)), prefix)
            self._duration.record(took_ns / 1e9, kind, span)


def _results(operation: str, hits: int | None, count: int | None) -> dict[str, int]:
    """What came of how many keys, the operation's own result first."""
    if hits is None:
        return {operation: 1 if count is None else count}
    if hits < 0:
        return {"error": 1}
    misses = max(0, (max(1, hits) if count is None else count) - hits)
    return {"hit": hits, "miss": misses} if hits else {"miss": misses}
