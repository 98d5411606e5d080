"""The statements that a trace ran again and again, as its N+1 events tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_django import names
from otel_django.cli.inert_text import inert
from otel_django.cli.span_words import code_line
from otel_django.instrumentation.sql import analyse

if TYPE_CHECKING:
    from otel_django.contracts import SpanEvent, SpanRow


@dataclass(frozen=True, slots=True)
class Repeat:
    """One statement: how often it ran, how long all of it took, the line of code that ran it.

    ``span_ids`` are of its spans, as far as they are here.
    """

    statement: str
    summary: str
    count: int
    duration_ns: int
    place: str
    span_ids: tuple[str, ...]


def repeats(spans: Sequence[SpanRow]) -> list[Repeat]:
    """Costliest first."""
    events = [
        event
        for span in spans
        for event in span.events
        if event.name == names.N_PLUS_ONE_EVENT
        and isinstance(event.attributes.get(names.N_PLUS_ONE_COUNT), int)
    ]
    if not events:
        return []
    alike = _by_statement(spans)
    found = [_repeat(event, alike) for event in events]
    return sorted(found, key=lambda each: each.duration_ns, reverse=True)


def _repeat(event: SpanEvent, alike: Mapping[str, Sequence[str]]) -> Repeat:
    attributes = event.attributes
    statement = str(attributes.get(names.DB_QUERY_TEXT) or "")
    took_s = attributes.get(names.N_PLUS_ONE_DURATION)
    return Repeat(
        statement=statement,
        summary=inert(str(attributes.get(names.DB_QUERY_SUMMARY) or "query")[:400]),
        count=attributes[names.N_PLUS_ONE_COUNT],
        duration_ns=int(took_s * 1e9) if isinstance(took_s, int | float) else 0,
        place=code_line(attributes),
        span_ids=tuple(alike.get(statement, ())),
    )


def _by_statement(spans: Sequence[SpanRow]) -> dict[str, list[str]]:
    """Ids of spans by what their statement is without its placeholders' ways of writing."""
    found: dict[tuple[str, str], list[str]] = {}
    for span in spans:
        text = span.attributes.get(names.DB_QUERY_TEXT)
        if isinstance(text, str):
            system = str(span.attributes.get(names.DB_SYSTEM_NAME, ""))
            found.setdefault((text, system), []).append(span.span_id)
    alike: dict[str, list[str]] = {}
    for (text, system), ids in found.items():
        alike.setdefault(analyse(text, system).fingerprint, []).extend(ids)
    return alike
