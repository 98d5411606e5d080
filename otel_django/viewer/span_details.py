"""What the panel beside a waterfall tells of one span."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django import names
from otel_django.cli import task_words
from otel_django.cli.inert_text import fit
from otel_django.cli.span_words import code_line, span_label
from otel_django.store.fingerprint import kind_of, text_of
from otel_django.viewer.filters import LONGEST
from otel_django.viewer.search_terms import written
from otel_django.viewer.sql_layout import laid_out
from otel_django.viewer.stacktrace import parts
from otel_django.viewer.waterfall import hue_of

if TYPE_CHECKING:
    from otel_django.contracts import SpanEvent, SpanRow
    from otel_django.viewer.visit import Visit
    from otel_django.viewer.waterfall import Waterfall

LONGEST_SEARCHED: Final = 120
MOST_EVENTS: Final = 100
MOST_ATTRIBUTES: Final = 300
PANEL_CHARACTERS: Final = 52
LONGEST_LABEL: Final = 200
_KEY: Final = re.compile(r"[A-Za-z][\w.-]{0,99}")


class Field(NamedTuple):
    """An attribute; ``address`` is that of the traces that have it, empty where none can be asked
    for. ``left_out`` is how many characters of a long value aren't shown.
    """

    key: str
    text: str
    address: str
    left_out: int


def details(visit: Visit, fall: Waterfall, span: SpanRow) -> dict[str, Any]:
    """For the template ``_span.html``."""
    statement = span.attributes.get(names.DB_QUERY_TEXT)
    # The page says those of repeated statements above.
    events = [event for event in span.events if event.name != names.N_PLUS_ONE_EVENT]
    shown = {key: value for key, value in span.attributes.items() if key != names.DB_QUERY_TEXT}
    return {
        "span": span,
        "label": fit(span_label(span), LONGEST_LABEL),
        "hue": hue_of(span),
        "zoomable": 0 < span.duration_ns < fall.length_ns and visit.text("zoom") != span.span_id,
        "own_ns": fall.own_ns(span),
        "critical_ns": fall.path.get(span.span_id),
        "wait_ns": task_words.queue_wait_ns(span),
        "since_ns": span.start_ns - fall.start_ns,
        "place": code_line(span.attributes),
        "parent": fall.known.get(span.parent_id or ""),
        "statement": laid_out(statement, PANEL_CHARACTERS) if isinstance(statement, str) else "",
        "attributes": _fields(visit, shown),
        "more_attributes": max(0, len(shown) - MOST_ATTRIBUTES),
        "resource": [
            _field(visit, *item) for item in list(span.resource.items())[:MOST_ATTRIBUTES]
        ],
        "events": [_event(visit, fall, event) for event in events[:MOST_EVENTS]],
        "more_events": max(0, len(events) - MOST_EVENTS),
        "links": [
            {
                "trace_id": link.trace_id,
                "address": visit.url("trace", link.trace_id, span=link.span_id),
                "here": link.trace_id == span.trace_id,
            }
            for link in span.links[:MOST_EVENTS]
        ],
    }


def _event(visit: Visit, fall: Waterfall, event: SpanEvent) -> dict[str, Any]:
    attributes = dict(event.attributes)
    kind = str(attributes.pop(names.EXCEPTION_TYPE, ""))
    message = str(attributes.pop(names.EXCEPTION_MESSAGE, ""))
    stacktrace = str(attributes.pop(names.EXCEPTION_STACKTRACE, ""))
    group = text_of(kind_of(kind, message, stacktrace).fingerprint) if kind else ""
    return {
        "name": event.name,
        "since_ns": event.time_ns - fall.start_ns,
        "type": kind,
        "message": message,
        "group": visit.url("error", group) if group else "",
        "stack": parts(stacktrace),
        "fields": _fields(visit, attributes),
    }


def _fields(visit: Visit, attributes: Mapping[str, Any]) -> list[Field]:
    return [_field(visit, *item) for item in islice(attributes.items(), MOST_ATTRIBUTES)]


def _field(visit: Visit, key: str, value: Any) -> Field:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    address = ""
    searchable = not isinstance(value, Mapping | list | tuple) and _KEY.fullmatch(key)
    if searchable and 0 < len(text) <= LONGEST_SEARCHED and text.isprintable():
        address = visit.url("traces", q=written(key, text))
    return Field(key, text[:LONGEST], address, max(0, len(text) - LONGEST))
