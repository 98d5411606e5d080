"""The SQL of the log list: one page of one slice.

Words, names and attributes are looked for in the index of words, newest first, and what it finds is
compared with the rows; other questions walk the index of times, or that of warnings and errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django import log_record
from otel_django.backends.embedded_search import words_of
from otel_django.store.json_text import dumps, loads
from otel_django.store.log_rows import LOW_BITS, SEVERITY_WORDS, service_word, severity_word
from otel_django.store.roll_up_schema import LEVELS
from otel_django.store.rows import signed
from otel_django.store.span_text import MAX_WORD_CHARACTERS
from otel_django.store.texts import text_id

if TYPE_CHECKING:
    from otel_django.backends.embedded_session import Session
    from otel_django.contracts import LogQuery
    from otel_django.store.slices import Slice

# Columns of LOG_SQL.
ID, TIME, SEVERITY, LEVEL, EVENT, LOGGER, SOURCE, TRACE_HIGH, TRACE_LOW, SPAN, DATA = range(11)
LOG_SQL: Final = """
    SELECT s.id, s.time_ns, s.severity, s.level, s.event, logger.value, source.value,
        s.trace_high, s.trace_low, s.span_id, s.data
    FROM log_{0} AS s {1}
    LEFT JOIN text_{0} AS logger ON logger.id = s.logger
    LEFT JOIN text_{0} AS source ON source.id = s.source
"""
ORDER: Final = "ORDER BY s.time_ns DESC, s.id DESC LIMIT ?"
FIRST_CHUNK: Final = 250
MAX_CHUNK: Final = 4_000
MAX_OF_A_TRACE: Final = 10_000
COMPARING: Final = 6
"""How many times as long comparing attributes takes as counting."""
LEVEL_CLASS: Final = f"min(max(s.severity - 5, 0) / 4, {len(LEVELS) - 1})"
"""As ``log_rows.level_class``."""
LATE_NS: Final = 60_000_000_000
MOST_IDS: Final = 50_000
"""So many are looked at in a hundredth of a second or so."""
DISORDER_NS: Final = 2_000_000_000
"""Processes write a little after one another: records' times are so far from their order."""
_NO_WORDS: Final = re.compile(
    r"true|false|-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e[+-]?\d+|[\[{].*", re.DOTALL
)
"""Values that may be no texts or whole numbers, of which alone there are words."""
LATE: Final = "time was up: older records may be missing; ask for a shorter range"

Row = tuple[Any, ...]


class Position(NamedTuple):
    """A record's place in the list."""

    time_ns: int
    slice: int
    id: int


def newest_time(session: Session, part: Slice) -> int:
    """When the newest record of a slice was made."""
    newest: int | None = session.run(f"SELECT max(time_ns) FROM log_{part.id}")[0][0]
    return newest or 0


class Found(NamedTuple):
    """Rows of LOG_SQL, newest first, and what to say about them."""

    rows: list[Row]
    note: str = ""


def find(
    session: Session, part: Slice, query: LogQuery, after: Position | None, limit: int
) -> Found:
    """The newest of one slice; ``after`` is the last that was shown."""
    words, note = words_of(query.text.strip())
    if query.text.strip() and not words:
        return Found([], note or "there is no word to search for")
    search = _Search(session, part, query, after)
    rows = search.rows(words, limit)
    return Found(rows, LATE if search.late else note)


class Counted(NamedTuple):
    """Step, class of severity, logger, service and number of records, newest records first.

    ``looked_at`` is what it took; ``is_cut``: there are more, which were too many.
    """

    rows: list[Row]
    looked_at: int
    is_cut: bool = False


def count(session: Session, part: Slice, query: LogQuery, step_ns: int, most: int) -> Counted:
    """How many of one slice match; it looks at ``most`` or a few more."""
    words, _ = words_of(query.text.strip())
    if query.text.strip() and not words:
        return Counted([], 0)
    return _Search(session, part, query, None).counted(words, step_ns, most)


class _Search:
    def __init__(
        self, session: Session, part: Slice, query: LogQuery, after: Position | None
    ) -> None:
        self._session = session
        self._part = part
        self._query = query
        self.late = False
        self._until = query.until_ns
        if after is not None:
            self._until = min(after.time_ns, self._until or after.time_ns)
        self._sql, self._arguments = _where(query, part, after)
        self._wanted = {key: _as_text(value) for key, value in query.attributes.items()}

    def rows(self, words: list[tuple[str, bool]], limit: int) -> list[Row]:
        query = self._query
        if query.trace_id is not None:
            return self._of_trace(words, limit)
        words = [*words, *_implied_words(query)]
        if words:
            return self._by_words([*words, *_severity(query.min_severity)], limit)
        if self._wanted:
            return self._walk_and_compare(limit)
        return self._walk(limit)

    def counted(self, words: list[tuple[str, bool]], step_ns: int, most: int) -> Counted:
        found: list[Row] = []
        looked_at = 0
        for looked, ids in self._matching(words):
            if looked_at >= most:
                return Counted(found, looked_at, is_cut=True)
            looked_at += looked
            found += self._session.run(
                f"SELECT s.time_ns / {step_ns}, {LEVEL_CLASS}, s.logger, s.service, count(*) "
                f"FROM log_{self._part.id} AS s "
                f"LEFT JOIN text_{self._part.id} AS logger ON logger.id = s.logger "
                "WHERE s.id IN (SELECT value FROM json_each(?)) "
                f"{''.join(f'AND {each} ' for each in self._sql)} GROUP BY 1, 2, 3, 4",
                (dumps(ids), *self._arguments),
            )
        return Counted(found, looked_at)

    def _matching(self, words: list[tuple[str, bool]]) -> Iterator[tuple[int, list[int]]]:
        """Ids, newest first, that ``_sql`` still has to be asked of; and what it took."""
        query = self._query
        if query.trace_id is not None:
            rows = self._of_trace(words, MAX_OF_A_TRACE)
            yield len(rows), [row[ID] for row in rows]
            return
        words = [*words, *_implied_words(query)]
        if not self._wanted:
            for ids in self._id_chunks([*words, *_severity(query.min_severity)]):
                yield len(ids), ids
            return
        for rows in self._chunks(words) if words else self._walked():
            yield len(rows) * COMPARING, [row[ID] for row in rows if self._equal(row)]

    def _walk(self, limit: int, below: Row | None = None) -> list[Row]:
        """By the index of times; ``below`` is the last row that was seen."""
        least = self._query.min_severity or 0
        index = "severity" if least >= log_record.WARN else "time"
        sql, arguments = self._sql, self._arguments
        if below is not None:
            sql = [*sql, "(s.time_ns < ? OR s.time_ns = ? AND s.id < ?)", "s.time_ns <= ?"]
            arguments = [*arguments, below[TIME], below[TIME], below[ID], below[TIME]]
        # Said again, so that the partial index is seen to hold all that is asked for.
        if index == "severity":
            sql = [*sql, f"s.severity >= {log_record.WARN}"]
        table = f"INDEXED BY log_{self._part.id}_{index}"
        return self._select(table, sql, (*arguments, limit))

    def _walk_and_compare(self, limit: int) -> list[Row]:
        """Attributes without a word in them, such as true."""
        found: list[Row] = []
        for rows in self._walked():
            found += filter(self._equal, rows)
            if len(found) >= limit:
                break
        return found[:limit]

    def _walked(self) -> Iterator[list[Row]]:
        below: Row | None = None
        size = FIRST_CHUNK
        while True:
            rows = self._walk(size, below)
            yield rows
            if len(rows) < size:
                return
            below = rows[-1]
            size = min(size * 2, MAX_CHUNK)

    def _of_trace(self, words: list[tuple[str, bool]], limit: int) -> list[Row]:
        index = f"INDEXED BY log_{self._part.id}_trace"
        rows = self._select(index, self._sql, (*self._arguments, MAX_OF_A_TRACE))
        if words and rows:
            ids = [row[ID] for row in rows]
            with_words = set(self._ids(words, min(ids), max(ids), MAX_OF_A_TRACE))
            rows = [row for row in rows if row[ID] in with_words]
        return [row for row in rows if self._equal(row)][:limit]

    def _by_words(self, words: list[tuple[str, bool]], limit: int) -> list[Row]:
        found: list[Row] = []
        try:
            for rows in self._chunks(words):
                found += filter(self._equal, rows)
                if len(found) >= limit and rows:
                    found = _newest_first(found)[:limit]
                    if rows[-1][TIME] < found[-1][TIME] - DISORDER_NS:
                        break
        except TimeoutError:
            if not found:
                raise
            self.late = True
        return _newest_first(found)[:limit]

    def _chunks(self, words: list[tuple[str, bool]]) -> Iterator[list[Row]]:
        """What the index of words finds, in the order of arrival, newest first."""
        for ids in self._id_chunks(words):
            sql = ["s.id IN (SELECT value FROM json_each(?))", *self._sql]
            yield self._select("NOT INDEXED", sql, (dumps(ids), *self._arguments, len(ids)))

    def _id_chunks(self, words: list[tuple[str, bool]]) -> Iterator[list[int]]:
        low, high = self._id_range()
        size = FIRST_CHUNK
        while low <= high:
            ids = self._ids(words, low, high, size)
            if ids:
                yield ids
            if len(ids) < size:
                return
            high = ids[-1] - 1
            size = min(size * 2, MAX_CHUNK)

    def _ids(self, words: list[tuple[str, bool]], low: int, high: int, limit: int) -> list[int]:
        table = f"log_find_{self._part.id}"
        arguments: tuple[Any, ...]
        if self._part.fts:
            sql = f"SELECT rowid FROM {table} WHERE {table} MATCH ? AND rowid BETWEEN ? AND ? "
            arguments = (" ".join(f'"{w}"*' if more else f'"{w}"' for w, more in words),)
            sql += "ORDER BY rowid DESC LIMIT ?"
        else:
            likes = " AND ".join("text LIKE ?" for _ in words)
            sql = f"SELECT id FROM {table} WHERE {likes} AND id BETWEEN ? AND ? "
            arguments = tuple(f"%{word}%" for word, _ in words)
            sql += "ORDER BY id DESC LIMIT ?"
        return [row[0] for row in self._session.run(sql, (*arguments, low, high, limit))]

    def _id_range(self) -> tuple[int, int]:
        """Which ids the range of times can have, records that came late included.

        Of times long past with very many records, those that came much later may be left out.
        """
        table = f"log_{self._part.id}"
        low, high = 0, 2**63 - 1
        if self._query.since_ns is None and self._until is None:
            return low, high
        first, last, count = self._session.run(
            f"SELECT min(id), max(id), count(*) FROM (SELECT id FROM {table} "
            "WHERE time_ns BETWEEN ? AND ? LIMIT ?)",
            (self._query.since_ns or 0, high if self._until is None else self._until, MOST_IDS + 1),
        )[0]
        if count <= MOST_IDS:
            return first or 1, last or 0
        if self._query.since_ns is not None:
            sql = f"SELECT min(id) FROM (SELECT id FROM {table} WHERE time_ns >= ? "
            sql += "ORDER BY time_ns LIMIT 100)"
            low = self._session.run(sql, (self._query.since_ns - LATE_NS,))[0][0] or 1
        if self._until is not None and newest_time(self._session, self._part) > self._until:
            sql = f"SELECT max(id) FROM (SELECT id FROM {table} WHERE time_ns <= ? "
            sql += "ORDER BY time_ns DESC LIMIT 100)"
            high = self._session.run(sql, (self._until + LATE_NS,))[0][0] or 0
        return low, high

    def _select(self, index: str, conditions: list[str], arguments: tuple[Any, ...]) -> list[Row]:
        sql = LOG_SQL.format(self._part.id, index)
        return self._session.run(
            f"{sql} WHERE {' AND '.join(conditions) or 'true'} {ORDER}", arguments
        )

    def _equal(self, row: Row) -> bool:
        """Whether the attributes are those that were asked for."""
        if not self._wanted:
            return True
        attributes = loads(row[DATA]).get("attributes", {}) if row[DATA] else {}
        return all(
            key in attributes and _as_text(attributes[key]) == value
            for key, value in self._wanted.items()
        )


def _where(query: LogQuery, part: Slice, after: Position | None) -> tuple[list[str], list[Any]]:
    """The conditions that columns answer, with their arguments."""
    sql: list[str] = []
    arguments: list[Any] = []
    for condition, value in (
        ("s.time_ns >= ?", query.since_ns),
        ("s.time_ns <= ?", query.until_ns),
        ("s.severity >= ?", query.min_severity),
        ("s.service = ?", None if query.service is None else text_id(query.service)),
        *_of_logger(query.logger),
        ("s.event = ?", query.event),
    ):
        if value is not None:
            sql.append(condition)
            arguments.append(value)
    if query.trace_id is not None:
        number = _trace_number(query.trace_id)
        sql.append("s.trace_low = ? AND s.trace_high = ?")
        arguments += [signed(number & LOW_BITS), signed(number >> 64)]
    if after is not None:
        last_id = 0 if part.id > after.slice else after.id if part.id == after.slice else 2**63 - 1
        sql.append("(s.time_ns < ? OR s.time_ns = ? AND s.id < ?) AND s.time_ns <= ?")
        arguments += [after.time_ns, after.time_ns, last_id, after.time_ns]
    return sql, arguments


def _of_logger(name: str | None) -> list[tuple[str, Any]]:
    if name is None:
        return []
    if not name.endswith("*"):
        return [("s.logger = ?", text_id(name))]
    begin = name.rstrip("*")
    return [(f"substr(logger.value, 1, {len(begin)}) = ?", begin)]


def _trace_number(trace_id: str) -> int:
    try:
        return int(trace_id, 16) & ((1 << 128) - 1)
    except ValueError:
        return 0


def _implied_words(query: LogQuery) -> list[tuple[str, bool]]:
    """Words that a record must have for what is asked to be equal."""
    texts = [text for text in (query.event, query.logger) if text is not None]
    values = map(_as_text, query.attributes.values())
    texts += [value for value in values if not _NO_WORDS.fullmatch(value)]
    words: list[tuple[str, bool]] = []
    if query.logger is not None and query.logger.endswith("*"):
        texts.remove(query.logger)
        words += words_of(query.logger[:MAX_WORD_CHARACTERS])[0]
    for text in texts:
        found = words_of(text[:MAX_WORD_CHARACTERS].replace("*", " "))[0]
        # The last word of a longer text may have been cut elsewhere.
        words += found[:-1] if len(text) >= MAX_WORD_CHARACTERS else found
    if query.service is not None:
        words.append((service_word(query.service), False))
    return words


def _as_text(value: Any) -> str:
    """As attributes are compared: 1 is "1", and true in all its spellings the same."""
    text = str(value)
    return text.lower() if text in {"True", "False"} else text


def _severity(least: int | None) -> list[tuple[str, bool]]:
    """The word of all records that are as severe, so that rare ones are found among many."""
    known = [number for number in SEVERITY_WORDS if number <= (least or 0)]
    return [(severity_word(number), False) for number in known[-1:]]


def _newest_first(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row[TIME], row[ID]), reverse=True)
