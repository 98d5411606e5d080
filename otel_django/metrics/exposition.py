"""A host's sums as a page: which format a client wants, and the text in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Literal, get_args

from otel_django.metrics import (
    classic,
    metrics_json,
    openmetrics,
    prometheus_families,
    prometheus_text,
)

if TYPE_CHECKING:
    from otel_django.metric_points import ResourceMetrics
    from otel_django.metrics.prometheus_families import Family, Source

Format = Literal["prometheus", "openmetrics", "json"]
MetricNames = Literal["otel", "classic", "both"]
FORMATS: tuple[Format, ...] = get_args(Format)
CONTENT_TYPES: dict[Format, str] = {
    "prometheus": prometheus_text.CONTENT_TYPE,
    "openmetrics": openmetrics.CONTENT_TYPE,
    "json": metrics_json.CONTENT_TYPE,
}

_MEDIA_TYPES: dict[str, Format] = {
    "application/openmetrics-text": "openmetrics",
    "text/plain": "prometheus",
    "application/json": "json",
}
_LINES_AT_A_TIME = 64
_QUALITY = re.compile(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", re.ASCII)
_VERSION = re.compile(r'\s*version\s*=\s*"?([\w.]*)"?\s*', re.ASCII)
_VERSIONS_OF_OPENMETRICS = frozenset(["", "0.0.1", "1.0.0"])


def _go_on() -> None:
    """Nobody waits."""


def wanted_format(accept: str, default: Format) -> Format:
    """The format with the highest quality in an Accept header; ``default`` if it names none.

    Between equals the first stands, as scrapers name them in their order.
    """
    best, best_quality = default, 0.0
    for part in accept.split(","):
        media_type, *parameters = part.split(";")
        offered = _MEDIA_TYPES.get(media_type.strip().lower())
        if offered is None:
            continue
        if offered == "openmetrics" and not _VERSIONS_OF_OPENMETRICS.issuperset(
            _found(_VERSION, parameters)
        ):
            continue
        quality = min(map(float, _found(_QUALITY, parameters)), default=1.0)
        if quality > best_quality:
            best, best_quality = offered, quality
    return best


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header asks for gzip."""
    for part in accept_encoding.split(","):
        coding, *parameters = part.split(";")
        if coding.strip().lower() == "gzip":
            return min(map(float, _found(_QUALITY, parameters)), default=1.0) > 0
    return False


def render(
    data: Sequence[ResourceMetrics],
    form: Format,
    metric_names: MetricNames,
    now_ns: int,
    pause: Callable[[], object] = _go_on,
) -> bytes:
    """The whole page; JSON shows OpenTelemetry names whatever ``metric_names`` says.

    ``pause`` is called every now and then: a page of many series takes a while, and requests
    beside it want the interpreter too.
    """
    if form == "json":
        return metrics_json.render(data, now_ns).encode()
    found = families(data, metric_names)
    text = openmetrics if form == "openmetrics" else prometheus_text
    pieces = []
    for number, line in enumerate(text.lines(found)):
        pieces.append(line)
        if not number % _LINES_AT_A_TIME:
            pause()
    return "".join(pieces).encode()


def families(data: Sequence[ResourceMetrics], metric_names: MetricNames) -> list[Family]:
    """The families of a page.

    Where a classic name is the OpenTelemetry one too, the classic one stands, with both labels.
    """
    old: list[Source] = []
    new: Iterable[Source] = ()
    if metric_names != "otel":
        old = list(classic.from_metrics(data))
    if metric_names != "classic":
        known = {source.name for source in old}
        new = (each for each in prometheus_families.from_metrics(data) if each.name not in known)
    info = prometheus_families.target_info(data)
    return [*([info] if info else []), *prometheus_families.gather(chain(old, new))]


def _found(pattern: re.Pattern[str], parameters: Sequence[str]) -> list[str]:
    matches = map(pattern.fullmatch, parameters)
    return [match[1] for match in matches if match]
