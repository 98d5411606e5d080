"""OpenMetrics 1.0.0: the text that Prometheus prefers, with exemplars.

No ``_created`` samples: Prometheus takes them for further series unless it is told otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from otel_django.metrics.prometheus_text import (
    braced,
    cumulative,
    joined,
    label_text,
    number_text,
    sample_name,
)

if TYPE_CHECKING:
    from otel_django.metric_points import Exemplar
    from otel_django.metrics.prometheus_families import Family

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_IN_HELP = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def lines(families: Iterable[Family]) -> Iterator[str]:
    """The whole page."""
    for family in families:
        yield from _lines(family)
    yield "# EOF\n"


def _lines(family: Family) -> Iterator[str]:
    yield f"# TYPE {family.name} {family.kind}\n"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}\n"
    if family.help:
        help_text = family.help.encode("utf-8", "replace").decode("utf-8")
        yield f"# HELP {family.name} {help_text.translate(_IN_HELP)}\n"
    name = sample_name(family)
    for labels, number in sorted(family.numbers.items()):
        exemplar = _exemplar(number.exemplar) if family.kind == "counter" else ""
        yield f"{name}{braced(label_text(labels))} {number_text(number.value)}{exemplar}\n"
    yield from _histogram_lines(family)


def _histogram_lines(family: Family) -> Iterator[str]:
    name = family.name
    # By the standard a sum can't fall, so that one of negative measurements has none.
    may_fall = bool(family.bounds) and family.bounds[0] < 0
    for labels, buckets in sorted(family.histograms.items()):
        text = label_text(labels)
        for bound, count, index in cumulative(family, buckets):
            exemplar = _exemplar(buckets.exemplars.get(index))
            yield f"{name}_bucket{{{joined(text, bound)}}} {count}{exemplar}\n"
        if not may_fall:
            yield f"{name}_count{braced(text)} {sum(buckets.counts)}\n"
            yield f"{name}_sum{braced(text)} {number_text(buckets.sum)}\n"


def _exemplar(exemplar: Exemplar | None) -> str:
    """`` # {trace_id="…",span_id="…"} value time``: 63 characters of the 128 that are allowed."""
    if exemplar is None or not exemplar.trace_id:
        return ""
    ids = f'trace_id="{exemplar.trace_id:032x}",span_id="{exemplar.span_id:016x}"'
    return f" # {{{ids}}} {number_text(exemplar.value)} {exemplar.time_ns / 1e9:.3f}"
