"""Prometheus's text format 0.0.4, which every version of it reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.metrics.prometheus_families import Buckets, Family
    from otel_django.metrics.prometheus_names import Labels

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_TYPES = {"info": "gauge"}
_IN_VALUES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


def lines(families: Iterable[Family]) -> Iterator[str]:
    """The whole page."""
    for family in families:
        yield from _lines(family)


def _lines(family: Family) -> Iterator[str]:
    name = sample_name(family)
    if family.help:
        yield f"# HELP {name} {_clean(family.help).translate(_IN_HELP)}\n"
    yield f"# TYPE {name} {_TYPES.get(family.kind, family.kind)}\n"
    for labels, number in sorted(family.numbers.items()):
        yield f"{name}{braced(label_text(labels))} {number_text(number.value)}\n"
    for labels, buckets in sorted(family.histograms.items()):
        text = label_text(labels)
        for bound, count, _ in cumulative(family, buckets):
            yield f"{name}_bucket{{{joined(text, bound)}}} {count}\n"
        yield f"{name}_sum{braced(text)} {number_text(buckets.sum)}\n"
        yield f"{name}_count{braced(text)} {sum(buckets.counts)}\n"


def sample_name(family: Family) -> str:
    """The name with what its kind adds."""
    return f"{family.name}{ {'counter': '_total', 'info': '_info'}.get(family.kind, '') }"


def cumulative(family: Family, buckets: Buckets) -> Iterator[tuple[str, int, int]]:
    """(``le="…"``, count up to it, index) of every bucket."""
    bounds = (*family.bounds, math.inf)
    for index, count in enumerate(accumulate(buckets.counts)):
        yield f'le="{bound_text(bounds[index])}"', count, index


def label_text(labels: Labels) -> str:
    """``name="value",…``, escaped."""
    return ",".join(f'{name}="{value.translate(_IN_VALUES)}"' for name, value in labels)


def braced(text: str) -> str:
    """Labels in their braces, nothing for none."""
    return f"{{{text}}}" if text else ""


def joined(text: str, more: str) -> str:
    """One more label."""
    return f"{text},{more}" if text else more


def number_text(value: float) -> str:
    """A sample's value; not a number and the infinities have their own words."""
    if isinstance(value, int):
        return str(int(value))
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def bound_text(bound: float) -> str:
    """As Go writes it, exponents from a million on: so every exporter's ``le`` is the same text."""
    text = number_text(float(bound))
    digits, dot, _ = text.partition(".")
    if bound < 1e6 or not dot or "e" in text:
        return text
    mantissa = f"{digits[0]}.{text.replace('.', '')[1:]}".rstrip("0").rstrip(".")
    return f"{mantissa}e+{len(digits) - 1:02}"


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
