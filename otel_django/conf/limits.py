"""The parser of limits: ``disk=90:95,cpu=80:90``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from otel_django.conf.list_parsers import pairs
from otel_django.conf.parsers import NOTHING, Parser, Raw, Unusable


class Limit(NamedTuple):
    """From when on something is degraded, and unhealthy; the lower the worse if it falls."""

    degraded: float
    unhealthy: float


DEFAULTS: Final[Mapping[str, Limit]] = MappingProxyType(
    {
        "disk": Limit(90, 95),
        "memory": Limit(85, 95),
        "cpu": Limit(80, 90),
        "load": Limit(2, 4),
        "connections": Limit(80, 95),
        "database_ms": Limit(500, 2000),
        "cache_ms": Limit(500, 2000),
        "http_ms": Limit(500, 2000),
        "queue_length": Limit(1000, 10_000),
        "queue_wait_s": Limit(60, 600),
        "missed_runs": Limit(1, 3),
        "certificate_days": Limit(21, 3),
        "dropped": Limit(1, 1000),
    }
)
_NUMBER: Final = r"\d+(?:\.\d+)?"
_PAIRS: Final = pairs()


def limits() -> Parser:
    """Limits by name; those that aren't given have their defaults."""

    def parse(raw: Raw) -> dict[str, Limit]:
        given = _PAIRS.parse(raw)
        good = {name: limit for name, text in given.items() if (limit := _limit(name, text))}
        bad = sorted(given.keys() - good.keys())
        if bad:
            raise Unusable(f"not understood: {', '.join(bad)}", {**DEFAULTS, **good} or NOTHING)
        return {**DEFAULTS, **good}

    def show(value: Mapping[str, Limit]) -> str:
        changed = {name: limit for name, limit in value.items() if limit != DEFAULTS[name]}
        return ",".join(f"{name}={low:g}:{high:g}" for name, (low, high) in changed.items())

    known = ", ".join(DEFAULTS)
    return Parser(parse, show, f"`name=degraded:unhealthy` pairs with commas; names: {known}")


def _limit(name: str, text: str) -> Limit | None:
    match = re.fullmatch(rf"({_NUMBER}):({_NUMBER})", text)
    if match is None or name not in DEFAULTS:
        return None
    limit, default = Limit(float(match[1]), float(match[2])), DEFAULTS[name]
    rises = default.unhealthy > default.degraded
    return limit if limit[0] == limit[1] or (limit[1] > limit[0]) == rises else None
