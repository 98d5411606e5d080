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
    """Rows of TRACE_COLUMNS, newest first, and what to say about them."""

    rows: list[tuple[Any, ...]]
    note: str = ""


def find(
    session: Session, part: Slice, query: TraceQuery, after: tuple[int, str] | None, limit: int
) -> Found:
    """The newest of one slice; ``after`` is the last (start, trace id) that was shown."""
    conditions, note = _conditions(session, part, query)
    if conditions is None:
        return Found([], note)
    sql = [condition.sql for condition in conditions]
    arguments = [argument for condition in conditions for argument in condition.arguments]
    for column, value in (("start_ns >= ?", query.since_ns), ("start_ns <= ?", query.until_ns)):
        if value is not None:
            sql.append(column)
            arguments.append(value)
    if query.service is not None:
        sql.append("service = ?")
        arguments.append(text_id(query.service))
    if after is not None:
        sql.append("(start_ns < ? OR start_ns = ? AND trace_id < ?)")
        arguments += [after[0], *after]
        sql.append("start_ns <= ?")
        arguments.append(after[0])
    table = f"trace_{part.id}"
    rows = session.run(
        f"SELECT {TRACE_COLUMNS} FROM {table} {_index(session, part, conditions, query)} "
        f"WHERE {' AND '.join(sql) or 'true'} "
        "ORDER BY start_ns DESC, trace_id DESC LIMIT ?",
        (*arguments, limit),
    )
    return Found(rows, note)


def _conditions(
    session: Session, part: Slice, query: TraceQuery
) -> tuple[list[_Condition] | None, str]:
    """None: nothing can match."""
    found: list[_Condition] = []
    note = ""
    if query.text.strip():
        condition, note = _by_text(session, part, query.text.strip())
        if condition is None:
            return None, note
        found.append(condition)
    if query.route is not None:
        found.append(_Condition("route", "route = ?", (text_id(query.route),), True))
    if query.errors_only:
        found.append(_Condition("errors", "errors > 0", (), True))
    if query.status_class is not None:
        found.append(_Condition("status", "http_status / 100 = ?", (query.status_class,), True))
    low, high = query.min_duration_ns, query.max_duration_ns
    if low is not None or high is not None:
        between = (low or 0, 2**63 - 1 if high is None else high)
        found.append(_Condition("duration", "duration_ns BETWEEN ? AND ?", between, False))
    return found, note


def _index(session: Session, part: Slice, conditions: list[_Condition], query: TraceQuery) -> str:
    """Few rows by one condition: take them and sort. Else walk from the newest on."""
    table = f"trace_{part.id}"
    if any(not condition.narrowed_by for condition in conditions):
        return "NOT INDEXED"  # row ids are at hand
    best, fewest = "start", RARE + 1
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
        low = text.lower()
        sql = f"SELECT id FROM trace_{part.id} WHERE trace_id >= ? AND trace_id < ? LIMIT 100"
        ids = session.run(sql, (low, f"{low}g"))
        if ids:
            return _by_ids([row[0] for row in ids]), ""
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
