"""What the process itself uses, and its garbage collector does.

Never told by process: the numbers of all processes of a role are added up, a counter's also when
its process has ended. They are taken anew when somebody collects, but seldom.
"""

from __future__ import annotations

import gc
import os
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard
from otel_django import metric_definitions as metrics
from otel_django.metrics import active

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from otel_django.conf import Settings
    from otel_django.metric_points import MetricDefinition
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.tracer import Tracer

Values = tuple[Any, ...]
Seen = dict["MetricDefinition", dict[Values, float]]
"""By metric and attributes."""
EVERY_S: Final = 15.0


class Observed:
    """Metrics that one look at something gives together; ``look`` is called every 15 s at most.

    Nothing is looked at where no host's sums are kept: in tests, and while it isn't installed.
    """

    DEFINITIONS: tuple[MetricDefinition, ...] = ()

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        self._now_s = now_s
        self._installed = False
        self._seen: Seen = {}
        self._due_s = 0.0
        self._recorders: list[Recorder] = []

    def measure_with(self, recorder: Recorder) -> None:
        """Be asked for the metrics whenever ``recorder`` collects."""
        if recorder in self._recorders:
            return
        self._recorders.append(recorder)
        recorder.gather(self._refresh, self.after_fork)
        for definition in self.DEFINITIONS:
            recorder.observe(definition, self._observer(definition))

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """From now on there is something to see."""
        self._installed = True

    def uninstall(self) -> None:
        """From now on there is nothing."""
        self._installed = False
        self._seen = {}

    def after_fork(self) -> None:
        """In a forked child: nothing was seen yet."""
        self.look_away()

    def look_away(self) -> None:
        """Somebody else may look until this process is to look again."""
        self._seen = {}
        self._due_s = 0.0

    def look(self) -> Seen:
        """What is there now."""
        raise NotImplementedError

    def is_wanted(self) -> bool:
        """Whether this process is to look."""
        return active.host() is not None

    def _observer(
        self, definition: MetricDefinition
    ) -> Callable[[], Iterable[tuple[float, Values]]]:
        def observe() -> list[tuple[float, Values]]:
            return [(value, key) for key, value in self._seen.get(definition, {}).items()]

        return observe

    def _refresh(self) -> None:
        if not self._installed or not self.is_wanted():
            self.look_away()
        elif self._now_s() >= self._due_s:
            self._due_s = self._now_s() + EVERY_S
            with guard.guarded(f"{type(self).__name__}.look"):
                self._seen = self.look()


class ProcessMetrics(Observed):
    """CPU time, memory, threads, files and switches of this process; its garbage collector."""

    DEFINITIONS = (
        metrics.PROCESS_CPU_TIME,
        metrics.PROCESS_MEMORY_USAGE,
        metrics.PROCESS_MEMORY_VIRTUAL,
        metrics.PROCESS_THREAD_COUNT,
        metrics.PROCESS_UNIX_FILE_DESCRIPTOR_COUNT,
        metrics.PROCESS_CONTEXT_SWITCHES,
        metrics.CPYTHON_GC_COLLECTIONS,
        metrics.CPYTHON_GC_COLLECTED_OBJECTS,
        metrics.CPYTHON_GC_UNCOLLECTABLE_OBJECTS,
    )

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        super().__init__(now_s)
        self._process: Any = None
        self._collected_before: list[Mapping[str, int]] = []

    def after_fork(self) -> None:
        """In a forked child: what the parent's collector did was the parent's."""
        super().after_fork()
        self._process = None
        self._collected_before = list(gc.get_stats())

    def look(self) -> Seen:
        """What is there now."""
        import psutil

        if self._process is None:
            self._process = psutil.Process(os.getpid())
        process = self._process
        with process.oneshot():
            cpu, memory = process.cpu_times(), process.memory_info()
            switches = process.num_ctx_switches()
            seen: Seen = {
                metrics.PROCESS_CPU_TIME: {("user",): cpu.user, ("system",): cpu.system},
                metrics.PROCESS_MEMORY_USAGE: {(): memory.rss},
                metrics.PROCESS_MEMORY_VIRTUAL: {(): memory.vms},
                metrics.PROCESS_THREAD_COUNT: {(): process.num_threads()},
                metrics.PROCESS_CONTEXT_SWITCHES: {
                    ("voluntary",): switches.voluntary,
                    ("involuntary",): switches.involuntary,
                },
                **self._garbage(),
            }
            if hasattr(process, "num_fds"):
                seen[metrics.PROCESS_UNIX_FILE_DESCRIPTOR_COUNT] = {(): process.num_fds()}
        return seen

    def _garbage(self) -> Seen:
        before = self._collected_before or [{}] * 3
        generations = list(enumerate(zip(gc.get_stats(), before, strict=False)))
        return {
            definition: {
                (number,): now[key] - then.get(key, 0) for number, (now, then) in generations
            }
            for definition, key in (
                (metrics.CPYTHON_GC_COLLECTIONS, "collections"),
                (metrics.CPYTHON_GC_COLLECTED_OBJECTS, "collected"),
                (metrics.CPYTHON_GC_UNCOLLECTABLE_OBJECTS, "uncollectable"),
            )
        }
