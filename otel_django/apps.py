"""The application: system checks, then the runtime."""

from __future__ import annotations

from django.apps import AppConfig


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

        with guard.guarded("start"):
            if bootstrap.wanted(settings):
                bootstrap.start(settings)
        with guard.guarded("probes"):
            if settings.enabled is not False and current_process().kind in {"server", "test"}:
                from otel_django.web import early

                early.install()
