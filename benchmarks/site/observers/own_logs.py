"""This package where log records are measured: taken off, it would leave none to compare with."""

from __future__ import annotations

from benchmarks.site.observers.own import Own


class OwnLogs(Own):
    def can_pause(self) -> bool:
        return False


observer = OwnLogs()
