"""Spans that a sender repeats, as it was told nothing when it sent them first."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from otel_django.errors import StoreError
from otel_django.store import slices
from otel_django.store.fork_gate import GATE
from otel_django.store.json_text import dumps, int64
from otel_django.store.rows import signed
from otel_django.store.span_like import SpanLike

if TYPE_CHECKING:
    from otel_django.store.file import StoreFile

SLICES_LOOKED_INTO: Final = 2
"""One repeats within minutes, and a slice may end between."""
SpanT = TypeVar("SpanT", bound=SpanLike)
_Key = tuple[str, int, int]
"""A span's trace, its id and its start."""
_TRACES: Final = """
    SELECT trace_id, id FROM trace_{} WHERE trace_id IN (SELECT value FROM json_each(?))
"""
_SPANS: Final = """
    SELECT s.span_id, s.start_ns FROM json_each(?) AS wanted
    CROSS JOIN span_{} AS s ON s.trace = ? AND s.span_id = wanted.value
"""


def without_repeats(file: StoreFile, spans: Sequence[SpanT]) -> list[SpanT]:
    """Those that aren't in the store yet, each once; all where that can't be told now."""
    by_key = {_key(span): span for span in spans}
    try:
        with GATE.using():
            connection = file.target().connection
            for part in slices.all_slices(connection)[:SLICES_LOOKED_INTO]:
                for key in _known(connection, part.id, by_key):
                    del by_key[key]
    except (sqlite3.Error, OSError, StoreError):
        pass  # writing meets it too, and deals with it
    return list(by_key.values())


def _key(span: SpanLike) -> _Key:
    trace_id, span_id = span._context[0], span._context[1]
    return format(trace_id, "032x"), signed(span_id), int64(span._start_time)


def _known(connection: sqlite3.Connection, number: int, wanted: Mapping[_Key, object]) -> set[_Key]:
    """Of most batches the traces are new, and nothing else is looked for."""
    by_trace: dict[str, list[int]] = {}
    for trace_id, span_id, _ in wanted:
        by_trace.setdefault(trace_id, []).append(span_id)
    traces = connection.execute(_TRACES.format(number), (dumps(list(by_trace)),)).fetchall()
    return {
        (trace_id, *found)
        for trace_id, row in traces
        for found in connection.execute(_SPANS.format(number), (dumps(by_trace[trace_id]), row))
    } & wanted.keys()
