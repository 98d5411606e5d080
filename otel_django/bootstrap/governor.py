"""Holds what telemetry takes of a processor below ``OTEL_DJANGO_MAX_OVERHEAD``."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard, host_environment, names
from otel_django import metric_definitions as metrics
from otel_django.instrumentation import thrift
from otel_django.pipeline.polled import Polled
from otel_django.tracing.governor import LEVELS, Change, Governor, Look
from otel_django.tracing.thinning import Thinning

if TYPE_CHECKING:
    from otel_django.bootstrap.process import Runtime
    from otel_django.conf import Settings
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.tracer import Tracer

EVERY_S: Final = 1.0
PROBE_S: Final = 0.1
"""Long enough for a dozen requests: it begins and ends where a thread lets go of the interpreter,
which is more often within telemetry and database calls than elsewhere."""
BUSY_S: Final = 0.005
"""A process that took less since the last look is not worth another."""

_logger = logging.getLogger(guard.LOGGER_NAME)


class Governing(Polled):
    """An instrumentation, and a sink that is only polled.

    Where greenlets share a thread, its times can't be told apart: there it does nothing.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.governor = Governor(runtime.settings.max_overhead)
        self._runtime = runtime
        self._probe: Any = None
        self._begin()

    def _begin(self) -> None:
        self._due_s = self._probed_until_s = 0.0
        self._probing = False
        self._process_s = 0.0
        self._said_fixed = False

    # --- as an instrumentation

    def measure_with(self, recorder: Recorder) -> None:
        """Tell the share."""
        recorder.observe(metrics.OTEL_DJANGO_OVERHEAD_RATIO, self._share)

    def _share(self) -> list[tuple[float, tuple[Any, ...]]]:
        share = self.governor.share
        return [] if share is None else [(share, ())]

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Look from the next poll on; a second call changes nothing."""
        if self._probe is None:
            from otel_django.instrumentation.probing import Probe

            self._probe = Probe(self._runtime.provider, lambda: self._runtime.records.journal)

    def uninstall(self) -> None:
        """Let everything be recorded again."""
        if self._probe is not None:
            self._probe.put_back()
            self._probe = None
            self._apply(0)

    # --- as a sink that is polled

    def poll(self, now_s: float) -> float | None:
        """Look for a moment, once a second."""
        probe = self._probe
        if probe is None or host_environment.has_greenlets():
            return None
        if self._probing:
            if now_s < self._probed_until_s:
                return self._probed_until_s - now_s
            self._probing = False
            probe.close()
        if now_s >= self._due_s:
            self._due_s = now_s + EVERY_S
            self._look(probe, now_s)
            return PROBE_S if self._probing else EVERY_S
        return self._due_s - now_s

    def _look(self, probe: Any, now_s: float) -> None:
        process_s = time.process_time()
        look = Look(now_s, process_s, time.thread_time(), probe.spent_s, probe.looked_at_s)
        change = self.governor.look(look)
        if change is not None:
            self._apply(self.governor.level)
            self._say(change)
        if process_s - self._process_s >= BUSY_S:
            self._probing = True
            self._probed_until_s = now_s + PROBE_S
            probe.open()
        self._process_s = process_s

    def _apply(self, number: int) -> None:
        level = LEVELS[number]
        thrift.set_on(not level.detail)
        self._runtime.provider.thin(
            None
            if level.ratio == 1.0
            else Thinning(level.ratio, self._runtime.settings.slow_request_s)
        )

    def _say(self, change: Change) -> None:
        """That a part is fixed is said once, not each time that less was tried in vain."""
        share = f"telemetry takes {100 * (self.governor.share or 0.0):.1f} % of a processor"
        what = _what(self.governor.level)
        if change == "reduced":
            _logger.log(
                logging.INFO if self._said_fixed else logging.WARNING,
                "%s: %s, more than the %g %% of OTEL_DJANGO_MAX_OVERHEAD: %s",
                names.TELEMETRY_REDUCED,
                share,
                100 * self._runtime.settings.max_overhead,
                what,
            )
        elif change == "undone" and not self._said_fixed:
            self._said_fixed = True
            _logger.warning(
                "%s: %s, and what is left is its fixed part (metrics, log lines, context), which "
                "fewer traces don't make smaller: %s",
                names.TELEMETRY_RESTORED,
                share,
                what,
            )
        else:
            self._said_fixed = change == "undone"
            _logger.info("%s: %s: %s", names.TELEMETRY_RESTORED, share, what)

    def close(self, deadline_s: float) -> None:
        """Nobody will ask again: leave everything as it was."""
        if self._probe is not None:
            self._probe.put_back()

    def after_fork(self) -> None:
        """In a forked child: nothing is known of it."""
        if self._probe is not None:
            self._probe.after_fork()
            self.governor.forget()
            self._apply(0)
        self._begin()


def _what(number: int) -> str:
    level = LEVELS[number]
    if level.ratio < 1.0:
        return (
            f"one trace in {round(1 / level.ratio)} is recorded whole, of the others what failed "
            "or was slow"
        )
    return "everything is recorded" if level.detail else "all traces, without details"
