"""The pages' paths below the prefix that a site includes ``otel_django.urls`` with."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

PATHS: Final = {
    "overview": "",
    "dashboard": "dashboard/",
    "part": "dashboard/<slug:part>/",
    "traces": "traces/",
    "trace": "traces/<hex:trace_id>/",
    "logs": "logs/",
    "metrics": "metrics/explore/",
    "endpoints": "endpoints/",
    "health": "health/checks/",
    "database": "performance/queries/",
    "cache": "performance/cache/",
    "tasks": "tasks/",
    "errors": "errors/",
    "error": "errors/<hex:fingerprint>/",
    "services": "services/",
    "alerts": "alerts/",
    "alert": "alerts/<hex:fingerprint>/",
    "silences": "alerts/silences/",
    "rules": "alerts/rules/",
    "rule": "alerts/rules/<slug:name>/",
    "static": "static/<path:name>",
}
"""Name → path with Django's converters."""


def path_of(name: str, *args: object) -> str:
    """The path of a page, below the prefix, with what stands for its converters."""
    values = iter(args)
    return re.sub(r"<[^>]+>", lambda _: quote(str(next(values)), safe=""), PATHS[name])


class HexConverter:
    """Lower-case hexadecimal digits: a trace id, a fingerprint."""

    regex = "[0-9a-f]{8,64}"

    def to_python(self, value: str) -> str:
        """As it is."""
        return value

    def to_url(self, value: str) -> str:
        """As it is."""
        return value
