"""The parts of a span that have no column of their own: its JSON, and the words it is found by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from otel_django import names
from otel_django.store.json_text import int64

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from otel_django.store.span_like import SpanLike

MAX_WORD_CHARACTERS = 500


def has_more(span: SpanLike) -> bool:
    """Whether there is more to store than attributes."""
    return bool(
        span._events
        or span._links
        or span._status.description
        or span._dropped_attributes
        or span._dropped_events
        or span._dropped_links
    )


def words(span: SpanLike) -> Iterator[str]:
    """What a trace is found by."""
    yield from _values(span._attributes)
    for event in span._events or ():
        yield event.name
        yield from _values(event._attributes or {})
    if span._status.description:
        yield span._status.description[:MAX_WORD_CHARACTERS]


def _values(attributes: dict[str, Any]) -> Iterator[str]:
    for key, value in list(attributes.items()):  # a third party's thread may still write
        if type(value) is str:
            if key != names.EXCEPTION_STACKTRACE:
                yield value[:MAX_WORD_CHARACTERS]
        elif type(value) is int:
            yield str(value) if value.bit_length() < 200 else "?"


def trace_state(span: SpanLike) -> str:
    """As exported: with the probability the span was kept with."""
    state: Any = span._export_state
    if state is None:
        state = span._context[4]
    return str(state.to_header()) if state else ""


def data(span: SpanLike) -> dict[str, Any]:
    """What stands as JSON beside the columns; nothing that is empty."""
    found: dict[str, Any] = {}
    if span._attributes:
        found["attributes"] = span._attributes
    if span._events:
        found["events"] = [
            {
                "name": event.name,
                "time_ns": int64(event.timestamp),
                "attributes": event._attributes or {},
            }
            for event in span._events
        ]
    if span._links:
        found["links"] = [
            {**_ids(link.context), "attributes": dict(link.attributes or {})}
            for link in span._links
        ]
    if span._status.description:
        found["message"] = span._status.description
    dropped = [span._dropped_attributes, span._dropped_events, span._dropped_links]
    if any(dropped):
        found["dropped"] = dropped
    state = trace_state(span)
    if state:
        found["trace_state"] = state
    return found


def _ids(context: SpanContext) -> dict[str, str]:
    return {"trace_id": format(context[0], "032x"), "span_id": format(context[1], "016x")}
