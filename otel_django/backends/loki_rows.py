"""Log records as Loki gives them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from otel_django import names
from otel_django.backends.loki_query import LOGGER, SERVICE, SEVERITY
from otel_django.backends.underscored import OF_RESOURCES, dotted
from otel_django.contracts import LogRow

_TOLD: Final = frozenset(
    {
        *(SEVERITY, "severity_text", LOGGER, "scope_version", "trace_id", "span_id", "flags"),
        *("event_name", "observed_timestamp", "detected_level", "dropped_attributes_count"),
        "scope_dropped_attributes_count",
    }
)
"""What has a field of its own, or that Loki adds."""
_ID: Final = re.compile(r"[0-9A-Fa-f]{16}|[0-9A-Fa-f]{32}")


class Entry(NamedTuple):
    """A record; ``mark`` tells it from others of the same time."""

    time_ns: int
    mark: str
    row: LogRow


def entries(result: Any) -> Iterator[Entry]:
    """Of ``data.result``'s streams.

    Raises:
        TypeError, ValueError, KeyError, AttributeError: they are none.
    """
    for stream in result:
        labels: Mapping[str, Any] = stream["stream"]
        for time_text, line, *more in stream["values"]:
            told = more[0] if more else {}
            found = {**labels, **told.get("structuredMetadata", {})}
            yield _entry(int(time_text), str(line), {key: str(found[key]) for key in found})


def _entry(time_ns: int, line: str, found: dict[str, str]) -> Entry:
    named = found.get("event_name", "")
    attributes, resource = {}, {names.SERVICE_NAME: found.get(SERVICE, "")}
    for key, value in found.items():
        name = dotted(key)
        if key in _TOLD:
            continue
        if OF_RESOURCES.match(name):
            resource[name] = value
        else:
            attributes[name] = value
    mark = _mark(line, found)
    return Entry(
        time_ns,
        mark,
        LogRow(
            key=f"{time_ns}:{mark}",
            time_ns=time_ns,
            severity_number=severity(found.get(SEVERITY, "")),
            level=found.get("severity_text") or found.get("detected_level", ""),
            event=named or line,
            logger=found.get(LOGGER, ""),
            service=found.get(SERVICE, ""),
            trace_id=_id(found.get("trace_id", "")),
            span_id=_id(found.get("span_id", "")),
            attributes=attributes,
            resource=resource,
            body=line if named and line != named else None,
            named=bool(named),
        ),
    )


def severity(text: str) -> int:
    """OTLP's number; 0 where none was sent."""
    return int(text) if text.isdecimal() and len(text) < 3 else 0


def _id(text: str) -> str:
    """Empty where a sender has written something else there."""
    return text.lower() if _ID.fullmatch(text) else ""


def _mark(line: str, found: Mapping[str, str]) -> str:
    told = repr((line, sorted(found.items()))).encode("utf-8", "replace")
    return hashlib.blake2b(told, digest_size=6).hexdigest()
