"""A provider of ours that collects ended spans in a list, for tests of the tracing core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource

from otel_django.conf import SpanLimitSettings
from otel_django.tracing.exceptions import ExceptionFormatter
from otel_django.tracing.limits import Normaliser
from otel_django.tracing.provider import TracerProvider
from otel_django.tracing.redaction import Redactor
from otel_django.tracing.samplers import sampler_from

if TYPE_CHECKING:
    from otel_django.tracing.local_trace import KeepPolicy
    from otel_django.tracing.samplers import HeadSampler
    from otel_django.tracing.span import Span


class Collected:
    """``provider`` and the ``spans`` that left it, in the order they ended."""

    def __init__(
        self,
        sampler: str | HeadSampler = "parentbased_always_on",
        ratio: float = 1.0,
        keep: KeepPolicy | None = None,
        limits: SpanLimitSettings | None = None,
        **provider_options: Any,
    ) -> None:
        self.spans: list[Span] = []
        redactor = Redactor()
        self.provider = TracerProvider(
            resource=Resource({"service.name": "tests"}),
            sampler=sampler_from(sampler, ratio) if isinstance(sampler, str) else sampler,
            normaliser=Normaliser(redactor, limits or SpanLimitSettings()),
            exceptions=ExceptionFormatter(redactor),
            sink=self.spans.append,
            keep=keep,
            **provider_options,
        )
        self.tracer = self.provider.tracer("tests")

    def only(self) -> Span:
        """The one span that was collected."""
        (span,) = self.spans
        return span
