"""This package: one line in INSTALLED_APPS."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.site.observers import Observer


class Own(Observer):
    def configure(self, settings: dict[str, Any]) -> None:
        settings["INSTALLED_APPS"].insert(0, "otel_django")

    def flush(self) -> None:
        import_module("otel_django.bootstrap").flush(30.0)

    def finish(self) -> None:
        self.flush()


observer = Own()
