"""Counts of telemetry that was lost, by signal and cause; reported at most once a minute."""

from __future__ import annotations

import logging
import threading
from typing import Final

from otel_django import names
from otel_django.guard import LOGGER_NAME

REPORT_EVERY_S: Final = 60.0

_logger = logging.getLogger(LOGGER_NAME)

Counts = dict[tuple[str, str], int]


class Drops:
    """What this process lost since it started (or was forked). Any thread may add.

    Of traces spans are counted, of logs records, of metrics metrics (as often as they are
    exported) or, where the receiver refused part of a request, points.

    Causes: ``queue_full`` the queue had no room and the spool took nothing; ``keep_full`` more
    than 5000 spans of a trace waited for ``OTEL_DJANGO_KEEP``; ``spool_full`` the disk budget is
    used up; ``spool_error`` the disk can't be written, or a record on it was torn, and memory was
    full too; ``rejected`` the receiver refused for good; ``encode_error``; ``shutdown`` ended after
    the exporter; ``store_error`` the embedded store couldn't be written.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()  # a signal handler may add too
        self._counts: Counts = {}
        self._reported: Counts = {}
        self._next_report_s = float("-inf")

    def add(self, signal: str, cause: str, count: int) -> None:
        """Account for ``count`` lost items."""
        if count > 0:
            with self._lock:
                self._counts[signal, cause] = self._counts.get((signal, cause), 0) + count

    def snapshot(self) -> Counts:
        """All counts so far."""
        with self._lock:
            return dict(self._counts)

    def report(self, now_s: float) -> None:
        """Log what was lost since the last report, at once and then every minute.

        ``now_s`` is monotonic time; infinity for the last report of a process.
        """
        if now_s < self._next_report_s or self._counts == self._reported:
            return
        counts = self.snapshot()
        new = {key: count - self._reported.get(key, 0) for key, count in counts.items()}
        self._reported = counts
        self._next_report_s = now_s + REPORT_EVERY_S
        lost = {f"{signal}.{cause}": count for (signal, cause), count in new.items() if count}
        text = ", ".join(f"{name} {count}" for name, count in sorted(lost.items()))
        _logger.warning("%s: %s", names.TELEMETRY_DROPPED, text, extra={"dropped": lost})

    def after_fork(self) -> None:
        """In a forked child: the parent's counts stay the parent's."""
        self._reset()
