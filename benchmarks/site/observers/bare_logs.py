"""``logging`` switched on, with a handler that does nothing."""

from __future__ import annotations

from typing import Any

from benchmarks.site.observers import Observer


class BareLogs(Observer):
    def configure(self, settings: dict[str, Any]) -> None:
        settings["LOGGING"] = {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"nothing": {"class": "logging.NullHandler"}},
            "root": {"level": "INFO", "handlers": ["nothing"]},
        }


observer = BareLogs()
