"""OpenTelemetry's names where a backend has made underscores of their dots: the other way round.

Only names that are known can be told: others stay as the backend has them.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Final

from otel_django import metric_definitions, names
from otel_django.metric_points import MetricDefinition
from otel_django.metrics.prometheus_names import family_name, label_name
from otel_django.store.json_text import clean_text

OF_RESOURCES: Final = re.compile(
    r"(service|host|process|telemetry|deployment|os|container|k8s|cloud|otel_django\.process)[._]"
)
"""Beginnings of attributes that are a resource's, where a backend doesn't tell them apart."""


def dotted(name: str) -> str:
    """``http_route`` is ``http.route``."""
    return _dotted().get(name, name)


def defined(family: str) -> MetricDefinition | None:
    """What is known of a metric by its name in Prometheus, without a counter's ``_total``."""
    return _defined().get(family)


def definition(name: str) -> MetricDefinition | None:
    """The same by the metric's own name."""
    return _by_name().get(name)


def quoted(text: str) -> str:
    """A string literal of PromQL and LogQL, whatever is in it."""
    return json.dumps(clean_text(text), ensure_ascii=False)


def beginning(text: str) -> str:
    """A regular expression (RE2) of what begins with ``text``, as a literal.

    Loki's filters find a text before ``.*`` anywhere, unless they are told where it begins. A zero
    as it is in an expression would have Loki never answer.
    """
    escaped = re.escape(clean_text(text)).replace("\0", r"\x00")
    return quoted(f"^{escaped}.*")


def equal_or_beginning(label: str, text: str) -> str:
    """A matcher for a text that may end in ``*``."""
    if text.endswith("*"):
        return f"{label}=~{beginning(text.rstrip('*'))}"
    return f"{label}={quoted(text)}"


@cache
def _dotted() -> dict[str, str]:
    known = [value for key, value in vars(names).items() if key.isupper() and type(value) is str]
    return {label_name(name): name for name in known if "." in name and not name.endswith(".")}


@cache
def _by_name() -> dict[str, MetricDefinition]:
    every = vars(metric_definitions).values()
    return {one.name: one for one in every if isinstance(one, MetricDefinition)}


@cache
def _defined() -> dict[str, MetricDefinition]:
    return {family_name(one.name, one.unit, one.kind): one for one in _by_name().values()}
