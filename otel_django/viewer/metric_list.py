"""The metrics there are, as people look for them: a site's own first, then by subject."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from otel_django import metric_definitions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_django.contracts import MetricInfo

_BUILT_IN: Final = frozenset(each.name for each in metric_definitions.ALL)
_CONVENTIONS: Final = frozenset(
    (
        *("aspnetcore", "celery", "container", "cpython", "db", "django", "dns", "dotnet", "faas"),
        *("gen_ai", "go", "health", "host", "http", "hw", "jvm", "k8s", "kestrel", "messaging"),
        *("nodejs", "otel", "otel_django", "process", "redis", "rpc", "signalr", "system"),
        *("v8js", "vcs"),
    )
)
"""What names begin with that OpenTelemetry's conventions or this package have given."""
_TITLES: Final = {
    "celery": "Celery",
    "cpython": "Python",
    "db": "Databases",
    "django": "Django",
    "health": "Health",
    "http": "HTTP",
    "messaging": "Tasks and messages",
    "otel": "Telemetry",
    "otel_django": "Telemetry",
    "process": "Processes",
    "redis": "Redis",
    "system": "Host",
}
OWN: Final = "Your own"
KINDS: Final = {
    "counter": "counter",
    "up_down_counter": "sum",
    "gauge": "gauge",
    "histogram": "histogram",
    "exponential_histogram": "histogram",
}
"""Kind → the word for it."""


def is_own(name: str) -> bool:
    """Whether the site's code has made it, as far as its name tells."""
    return name not in _BUILT_IN and _beginning(name) not in _CONVENTIONS


def by_subject(found: Iterable[MetricInfo]) -> list[tuple[str, list[MetricInfo]]]:
    """Titles with their metrics; the site's own first."""
    groups: dict[str, list[MetricInfo]] = defaultdict(list)
    for info in found:
        begins = _beginning(info.name)
        title = OWN if is_own(info.name) else _TITLES.get(begins, begins)
        groups[title].append(info)
    return sorted(groups.items(), key=lambda item: (item[0] != OWN, item[0].lower()))


def matching(found: Iterable[MetricInfo], text: str) -> list[MetricInfo]:
    """Those in whose name, unit or description all words are."""
    words = text.lower().split()
    return [
        info
        for info in found
        if all(word in f"{info.name} {info.unit} {info.description}".lower() for word in words)
    ]


def _beginning(name: str) -> str:
    return name.partition(".")[0]
