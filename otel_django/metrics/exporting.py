"""When a host's sums leave, and what of them: for the one process that exports.

What was sent last is noted in the host's folder, so that a successor goes on from there: its time,
and for differences the sums. It is noted right after the sink has taken the data: a process that
is killed between the two has its successor send that once more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_django import guard
from otel_django.metric_points import ResourceMetrics
from otel_django.metrics.host_file import FileError
from otel_django.metrics.host_table import Table
from otel_django.metrics.temporality import as_delta, fresh_exemplars, since, sums_only

if TYPE_CHECKING:
    from otel_django.contracts import MetricSink
    from otel_django.metric_points import AttributeValue
    from otel_django.metrics.host_folder import HostFolder

ResourceOf = Callable[[str], Mapping[str, "AttributeValue"]]


@dataclass(frozen=True)
class Export:
    """A sink that is given the host's sums each ``interval_s``; ``name`` is a file's, too."""

    name: str
    sink: MetricSink
    interval_s: float
    delta: bool = False


@dataclass
class _Sent:
    """What was sent last: ``sums`` are None where they lie in the folder, or aren't needed."""

    time_ns: int
    sums: Table | None = None


class Exporting:
    """Keeps to the intervals of ``exports``. Not thread-safe."""

    def __init__(
        self,
        exports: Sequence[Export],
        *,
        resource_of: ResourceOf,
        pause: Callable[[], object],
    ) -> None:
        self.exports = tuple(exports)
        self.folder: HostFolder | None = None
        self._resource_of = resource_of
        self._pause = pause
        self._due_s: dict[str, float] = {}
        self._sent: dict[str, _Sent] = {}

    def begin(self, now_s: float, now_ns: int) -> None:
        """This process exports from now on: go on where the one before has left off."""
        self._sent.clear()
        for export in self.exports:
            passed_s = (now_ns - self._last(export).time_ns) / 1e9
            wait_s = export.interval_s - passed_s if passed_s >= 0 else 0.0
            first = not self._sent[export.name].time_ns
            self._due_s[export.name] = now_s + (export.interval_s if first else max(wait_s, 0.0))

    def next_s(self) -> float:
        """When something is due."""
        return min(self._due_s.values(), default=float("inf"))

    def due(self, now_s: float) -> tuple[Export, ...]:
        """What is due."""
        return tuple(one for one in self.exports if self._due_s.get(one.name, 0.0) <= now_s)

    def unsent(self, measured_ns: int) -> tuple[Export, ...]:
        """Those that have not been given what was written at that time."""
        self._sent.clear()  # another process may have exported meanwhile
        return tuple(one for one in self.exports if self._last(one).time_ns <= measured_ns)

    def send(self, export: Export, table: Table, now_s: float, now_ns: int) -> None:
        """Give ``table``, read after ``now_ns``, to the sink; None of it is changed."""
        self._due_s[export.name] = now_s + export.interval_s
        last = self._last(export)
        shown = since(self._sums(export), last.time_ns, table) if export.delta else table
        metrics = fresh_exemplars(shown, last.time_ns).metrics(now_ns)
        data = [
            ResourceMetrics(self._resource_of(role), as_delta(found) if export.delta else found)
            for role, found in metrics.items()
        ]
        if data:
            with guard.guarded(f"{type(export.sink).__name__}.take"):
                export.sink.take(data)
        self._note(export, table, now_ns)

    def _note(self, export: Export, table: Table, now_ns: int) -> None:
        kept = sums_only(table, self._pause) if export.delta else Table(0, self._pause)
        kept.start_ns = now_ns
        sent = self._sent[export.name] = _Sent(now_ns)
        sent.sums = kept
        if self.folder is not None:
            with contextlib.suppress(OSError):  # a successor sends again what came since the last
                self.folder.write_sent(export.name, kept.encode())
                sent.sums = None

    def _last(self, export: Export) -> _Sent:
        sent = self._sent.get(export.name)
        if sent is None:
            content = self.folder.read_sent(export.name) if self.folder is not None else None
            sent = self._sent[export.name] = _Sent(0 if content is None else content.start_ns)
        return sent

    def _sums(self, export: Export) -> Table | None:
        sent = self._last(export)
        if sent.sums is not None or self.folder is None:
            return sent.sums
        content = self.folder.read_sent(export.name)
        if content is None:
            return None
        table = Table(content.start_ns, self._pause)
        try:
            table.add(content, alive=True)
        except FileError:
            guard.caught("metrics.sums sent last")
            return None
        return table
