"""Spans as Jaeger's API v3 gives them: OTLP in JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from otel_django import names
from otel_django.backends.embedded_rows import KINDS, STATUSES
from otel_django.contracts import SpanEvent, SpanLink, SpanRow

MAX_DEPTH: Final = 32
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
_CALLED: Final = ("server", "consumer")
_KIND: Final = ("internal", *KINDS)
_KIND_NAMES: Final = {f"SPAN_KIND_{kind.upper()}": kind for kind in KINDS}
_STATUS_NAMES: Final = {f"STATUS_CODE_{status.upper()}": status for status in STATUSES}
_REFERENCE: Final = "opentracing.ref_type"
Json = Mapping[str, Any]


def spans(answer: Json) -> Iterator[SpanRow]:
    """Of ``TracesData``.

    Raises:
        TypeError, ValueError, KeyError, AttributeError: it is none.
    """
    for of_resource in answer.get("resourceSpans") or ():
        resource = _attributes((of_resource.get("resource") or {}).get("attributes"))
        for of_scope in of_resource.get("scopeSpans") or ():
            scope = str((of_scope.get("scope") or {}).get("name") or "")
            for found in of_scope.get("spans") or ():
                yield _span(found, resource, scope)


def _span(found: Json, resource: dict[str, Any], scope: str) -> SpanRow:
    start_ns, end_ns = int(found["startTimeUnixNano"]), int(found["endTimeUnixNano"])
    trace_id = _id(found["traceId"], 32)
    links = tuple(map(_link, found.get("links") or ()))
    parent = _id(found.get("parentSpanId") or "", 16)
    if any(_is_reference(link, trace_id, parent) for link in links):
        parent = ""
    kind = _enum(found.get("kind", 0), _KIND, _KIND_NAMES)
    status = found.get("status") or {}
    return SpanRow(
        trace_id=trace_id,
        span_id=_id(found["spanId"], 16),
        parent_id=parent or None,
        local_root=not parent or _is_remote(int(found.get("flags") or 0), kind),
        name=str(found.get("name") or ""),
        kind=kind,
        service=str(resource.get(names.SERVICE_NAME, "")),
        start_ns=start_ns,
        duration_ns=max(0, end_ns - start_ns),
        status=_enum(status.get("code", 0), STATUSES, _STATUS_NAMES),
        status_message=str(status.get("message") or ""),
        attributes=_attributes(found.get("attributes")),
        events=tuple(
            SpanEvent(
                str(each.get("name") or ""),
                int(each.get("timeUnixNano") or 0),
                _attributes(each.get("attributes")),
            )
            for each in found.get("events") or ()
        ),
        links=tuple(replace(link, attributes=_own(link.attributes)) for link in links),
        resource=resource,
        scope=scope,
        trace_state=str(found.get("traceState") or ""),
    )


def _link(found: Json) -> SpanLink:
    attributes = _attributes(found.get("attributes"))
    return SpanLink(_id(found["traceId"], 32), _id(found["spanId"], 16), attributes)


def _is_reference(link: SpanLink, trace_id: str, parent: str) -> bool:
    """Of a span without parent Jaeger 2.0 takes a link within the trace for one, and marks it."""
    is_parent = (link.trace_id, link.span_id) == (trace_id, parent)
    return is_parent and link.attributes.get(_REFERENCE) == "follows_from"


def _own(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if key != _REFERENCE}


def _is_remote(flags: int, kind: str) -> bool:
    """Jaeger may have dropped the flags: then the kind tells."""
    return bool(flags & _IS_REMOTE) if flags & _HAS_IS_REMOTE else kind in _CALLED


def _id(text: str, digits: int) -> str:
    """In hexadecimal, or, as some versions write it, in Base64; empty for zeros."""
    low = text.lower()
    if text and (len(text) != digits or low.strip("0123456789abcdef")):
        low = base64.b64decode(text, validate=True).hex()
        if len(low) != digits:
            raise ValueError("not an id")
    return low if low.strip("0") else ""


def _enum(found: Any, by_number: tuple[str, ...], by_name: Mapping[str, str]) -> str:
    if isinstance(found, str) and not found.isdecimal():
        return by_name.get(found, by_number[0])
    number = int(found)
    return by_number[number] if 0 <= number < len(by_number) else by_number[0]


def _attributes(found: Any) -> dict[str, Any]:
    return {str(each["key"]): _value(each.get("value") or {}) for each in found or ()}


def _value(found: Json, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        return None
    for kind, value in found.items():
        if kind == "intValue":
            return int(value)
        if kind == "doubleValue":
            return float(value)
        if kind == "arrayValue":
            return [_value(each, depth + 1) for each in value.get("values") or ()]
        if kind == "kvlistValue":
            return {
                str(each["key"]): _value(each.get("value") or {}, depth + 1)
                for each in value.get("values") or ()
            }
        if kind == "bytesValue":
            return base64.b64decode(value)
        if kind in ("stringValue", "boolValue"):
            return value
    return None
