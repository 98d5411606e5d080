"""Traces as rows of the list, and what of a search Jaeger doesn't look for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from otel_django import names
from otel_django.backends.embedded_search import TRACE_ID, words_of
from otel_django.backends.text_matching import attribute_words, fits, has_words, split_words
from otel_django.contracts import TraceSummary
from otel_django.store.calls import NOT_SQL
from otel_django.store.span_text import MAX_WORD_CHARACTERS

if TYPE_CHECKING:
    from otel_django.contracts import SpanRow, TraceQuery


def by_trace(spans: Iterator[SpanRow]) -> dict[str, list[SpanRow]]:
    """Each trace's spans by start, each once."""
    found: dict[str, dict[str, SpanRow]] = {}
    for span in spans:
        found.setdefault(span.trace_id, {})[span.span_id] = span
    return {
        trace_id: sorted(each.values(), key=lambda span: span.start_ns)
        for trace_id, each in found.items()
    }


def summary(spans: Sequence[SpanRow]) -> TraceSummary:
    """A row of the list; ``spans`` by start, at least one."""
    root = _root(spans)
    start_ns = min(span.start_ns for span in spans)
    end_ns = max(span.start_ns + span.duration_ns for span in spans)
    queries = [span for span in spans if _is_query(span)]
    told: dict[str, Any] = {"duration_ns": end_ns - start_ns}
    if root is not None:
        attributes = root.attributes
        route = attributes.get(names.HTTP_ROUTE)
        method = attributes.get(names.HTTP_REQUEST_METHOD)
        told = {
            "duration_ns": root.duration_ns,
            "name": root.name,
            "route": route if isinstance(route, str) and route else root.name,
            "service": root.service,
            "method": method if isinstance(method, str) else None,
            "http_status": _number(attributes.get(names.HTTP_RESPONSE_STATUS_CODE), 999),
            "failed": root.status == "error",
            "n_plus_one": _number(attributes.get(names.N_PLUS_ONE_COUNT), 1 << 31) or 0,
        }
    return TraceSummary(
        trace_id=spans[0].trace_id,
        start_ns=start_ns,
        span_count=len(spans),
        error_count=sum(span.status == "error" for span in spans),
        query_count=len(queries),
        query_ns=sum(span.duration_ns for span in queries),
        **told,
    )


def horizon_ns(service: str, until_ns: int, traces: Iterable[Sequence[SpanRow]]) -> int:
    """What of a service isn't among the newest ``traces`` has no span from then on until then."""
    return min(
        max(
            (s.start_ns for s in each if s.service == service and s.start_ns <= until_ns), default=0
        )
        for each in traces
    )


def _root(spans: Sequence[SpanRow]) -> SpanRow | None:
    """What has no parent, else what some process began with."""
    without = [span for span in spans if span.parent_id is None]
    begun = without or [span for span in spans if span.local_root]
    return min(begun, key=lambda span: span.start_ns, default=None)


def _is_query(span: SpanRow) -> bool:
    system = span.attributes.get(names.DB_SYSTEM_NAME)
    statement = span.attributes.get(names.DB_QUERY_TEXT)
    return system is not None and system not in NOT_SQL and isinstance(statement, str)


def _number(found: object, most: int) -> int | None:
    return found if isinstance(found, int) and 0 < found <= most else None


def matches(query: TraceQuery, row: TraceSummary, spans: Sequence[SpanRow]) -> bool:
    """Whether all holds that is asked for."""
    status = row.http_status
    return (
        (query.since_ns is None or row.start_ns >= query.since_ns)
        and (query.until_ns is None or row.start_ns <= query.until_ns)
        and query.service in (None, row.service)
        and (query.route is None or fits(query.route, row.route))
        and (query.name is None or fits(query.name, row.name))
        and query.method in (None, row.method)
        and query.http_status in (None, status)
        and (query.status_class is None or (status or 0) // 100 == query.status_class)
        and row.duration_ns >= (query.min_duration_ns or 0)
        and (query.max_duration_ns is None or row.duration_ns <= query.max_duration_ns)
        and (row.error_count > 0 or not query.errors_only)
        and (row.n_plus_one > 0 or not query.n_plus_one)
        and (query.trace_id is None or row.trace_id.startswith(query.trace_id.lower()))
        and _has_text(query.text.strip(), row.trace_id, spans)
    )


def _has_text(text: str, trace_id: str, spans: Sequence[SpanRow]) -> bool:
    if not text or (TRACE_ID.fullmatch(text) and trace_id.startswith(text.lower())):
        return True
    wanted, _ = words_of(text)
    return bool(wanted) and has_words(wanted, {part for span in spans for part in _words(span)})


def _words(span: SpanRow) -> Iterator[str]:
    yield from split_words(span.name)
    yield from attribute_words(span.attributes)
    for event in span.events:
        yield from split_words(event.name)
        yield from attribute_words(event.attributes)
    yield from split_words(span.status_message[:MAX_WORD_CHARACTERS])
