"""``OTEL_SPAN_*`` and ``OTEL_ATTRIBUTE_*`` limits that are narrower than our own spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import SpanKind

    from otel_django.conf import Settings
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.span import Span
    from otel_django.tracing.span_parts import SharedAttributes
    from otel_django.tracing.tracer import Tracer

_MOST_ATTRIBUTES = 24


def are_narrow(settings: Settings) -> bool:
    """Whether the attributes that our instrumentations set have to be counted and cut."""
    limits = settings.span_limits
    return limits.value_length is not None or limits.attributes < _MOST_ATTRIBUTES


def begin_within(
    tracer: Tracer,
    name: str,
    kind: SpanKind,
    shared: SharedAttributes,
    own: dict[str, Plain],
    parent: Span,
) -> Span:
    """As ``tracer.begin_alike``, with the attributes cut to the limits."""
    normaliser = tracer.normaliser
    attributes = {**shared.values, **own}
    kept, dropped = normaliser.attributes(attributes, normaliser.limits.attributes)
    span = tracer.begin(name, kind, kept, parent)
    span._dropped_attributes = dropped
    return span
