"""Log records as the arguments of one ``log_schema.ingest`` statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django import log_record, names
from otel_django.store.json_text import dumps, int64
from otel_django.store.rows import (
    MAX_CACHED_QUERIES,
    MAX_FIND_CHARACTERS,
    ROWS_A_PART,
    YIELD_AFTER_S,
    signed,
    work_s,
)
from otel_django.store.span_text import MAX_WORD_CHARACTERS
from otel_django.store.texts import Texts, text_id

if TYPE_CHECKING:
    from otel_django.log_record import LogRecord

SEVERITY_WORDS: Final = (log_record.WARN, log_record.ERROR, log_record.FATAL)
LOW_BITS: Final = (1 << 64) - 1


class LogRows(NamedTuple):
    """The arguments of one ingest statement: JSON arrays, and the number of records."""

    texts: str
    logs: str
    log_count: int
    finds: str


class _Source(NamedTuple):
    """Who logged; the resource is kept so that its id stays its own."""

    resource: object
    text: str
    service: str


class LogPacker:
    """Turns batches into rows; one thread at a time.

    ``pause`` is called at least every 0.25 ms of ordinary work.
    """

    def __init__(self, pause: Callable[[], None]) -> None:
        self._pause = pause
        self._texts = Texts()
        self._sources: dict[tuple[int, str, str], _Source] = {}

    def new_slice(self) -> None:
        """The texts have to be written again."""
        self._texts.new_slice()

    def written(self) -> None:
        """The last ``pack`` is in the store."""
        self._texts.written()

    def pack(self, records: Sequence[LogRecord]) -> LogRows:
        """The rows of a batch."""
        self._texts.begin()
        if len(self._sources) > MAX_CACHED_QUERIES:
            self._sources.clear()
        rows: list[str] = []
        finds: list[str] = []
        looked_at = work_s()
        for begin in range(0, len(records), ROWS_A_PART):
            part = records[begin : begin + ROWS_A_PART]
            rows.append(dumps([self._row(record) for record in part])[1:-1])
            finds.append(dumps([self._words(record) for record in part])[1:-1])
            if work_s() - looked_at > YIELD_AFTER_S:
                self._pause()
                looked_at = work_s()
        return LogRows(
            self._texts.rows(), f"[{','.join(rows)}]", len(records), f"[{','.join(finds)}]"
        )

    def _row(self, record: LogRecord) -> tuple[Any, ...]:
        source = self._source(record)
        trace_id = record.trace_id
        return (
            int64(record.time_ns),
            record.severity_number,
            record.severity_text,
            event(record),
            self._texts.id(record.scope_name),
            self._texts.id(source.service),
            self._texts.id(source.text),
            signed(trace_id >> 64) if trace_id else None,
            signed(trace_id & LOW_BITS) if trace_id else None,
            signed(record.span_id) if record.span_id else None,
            _data(record),
        )

    def _words(self, record: LogRecord) -> str:
        return f"{service_word(self._source(record).service)} {words(record)}"

    def _source(self, record: LogRecord) -> _Source:
        resource = record.resource
        key = (id(resource), record.scope_name, record.scope_version)
        known = self._sources.get(key)
        if known is None:
            attributes = dict(resource.attributes)
            described = {"resource": attributes, "scope": key[1], "version": key[2]}
            service = str(attributes.get(names.SERVICE_NAME, ""))
            known = self._sources[key] = _Source(resource, dumps(described), service)
        return known


def event(record: LogRecord) -> str:
    """The event's name, else the message."""
    if record.event_name:
        return record.event_name
    body = record.body
    return body if isinstance(body, str) else "" if body is None else dumps(body)


def _data(record: LogRecord) -> dict[str, Any] | None:
    """What stands as JSON beside the columns; nothing that is empty."""
    found: dict[str, Any] = {}
    if record.attributes:
        found["attributes"] = record.attributes
    if record.event_name:
        found["named"] = 1
    body = record.body
    if body is not None and (not isinstance(body, str) or body != event(record)):
        found["body"] = body
    if record.trace_flags:
        found["flags"] = record.trace_flags
    if record.dropped_attributes:
        found["dropped"] = record.dropped_attributes
    return found or None


def words(record: LogRecord) -> str:
    """What a record is found by: its first 8,000 characters."""
    found = dict.fromkeys((event(record)[:MAX_WORD_CHARACTERS], record.scope_name))
    found.update((severity_word(at), None) for at in SEVERITY_WORDS if record.severity_number >= at)
    if isinstance(record.body, str):
        found[record.body[:MAX_WORD_CHARACTERS]] = None
    found.update(dict.fromkeys(_values(record.attributes)))
    return " ".join(found)[:MAX_FIND_CHARACTERS]


def service_word(service: str) -> str:
    """The word of all records of a service."""
    return f"service{text_id(service):x}"


def severity_word(number: int) -> str:
    """The word of all records from severity ``number`` on."""
    return f"severity{number}up"


def _values(attributes: Mapping[str, Any]) -> Iterator[str]:
    for key, value in attributes.items():
        if type(value) is str:
            if key != names.EXCEPTION_STACKTRACE:
                yield value[:MAX_WORD_CHARACTERS]
        elif type(value) is int and value.bit_length() < 200:
            yield str(value)
