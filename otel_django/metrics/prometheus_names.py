"""OpenTelemetry's names as Prometheus writes them, by the rules that its OTLP receiver follows.

So a metric has the same name whether it was scraped or sent.
"""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.metric_points import Attributes, AttributeValue, Kind

Labels = tuple[tuple[str, str], ...]
"""Sorted by name, each name once; values may hold anything but lone surrogates."""

_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
    "1": "",
}
_PER_UNITS = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]")
_SURROGATES = re.compile("[\ud800-\udfff]")


@functools.lru_cache(maxsize=4096)
def family_name(name: str, unit: str, kind: Kind) -> str:
    """A metric's name with its unit, without a counter's ``_total``; "" if nothing is left of it.

    ``http.server.request.duration`` in ``s`` is ``http_server_request_duration_seconds``.
    """
    words = [word for word in _NOT_IN_NAMES.split(name) if word]
    if kind == "counter":
        words = [word for word in words if word != "total"]
    if not words:
        return ""
    whole, per = unit_words(unit)
    if whole and whole not in words:
        words.append(whole)
    if per and per not in words:
        words += ["per", per]
    if unit == "1" and kind == "gauge":
        words = [*(word for word in words if word != "ratio"), "ratio"]
    joined = "_".join(words)
    return f"_{joined}" if joined[0].isdigit() else joined


def unit_words(unit: str) -> tuple[str, str]:
    """``("bytes", "second")`` of ``By/s``; annotations such as ``{request}`` have no word."""
    whole, _, per = unit.partition("/")
    return _unit_word(whole, _UNITS), _unit_word(per, _PER_UNITS)


def _unit_word(unit: str, known: dict[str, str]) -> str:
    unit = unit.strip()
    if "{" in unit or "}" in unit:
        return ""
    return known.get(unit, "_".join(word for word in _NOT_IN_NAMES.split(unit) if word))


@functools.lru_cache(maxsize=4096)
def label_name(key: str) -> str:
    """``http.route`` is ``http_route``; names that it keeps to itself begin with ``key``."""
    name = _NOT_IN_LABELS.sub("_", key)
    if not name or name[0].isdigit():
        return f"key_{name}"
    return f"key{name}" if name.startswith("_") else name


def label_value(value: AttributeValue) -> str:
    """As text: truth as in JSON, sequences as JSON."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return _SURROGATES.sub("\ufffd", json.dumps(list(value), ensure_ascii=False))


def labels(attributes: Attributes, *, of_histogram: bool = False) -> Labels:
    """Values whose keys become one name are joined with ``;``, as the specification has it."""
    found: dict[str, str] = {}
    for key, value in attributes:
        name = label_name(key)
        if of_histogram and name == "le":
            name = "key_le"
        text = label_value(value)
        found[name] = f"{found[name]};{text}" if name in found else text
    return tuple(sorted(found.items()))
