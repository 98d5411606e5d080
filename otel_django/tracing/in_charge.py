"""The global providers: whether there is one, and whose. Imports nothing of OpenTelemetry."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider


def provider_in_charge() -> Any | None:
    """The provider that was set, None while there is none."""
    return getattr(sys.modules.get("opentelemetry.trace"), "_TRACER_PROVIDER", None)


def others_signals() -> frozenset[str]:
    """Those besides traces for which a provider was set that isn't ours, and so exports them."""
    providers = {
        "metrics": getattr(
            sys.modules.get("opentelemetry.metrics._internal"), "_METER_PROVIDER", None
        ),
        "logs": getattr(sys.modules.get("opentelemetry._logs._internal"), "_LOGGER_PROVIDER", None),
    }
    return frozenset(
        signal
        for signal, provider in providers.items()
        if provider is not None and not is_ours(provider)
    )


def as_host(provider: Any) -> SdkTracerProvider | None:
    """``provider`` if spans of ours can be handed to it: the SDK's, or a subclass not ours."""
    sdk = sys.modules.get("opentelemetry.sdk.trace")
    if sdk is None or not isinstance(provider, sdk.TracerProvider) or is_ours(provider):
        return None
    return provider if hasattr(provider, "_active_span_processor") else None


def is_ours(provider: Any) -> bool:
    """Whether it is this package's."""
    return type(provider).__module__.startswith("otel_django.")


def describe(provider: Any) -> str:
    """Its class, dotted."""
    return f"{type(provider).__module__}.{type(provider).__qualname__}"
