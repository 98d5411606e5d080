"""Spans of ours on another SDK provider, the host: its ids, its limits, its processors."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from otel_django.conf import SpanLimitSettings
from otel_django.tracing.ids import RandomIds

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator


class HandOver(SpanProcessor):
    """Tells the host's processors of our spans, as it tells them of its own."""

    def __init__(self, host: SdkTracerProvider) -> None:
        self._processors: Any = host._active_span_processor

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """A span began."""
        self._processors.on_start(span, parent_context)

    def _on_ending(self, span: Any) -> None:
        self._processors._on_ending(span)

    def on_end(self, span: Any) -> None:
        """A span ended."""
        self._processors.on_end(span)


class HostPipeline:
    """What ``flush`` and the end of our runtime are to the host."""

    def __init__(self, host: SdkTracerProvider) -> None:
        self._host = host

    def flush(self, timeout_s: float) -> bool:
        """As the host's ``force_flush``; the SDK's batches don't keep to the time."""
        return self._host.force_flush(int(timeout_s * 1000))

    def shutdown(self, timeout_s: float) -> bool:
        """Flush within the time; the host ends by itself.

        At the interpreter's end there are no new threads, and the host's own exit handler follows.
        """
        flushing = threading.Thread(
            target=self.flush, args=(timeout_s,), name="otel_django flush", daemon=True
        )
        try:
            flushing.start()
        except RuntimeError:
            return False
        flushing.join(timeout_s)
        return not flushing.is_alive()


class HostIds(RandomIds):
    """Ids of the host's making: those of X-Ray hold the time."""

    def __init__(self, generator: IdGenerator) -> None:
        self._generator = generator
        self.bits = self._made

    def _made(self, bits: int, /) -> int:
        made = self._generator
        return made.generate_trace_id() if bits == 128 else made.generate_span_id()

    def reseed(self) -> None:
        """The host's generator sees to it itself."""

    def is_trace_id_random(self) -> bool:
        """What it says."""
        return self._generator.is_trace_id_random()


def ids_of(host: SdkTracerProvider) -> RandomIds:
    """A generator whose ids look like the host's."""
    generator = host.id_generator
    return RandomIds() if type(generator) is RandomIdGenerator else HostIds(generator)


def limits_of(host: SdkTracerProvider) -> SpanLimitSettings:
    """The host's span limits."""
    limits = host._span_limits
    return SpanLimitSettings(
        attributes=_count(limits.max_span_attributes),
        events=_count(limits.max_events),
        links=_count(limits.max_links),
        event_attributes=_count(limits.max_event_attributes),
        link_attributes=_count(limits.max_link_attributes),
        value_length=limits.max_span_attribute_length,
    )


def _count(limit: int | None) -> int:
    return sys.maxsize if limit is None else limit
