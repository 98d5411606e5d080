"""Versions, and whether something else observes the same requests."""

from __future__ import annotations

import platform
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Final

from django.conf import settings as django_settings

from otel_django.doctor.finding import Finding
from otel_django.instrumentation import contrib_conflicts
from otel_django.tracing import in_charge
from otel_django.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.conf import Settings

_SHOWN: Final = (
    "Django",
    "celery",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp",
    "structlog",
    "grpcio",
)
_TOGETHER: Final = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp")
"""Released together, each made for the others of its version."""
_CONTRIB: Final = "opentelemetry."
_OTHER_MIDDLEWARE: Final = {
    _CONTRIB: "opentelemetry-instrumentation-django",
    "django_prometheus.": "django-prometheus",
    "elasticapm.": "elastic-apm",
    "scout_apm.": "scout-apm",
}
"""By the beginning of a middleware's path: the package that observes requests with it."""


def look(settings: Settings) -> Iterator[Finding]:
    """Versions first, then what is doubled."""
    yield _versions()
    yield from _mixed_versions()
    yield from _load_what_a_server_loads()
    yield from _other_provider()
    yield from _double_instrumentation(settings)
    yield from _other_middleware()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _versions() -> Finding:
    found = {name: version for name in _SHOWN if (version := _version(name)) is not None}
    told = ", ".join(f"{name} {version}" for name, version in found.items())
    return Finding(
        "versions",
        "ok",
        f"otel_django {VERSION}, Python {platform.python_version()}, {told}.",
        observed={"otel_django": VERSION, "python": platform.python_version(), **found},
    )


def _mixed_versions() -> Iterator[Finding]:
    found = {name: version for name in _TOGETHER if (version := _version(name)) is not None}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} {version}" for name, version in found.items())
        yield Finding(
            "versions",
            "warning",
            f"Packages that belong together have different versions: {told}.",
            f"pip install --upgrade {' '.join(_TOGETHER)}",
            found,
        )


def _load_what_a_server_loads() -> Iterator[Finding]:
    """Whoever sets up telemetry by hand mostly does it there."""
    application = getattr(django_settings, "WSGI_APPLICATION", None)
    if not application:
        return
    try:
        import_module(application.rpartition(".")[0])
    except Exception as error:
        yield Finding(
            "instrumentation",
            "warning",
            f"WSGI_APPLICATION ({application}) can't be imported: {type(error).__name__}. What it "
            "sets up isn't known.",
            "Import it in a shell to see why.",
        )


def _other_provider() -> Iterator[Finding]:
    provider = in_charge.provider_in_charge()
    if provider is not None and not in_charge.is_ours(provider):
        yield Finding(
            "instrumentation",
            "warning",
            f"{in_charge.describe(provider)} is set up before otel_django, which records on it as "
            "a guest: its sampler, limits and exporters count.",
            "Take that set-up away (a call of set_tracer_provider, or opentelemetry-instrument "
            "before the command) if otel_django is to send by itself.",
            {"provider": in_charge.describe(provider)},
        )


def _double_instrumentation(settings: Settings) -> Iterator[Finding]:
    if settings.instrumentation == "contrib":
        return
    found = contrib_conflicts.switched_on()
    if found:
        them = "it" if len(found) == 1 else "them"
        yield Finding(
            "instrumentation",
            "warning",
            f"{', '.join(found)} of OpenTelemetry's contrib packages {_be(found)} switched on by "
            f"this site. Servers and workers switch {them} off, since otel_django records the "
            "same.",
            f"Take {found[0]}().instrument() away, or what else switches {them} on, or set "
            f"OTEL_DJANGO_INSTRUMENTATION=contrib to keep {them} in place of ours.",
            {"instrumentors": found},
        )


def _be(those: tuple[str, ...]) -> str:
    return "is" if len(those) == 1 else "are"


def _other_middleware() -> Iterator[Finding]:
    instrumented = bool(
        contrib_conflicts.switched_on()
    )  # then its middleware is the instrumentor's
    for path in django_settings.MIDDLEWARE:
        for beginning, package in _OTHER_MIDDLEWARE.items():
            if path.startswith(beginning) and not (instrumented and beginning == _CONTRIB):
                yield Finding(
                    "instrumentation",
                    "note",
                    f"MIDDLEWARE has {path}: {package} observes each request, too.",
                    "Take it out once nothing reads its figures any more.",
                    {"middleware": path},
                )
