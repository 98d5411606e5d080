"""What a request of OTLP holds, once decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from otel_django.errors import OtelDjangoError

if TYPE_CHECKING:
    from otel_django.log_record import LogRecord
    from otel_django.metric_points import ResourceMetrics

Signal: TypeAlias = "Literal['traces', 'metrics', 'logs']"


class DecodeError(OtelDjangoError):
    """The body is no OTLP at all; the text, plain, is sent to who sent it."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the store's sinks take: ``spans`` the span writer, ``points`` the metric writer, …

    ``rejected`` is how many spans, points or records it can't hold, ``message`` why, in plain
    words; where nothing was rejected it may still warn.
    """

    spans: Sequence[Any] = ()
    points: Sequence[ResourceMetrics] = ()
    records: Sequence[LogRecord] = ()
    rejected: int = 0
    message: str = ""
