"""The SQL of the trace list: one page of one slice, by the index that narrows it most."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.store.json_text import dumps
from otel_django.store.schema import ROOT_COLUMNS
from otel_django.store.texts import text_id

if TYPE_CHECKING:
    from otel_django.backends.embedded_session import Session
    from otel_django.contracts import TraceQuery
    from otel_django.store.slices import Slice

RARE: Final = 2_000
MAX_MATCHES: Final = 5_000
SHORTEST_PREFIX: Final = 3
TRACE_ID: Final = re.compile(r"[0-9a-f]{8,32}", re.IGNORECASE)

TRACE_COLUMNS: Final = (
    "trace_id, start_ns, end_ns, duration_ns, spans, errors, queries, query_ns, "
    + ", ".join(ROOT_COLUMNS)
)
TOO_MANY_MATCHES: Final = f"only the newest {MAX_MATCHES:,} matches of the words were looked at"
TOO_SHORT: Final = f"a word before * needs {SHORTEST_PREFIX} letters; shorter ones were left out"


class _Condition(NamedTuple):
    narrowed_by: str
    sql: str
    arguments: tuple[Any, ...]
    newest_first: bool


def newest_start(session: Session, part: Slice) -> int:
    """When the newest trace of a slice began."""
    newest: int | None = session.run(f"SELECT max(start_ns) FROM trace_{part.id}")[0][0]
    return newest or 0


class Found(NamedTuple):
    """Rows of TRACE_COLUMNS in the order asked for, and what to say about them."""

    rows: list[tuple[Any, ...]]
    note: str = ""


def find(
    session: Session, part: Slice, query: TraceQuery, after: tuple[int, str] | None, limit: int
) -> Found:
    """The first of one slice; ``after`` is the last (start or duration, trace id) shown."""
    conditions, note = _conditions(session, part, query)
    if conditions is None:
        return Found([], note)
    sql, arguments = _compared(part, query)
    index = _index(session, part, conditions, query, compares=bool(sql))
    for condition in conditions:
        sql.append(condition.sql)
        arguments += condition.arguments
    for column, value in (("start_ns >= ?", query.since_ns), ("start_ns <= ?", query.until_ns)):
        if value is not None:
            sql.append(column)
            arguments.append(value)
    order = "duration_ns" if query.slowest_first else "start_ns"
    if after is not None:
        sql.append(f"({order} < ? OR {order} = ? AND trace_id < ?)")
        arguments += [after[0], *after]
        sql.append(f"{order} <= ?")
        arguments.append(after[0])
    table = f"trace_{part.id}"
    rows = session.run(
        f"SELECT {TRACE_COLUMNS} FROM {table} {index} "
        f"WHERE {' AND '.join(sql) or 'true'} "
        f"ORDER BY {order} DESC, trace_id DESC LIMIT ?",
        (*arguments, limit),
    )
    return Found(rows, note)


def _conditions(
    session: Session, part: Slice, query: TraceQuery
) -> tuple[list[_Condition] | None, str]:
    """Those that an index or row ids answer; None: nothing can match."""
    found: list[_Condition] = []
    note = ""
    if query.text.strip():
        condition, note = _by_text(session, part, query.text.strip())
        if condition is None:
            return None, note
        found.append(condition)
    if query.trace_id is not None:
        found.append(_by_ids(_ids_of_trace(session, part, query.trace_id)))
    if query.route is not None:
        one = not query.route.endswith("*")
        found.append(_Condition("route", *_text(part, "route", query.route), one))
    if query.errors_only:
        found.append(_Condition("errors", "errors > 0", (), True))
    status_class = query.status_class
    if query.http_status is not None and status_class is None:
        status_class = query.http_status // 100
    if status_class is not None:
        found.append(_Condition("status", "http_status / 100 = ?", (status_class,), True))
    low, high = query.min_duration_ns, query.max_duration_ns
    if low is not None or high is not None:
        between = (low or 0, 2**63 - 1 if high is None else high)
        found.append(_Condition("duration", "duration_ns BETWEEN ? AND ?", between, False))
    return found, note


def _compared(part: Slice, query: TraceQuery) -> tuple[list[str], list[Any]]:
    """The conditions that no index answers, with their arguments."""
    sql: list[str] = []
    arguments: list[Any] = []
    for condition, value in (
        ("service = ?", None if query.service is None else text_id(query.service)),
        ("method = ?", query.method),
        # The sign keeps the optimiser from writing the value into the index's expression.
        ("+http_status = ?", query.http_status),
    ):
        if value is not None:
            sql.append(condition)
            arguments.append(value)
    if query.n_plus_one:
        sql.append("n_plus_one > 0")
    if query.name is not None:
        condition, texts = _text(part, "name", query.name)
        sql.append(condition)
        arguments += texts
    return sql, arguments


def _text(part: Slice, column: str, text: str) -> tuple[str, tuple[Any, ...]]:
    """That a column has the text, or begins with what is before ``*``."""
    if not text.endswith("*"):
        return f"{column} = ?", (text_id(text),)
    begin = text.rstrip("*")
    with_begin = f"SELECT id FROM text_{part.id} WHERE substr(value, 1, ?) = ?"
    return f"{column} IN ({with_begin})", (len(begin), begin)


def _index(
    session: Session,
    part: Slice,
    conditions: list[_Condition],
    query: TraceQuery,
    *,
    compares: bool,
) -> str:
    """Few rows by one condition: take them and sort. Else walk in the order asked for.

    Not by durations where rows have to be compared: those lie apart, many would be read for a few.
    """
    table = f"trace_{part.id}"
    if any(not condition.narrowed_by for condition in conditions):
        return "NOT INDEXED"  # row ids are at hand
    best, fewest = "start", RARE + 1
    if query.slowest_first and not compares and {"duration"} >= {c.narrowed_by for c in conditions}:
        best = "duration"
        between = (query.since_ns or 0, 2**63 - 1 if query.until_ns is None else query.until_ns)
        conditions = [*conditions, _Condition("start", "start_ns BETWEEN ? AND ?", between, False)]
    for condition in conditions:
        index = f"{table}_{condition.narrowed_by}"
        count = session.run(
            f"SELECT count(*) FROM (SELECT 1 FROM {table} INDEXED BY {index} "
            f"WHERE {condition.sql} LIMIT {RARE + 1})",
            condition.arguments,
        )[0][0]
        if count < fewest or (count == fewest and best == "start" and condition.newest_first):
            best, fewest = condition.narrowed_by, count
    return f"INDEXED BY {table}_{best}"


def _by_text(session: Session, part: Slice, text: str) -> tuple[_Condition | None, str]:
    if TRACE_ID.fullmatch(text):
        ids = _ids_of_trace(session, part, text)
        if ids:
            return _by_ids(ids), ""
    words, note = words_of(text)
    if not words:
        return None, note or "there is no word to search for"
    if part.fts:
        words_table = f"find_{part.id}"
        sql = (
            f"SELECT rowid FROM {words_table} WHERE {words_table} MATCH ? "
            "ORDER BY rowid DESC LIMIT ?"
        )
        arguments: tuple[Any, ...] = (" ".join(f'"{w}"*' if p else f'"{w}"' for w, p in words),)
    else:
        likes = " AND ".join("text LIKE ?" for _ in words)
        sql = f"SELECT id FROM find_{part.id} WHERE {likes} ORDER BY id DESC LIMIT ?"
        arguments = tuple(f"%{word}%" for word, _ in words)
    spans = session.run(sql, (*arguments, MAX_MATCHES))
    if len(spans) == MAX_MATCHES:
        note = TOO_MANY_MATCHES
    traces = session.run(
        f"SELECT DISTINCT trace FROM span_{part.id} WHERE id IN (SELECT value FROM json_each(?))",
        (dumps([row[0] for row in spans]),),
    )
    return (_by_ids([row[0] for row in traces]) if traces else None), note


def _ids_of_trace(session: Session, part: Slice, digits: str) -> list[int]:
    low = digits.lower()
    sql = f"SELECT id FROM trace_{part.id} WHERE trace_id >= ? AND trace_id < ? LIMIT 100"
    return [row[0] for row in session.run(sql, (low, f"{low}g"))]


def _by_ids(ids: list[int]) -> _Condition:
    return _Condition("", "id IN (SELECT value FROM json_each(?))", (dumps(ids),), False)


def words_of(text: str) -> tuple[list[tuple[str, bool]], str]:
    """The words of a search as FTS5 splits them, each with whether it may go on; and a note."""
    words: list[tuple[str, bool]] = []
    note = ""
    for term in text.split():
        parts = "".join(c if _is_word_character(c) else " " for c in term).split()
        for index, word in enumerate(parts):
            goes_on = term.endswith("*") and index == len(parts) - 1
            if goes_on and len(word) < SHORTEST_PREFIX:
                note = TOO_SHORT
            else:
                words.append((word, goes_on))
    return words, note


def _is_word_character(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN" or unicodedata.category(character) == "Co"
