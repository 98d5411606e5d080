"""The application: system checks, then the runtime."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from collections.abc import Iterator


class OtelDjangoConfig(AppConfig):
    """``INSTALLED_APPS = ["otel_django", ...]`` is all it takes."""

    name = "otel_django"
    verbose_name = "OpenTelemetry"

    def ready(self) -> None:
        """Register the checks and, in a server process, start observing. Never raises."""
        from otel_django import checks, conf, guard

        checks.register_checks()
        settings = conf.from_django()
        guard.set_strict(settings.strict)
        from otel_django import bootstrap
        from otel_django.host_environment import current_process

        with guard.guarded("start"), _uncollected():
            if bootstrap.wanted(settings):
                bootstrap.start(settings)
        with guard.guarded("probes"):
            # Where nothing is observed, too: a pod whose probes are refused would never start.
            if current_process().kind in {"server", "test"}:
                from otel_django.web import early

                early.install()


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """What starting makes stays: to look through it for garbage again and again takes 20 ms."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
