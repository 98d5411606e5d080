"""This package: one line in INSTALLED_APPS."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.site.observers import Observer


class Own(Observer):
    def configure(self, settings: dict[str, Any]) -> None:
        settings["INSTALLED_APPS"].insert(0, "otel_django")

    def can_pause(self) -> bool:
        return self._runtime() is not None

    def pause(self) -> None:
        for instrumentation in self._runtime().instrumentations:
            instrumentation.uninstall()

    def resume(self) -> None:
        runtime = self._runtime()
        tracer = runtime.provider.tracer("otel_django", "")
        for instrumentation in runtime.instrumentations:
            instrumentation.install(tracer, runtime.settings)

    def _runtime(self) -> Any:
        return import_module("otel_django.bootstrap").runtime()

    def flush(self) -> None:
        import_module("otel_django.bootstrap").flush(30.0)

    def finish(self) -> None:
        self.flush()


observer = Own()
